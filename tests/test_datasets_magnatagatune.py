"""MagnaTagATune in its original layout, in miniature; its published lists where present."""

import ast
import zipfile

import numpy as np
import pandas as pd
import pytest

from mirdl import audio, datasets, published_scores
from mirdl.datasets import magnatagatune
from mirdl.datasets.magnatagatune import EMPTY, TOP_50
from mirdl.errors import DataError

PATHS = [
    f"{folder}/artist_{artist}-album_{folder}-0{number}-song-0-29.mp3"
    for folder, artist in zip("0479abcdef", "xxyyzzwxyz", strict=True)
    for number in (1, 2)
]
EXTRA = ["women", "india", "bongos"]  # among the 188 tags, not among the 50


def tables(folder, paths=PATHS, clip_ids=None, seed=0):
    """Write the two tables, tags in an order of their own; return the labels by tag."""
    rng = np.random.default_rng(seed)
    labels = pd.DataFrame(rng.random((len(paths), 53)) < 0.05, columns=TOP_50 + EXTRA).astype(int)
    labels.loc[3, TOP_50] = 0
    clip_ids = list(range(2, 2 + len(paths))) if clip_ids is None else clip_ids
    shuffled = labels[rng.permutation(labels.columns)]
    table = shuffled.assign(clip_id=clip_ids, mp3_path=paths)
    table = table[["clip_id", *shuffled.columns, "mp3_path"]]
    table.to_csv(folder / "annotations_final.csv", sep="\t", index=False, quoting=1)
    info = pd.DataFrame({"clip_id": clip_ids, "artist": "Ärtist", "title": "Song"})
    info.to_csv(
        folder / "clip_info_final.csv", sep="\t", index=False, quoting=1, encoding="latin-1"
    )
    return labels


@pytest.fixture
def folder(tmp_path):
    tables(tmp_path)
    return tmp_path


def test_folder_split(folder):
    clips = datasets.load("magnatagatune", root=folder).clips
    by_folder = clips.assign(folder=[path.split("/")[-2] for path in clips["path"]])
    by_folder = by_folder.groupby("split")["folder"].agg(lambda names: "".join(sorted(set(names))))
    assert by_folder.to_dict() == {"train": "0479ab", "valid": "c", "test": "def"}


@pytest.mark.parametrize(
    ("path", "split"),
    [("0/a", "train"), ("9/a", "train"), ("b/a", "train"), ("c/a", "valid"), ("d/a", "test")],
)
def test_split_of_a_path(path, split):
    assert magnatagatune.split_of(path) == split


def test_tags_are_matched_by_name(folder):
    """The columns of the table are in another order; so is another public list of tags."""
    labels = tables(folder)
    dataset = datasets.load("magnatagatune", root=folder)
    assert dataset.tags == TOP_50
    np.testing.assert_array_equal(dataset.targets, labels[TOP_50].to_numpy())
    written = pd.read_csv(folder / "annotations_final.csv", sep="\t")
    assert written.columns[1:51].tolist() != TOP_50


def test_a_table_with_other_names_is_refused(folder):
    text = (folder / "annotations_final.csv").read_text()
    (folder / "annotations_final.csv").write_text(text.replace("female voice", "femaleVoice"))
    with pytest.raises(DataError, match="missing column female voice"):
        datasets.load("magnatagatune", root=folder)


def test_clean_split_leaves_out_clips_without_tags(folder):
    labels = tables(folder)
    dataset = datasets.load("magnatagatune", split="clean", root=folder)
    tagged = labels[TOP_50].any(axis=1)
    assert len(dataset) == tagged.sum() < 20
    assert dataset.targets.any(axis=1).all()


def test_the_three_empty_files_are_left_out(tmp_path):
    tables(tmp_path, PATHS[:5], [2, *EMPTY, 6])
    clips = datasets.load("magnatagatune", root=tmp_path).clips
    assert clips["clip_id"].tolist() == [2, 6]


