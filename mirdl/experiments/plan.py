"""What `make results` runs: every row of every table, in the order of the lessons."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass, field

#: Modules of this package whose ``RUNS`` make the plan, in the order of the lessons.
MODULES = (
    "representations",
    "splits",
    "baselines",
    "networks",
    "dense_layers",
    "training_choices",
    "features_without_labels",
    "one_dimension",
    "two_dimensions",
    "rhythm",
    "timbre",
    "recurrence",
    "raw_waveforms",
    "sample_level",
    "learned_front_ends",
    "augmentation",
    "few_data",
    "untrained",
    "decisions_in_time",
    "first_filters",
    "listening_inside",
    "mistakes",
    "shortcuts",
    "without_tags",
    "neighbours",
    "how_much_data",
    "emotify",
    "tagger",
    "published",
)


@dataclass(frozen=True)
class Run:
    """One call that makes one row of `results/`, or one for each of its variants.

    Attributes
    ----------
    experiment, system : str
        The table, and its line.
    function : callable
        ``function(seed, settings, **options)`` returns an `Evaluation`, or a dict of them whose
        keys are `variants`.
    seed : int
    variants : tuple of str
        What distinguishes rows of one system: a target, a kind of split. One entry, unless the
        call makes several rows.
    minutes : float
        Expected time on one core.
    budget : str
        Of `mirdl.experiments.settings`.
    target, split, unit, dataset : str
        For the record in the row.
    options : dict
    """

    experiment: str
    system: str
    function: Callable
    seed: int = 0
    variants: tuple = ("",)
    minutes: float = 0.1
    budget: str = "course"
    target: str = "tags"
    split: str = "artist"
    unit: str = "clip"
    dataset: str = "minitag"
    options: dict = field(default_factory=dict)

    def __str__(self):
        variants = f"__{'+'.join(self.variants)}" if any(self.variants) else ""
        return f"{self.experiment}/{self.system}{variants}__seed{self.seed}"


def ladder(n_seeds, experiment, system, function, minutes, variants=("tags",), **about):
    """Return the runs of one line of a table at the budget of the ladder, one for each seed.

    Parameters
    ----------
    n_seeds : int
    experiment, system, function, minutes, variants, **about
        As in `Run`.

    Returns
    -------
    list of Run
    """
    about = {"variants": variants, "minutes": minutes, "budget": "ladder", **about}
    return [Run(experiment, system, function, seed, **about) for seed in range(n_seeds)]


def runs():
    """Return every `Run` of the course, in the order of the lessons."""
    modules = [importlib.import_module(f"mirdl.experiments.{name}") for name in MODULES]
    return [run for module in modules for run in module.RUNS]
