"""A data set decoded once into one int16 file, for random crops without decoding (lesson 21).

A pack is a folder with two files that only ever grow: ``audio.i16``, the samples of all files end
to end, and ``journal.jsonl``, one line per file, written after its samples. Whatever kill -9 cuts
off behind the last whole line is decoded again. Data sets of one name, say five folds, share it.

Against float audio a sample is wrong by at most 2^-16. Measured on 10 s of five Emotify tracks,
that moves log10(1 + 10000 x) of ``mel96_log`` by at most 0.003, the dB of ``mel96`` by at most 0.1
in bands above -30 dB, and by up to 35 dB in bands that hold nothing (above a codec's cut-off).

A pack at 16 kHz also serves networks of other rates: torchaudio resamples what is drawn, where the
pack lies. Beside soxr the error is 37 to 74 dB below the music (benchmarks/resampling.py), most of
it next to the highest frequency; the first and last few milliseconds of a crop are less exact,
for it does not know what lies beyond.
"""

import copy
import json
import os
import warnings
import zlib
from functools import cache
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock
from tqdm.auto import tqdm

from mirdl import audio
from mirdl.datasets import decoding, draws
from mirdl.errors import AudioError, DataError
from mirdl.paths import cache_folder, room_for, signature

AUDIO, JOURNAL = "audio.i16", "journal.jsonl"


def pack(dataset, folder=None, workers=None, progress=True, rate=None):
    """Decode what a data set needs and is not packed yet, each file once.

    Parameters
    ----------
    dataset : Dataset
        Needs ``name``, ``sample_rate`` and ``clips`` with clip_id, path, start and end.
    folder : path-like, optional
        Default: ``packs/<name>-<rate>`` in the cache folder. A file whose size or time of
        change differs is decoded again; of a file that is gone, what is packed stays.
    workers : int, optional
        Threads that decode (libsndfile, soxr and numpy all work outside Python's lock). Default:
        one per core. The pack is the same whatever their number.
    progress : bool
        Show a progress bar while there is something to decode.
    rate : int, optional
        Sample rate of the pack in Hz. Default: the data set's. From another one, clips and crops
        are resampled to the data set's whenever they are drawn, so that one pack serves all.

    Returns
    -------
    Pack
        Unreadable files are left out and listed in ``Pack.skipped``.

    Raises
    ------
    DataError
        The folder holds another sample rate.
    """
    rate = rate or dataset.sample_rate
    folder = Path(folder or cache_folder() / "packs" / f"{dataset.name}-{rate}")
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / "lock"):  # two notebooks may pack the same data at once
        entries = _resume(folder, rate)
        paths = dataset.clips["path"].unique()
        stale = [path for path in paths if _is_stale(path, entries)]
        workers = workers or os.cpu_count() or 1
        title, quiet = f"pack {dataset.name}", not (progress and stale)
        with (
            room_for(folder / AUDIO),
            open(folder / AUDIO, "ab") as samples_file,
            open(folder / JOURNAL, "a", encoding="utf-8") as journal,
            tqdm(total=len(stale), desc=title, unit="file", disable=quiet) as bar,
        ):
            end = samples_file.tell() // 2
            for path, samples, entry in decoding.decode(stale, rate, workers):
                if samples is not None:
                    entry["start"] = end
                    end += len(samples)
                    samples_file.write(samples.tobytes())
                    samples_file.flush()
                journal.write(json.dumps({"path": path, **entry}) + "\n")
                journal.flush()
                bar.update()
    return Pack(folder, dataset, rate)


