"""Lesson 02: what a random split flatters, and what averaging over a clip's windows gives."""

import numpy as np
from scipy.special import logit

from mirdl import models
from mirdl.datasets import splits
from mirdl.datasets.pack import pack
from mirdl.evaluation import average, majority_vote, score, window_scores
from mirdl.experiments.networks import train
from mirdl.experiments.plan import Run

N_FOLDS = 5


def poolable(probabilities, heard):
    """Make the scores of one test fold comparable with those of the others.

    Pooling folds has a trap: what is frequent in the test fold is rare in the others, so that a
    model of nothing but the tags' frequencies ranks the folds backwards, at a ROC-AUC of 0.35 on
    Emotify. Tags are therefore scored by how much likelier the model finds them than its training
    clips do, the difference of log-odds; the majority baseline is then at 0.5, as it should be.

    Parameters
    ----------
    probabilities : array (n_clips, n_outputs)
    heard : Dataset
        What the fold's model was trained on.

    Returns
    -------
    array (n_clips, n_outputs)
        Of classes, which compete within a clip and not across folds: as they were.
    """
    if heard.task != "multilabel":
        return probabilities
    mine, usual = (
        logit(np.clip(x, 1e-6, 1 - 1e-6)) for x in (probabilities, heard.targets.mean(axis=0))
    )
    return (mine - usual).round(4)  # float32 or not, the same frequency is a tie


def split_leak(seed, settings, name="logistic_regression", target="tags", split="artist"):
    """Cross-validate a baseline with folds of artists, or with folds of tracks.

    Every clip of the data set is tested once, by a model that was trained on the other four
    folds. The two kinds of folds test the same clips, train on as many, and differ in one thing:
    whether other tracks of a test clip's artist were in training. Both are dealt anew for every
    seed, and because the clips are the same, the comparison is paired.

    Parameters
    ----------
    seed : int
        Of the folds.
    settings : Settings
    name : str
        A baseline of `mirdl.models.build`.
    target : str
    split : {"artist", "random"}

    Returns
    -------
    Evaluation
        Of all clips, scored out of fold.
    """
    dataset = settings.dataset(target)
    clips = dataset.clips
    groups = clips if split == "artist" else clips.assign(artist=clips["track_id"])
    folds = splits.artist_folds(groups, dataset.targets, N_FOLDS, seed)
    scores = np.empty((len(dataset), dataset.n_outputs))
    for fold in range(N_FOLDS):
        heard = dataset.select(folds != fold)
        model = models.build(name, seed=seed).fit(heard)
        scores[folds == fold] = poolable(model.predict(dataset.select(folds == fold)), heard)
    return score(scores, dataset)


def programs(seed, settings, name="logistic_regression"):
    """Score a baseline on test clips whose instruments it has heard, and on those it has not.

    An instrument of the embedded data is played by several General MIDI programs, and some of
    them only by test artists. The two parts hold other clips: their scores are not paired.

    Returns
    -------
    dict of str to Evaluation
        "seen": every program in the clip was in training; "unseen": at least one was not.
    """
    dataset = settings.dataset("tags")
    test = dataset.subset("test")
    scores = models.build(name, seed=seed).fit(dataset.subset("train")).predict(test)
    seen = test.clips["seen_programs"].to_numpy(dtype=bool)
    parts = {"seen": seen, "unseen": ~seen}
    return {part: score(scores[mask], test.select(mask)) for part, mask in parts.items()}


def windows_and_clips(seed, settings, name="dieleman_spectrogram", target="tags"):
    """Score one trained network three ways: every window alone, their mean, their vote.

    Returns
    -------
    dict of str to Evaluation
        "window": each window is a trial of its own, with the labels of its clip; "average" and
        "vote": one score per clip, from all its windows.
    """
    dataset = settings.dataset(target)
    model = train(seed, settings, name, dataset)
    test = dataset.subset("test")
    windows = window_scores(model, test, audio=pack(test, progress=False))
    made = {"window": score(windows.scores, test.select(windows.clip))}
    for variant, aggregate in (("average", average), ("vote", majority_vote)):
        heard, scores = windows.by_clip(test.task, aggregate)
        made[variant] = score(scores, test.select(heard))
    return made


RUNS = [
    Run(
        experiment,
        name,
        split_leak,
        seed,
        (f"{target}-{split}",),
        minutes=0.2,
        target=target,
        split=split,
        dataset=dataset,
        options={"name": name, "target": target, "split": split},
    )
    for experiment, dataset, targets in (
        ("split_leak", "minitag", ("tags", "dance")),
        ("split_leak_emotify", "emotify", ("genre", "emotions")),
    )
    for name in ("logistic_regression", "knn")
    for target in targets
    for split in ("artist", "random")
    for seed in range(5)
]
RUNS.append(Run("programs", "logistic_regression", programs, variants=("seen", "unseen")))
RUNS += [
    Run(
        "windows_and_clips",
        "dieleman_spectrogram",
        windows_and_clips,
        seed,
        ("window", "average", "vote"),
        minutes=0.6,
    )
    for seed in range(3)
]
