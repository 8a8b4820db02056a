"""A packed data set as tar files for object storage, and crops from them (lesson 21).

A pack wants a disk on which any sample can be read at any time. Object storage, or a disk that a
thousand machines share, is fast only where large files are read from end to end. Shards are such
files, in the layout of webdataset: each holds some hundred clips, drawn at random from all of
them, each as ``.i16`` (its samples, 16 bits, little endian) and ``.json`` (clip_id and targets).

The list of shards, ``shards.jsonl``, has one line about the data and then one for each shard,
written after it: what kill -9 cuts off is written again. Its SHA-256 is compared at every reading.
"""

import hashlib
import importlib
import io
import json
import os
import re
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import IterableDataset, get_worker_info
from tqdm.auto import tqdm

from mirdl.datasets import draws
from mirdl.datasets.pack import pack
from mirdl.errors import DataError, MirdlError
from mirdl.paths import write_atomically

LIST = "shards.jsonl"


def write(dataset, folder, clips_per_shard=128, progress=True):
    """Write the clips of a data set as shards; what is there already is kept.

    Parameters
    ----------
    dataset : Dataset
        Usually ``dataset.subset("train")``. It is packed first.
    folder : path-like
        Upload it whole.
    clips_per_shard : int
        128 clips of 29 s at 16 kHz are 119 MB. There should be several shards for each process
        that will read them.
    progress : bool

    Returns
    -------
    dict
        Path of each file with a clip that is left out, and the reason.

    Raises
    ------
    DataError
        If the folder holds shards of other data, or of another size.
    """
    folder, packed = Path(folder), pack(dataset, progress=progress)
    order = np.random.default_rng(0).permutation(np.flatnonzero(packed.usable))
    parts = [order[i : i + clips_per_shard] for i in range(0, len(order), clips_per_shard)]
    about = {
        "dataset": dataset.name,
        "digest": dataset.digest(),
        "sample_rate": dataset.sample_rate,
        "task": dataset.task,
        "tags": list(dataset.tags),
        "clips": len(order),
        "clips_per_shard": clips_per_shard,
    }
    done = _resume(folder, about)
    for number in tqdm(range(len(parts)), desc="shards", unit="shard", disable=not progress):
        name = f"{number:06d}.tar"
        if name in done and _size(folder / name) == done[name]["bytes"]:
            continue
        content = _tar(packed, dataset.targets, parts[number], dataset.clips["clip_id"])
        write_atomically(folder / name, content)
        line = {"name": name, "clips": len(parts[number]), "bytes": len(content)}
        line |= {"sha256": hashlib.sha256(content).hexdigest()}
        with open(folder / LIST, "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
    return packed.skipped


class ShardReader(IterableDataset):
    """Batches of random crops from shards, for `torch.utils.data.DataLoader(reader, None)`.

    Every clip is heard once in an epoch, by one of the processes (ranks) and one of the workers
    that the loader of each starts. The order is a function of (seed, epoch): that of the shards,
    and that of the clips in each. A crop is the one that a pack draws, a function of (seed, epoch,
    clip id). A worker holds one shard in memory.

    Parameters
    ----------
    where : path-like
        Folder, or an address that webdataset opens with {} in the place of the file's name, such
        as ``https://host/folder/{}`` or ``pipe:aws s3 cp s3://bucket/folder/{} -`` (``pipe:`` runs
        a shell command; the name that it gets is six digits and ".tar", or "shards.jsonl").
    n_samples : int
        Length of the crops; shorter clips are padded with zeros on the right.
    batch_size : int
        Crops a batch, of this process. The last batch of a worker may be smaller.
    seed : int
    rank, n_ranks : int
        This process among those that train together (`mirdl.processes.place`).

    Attributes
    ----------
    epoch : int
        Set it before each pass. (Loaders with ``persistent_workers`` keep the first.)
    about : dict
        dataset, digest, sample_rate, task, tags, clips, clips_per_shard.
    shards : list of dict
        name, clips, bytes, sha256.

    Raises
    ------
    DataError
        If the list is not there, or not whole, or (while reading) a shard is damaged.
    """

    def __init__(self, where, n_samples, batch_size, seed=0, rank=0, n_ranks=1):
        self.where, self.n_samples, self.batch_size = str(where), n_samples, batch_size
        self.seed, self.rank, self.n_ranks, self.epoch = seed, rank, n_ranks, 0
        place = self._url(LIST)
        self.about, shards = _parse(place, _fetch(place))
        self.shards = [shards[name] for name in sorted(shards)]
        n_clips = sum(shard["clips"] for shard in self.shards)
        if self.about is None or n_clips != self.about["clips"]:
            wanted = self.about and self.about["clips"]
            raise DataError(place, f"lists {n_clips} of {wanted} clips: write the shards again")
        if len(self.shards) < n_ranks:
            raise DataError(place, f"{len(self.shards)} shards for {n_ranks} processes")

    def share(self, rank, worker=0, n_workers=1):
        """Return the shards that a worker of a process reads in this epoch, in order."""
        order = np.random.default_rng([self.seed, self.epoch]).permutation(len(self.shards))
        return order[rank + self.n_ranks * worker :: self.n_ranks * n_workers].tolist()

    def n_steps(self, n_workers=1):
        """Return how many batches every process has in this epoch.

        Processes that train together have to take equally many steps: leave out what one of them
        has more, ``itertools.islice(loader, reader.n_steps(n_workers))``.
        """
        counts = np.zeros(self.n_ranks, dtype=int)
        for rank in range(self.n_ranks):
            for worker in range(n_workers):
                share = self.share(rank, worker, n_workers)
                clips = sum(self.shards[number]["clips"] for number in share)
                counts[rank] += -(-clips // self.batch_size)
        return int(counts.min())

    def __iter__(self):
        """Yield (crops float32 (batch, n_samples), targets as in the data set, clip ids)."""
        info = get_worker_info()
        place = (info.id, info.num_workers) if info else (0, 1)
        batch = []
        for number in self.share(self.rank, *place):
            samples = self.samples(number)
            rng = np.random.default_rng([self.seed, self.epoch, number])
            for i in rng.permutation(len(samples)):
                batch.append(samples[i])
                if len(batch) == self.batch_size:
                    yield self._collate(batch)
                    batch = []
        if batch:
            yield self._collate(batch)

    def samples(self, number):
        """Return the clips of one shard: list of (clip_id, int16 (n_samples,), targets)."""
        tariterators = _webdataset("tariterators")
        shard = self.shards[number]
        url = self._url(shard["name"])
        content = _fetch(url)
        if hashlib.sha256(content).hexdigest() != shard["sha256"]:
            reason = f"damaged: {len(content)} bytes with another SHA-256 than {LIST} has"
            raise DataError(url, f"{reason}; fetch or write it again")
        files = tariterators.tar_file_expander([{"url": url, "stream": io.BytesIO(content)}])
        clips = []
        for sample in tariterators.group_by_keys(files):
            told = json.loads(sample["json"])
            clips.append((told["clip_id"], np.frombuffer(sample["i16"], "<i2"), told["targets"]))
        return clips

    def _url(self, name):
        where = self.where
        return where.replace("{}", name) if "{}" in where else os.path.join(where, name)

    def _collate(self, batch):
        ids, waves, targets = zip(*batch, strict=True)
        spare = np.array([max(len(wave) - self.n_samples, 0) for wave in waves])
        first = (draws.uniform(self.seed, self.epoch, draws.keys(ids)) * (spare + 1)).astype(
            np.int64
        )
        crops = np.zeros((len(batch), self.n_samples), dtype=np.float32)
        for crop, wave, start in zip(crops, waves, first, strict=True):
            heard = wave[start : start + self.n_samples]
            crop[: len(heard)] = heard
        dtype = torch.int64 if self.about["task"] == "multiclass" else torch.float32
        return torch.from_numpy(crops).mul_(1 / 32768), torch.tensor(targets, dtype=dtype), ids


def _tar(packed, targets, clips, clip_ids):
    """Return a tar file of some clips; the same clips give the same bytes."""
    file = io.BytesIO()
    with _webdataset("writer").TarWriter(file, encoder=False, mtime=0) as tar:
        for i in clips:
            told = {"clip_id": str(clip_ids[i]), "targets": targets[i].tolist()}
            samples = (packed.clip(i) * 32768).to(torch.int16).numpy()  # exactly what is packed
            tar.write(
                {
                    "__key__": f"{i:08d}",
                    "i16": samples.astype("<i2").tobytes(),
                    "json": json.dumps(told).encode(),
                }
            )
    return file.getvalue()


def _resume(folder, about):
    """Cut the list back to its last whole line, or start it; return the shards that it names."""
    path = folder / LIST
    content = path.read_bytes() if path.exists() else b""
    whole = content[: content.rfind(b"\n") + 1]
    theirs, shards = _parse(path, whole)
    if theirs not in (None, about):
        different = ", ".join(name for name in about if theirs.get(name) != about[name])
        raise DataError(folder, f"holds other shards ({different}): choose another folder")
    if theirs is None:
        write_atomically(path, json.dumps(about) + "\n")
    elif whole != content:
        os.truncate(path, len(whole))
    return shards


def _parse(place, content):
    """Return what a list says about the data, None if nothing, and the shards by name."""
    try:
        about, *shards = [json.loads(line) for line in content.splitlines()] or [None]
        shards = {shard["name"]: shard for shard in shards}
    except (ValueError, TypeError, KeyError) as error:
        raise DataError(place, f"damaged: {error}") from error
    strange = [name for name in shards if not re.fullmatch(r"\d{6}\.tar", name)]
    if strange:  # a name may become part of a shell command
        raise DataError(place, f"names a shard {strange[0]!r}")
    return about, shards


def _size(path):
    return path.stat().st_size if path.exists() else None


def _fetch(url):
    """Read a file from a folder, or from wherever webdataset can."""
    try:
        remote = "://" in url or url.startswith("pipe:")
        with _webdataset("gopen").gopen(url) if remote else open(url, "rb") as stream:
            return stream.read()
    except OSError as error:
        raise DataError(url, f"cannot be read: {error}") from error


def _webdataset(module):
    try:
        return importlib.import_module(f"webdataset.{module}")
    except ImportError as error:
        raise MirdlError("shards need webdataset: pip install webdataset") from error
