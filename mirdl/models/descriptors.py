"""Features of clips for the baselines, computed once for each data set (lesson 03)."""

import hashlib
import inspect
import io
import os
import warnings
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import librosa
import numpy as np
from tqdm import tqdm

from mirdl import audio
from mirdl.errors import AudioError
from mirdl.features import chroma, mfcc120
from mirdl.paths import cache_folder, signature, write_atomically


def mfcc_frames(waveform, sample_rate):
    """Return 20 MFCC every 512 samples, float32 (n_frames, 20)."""
    return librosa.feature.mfcc(y=waveform, sr=sample_rate, n_mfcc=20).T


def tempo(waveform, sample_rate):
    """Return librosa's estimate of the tempo in beats per minute, (1,)."""
    return librosa.feature.tempo(y=waveform, sr=sample_rate)


def descriptors(waveform, sample_rate):
    """Return timbre, rhythm and harmony of a clip, in the manner of thesis section 5.5.1, (145,).

    Its baseline takes descriptors of these three kinds; which, it does not print. Here they are
    MFCC-120, the estimated tempo, and mean and deviation of the 12 chroma (lesson 22).
    """
    folded = chroma(waveform, sample_rate)  # (12, n_frames)
    parts = (
        mfcc120(waveform, sample_rate),
        tempo(waveform, sample_rate),
        folded.mean(axis=1),
        folded.std(axis=1),
    )
    return np.concatenate(parts)


#: Clips that are computed between two writes of the cache.
CHUNK = 1000


@dataclass(frozen=True)
class Feature:
    """What `extract` computes of each clip and keeps.

    Attributes
    ----------
    name : str
        Of the cache; two features that differ in anything but their code have two names.
    compute : callable
        ``compute(waveform (n_samples,), sample_rate)`` gives one row of values, or one a frame.
    sample_rate : int, optional
        Rate of the audio in Hz that it wants; None takes the data set's.
    code : object, optional
        Function, class or module that makes the values, default ``compute``: when its source
        changes, they are computed anew.
    """

    name: str
    compute: Callable
    sample_rate: int | None = None
    code: object = None


FEATURES = {
    feature.name: feature
    for feature in (
        Feature("mfcc120", mfcc120), Feature("mfcc", mfcc_frames), Feature("tempo", tempo),
        Feature("descriptors", descriptors),
    )
}  # fmt: skip


def extract(dataset, feature):
    """Compute a feature of every clip, or read it from the cache.

    The cache keeps clips, not data sets: splits, folds and targets share what was computed once.

    Parameters
    ----------
    dataset : Dataset
    feature : {"mfcc120", "mfcc", "tempo", "descriptors"} or Feature

    Returns
    -------
    list of numpy.ndarray
        For each clip float32 (n_rows, n_values): one row, or one for each frame; no row where
        the clip cannot be read, which a warning reports.
    """
    feature = FEATURES[feature] if isinstance(feature, str) else feature
    sample_rate = feature.sample_rate or dataset.sample_rate
    code = inspect.getsource(feature.code or feature.compute)
    code = hashlib.sha256(code.encode()).hexdigest()[:16]
    name = f"{dataset.name}-{sample_rate}-{feature.name}-{code}.npz"
    path = cache_folder() / "features" / name
    known, keys = _read(path), _keys(dataset)
    missing = [i for i, key in enumerate(keys) if key not in known]
    for first in range(0, len(missing), CHUNK):  # an interruption loses one chunk at most
        chunk = missing[first : first + CHUNK]
        computed = compute(dataset, feature, chunk)
        known.update(zip([keys[i] for i in chunk], computed, strict=True))
        _write(path, known)
    return readable([known[key] for key in keys])


def readable(found):
    """Return the rows that `compute` found, and warn of the clips that could not be read."""
    rows, faults = zip(*found, strict=True)
    faults = [fault for fault in faults if fault]
    if faults:
        warnings.warn(f"{len(faults)} clips skipped, the first: {faults[0]}", stacklevel=3)
    return list(rows)


def compute(dataset, feature, clips):
    """Compute a feature without the cache.

    Parameters
    ----------
    dataset : Dataset
    feature : Feature
    clips : sequence of int

    Returns
    -------
    list of (numpy.ndarray, str)
        For each of these clips its rows, and what was wrong with it or "".
    """
    dataset = replace(dataset, sample_rate=feature.sample_rate or dataset.sample_rate)

    def one(i):
        path = dataset.clips["path"][i]
        try:
            waveform = dataset.waveform(i)
            audio.check(waveform, path, min_seconds=0.2, sample_rate=dataset.sample_rate)
        except AudioError as error:
            return None, str(error)
        rows = np.atleast_2d(feature.compute(waveform, dataset.sample_rate))
        return rows.astype(np.float32), ""

    # Threads: the transforms work outside Python's lock. The bar is for terminals only.
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        results = threads.map(one, clips)
        found = list(tqdm(results, feature.name, len(clips), disable=None, unit="clip"))
    width = max((rows.shape[1] for rows, _ in found if rows is not None), default=1)
    nothing = np.zeros((0, width), np.float32)
    return [(nothing if rows is None else rows, fault) for rows, fault in found]


def _read(path):
    """Return what is cached: clip to (features, fault). A damaged cache is made again."""
    try:
        with np.load(path) as stored:
            parts = np.split(stored["values"], np.cumsum(stored["counts"])[:-1])
            return dict(zip(stored["keys"], zip(parts, stored["faults"], strict=True), strict=True))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return {}


def _write(path, known):
    rows, faults = zip(*known.values(), strict=True)
    buffer = io.BytesIO()
    np.savez(
        buffer,
        keys=list(known),
        values=np.concatenate([r for r in rows if len(r)] or [rows[0]]),
        counts=[len(r) for r in rows],
        faults=faults,
    )
    write_atomically(path, buffer.getvalue())


def _keys(dataset):
    """Name each clip by what its features depend on: the file as it is now, and the part of it."""
    files = {path: signature(path) for path in dataset.clips["path"].unique()}
    columns = (dataset.clips[name] for name in ("path", "start", "end"))
    return [
        f"{path} {start} {end} {files[path]}" for path, start, end in zip(*columns, strict=True)
    ]
