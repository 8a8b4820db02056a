"""From a model and a data set to an `Evaluation`: clip averages, the bootstrap over artists.

Clips of one artist resemble each other, so 270 clips by 25 artists are far fewer than 270
independent trials. The bootstrap therefore draws artists, not clips, with replacement.
"""

import hashlib
import warnings
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
import torch

from mirdl.datasets.frames import FRAME_TASKS, examples
from mirdl.errors import MirdlError
from mirdl.evaluation import metrics as m
from mirdl.evaluation.windows import average, window_scores


@dataclass(frozen=True, repr=False)
class Evaluation:
    """What a system scored on a test set (lesson 02).

    Attributes
    ----------
    scores : array (n_clips, n_outputs)
        Per clip: probabilities, or what the system gave.
    metrics, chance : dict of str to float
        See `mirdl.evaluation.metrics.point_metrics` and `chance_levels`.
    interval : dict of str to (low, high)
        95 % interval of the bootstrap over artists: percentiles, less the bootstrap's bias.
    table : DataFrame
        One row per output: positives, metrics with intervals, chance.
    replicates : dict of str to array (n_bootstrap,)
        The metrics of every resample; `mirdl.evaluation.verdict` compares systems by them.
    resample_id : str
        Equal for two evaluations whose replicates drew the same artists in the same order.
    n_artists, n_left_out : int
        Artists in the test set; (resample, output) pairs left out because the resample lacked
        positives or negatives.
    skipped : list of str
        Clips that could not be read, with the reason. They are in no number above.
    parameters : int or None
        Trainable parameters of the network.
    """

    scores: np.ndarray
    metrics: dict
    chance: dict
    interval: dict
    table: pd.DataFrame
    replicates: dict
    resample_id: str
    n_artists: int
    n_left_out: int
    skipped: list = field(default_factory=list)
    parameters: int | None = None

    def __repr__(self):
        parts = [
            f"{name} {value:.3f} [{self.interval[name][0]:.3f}, {self.interval[name][1]:.3f}]"
            f" (chance {self.chance[name]:.3f})"
            for name, value in self.metrics.items()
        ]
        return ", ".join(parts) + f"; {len(self.scores)} clips by {self.n_artists} artists"


def artist_weights(artists, n_bootstrap=1000, seed=0):
    """Draw artists with replacement, as many as there are.

    Parameters
    ----------
    artists : sequence (n_clips,)
    n_bootstrap, seed : int

    Returns
    -------
    weights : int array (n_bootstrap, n_clips)
        How often each clip's artist was drawn.
    resample_id : str
        Hash of the set of artists, `n_bootstrap` and `seed`, which decide the draw.
    """
    names, owner = np.unique(np.asarray(artists, dtype=str), return_inverse=True)
    share = np.full(len(names), 1 / len(names))
    drawn = np.random.default_rng(seed).multinomial(len(names), share, size=n_bootstrap)
    text = "\n".join([*names, f"{n_bootstrap} {seed}"])
    return drawn[:, owner], hashlib.sha256(text.encode()).hexdigest()[:16]


def score(scores, dataset, n_bootstrap=1000, *, seed=0, skipped=(), parameters=None):
    """Evaluate scores that a system gave to the clips of a data set.

    Parameters
    ----------
    scores : array (n_clips, n_outputs)
        Probabilities or decision values (only their order counts for ROC-AUC and PR-AUC, their
        largest for accuracy); predicted values for regression.
    dataset : Dataset
    n_bootstrap, seed : int
        Resamples of artists, and the seed of their draw.

    Returns
    -------
    Evaluation

    Raises
    ------
    MirdlError
        If shapes do not fit, a score is not finite, or the truth is one of frames.
    """
    scores, targets, task = np.asarray(scores, dtype=float), dataset.targets, dataset.task
    n_outputs = dataset.n_outputs
    if task in FRAME_TASKS:
        raise MirdlError(f"{dataset.name}: this target is one of frames; clips have no score")
    if scores.shape != (len(dataset), n_outputs):
        expected = (len(dataset), n_outputs)
        raise MirdlError(f"scores of shape {scores.shape}, expected (clips, outputs) = {expected}")
    if len(scores) == 0:
        raise MirdlError(f"{dataset.name}: no clips to evaluate")
    if not np.isfinite(scores).all():
        raise MirdlError(f"scores of {dataset.name} hold NaN or infinity")
    weights, resample_id = artist_weights(dataset.clips["artist"], n_bootstrap, seed)
    replicates, by_output = m.weighted_metrics(scores, targets, task, weights)
    points = m.point_metrics(scores, targets, task)
    table = pd.DataFrame({"output": dataset.tags, **m.per_output(scores, targets, task)})
    for name, values in by_output.items():
        ends = _within_range(name, interval(values, table[name].to_numpy()))
        table[f"{name}_low"], table[f"{name}_high"] = ends
    if task != "regression":
        table["positives"] = table["positives"].astype(int)
    return Evaluation(
        scores=scores,
        metrics=points,
        chance=m.chance_levels(targets, task, n_outputs),
        interval={
            name: tuple(map(float, _within_range(name, interval(values, points[name]))))
            for name, values in replicates.items()
        },
        table=table.set_index("output"),
        replicates=replicates,
        resample_id=resample_id,
        n_artists=dataset.clips["artist"].nunique(),
        n_left_out=int(np.isnan(next(iter(by_output.values()))).sum()),
        skipped=list(skipped),
        parameters=parameters,
    )