def test_artist_album_and_track_come_from_the_path(folder):
    clips = datasets.load("magnatagatune", root=folder).clips
    assert clips.loc[1, ["artist", "album", "track_id", "title"]].tolist() == [
        *("artist_x", "album_0", "artist_x-album_0-02-song", "Song"),
    ]
    (folder / "clip_info_final.csv").unlink()
    without = datasets.load("magnatagatune", root=folder).clips
    assert without["artist"].equals(clips["artist"])


def test_artist_and_random_splits(folder):
    official = datasets.load("magnatagatune", root=folder).clips
    assert official.groupby("artist")["split"].nunique().max() > 1
    clips = datasets.load("magnatagatune", split="artist", root=folder).clips
    assert clips.groupby("artist")["split"].nunique().max() == 1
    clips = datasets.load("magnatagatune", split="random", root=folder).clips
    assert clips["split"].value_counts().to_dict() == {"train": 14, "valid": 2, "test": 4}


def test_merged_synonyms(folder):
    labels = tables(folder)
    dataset = datasets.load("magnatagatune", root=folder, merge_synonyms=True)
    column = dict(zip(dataset.tags, dataset.targets.T, strict=True))
    assert "woman" not in dataset.tags
    words = ["female", "woman", "women", "female vocal", "female voice"]
    np.testing.assert_array_equal(column["female"], labels[words].max(axis=1))
    np.testing.assert_array_equal(column["indian"], labels[["indian", "india"]].max(axis=1))
    counts = dataset.targets.sum(axis=0)
    assert (np.diff(counts) <= 0).all()


def test_no_word_has_two_synonyms():
    words = [word for group in magnatagatune.SYNONYMS for word in group.split("|")]
    assert len(words) == len(set(words))


def test_no_tables(tmp_path):
    with pytest.raises(DataError, match="mirdl data get magnatagatune"):
        datasets.load("magnatagatune", root=tmp_path)


@pytest.fixture
def archive(tmp_path, monkeypatch, rng):
    """Put the archive into three parts, as it would lie there after the download."""
    folder = tmp_path / "mtt"
    folder.mkdir()
    tables(folder)
    audio.write(tmp_path / "a.mp3", 0.1 * rng.standard_normal(16000), 16000)
    with zipfile.ZipFile(tmp_path / "mp3.zip", "w") as file:
        for path in PATHS:
            file.write(tmp_path / "a.mp3", path)
    content = (tmp_path / "mp3.zip").read_bytes()
    sizes = [5000, 5000, len(content) - 10000]
    monkeypatch.setattr(magnatagatune, "PARTS", dict(zip(magnatagatune.PARTS, sizes, strict=True)))
    monkeypatch.setattr(magnatagatune, "SECONDS", 1.0)
    monkeypatch.setenv("MIRDL_SHARED", str(tmp_path / "nothing"))
    monkeypatch.setattr(magnatagatune, "MIRRORS", ("http://127.0.0.1:9/",))
    for part, end in zip(magnatagatune.PARTS, np.cumsum(sizes), strict=True):
        (folder / part).write_bytes(content[end - magnatagatune.PARTS[part] : end])
    return folder


def test_get_unpacks_the_three_parts(archive):
    assert datasets.get("magnatagatune", archive, progress=False) == archive
    dataset = datasets.load("magnatagatune", root=archive)
    assert dataset.waveform(7).shape[0] > 15000
    assert datasets.check(dataset, progress=False).empty
    for part in magnatagatune.PARTS:
        (archive / part).unlink()
    datasets.get("magnatagatune", archive, progress=False)  # nothing left to do


def test_get_completes_a_part_that_is_too_short(archive):
    part = archive / "mp3.zip.002"
    part.write_bytes(part.read_bytes()[:100])
    with pytest.raises(DataError, match=r"mp3.zip.002: cannot be downloaded"):
        datasets.get("magnatagatune", archive, progress=False)
    assert (archive / "mp3.zip.002.part").stat().st_size == 100


