"""Published checkpoints: the same outputs in our modules, a clear error for every other file."""

import hashlib
import os
from dataclasses import replace

import numpy as np
import pytest
import torch

from mirdl import audio, models, published
from mirdl.cli import main
from mirdl.datasets.magnatagatune import TOP_50
from mirdl.errors import CheckpointError, MirdlError
from mirdl.evaluation import SharedTags, evaluate
from mirdl.experiments import settings, store
from mirdl.experiments.published import frequent, weights


def in_their_layout(model, name):
    """Return the weights of one of our networks as the authors' code would have saved them."""
    parts = {ours: theirs for theirs, ours in published.PARTS[name].items()}
    state = {
        "spec.spectrogram.window": model.front_end.window,
        "spec.mel_scale.fb": model.front_end.mel_bank + 1e-5,
    }
    for key, value in model.state_dict().items():
        ours = next(part for part in parts if key.startswith(f"{part}."))
        state[parts[ours] + key[len(ours) :].replace(".norm.", ".bn.")] = value
    return state


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write a state as the published checkpoint of a network."""

    def write(name, state, file="best_model.pth"):
        path = tmp_path / file
        torch.save(state, path, _use_new_zipfile_serialization=False)  # as in 2020
        monkeypatch.setitem(published.SHA256, name, hashlib.sha256(path.read_bytes()).hexdigest())
        return path

    return write


@pytest.fixture(params=published.PARTS)
def published_file(request, write):
    """A network of ours with random weights, and its checkpoint in the authors' layout."""
    torch.manual_seed(0)
    model = models.build(request.param).eval()
    for key, value in model.state_dict().items():
        if "running" in key:
            value.uniform_(0.5, 2)
    return request.param, model, write(request.param, in_their_layout(model, request.param))


@pytest.fixture
def fcn(write):
    torch.manual_seed(0)
    state = in_their_layout(models.build("fcn"), "fcn")
    return state, write("fcn", state)


def same(one, other):
    states = one.state_dict(), other.state_dict()
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


def test_every_tensor_finds_its_place(published_file):
    name, model, path = published_file
    loaded = published.load(name, path)
    same(loaded, model)
    assert not loaded.training
    assert (loaded.tags, loaded.task, loaded.n_outputs) == (TOP_50, "multilabel", 50)
    assert loaded.recipe["name"] == name


def test_converted_once_loaded_anywhere(published_file):
    name, model, path = published_file
    target = published.convert(name, path)
    assert target == published.folder() / f"{name}.safetensors"
    for loaded in (models.load(target), published.load(name), published.load(name, target)):
        same(loaded, model)
        assert (loaded.tags, loaded.task) == (TOP_50, "multilabel")


def test_cache_holds_what_was_downloaded(fcn):
    _, path = fcn
    published.folder().mkdir()
    path.rename(published.folder() / "fcn.pth")
    assert published.load("fcn").tags == TOP_50


def test_download_says_where_from_and_to(monkeypatch):
    def refuse(*args, **options):
        raise published.download.requests.ConnectionError("no network")

    monkeypatch.setattr(published.download.requests, "get", refuse)
    address = r"https://raw\.githubusercontent\.com/minzwon/.*/models/mtat/crnn/best_model\.pth"
    with pytest.raises(MirdlError, match=rf"published/crnn\.pth.*{address}"):
        published.load("crnn")


def test_unknown_names_are_refused():
    with pytest.raises(MirdlError, match="'vgg'; there are: fcn, crnn, musicnn"):
        published.load("vgg")


# Wrong and damaged files


class Code:
    def __reduce__(self):
        return os.mkdir, ("opened",)


def _truncated(state, path):
    path.write_bytes(path.read_bytes()[:-1000])


def _header_only(state, path):
    path.write_bytes(path.read_bytes()[:500])


def _empty(state, path):
    path.write_bytes(b"")


def _text(state, path):
    path.write_text("404: Not Found")


def _flipped(state, path):
    content = bytearray(path.read_bytes())
    content[-5000] ^= 1
    path.write_bytes(bytes(content))


def _retrained(state, path):
    torch.save(state | {"dense.bias": state["dense.bias"] + 1}, path)


def _code(state, path):
    torch.save(state | {"dense.bias": Code()}, path)


def _list(state, path):
    torch.save(list(state.values()), path)


def _other_window(state, path):
    window = state["spec.spectrogram.window"].sqrt()
    torch.save(state | {"spec.spectrogram.window": window}, path)


def _other_bands(state, path):
    torch.save(state | {"spec.mel_scale.fb": torch.zeros(257, 128)}, path)


def _one_missing(state, path):
    torch.save({key: value for key, value in state.items() if key != "dense.bias"}, path)


def _one_too_many(state, path):
    torch.save(state | {"layer6.conv.weight": torch.zeros(3)}, path)


