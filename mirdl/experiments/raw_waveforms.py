"""Lesson 12: a strided convolution in the place of the STFT, and what becomes of its filters.

The rows are those of Dieleman and Schrauwen's Tables 1 to 3, the spectrogram's in `one_dimension`.
Their claims about the filters are tested on two networks that train four times as long, by
properties that a filter either has or has not (`share`), or by `curve`:

- *Selective*: half of the filter's energy lies in a band of at most ``BAND``. White noise needs
  more than 3,000 Hz for that. Compared with the same filters before training.
- *Selective above* ``BAND``: that band lies higher. Pieces of music are selective as they are, but
  at low frequencies. Compared with as many pieces of the training clips.
- *In its own pool*: of all other filters the one that resembles it most, time shift and phase
  aside, belongs to its pool. Compared with the same before training, and with plain correlation,
  which copies in another phase would escape.
"""

from dataclasses import replace

import librosa
import numpy as np
import pandas as pd

from mirdl import explain
from mirdl.datasets import Dataset
from mirdl.datasets.pack import pack
from mirdl.evaluation import score
from mirdl.experiments import store
from mirdl.experiments.networks import judge, network, train
from mirdl.experiments.one_dimension import WINDOWS
from mirdl.experiments.plan import ladder

#: Half of a selective filter's energy lies in this many Hz, an eighth of them all.
BAND = 1000
#: Times the steps of the budget: the training of the filters that are looked at.
LONG = 4
#: A strided convolution over raw audio takes up to twice as long in bf16 on a processor.
PRECISE = {"precision": "fp32"}
#: Length and stride of the papers' Tables 2 and 3, and Figure 4.
COARSE = {"length": 1024, "stride": 1024}


def filters_of(model):
    """Return the filters of a `RawFilters` front end, float32 (n_filters, n_samples)."""
    return model.front_end.conv.weight.detach().squeeze(1).float().numpy().copy()


def excerpts(dataset, length, number, seed=0):
    """Draw pieces of a data set's training clips, as long as a filter.

    Parameters
    ----------
    dataset : Dataset
        With its splits.
    length, number, seed : int

    Returns
    -------
    array, float32 (number, length)
        None of them is silent.
    """
    audio = pack(dataset.subset("train"), progress=False)
    rng, drawn = np.random.default_rng(seed), []
    while len(drawn) < number:
        clip = audio.clip(int(rng.integers(len(audio)))).numpy()
        start = rng.integers(len(clip) - length)
        if np.ptp(clip[start : start + length]) > 0.001:
            drawn.append(clip[start : start + length])
    return np.stack(drawn)


def selective(filters, sample_rate=16_000, above=0):
    """Say of each filter whether half of its energy lies within ``BAND``.

    Parameters
    ----------
    filters : array (n_filters, n_samples)
    sample_rate : int
        In Hz.
    above : float
        Where the middle of that band has to be at least, in Hz.

    Returns
    -------
    bool array (n_filters,)
    """
    low, high = explain.half_power_bands(filters, sample_rate)
    return (high - low <= BAND) & (low + high >= 2 * above)


def in_own_pool(filters, pool_size, time_and_phase=False):
    """Say of each filter whether the one most like it is in its pool.

    Parameters
    ----------
    filters : array (n_filters, n_samples)
        Pool after pool.
    pool_size : int
    time_and_phase : bool
        Whether these count: the magnitude of the plain correlation then says what is like what.

    Returns
    -------
    bool array (n_filters,)
    """
    alike = np.abs(np.corrcoef(filters)) if time_and_phase else explain.likeness(filters)
    np.fill_diagonal(alike, -1)
    pools = np.arange(len(filters)) // pool_size
    return pools[alike.argmax(axis=1)] == pools


def share(passed, pool_size=1, chance=0.0):
    """Evaluate a property of filters: the share that has it.

    Filters take the place of clips, and pools, whose filters are not independent, that of artists:
    the bootstrap draws pools. Filter k after training is so compared with filter k before.

    Parameters
    ----------
    passed : bool array (n_filters,)
    pool_size : int
    chance : float
        The share to expect of filters that know nothing.

    Returns
    -------
    Evaluation
        Its only metric is "share".
    """
    truth = np.ones(len(passed), dtype=np.int64)
    filters = _as_clips(["no", "yes"], truth, "multiclass", pool_size)
    made = score(np.eye(2)[np.asarray(passed, dtype=int)], filters)
    parts = {
        name: {"share": getattr(made, name)["accuracy"]}
        for name in ("metrics", "interval", "replicates")
    }
    return replace(made, **parts, chance={"share": chance})


def curve(peaks, scale, sample_rate=16_000):
    """Evaluate how far the sorted peaks of filters are from a curve.

    Parameters
    ----------
    peaks : array (n_filters,)
        Frequency of each filter's largest magnitude, in Hz.
    scale : {"mel", "line"}
        As many frequencies from 0 Hz to half the sample rate, at equal distances in mel or in Hz.
    sample_rate : int
        In Hz.

    Returns
    -------
    Evaluation
        Of a regression, in kHz.
    """
    n, top = len(peaks), sample_rate / 2
    frequencies = {
        "mel": librosa.mel_frequencies(n, fmin=0, fmax=top, htk=True),
        "line": np.linspace(0, top, n),
    }[scale]
    kilohertz = np.stack([np.sort(peaks), frequencies])[..., None] / 1000
    return score(kilohertz[0], _as_clips(["peak"], kilohertz[1], "regression"))