def reference(folder):
    """Write published lists that fit the tables of a folder, as the projects publish them."""
    lists = folder / "lists"
    lists.mkdir()
    table = pd.read_csv(folder / "annotations_final.csv", sep="\t")
    table[["clip_id", "mp3_path"]].to_csv(
        lists / "index_mtt.tsv", sep="\t", index=False, header=False
    )
    (lists / "tags.txt").write_text("\n".join(TOP_50))
    split = table["mp3_path"].map(magnatagatune.split_of)
    tagged = table[TOP_50].any(axis=1)
    for name, part in {"val": "valid", "test": "test"}.items():
        rows = table[split == part]
        lines = [
            f"{clip}\t{labels}"
            for clip, labels in zip(
                rows["clip_id"], rows[TOP_50].astype(float).to_numpy().tolist(), strict=True
            )
        ]
        (lists / f"{name}_gt_mtt.tsv").write_text("\n".join(lines))
    for part in ("train", "valid", "test"):
        paths = table["mp3_path"][(split == part) & tagged]
        (lists / f"clean_{part}.txt").write_text("\n".join(paths))
    return lists


def test_verify_finds_what_differs(folder):
    lists = reference(folder)
    dataset = datasets.load("magnatagatune", root=folder)
    assert magnatagatune.verify(dataset, lists) == []
    labels = (lists / "val_gt_mtt.tsv").read_text().replace("0.0, 0.0, 0.0]", "1.0, 1.0, 1.0]", 1)
    (lists / "val_gt_mtt.tsv").write_text(labels)
    clean = (lists / "clean_test.txt").read_text().splitlines()
    (lists / "clean_test.txt").write_text("\n".join([*clean[1:], "f/unheard_of.mp3"]))
    path, faults = zip(*magnatagatune.verify(dataset, lists), strict=True)
    assert set(path) == {str(folder / "annotations_final.csv")}
    assert faults[0].startswith("1 val clips have other labels, first")
    assert faults[1:] == (
        "1 clips of the clean test list are left out: f/unheard_of.mp3",
        f"1 clips are not on the clean test list: {clean[0]}",
    )


def test_check_reports_tables_and_files(archive, monkeypatch, tmp_path):
    lists = reference(archive)
    (lists / "tags.txt").write_text("\n".join(reversed(TOP_50)))
    monkeypatch.setenv("MIRDL_SHARED", str(tmp_path / "shared"))
    (tmp_path / "shared").mkdir()
    lists.rename(tmp_path / "shared" / "magnatagatune")
    datasets.get("magnatagatune", archive, progress=False)
    (archive / PATHS[0]).write_bytes(b"")
    report = datasets.check("magnatagatune", progress=False, root=archive)
    assert report["reason"].iloc[0].endswith("val clips have other labels, first 14")
    assert report.iloc[-1].tolist() == [str(archive / PATHS[0]), "empty", "empty: 0 bytes"]


