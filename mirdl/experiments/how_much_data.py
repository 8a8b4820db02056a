"""Lesson 22: waveform, spectrogram and boosted trees as the training set grows.

The two networks are those of thesis section 5.4 in their basic form, on 3 s of audio: a waveform
and a spectrogram front end before one and the same back end. The third line is gradient-boosted
trees on descriptors, one ensemble a tag. Decided before any row existed:

- Training sets are artists, three tracks each. Up to the 60 of the embedded set they are drawn by
  the seed, and every smaller set is part of the larger ones of its seed; beyond, artists of a
  rendered set of the same kind join them. All systems of a seed and a size hear the same clips.
- Every point is scored on the embedded set's 30 test artists. Its 16 validation artists choose
  the weights of the networks at every size; the trees do without.
- A network has 1,000 steps whatever the size: each time it hears as many crops, of fewer or of
  more clips. A larger set costs no more training; it may have deserved more. What twice the steps
  give at the largest size is a row of its own, of one seed and under no claim.
"""

from dataclasses import replace

import numpy as np
import pandas as pd
from filelock import FileLock

from mirdl import compose, datasets, models
from mirdl.evaluation import evaluate
from mirdl.evaluation.curves import learning_curve
from mirdl.experiments import store
from mirdl.experiments.augmentation import fewer_artists
from mirdl.experiments.networks import judge, train
from mirdl.experiments.plan import ladder
from mirdl.paths import cache_folder

#: Training artists of a point, and their number as a share of the embedded set's.
SHARES = {15: 0.25, 30: 0.5, 60: 1, 120: 2, 240: 4}
#: Seeds of every point.
N_SEEDS = 3
#: Clips of an artist: three tracks, three clips each.
CLIPS = 9
#: Tracks of the rendered set: eight times 53 artists, of whom eight times 30 are for training.
N_TRACKS = 1272
#: Models, and what differs from their defaults.
SYSTEMS = {
    "waveform": {"name": "waveform_at_scale"},
    "spectrogram": {"name": "spectrogram_at_scale"},
    "trees": {"name": "boosted_trees", "feature": "descriptors"},
}
#: Validations of a network, evenly over its steps.
VALIDATIONS = 5

#: Thesis Tables 5.1 (means of three runs), 5.4, 5.2 and 5.3 (the selected front ends), by songs
#: for training. Table 5.1 gives the trees 1.2M, which is all that there are, those of validation
#: and test among them. MTT has 18,706 training clips in the split of the authors' code.
PUBLISHED = pd.DataFrame(
    [
        ("1.2M-songs", 1_000_000, "waveform", 92.50, 61.20, 0.1465),
        ("1.2M-songs", 1_000_000, "spectrogram", 92.17, 59.92, 0.1473),
        ("1.2M-songs", 500_000, "waveform", 91.16, 56.42, 0.1504),
        ("1.2M-songs", 500_000, "spectrogram", 91.61, 58.18, 0.1493),
        ("1.2M-songs", 100_000, "waveform", 90.27, 52.76, 0.1554),
        ("1.2M-songs", 100_000, "spectrogram", 90.14, 52.67, 0.1542),
        ("1.2M-songs", 1_200_000, "trees", 91.61, 54.27, 0.1569),
        ("MSD", 200_000, "waveform", 87.41, 28.53, np.nan),
        ("MSD", 200_000, "spectrogram", 88.75, 31.24, np.nan),
        ("MTT", 18_706, "waveform", 88.96, 34.74, np.nan),
        ("MTT", 18_706, "spectrogram", 90.40, 38.11, np.nan),
    ],
    columns=["dataset", "songs", "system", "roc_auc", "pr_auc", "rmse"],
)


def rendered(target="tags", unit="clip"):
    """Return the larger set; the first call renders it into the cache, 11 hours of audio.

    Another process that asks meanwhile waits. What was interrupted goes on where it was, and
    ``mirdl data render --tracks 1272`` makes the same. Target and unit are as in `datasets.load`.
    """
    folder = cache_folder() / "datasets" / f"render-{N_TRACKS}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if not (folder / "annotations.jsonl.gz").is_file():  # the table that is written last
            compose.render(folder, N_TRACKS, n_stems=0, progress=False)
    return datasets.load("minitag", target, unit, root=folder)


def together(dataset, more):
    """Return a data set that has the clips of another one besides its own."""
    return replace(
        dataset,
        clips=pd.concat([dataset.clips, more.clips], ignore_index=True),
        targets=np.concatenate([dataset.targets, more.targets]),
    )


def of_size(dataset, share, seed):
    """Return a data set with fewer or more training artists; valid and test stay as they are.

    Parameters
    ----------
    dataset : Dataset
        The embedded one.
    share : float
        Training artists, as a share of its own. Above 1, artists of `rendered` follow.
    seed : int
        Of their choice. The set of a smaller share is part of that of a larger one.

    Returns
    -------
    Dataset
    """
    if share <= 1:
        return fewer_artists(dataset, share, seed)
    n_own = dataset.subset("train").clips["artist"].nunique()
    more = rendered().subset("train")
    more = more.select(~more.clips["artist"].isin(dataset.clips["artist"]))
    artists = np.random.default_rng(seed).permutation(more.clips["artist"].unique())
    more = more.select(more.clips["artist"].isin(artists[: round((share - 1) * n_own)]))
    return together(dataset, more)


