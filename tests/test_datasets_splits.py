"""Splits: no artist crosses, sizes are about right, the same seed gives the same split."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mirdl.datasets import splits
from mirdl.datasets.base import SPLITS
from mirdl.errors import DataError


def table(n_artists, sizes, rng):
    """Return clips by artists with the given numbers of tracks, in random order, and 3 tags."""
    artists = np.repeat(np.arange(n_artists), sizes)
    rng.shuffle(artists)
    clips = pd.DataFrame({"artist": [f"artist {a}" for a in artists]})
    clips["path"] = [f"{i // 2}.ogg" for i in range(len(clips))]
    return clips, rng.random((len(clips), 3)) < [0.5, 0.2, 0.05]


@given(st.lists(st.integers(1, 9), min_size=3, max_size=40), st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_no_artist_crosses_and_no_split_is_empty(sizes, seed):
    clips, tags = table(len(sizes), sizes, np.random.default_rng(seed))
    split = splits.by_artist(clips, tags, seed)
    assert set(split) == set(SPLITS)
    assert clips.assign(split=split).groupby("artist")["split"].nunique().max() == 1
    np.testing.assert_array_equal(split, splits.by_artist(clips, tags, seed))


@given(st.integers(0, 99))
@settings(max_examples=20, deadline=None)
def test_sizes_and_tags_are_spread_as_asked(seed):
    rng = np.random.default_rng(seed)
    clips, tags = table(60, rng.integers(2, 9, 60), rng)
    split = splits.by_artist(clips, tags, seed, (0.6, 0.2, 0.2))
    for name, fraction in zip(SPLITS, (0.6, 0.2, 0.2), strict=True):
        assert np.mean(split == name) == pytest.approx(fraction, abs=0.06)
        assert tags[split == name].mean(axis=0) == pytest.approx(tags.mean(axis=0), abs=0.12)


def test_classes_are_spread_too():
    clips = pd.DataFrame({"artist": np.repeat(np.arange(30), 4)})
    genres = np.repeat(["jazz", "rock", "folk"], 40)
    split = splits.by_artist(clips, genres, 0, (0.6, 0.2, 0.2))
    counts = pd.crosstab(split, genres)
    assert counts.loc["test"].tolist() == counts.loc["valid"].tolist() == [8, 8, 8]


def test_another_seed_gives_another_split():
    clips, tags = table(20, [5] * 20, np.random.default_rng(0))
    assert (splits.by_artist(clips, tags, 0) != splits.by_artist(clips, tags, 1)).any()


def test_two_artists_are_too_few():
    clips = pd.DataFrame({"artist": ["ann", "bob"] * 9})
    with pytest.raises(DataError, match="2 artists cannot fill 3 splits"):
        splits.by_artist(clips)


@given(st.integers(3, 60), st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_random_split_keeps_tracks_whole_and_sizes_exact(n_tracks, seed):
    clips = pd.DataFrame({"track_id": np.tile(np.arange(n_tracks), 3), "artist": "all"})
    split = splits.at_random(clips, seed, (0.7, 0.1, 0.2))
    per_track = clips.assign(split=split).groupby("track_id")["split"]
    assert per_track.nunique().max() == 1
    assert per_track.first().eq("test").sum() == n_tracks - round(0.8 * n_tracks)
    again = splits.at_random(clips.assign(split=split), seed + 1)
    assert sorted(again) == sorted(split)


@pytest.mark.parametrize("kind", ["none", "classes", "tags"])
def test_folds_keep_artists_apart(kind):
    rng = np.random.default_rng(0)
    clips, tags = table(25, [4] * 25, rng)
    labels = {"none": None, "classes": rng.choice(["a", "b"], 100), "tags": tags}[kind]
    folds = splits.artist_folds(clips, labels, 5, seed=1)
    assert np.bincount(folds).tolist() == [20] * 5
    assert clips.assign(fold=folds).groupby("artist")["fold"].nunique().max() == 1
    np.testing.assert_array_equal(folds, splits.artist_folds(clips, labels, 5, seed=1))


@pytest.mark.parametrize("n_folds", [1, 26])
def test_folds_need_artists(rng, n_folds):
    clips, _ = table(25, [4] * 25, rng)
    with pytest.raises(DataError, match=f"25 artists cannot fill {n_folds} folds"):
        splits.artist_folds(clips, None, n_folds)


def test_folds_become_splits():
    split = splits.from_folds(np.array([0, 1, 2, 3, 4]), fold=4, n_folds=5)
    assert split.tolist() == ["valid", "train", "train", "train", "test"]
    with pytest.raises(DataError, match="no fold 5"):
        splits.from_folds(np.zeros(9, int), 5, 5)
