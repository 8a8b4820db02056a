"""From dry parts to a recording: balance, equaliser, room, tape, noise, loudness, codec.

Everything is computed in float64 and rounded to 16 bits before a codec sees it, so that the last
bits, in which processors differ, do not reach the file.
"""

import io

import numpy as np
import soundfile
from scipy import signal

from mirdl.compose.artists import BALANCE
from mirdl.compose.synth import SAMPLE_RATE

#: Largest sample before the codecs, which overshoot.
PEAK = 0.5


def decibels(value):
    """Amplitude ratio of a level in dB."""
    return 10.0 ** (value / 20)


def level(audio):
    """Root mean square over the 50 ms frames that are within 20 dB of the loudest one."""
    frames = audio[: len(audio) // 800 * 800].reshape(-1, 800)
    power = np.mean(frames**2, axis=1)
    return float(np.sqrt(np.mean(power[power >= 0.01 * power.max()])))


def mix(stems, artist, rng):
    """Bring dry parts to the artist's balance.

    Parameters
    ----------
    stems : dict of str -> ndarray
        Part -> audio of one length.
    artist : Artist
    rng : numpy.random.Generator
        Draws the small differences between two tracks of one artist.

    Returns
    -------
    dict of str -> ndarray
        The same parts, scaled.
    """
    mixed = {}
    for part, audio in stems.items():
        gain = BALANCE[part] + artist.part_gain[part] + rng.normal(0, 1.5)
        loudness = level(audio)
        mixed[part] = audio * (0.1 * decibels(gain) / loudness if loudness > 0 else 0.0)
    return mixed


def peaking(centre, gain, quality):
    """Second-order section of a bell filter (R. Bristow-Johnson's Audio EQ Cookbook)."""
    amplitude = 10 ** (gain / 40)
    omega = 2 * np.pi * centre / SAMPLE_RATE
    alpha = np.sin(omega) / (2 * quality)
    b = [1 + alpha * amplitude, -2 * np.cos(omega), 1 - alpha * amplitude]
    a = [1 + alpha / amplitude, -2 * np.cos(omega), 1 - alpha / amplitude]
    return np.array([*b, *a]) / a[0]


def room(artist, seed):
    """Impulse response of the artist's room: the direct sound and a tail of decaying noise."""
    rng = np.random.default_rng([seed, 8, artist.index])
    time = np.arange(int(artist.room_seconds * SAMPLE_RATE)) / SAMPLE_RATE
    tail = rng.normal(size=len(time)) * 10 ** (-3 * time / artist.room_seconds)
    tail[: int(0.008 * SAMPLE_RATE)] = 0
    tail = signal.lfilter([0.5, 0.5], [1.0, -0.3], tail)
    response = tail * decibels(artist.room_gain) / np.sqrt(np.sum(tail**2))
    response[0] = 1.0
    return response


def colour(audio, artist, response):
    """The linear part of a recording: equaliser, band limits, room. Stems stay addable."""
    sections = [peaking(*band) for band in artist.equaliser]
    sections += list(signal.butter(2, artist.low_cut, "highpass", fs=SAMPLE_RATE, output="sos"))
    sections += list(signal.butter(4, artist.high_cut, "lowpass", fs=SAMPLE_RATE, output="sos"))
    filtered = signal.sosfilt(np.array(sections), audio)
    return signal.fftconvolve(filtered, response)[: len(audio)]


def noise(kind, n_samples, rng):
    """White, pink, mains hum or vinyl crackle at a root mean square of 1."""
    if kind == "hum":
        time = np.arange(n_samples) / SAMPLE_RATE
        audio = sum(np.sin(2 * np.pi * 50 * k * time + k) / k for k in (1, 2, 3, 4, 6))
        audio = audio + 0.3 * rng.normal(size=n_samples)
    elif kind == "crackle":
        audio = 0.15 * rng.normal(size=n_samples)
        clicks = rng.integers(0, n_samples, size=n_samples // 1200)
        audio[clicks] += rng.normal(size=len(clicks)) * 12 * rng.random(len(clicks)) ** 2
        audio = signal.lfilter([1.0], [1.0, -0.5], audio)
    else:
        audio = rng.normal(size=n_samples)
        if kind == "pink":  # Kellet's economy filter
            audio = signal.lfilter(
                [0.049922, -0.095994, 0.050613, -0.004409],
                [1, -2.494956, 2.017266, -0.522189],
                audio,
            )
    return audio / np.sqrt(np.mean(audio**2))


def to_int16(audio):
    """16-bit samples of audio in [-1, 1]."""
    return np.clip(np.rint(audio * 32767), -32768, 32767).astype(np.int16)


def record(stems, artist, seed, index):
    """Mix and damage one track as its artist would.

    Parameters
    ----------
    stems : dict of str -> ndarray (n_samples,)
        Dry parts.
    artist : Artist
    seed, index : int
        Of the set and of the track.

    Returns
    -------
    final : ndarray, int16, shape (n_samples,)
    parts : dict of str -> ndarray, float64
        Parts after balance, equaliser and room, at the level of `final`; their sum is the track
        before saturation, noise and codec.
    """
    rng = np.random.default_rng([seed, 9, index])
    response = room(artist, seed)
    parts = {
        part: colour(audio, artist, response) for part, audio in mix(stems, artist, rng).items()
    }
    total = sum(parts.values())
    loud = level(total)
    audio = total / loud
    if artist.drive > 0:
        amount = decibels(artist.drive) / 4
        audio = np.tanh(amount * audio) / amount
    hiss = decibels(artist.noise_level + rng.normal(0, 2))
    audio = audio + hiss * noise(artist.noise, len(audio), rng)
    gain = decibels(artist.loudness + rng.normal(0, 1))
    gain = min(gain / level(audio), PEAK / np.max(np.abs(audio)))
    final = to_int16(audio * gain)
    if artist.codec:
        final = _mp3(final, artist.codec)
    return final, {part: audio * (gain / loud) for part, audio in parts.items()}


def _mp3(samples, compression):
    """A round trip through a poor MP3, without delay; libsndfile's level 0 is best, 1 is worst."""
    file = io.BytesIO()
    soundfile.write(
        file,
        samples,
        SAMPLE_RATE,
        format="MP3",
        bitrate_mode="VARIABLE",
        compression_level=compression,
    )
    file.seek(0)
    decoded, _ = soundfile.read(file, dtype="float64")
    decoded = decoded[: len(samples)]
    return to_int16(np.pad(decoded, (0, len(samples) - len(decoded))))
