"""Data sets that mirdata and soundata index: Ballroom, IRMAS, UrbanSound8K and others.

mirdata (Bittner et al., ISMIR 2019) and soundata (Fuentes et al. 2021) know the files, their
hashes and how to read the annotations; here they become a ``Dataset``. The music stays under the
licences of its authors.
"""

import importlib
from typing import NamedTuple

import numpy as np
import pandas as pd

from mirdl.datasets import download, splits
from mirdl.datasets.base import Dataset, choose, class_numbers, home, many_hot
from mirdl.errors import DataError


class Source(NamedTuple):
    """How a data set of mirdata or soundata becomes a Dataset."""

    library: str
    name: str
    label: str  # attribute of a track that holds its class, or the list of its tags
    official: str | None = None  # attribute that holds its part of the official split, or its fold
    n_folds: int = 0
    artist: str | None = None  # attribute that stands for the artist


SOURCES = {
    "ballroom": Source("mirdata", "ballroom", "genre"),
    "irmas": Source("mirdata", "irmas", "instrument", "split"),
    "medley_solos_db": Source(
        "mirdata", "medley_solos_db", "instrument", "subset", artist="song_id"
    ),
    "tinysol": Source("mirdata", "tinysol", "instrument_full", "split", n_folds=5),
    "urbansound8k": Source(
        "soundata", "urbansound8k", "class_label", "fold", n_folds=10, artist="freesound_id"
    ),
}
SPLIT_NAMES = {"training": "train", "validation": "valid"}


def load(
    name, target="tags", unit="clip", split=None, sample_rate=16000, root=None, fold=0, seed=0
):
    """Load a data set that mirdata or soundata indexes.

    Parameters
    ----------
    name : str
        One of ``SOURCES``.
    target : {"tags"}
        What the set is known for: dance (ballroom), instrument, or kind of sound (urbansound8k).
        Multiclass; IRMAS is multilabel, since its test excerpts have several instruments.
    unit : {"clip"}
        A clip is a track of mirdata, a clip of soundata.
    split : {"official", "random"}, optional
        Official where there is one (its validation part is a tenth of the training tracks where it
        has none), else at random.
    sample_rate : int
    root : path-like, optional
        ``data_home`` of mirdata. Default: ``datasets/<name>`` in the cache folder.
    fold : int
        For sets that come in folds: the one to test on; the next one validates.
    seed : int
        Of what is dealt at random.

    Raises
    ------
    DataError
        The index or the files are absent.
    """
    choose(name, "target", target, ("tags",))
    choose(name, "unit", unit, ("clip",))
    source = SOURCES[name]
    choices = ("official", "random") if source.official else ("random",)
    split = choose(name, "split", split or choices[0], choices)
    folder = home(name, root)
    tracks = _tracks(name, folder)
    clips = pd.DataFrame({"clip_id": list(tracks), "start": 0.0, "end": np.nan})
    tracks = list(tracks.values())
    clips["path"] = [track.audio_path for track in tracks]
    clips["artist"] = [str(getattr(track, source.artist or "audio_path")) for track in tracks]
    if split == "random":
        clips["split"] = splits.at_random(clips, seed, splits.FRACTIONS)
    else:
        parts = np.array([getattr(track, source.official) for track in tracks])
        clips["split"] = _official(clips, parts, source, fold, seed)
    labels = [getattr(track, source.label) for track in tracks]
    if isinstance(labels[0], list):
        tags = sorted({tag for names in labels for tag in names})
        targets = many_hot(labels, tags, folder)
        return Dataset(name, clips, tags, targets, "multilabel", sample_rate)
    targets, tags = class_numbers(labels)
    return Dataset(name, clips, tags, targets, "multiclass", sample_rate)


def get(name, root=None, progress=True):
    """Download what mirdata or soundata lists for a data set, with its hashes, and unpack it.

    Their own downloaders can neither go on where they stopped nor refuse a malicious archive, so
    ours fetches from their addresses.
    """
    folder = home(name, root)
    dataset = _initialise(name, folder)
    index = dataset._index_data
    _fetch(index.remote, folder, progress)
    for key, remote in dataset.remotes.items():
        if index.partial_download is None or key in index.partial_download:
            into = folder / (remote.destination_dir or "")
            archive = _fetch(remote, into, progress)
            download.unpack(archive, into, remote.unpack_directories, progress)
    return folder


def _initialise(name, folder):
    """Return mirdata's or soundata's own object, its index kept with the data."""
    source = SOURCES[name]
    library = importlib.import_module(source.library)  # on demand: each imports librosa
    dataset = library.initialize(source.name, data_home=str(folder))
    dataset.index_path = str(folder / dataset._index_data.filename)
    return dataset


def _tracks(name, folder):
    """Return mirdata's tracks or soundata's clips by id."""
    dataset = _initialise(name, folder)
    try:
        tracks = dataset.load_tracks() if hasattr(dataset, "load_tracks") else dataset.load_clips()
        for track in tracks.values():
            getattr(track, SOURCES[name].label)  # metadata are read when first asked for
    except FileNotFoundError as error:
        reason = f"not here, or not whole ({error}); `mirdl data get {name}`"
        raise DataError(folder, reason) from error
    return tracks


def _official(clips, parts, source, fold, seed):
    """Return the split of every clip from the part or fold that its authors put it in."""
    if source.n_folds:
        parts = parts.astype(int)
        return splits.from_folds(parts - parts.min(), fold, source.n_folds)
    split = np.array([SPLIT_NAMES.get(part, part) for part in parts])
    if not (split == "valid").any():
        train = np.flatnonzero(split == "train")
        # excerpts of one recording share their name up to the last "__"
        recording = clips["clip_id"].iloc[train].str.rsplit("__", n=1).str[0]
        dealt = splits.at_random(pd.DataFrame({"track_id": recording}), seed, (0.9, 0.1, 0))
        split[train] = dealt
    return split


def _fetch(remote, folder, progress):
    known_hash = f"md5:{remote.checksum}"
    path = folder / remote.filename
    return download.fetch([remote.url], path, known_hash, progress=progress)
