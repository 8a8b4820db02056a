"""Dataset, its catalogue, and the embedded data set (in miniature)."""

import pickle
import subprocess
import sys

import fake_minitag
import numpy as np
import pandas as pd
import pytest

from mirdl import audio, datasets
from mirdl.datasets import Dataset, minitag
from mirdl.errors import AudioError, DataError


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return fake_minitag.make(tmp_path_factory.mktemp("data") / "minitag")


@pytest.fixture
def copy(tmp_path):
    """A copy that a test may damage."""
    return fake_minitag.make(tmp_path / "minitag")


def test_clips_have_what_every_data_set_has(folder):
    dataset = datasets.load("minitag", root=folder)
    assert len(dataset) == 30
    assert list(dataset.clips.index) == list(range(30))
    assert {"clip_id", "path", "start", "end", "split", "artist"} <= set(dataset.clips)
    assert dataset.clips["clip_id"][4] == "0002-1"
    assert dataset.task == "multilabel"
    assert dataset.tags == fake_minitag.TAGS
    assert dataset.n_outputs == 4
    assert dataset.targets.dtype == np.float32
    assert dataset.targets[0].tolist() == [1, 0, 0, 1]
    assert dataset.targets[2].tolist() == [1, 0, 0, 0]  # this clip's own tags, not the track's
    assert "30 clips (18 train + 6 valid + 6 test) by 5 artists, 4 tags" in repr(dataset)


def test_waveform_is_the_part_of_the_file(folder):
    dataset = datasets.load("minitag", root=folder)
    whole = audio.load(dataset.clips["path"][4], 16000)
    part = dataset.waveform(4)
    assert part.dtype == np.float32
    assert part.shape == (32000,)
    np.testing.assert_allclose(part, whole[32000:64000], atol=1e-6)
    assert datasets.load("minitag", root=folder, sample_rate=8000).waveform(4).shape == (16000,)


def test_whole_tracks(folder):
    dataset = datasets.load("minitag", unit="track", root=folder)
    assert len(dataset) == 10
    assert dataset.waveform(9).shape == (96000,)
    assert dataset.clips["seen_programs"].tolist() == [True, False] * 5


def test_subset_and_select_agree_with_the_table(folder):
    dataset = datasets.load("minitag", root=folder)
    train = dataset.subset("train")
    assert set(train.clips["artist"]) == {"ann", "bob"}
    np.testing.assert_array_equal(train.targets, dataset.targets[:18])
    by_number = dataset.select([29, 3])
    assert by_number.clips["clip_id"].tolist() == ["0010-2", "0002-0"]
    np.testing.assert_array_equal(by_number.targets, dataset.targets[[29, 3]])
    assert len(dataset.select([])) == 0
    with pytest.raises(DataError, match="no split 'dev'; choose from train, valid, test"):
        dataset.subset("dev")


def test_multiclass_targets(folder):
    dance = datasets.load("minitag", target="dance", root=folder)
    assert dance.tags == ["samba", "tango"]
    assert dance.targets.dtype == np.int64
    assert len(dance) == 21  # seven of ten tracks are danced
    assert dance.targets[:3].tolist() == [1, 1, 1]
    key = datasets.load("minitag", target="key", unit="track", root=folder)
    assert key.n_outputs == 24
    assert [key.tags[k] for k in key.targets[:3]] == ["C major", "D# minor", "A major"]
    lead = datasets.load("minitag", target="lead", unit="track", root=folder)
    assert [lead.tags[k] for k in lead.targets[:2]] == ["piano", "flute"]


def test_regression_targets(folder):
    tempo = datasets.load("minitag", target="tempo", unit="track", root=folder)
    assert tempo.task == "regression"
    np.testing.assert_array_equal(tempo.targets[:, 0], 90 + 5 * np.arange(10))
    mood = datasets.load("minitag", target="mood", unit="track", root=folder)
    assert mood.tags == ["arousal", "valence"]
    np.testing.assert_allclose(mood.targets[3], [0.3, 0.7], rtol=1e-6)


def frames(folder, target, i=0, **options):
    return datasets.load("minitag", target=target, root=folder, **options).frames(i)


