"""Real music: genre, emotions and MagnaTagATune tags of Emotify, in folds of artists."""

import numpy as np

from mirdl import models
from mirdl.datasets.pack import pack
from mirdl.evaluation import score, window_scores
from mirdl.experiments.networks import train
from mirdl.experiments.plan import Run
from mirdl.experiments.splits import poolable

N_FOLDS = 5
#: Systems, and the core-minutes of one target and seed, all folds.
MINUTES = {"majority": 0.1, "logistic_regression": 0.5, "dieleman_spectrogram": 1.7}


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
        Of `mirdl.models.build`, for a network.

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


RUNS = [
    Run(
        "emotify",
        name,
        out_of_fold,
        seed,
        (target,),
        minutes=minutes,
        target=target,
        dataset="emotify",
        split="5 folds of artists",
        options={"name": name, "target": target},
    )
    for target in ("genre", "emotions", "mtt_tags")
    for name, minutes in MINUTES.items()
    for seed in range(3)
]
