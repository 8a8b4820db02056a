"""The command line, from its arguments to its exit status, on a handful of tones."""

import csv
import io
import json
import subprocess
import sys
from ctypes.util import find_library

import numpy as np
import pytest

from mirdl import audio, cli, datasets, models, training

RATE = 16000


@pytest.fixture(scope="session")
def tones(tmp_path_factory):
    """Twenty-four files by twelve artists: low tones and high tones, three seconds each."""
    folder = tmp_path_factory.mktemp("tones")
    rng, time = np.random.default_rng(0), np.arange(3 * RATE) / RATE
    lines = ["path,artist,split,register"]
    for i in range(24):
        register, split = ["low", "high"][i % 2], ["train", "valid", "test"][i // 8]
        frequency = {"low": 200, "high": 2000}[register] * (1 + i / 100)
        sound = 0.5 * np.sin(2 * np.pi * frequency * time) + 0.01 * rng.standard_normal(len(time))
        audio.write(folder / f"{i:02d}.wav", sound, RATE)
        lines.append(f"{i:02d}.wav,artist {i // 2},{split},{register}")
    (folder / "clips.csv").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture
def in_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MIRDL_RESULTS", str(tmp_path / "results"))
    return tmp_path


@pytest.fixture
def weights(tmp_path):
    """A small network that knows four tags and nothing about them."""
    model = models.build("fcn", 4, width=0.05, for_seconds=2.0)
    path = tmp_path / "small.safetensors"
    models.save(model, path, ["piano", "drums", "slow", "loud"], "multilabel")
    return path


def train(tones, *more):
    options = f"--dataset folder --root {tones} --target register --model fcn --set width=0.1"
    options += " --quiet --device cpu --steps 20 --fit batch_size=8 learning_rate=0.01"
    return cli.main(["train", *options.split(), *more])


def test_train_leaves_weights_history_and_results_and_can_be_repeated(tones, in_folder, capsys):
    arguments = ["--seeds", "0", "1", "--folder", "out", "--save-results", "tones"]
    assert train(tones, *arguments) == 0
    printed = capsys.readouterr().out
    assert "chance" in printed
    assert "8 clips by 4 artists" in printed
    for seed in ("seed0", "seed1"):
        files = {path.name for path in (in_folder / "out" / seed).iterdir()}
        assert {"model.safetensors", "history.csv", "test.csv"} <= files
    row = json.loads((in_folder / "results/tones/fcn__folder_register__seed1.json").read_text())
    assert row["settings"]["width"] == 0.1
    assert row["command"].startswith("mirdl train --dataset folder")
    assert row["chance"]["accuracy"] == 0.5
    kept = (in_folder / "out/seed0/model.safetensors").read_bytes()
    assert train(tones, *arguments) == 0  # goes on from the end: nothing changes
    assert (in_folder / "out/seed0/model.safetensors").read_bytes() == kept


def test_trained_network_hears_the_difference(tones, in_folder, capsys):
    assert train(tones, "--folder", "out") == 0
    saved = str(in_folder / "out/seed0/model.safetensors")
    assert models.load(saved).n_samples == 3 * RATE  # shortened to the clips
    capsys.readouterr()
    where = ["--dataset", "folder", "--root", str(tones), "--target", "register"]
    assert cli.main(["evaluate", saved, *where]) == 0
    scores = capsys.readouterr().out.splitlines()
    accuracy = next(line.split() for line in scores if line.startswith("accuracy"))
    assert float(accuracy[1]) == 1.0


def test_baseline_is_trained_by_the_same_command(tones, in_folder, capsys):
    where = ["--dataset", "folder", "--root", str(tones), "--target", "register"]
    assert cli.main(["train", *where, "--model", "majority", "--quiet"]) == 0
    assert "accuracy" in capsys.readouterr().out
    assert (in_folder / "runs/folder-register-majority/seed0/test.csv").is_file()


def test_each_seed_is_the_baselines_own(tones, in_folder, monkeypatch):
    built = []
    build = models.build
    monkeypatch.setattr(
        models, "build", lambda *names, **more: built.append(more) or build(*names, **more)
    )
    where = ["--dataset", "folder", "--root", str(tones), "--target", "register", "--quiet"]
    more = ["--seeds", "3", "4", "--split", "random", "--save-results", "tones"]
    assert cli.main(["train", *where, "--model", "majority", *more]) == 0
    assert built == [{"seed": 3}, {"seed": 4}]
    rows = sorted(path.name for path in (in_folder / "results/tones").iterdir())
    assert rows == [f"majority__folder_register_random__seed{seed}.json" for seed in (3, 4)]


def test_train_explains_unknown_options(tones, in_folder, capsys):
    assert train(tones, "speed=9") == 2
    assert "no training option 'speed'" in capsys.readouterr().err
    assert train(tones, "--set", "wings=2") == 2
    assert "wings" in capsys.readouterr().err
    assert train(tones, "--set", "front_end=mel99") == 2
    assert "fcn: no front end 'mel99'" in capsys.readouterr().err
    assert train(tones, "--steps", "0") == 2
    assert "n_steps must be at least 1" in capsys.readouterr().err


def test_interrupted_training_goes_on_where_it_was(tones, in_folder, monkeypatch, capsys):
    by_tens = ["--fit", "steps_per_epoch=10", "batch_size=8"]
    validate, calls = training._validate, []

    def interrupted(*arguments):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return validate(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(training, "_validate", interrupted)
        assert train(tones, "--folder", "broken", *by_tens) == 130
    assert "run the same command again" in capsys.readouterr().err
    assert not (in_folder / "broken/seed0/model.safetensors").exists()
    assert train(tones, "--folder", "broken", *by_tens) == 0
    assert train(tones, "--folder", "unbroken", *by_tens) == 0
    one, other = (in_folder / name / "seed0/model.safetensors" for name in ("broken", "unbroken"))
    assert one.read_bytes() == other.read_bytes()


def test_evaluate_uses_the_tags_that_both_know(tones, tmp_path, weights, capsys):
    table = (tones / "clips.csv").read_text().replace("register", "tags")
    table = table.replace(",low", ",drums|bass").replace(",high", ",slow")
    (tmp_path / "table").mkdir()
    table = table.replace("\n", f"\n{tones}/").removesuffix(f"{tones}/")
    (tmp_path / "table" / "clips.csv").write_text(table)
    where = ["--dataset", "folder", "--root", str(tmp_path / "table")]
    assert cli.main(["evaluate", str(weights), *where, "--csv", "--device", "cpu"]) == 0
    first, *lines = capsys.readouterr().out.splitlines()
    assert first == "tags in common: drums, slow"
    rows = list(csv.DictReader(io.StringIO("\n".join(line for line in lines if line))))
    assert [row["output"] for row in rows] == ["drums", "slow"]
    where = ["--dataset", "folder", "--root", str(tones), "--target", "register"]
    assert cli.main(["evaluate", str(weights), *where]) == 2
    assert "is for multilabel" in capsys.readouterr().err  # not scored as if it were


def test_tag_prints_and_draws(tones, tmp_path, weights, capsys):
    files = [str(tones / "00.wav"), str(tones / "01.wav")]
    picture = tmp_path / "pictures" / "taggram.png"
    arguments = ["tag", *files, "--model", str(weights), "--plot", str(picture)]
    assert cli.main([*arguments, "--csv", "--top", "2"]) == 0
    printed = capsys.readouterr().out
    assert "\r" not in printed  # where the console adds its own, there would be two
    rows = list(csv.DictReader(io.StringIO(printed)))
    assert [row["file"] for row in rows] == [files[0]] * 2 + [files[1]] * 2
    assert all(0 <= float(row["score"]) <= 1 for row in rows)
    for name in ("taggram_00.png", "taggram_01.png"):
        assert (tmp_path / "pictures" / name).read_bytes().startswith(b"\x89PNG")
    assert cli.main(["tag", files[0], "--model", str(weights)]) == 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in ("00.wav, 3 s", "piano", "drums", "slow", "loud"))


def test_tag_goes_on_after_a_bad_file(tones, tmp_path, weights, capsys):
    (tmp_path / "empty.mp3").touch()
    audio.write(tmp_path / "click.wav", 0.1 * np.ones(RATE // 10), RATE)
    files = [str(path) for path in (tmp_path / "empty.mp3", tmp_path / "click.wav")]
    files.append(str(tones / "00.wav"))
    assert cli.main(["tag", *files, "--model", str(weights)]) == 2
    captured = capsys.readouterr()
    assert "empty.mp3: empty: 0 bytes" in captured.err
    assert "click.wav: too short: 0.10 s" in captured.err
    assert captured.out.count(".wav") == 1
    assert "00.wav" in captured.out


def test_tag_refuses_to_stand_still(tones, weights, capsys):
    assert cli.main(["tag", str(tones / "00.wav"), "--model", str(weights), "--hop", "0"]) == 2
    assert "hop must be at least one sample" in capsys.readouterr().err
    assert cli.main(["tag", str(tones / "00.wav"), "--model", str(weights), "--top", "-1"]) == 2
    assert "--top must be at least 1" in capsys.readouterr().err


def test_tag_draws_a_png_whatever_the_name(tones, tmp_path, weights, capsys):
    picture = tmp_path / "picture"
    arguments = ["tag", str(tones / "00.wav"), "--model", str(weights), "--plot", str(picture)]
    assert cli.main(arguments) == 0
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_missing_weights_are_one_line(tones, capsys):
    assert cli.main(["tag", str(tones / "00.wav"), "--model", "nowhere.safetensors"]) == 2
    assert capsys.readouterr().err.startswith("mirdl: nowhere.safetensors:")


def test_files_of_one_name_get_a_picture_each(tones, tmp_path, weights):
    other = tmp_path / "other"
    other.mkdir()
    (other / "00.wav").write_bytes((tones / "01.wav").read_bytes())
    files = [str(tones / "00.wav"), str(other / "00.wav"), str(tones / "02.wav")]
    arguments = ["tag", *files, "--model", str(weights), "--plot", str(tmp_path / "t.png")]
    assert cli.main(arguments) == 0
    names = sorted(path.name for path in tmp_path.glob("*.png"))
    assert names == ["t_00_1.png", "t_00_2.png", "t_02.png"]
    assert (tmp_path / names[0]).read_bytes() != (tmp_path / names[1]).read_bytes()


def test_weights_without_tags_are_one_line(tones, tmp_path, capsys):
    path = tmp_path / "nameless.safetensors"
    models.save(models.build("dieleman_spectrogram", 3, width=0.1), path)
    assert cli.main(["tag", str(tones / "00.wav"), "--model", str(path)]) == 2
    assert "without the names of its outputs" in capsys.readouterr().err


def test_models_lists_all_of_them(capsys):
    assert cli.main(["models"]) == 0
    printed = capsys.readouterr().out
    names = list(dict.fromkeys(line.split()[0] for line in printed.splitlines()[1:]))
    assert sorted(names) == sorted(models.available())
    assert cli.main(["models", "--csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert len(rows) > 90
    assert all(row["verdict"] != "differs" for row in rows)


def test_models_of_some_names(capsys):
    assert cli.main(["models", "fcn", "majority"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split()[:8] == ["fcn", "464,000", "at", "16", "kHz:", "96", "x", "1,813"]
    assert {"447,732", "exact"} <= set(lines[1].split())
    assert lines[2].startswith("majority")
    assert cli.main(["models", "fcn", "--csv"]) == 0
    (row,) = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert (row["parameters"], row["verdict"]) == ("447,732", "exact")
    assert cli.main(["models", "fnc"]) == 2
    assert "fnc" in capsys.readouterr().err


def test_data_list_check_and_pack(tones, capsys):
    assert cli.main(["data", "list"]) == 0
    names = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert names == datasets.available()
    where = ["folder", "--root", str(tones), "--target", "register", "--quiet"]
    assert cli.main(["data", "pack", *where]) == 0
    assert "24 of 24 clips" in capsys.readouterr().out
    assert cli.main(["data", "check", *where]) == 0
    assert "24 files, 0 of them" in capsys.readouterr().out


def test_data_check_reports_a_bad_file(tones, tmp_path, capsys):
    good, bad = tmp_path / "good.wav", tmp_path / "bad.wav"
    good.write_bytes((tones / "00.wav").read_bytes())
    bad.write_bytes((tones / "01.wav").read_bytes()[:2000])
    (tmp_path / "clips.csv").write_text("path,tags,split\ngood.wav,a,train\nbad.wav,b,test\n")
    report = tmp_path / "report.csv"
    where = ["folder", "--root", str(tmp_path), "--quiet", "--report", str(report)]
    assert cli.main(["data", "check", *where]) == 1
    printed = capsys.readouterr().out
    assert "bad.wav: truncated" in printed
    assert "2 files, 1 of them cannot be used: 1 truncated" in printed
    (row,) = csv.DictReader(report.read_text().splitlines())
    assert (row["path"], row["kind"]) == (str(bad), "truncated")


def test_wrong_names_are_one_line(capsys):
    for arguments in (
        ["data", "get", "nothing", "--quiet"],
        ["data", "get", "folder"],
        ["train", "--model", "fcn", "--dataset", "nothing"],
    ):
        assert cli.main(arguments) == 2
        error = capsys.readouterr().err
        assert error.startswith("mirdl: ")
        assert error.count("\n") == 1


def test_python_m_mirdl_is_the_same_command():
    done = subprocess.run(
        [sys.executable, "-m", "mirdl", "data", "get", "nothing"], capture_output=True, text=True
    )
    assert done.returncode == 2
    assert done.stderr.startswith("mirdl: ")
    usage = subprocess.run([sys.executable, "-m", "mirdl"], capture_output=True, text=True)
    assert usage.returncode == 2
    assert usage.stderr.startswith("usage: mirdl")


@pytest.mark.real_data
def test_tag_reads_real_stereo_mp3(shared, weights, capsys):
    files = sorted(map(str, (shared / "emotify/original").rglob("*.mp3")))
    assert files
    assert cli.main(["tag", *files, "--model", str(weights), "--top", "1"]) == 0
    assert capsys.readouterr().out.count(".mp3") == len(files)


@pytest.mark.skipif(not find_library("fluidsynth"), reason="no FluidSynth")
def test_render_and_compare(tmp_path, monkeypatch, capsys):
    pytest.importorskip("fluidsynth")
    monkeypatch.setenv("MIRDL_DATA", str(tmp_path))
    arguments = ["data", "render", "--tracks", "1", "--workers", "1", "--quiet"]
    assert cli.main([*arguments, "--folder", str(tmp_path / "minitag")]) == 0
    again = [*arguments, "--folder", str(tmp_path / "again"), "--verify"]
    assert cli.main(again) == 0
    assert "all 1 tracks" in capsys.readouterr().out
    table = tmp_path / "minitag" / "tracks.csv"
    (digest,) = (row["sha256"] for row in csv.DictReader(table.open()))
    table.write_text(table.read_text().replace(digest, "0" * 64))
    assert cli.main(again) == 2
    assert "sound different" in capsys.readouterr().err
