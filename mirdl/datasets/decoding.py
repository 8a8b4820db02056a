"""Files decoded to 16 bits, several at a time, with what a journal says of each (lesson 21)."""

import zlib
from functools import partial

import numpy as np

from mirdl import audio
from mirdl.datasets.ahead import work_ahead
from mirdl.errors import AudioError
from mirdl.paths import signature


def decode(paths, rate, workers):
    """Yield (path, int16 samples or None, journal entry), in order, a few files ahead."""
    work = partial(_decode, rate=rate)
    for path, (samples, entry) in work_ahead(work, paths, workers, 2 * workers):
        yield path, samples, entry


def _decode(path, rate):
    entry = {"file": signature(path)}
    try:
        samples = audio.to_int16(audio.load(path, rate))
    except AudioError as error:
        return None, {**entry, "reason": error.reason}
    peaks = np.maximum.reduceat(np.abs(samples), np.arange(0, len(samples), rate))
    return samples, {
        **entry,
        "samples": len(samples),
        "crc32": zlib.crc32(samples),
        "sounding": "".join(
            "01"[int(peak >= 32768 * audio.SILENCE)] for peak in peaks
        ),  # a second each
    }
