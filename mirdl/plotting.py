"""Figures of the lessons, in one style: every axis has a name and a unit.

Each function draws into ``ax`` (a new figure where none is given) and returns the Axes.
"""

import io

import librosa.display
import matplotlib.pyplot as plt
import numpy as np
from matplotlib import ticker
from PIL import Image

STYLE = {
    "figure.dpi": 100,
    "savefig.dpi": 100,
    "figure.figsize": (8, 3),
    "figure.constrained_layout.use": True,
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    # Okabe and Ito's colours can be told apart by colour-blind readers too
    "axes.prop_cycle": plt.cycler(
        color=["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"]
    ),
    "image.cmap": "magma",
    "legend.frameon": False,
}


def use_style():
    """Set the style of the course for all figures that follow; lessons call it once.

    In a notebook it also stores figures with 128 colours: a third of the bytes, and no difference
    to the eye, where a dozen spectrograms a lesson would fill its megabyte.
    """
    plt.rcParams.update(STYLE)
    from IPython import get_ipython

    if get_ipython():
        plt.switch_backend(plt.get_backend())  # now: it sets a formatter of its own
        formatters = get_ipython().display_formatter.formatters
        formatters["image/png"].for_type(plt.Figure, few_colours)


def plot_waveform(waveform, sample_rate=16_000, ax=None, title=None):
    """Draw samples over time.

    Parameters
    ----------
    waveform : array, float (n_samples,)
    sample_rate : int
        In Hz.
    ax : matplotlib Axes, optional
    title : str, optional

    Returns
    -------
    matplotlib Axes
    """
    ax = _axes(ax, title)
    librosa.display.waveshow(np.asarray(waveform), sr=sample_rate, axis="s", ax=ax)
    ax.set(xlabel="time [s]", ylabel="amplitude", xlim=(0, len(waveform) / sample_rate))
    return ax


def plot_spectrogram(
    values,
    sample_rate=16_000,
    hop_length=256,
    kind="mel",
    *,
    f_min=None,
    f_max=None,
    htk=True,
    unit=None,
    ax=None,
    title=None,
):
    """Draw a time-frequency representation.

    Parameters
    ----------
    values : array, float (n_bins, n_frames)
    sample_rate, hop_length : int
        In Hz, in samples.
    kind : {"mel", "linear", "cqt", "chroma"}
        What the rows are. A CQT has 12 bins an octave.
    f_min, f_max : float, optional
        Lowest and highest frequency in Hz, for mel (default 0 and half the rate) and CQT (C1).
    htk : bool
        Which mel scale the bands follow: HTK's as our presets, or Slaney's as librosa's default.
    unit : str, optional
        What the values are, e.g. "dB": beside the colour bar, which is drawn only then.
    ax : matplotlib Axes, optional
    title : str, optional

    Returns
    -------
    matplotlib Axes
    """
    scales = {"mel": "mel", "linear": "linear", "cqt": "cqt_hz", "chroma": "chroma"}
    if kind not in scales:
        raise ValueError(f"kind {kind!r}: one of {', '.join(scales)}")
    ax = _axes(ax, title)
    mesh = librosa.display.specshow(
        np.asarray(values),
        sr=sample_rate,
        hop_length=hop_length,
        x_axis="s",
        y_axis=scales[kind],
        fmin=f_min,
        fmax=f_max,
        htk=htk,
        cmap="magma",
        rasterized=True,
        ax=ax,
    )
    name = {"mel": "frequency [Hz], mel", "chroma": "pitch class"}.get(kind, "frequency [Hz]")
    ax.set(xlabel="time [s]", ylabel=name)
    ax.xaxis.set_major_locator(ticker.AutoLocator())
    ax.minorticks_off()
    if unit:
        ax.figure.colorbar(mesh, ax=ax, label=unit, pad=0.01)
    return ax


def plot_attribution(values, sample_rate=16_000, hop_length=256, ax=None, title=None):
    """Draw what every cell of a mel spectrogram adds to an output: red for, blue against.

    Parameters
    ----------
    values : array, float (n_mels, n_frames)
        From `mirdl.explain.integrated_gradients`, in logits.
    sample_rate, hop_length : int
        In Hz, in samples.
    ax : matplotlib Axes, optional
    title : str, optional

    Returns
    -------
    matplotlib Axes
    """
    values = np.asarray(values)
    ax = plot_spectrogram(values, sample_rate, hop_length, ax=ax, title=title)
    most = max(np.quantile(np.abs(values), 0.998), 1e-12)  # a few cells would hide all others
    mesh = ax.collections[0]
    mesh.set(cmap="RdBu_r", clim=(-most, most))
    ax.figure.colorbar(mesh, ax=ax, label="logits a cell", pad=0.01)
    return ax