def test_frames_are_centred_every_256_samples(folder):
    times, labels = frames(folder, "chroma")
    assert labels.shape == (1 + 32000 // 256, 12)
    np.testing.assert_allclose(np.diff(times), 0.016)
    assert times[0] == 0


def test_chroma_holds_what_sounds_in_the_pitched_parts(folder):
    times, labels = frames(folder, "chroma", unit="track")
    c = labels[:, 0]  # track 1: the bass plays C all the time, the piano C and then C#
    assert c[times < 6].all()
    np.testing.assert_array_equal(labels[:, 1], (times >= 2.5) & (times < 3.5))
    assert labels[:, 2:].sum() == 0  # the drum's number 38 is not a D


def test_frames_of_a_clip_are_those_of_its_track(folder):
    track_times, track_labels = frames(folder, "chroma", i=4, unit="track")
    clip_times, clip_labels = frames(folder, "chroma", i=13)  # track 5, from 2 s
    here = (track_times >= 2) & (track_times <= 4)
    np.testing.assert_allclose(clip_times + 2, track_times[here])
    np.testing.assert_array_equal(clip_labels[:-1], track_labels[here][:-1])


def test_chords_are_one_of_25_in_every_frame(folder):
    times, labels = frames(folder, "chords", unit="track")
    assert labels.shape[1] == 25
    np.testing.assert_array_equal(labels.sum(axis=1), 1)
    named = np.array(minitag.CHORDS)[labels.argmax(axis=1)]
    assert set(named[times < 2.99]) == {"C:maj"}
    assert set(named[(times > 3) & (times < 4.99)]) == {"D#:min"}
    assert set(named[times > 5]) == {"N"}


@pytest.mark.parametrize(
    ("name", "expected"),
    [("C", "C:maj"), ("Db:maj7", "C#:maj"), ("G:7", "G:maj"), ("A:min7", "A:min")]
    + [(other, "N") for other in ("N", "C:sus4", "B:dim", "C:aug", "H:maj")],
)
def test_chords_reduce_to_their_third(name, expected):
    assert minitag.CHORDS[minitag.chord_number(name)] == expected


def test_events_mark_their_nearest_frame(folder):
    times, beats = frames(folder, "beats", unit="track")
    np.testing.assert_allclose(times[beats[:, 0] == 1], 0.5 * np.arange(12), atol=0.0081)
    times, onsets = frames(folder, "onsets", unit="track")
    np.testing.assert_allclose(times[onsets[:, 0] == 1], [0, 0.25, 0.5, 2.5], atol=0.0081)


def test_lead_activity_and_its_share_of_a_clip(folder):
    dataset = datasets.load("minitag", target="lead_activity", root=folder)
    assert dataset.task == "frames"
    assert dataset.targets.shape == (30, 1)
    times, labels = dataset.frames(0)
    np.testing.assert_array_equal(labels[:, 0], (times >= 0.5) & (times < 1))
    assert dataset.targets[0, 0] == pytest.approx(labels.mean())
    assert dataset.subset("test").frames(0)[1].shape == (126, 1)


def test_drums_sound_in_their_own_columns(folder):
    times, drums = frames(folder, "drums", unit="track")
    np.testing.assert_array_equal(drums.any(axis=0), [False, True, False])
    assert set(times[drums[:, 1] == 1].round(3)) == {0.256, 0.272, 0.288}


def test_no_frames_without_such_a_target(folder):
    with pytest.raises(DataError, match="no frame-level truth"):
        datasets.load("minitag", root=folder).frames(0)


def test_random_split_keeps_sizes_and_tracks(folder):
    official = datasets.load("minitag", root=folder).clips
    clips = datasets.load("minitag", split="random", root=folder, seed=3).clips
    assert clips["split"].value_counts().to_dict() == official["split"].value_counts().to_dict()
    assert clips.groupby("track_id")["split"].nunique().max() == 1
    assert clips.groupby("artist")["split"].nunique().max() > 1
    again = datasets.load("minitag", split="random", root=folder, seed=3).clips
    assert clips["split"].equals(again["split"])


def test_digest_names_the_truth(folder):
    dataset = datasets.load("minitag", root=folder)
    assert dataset.digest() == datasets.load("minitag", root=folder).digest()
    assert dataset.digest() != dataset.select(range(29)).digest()
    assert dataset.digest() != datasets.load("minitag", target="chroma", root=folder).digest()
    flipped = dataset.select(range(30))
    flipped.targets = 1 - flipped.targets
    assert flipped.digest() != dataset.digest()


def test_a_dataset_pickles_with_its_frames(folder):
    dataset = datasets.load("minitag", target="beats", root=folder)
    copy = pickle.loads(pickle.dumps(dataset))
    np.testing.assert_array_equal(copy.frames(3)[1], dataset.frames(3)[1])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target": "genre"}, "no target 'genre'; choose from tags, dance"),
        ({"unit": "album"}, "no unit 'album'"),
        ({"split": "album"}, "no split 'album'"),
        ({"fold": 1}, "no option 'fold'"),
    ],
)
def test_wrong_options_name_the_right_ones(folder, options, message):
    with pytest.raises(DataError, match=message):
        datasets.load("minitag", root=folder, **options)


def test_unknown_data_set():
    with pytest.raises(DataError, match="no data set 'millionsong'; choose from minitag, folder"):
        datasets.load("millionsong")


