"""Attributions that add up, masks that can be heard, and a page about any recording."""

import re

import numpy as np
import pytest
import torch

from mirdl import audio, cli, explain, models
from mirdl.errors import MirdlError
from mirdl.explain.page import page

RATE = 16_000


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    model = models.build("fcn", 3, width=0.1, for_seconds=2)
    model.tags, model.task = ["low", "high", "loud & <b>"], "multilabel"
    for layer in model.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.running_var.fill_(30)  # keeps untrained logits small
    return model.eval()


@pytest.fixture
def music(rng):
    time = np.arange(3 * RATE) / RATE
    sound = np.sin(2 * np.pi * 500 * time) + np.sin(2 * np.pi * 3000 * time)
    return (0.1 * sound + 0.01 * rng.normal(size=len(time))).astype(np.float32)


def test_behind_the_front_end_are_the_same_layers(model, music):
    window = music[: model.n_samples]
    behind = explain.behind_front_end(model)
    with torch.no_grad():
        whole = model(torch.from_numpy(window)[None])
        torch.testing.assert_close(behind(explain.spectrogram(model, window)), whole)
        torch.testing.assert_close(model(torch.from_numpy(window)[None]), whole)  # unchanged
    assert behind.head is model.head


def test_integrated_gradients_add_up_to_the_difference_of_logits(model, music):
    window = music[: model.n_samples]
    credit = explain.integrated_gradients(model, window, 1, n_steps=64)
    with torch.no_grad():
        heard, silent = (model(torch.from_numpy(x)[None])[0, 1] for x in (window, 0 * window))
    assert credit.shape == (96, model.n_frames)
    assert credit.sum() == pytest.approx(float(heard - silent), rel=0.1)


def test_saliency_is_the_gradient(model, music):
    window = music[: model.n_samples]
    slope = explain.saliency(model, window, 2)
    S = explain.spectrogram(model, window).requires_grad_()
    explain.behind_front_end(model)(S)[0, 2].backward()
    np.testing.assert_allclose(slope, S.grad[0].numpy(), atol=1e-6)


def test_randomised_weights_are_others_and_leave_the_network_alone(model):
    before = {name: value.clone() for name, value in model.state_dict().items()}
    other, again = explain.randomised(model, 1), explain.randomised(model, 1)
    assert not torch.equal(other.blocks[0].conv.weight, model.blocks[0].conv.weight)
    assert torch.equal(other.blocks[0].conv.weight, again.blocks[0].conv.weight)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_networks_on_the_waveform_have_no_cells():
    model = models.build("sample_cnn", 3, width=0.05)
    with pytest.raises(MirdlError, match="no mel spectrogram"):
        explain.behind_front_end(model)


def test_a_mask_lets_one_tone_through(model, music):
    bands, _ = explain.spectrogram(model, music)[0].shape
    mask = np.zeros((bands, model.front_end.n_frames(len(music))))
    mask[:40] = 1  # up to 1.4 kHz
    left = explain.heard_through(model.front_end, music, mask)
    assert left.shape == music.shape
    power = np.abs(np.fft.rfft(left)) ** 2
    assert power[1500] > 1000 * power[9000]  # three seconds: 500 Hz and 3 kHz
    whole = explain.heard_through(model.front_end, music, np.ones_like(mask))
    assert np.corrcoef(whole, music)[0, 1] > 0.999


def test_masks_are_the_positive_part():
    mask = explain.as_mask([[-3.0, 0.0], [1.0, 2.0]], quantile=1)
    np.testing.assert_allclose(mask, [[0, 0], [0.5, 1]])
    assert not explain.as_mask(-np.ones((2, 2))).any()


def test_deconvolution_passes_the_first_map_back_to_its_filter(model, music):
    window = music[: model.n_samples]
    picture = explain.deconvolution(model, window, "blocks.1", 2)
    assert picture.shape == (96, model.n_frames)
    sound = explain.auralise(model, window, "blocks.1", 2)
    assert sound.shape == window.shape
    assert not model.blocks[1]._forward_hooks


def test_the_window_behind_the_end_is_filled_up(model, music):
    window = explain.window_at(model, music, 2.0)
    assert len(window) == model.n_samples
    np.testing.assert_array_equal(window[:RATE], music[2 * RATE :])
    assert not window[RATE:].any()


def test_a_page_stands_alone_and_escapes_names(model, music):
    text = page(model, music, 'a <script>"$x"</script> & \udce4.mp3', n_pictures=1)
    text.encode()
    assert "<h1>a &lt;script&gt;&quot;$x&quot;&lt;/script&gt; &amp; ?.mp3</h1>" in text
    assert "loud &amp; &lt;b&gt;" in text
    assert not re.search(r'(src|href)="(?!data:)', text)
    assert "http" not in text
    assert text.count("<audio") == 4
    assert text.count("<img") == 2
    assert text.count("<button") == 3


def test_a_network_on_the_waveform_gets_a_page_without_pictures(music):
    model = models.build("sample_cnn", 2, width=0.05)
    model.tags, model.task = ["a", "b"], "multilabel"
    text = page(model, music, "x")
    assert text.count("<img") == 1
    assert "reads the waveform" in text


@pytest.mark.parametrize(
    ("change", "reason"),
    [({"tags": []}, "names"), ({"task": "regression"}, "numbers"), ({"n_samples": None}, "whole")],
)
def test_what_cannot_be_explained_is_said(model, music, monkeypatch, change, reason):
    for name, value in change.items():
        monkeypatch.setattr(model, name, value)
    with pytest.raises(MirdlError, match=reason):
        page(model, music, "x")


def test_the_command_writes_a_page_and_names_what_is_wrong(model, music, tmp_path, capsys):
    weights, song = tmp_path / "small.safetensors", tmp_path / "a & b.flac"
    models.save(model, weights, ["low", "high", "loud"])
    audio.write(song, music, RATE)
    target = tmp_path / "pages" / "page.html"
    rest = ["--model", str(weights), "--pictures", "0"]
    assert cli.main(["explain", str(song), "--page", str(target), *rest]) == 0
    assert capsys.readouterr().out == f"{target}\n"
    assert "a &amp; b.flac" in target.read_text(encoding="utf-8")
    (tmp_path / "file").touch()
    faults = {
        "no such file": [str(tmp_path / "none.mp3")],
        "empty": [str(tmp_path / "file")],
        "cannot be written": [str(song), "--page", str(tmp_path / "file" / "page.html")],
        "--pictures": [str(song), "--pictures", "-1"],
    }
    for words, arguments in faults.items():
        given = [*rest, *arguments] if words == "--pictures" else [*arguments, *rest]
        assert cli.main(["explain", *given]) == 2
        assert words in capsys.readouterr().err
