"""Lesson 20: the nearest neighbours of a track, under vectors that were learnt and others.

A query is a clip of a test track; its neighbours are such clips by other test artists, by the
cosine of vectors that were standardised on the training clips. Among the five nearest counts the
share of those of its style, or with its lead instrument. Test artists are those of the embedded
data and 90 of a rendered set. Decided before any row existed.
"""

import numpy as np
import pandas as pd

from mirdl.evaluation import Evaluation
from mirdl.evaluation.scoring import artist_weights, interval
from mirdl.experiments.plan import ladder
from mirdl.experiments.without_tags import N_BOOTSTRAP, collection
from mirdl.experiments.without_tags_systems import described

#: What a query and its neighbours may share.
KINDS = ("style", "lead")
#: Neighbours that count, and those that are named for listening.
K, HEARD = 5, 3


def nearest(vectors, artists, reference=None):
    """Sort all clips by their nearness to each clip; those of its own artist come last.

    Parameters
    ----------
    vectors : array (n_clips, n_values)
    artists : array of str (n_clips,)
    reference : array (n, n_values), optional
        Vectors whose mean and deviation standardise the others; default: themselves.

    Returns
    -------
    array of int (n_clips, n_clips)
        Row i: from the nearest to clip i, by cosine, to the farthest.
    """
    reference = vectors if reference is None else reference
    deviation = reference.std(axis=0)
    vectors = (vectors - reference.mean(axis=0)) / np.where(deviation > 0, deviation, 1)
    vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    distances = 1 - vectors @ vectors.T
    distances[artists[:, None] == artists] = np.inf
    return np.argsort(distances, axis=1, kind="stable")


def precision(order, labels, artists, k=K):
    """Return the share of each clip's k nearest that have its label, and that of all others.

    Parameters
    ----------
    order : array of int (n_clips, n_clips)
        Of `nearest`.
    labels, artists : array of str (n_clips,)
    k : int
        Fewer where another artist has not as many clips.

    Returns
    -------
    found, chance : array (n_clips,)
    """
    others = artists[:, None] != artists
    same = labels[:, None] == labels
    k = min(k, others.sum(axis=1).min())
    found = np.take_along_axis(same, order[:, :k], axis=1).mean(axis=1)
    return found, (same & others).sum(axis=1) / others.sum(axis=1)


def retrieval(seed, settings, system):
    """Score the nearest neighbours of test tracks under the vectors of a system.

    Parameters
    ----------
    seed : int
        Of the network.
    settings : Settings
    system : str
        As in `mirdl.experiments.without_tags_systems.described`.

    Returns
    -------
    dict of str to Evaluation
        By ``KINDS``. The metric is "precision_5". The table has a row for each label: clips,
        precision; and a clip of the embedded data as query, with its nearest there, by clip id.
    """
    dataset = collection(settings)
    rows = described(system, dataset, seed, settings)
    train, clips = dataset.subset("train").clips, dataset.subset("test").clips
    second = clips.groupby("track_id").cumcount() == 1
    clips = clips[second | ~clips["embedded"]].reset_index(drop=True)
    reference, vectors = (
        np.concatenate([rows[name] for name in part["clip_id"]]) for part in (train, clips)
    )
    artists = clips["artist"].to_numpy(dtype=str)
    order = nearest(vectors, artists, reference)
    weights, resample_id = artist_weights(artists, N_BOOTSTRAP)
    made = {}
    for kind in KINDS:
        found, chance = precision(order, clips[kind].to_numpy(dtype=str), artists)
        replicates = weights @ found / weights.sum(axis=1)
        point = float(found.mean())
        made[kind] = Evaluation(
            scores=found[:, None],
            metrics={"precision_5": point},
            chance={"precision_5": float(chance.mean())},
            interval={"precision_5": tuple(map(float, interval(replicates, point)))},
            table=_table(clips, kind, found, order),
            replicates={"precision_5": replicates},
            resample_id=resample_id,
            n_artists=len(set(artists)),
            n_left_out=0,
        )
    return made


def _table(clips, kind, found, order):
    """Return clips and precision of every label; a query for each, and its nearest."""
    lines = {}
    for label, part in clips.groupby(kind):
        line = {"positives": len(part), "precision_5": found[part.index].mean()}
        own = part.index[part["embedded"]]
        if len(own):
            query, artist = own[0], clips["artist"][own[0]]
            there = clips.loc[order[query]]
            there = there[there["embedded"] & (there["artist"] != artist)]["clip_id"][:HEARD]
            line["query"] = clips["clip_id"][query]
            line |= {f"nearest_{i}": name for i, name in enumerate(there, 1)}
        lines[label] = line
    return pd.DataFrame.from_dict(lines, orient="index").rename_axis("output")


RUNS = [
    run
    for system in (
        "mfcc",
        "untrained",
        "contrastive",
        "contrastive_more",
        "from_scratch",
        "musicnn",
    )
    for run in ladder(
        3 if system not in ("mfcc", "musicnn") else 1,
        "neighbours",
        system,
        retrieval,
        0.1,
        KINDS,
        target="style+lead",
        options={"system": system},
    )
]