def evaluate(
    model,
    dataset,
    hop=None,
    batch_size=16,
    n_bootstrap=1000,
    device=None,
    *,
    audio=None,
    aggregate=average,
):
    """Score a network or a baseline on a data set.

    A network hears windows of ``model.n_samples`` that start at 0, hop, 2 hop, … (default hop:
    a window's length); if the last does not reach the end of the clip, one more ends with it;
    shorter clips are padded with zeros on the right. The windows' probabilities are averaged
    per clip. A baseline (anything with ``predict``) scores clips as it likes. Where the truth is
    one of frames, frames are scored in place of clips, about four a second; other metrics of
    decisions in time are in `mirdl.evaluation.in_time`.

    Parameters
    ----------
    model : nn.Module or baseline
    dataset : Dataset
        Usually ``dataset.subset("test")``.
    hop, batch_size, device, audio
        As in `window_scores`.
    n_bootstrap : int
        Resamples of artists.
    aggregate : function
        `average` or `majority_vote`.

    Returns
    -------
    Evaluation
        Clips that cannot be read are reported in ``skipped`` and are part of no number.
    """
    if not isinstance(model, torch.nn.Module):
        scores = model.predict(dataset)
        heard = np.isfinite(scores).all(axis=1)
        skipped = [f"{path}: no score" for path in dataset.clips["path"][~heard]]
        dataset = dataset.select(heard) if skipped else dataset
        return score(scores[heard], dataset, n_bootstrap, skipped=skipped)
    windows = window_scores(model, dataset, hop, batch_size, device, audio)
    heard, scores = windows.by_clip(dataset.task, aggregate)
    dataset = dataset if len(heard) == len(dataset) else dataset.select(heard)
    if dataset.task in FRAME_TASKS:
        dataset, scores = examples(dataset, scores, model.step)
    parameters = sum(p.numel() for p in model.parameters() if p.requires_grad)
    return score(scores, dataset, n_bootstrap, skipped=windows.skipped, parameters=parameters)


class SharedTags(torch.nn.Module):
    """A network cut down to the outputs that a data set has too, as two taggers seldom agree.

    Parameters
    ----------
    model : Tagger
        With ``model.tags``, as `mirdl.models.load` gives it.
    dataset : Dataset
        Multilabel.

    Attributes
    ----------
    dataset : Dataset
        The data set with the shared tags only, in the network's order.

    Raises
    ------
    MirdlError
        If they share no tag.
    """

    def __init__(self, model, dataset):
        super().__init__()
        shared = [name for name in model.tags if name in dataset.tags]
        if not shared or dataset.task != "multilabel":
            known = ", ".join(model.tags)
            raise MirdlError(f"{dataset.name} has none of the network's tags ({known})")
        self.model, self.sample_rate, self.n_samples = model, model.sample_rate, model.n_samples
        self.columns = [model.tags.index(name) for name in shared]
        targets = dataset.targets[:, [dataset.tags.index(name) for name in shared]]
        self.dataset = replace(dataset, tags=shared, targets=targets)

    def forward(self, audio):
        return self.model(audio)[:, self.columns]


#: The values a metric can take, where they are not 0 to 1.
RANGES = {"rmse": (0, np.inf), "r2": (-np.inf, 1)}


def interval(replicates, points):
    """Return the ends of the 95 % interval of each column; NaN where there is no value.

    The percentiles are moved by the bias of the bootstrap, the replicates' mean minus the point:
    a resample repeats clips, and repeated positives flatter the average precision of a rare tag.

    Parameters
    ----------
    replicates : array (n_bootstrap, ...)
    points : array (...)
        What all clips together give.

    Returns
    -------
    array (2, ...)
        Not cut to the range of a metric.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # columns of NaN only
        bias = np.nanmean(replicates, axis=0) - points
        return np.nanpercentile(replicates, [2.5, 97.5], axis=0) - bias


def _within_range(metric, ends):
    return ends.clip(*RANGES.get(metric, (0, 1)))
