"""Your own audio: what tables mean, and one clear error for each thing that can be wrong."""

import numpy as np
import pytest

from mirdl import audio, datasets
from mirdl.errors import DataError


@pytest.fixture
def music(tmp_path, rng):
    """Twelve files, a0.wav to a11.wav, of one second."""
    (tmp_path / "music").mkdir()
    for i in range(12):
        audio.write(tmp_path / "music" / f"a{i}.wav", 0.1 * rng.standard_normal(16000), 16000)
    return tmp_path / "music"


def table(music, header, rows, name="labels.csv"):
    """Write a table whose rows end in the given text, one a file; return its path."""
    lines = [f"a{i}.wav,{row}" for i, row in enumerate(rows)]
    (music / name).write_text("\n".join([f"path,{header}", *lines]) + "\n")
    return music / name


def load(music, header, rows, **options):
    return datasets.load("folder", root=table(music, header, rows), **options)


def test_one_text_column_is_classes(music):
    dataset = load(music, "genre", ["rock", "jazz"] * 6)
    assert dataset.task == "multiclass"
    assert dataset.tags == ["jazz", "rock"]
    assert dataset.targets.tolist() == [1, 0] * 6
    assert set(dataset.clips["split"]) == {"train", "valid", "test"}
    assert dataset.waveform(3).shape == (16000,)
    assert dataset.name == "labels"


def test_whole_numbers_in_one_column_are_classes_too(music):
    dataset = load(music, "stars", [1, 5, 3] * 4)
    assert dataset.task == "multiclass"
    assert dataset.tags == ["1", "3", "5"]


def test_tags_column(music):
    dataset = load(music, "tags,title", ["piano|slow,x", ",y", "slow,z"] * 4)
    assert dataset.task == "multilabel"
    assert dataset.tags == ["piano", "slow"]
    assert dataset.targets[:3].tolist() == [[1, 1], [0, 0], [0, 1]]
    ordered = load(music, "tags", ["b|a", "a"] * 6, tags=["b", "a", "c"])
    assert ordered.targets[:2].tolist() == [[1, 1, 0], [0, 1, 0]]
    assert load(music, "mood", ["sad;slow", "glad"] * 6, separator=";").n_outputs == 3


def test_columns_of_0_and_1_are_tags(music):
    dataset = load(music, "loud,fast", ["1,0", "0,1"] * 6)
    assert dataset.task == "multilabel"
    assert dataset.tags == ["loud", "fast"]
    assert dataset.targets.dtype == np.float32


def test_other_numbers_are_a_regression(music):
    assert load(music, "tempo", [120.5, 90.0] * 6).task == "regression"
    dataset = load(music, "arousal,valence,note", ["0.1,2,x"] * 12, target=["arousal", "valence"])
    assert dataset.task == "regression"
    assert dataset.targets.shape == (12, 2)
    assert load(music, "tempo,genre", ["120.5,a", "90.0,b"] * 6, target="genre").tags == ["a", "b"]


def test_parts_of_files_artists_and_splits(music):
    rows = ["0,0.5,ann,train,x", "0.5,1,ann,valid,y"] * 5 + ["0,,bob,test,x", ",1,,test,y"]
    dataset = load(music, "start,end,artist,split,genre", rows)
    assert dataset.waveform(0).shape == (8000,)
    assert dataset.waveform(10).shape == (16000,)
    assert dataset.clips["artist"][0] == "ann"
    assert dataset.clips["artist"][11].endswith("a11.wav")
    assert len(dataset.subset("test")) == 2


def test_artists_stay_together(music):
    rows = [f"{artist},{genre}" for artist in "abcdef" for genre in ("rock", "jazz")]
    clips = load(music, "artist,genre", rows).clips
    assert clips.groupby("artist")["split"].nunique().max() == 1
    clips = load(music, "artist,genre", rows, split="random").clips
    assert clips["split"].value_counts().to_dict() == {"train": 8, "valid": 2, "test": 2}


def test_subfolders_are_classes(music):
    for i in range(12):
        folder = music / ["rock", "jazz"][i % 2] / "album"
        folder.mkdir(parents=True, exist_ok=True)
        (music / f"a{i}.wav").rename(folder / f"a{i}.wav")
    dataset = datasets.load("folder", root=music)
    assert dataset.tags == ["jazz", "rock"]
    assert dataset.targets.tolist() == [0] * 6 + [1] * 6
    assert dataset.clips["clip_id"][0] == "jazz/album/a1"
    assert dataset.name == "music"


def test_the_only_table_of_a_folder_is_found(music):
    table(music, "genre", ["rock", "jazz"] * 6)
    assert len(datasets.load("folder", root=music)) == 12
    table(music, "genre", ["rock", "jazz"] * 6, name="other.csv")
    with pytest.raises(DataError, match=r"several tables \(labels.csv, other.csv\)"):
        datasets.load("folder", root=music)


GENRES = ["rock", "jazz"] * 6


@pytest.mark.parametrize(
    ("header", "rows", "options", "message"),
    [
        ("genre", GENRES, {"target": "mood"}, "labels.csv: missing column mood"),
        ("artist", GENRES, {}, "labels.csv: no column of labels"),
        ("genre", [*GENRES, "rock"], {}, r"labels.csv: row 14: no file .*a12.wav"),
        ("genre", ["", *GENRES[1:]], {}, "labels.csv: row 2: empty label"),
        ("genre", GENRES, {"tags": ["rock"]}, "row 3: unknown class 'jazz'; .*and 1 more"),
        ("tags", GENRES, {"tags": ["rock"]}, "row 3: unknown tag 'jazz'; .*and 1 more"),
        ("split,genre", ["dev,x"] * 12, {}, "row 2: no split 'dev'; .*and 7 more"),
        ("start,end,genre", ["0.5,0.2,x"] * 12, {}, "row 2: no such part, 0.5 s to 0.2 s"),
        ("start,genre", ["soon,x"] * 12, {}, "column start holds something that is not a number"),
        ("title,genre", ["a,x"] * 12, {}, "columns title, genre are not all numbers: choose"),
        ("genre", [], {}, "the table has no rows"),
        ("genre", GENRES, {"split": "folder"}, "no split 'folder'"),
    ],
)
def test_bad_tables_name_row_and_reason(music, header, rows, options, message):
    with pytest.raises(DataError, match=message):
        load(music, header, rows, **options)


def test_a_table_without_paths(music):
    (music / "labels.csv").write_text("file,genre\na0.wav,rock\n")
    with pytest.raises(DataError, match=r"missing column path \(it has: file, genre\)"):
        datasets.load("folder", root=music)


def test_not_a_table(music):
    (music / "labels.csv").write_bytes(b"")
    with pytest.raises(DataError, match=r"labels.csv: not a readable table"):
        datasets.load("folder", root=music)


def test_nothing_there(tmp_path):
    with pytest.raises(DataError, match="neither a CSV nor subfolders"):
        datasets.load("folder", root=tmp_path)
    with pytest.raises(DataError, match="no such folder or table"):
        datasets.load("folder", root=tmp_path / "nowhere")
    with pytest.raises(DataError, match="say where your audio is"):
        datasets.load("folder")
