"""Lesson 14: front ends of which a few numbers are learned together with the network.

Two tables in one, both on tags:

- HarmonicCNN hears 1.23 s at a time, as `sample_level`'s SampleCNN of three-sample filters does.
  Q of its filters is learned, or stays 1; or a mel-spectrogram takes their place.
- Dieleman and Schrauwen's 1D network has three front ends of 128 bands elsewhere: fixed
  (`one_dimension`), free (`raw_waveforms`), and here sinc filters of two numbers each. Under a
  logarithm that is learned it has the 96 bands of `two_dimensions`, where the logarithm is fixed.
"""

from dataclasses import replace

import pandas as pd
from torch import nn
from torch.nn import functional as F

from mirdl.experiments.networks import judge, train
from mirdl.experiments.plan import ladder
from mirdl.experiments.sample_level import SECONDS
from mirdl.models.harmonic import SincFilters

#: As many filters as Dieleman and Schrauwen's network has bands; every second sample of the
#: zoo's, at half the cost.
SINC = {"filters": 128, "stride": 32, "pool": 8}
#: The input is normalised as in the thesis, whose networks have a batch normalisation there.
LOGARITHM = {
    "name": "dieleman_spectrogram",
    "front_end": {"preset": "mel96", "compression": "log_learned"},
    "input_norm": True,
}


class FreeFilters(SincFilters):
    """Filters that start as `SincFilters` do, of which then every sample is learned.

    Parameters
    ----------
    **options
        Of `SincFilters`.
    """

    def __init__(self, **options):
        super().__init__(**options)
        self.weight = nn.Parameter(super().filter_bank().detach())
        self.low = self.band = None

    def filter_bank(self):
        """Return the filters in time, (filters, length)."""
        return self.weight


def learned(front_end):
    """Return what a front end learns, in its own units.

    Parameters
    ----------
    front_end : nn.Module

    Returns
    -------
    dict of str to float
        Q of harmonic filters; both edges of each sinc filter in Hz; alpha and beta of
        log(alpha x + beta), behind their gates [thesis Appendix A]. Empty where nothing, or
        nothing that has a name, is learned.
    """
    if isinstance(front_end, FreeFilters):
        return {}
    if isinstance(front_end, SincFilters):
        edges = zip(("low", "high"), front_end.edges(), strict=True)
        return {f"{name} {i}": hz for name, e in edges for i, hz in enumerate(e.tolist())}
    if not any(parameter.requires_grad for parameter in front_end.parameters()):
        return {}
    if hasattr(front_end, "q"):
        return {"Q": front_end.q.item()}
    return {"alpha": front_end.alpha.exp().item(), "beta": F.softplus(front_end.beta).item()}


def tags(seed, settings, name, free=False, frozen=False, **overrides):
    """Train a network with a learned front end on the tags, and score it.

    Parameters
    ----------
    seed : int
    settings : Settings
    name : str
        A network of `mirdl.models.build`.
    free : bool
        Whether `FreeFilters` take the place of sinc filters.
    frozen : bool
        Whether the front end stays as it starts.
    **overrides
        Of `mirdl.models.build`.

    Returns
    -------
    dict of str to Evaluation
        "tags"; and where a front end has learned something, "learned": the same, with what that
        was in place of the table of tags, `learned` before and after.
    """
    before = {}

    def prepare(model):
        if free:
            model.front_end = FreeFilters(**SINC)
        model.front_end.requires_grad_(not frozen)
        before.update(learned(model.front_end))

    dataset = settings.dataset()
    model = train(seed, settings, name, dataset, prepare=prepare, **overrides)
    made = {"tags": judge(model, dataset)}
    if before:
        table = pd.DataFrame({"before": before, "after": learned(model.front_end)})
        made["learned"] = replace(made["tags"], table=table.rename_axis("output"))
    return made


def _runs(system, minutes, seeds=3, variants=("tags",), **options):
    return ladder(seeds, "learned_front_ends", system, tags, minutes, variants, options=options)


def _harmonic(system, minutes, seeds=3, variants=("tags",), **options):
    options = {"name": "harmonic_cnn", "for_seconds": SECONDS, **options}
    return _runs(system, minutes, seeds, variants, **options)


BOTH = ("tags", "learned")

RUNS = [
    *_harmonic("harmonic_cnn", 1.3, variants=BOTH),
    *_harmonic("harmonic_cnn_fixed_q", 1.2, learn=None),
    *_harmonic("harmonic_cnn_mel", 1.0, 1, front_end="mel128"),
    *_runs("sinc_net", 0.9, variants=BOTH, name="sinc_net", **SINC),
    *_runs("sinc_net_free", 1.0, 1, name="sinc_net", free=True, **SINC),
    *_runs("log_learned", 0.4, variants=BOTH, **LOGARITHM),
    *_runs("log_frozen", 0.4, frozen=True, **LOGARITHM),
]
