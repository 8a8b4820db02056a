"""What a network says about a piece, second by second (lesson 19; the first song in lesson 00)."""

from dataclasses import dataclass

import numpy as np

from mirdl.evaluation import window_scores


@dataclass
class _Song:
    """One recording as a data set of one clip, which `window_scores` reads."""

    audio: np.ndarray
    sample_rate: int
    n_outputs: int
    task: str
    name: str = "song"

    def __len__(self):
        return 1

    def waveform(self, i):
        return self.audio


def taggram(model, waveform, hop_seconds=1.0, batch_size=16):
    """Return the tags of a recording over time.

    Parameters
    ----------
    model : Tagger
        A network whose windows have a length (``model.n_samples``). ``model.task``, which
        `mirdl.models.load` sets, says how to read its logits; without it, as tags.
    waveform : float32 array (n_samples,)
        Mono, in [-1, 1], at ``model.sample_rate``. Shorter than a window: zeros follow.
    hop_seconds : float
        Time between windows. The last window ends with the recording.
    batch_size : int
        Windows at a time.

    Returns
    -------
    times : array (n_windows,)
        Middle of each window, in seconds.
    probabilities : array (n_windows, n_outputs)

    Raises
    ------
    MirdlError
        If `hop_seconds` is less than a sample.
    """
    task = getattr(model, "task", "multilabel")
    song = _Song(waveform, model.sample_rate, model.n_outputs, task)
    hop = round(hop_seconds * model.sample_rate)
    windows = window_scores(model, song, hop, batch_size)
    middle = windows.start + (model.n_samples or len(waveform)) / 2
    return middle / model.sample_rate, windows.scores


def top_tags(probabilities, tags, n=5):
    """Return the n likeliest tags of a recording, by their mean over windows.

    Parameters
    ----------
    probabilities : array (n_windows, n_outputs)
        From `taggram`.
    tags : sequence of str
    n : int

    Returns
    -------
    list of (str, float)
        Falling probability.
    """
    mean = np.asarray(probabilities).mean(axis=0)
    return [(tags[k], float(mean[k])) for k in np.argsort(-mean, kind="stable")[:n]]


def window_at(model, waveform, start):
    """Return the window of a network that starts at a time, zeros behind a recording's end.

    Parameters
    ----------
    model : Tagger
    waveform : array (n_samples,)
    start : float
        In seconds.

    Returns
    -------
    array (model.n_samples,)
    """
    first = round(start * model.sample_rate)
    window = waveform[first : first + model.n_samples]
    return np.pad(window, (0, model.n_samples - len(window)))