def plot_scores(table, metric=None, chance=None, ax=None, title=None):
    """Draw one dot a system with its interval, in the order of the table, and the chance line.

    Parameters
    ----------
    table : DataFrame
        One row a system, in ladder order; columns ``mean``, ``low``, ``high`` and, where
        ``chance`` is not given, ``chance``. This is what ``experiments.store.table`` returns.
        A row without a mean shows as missing.
    metric : str, optional
        Name of the horizontal axis; default: the table's column ``metric``.
    chance : float, optional
        Score of guessing.
    ax : matplotlib Axes, optional
    title : str, optional

    Returns
    -------
    matplotlib Axes
    """
    names = [" ".join(str(part) for part in np.atleast_1d(name) if part) for name in table.index]
    ax = _axes(ax, title, size=(7, 0.9 + 0.28 * len(names)))
    rows = np.arange(len(names))
    mean, low, high = (table[name].to_numpy(dtype=float) for name in ("mean", "low", "high"))
    there = np.isfinite(mean)
    ax.hlines(rows[there], low[there], high[there], color="C0", linewidth=2, alpha=0.5)
    ax.plot(mean[there], rows[there], "o", color="C0")
    if chance is None and "chance" in table:
        chance = table["chance"]
    if chance is not None:
        levels = np.broadcast_to(np.asarray(chance, dtype=float), mean.shape)
        if len(np.unique(levels[np.isfinite(levels)])) == 1:  # one line, through missing rows too
            levels = np.full(mean.shape, np.nanmax(levels))
        dotted = {"color": "0.4", "linestyle": ":", "label": "chance"}
        ax.vlines(levels, rows - 0.5, rows + 0.5, **dotted)
        ax.legend()
    for row in rows[~there]:
        ax.annotate(
            "missing", (0.5, row), xycoords=("axes fraction", "data"), color="0.5", va="center"
        )
    if metric is None:
        metric = next((name for name in table.get("metric", []) if name), "score")
    label = {"roc_auc": "ROC-AUC", "pr_auc": "PR-AUC"}.get(metric, metric.replace("_", " "))
    ax.set(xlabel=label, yticks=rows, yticklabels=names)
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.grid(axis="x", alpha=0.3)
    return ax


def plot_taggram(times, probabilities, tags, n_tags=None, ax=None, title=None):
    """Draw the tags of a song over time.

    Parameters
    ----------
    times : array, float (n_windows,)
        Middles of the windows in seconds; the last may lie closer (`mirdl.explain.taggram`).
    probabilities : array, float (n_windows, n_tags)
        Between 0 and 1.
    tags : list of str
    n_tags : int, optional
        Show only the tags with the highest mean, these in falling order; default: all, in their
        own order.
    ax : matplotlib Axes, optional
    title : str, optional

    Returns
    -------
    matplotlib Axes
    """
    times, probabilities = np.asarray(times), np.asarray(probabilities)
    rows = np.arange(len(tags))
    if n_tags is not None:
        rows = np.argsort(-probabilities.mean(axis=0), kind="stable")[:n_tags]
    ax = _axes(ax, title, size=(8, 1.2 + 0.22 * len(rows)))
    middles = (times[1:] + times[:-1]) / 2
    before, after = (np.diff(times)[[0, -1]] / 2) if len(times) > 1 else (0.5, 0.5)
    edges = np.concatenate([[times[0] - before], middles, [times[-1] + after]])
    lines = np.arange(len(rows) + 1) - 0.5
    image = ax.pcolormesh(edges, lines, probabilities[:, rows].T, vmin=0, vmax=1, cmap="magma")
    ax.invert_yaxis()
    ax.set(xlabel="time [s]", yticks=np.arange(len(rows)), yticklabels=[tags[row] for row in rows])
    ax.figure.colorbar(image, ax=ax, label="probability", pad=0.01)
    return ax


def plot_confusion(matrix, labels, ax=None, title=None):
    """Draw a confusion matrix: counts as numbers, each row's share as colour.

    Parameters
    ----------
    matrix : array, int (n_classes, n_classes)
        Row: the truth; column: the answer (as scikit-learn's ``confusion_matrix``).
    labels : list of str
    ax : matplotlib Axes, optional
    title : str, optional

    Returns
    -------
    matplotlib Axes
    """
    matrix = np.asarray(matrix)
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    side = 2 + 0.45 * len(labels)
    ax = _axes(ax, title, size=(side + 0.8, side))
    image = ax.imshow(share, vmin=0, vmax=1, cmap="Blues")
    for i, j in np.ndindex(matrix.shape):
        if matrix[i, j]:
            shade = "white" if share[i, j] > 0.5 else "black"
            ax.text(j, i, f"{matrix[i, j]:g}", ha="center", va="center", color=shade)
    places = np.arange(len(labels))
    ax.set(xlabel="answer", ylabel="truth", xticks=places, yticks=places, yticklabels=labels)
    ax.set_xticks(places, labels, rotation=45, ha="right", rotation_mode="anchor")
    ax.figure.colorbar(image, ax=ax, label="share of the true class", shrink=0.8)
    return ax


def _axes(ax, title, size=None):
    if ax is None:
        _, ax = plt.subplots(figsize=size)
    if title:
        ax.set_title(title)
    return ax


def few_colours(figure):
    """Return a figure as PNG (bytes) with a palette of 128 colours."""
    drawn, stored = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="png", bbox_inches="tight")
    image = Image.open(drawn).convert("RGB")
    # the default, median cut, spends no colour on what is rare, such as the ends of a colour bar
    few = image.quantize(128, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    few.save(stored, format="PNG", optimize=True)
    return stored.getvalue()
