"""From a network and a data set to the scores of every window, on one process or on several."""

import warnings
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional as F

from mirdl import processes
from mirdl.datasets.frames import FRAME_TASKS
from mirdl.errors import AudioError, MirdlError


def window_starts(n_samples, window, hop):
    """Return where windows start: 0, hop, 2 hop, … and one flush with the end if they miss it.

    Parameters
    ----------
    n_samples, window, hop : int
        Length of the clip, of a window, and the step, in samples. A clip that is shorter than
        a window has one start, 0, and is padded with zeros on the right by the caller.
    """
    last = max(n_samples - window, 0)
    starts = list(range(0, last + 1, hop))
    return starts if starts[-1] == last else [*starts, last]


def average(windows, task):
    """Return the mean over the windows of one clip, (n_windows, n_outputs) to (n_outputs,)."""
    return windows.mean(axis=0)


def majority_vote(windows, task):
    """Return the share of windows that vote for each output.

    A window votes for its largest class, or for every tag of probability 0.5 and more.
    """
    if task == "multiclass":
        return np.bincount(windows.argmax(axis=1), minlength=windows.shape[1]) / len(windows)
    return (windows >= 0.5).mean(axis=0)


@dataclass(frozen=True)
class WindowScores:
    """The scores of every window: `scores` (n_windows, n_outputs), `clip` and `start` (n_windows,).

    Those of a framewise network are (n_windows, n_outputs, n_frames), a window being a whole clip.
    `clip` is the index into the data set, `start` in samples; `skipped` lists unreadable clips.
    """

    scores: np.ndarray
    clip: np.ndarray
    start: np.ndarray
    skipped: list

    def by_clip(self, task, aggregate=average):
        """Return which clips were heard, (n_heard,), and their scores, (n_heard, n_outputs)."""
        heard = np.unique(self.clip)
        return heard, np.stack([aggregate(self.scores[self.clip == i], task) for i in heard])


def window_scores(model, dataset, hop=None, batch_size=16, device=None, audio=None):
    """Run a network over every window of every clip.

    Of several processes (`accelerate launch`, `torchrun`; all must call it) each runs the network
    on its share of the batches, and all return all scores. The batches are those of one process,
    so the scores are too. Each process reads all clips: give it decoded ones.

    Parameters
    ----------
    model : nn.Module
        From audio (batch, n_samples) to logits (batch, n_outputs); with attributes
        ``sample_rate`` and ``n_samples`` (None: a window is the whole clip).
    dataset : Dataset
    hop : int, optional
        Samples between windows; default: a window's length.
    batch_size : int
        Windows at a time, of several clips.
    device : str or torch.device, optional
        Where to run; default: where the model is.
    audio : Pack, optional
        Decoded audio of the same data set, read instead of its files.

    Returns
    -------
    WindowScores
        Probabilities (sigmoid or softmax), or predicted values for regression.

    Raises
    ------
    MirdlError
        If the sample rate or the number of outputs does not fit.
    """
    if model.sample_rate != dataset.sample_rate:
        raise MirdlError(
            f"the model listens at {model.sample_rate} Hz, {dataset.name} is at"
            f" {dataset.sample_rate} Hz: load it with sample_rate={model.sample_rate}"
        )
    if hop is not None and hop < 1:
        raise MirdlError(f"hop must be at least one sample, not {hop}")
    if device is not None:
        model.to(device)
    device = next((t.device for t in [*model.parameters(), *model.buffers()]), "cpu")
    task = FRAME_TASKS.get(dataset.task, dataset.task)
    activate = {"multilabel": torch.sigmoid, "multiclass": lambda x: x.softmax(dim=1)}.get(
        task, lambda x: x
    )
    rank, n_processes = processes.place()
    scores, owners, starts, skipped = [], [], [], []
    batch, n_batches = [], 0

    def run_batch():
        nonlocal n_batches
        if batch and n_batches % n_processes == rank:
            logits = model(torch.stack(batch).to(device))
            if logits.shape[1] != dataset.n_outputs:
                raise MirdlError(
                    f"the model has {logits.shape[1]} outputs, {dataset.name} {dataset.n_outputs}"
                )
            scores.append(activate(logits.float()).cpu().numpy())
        n_batches += bool(batch)
        batch.clear()

    training = {module: module.training for module in model.modules()}
    model.eval()
    try:
        with torch.inference_mode():
            for i in range(len(dataset)):
                try:
                    waveform = torch.as_tensor(audio.clip(i) if audio else dataset.waveform(i))
                except AudioError as error:
                    skipped.append(str(error))
                    continue
                whole = dataset.task in FRAME_TASKS  # frames at the ends want their neighbours
                length = len(waveform) if whole else model.n_samples or len(waveform)
                waveform = F.pad(waveform, (0, max(length - len(waveform), 0)))
                for start in window_starts(len(waveform), length, hop or length):
                    if len(batch) == batch_size or (batch and len(batch[0]) != length):
                        run_batch()
                    batch.append(waveform[start : start + length])
                    owners.append(i)
                    starts.append(start)
            run_batch()
    finally:
        for module, mode in training.items():
            module.training = mode
    if not owners:
        raise MirdlError(f"{dataset.name}: no clip could be read; the first: {skipped[:1]}")
    shares = processes.gather(scores)
    scores = [shares[i % n_processes][i // n_processes] for i in range(n_batches)]
    if skipped and rank == 0:
        warnings.warn(f"{len(skipped)} clips skipped, the first: {skipped[0]}", stacklevel=2)
    return WindowScores(np.concatenate(scores), np.array(owners), np.array(starts), skipped)
