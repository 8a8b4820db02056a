"""Hear a waveform in a notebook: a player of 10 s or less, small and the same at every run."""

import base64
import html
import io

import numpy as np
import soundfile

from mirdl import audio
from mirdl.errors import AudioError

#: Longest player, in seconds: a lesson with twenty of them stays under a megabyte.
SECONDS = 10.0


def listen(waveform, sample_rate=16_000, title=None, normalise=False, seconds=SECONDS):
    """Return an audio player for the last line of a notebook cell.

    Parameters
    ----------
    waveform : numpy.ndarray or torch.Tensor, float (n_samples,)
        Where it overshoots [-1, 1] it is turned down.
    sample_rate : int
        In Hz; one that MP3 knows (8,000 to 48,000), else it is resampled to 44.1 kHz.
    title : str, optional
        A line above the player.
    normalise : bool
        Bring the peak to 0.9, for quiet sounds such as a filter's response.
    seconds : float
        No more than the first so many are heard.

    Returns
    -------
    Player
        Shown by Jupyter as HTML; the same waveform gives the same bytes.

    Raises
    ------
    AudioError
        The waveform is empty, silent or not finite: a lesson with nothing to hear is broken.
    """
    name = title or "listen"
    samples = np.asarray(waveform, dtype=np.float32)
    if samples.ndim != 1:
        raise AudioError(name, f"one channel wanted, (n_samples,), not shape {samples.shape}")
    samples = samples[: round(seconds * sample_rate)]
    audio.check(samples, name)
    peak = np.abs(samples).max()
    if normalise or peak > 1:
        samples = samples * (0.9 / peak)
    if sample_rate not in {8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000}:
        samples, sample_rate = audio.resample(samples, sample_rate, 44_100), 44_100
    buffer = io.BytesIO()
    options = {"compression_level": 0.5, "bitrate_mode": "VARIABLE"}  # 33 kbit/s at 16 kHz
    soundfile.write(buffer, samples, sample_rate, format="MP3", **options)
    return Player(buffer.getvalue(), len(samples) / sample_rate, title)


class Player:
    """An MP3 and its title; what :func:`listen` returns.

    Attributes
    ----------
    mp3 : bytes
    seconds : float
    title : str or None
    """

    def __init__(self, mp3, seconds, title=None):
        self.mp3, self.seconds, self.title = mp3, seconds, title

    def __repr__(self):
        return f"<{self.seconds:.1f} s of audio{f': {self.title}' if self.title else ''}>"

    def _repr_html_(self):
        data = base64.b64encode(self.mp3).decode()
        player = f'<audio controls src="data:audio/mpeg;base64,{data}"></audio>'
        return f"<div>{html.escape(self.title)}</div>{player}" if self.title else player