def _other_tags(state, path):
    torch.save(state | {"dense.bias": torch.zeros(56), "dense.weight": torch.zeros(56, 64)}, path)


def _no_front_end(state, path):
    torch.save({key: value for key, value in state.items() if "spec." not in key}, path)


def _crnn(state, path):
    torch.save(in_their_layout(models.build("crnn"), "crnn"), path)


def _absent(state, path):
    path.unlink()


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (_truncated, "damaged"),
        (_header_only, "damaged"),
        (_empty, "damaged"),
        (_text, "damaged"),
        (_flipped, "has the layers of the published fcn, but another SHA-256"),
        (_retrained, "has the layers of the published fcn, but another SHA-256"),
        (_code, "holds Python code"),
        (_list, "holds something else than named tensors"),
        (_other_window, r"another front end: spec\.spectrogram\.window"),
        (_other_bands, r"another front end: spec\.mel_scale\.fb"),
        (_one_missing, r"no checkpoint of fcn: 1 tensors do not fit, first head\.1\.bias"),
        (_one_too_many, r"no checkpoint of fcn: 1 tensors do not fit, first layer6\.conv"),
        (_other_tags, r"no checkpoint of fcn: 2 tensors do not fit, first head\.1"),
        (_no_front_end, r"no checkpoint of fcn: it has no spec\.spectrogram\.window"),
        (_crnn, "no checkpoint of fcn: 16 tensors do not fit"),
        (_absent, "no such file"),
    ],
)
def test_wrong_and_damaged_files_are_refused(fcn, damage, reason, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    state, path = fcn
    damage(state, path)
    with pytest.raises(CheckpointError, match=rf"best_model\.pth: .*{reason}"):
        published.load("fcn", path)
    assert not (tmp_path / "opened").exists()  # the code in a checkpoint never ran


def test_converted_files_are_checked_too(fcn, tmp_path):
    target = published.convert("fcn", fcn[1], tmp_path / "fcn.safetensors")
    with pytest.raises(CheckpointError, match="is not the published crnn"):
        published.load("crnn", target)
    models.save(models.load(target), target, tags=sorted(TOP_50))
    with pytest.raises(CheckpointError, match="is not the published fcn"):
        published.load("fcn", target)
    target.write_bytes(target.read_bytes()[:-10])
    with pytest.raises(CheckpointError, match="damaged"):
        published.load("fcn", target)


def test_command_line(fcn, tmp_path, capsys):
    target = tmp_path / "mtt.safetensors"
    assert main(["published", "fcn", "--from", str(fcn[1]), "--to", str(target)]) == 0
    assert models.load(target).tags == TOP_50
    assert str(target) in capsys.readouterr().out
    assert main(["published", "crnn", "--from", str(fcn[1])]) == 2
    error = capsys.readouterr().err
    assert "is no checkpoint of crnn" in error
    assert error.count("\n") == 1


# On real music


@pytest.mark.real_data
@pytest.mark.parametrize("name", published.PARTS)
def test_outputs_are_the_authors(name, shared):
    (clip,) = (shared / "magnatagatune").glob("joram-*.mp3")
    reference = np.load(shared / "published_weights" / "reference_joram.npz")[name]
    model = published.load(name, shared / "published_weights" / f"{name}.pth")
    waveform = torch.as_tensor(audio.load(clip, 16_000)[: model.n_samples])
    with torch.inference_mode():
        probabilities = torch.sigmoid(model(waveform[None]))[0].numpy()
    assert np.abs(probabilities - reference).max() < 1e-5


#: Mean ROC-AUC on Emotify's MagnaTagATune tags of a run outside this project (see the README of
#: the shared Emotify), which says nothing of its windows.
STATED = {"fcn": 0.84, "crnn": 0.83, "musicnn": 0.90}


@pytest.mark.parametrize("name", STATED)
def test_stored_scores_reach_the_stated_ones(name):
    (row,) = store.load("published_on_emotify", name)
    assert row["metrics"]["roc_auc"] > STATED[name] - 0.005
    assert (row["n_clips"], len(row["per_tag"])) == (181, 18)


@pytest.mark.real_data
@pytest.mark.parametrize("name", STATED)
def test_scores_on_emotify(name, shared):
    """All tracks, but little of each: results/published_on_emotify has the whole of them.

    FCN and CRNN hear the middle 29 s, one window; musicnn 3 s of every 30 and the last 3 s.
    """
    dataset = frequent(settings.choose("emotify").dataset("mtt_tags"))
    if name != "musicnn":
        dataset = replace(dataset, clips=dataset.clips.assign(start=15.5, end=44.5))
    model = SharedTags(published.load(name, weights(name)), dataset)
    assert len(model.dataset.tags) == 18
    result = evaluate(model, model.dataset, hop=30 * 16_000, n_bootstrap=2)
    assert result.metrics["roc_auc"] == pytest.approx(STATED[name], abs=0.02)
