"""Audio files in, arrays out: read, mix down, resample, check, write.

libsndfile (through soundfile) decodes WAV, FLAC, Ogg Vorbis and MP3; soxr resamples. Everything
that can be wrong with a file ends in one :class:`~mirdl.errors.AudioError` with path and reason.
"""

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile
import soxr

from mirdl.errors import AudioError

#: A peak below this (-80 dB of full scale) is silence: what a lossy codec leaves of zeros.
SILENCE = 1e-4
#: Seconds that a file may end before its table says so; encoders and tables round.
TOLERANCE = 0.1
#: Header rates outside this range are damage, not music.
RATES = (4_000, 384_000)


class AudioInfo(NamedTuple):
    """What a file's header says; ``n_samples`` is per channel, and a close guess for most MP3."""

    sample_rate: int
    n_channels: int
    n_samples: int
    seconds: float
    format: str


def info(path):
    """Read the header of an audio file.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    AudioInfo

    Raises
    ------
    AudioError
        The file is missing, has 0 bytes or an unreadable header, names an impossible sample rate,
        or is truncated in a way that its ends show (WAV, Ogg).
    """
    with _opened(path) as file:
        return AudioInfo(
            file.samplerate, file.channels, file.frames, file.frames / file.samplerate, file.format
        )


def load(path, sample_rate=16_000, start=0.0, end=None):
    """Read an audio file, or a part of it, as one channel.

    Parameters
    ----------
    path : path-like
        WAV, FLAC, Ogg Vorbis or MP3.
    sample_rate : int or None
        Rate of the result in Hz; None keeps the file's own.
    start, end : float, float or None
        Part to read, in seconds; only this part is decoded (after a seek). None reads to the end.

    Returns
    -------
    numpy.ndarray, float32 (n_samples,)
        Mean of the channels. Lossy codecs may overshoot [-1, 1] slightly.

    Raises
    ------
    AudioError
        The file is missing, empty, truncated or unreadable, holds NaN, is silent, or ends more
        than 0.1 s before ``end``.

    Notes
    -----
    Truncation is noticed where the format allows it: WAV (size in the header), FLAC (number of
    samples in the header), Ogg (last page is marked), MP3 with a Xing or Info header (number of
    frames). An MP3 without that header, as MagnaTagATune's, says nowhere how long it was: cut at
    any point it is a shorter, valid MP3. Only ``end`` can tell then.
    """
    with _opened(path) as file:
        rate = file.samplerate
        first = round(start * rate)
        wanted = -1 if end is None else round(end * rate) - first
        if first < 0 or (end is not None and wanted <= 0):
            raise AudioError(path, f"no such part: {start} s to {end} s")
        if first >= file.frames:
            raise AudioError(
                path, f"too short: {file.frames / rate:.2f} s, the part begins at {start:.2f} s"
            )
        try:
            if first:
                file.seek(first)
            channels = file.read(wanted, dtype="float32", always_2d=True)
        except (soundfile.LibsndfileError, RuntimeError) as error:
            raise AudioError(path, f"damaged or truncated: {error}") from error
        n_read = first + len(channels)
        if end is None and n_read < file.frames and _length_is_exact(path, file):
            raise AudioError(
                path, f"truncated: {n_read / rate:.2f} s of {file.frames / rate:.2f} s are there"
            )
        if end is not None and n_read < (end - TOLERANCE) * rate:
            raise AudioError(
                path, f"too short: {n_read / rate:.2f} s, the part ends at {end:.2f} s"
            )
    # a column of a mono file is a view already in place; mean() would copy it for nothing
    waveform = channels[:, 0] if channels.shape[1] == 1 else channels.mean(axis=1)
    check(waveform, path)
    return resample(waveform, rate, sample_rate or rate)


def write(path, waveform, sample_rate, **options):
    """Write one channel or several to a file whose format follows from the suffix.

    Parameters
    ----------
    path : path-like
        Ends in ``.wav`` (16 bit), ``.flac``, ``.ogg`` (Vorbis) or ``.mp3``.
    waveform : array, float (n_samples,) or (n_samples, n_channels)
        Clipped to [-1, 1].
    sample_rate : int
        In Hz.
    **options
        Passed to :func:`soundfile.write`, e.g. ``compression_level`` (0 best to 1 smallest).

    Raises
    ------
    AudioError
        The suffix is unknown, or libsndfile refuses (as MP3 does for odd sample rates).
    """
    suffix = Path(path).suffix.lower()
    if suffix not in {".wav", ".flac", ".ogg", ".mp3"}:
        raise AudioError(path, f"cannot write {suffix or 'a file without suffix'}")
    clipped = np.clip(np.asarray(waveform, dtype=np.float32), -1.0, 1.0)
    try:
        soundfile.write(path, clipped, sample_rate, **options)
    except (soundfile.LibsndfileError, ValueError) as error:
        raise AudioError(path, f"cannot write at {sample_rate} Hz: {error}") from error


