"""Lesson 03: classifiers on hand-made features, on every target."""

from mirdl import models
from mirdl.evaluation import evaluate
from mirdl.experiments.plan import Run

#: Baselines whose fit draws random numbers; the others give the same scores for every seed.
RANDOM = ("boosted_trees", "gmm", "codebook")


def baseline(seed, settings, name="logistic_regression", target="tags"):
    """Train a baseline on the training clips and score it on the test clips.

    Parameters
    ----------
    seed : int
    settings : Settings
    name : str
        A baseline of `mirdl.models.build`.
    target : str

    Returns
    -------
    Evaluation
    """
    dataset = settings.dataset(target)
    model = models.build(name, seed=seed).fit(dataset.subset("train"))
    return evaluate(model, dataset.subset("test"))


RUNS = [
    Run(
        "baselines",
        name,
        baseline,
        seed,
        (target,),
        minutes=0.5,
        target=target,
        options={"name": name, "target": target},
    )
    for target in ("tags", "dance")
    for name in models.BASELINES
    if name != "knn_tempo" or target == "dance"
    for seed in (range(3) if name in RANDOM else [0])
]
