"""Real music: genre, emotions and MagnaTagATune tags of Emotify, in folds of artists."""

import numpy as np

from mirdl import models
from mirdl.datasets.pack import pack
from mirdl.evaluation import score, window_scores
from mirdl.experiments.networks import train
from mirdl.experiments.plan import Run
from mirdl.experiments.splits import poolable

N_FOLDS = 5
TARGETS = ("genre", "emotions", "mtt_tags")
#: Baselines, and the core-minutes of one target and seed, all folds.
BASELINES = {"majority": 0.1, "logistic_regression": 0.5}
#: The course's main networks: core-minutes of one target and seed, and what differs from
#: `mirdl.experiments.networks.FOR_COURSE`. Tracks are 60 s long, so those of long input hear as
#: much as their papers say, with as many seconds in a batch as memory likes: fewer clips.
LONG = {"for_seconds": 29, "training": {"batch_size": 4}}
NETWORKS = {
    "dieleman_spectrogram": (1.2, {}),
    "fcn": (3.7, LONG),
    "short_chunk_cnn": (3.2, {}),
    "musicnn": (4.5, {}),
    "crnn": (4.5, LONG),
    "self_attention": (5.5, {"training": {"batch_size": 8}}),
    "dieleman_raw": (1, {}),
    "sample_cnn": (5.6, {}),
}


def out_of_fold(seed, settings, name="logistic_regression", target="genre", **overrides):
    """Score every track by a model that has heard no track of its artist.

    Five folds of artists are dealt by the seed. A baseline trains on the four other folds; a
    network on three of them, and the fourth chooses its weights. The scores of the five test
    folds are pooled by `mirdl.experiments.splits.poolable` and evaluated once.

    Parameters
    ----------
    seed : int
        Of the folds, and of the training.
    settings : Settings
    name : str
        A model of `mirdl.models.build`.
    target : {"genre", "emotions", "mtt_tags"}
    **overrides
        Of `mirdl.experiments.networks.train`, for a network.

    Returns
    -------
    Evaluation
    """
    scores = parameters = None
    for fold in range(N_FOLDS):
        dataset = settings.dataset(target, fold=fold, n_folds=N_FOLDS, seed=seed)
        split = dataset.clips["split"].to_numpy()
        if scores is None:
            scores = np.full((len(dataset), dataset.n_outputs), np.nan)
        if name in models.BASELINES:
            heard = dataset.select(split != "test")
            model = models.build(name, seed=seed).fit(heard)
            scores[split == "test"] = model.predict(dataset.subset("test"))
        else:
            heard = dataset.subset("train")
            model = train(seed, settings, name, dataset, **overrides)
            parameters = models.n_parameters(model)
            test = dataset.subset("test")
            windows = window_scores(model, test, audio=pack(test, progress=False))
            read, found = windows.by_clip(dataset.task)
            scores[np.flatnonzero(split == "test")[read]] = found
        scores[split == "test"] = poolable(scores[split == "test"], heard)
    read = np.isfinite(scores).all(axis=1)
    return score(scores[read], dataset.select(read), parameters=parameters)


def _runs(name, target, minutes, budget="course", **options):
    return [
        Run(
            "emotify",
            name,
            out_of_fold,
            seed,
            (target,),
            minutes=minutes,
            budget=budget,
            target=target,
            dataset="emotify",
            split="5 folds of artists",
            options={"name": name, "target": target, **options},
        )
        for seed in range(3)
    ]


RUNS = [
    run
    for target in TARGETS
    for name, minutes in BASELINES.items()
    for run in _runs(name, target, minutes)
] + [
    run
    for name, (minutes, options) in NETWORKS.items()
    for target in ("genre", "emotions")
    for run in _runs(name, target, minutes, "folds", **options)
]