def test_order_of_tags_in_the_lists_does_not_matter(folder):
    """Lists in the order of another release, where two tags change places, give no fault."""
    lists = reference(folder)
    a, b = TOP_50.index("metal"), TOP_50.index("female voice")
    order = TOP_50.copy()
    order[a], order[b] = order[b], order[a]
    (lists / "tags.txt").write_text("\n".join(order))
    for name in ("val", "test"):
        rows = [line.split("\t") for line in (lists / f"{name}_gt_mtt.tsv").read_text().split("\n")]
        swapped = []
        for clip, cell in rows:
            values = ast.literal_eval(cell)
            values[a], values[b] = values[b], values[a]
            swapped.append(f"{clip}\t{values}")
        (lists / f"{name}_gt_mtt.tsv").write_text("\n".join(swapped))
    dataset = datasets.load("magnatagatune", root=folder)
    assert magnatagatune.verify(dataset, lists) == []


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """Tables made from the published lists: real paths, real labels of valid and test clips.

    The labels of training clips are not at hand: "guitar" stands for "has a tag" there.
    """
    from mirdl.paths import shared_folder

    lists = shared_folder() and shared_folder() / "magnatagatune"
    if not lists or not lists.is_dir():
        pytest.skip("no ../shared/magnatagatune")
    folder = tmp_path_factory.mktemp("mtt")
    index = pd.read_csv(lists / "index_mtt.tsv", sep="\t", header=None, names=["clip_id", "path"])
    tags = (lists / "tags.txt").read_text().splitlines()
    labels = pd.DataFrame(0, index=index["clip_id"], columns=tags)
    for part in ("val", "test"):
        truth = pd.read_csv(lists / f"{part}_gt_mtt.tsv", sep="\t", header=None, index_col=0)[1]
        labels.loc[truth.index] = np.array(truth.map(ast.literal_eval).tolist(), dtype=int)
    clean = set((lists / "clean_train.txt").read_text().splitlines())
    labels.loc[index["path"].isin(clean).to_numpy(), "guitar"] = 1
    table = labels[sorted(tags)].reset_index().assign(mp3_path=index["path"])
    table.to_csv(folder / "annotations_final.csv", sep="\t", index=False)
    return folder


@pytest.mark.real_data
def test_published_counts(published):
    """Section 4 of the notes on the architectures: counts by folder, artists, albums, tracks."""
    clips = datasets.load("magnatagatune", root=published).clips
    counts = clips["path"].str.split("/").str[-2].value_counts().sort_index()
    expected = [1108, 1543, 1562, 1238, 2421, 1604, 1788, 1163, 1144, 1773, 1417, 1948]
    expected += [1825, 1677, 1547, 2105]
    for empty in "689":
        expected[int(empty, 16)] -= 1
    assert counts.tolist() == expected
    assert clips["artist"].nunique() == 230
    assert clips["track_id"].nunique() == 5405
    assert clips["split"].value_counts().to_dict() == {"train": 18706, "test": 5329, "valid": 1825}
    train, test = (clips[clips["split"] == part] for part in ("train", "test"))
    assert test["artist"].isin(train["artist"]).sum() == 3284
    assert not test["album"].isin(train["album"]).any()


@pytest.mark.real_data
def test_clean_rule_gives_the_published_lists(published, shared):
    dataset = datasets.load("magnatagatune", split="clean", root=published)
    sizes = dataset.clips["split"].value_counts().to_dict()
    assert sizes == {"train": 15244, "test": 4332, "valid": 1529}
    assert magnatagatune.verify(dataset, shared / "magnatagatune") == []


@pytest.mark.real_data
def test_the_other_release_orders_tags_differently(shared):
    other = (shared / "magnatagatune" / "tags_lee_order.txt").read_text().splitlines()
    spaced = ["".join(f" {c.lower()}" if c.isupper() else c for c in tag) for tag in other]
    assert sorted(spaced) == sorted(TOP_50)
    assert [i for i in range(50) if spaced[i] != TOP_50[i]] == [47, 48]


@pytest.mark.real_data
def test_scores_on_the_real_clips_are_comparable(published):
    """Also where only the labels differ, they are not."""
    dataset = datasets.load("magnatagatune", root=published)
    assert published_scores.other_data(dataset, "folder") == []
    clean = datasets.load("magnatagatune", split="clean", root=published)
    assert published_scores.other_data(clean, "clean") == ["15,244 of 15,247 train clips"]
    truth = published_scores.TEST_DIGESTS["clean"]
    assert published_scores._digest(clean.subset("test")) == truth
    dataset.targets[np.argmax(dataset.clips["split"] == "test"), 0] += 1
    reasons = published_scores.other_data(dataset, "folder")
    assert reasons == ["test clips or labels of another data set"]
