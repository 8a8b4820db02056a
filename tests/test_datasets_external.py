"""GTZAN with its fault-filtered split; mirdata's and soundata's sets in their layouts."""

import json
import tarfile
import zipfile

import mirdata
import numpy as np
import pytest
import soundata

from mirdl import audio, datasets
from mirdl.datasets import download, external, gtzan
from mirdl.errors import DataError


def sound(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    audio.write(path, 0.1 * np.sin(np.arange(4000)), 16000)


@pytest.fixture(scope="module")
def genres(tmp_path_factory):
    """GTZAN's 1,000 files (one with sound, the others empty) and three small lists."""
    folder = tmp_path_factory.mktemp("gtzan")
    for genre in gtzan.GENRES:
        (folder / "genres_original" / genre).mkdir(parents=True)
        for number in range(100):
            (folder / "genres_original" / genre / f"{genre}.{number:05d}.wav").touch()
    sound(folder / "genres_original" / "blues" / "blues.00029.wav")
    return folder


@pytest.fixture
def lists(genres):
    """The lists in the form in which they are passed on."""
    parts = {"train": "blues.00029 jazz.00001", "valid": "rock.00002", "test": "pop.00003"}
    for split, names in parts.items():
        lines = [f"{name.split('.')[0]}/{name}.wav" for name in names.split()]
        (genres / f"{split}_filtered.txt").write_text("\n".join(lines) + "\n")
    yield genres
    for split in parts:
        (genres / f"{split}_filtered.txt").unlink()


def test_filtered_split_from_lists_in_the_folder(lists):
    dataset = datasets.load("gtzan", root=lists)
    assert dataset.clips["clip_id"].tolist() == [
        *("blues.00029", "jazz.00001", "pop.00003", "rock.00002"),
    ]
    assert dataset.clips["split"].tolist() == ["train", "train", "test", "valid"]
    assert [dataset.tags[k] for k in dataset.targets] == ["blues", "jazz", "pop", "rock"]
    assert dataset.n_outputs == 10
    assert dataset.waveform(0).shape == (4000,)


def test_filtered_split_from_torchaudio(genres):
    """Sizes and separation as published (Kereliuk, Sturm, Larsen 2015)."""
    clips = datasets.load("gtzan", root=genres).clips
    assert clips["split"].value_counts().to_dict() == {"train": 443, "valid": 197, "test": 290}


def test_filtered_split_with_no_lists(genres, monkeypatch):
    monkeypatch.setattr(gtzan.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DataError, match="lists are neither here nor in torchaudio"):
        datasets.load("gtzan", root=genres)
    assert len(datasets.load("gtzan", split="random", root=genres)) == 1000


def test_gtzan_incomplete_or_absent(tmp_path):
    sound(tmp_path / "blues" / "blues.00000.wav")
    with pytest.raises(DataError, match="excerpts are missing, first blues"):
        datasets.load("gtzan", root=tmp_path)
    with pytest.raises(DataError, match=r"no files such as blues.00000.wav"):
        datasets.load("gtzan")


def test_gtzan_is_fetched_and_unpacked_once(genres, tmp_path, monkeypatch):
    def fetch(urls, path, n_bytes, progress):
        path.parent.mkdir(parents=True, exist_ok=True)
        with tarfile.open(path, "w:gz") as file:
            file.add(genres / "genres_original", arcname="genres")
        return path

    monkeypatch.setattr(download, "fetch", fetch)
    folder = datasets.get("gtzan", tmp_path / "gtzan", progress=False)
    assert len(datasets.load("gtzan", root=folder)) == 930


def write_index(folder, name, kind, files):
    """Write an index as mirdata and soundata do, and the sounds that it names."""
    source = external.SOURCES[name]
    library = {"mirdata": mirdata, "soundata": soundata}[source.library]
    filename = library.initialize(source.name, data_home=str(folder))._index_data.filename
    entries = {
        key: {role: [path, "0" * 32 if path else None] for role, path in roles.items()}
        for key, roles in files.items()
    }
    (folder / filename).write_text(json.dumps({"version": "1.0", kind: entries}))
    for roles in files.values():
        sound(folder / roles["audio"])


def test_ballroom(tmp_path):
    files = {
        f"Albums-{i}": {
            "audio": f"B_1.0/audio/{['Tango', 'Samba'][i % 2]}/Albums-{i}.wav",
            "beats": f"B_1.0/annotations/beats/Albums-{i}.beats",
            "tempo": f"B_1.0/annotations/tempo/Albums-{i}.bpm",
        }
        for i in range(10)
    }
    write_index(tmp_path, "ballroom", "tracks", files)
    dataset = datasets.load("ballroom", root=tmp_path)
    assert dataset.tags == ["samba", "tango"]
    assert dataset.task == "multiclass"
    assert dataset.clips["split"].value_counts().to_dict() == {"train": 7, "test": 2, "valid": 1}
    assert dataset.waveform(0).shape == (4000,)
    with pytest.raises(DataError, match="no split 'official'; choose from random"):
        datasets.load("ballroom", root=tmp_path, split="official")


def test_irmas(tmp_path):
    files = {
        f"{recording:03d}__{part}": {
            "audio": f"IRMAS-TrainingData/cel/[cel][cla]{recording:04d}__{part}.wav",
            "annotation": None,
        }
        for recording in range(20)
        for part in (1, 2)
    }
    files["1"] = {
        "audio": "IRMAS-TestingData-Part1/Part1/a.wav",
        "annotation": "IRMAS-TestingData-Part1/Part1/a.txt",
    }
    write_index(tmp_path, "irmas", "tracks", files)
    (tmp_path / "IRMAS-TestingData-Part1/Part1/a.txt").write_text("cel\t\npia\t\n")
    dataset = datasets.load("irmas", root=tmp_path)
    assert dataset.task == "multilabel"
    assert dataset.tags == ["cel", "pia"]
    assert dataset.targets[-1].tolist() == [1, 1]
    assert dataset.clips["split"].value_counts().to_dict() == {"train": 36, "valid": 4, "test": 1}
    recording = dataset.clips["clip_id"].str.split("__").str[0]
    assert dataset.clips.groupby(recording)["split"].nunique().max() == 1


def test_medley_solos(tmp_path):
    subsets = ["training", "validation", "test"]
    rows = [f"{subsets[i % 3]},flute,3,{i},uuid{i}" for i in range(6)]
    (tmp_path / "annotation").mkdir()
    (tmp_path / "annotation" / "Medley-solos-DB_metadata.csv").write_text(
        "\n".join(["subset,instrument,instrument_id,song_id,uuid4", *rows])
    )
    files = {f"uuid{i}": {"audio": f"audio/{i}.wav"} for i in range(6)}
    write_index(tmp_path, "medley_solos_db", "tracks", files)
    dataset = datasets.load("medley_solos_db", root=tmp_path)
    assert dataset.clips["split"].tolist() == ["train", "valid", "test"] * 2
    assert dataset.clips["artist"].tolist() == list("012345")


def test_urbansound8k_folds(tmp_path):
    header = "slice_file_name,fsID,start,end,salience,fold,classID,class"
    rows = [f"{i}.wav,{i},0,4,1,{i + 1},8,siren" for i in range(10)]
    (tmp_path / "metadata").mkdir()
    (tmp_path / "metadata" / "UrbanSound8K.csv").write_text("\n".join([header, *rows]))
    files = {str(i): {"audio": f"audio/fold{i + 1}/{i}.wav"} for i in range(10)}
    write_index(tmp_path, "urbansound8k", "clips", files)
    split = datasets.load("urbansound8k", root=tmp_path).clips["split"]
    assert split.tolist() == ["test", "valid"] + ["train"] * 8
    split = datasets.load("urbansound8k", root=tmp_path, fold=9).clips["split"]
    assert split.tolist() == ["valid"] + ["train"] * 8 + ["test"]


@pytest.mark.parametrize("name", ["ballroom", "irmas", "tinysol", "urbansound8k"])
def test_absent_sets_say_how_to_get_them(name):
    with pytest.raises(DataError, match=f"mirdl data get {name}"):
        datasets.load(name)


def test_wrong_options_of_an_external_set(tmp_path):
    with pytest.raises(DataError, match="no target 'tempo'"):
        datasets.load("ballroom", target="tempo", root=tmp_path)
    with pytest.raises(DataError, match="no option 'threshold'"):
        datasets.load("ballroom", threshold=1, root=tmp_path)


def test_get_fetches_what_mirdata_lists(tmp_path, monkeypatch):
    """All remotes with their hashes, archives unpacked to where the index expects them."""
    asked = {}

    def fetch(urls, path, known_hash, progress):
        asked[path.name] = known_hash
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".zip":
            with zipfile.ZipFile(path, "w") as file:
                file.writestr("BallroomAnnotations-master/a.beats", "0.5 1")
        elif path.suffix == ".gz":
            inner = (
                "BallroomData"
                if "data1" in path.name
                else "BallroomAnnotations/ballroomGroundTruth"
            )
            sound(tmp_path / "src" / "Tango" / "a.wav")
            with tarfile.open(path, "w:gz") as file:
                file.add(tmp_path / "src" / "Tango", arcname=f"{inner}/Tango")
        else:
            path.write_text("{}")
        return path

    monkeypatch.setattr(download, "fetch", fetch)
    folder = datasets.get("ballroom", tmp_path / "ballroom", progress=False)
    assert asked["data1.tar.gz"] == "md5:2872a3e52070bc342a4510a95e2fa0b8"
    assert len(asked) == 4
    assert (folder / "B_1.0/audio/Tango/a.wav").is_file()
    assert (folder / "B_1.0/annotations/beats/a.beats").read_text() == "0.5 1"
    assert (folder / "ballroom_full_index_1.0.json").is_file()
    (folder / "B_1.0/audio/Tango/a.wav").unlink()
    datasets.get("ballroom", folder, progress=False)  # unpacked once is enough
    assert not (folder / "B_1.0/audio/Tango/a.wav").exists()


@pytest.mark.parametrize("name", list(external.SOURCES))
def test_every_source_is_in_the_catalogue_and_in_its_library(name):
    assert name in datasets.available()
    source = external.SOURCES[name]
    library = {"mirdata": mirdata, "soundata": soundata}[source.library]
    assert source.name in library.list_datasets()
