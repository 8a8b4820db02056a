"""Features made by hand for the baselines, computed once for each data set (lesson 03)."""

import hashlib
import inspect
import io
import json
import os
import warnings
import zipfile
from concurrent.futures import ThreadPoolExecutor

import librosa
import numpy as np
from tqdm import tqdm

from mirdl import audio
from mirdl.errors import AudioError
from mirdl.features import mfcc120
from mirdl.paths import cache_folder, write_atomically


def mfcc_frames(waveform, sample_rate):
    """Return 20 MFCC every 512 samples, float32 (n_frames, 20)."""
    return librosa.feature.mfcc(y=waveform, sr=sample_rate, n_mfcc=20).T


def tempo(waveform, sample_rate):
    """Return librosa's estimate of the tempo in beats per minute, (1,)."""
    return librosa.feature.tempo(y=waveform, sr=sample_rate)


FEATURES = {"mfcc120": mfcc120, "mfcc": mfcc_frames, "tempo": tempo}


def extract(dataset, feature):
    """Compute a feature of every clip, or read it from the cache.

    Parameters
    ----------
    dataset : Dataset
    feature : {"mfcc120", "mfcc", "tempo"}

    Returns
    -------
    list of numpy.ndarray
        For each clip float32 (n_rows, n_values): one row, or one for each frame; no row where
        the clip cannot be read, which a warning reports.
    """
    path = cache_folder() / "features" / f"{dataset.name}-{feature}-{_key(dataset, feature)}.npz"
    try:
        with np.load(path) as stored:
            values, counts, faults = (stored[name] for name in ("values", "counts", "faults"))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        values, counts, faults = _compute(dataset, feature)
        buffer = io.BytesIO()
        np.savez(buffer, values=values, counts=counts, faults=faults)
        write_atomically(path, buffer.getvalue())
    if len(faults):
        warnings.warn(f"{len(faults)} clips skipped, the first: {faults[0]}", stacklevel=2)
    return np.split(values, np.cumsum(counts)[:-1])


def _compute(dataset, feature):
    """Return features end to end, their number of rows for each clip, and what was wrong."""

    def one(i):
        path = dataset.clips["path"][i]
        try:
            waveform = dataset.waveform(i)
            audio.check(waveform, path, min_seconds=0.2, sample_rate=dataset.sample_rate)
        except AudioError as error:
            return None, str(error)
        return np.atleast_2d(FEATURES[feature](waveform, dataset.sample_rate)), None

    # Threads: the transforms work outside Python's lock
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        results = threads.map(one, range(len(dataset)))
        bar = tqdm(results, feature, len(dataset), disable=None, unit="clip")  # terminals only
        rows, faults = zip(*bar, strict=True)
    found = [r for r in rows if r is not None]
    values = np.concatenate(found).astype(np.float32) if found else np.zeros((0, 1), np.float32)
    counts = np.array([0 if r is None else len(r) for r in rows])
    return values, counts, np.array([fault for fault in faults if fault], dtype=str)


def _key(dataset, feature):
    """Hash what the features depend on: the files, the parts of them, the code."""
    files = [(path, _signature(path)) for path in dataset.clips["path"]]
    parts = dataset.clips[["start", "end"]].to_numpy(dtype=float).tolist()
    text = json.dumps([dataset.sample_rate, inspect.getsource(FEATURES[feature]), files, parts])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _signature(path):
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns
