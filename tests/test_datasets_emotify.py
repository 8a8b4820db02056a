"""Emotify in both layouts, in miniature and as it is."""

import zipfile

import numpy as np
import pandas as pd
import pytest
import soundfile

from mirdl import datasets
from mirdl.datasets import download
from mirdl.datasets.emotify import EMOTIONS
from mirdl.errors import DataError

GENRES = ["classical", "rock", "electronic", "pop"]
HEADER = ["track id", " genre", *[f" {name.replace('_', ' ')} " for name in EMOTIONS]]
HEADER += [" mood", " liked", " disliked", " age", " gender", " mother tongue"]


@pytest.fixture(autouse=True)
def nothing_shared(request, monkeypatch, tmp_path):
    """Only the tests that ask for ../shared may see it."""
    if "shared" in request.fixturenames:
        return
    monkeypatch.setenv("MIRDL_SHARED", str(tmp_path / "nothing"))


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """Six tracks a genre as published: 10 votes each, stereo MP3 with ID3 tags but for one."""
    folder = tmp_path_factory.mktemp("emotify")
    rng = np.random.default_rng(0)
    votes = []
    for g, genre in enumerate(GENRES):
        (folder / "emotifymusic" / genre).mkdir(parents=True)
        for number in range(1, 7):
            path = folder / "emotifymusic" / genre / f"{number}.mp3"
            with soundfile.SoundFile(path, "w", 44100, 2) as file:
                if (genre, number) != ("pop", 6):
                    file.artist = f"{genre} band {number // 2}"
                file.write(0.1 * rng.standard_normal((11025, 2)))
            for listener in range(10):
                felt = [int(listener < number + k) for k in range(9)]
                votes.append([100 * g + number, genre, *felt, 3, 0, 0, 30, 1, "Dutch"])
    pd.DataFrame(votes, columns=HEADER).to_csv(folder / "data.csv", index=False)
    return folder


def test_votes_become_fractions(original):
    dataset = datasets.load("emotify", target="emotion_fractions", root=original)
    assert dataset.tags == EMOTIONS
    assert dataset.task == "regression"
    assert dataset.targets.shape == (24, 9)
    np.testing.assert_allclose(dataset.targets[1], np.minimum(np.arange(2, 11), 10) / 10)
    assert dataset.clips["listeners"].eq(10).all()


def test_emotions_at_a_threshold(original):
    dataset = datasets.load("emotify", target="emotions", root=original)
    assert dataset.targets[0].tolist() == [0, 0, 1, 1, 1, 1, 1, 1, 1]
    dataset = datasets.load("emotify", target="emotions", root=original, threshold=0.1)
    assert dataset.targets.min() == 1


def test_numbers_run_through_the_genres_and_files_within_them(original):
    dataset = datasets.load("emotify", root=original)
    assert dataset.tags == sorted(GENRES)
    assert dataset.clips["clip_id"][13] == "202"
    assert dataset.clips["path"][13].endswith("emotifymusic/electronic/2.mp3")
    assert dataset.waveform(13).shape == (4000,)


def test_artists_come_from_the_files(original):
    clips = datasets.load("emotify", root=original).clips
    assert clips["artist"][2] == "classical band 1"
    assert clips["artist"][23] == "unknown 306"
    assert clips["artist_known"].sum() == 23


def test_every_fold_is_the_test_set_once_and_artists_stay_together(original):
    tested = []
    for fold in range(4):
        clips = datasets.load("emotify", root=original, fold=fold, n_folds=4).clips
        assert clips.groupby("artist")["split"].nunique().max() == 1
        tested += clips.loc[clips["split"] == "test", "clip_id"].tolist()
    assert sorted(tested) == sorted(clips["clip_id"])
    with pytest.raises(DataError, match="no fold 5"):
        datasets.load("emotify", root=original, fold=5)


def test_no_magnatagatune_tags_in_the_original(original):
    with pytest.raises(DataError, match=r"mtt_tags.csv: .* prepared layout only"):
        datasets.load("emotify", target="tags", root=original)


def test_absent(tmp_path):
    with pytest.raises(DataError, match="mirdl data get emotify"):
        datasets.load("emotify")
    (tmp_path / "data.csv").write_text("track id,genre\n1,rock\n")
    with pytest.raises(DataError, match=r"data.csv: missing column amazement, solemnity"):
        datasets.load("emotify", root=tmp_path)


@pytest.mark.real_data
def test_the_300_tracks(shared):
    dataset = datasets.load("emotify", root=shared / "emotify")
    assert len(dataset) == 300
    assert dataset.targets.tolist().count(0) == 75
    assert dataset.clips["artist"].nunique() == 89
    assert dataset.waveform(0).shape == (round(60.0294 * 16000),)
    sizes = dataset.clips["split"].value_counts().to_dict()
    assert sizes == {"train": 180, "valid": 60, "test": 60}


@pytest.mark.real_data
def test_targets_of_the_real_tracks(shared):
    mtt = datasets.load("emotify", target="mtt_tags", root=shared / "emotify")
    assert mtt.targets.shape == (181, 20)
    assert mtt.targets[:, mtt.tags.index("guitar")].sum() == 62
    genre = datasets.load("emotify", root=shared / "emotify").clips.set_index("clip_id")
    assert (
        mtt.clips.set_index("clip_id")["split"] == genre.loc[mtt.clips["clip_id"], "split"]
    ).all()
    felt = datasets.load("emotify", target="emotions", root=shared / "emotify")
    assert felt.targets.sum(axis=0).tolist() == [35, 97, 90, 144, 157, 99, 136, 126, 95]


@pytest.mark.real_data
def test_real_id3_tags_name_the_artist(shared):
    from mirdl.datasets.emotify import _artist

    assert _artist(shared / "emotify" / "original" / "rock_13.mp3") == "Brad Senne"


@pytest.mark.parametrize("top", ["emotifymusic/", ""])
def test_get_unpacks_to_where_load_looks(original, tmp_path, monkeypatch, top):
    """Whether or not the archive holds the folder itself."""

    def fetch(urls, path, n_bytes, progress):
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.name == "data.csv":
            path.write_bytes((original / "data.csv").read_bytes())
        else:
            with zipfile.ZipFile(path, "w") as file:
                for mp3 in sorted((original / "emotifymusic").rglob("*.mp3")):
                    inner = mp3.relative_to(original / "emotifymusic").as_posix()
                    file.write(mp3, top + inner)
        return path

    monkeypatch.setattr(download, "fetch", fetch)
    folder = datasets.get("emotify", tmp_path / "emotify", progress=False)
    assert datasets.load("emotify", root=folder).waveform(23).shape == (4000,)
