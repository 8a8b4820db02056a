"""mirdl.plotting: axes with units, rows in order, missing rows shown."""

import io
import warnings

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from mirdl import plotting
from mirdl.plotting import (
    plot_confusion,
    plot_scores,
    plot_spectrogram,
    plot_taggram,
    plot_waveform,
)


@pytest.fixture(autouse=True)
def drawn_without_warnings():
    with plt.rc_context(), warnings.catch_warnings():
        warnings.simplefilter("error")
        plotting.use_style()
        yield
        for number in plt.get_fignums():
            plt.figure(number).canvas.draw()
        plt.close("all")


def labels(axis):
    return [label.get_text() for label in axis.get_ticklabels()]


def test_style():
    assert plt.rcParams["figure.dpi"] == plt.rcParams["savefig.dpi"] == 100


def test_waveform(rng):
    ax = plot_waveform(rng.uniform(-1, 1, 32_000), 16_000, title="noise")
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("time [s]", "amplitude")
    assert ax.get_xlim() == (0, 2)
    assert ax.get_title(loc="left") == "noise"


@pytest.mark.parametrize(
    ("kind", "n_bins", "top", "label"),
    [
        ("mel", 96, 8000, "frequency [Hz], mel"),
        ("linear", 257, 8000, "frequency [Hz]"),
        ("cqt", 84, 4186, "frequency [Hz]"),
        ("chroma", 12, 12, "pitch class"),
    ],
)
def test_spectrogram(rng, kind, n_bins, top, label):
    ax = plot_spectrogram(rng.random((n_bins, 63)), kind=kind, unit="dB")
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("time [s]", label)
    assert ax.get_xlim()[1] == pytest.approx(63 * 256 / 16_000, abs=0.02)
    assert ax.get_ylim()[1] == pytest.approx(top, rel=0.06)
    assert ax.figure.axes[1].get_ylabel() == "dB"


def test_spectrogram_axes_and_kinds(rng):
    _, ax = plt.subplots()
    assert plot_spectrogram(rng.random((96, 20)), ax=ax) is ax
    assert len(ax.figure.axes) == 1  # no unit, no colour bar
    with pytest.raises(ValueError, match="kind 'wavelet'"):
        plot_spectrogram(rng.random((96, 20)), kind="wavelet")


def scores():
    index = pd.MultiIndex.from_tuples([("knn", "tags"), ("svm", "tags"), ("fcn", "")])
    columns = {"metric": "roc_auc", "chance": [0.5, np.nan, 0.5]}
    values = {"mean": [0.6, np.nan, 0.8], "low": [0.5, np.nan, 0.7], "high": [0.7, np.nan, 0.9]}
    return pd.DataFrame({**columns, **values}, index=index)


def test_scores_keep_the_order_and_show_what_is_missing():
    ax = plot_scores(scores())
    assert labels(ax.yaxis) == ["knn tags", "svm tags", "fcn"]
    assert ax.yaxis_inverted()
    assert ax.get_xlabel() == "ROC-AUC"
    [dots] = [line for line in ax.lines if line.get_marker() == "o"]
    assert dots.get_xydata().tolist() == [[0.6, 0], [0.8, 2]]
    assert [text.get_text() for text in ax.texts] == ["missing"]
    chance = ax.collections[-1].get_segments()
    assert [segment[0][0] for segment in chance] == [0.5, 0.5, 0.5]


def test_scores_with_a_chance_of_each_row():
    ax = plot_scores(scores(), metric="accuracy", chance=[0.1, 0.2, 0.3])
    assert ax.get_xlabel() == "accuracy"
    assert [segment[0][0] for segment in ax.collections[-1].get_segments()] == [0.1, 0.2, 0.3]


def test_taggram(rng):
    probabilities = rng.random((9, 4)) * [1, 0.1, 0.5, 0.2]
    times = np.r_[np.arange(8) + 1.5, 9.1]  # the last window ends with the song
    ax = plot_taggram(times, probabilities, ["a", "b", "c", "d"], n_tags=3)
    assert labels(ax.yaxis) == ["a", "c", "d"]
    assert ax.yaxis_inverted()
    assert ax.get_xlim() == pytest.approx((1.0, 9.4))
    np.testing.assert_allclose(
        ax.collections[0].get_array().reshape(3, 9), probabilities[:, [0, 2, 3]].T
    )
    assert labels(plot_taggram(times, probabilities, ["a", "b", "c", "d"]).yaxis) == [*"abcd"]
    assert plot_taggram([1.5], probabilities[:1], ["a", "b", "c", "d"]).get_xlim() == (1, 2)


def test_confusion():
    ax = plot_confusion([[3, 1], [0, 0]], ["waltz", "tango"])
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("answer", "truth")
    assert labels(ax.xaxis) == labels(ax.yaxis) == ["waltz", "tango"]
    assert sorted(text.get_text() for text in ax.texts) == ["1", "3"]
    np.testing.assert_allclose(ax.images[0].get_array(), [[0.75, 0.25], [0, 0]])


def test_stored_figures_have_a_palette_and_look_the_same(rng):
    ax = plot_spectrogram(rng.random((96, 300)), unit="dB")
    stored = Image.open(io.BytesIO(plotting.few_colours(ax.figure)))
    whole = io.BytesIO()
    ax.figure.savefig(whole, format="png", bbox_inches="tight")
    original = Image.open(whole)
    assert (stored.mode, stored.size) == ("P", original.size)
    difference = np.subtract(stored.convert("RGB"), original.convert("RGB"), dtype=float)
    assert np.abs(difference).mean() < 2  # of 255
    assert len(plotting.few_colours(ax.figure)) < whole.tell() / 2


def test_attributions_are_drawn_with_zero_in_the_middle():
    ax = plotting.plot_attribution(np.linspace(-1, 2, 200).reshape(10, 20))
    low, high = ax.collections[0].get_clim()
    assert high == -low == pytest.approx(2, abs=0.05)
    assert plotting.plot_attribution(np.zeros((10, 20))).collections[0].get_clim()[1] > 0