class Pack:
    """The clips of a data set as one array of samples.

    It pickles by path: a worker process opens the file again and shares its pages.

    Parameters
    ----------
    folder : path-like
        Where :func:`pack` wrote.
    dataset : Dataset
        Its clips become the clips of the pack, in the same order.
    rate : int, optional
        Sample rate of the pack in Hz, where it is not the data set's.

    Attributes
    ----------
    sample_rate : int
        Of the clips and crops that are drawn, in Hz.
    usable : numpy.ndarray, bool (n_clips,)
        Clips that can be drawn.
    skipped : dict
        Path of each file with a bad clip, and the reason.

    Raises
    ------
    DataError
        The folder holds another sample rate, or not all files of the data set.
    """

    def __init__(self, folder, dataset, rate=None):
        self.folder = Path(folder)
        self.sample_rate = dataset.sample_rate
        self.packed_rate = rate = rate or dataset.sample_rate
        entries, _, self._end = _read(self.folder, rate)
        clips = dataset.clips
        self._starts = np.zeros(len(clips), dtype=np.int64)
        self._lengths = np.zeros(len(clips), dtype=np.int64)
        self._faults = {}
        rows = zip(clips["clip_id"], clips["path"], clips["start"], clips["end"], strict=True)
        for i, (clip_id, path, start, end) in enumerate(rows):
            if path not in entries:
                raise DataError(self.folder, f"does not hold {path}; pack the data set again")
            span = _span(entries[path], clip_id, start, end, rate)
            if isinstance(span, str):
                self._faults[i] = path, span
            else:
                self._starts[i], self._lengths[i] = span
        self._keys = draws.keys(clips["clip_id"])
        self._open()

    def __len__(self):
        return len(self._starts)

    @property
    def usable(self):
        return self._lengths > 0

    @property
    def seconds(self):
        """Length of each clip, float (n_clips,); 0 where it is not usable."""
        return self._lengths / self.packed_rate

    @property
    def n_bytes(self):
        """Memory that the clips take on a device, at most."""
        return 2 * int(self._lengths.sum())

    @property
    def skipped(self):
        reasons = {}
        for path, reason in self._faults.values():
            reasons.setdefault(path, []).append(reason)
        return {path: "; ".join(dict.fromkeys(found)) for path, found in reasons.items()}

    @property
    def device(self):
        """Where the samples are, and what is drawn from them."""
        return self._audio.device

    def clip(self, i):
        """Return clip ``i`` whole, float32 (n_samples,); AudioError if it is not usable."""
        self._refuse_faults([i])
        start, length = self._at[i], self._lengths[i]
        return self.to_float(self._audio[None, start : start + length])[0]

    def crops(self, indices, n_samples, seed, epoch):
        """Draw one random crop from each of some clips.

        Where a crop starts is a hash of (seed, epoch, clip id) and of nothing else: workers,
        ranks, subsets and resumed runs all draw the same.

        Parameters
        ----------
        indices : sequence of int (batch,)
            Clips, all usable.
        n_samples : int
            Length of the crops. Shorter clips are padded with zeros on the right.
        seed, epoch : int

        Returns
        -------
        torch.Tensor, float32 (batch, n_samples)
            On the device of the pack.

        Raises
        ------
        AudioError
            A clip is not usable.
        """
        starts, lengths = self.spans(indices, n_samples, seed, epoch)
        starts = torch.from_numpy(starts).to(self.device)
        lengths = None if lengths is None else torch.from_numpy(lengths).to(self.device)
        return self.to_float(self.gather(starts, lengths, n_samples), n_samples)

    def spans(self, indices, n_samples, seed, epoch):
        """Say where the crops lie that `crops` draws, in samples of the pack.

        Returns
        -------
        starts : numpy.ndarray, int64, of the shape of the indices
        lengths : numpy.ndarray, int64, of the same shape; or None
            What of each crop is not padding; None where all of all crops is.
        """
        indices, n_packed = np.asarray(indices), self._n_packed(n_samples)
        self._refuse_faults(indices)
        lengths = self._lengths[indices]
        n_starts = np.maximum(lengths - n_packed, 0) + 1
        first = (draws.uniform(seed, epoch, self._keys[indices]) * n_starts).astype(np.int64)
        return self._at[indices] + first, lengths if (lengths < n_packed).any() else None

    def gather(self, starts, lengths, n_samples):
        """Copy the crops that `spans` names, as they are packed: int16 (batch, n_packed).

        ``starts`` and ``lengths`` are tensors (batch,) on the device of the pack.
        """
        n_packed = self._n_packed(n_samples)
        if lengths is None:
            return self._audio.unfold(0, n_packed, 1)[starts]
        steps = torch.arange(n_packed, device=self.device)
        samples = self._audio[(starts[:, None] + steps).clamp_(max=len(self._audio) - 1)]
        return samples.mul_(steps < lengths[:, None])

    def to_float(self, samples, n_samples=None):
        """Turn packed samples, int16 (batch, n_packed), into float32 (batch, n_samples).

        On the device of the samples, in [-1, 1], at the rate of the data set.
        """
        audio = samples.float().mul_(1 / 32768)
        if self.packed_rate != self.sample_rate:
            # NVIDIA's GPUs would round what a convolution multiplies to 10 bits of mantissa
            with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
                audio = _resampler(self.packed_rate, self.sample_rate, audio.device)(audio)
        return audio[:, :n_samples]

    def _n_packed(self, n_samples):
        """Return how many packed samples give ``n_samples``."""
        return -(-n_samples * self.packed_rate // self.sample_rate)

    def offsets(self, indices, n_samples, seed, epoch):
        """Return where what `crops` draws starts in its clips, in s: float64 (batch,)."""
        starts, _ = self.spans(indices, n_samples, seed, epoch)
        return (starts - self._at[np.asarray(indices)]) / self.packed_rate

    def to(self, device):
        """Return a pack that holds its clips, and no others, in the memory of a device."""
        moved = copy.copy(self)
        usable = np.flatnonzero(self.usable)
        order = usable[np.argsort(self._starts[usable], kind="stable")]
        spans = []  # clips of one file may overlap or touch: their union moves once
        for i in order:
            start, end = self._starts[i], self._starts[i] + self._lengths[i]
            if spans and start <= spans[-1][1]:
                spans[-1][1] = max(spans[-1][1], end)
            else:
                spans.append([start, end])
        starts, ends = np.array(spans, dtype=np.int64).reshape(-1, 2).T
        places = np.cumsum(ends - starts) - (ends - starts)
        moved._audio = torch.empty(int((ends - starts).sum()), dtype=torch.int16, device=device)
        for start, end, place in zip(starts, ends, places, strict=True):
            moved._audio[place : place + end - start] = self._store[start:end]
        moved._at = np.zeros_like(self._starts)
        span = np.searchsorted(starts, self._starts[usable], side="right") - 1
        moved._at[usable] = self._starts[usable] - starts[span] + places[span]
        return moved

    def verify(self):
        """Compare every packed file with its checksum; DataError names what is damaged."""
        path = self.folder / AUDIO
        if path.stat().st_size < 2 * self._end:
            raise DataError(path, "truncated; pack the data set again")
        entries, _, _ = _read(self.folder, self.packed_rate)
        for source, entry in entries.items():
            if entry.get("samples"):
                samples = np.fromfile(path, "<i2", entry["samples"], offset=2 * entry["start"])
                if zlib.crc32(samples) != entry["crc32"]:
                    advice = f"delete {self.folder} and pack again"
                    raise DataError(path, f"damaged where {source} is; {advice}")

    def _open(self):
        array = np.zeros(0, "<i2")
        if self._end:
            try:  # read only: a file larger than the memory could not be mapped otherwise
                array = np.memmap(self.folder / AUDIO, "<i2", "r", shape=self._end)
            except (OSError, ValueError) as error:
                reason = "truncated; pack the data set again"
                raise DataError(self.folder / AUDIO, reason) from error
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
            self._store = torch.from_numpy(array)
        self._audio, self._at = self._store, self._starts

    def _refuse_faults(self, indices):
        bad = np.flatnonzero(self._lengths[indices] == 0)
        if len(bad):
            raise AudioError(*self._faults[int(np.asarray(indices)[bad[0]])])

    def __getstate__(self):
        return {k: v for k, v in self.__dict__.items() if k not in {"_store", "_audio", "_at"}}

    def __setstate__(self, state):
        self.__dict__.update(state)
        self._open()


@cache
def _resampler(packed_rate, rate, device):
    from torchaudio.transforms import Resample  # where it does not import, packs still work

    return Resample(packed_rate, rate, lowpass_filter_width=64, rolloff=0.9475937).to(device)


def _is_stale(path, entries):
    """Whether a file must be decoded; one that is gone keeps what was packed of it."""
    found, entry = signature(path), entries.get(path)
    return entry is None or (entry["file"] != found and not (found is None and "samples" in entry))


def _read(folder, rate):
    """Return the entries by path, how many bytes of the journal are whole, and their samples."""
    entries, n_bytes, end = {}, 0, 0
    path = folder / JOURNAL
    size = os.path.getsize(folder / AUDIO) if (folder / AUDIO).exists() else 0
    for line in path.read_bytes().splitlines(keepends=True) if path.exists() else []:
        try:
            entry = json.loads(line)
        except ValueError:
            break
        if "sample_rate" in entry:
            if entry["sample_rate"] != rate:
                raise DataError(folder, f"wrong rate: {entry['sample_rate']} Hz, not {rate} Hz")
        else:
            last = entry.get("start", 0) + entry.get("samples", 0)
            if not line.endswith(b"\n") or 2 * last > size:
                break
            entries[entry.pop("path")] = entry
            end = max(end, last)
        n_bytes += len(line)
    return entries, n_bytes, end


def _resume(folder, rate):
    """Cut both files back to the last file that is whole; return the entries."""
    entries, n_bytes, end = _read(folder, rate)
    for name, size in ((JOURNAL, n_bytes), (AUDIO, 2 * end)):
        with open(folder / name, "ab") as file:
            file.truncate(size)
    if n_bytes == 0:
        (folder / JOURNAL).write_text(json.dumps({"sample_rate": rate}) + "\n")
    return entries


def _span(entry, clip_id, start, end, rate):
    """Return (first sample, length) of a clip, or the reason why it cannot be used."""
    if "reason" in entry:
        return entry["reason"]
    first = round(start * rate)
    n_samples = entry["samples"]
    last = n_samples if end is None or np.isnan(end) else round(end * rate)
    if first >= n_samples or last > n_samples + audio.TOLERANCE * rate:
        has, needs = n_samples / rate, last / rate
        return f"clip {clip_id}: too short: {has:.2f} s, the clip ends at {needs:.2f} s"
    last = min(last, n_samples)
    if first < 0 or last <= first:
        return f"clip {clip_id}: no such part: {start} s to {end} s"
    if "1" not in entry["sounding"][first // rate : -(-last // rate)]:
        return f"clip {clip_id}: silent"
    return entry["start"] + first, last - first
