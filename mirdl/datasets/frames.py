"""Truth at every frame, brought to the frames of a network (lesson 18)."""

from dataclasses import replace

import numpy as np
import torch

from mirdl.errors import MirdlError

#: Tasks with one decision a frame, and what each frame then is: any number of labels, or one class.
FRAME_TASKS = {"frames": "multilabel", "frame_classes": "multiclass"}
#: Seconds from one frame that is scored to the next: neighbours resemble each other.
APART = 0.256


class FrameTargets:
    """The frame-level truth of some clips in memory, a byte a label.

    Parameters
    ----------
    dataset : Dataset
        With frame-level truth.
    times : array, float (n_frames,), optional
        Of the frames of a crop, in s from its start, for `mirdl.datasets.feed`.

    Attributes
    ----------
    step : float
        Seconds from a frame of the truth to the next.
    labels : torch.Tensor, uint8 (n_clips, n_frames + 1, n_tags)
        The last frame is empty: what lies beyond the end of a clip.
    """

    def __init__(self, dataset, times=None):
        self.times = times
        found = [dataset.frames(i) for i in range(len(dataset))]
        self.step = found[0][0][1]
        n_frames = max(len(labels) for _, labels in found)
        self.labels = torch.zeros(len(found), n_frames + 1, dataset.n_outputs, dtype=torch.uint8)
        for clip, (_, labels) in zip(self.labels, found, strict=True):
            clip[: len(labels)] = torch.from_numpy(labels)

    def at(self, clips, seconds):
        """Return the labels of the frames that are nearest to some moments.

        The network's frames need not be those of the truth, and a crop may start anywhere: a label
        is off by at most half a step, 8 ms. Events that mark a single frame, such as onsets, need
        a network with the truth's own step.

        Parameters
        ----------
        clips : array, int (batch,)
        seconds : array, float (n_frames,) or (batch, n_frames)
            From the start of each clip.

        Returns
        -------
        torch.Tensor, float32 (batch, n_tags, n_frames)
        """
        nearest = np.round(np.asarray(seconds) / self.step).astype(int)
        frames = torch.from_numpy(nearest.clip(0, self.labels.shape[1] - 1))
        clips = torch.as_tensor(np.asarray(clips))[:, None]
        return self.labels[clips, frames].transpose(1, 2).float()


def targets_for(model, dataset, n_samples):
    """Return what crops of a data set are taught with: its targets, or those of its frames.

    Parameters
    ----------
    model : Tagger
    dataset : Dataset
    n_samples : int
        Length of a crop.

    Returns
    -------
    numpy.ndarray (n_clips, ...) or FrameTargets

    Raises
    ------
    MirdlError
        If one decides on frames and the other on clips.
    """
    framed = dataset.task in FRAME_TASKS
    if framed != getattr(model, "framewise", False):
        one, other = ("frames", "clips") if framed else ("clips", "frames")
        raise MirdlError(f"{dataset.name} has targets of {one}, the network decides on {other}")
    return FrameTargets(dataset, model.times(n_samples)) if framed else dataset.targets


def examples(dataset, scores, step):
    """Make every scored frame an example of its own, about four a second.

    Parameters
    ----------
    dataset : Dataset
        With a task of ``FRAME_TASKS``.
    scores : array (n_clips, n_tags, n_frames)
    step : float
        Seconds from a frame to the next.

    Returns
    -------
    frames : Dataset
        Multilabel or multiclass; a frame has the artist of its clip.
    scores : array (n_clips * n_scored, n_tags)
    """
    every = max(1, round(APART / step))
    seconds = np.arange(0, scores.shape[2], every) * step
    labels = FrameTargets(dataset).at(np.arange(len(dataset)), seconds).numpy()
    labels, chosen = (
        x.transpose(0, 2, 1).reshape(-1, dataset.n_outputs) for x in (labels, scores[:, :, ::every])
    )
    task = FRAME_TASKS[dataset.task]
    targets = labels.argmax(axis=1) if task == "multiclass" else labels
    clips = dataset.clips.iloc[np.repeat(np.arange(len(dataset)), len(seconds))]
    return replace(dataset, clips=clips, targets=targets, task=task), chosen
