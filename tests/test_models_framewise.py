"""Framewise networks: one decision a frame, from the right frames."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from mirdl import models
from mirdl.errors import MirdlError

NAMES = ["context_dnn", "frame_cnn", "onset_cnn", "frame_blstm"]


@pytest.mark.parametrize("name", NAMES)
def test_a_decision_for_every_frame_of_any_length(name):
    model = models.build(name, 3, width=0.125).eval()
    assert model.framewise
    assert model.n_samples is None
    for n_samples in (5_000, 16_000, 40_001):
        audio = 0.1 * torch.randn(2, n_samples)
        times = model.times(n_samples)
        assert model(audio).shape == (2, 3, len(times))
        assert times[0] == 0
        assert times[-1] <= n_samples / model.sample_rate


@pytest.mark.parametrize("name", NAMES)
def test_frames_are_those_of_the_truth(name):
    """With "mel96", a network decides where `Dataset.frames` has its labels."""
    model = models.build(name, 1, front_end="mel96", width=0.125)
    np.testing.assert_allclose(model.times(160_000), np.arange(626) * 256 / 16_000)


def test_published_rates():
    assert 1 / models.build("context_dnn").times(16_000)[1] == 10
    assert 1 / models.build("frame_cnn").times(22_050)[1] == pytest.approx(70)
    assert 1 / models.build("frame_blstm").times(16_000)[1] == 62.5


def reach(model, n_frames=301):
    """Return how many frames before and after its own a decision depends on."""
    x = torch.randn(1, model.front_end.n_mels, n_frames, requires_grad=True)
    model.front_end.forward = lambda audio: x
    model.eval()(torch.zeros(1, 1))[0, 0, n_frames // 2].backward()
    (frames,) = x.grad.abs().sum(dim=(0, 1)).nonzero(as_tuple=True)
    return n_frames // 2 - frames.min().item(), frames.max().item() - n_frames // 2


@pytest.mark.parametrize(
    ("name", "overrides", "expected"),
    [
        ("context_dnn", {}, (7, 7)),
        ("context_dnn", {"context": 3, "hidden": [16]}, (1, 1)),
        ("frame_cnn", {"width": 0.5}, (57, 57)),
        ("onset_cnn", {"width": 0.5}, (7, 7)),
        ("frame_blstm", {}, (150, 150)),
        ("frame_blstm", {"bidirectional": False}, (150, 0)),
    ],
)
def test_a_decision_sees_the_papers_frames(name, overrides, expected):
    torch.manual_seed(0)
    assert reach(models.build(name, 1, **overrides)) == expected


def test_context_dnn_is_a_dense_network_on_stacked_frames():
    torch.manual_seed(0)
    model = models.build("context_dnn", 12, width=0.125).eval()
    assert [len(layer.conv.weight) for layer in model.layers] == [64, 64, 64]
    x = torch.randn(1, 180, 40)
    model.front_end.forward = lambda audio: x
    y = x[0, :, 13:28].flatten()  # frame 20 and 7 to each side
    for layer in model.layers:
        y = (layer.conv.weight.flatten(1) @ y + layer.conv.bias).relu()
    y = model.output.weight[:, :, 0] @ y + model.output.bias
    torch.testing.assert_close(model(torch.zeros(1, 1))[0, :, 20], y)


@pytest.mark.parametrize("batch_norm", [False, True])
def test_frame_cnn_is_the_published_network_on_every_excerpt(batch_norm):
    """Pools that move by 3, no dilation, dense layers: as Schlüter and Grill train it."""
    torch.manual_seed(0)
    model = models.build("frame_cnn", 1, width=0.25, batch_norm=batch_norm)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(std=0.1)
                module.weight.uniform_(0.5, 1.5)
    model.eval()
    x = torch.randn(1, 80, 140)
    model.front_end.forward = lambda audio: x
    excerpts = copy.deepcopy(model.layers)
    for module in excerpts.modules():
        if isinstance(module, nn.MaxPool2d):
            module.stride = 3
        if hasattr(module, "dilation"):
            module.dilation = (1, 1) if isinstance(module, nn.Conv2d) else 1
    logits = model(torch.zeros(1, 1))
    normalised = model.norm(x)
    for frame in (57, 58, 70, 82):
        excerpt = normalised[:, None, :, frame - 57 : frame + 58]
        assert excerpts[:6](excerpt).shape[2:] == (7, 11)
        torch.testing.assert_close(excerpts(excerpt).flatten(), logits[:, 0, frame])


def test_frame_cnn_needs_bands():
    with pytest.raises(MirdlError, match="25 mel bands, not 24"):
        models.build("frame_cnn", front_end={"preset": "mel96", "n_mels": 24})
    small = models.build("frame_cnn", 1, front_end={"preset": "mel96", "n_mels": 25}, width=0.1)
    assert small.eval()(torch.zeros(1, 2_560)).shape == (1, 1, 11)
