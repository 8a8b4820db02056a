"""Lesson 19: first-layer filters of the families on spectrograms, kept to be looked at.

Rows of lessons 07, 09 and 10 are trained again as they were there, so that the score is theirs up
to the machine, and the weights of the first convolution are stored in the place of the table of
tags. Those on the waveform are kept by lessons 12 to 14; the committed tagger has its own.
"""

from dataclasses import replace

import numpy as np
import pandas as pd
from torch import nn

from mirdl.experiments import store
from mirdl.experiments.networks import judge, train
from mirdl.experiments.one_dimension import FRONT_END
from mirdl.experiments.plan import ladder
from mirdl.experiments.rhythm import RATE
from mirdl.experiments.timbre import SECONDS, brief


def first_convolutions(model):
    """Return the convolutions that read the spectrogram: of one shape, or of many side by side.

    Parameters
    ----------
    model : Tagger

    Returns
    -------
    list of nn.Conv1d or nn.Conv2d
    """
    found = [layer for layer in model.modules() if isinstance(layer, nn.Conv1d | nn.Conv2d)]
    reads = model.front_end.n_mels if isinstance(found[0], nn.Conv1d) else 1
    return [layer for layer in found if layer.in_channels == reads]


def pictures(model):
    """Return the first-layer filters of a network as a table, one row a filter.

    Parameters
    ----------
    model : Tagger
        On a mel spectrogram.

    Returns
    -------
    DataFrame
        bands and frames; weights as `mirdl.experiments.store.encode` has them, int8.
    """
    parts = []
    for layer in first_convolutions(model):
        w = layer.weight.detach().float()
        w = w if w.ndim == 3 else w[:, 0]  # (filters, bands, frames)
        parts.append(
            pd.DataFrame(
                {
                    "bands": w.shape[1],
                    "frames": w.shape[2],
                    "weights": store.encode(w.flatten(1).numpy(), np.int8),
                }
            )
        )
    table = pd.concat(parts, ignore_index=True)
    return table.set_index("filter " + table.index.astype(str)).rename_axis("output")


def stored(row):
    """Return the filters of a stored row: list of arrays (bands, frames), the largest weight 1.

    Parameters
    ----------
    row : dict
        Of `mirdl.experiments.store.load`.
    """
    return [
        store.decode([line.weights], np.int8).reshape(line.bands, line.frames)
        for line in row["per_tag"].itertuples()
    ]


def kept(seed, settings, name, target="tags", short=False, training=None, **overrides):
    """Train a network and keep its first filters.

    Parameters
    ----------
    seed, settings, name, target, training, **overrides
        As in `mirdl.experiments.networks.network`.
    short : bool
        Whether the settings are made `mirdl.experiments.timbre.brief`, as in lesson 10.

    Returns
    -------
    Evaluation
        Its table is that of `pictures`.
    """
    dataset = settings.dataset(target)
    settings = brief(settings) if short else settings
    model = train(seed, settings, name, dataset, training, **overrides)
    return replace(judge(model, dataset), table=pictures(model))


def _run(system, minutes, target="tags", **options):
    about = {"target": target, "options": {"name": system, "target": target, **options}}
    return ladder(1, "first_filters", system, kept, minutes, (target,), **about)


RUNS = [
    *_run("dieleman_spectrogram", 0.4, front_end=FRONT_END),
    *_run("time", 0.5, "dance", training=RATE),
    *_run("timbre_cnn", 1.5, short=True, for_seconds=SECONDS),
]