def point(seed, settings, name, share, times=1, **overrides):
    """Train one system on one training set, and score it on the test clips.

    Parameters
    ----------
    seed : int
        Of the artists, and of the training.
    settings : Settings
    name : str
        A model of `mirdl.models.build`.
    share : float
        As in `of_size`.
    times : float
        Factor on the steps.
    **overrides
        Of `mirdl.models.build`.

    Returns
    -------
    Evaluation
        Its table also says how many training clips and artists each tag has.
    """
    dataset = of_size(settings.dataset(), share, seed)
    heard = dataset.subset("train")
    if name in models.BASELINES:
        model = models.build(name, seed=seed, **overrides).fit(heard)
        made = evaluate(model, dataset.subset("test"))
    else:
        settings = replace(settings, steps_per_epoch=max(1, settings.n_steps // VALIDATIONS))
        model = train(seed, settings.times(times), name, dataset, **overrides)
        made = judge(model, dataset)
    carried = pd.DataFrame(heard.targets > 0, columns=heard.tags)
    artists = carried.groupby(heard.clips["artist"]).any().sum()
    return replace(made, table=made.table.assign(train_clips=carried.sum(), train_artists=artists))


def curves(system):
    """Return the stored rows of a system by training artists: dict of int to list of dict."""
    rows = store.load("how_much_data", system)
    found = {n: [row for row in rows if row["variant"] == f"{n}_artists"] for n in SHARES}
    return {n: of_size for n, of_size in found.items() if of_size}


def learned(system, metric="roc_auc"):
    """Return the `LearningCurve` of a system's stored rows.

    Sizes that lack a seed are left out; None where fewer than three are left.
    """
    whole = {n: rows for n, rows in curves(system).items() if len(rows) == N_SEEDS}
    return learning_curve(whole, metric) if len(whole) >= 3 else None


def costs(gain=0.01):
    """Return what a point of ROC-AUC costs each system at each size, in clips and core-minutes.

    Parameters
    ----------
    gain : float
        What is bought; 0.01 is a point.

    Returns
    -------
    DataFrame
        Columns system, artists (missing rows are left out), clips; roc_auc; minutes (of one
        training and its test, on one core); clips_a_point: more clips for each point gained since
        the row above, infinite where nothing was; minutes_a_point: for each point above chance.
    """
    lines = []
    for system in SYSTEMS:
        before = None
        for n, rows in curves(system).items():
            reached = np.mean([row["metrics"]["roc_auc"] for row in rows])
            minutes = np.mean([row["core_minutes"] for row in rows])
            line = {"system": system, "artists": n, "clips": CLIPS * n}
            line |= {"roc_auc": reached, "minutes": minutes}
            if before:
                more, gained = (line[key] - before[key] for key in ("clips", "roc_auc"))
                line["clips_a_point"] = _price(more, gained / gain)
            line["minutes_a_point"] = _price(minutes, (reached - 0.5) / gain)
            lines.append(line)
            before = line
    columns = ["system", "artists", "clips", "roc_auc", "minutes"]
    return pd.DataFrame(lines, columns=[*columns, "clips_a_point", "minutes_a_point"])


def _price(paid, points):
    return paid / points if points > 0 else np.inf


def leads(metric="roc_auc"):
    """Return by how much the waveform leads in thesis Table 5.1, and on its trend lines.

    A trend line is a straight line through a system's points, over songs, as in its Figure 5.5.

    Parameters
    ----------
    metric : {"roc_auc", "pr_auc", "rmse"}
        The first two in per cent. Of "rmse" the sign is turned: above zero the waveform leads.

    Returns
    -------
    DataFrame
        Index songs; columns table and lines.
    """
    rows = PUBLISHED[PUBLISHED["dataset"] == "1.2M-songs"]
    table = rows.pivot(index="songs", columns="system", values=metric)
    table = table[["waveform", "spectrogram"]].dropna()
    lines = table.apply(lambda y: np.polyval(np.polyfit(table.index / 1e6, y, 1), y.index / 1e6))
    sign = -1 if metric == "rmse" else 1
    both = {"table": table, "lines": lines}
    return pd.DataFrame({k: sign * (v["waveform"] - v["spectrogram"]) for k, v in both.items()})


def _point(system, n_artists, minutes, n_seeds=N_SEEDS, suffix="", **options):
    options = {**SYSTEMS[system], "share": SHARES[n_artists], **options}
    variants = (f"{n_artists}_artists{suffix}",)
    return ladder(n_seeds, "how_much_data", system, point, minutes, variants, options=options)


RUNS = [
    *(run for n in SHARES for run in _point("waveform", n, 2.5)),
    *(run for n in SHARES for run in _point("spectrogram", n, 2.5)),
    # the first of these also computes the descriptors
    *(run for n in SHARES for run in _point("trees", n, 0.4)),
    *_point("waveform", 240, 4.8, 1, "_twice", times=2),
    *_point("spectrogram", 240, 4.8, 1, "_twice", times=2),
]