def test_missing_tables(copy):
    (copy / "clips.csv").unlink()
    with pytest.raises(DataError, match=r"clips.csv: no such table"):
        datasets.load("minitag", root=copy)
    with pytest.raises(DataError, match=r"tracks.csv.*mirdl data render"):
        datasets.load("minitag", root=copy / "nowhere")


def test_missing_column(copy):
    pd.read_csv(copy / "tracks.csv").drop(columns="tempo").to_csv(copy / "tracks.csv", index=False)
    with pytest.raises(DataError, match=r"tracks.csv: missing column tempo"):
        datasets.load("minitag", root=copy)


def test_unknown_key(copy):
    text = (copy / "tracks.csv").read_text()
    (copy / "tracks.csv").write_text(text.replace("Eb minor", "H minor"))
    with pytest.raises(DataError, match=r"tracks.csv: no key 'H minor'"):
        datasets.load("minitag", target="key", root=copy)


def test_unknown_tag_names_the_row(copy):
    (copy / "tags.txt").write_text("piano\ndrums\nfast\n")
    with pytest.raises(DataError, match=r"clips.csv: row 2: unknown tag 'weird'; .*and \d+ more"):
        datasets.load("minitag", root=copy)


def test_damaged_annotations(copy):
    content = (copy / "annotations.jsonl.gz").read_bytes()
    (copy / "annotations.jsonl.gz").write_bytes(content[:100])
    with pytest.raises(DataError, match=r"annotations.jsonl.gz: not readable"):
        datasets.load("minitag", target="beats", root=copy)
    (copy / "annotations.jsonl.gz").unlink()
    with pytest.raises(DataError, match=r"annotations.jsonl.gz: no such file"):
        datasets.load("minitag", target="beats", root=copy)


def test_clip_of_an_unknown_track(copy):
    with open(copy / "clips.csv", "a") as file:
        file.write("0099-0,0099,0,2,piano,True\n")
    with pytest.raises(DataError, match="clips of unknown tracks: 0099-0"):
        datasets.load("minitag", root=copy)


def test_a_bad_file_is_named_when_it_is_heard(copy):
    dataset = datasets.load("minitag", root=copy)
    (copy / "audio" / "0002.ogg").write_bytes(b"")
    with pytest.raises(AudioError, match=r"0002.ogg: empty"):
        dataset.waveform(3)


def test_check_reports_every_kind_of_bad_file(copy):
    dataset = datasets.load("minitag", root=copy)
    assert datasets.check(dataset, progress=False).empty
    sound = copy / "audio"
    (sound / "0001.ogg").write_bytes(b"")
    (sound / "0002.ogg").unlink()
    (sound / "0003.ogg").write_bytes(b"no music at all" * 99)
    audio.write(sound / "0004.ogg", np.zeros(96000), 16000)
    audio.write(sound / "0005.ogg", 0.1 * np.ones(32000), 16000)
    report = datasets.check(dataset, progress=False)
    reasons = {path[-8:-4]: reason for path, _, reason in report.itertuples(index=False)}
    expected = {"0001": "empty", "0002": "missing", "0003": "unreadable", "0004": "silent"}
    expected["0005"] = "too short"
    assert reasons.keys() == expected.keys()
    assert all(expected[track] in reason for track, reason in reasons.items())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"targets": np.zeros((3, 2), np.float32)}, r"targets are \(3, 2\)"),
        ({"task": "clustering"}, "no task 'clustering'"),
        ({"clips": pd.DataFrame({"clip_id": ["a"]})}, "lacks path, start, end, split, artist"),
    ],
)
def test_a_dataset_must_fit_together(folder, change, message):
    good = datasets.load("minitag", root=folder)
    parts = {"clips": good.clips, "targets": good.targets, "task": good.task} | change
    with pytest.raises(DataError, match=message):
        Dataset("mine", parts["clips"], good.tags, parts["targets"], parts["task"])


def test_catalogue_tells_what_there_is(monkeypatch, tmp_path):
    monkeypatch.setenv("MIRDL_DATA", str(tmp_path))
    fake_minitag.make(tmp_path / "minitag")
    table = datasets.catalogue()
    assert list(table.index) == datasets.available()
    assert table.loc["minitag", "present"]
    assert not table.loc["gtzan", "present"]
    assert table.loc["minitag", "folder"] == str(tmp_path / "minitag")
    assert len(datasets.load("minitag")) == 30


def test_nothing_to_get_for_what_is_here():
    with pytest.raises(DataError, match="minitag: nothing to download"):
        datasets.get("minitag")


def test_import_is_light():
    code = "import sys, mirdl.datasets; print([m for m in sys.modules if m in sys.argv])"
    heavy = ["torch", "torchaudio", "librosa", "mirdata", "soundata"]
    result = subprocess.run([sys.executable, "-c", code, *heavy], capture_output=True, text=True)
    assert result.stdout.strip() == "[]"
