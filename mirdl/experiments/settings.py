"""The one place that chooses a lesson's data set and budget."""

import os
from dataclasses import dataclass, replace

from mirdl import datasets
from mirdl.errors import MirdlError

#: Optimiser steps, steps between validations, clips a step, factor on channels, and where it is
#: not that of `mirdl.training.fit`, precision and schedule.
#: "lesson": a live cell of a notebook; "course": the first networks (lessons 00 to 03);
#: "ladder": a row of the comparisons of lessons 06 to 15, about three core-minutes;
#: "folds": one fold of real music, of which there are five to a row;
#: "full": published width; "smoke": whether it runs at all.
BUDGETS = {
    "smoke": {"n_steps": 2, "steps_per_epoch": 1, "batch_size": 4, "width": 0.1},
    "lesson": {"n_steps": 100, "steps_per_epoch": 50, "batch_size": 16, "width": 0.25},
    "course": {"n_steps": 600, "steps_per_epoch": 100, "batch_size": 16, "width": 0.25},
    "ladder": {
        "n_steps": 1000,
        "steps_per_epoch": 100,
        "batch_size": 16,
        "width": 0.25,
        "precision": "bf16",
        "schedule": "cosine",
    },
    "folds": {
        "n_steps": 240,
        "steps_per_epoch": 120,
        "batch_size": 16,
        "width": 0.25,
        "precision": "bf16",
        "schedule": "cosine",
    },
    "full": {"n_steps": 10_000, "steps_per_epoch": 500, "batch_size": 16, "width": 1.0},
}


@dataclass(frozen=True)
class Settings:
    """Data set and budget.

    Attributes
    ----------
    dataset_name : str
        A name of `mirdl.datasets.available`.
    budget : str
        One of ``BUDGETS``, which gives the rest.
    n_steps, steps_per_epoch, batch_size, precision, schedule
        As in `mirdl.training.fit`.
    width : float
        Factor on a network's channels.
    """

    dataset_name: str
    budget: str
    n_steps: int
    steps_per_epoch: int
    batch_size: int
    width: float
    precision: str = "fp32"
    schedule: str | None = None

    def dataset(self, target="tags", **options):
        """Load the data set; `options` as in `mirdl.datasets.load`."""
        return datasets.load(self.dataset_name, target=target, **options)

    def times(self, share):
        """Return the settings with `share` times the steps, and as many validations."""
        steps = (max(1, round(share * n)) for n in (self.n_steps, self.steps_per_epoch))
        return replace(self, **dict(zip(("n_steps", "steps_per_epoch"), steps, strict=True)))

    def validating_once(self):
        """Return the settings with one validation, after the last step."""
        return replace(self, steps_per_epoch=self.n_steps)

    @property
    def training(self):
        """The part that `mirdl.training.fit` takes, as keyword arguments."""
        names = ("n_steps", "steps_per_epoch", "batch_size", "precision", "schedule")
        return {name: getattr(self, name) for name in names}


def choose(dataset_name="minitag", budget="course"):
    """Return the settings of a data set and a budget.

    Raises
    ------
    MirdlError
        If there is no such budget.
    """
    if budget not in BUDGETS:
        raise MirdlError(f"no budget {budget!r}; choose from {', '.join(BUDGETS)}")
    return Settings(dataset_name, budget, **BUDGETS[budget])


def lesson():
    """Return the settings of a live cell.

    ``$MIRDL_DATASET`` (default minitag) and ``$MIRDL_BUDGET`` (default lesson) choose.
    """
    dataset_name = os.environ.get("MIRDL_DATASET", "minitag")
    return choose(dataset_name, os.environ.get("MIRDL_BUDGET", "lesson"))
