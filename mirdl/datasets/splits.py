"""Splits that keep artists (or at least tracks) together, and why that matters (lesson 02).

A network that has heard an artist's other songs recognises the studio, the singer and the
mastering. Scores on a split that lets artists cross are therefore too good: the "album effect"
(Whitman et al. 2001; Flexer and Schnitzer 2010, "Effects of album and artist filters").
"""

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedGroupKFold

from mirdl.datasets.base import SPLITS
from mirdl.errors import DataError

FRACTIONS = (0.7, 0.1, 0.2)


def by_artist(clips, labels=None, seed=0, fractions=FRACTIONS):
    """Deal artists to train, valid and test: none is in two, and labels spread evenly.

    Artists are dealt from the one with most clips to the one with fewest (ties in random order);
    each goes where it leaves the three splits most evenly filled, over all labels. That is
    scikit-learn's StratifiedGroupKFold for parts of any size and several tags a clip.

    Parameters
    ----------
    clips : pandas.DataFrame
        Needs the column ``artist``.
    labels : array (n_clips,) or (n_clips, n_tags), optional
        Classes, or tags of 0 and 1.
    seed : int
    fractions : tuple of 3 floats
        Parts of the clips for train, valid and test; all above 0.

    Returns
    -------
    numpy.ndarray of str (n_clips,)

    Raises
    ------
    DataError
        Where there are fewer artists than splits.
    """
    artist_of_clip, artists = pd.factorize(clips["artist"], use_na_sentinel=False)
    n_splits = len(SPLITS)
    if len(artists) < n_splits:
        raise DataError("artist split", f"{len(artists)} artists cannot fill {n_splits} splits")
    columns = np.hstack([np.ones((len(clips), 1)), _columns(labels, len(clips))])
    counts = np.zeros((len(artists), columns.shape[1]))
    np.add.at(counts, artist_of_clip, columns)
    share = np.outer(fractions, np.maximum(counts.sum(axis=0), 1))

    order = np.random.default_rng(seed).permutation(len(artists))
    order = order[np.argsort(-counts[order, 0], kind="stable")]
    held = np.zeros_like(share)
    split = np.empty(len(artists), dtype=int)
    for i, artist in enumerate(order):
        empty = [s for s in range(n_splits) if held[s, 0] == 0]
        must_fill = len(artists) - i <= len(empty)
        candidates = empty if must_fill else range(n_splits)
        unevenness = [_unevenness(held, s, counts[artist], share) for s in candidates]
        split[artist] = candidates[int(np.argmin(unevenness))]
        held[split[artist]] += counts[artist]
    return np.asarray(SPLITS)[split][artist_of_clip]


def at_random(clips, seed=0, fractions=None):
    """Deal tracks to train, valid and test at random: artists cross, tracks never do.

    Parameters
    ----------
    clips : pandas.DataFrame
        Clips of one track share ``track_id`` (where there is none, ``path``).
    seed : int
    fractions : tuple of 3 floats, optional
        Parts of the tracks; left out, each split keeps the number of tracks it has in ``split``.

    Returns
    -------
    numpy.ndarray of str (n_clips,)
    """
    column = "track_id" if "track_id" in clips else "path"
    track_of_clip, tracks = pd.factorize(clips[column])
    if fractions is None:
        dealt = clips["split"].to_numpy()[np.unique(track_of_clip, return_index=True)[1]]
    else:
        edges = np.round(np.cumsum(fractions) / np.sum(fractions) * len(tracks)).astype(int)
        dealt = np.repeat(SPLITS, np.diff(edges, prepend=0))
    return np.random.default_rng(seed).permutation(dealt)[track_of_clip].astype(str)


def artist_folds(clips, labels=None, n_folds=5, seed=0):
    """Return a fold number per clip for cross-validation: no artist is in two folds.

    StratifiedGroupKFold, which takes one label a clip: a clip with several tags counts for its
    rarest.

    Returns
    -------
    numpy.ndarray of int (n_clips,)

    Raises
    ------
    DataError
        Where there is one fold only, or fewer artists than folds.
    """
    artist, artists = pd.factorize(clips["artist"], use_na_sentinel=False)
    if not 2 <= n_folds <= len(artists):
        raise DataError("artist folds", f"{len(artists)} artists cannot fill {n_folds} folds")
    strata = _columns(labels, len(clips))
    strata = np.hstack([strata, np.ones((len(clips), 1))])  # the last is for clips with no tag
    rarest_first = np.argsort(strata.sum(axis=0), kind="stable")
    label = np.argmax(strata[:, rarest_first], axis=1)
    common = np.bincount(label)[label] >= n_folds
    # a stratum smaller than the number of folds cannot be spread: it joins the largest
    label[~common] = np.bincount(label).argmax()
    folds = np.empty(len(clips), dtype=int)
    splitter = StratifiedGroupKFold(n_folds, shuffle=True, random_state=seed)
    for number, (_, held_out) in enumerate(splitter.split(label, label, artist)):
        folds[held_out] = number
    return folds


def from_folds(folds, fold, n_folds):
    """Return the split that tests on ``fold``, validates on the next one and trains on the rest."""
    if not 0 <= fold < n_folds:
        raise DataError("artist folds", f"no fold {fold}; there are folds 0 to {n_folds - 1}")
    split = np.full(len(folds), "train", dtype=object)
    split[folds == (fold + 1) % n_folds] = "valid"
    split[folds == fold] = "test"
    return split.astype(str)


def _columns(labels, n_clips):
    """Return labels as a matrix of 0 and 1, one column a class or tag."""
    if labels is None:
        return np.zeros((n_clips, 0))
    labels = np.asarray(labels)
    return labels > 0 if labels.ndim == 2 else pd.get_dummies(labels).to_numpy(dtype=float)


def _unevenness(held, split, counts, share):
    """Return how unequally the splits are filled, on average over labels, once one has grown."""
    filled = held / share
    filled[split] += counts / share[split]
    return filled.std(axis=0).mean()
