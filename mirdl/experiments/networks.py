"""The first networks (lessons 00, 07 and 08) within the course's budget."""

import torch

from mirdl import models
from mirdl.datasets.pack import pack
from mirdl.evaluation import evaluate
from mirdl.experiments.plan import Run
from mirdl.training import fit

#: What the course changes of a published network besides the width of its settings: clips are
#: 10 s long, and 70,000 parameters need not be made fewer.
FOR_COURSE = {"dieleman_spectrogram": {"width": 1}, "fcn": {"for_seconds": 10}}


def train(seed, settings, name, dataset, **overrides):
    """Train a network on a data set's training clips; the validation clips choose its weights.

    Parameters
    ----------
    seed : int
        Of weights, crops and dropout.
    settings : Settings
        Steps, batch and width.
    name : str
        A network of `mirdl.models.build`.
    dataset : Dataset
        With its splits.
    **overrides
        Of `mirdl.models.build`; they come before the course's own.

    Returns
    -------
    nn.Module
    """
    torch.manual_seed(seed)
    overrides = {"width": settings.width, **FOR_COURSE.get(name, {}), **overrides}
    model = models.build(name, n_outputs=dataset.n_outputs, **overrides)
    train_set, valid_set = dataset.subset("train"), dataset.subset("valid")
    fit(model, train_set, valid_set, seed=seed, progress=False, **settings.training)
    return model


def network(seed, settings, name="fcn", target="tags", **overrides):
    """Train a network and score it on the test clips.

    Returns
    -------
    Evaluation
    """
    dataset = settings.dataset(target)
    model = train(seed, settings, name, dataset, **overrides)
    test = dataset.subset("test")
    return evaluate(model, test, audio=pack(test, progress=False))


RUNS = [
    Run(
        "first_networks",
        name,
        network,
        seed,
        (target,),
        minutes=minutes,
        target=target,
        options={"name": name, "target": target},
    )
    for name, minutes in (("dieleman_spectrogram", 0.5), ("fcn", 3))
    for target in ("tags", "dance")
    for seed in range(3)
]
