"""Lesson 13: filters of three samples, their shallower relatives, and the blocks that came after.

All networks of `sample_cnn` hear 3 · 3^8 = 19,683 samples at a time, 1.23 s at 16 kHz: a form that
Lee et al. (SMC 2017) have too, at a third of the cost of 59,049 samples, since the layers next to
the waveform are the slow ones. For the same reason the blocks are compared on the relative whose
first filter is 9 samples long. Scores of a clip average the windows that cover its 10 s.

Whether filters follow the mel scale is asked of the inputs that excite the units of layer 6 most:
their peaks, sorted, against the mel curve and a line (`raw_waveforms.curve`), and against the same
network before training.
"""

from dataclasses import replace

import numpy as np
import pandas as pd
from torch import nn

from mirdl import explain
from mirdl.experiments import store
from mirdl.experiments.networks import judge, network, train
from mirdl.experiments.plan import ladder
from mirdl.experiments.raw_waveforms import curve

#: What each network of the table hears at a time.
SECONDS = 19_683 / 16_000
#: First filter and stride in samples, and blocks of 3 after it: 3 · 3^8 = 9 · 3^7 = … samples.
RELATIVES = {3: 8, 9: 7, 27: 6, 81: 5, 243: 4, 729: 3}
#: The relative on which the blocks are compared. Its gates squeeze, as in Kim et al. (2019).
BASE = {"length": 9, "n": 7, "amplify": 1 / 8}

#: Samples of the inputs that are sought by gradient ascent, and layers whose units they excite.
#: The last of these sees that many, and a little more.
ASCENT, LAYERS = 729, (1, 2, 3, 4, 5, 6)


def layers_up_to(model, number):
    """Return the first layers of a SampleCNN of basic blocks, without the last one's ReLU and pool.

    Parameters
    ----------
    model : SampleCNN
    number : int
        Layers; 1 is the convolution with a stride.

    Returns
    -------
    nn.Sequential
        From (batch, 1, n_samples) to (batch, channels, frames).
    """
    *before, last = [model.conv, *model.blocks[: number - 1]]
    return nn.Sequential(*before, last.conv, last.norm)


def exciting_spectra(model, layers=LAYERS, seed=0):
    """Find the inputs that excite each unit of some layers most; return their peaks and spectra.

    Parameters
    ----------
    model : SampleCNN
        Of basic blocks.
    layers : sequence of int
    seed : int
        Of the noise from which the ascent starts.

    Returns
    -------
    DataFrame
        One row a unit: layer, peak in Hz, and spectrum: magnitudes in 121 bands of 66 Hz, as
        uint8 as `mirdl.experiments.store.encode` has it; `stored_spectra` reads them.
    """
    model.eval()
    parts = []
    for number in layers:
        inputs = explain.exciting_inputs(layers_up_to(model, number), ASCENT, seed=seed)
        power = explain.power_spectra(inputs)  # (units, 365)
        magnitudes = np.sqrt(power[:, 1:364].reshape(len(power), 121, 3).mean(axis=2))
        parts.append(
            pd.DataFrame(
                {
                    "layer": number,
                    "peak": power.argmax(axis=1) * model.sample_rate / ASCENT,
                    "spectrum": store.encode(magnitudes, np.uint8),
                },
                index=[f"layer {number} unit {i}" for i in range(len(power))],
            )
        )
    return pd.concat(parts).rename_axis("output")


def stored_spectra(table, layer):
    """Return the spectra of a layer, array (units, 121), the largest value of each 1.

    Parameters
    ----------
    table : DataFrame
        Of `exciting_spectra`, or ``row["per_tag"]`` of a stored row "mel", seed 0.
    layer : int
    """
    chosen = table[table["layer"] == layer].sort_values("peak")
    return store.decode(chosen["spectrum"], np.uint8)


def looked_into(seed, settings, **overrides):
    """Train a SampleCNN, score it, and ask what excites its units.

    Parameters
    ----------
    seed : int
        Spectra are stored for seed 0.
    settings : Settings
    **overrides
        Of `mirdl.models.build`.

    Returns
    -------
    dict of str to Evaluation
        "tags"; "mel", "line": distance of the sorted peaks of the last of ``LAYERS`` from either
        `curve`; "mel_untrained": the first of these before training.
    """
    before, dataset = [], settings.dataset()
    model = train(
        seed,
        settings,
        "sample_cnn",
        dataset,
        prepare=lambda model: before.append(exciting_spectra(model, LAYERS[-1:], seed)),
        **overrides,
    )
    table = exciting_spectra(model, LAYERS if seed == 0 else LAYERS[-1:], seed)
    peaks = table.loc[table["layer"] == LAYERS[-1], "peak"].to_numpy()
    mel = curve(peaks, "mel", model.sample_rate)
    return {
        "tags": judge(model, dataset),
        "mel": replace(mel, table=table) if seed == 0 else mel,
        "line": curve(peaks, "line", model.sample_rate),
        "mel_untrained": curve(before[0]["peak"].to_numpy(), "mel", model.sample_rate),
    }


def _runs(system, minutes, n_seeds=1, function=network, variants=("tags",), **options):
    return ladder(n_seeds, "sample_level", system, function, minutes, variants, options=options)


def _sample_cnn(system, minutes, n_seeds=1, **options):
    return _runs(system, minutes, n_seeds, name="sample_cnn", for_seconds=None, **options)


def _relative(length, minutes, n_seeds=1):
    options = {"length": length, "n": RELATIVES[length]}
    return _sample_cnn(f"first_{length}", minutes, n_seeds, **options)


def _at_scale(system, minutes, **options):
    options = {"name": "waveform_at_scale", "for_seconds": SECONDS, **options}
    return _runs(system, minutes, **options)


RUNS = [
    *_relative(729, 0.3),
    *_relative(243, 0.3, 3),
    *_relative(81, 0.4),
    *_relative(27, 0.5),
    *_relative(9, 0.7, 3),
    *_runs(
        "first_3",
        1.7,
        3,
        looked_into,
        ("tags", "mel", "line", "mel_untrained"),
        for_seconds=None,
        length=3,
        n=RELATIVES[3],
    ),
    *_sample_cnn("multi_level", 0.7, 3, **BASE, multi_level=True),
    *_sample_cnn("se", 0.8, **BASE, block="se"),
    *_sample_cnn("res_1", 0.9, **BASE, block="res", n_convs=1),
    *_sample_cnn("rese_1", 1.1, **BASE, block="rese", n_convs=1),
    # Thesis Table 5.2: the front end's filters, the back end's filters and units
    *_at_scale("at_scale", 1.4),
    *_at_scale("at_scale_front_quarter", 0.6, multiple=0.25),
    *_at_scale("at_scale_back_64_200", 1.1, back_filters=64, hidden=200),
]
