"""Lesson 03: classifiers on hand-made features, on every target."""

from mirdl import models
from mirdl.evaluation import evaluate
from mirdl.experiments.plan import Run
from mirdl.models.baselines import RANDOM


def baseline(seed, settings, name="logistic_regression", target="tags"):
    """Train a baseline on the training clips and score it on the test clips.

    The validation clips serve those that choose from a grid.

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
    model = models.build(name, seed=seed)
    model.fit(dataset.subset("train"), dataset.subset("valid"))
    return evaluate(model, dataset.subset("test"))


#: Those that take about a minute.
SLOW = ("svm_linear", "gmm")

RUNS = [
    Run(
        "baselines",
        name,
        baseline,
        seed,
        (target,),
        minutes=1 if name in SLOW else 0.2,
        target=target,
        options={"name": name, "target": target},
    )
    for target in ("tags", "dance")
    for name, place in models.BASELINES.items()
    if place.startswith("baselines.")  # those of this lesson
    if name != "knn_tempo" or target == "dance"
    for seed in (range(3) if name in RANDOM else [0])
]
