"""What `make results` runs, and what its rows are to decide, in the order of the lessons."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass, field

#: Modules of this package whose ``RUNS`` and ``CLAIMS`` make the plan, in the order of the lessons.
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


@dataclass(frozen=True)
class Claim:
    """One sentence about two systems, fixed before any of their rows exists.

    Attributes
    ----------
    lesson : int
    name : str
        What the lesson calls it: "1", "2a".
    text : str
        What is claimed, in words.
    source : str
        Paper and table or section; "ours" where no paper says it.
    a, b : (str, str, str)
        Experiment, system and variant of the two sides.
    metric : str, optional
        Default: the first of the rows.
    margin : float
    kind : {"greater", "equal"}
        As in `mirdl.evaluation.verdict`.
    """

    lesson: int
    name: str
    text: str
    source: str
    a: tuple
    b: tuple
    metric: str | None = None
    margin: float = 0.0
    kind: str = "greater"


def runs():
    """Return every `Run` of the course, in the order of the lessons."""
    return [run for module in _modules() for run in module.RUNS]


def claims():
    """Return every `Claim` of the course, in the order of the lessons."""
    found = [claim for module in _modules() for claim in getattr(module, "CLAIMS", ())]
    return sorted(found, key=lambda claim: claim.lesson)


def _modules():
    return [importlib.import_module(f"mirdl.experiments.{name}") for name in MODULES]