def resample(x, from_rate, to_rate):
    """Change the sample rate with soxr at very high quality.

    Parameters
    ----------
    x : numpy.ndarray, float32 (n_samples,)
    from_rate, to_rate : int
        In Hz. Equal rates return ``x`` itself.

    Returns
    -------
    numpy.ndarray, float32 (about n_samples * to_rate / from_rate,)
    """
    if from_rate == to_rate:
        return x
    return soxr.resample(x, from_rate, to_rate, quality="VHQ")


def check(waveform, path, min_seconds=0.0, sample_rate=16_000):
    """Raise unless an array is usable sound.

    Parameters
    ----------
    waveform : numpy.ndarray, float (n_samples,)
    path : path-like
        Named in the error.
    min_seconds : float
        Least length, at ``sample_rate``.
    sample_rate : int
        In Hz.

    Raises
    ------
    AudioError
        Empty, too short, not finite, or silent (peak under -80 dB of full scale).
    """
    if len(waveform) == 0:
        raise AudioError(path, "empty: no samples")
    seconds = len(waveform) / sample_rate
    if seconds < min_seconds:
        raise AudioError(path, f"too short: {seconds:.2f} s, at least {min_seconds:.2f} s needed")
    peak = max(waveform.max(), -waveform.min())  # NaN anywhere makes this NaN
    if not np.isfinite(peak):
        raise AudioError(path, "holds NaN or infinite samples")
    if peak < SILENCE:
        raise AudioError(path, f"silent: peak {peak:.1e} of full scale")


def to_int16(x):
    """Round to 16 bits, clipped before the cast, which alone would flip the sign of loud samples.

    Parameters
    ----------
    x : numpy.ndarray, float
        Full scale is [-1, 1).

    Returns
    -------
    numpy.ndarray, int16, same shape
        ``round(32768 x)``; the error is at most 2^-16 wherever nothing is clipped.
    """
    scaled = np.multiply(x, 32768, dtype=np.float32)
    np.rint(scaled, out=scaled)
    return np.clip(scaled, -32768, 32767, out=scaled).astype(np.int16)


def from_int16(x):
    """Undo :func:`to_int16`: int16 array to float32 in [-1, 1)."""
    return np.multiply(x, np.float32(1 / 32768), dtype=np.float32)


def _opened(path):
    """Open a file for reading, or raise an AudioError that says what is wrong with its ends."""
    try:
        size = os.path.getsize(path)
    except OSError as error:
        raise AudioError(path, "missing: no such file") from error
    if os.path.isdir(path):
        raise AudioError(path, "a folder, not an audio file")
    if size == 0:
        raise AudioError(path, "empty: 0 bytes")
    try:
        file = soundfile.SoundFile(path)
    except (soundfile.LibsndfileError, OSError) as error:
        raise AudioError(path, "unreadable header: not a WAV, FLAC, Ogg or MP3 file") from error
    fault = _fault(path, size, file)
    if fault:
        file.close()
        raise AudioError(path, fault)
    return file


def _fault(path, size, file):
    """Return what the file's ends show to be wrong, or None."""
    if not RATES[0] <= file.samplerate <= RATES[1]:
        return f"wrong rate: the header says {file.samplerate} Hz"
    if file.format in {"WAV", "WAVEX"}:
        with open(path, "rb") as raw:
            promised = 8 + int.from_bytes(raw.read(8)[4:], "little")
        # some writers count their own 8 header bytes; 0 and 2^32 - 1 mean "streamed, unknown"
        if size + 8 < promised < 2**32:
            return f"truncated: {size} of {promised} bytes are there"
    if file.format == "OGG":
        with open(path, "rb") as raw:
            raw.seek(max(0, size - 2**16))  # a page is shorter than this
            tail = raw.read()
        last = tail.rfind(b"OggS")
        page = tail[last:]  # byte 5 holds the end-of-stream flag, byte 26 counts the segments
        if last < 0 or len(page) < 27 or not page[5] & 4:
            return "truncated: the last Ogg page is missing"
        lengths = page[27 : 27 + page[26]]
        if len(page) < 27 + page[26] + sum(lengths):
            return "truncated: the last Ogg page is incomplete"
    if file.frames == 0:
        return "empty: no samples"
    return None


def _length_is_exact(path, file):
    """Tell whether the header counts samples; an MP3 without a Xing or Info frame only guesses."""
    if file.format != "MP3":
        return True
    with open(path, "rb") as raw:
        head = raw.read(10)
        if head[:3] == b"ID3":  # tag length in four bytes of seven bits
            tag = sum(byte << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=True))
            raw.seek(10 + tag)
        else:
            raw.seek(0)
        first_frame = raw.read(1024)
    return b"Xing" in first_frame or b"Info" in first_frame