def long_trained(seed, settings, n_steps=LONG, pool_size=1, **overrides):
    """Train a raw-audio network for long, score it, and look at its first filters.

    Parameters
    ----------
    seed : int
        Filters are stored for seed 0.
    settings : Settings
    n_steps : float
        Times the steps of the settings.
    pool_size : int
        Above 1, what L2 pooling has made of the filters is also asked.
    **overrides
        Of `mirdl.models.build`.

    Returns
    -------
    dict of str to Evaluation
        "tags". "selective", "untrained", "excerpts": share of selective filters after and before
        training, and of pieces of the training clips. "high", "excerpts_high": those of them
        above ``BAND``. "mel", "line": distance of the peaks from either `curve`. With pools:
        "own_pool", "own_pool_untrained", and "own_pool_plain", where time and phase count.
    """
    dataset = settings.dataset()
    before = []
    model = train(
        seed,
        settings.times(n_steps),
        "dieleman_raw",
        dataset,
        PRECISE,
        prepare=lambda model: before.append(filters_of(model)),
        pool_size=pool_size,
        **overrides,
    )
    (old,), new, rate = before, filters_of(model), model.sample_rate
    music = excerpts(dataset, new.shape[1], len(new), seed)
    table = describe(new, rate, keep=seed == 0)
    found = {
        "tags": judge(model, dataset),
        "selective": replace(share(selective(new, rate), pool_size), table=table),
        "untrained": share(selective(old, rate), pool_size),
        "excerpts": share(selective(music, rate), pool_size),
        "high": share(selective(new, rate, above=BAND), pool_size),
        "excerpts_high": share(selective(music, rate, above=BAND), pool_size),
        "mel": curve(table["peak"], "mel", rate),
        "line": curve(table["peak"], "line", rate),
    }
    if pool_size > 1:
        chance = (pool_size - 1) / (len(new) - 1)
        for name, passed in (
            ("own_pool", in_own_pool(new, pool_size)),
            ("own_pool_untrained", in_own_pool(old, pool_size)),
            ("own_pool_plain", in_own_pool(new, pool_size, time_and_phase=True)),
        ):
            found[name] = share(passed, pool_size, chance)
    return found


def describe(filters, sample_rate=16_000, keep=False):
    """Return what is stored of filters.

    Parameters
    ----------
    filters : array (n_filters, n_samples)
    sample_rate : int
        In Hz.
    keep : bool
        Whether to add the weights themselves.

    Returns
    -------
    DataFrame
        One row a filter; peak, low and high (`mirdl.explain.half_power_bands`) in Hz, and weights:
        int8 as `mirdl.experiments.store.encode` has it; `stored_filters` reads them.
    """
    power = explain.power_spectra(filters)
    low, high = explain.half_power_bands(filters, sample_rate)
    peak = power.argmax(axis=1) * sample_rate / filters.shape[1]
    names = pd.Index([f"filter {i}" for i in range(len(filters))], name="output")
    table = pd.DataFrame({"peak": peak, "low": low, "high": high}, index=names)
    if keep:
        table["weights"] = store.encode(filters, np.int8)
    return table


def stored_filters(row):
    """Return the filters that a row of "selective" has kept.

    Parameters
    ----------
    row : dict
        Of `mirdl.experiments.store.load`, seed 0.

    Returns
    -------
    array, float32 (n_filters, n_samples)
        The largest weight of each is 1 in magnitude; rounded to 1/127 of that.
    """
    return store.decode(row["per_tag"]["weights"], np.int8)


def _as_clips(tags, targets, task, pool_size=1):
    """Let filters take the place of a data set's clips, and pools that of its artists."""
    n = len(targets)
    clips = pd.DataFrame({"clip_id": np.arange(n).astype(str), "artist": np.arange(n) // pool_size})
    clips = clips.assign(path="", start=0.0, end=0.0, split="test")
    return Dataset("filters", clips, tags, targets, task)


def _runs(system, seeds, minutes, function=network, variants=("tags",), **options):
    return ladder(seeds, "raw_waveforms", system, function, minutes, variants, options=options)


def _raw(system, seeds, minutes, **options):
    return _runs(system, seeds, minutes, name="dieleman_raw", training=PRECISE, **options)


def _lengths(system, minutes, **options):
    options = {"name": "frame_level_many_shapes", "for_seconds": 1, **options}
    return _runs(system, 1, minutes, training=PRECISE, **options)


FILTERS = ("tags", "selective", "untrained", "excerpts", "high", "excerpts_high", "mel", "line")
POOLS = ("own_pool", "own_pool_untrained", "own_pool_plain")

RUNS = [
    *(
        run
        for (length, stride), minutes in zip(WINDOWS, (0.25, 0.35, 0.25, 0.45, 0.35), strict=True)
        for run in _raw(f"{length}_{stride}", 3, minutes, length=length, stride=stride)
    ),
    *_raw("log_square", 3, 0.25, nonlinearity="log_square", **COARSE),
    *_raw("log", 3, 0.25, nonlinearity="log", **COARSE),
    *_raw("l2_2", 1, 0.25, feature_pooling="l2", pool_size=2, **COARSE),
    *_raw("l2_4", 3, 0.2, feature_pooling="l2", pool_size=4, **COARSE),
    *_raw("max_2", 1, 0.25, feature_pooling="max", pool_size=2, **COARSE),
    *_raw("max_4", 3, 0.2, feature_pooling="max", pool_size=4, **COARSE),
    *_lengths("many_lengths", 0.9),
    # as many filters, weights and multiplications
    *_lengths("one_length", 0.9, lengths=(198,), filters=320),
    *_runs("512_512_long", 3, 0.9, long_trained, FILTERS, length=512, stride=512),
    *_runs(
        "l2_4_long",
        3,
        0.7,
        long_trained,
        FILTERS + POOLS,
        feature_pooling="l2",
        pool_size=4,
        **COARSE,
    ),
]
