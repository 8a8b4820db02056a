"""Timbre networks: shapes as the papers print them, and what the papers leave open."""

import warnings

import pytest
import torch
from torch.nn import functional as F

from mirdl import models
from mirdl.models.blocks import ManyShapes, max_over_bands


def sizes(model, layers):
    """Return the output sizes of some layers on one clip, without the batch axis."""
    found = []
    hooks = [
        layer.register_forward_hook(lambda *call: found.append(tuple(call[-1].shape[1:])))
        for layer in layers
    ]
    model.eval()(torch.zeros(1, model.n_samples))
    for hook in hooks:
        hook.remove()
    return found


@pytest.mark.parametrize("length", [1, 2, 7, 32, 165])
def test_padding_along_time_is_same_padding(length):
    filters = ManyShapes([(3, length)], order="C")
    x = torch.randn(2, 1, 188)
    conv = filters[0].conv
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns of even lengths
        expected = F.conv1d(x, conv.weight, conv.bias, padding="same")
    torch.testing.assert_close(filters(x)[0], expected)


@pytest.mark.parametrize(
    ("padding", "expected"),
    [
        ("time", [(29, 187), (104, 187)]),
        ("same", [(128, 187), (128, 187)]),
        ("valid", [(29, 187), (104, 181)]),
    ],
)
def test_padding_of_many_shapes(padding, expected):
    filters = ManyShapes([(2, (100, 1)), (3, (25, 7))], padding=padding)
    maps = filters(torch.zeros(1, 1, 128, 187))
    assert [tuple(x.shape[2:]) for x in maps] == expected


@pytest.mark.parametrize("shift", [-10, 3, 20])
def test_the_largest_value_over_bands_does_not_hear_pitch(shift):
    filters = ManyShapes([(4, (8, 3)), (2, (5, 1))], order="CA")
    x = torch.zeros(1, 1, 96, 20)
    x[:, :, 40:50] = torch.randn(10, 20)
    moved = max_over_bands(filters(x.roll(shift, dims=2)))
    torch.testing.assert_close(moved, max_over_bands(filters(x)))
    assert not torch.allclose(moved[..., 1:], moved[..., :-1])  # but it hears time


def test_first_layer_of_the_auto_tagger():
    model = models.build("timbre_cnn")
    shapes = [(block.conv.out_channels, block.conv.kernel_size) for block in model.front]
    assert shapes == [
        (10, (100, 1)), (6, (100, 3)), (3, (100, 5)), (3, (100, 7)),
        (15, (75, 1)), (10, (75, 3)), (5, (75, 5)), (5, (75, 7)),
        (15, (25, 1)), (10, (25, 3)), (5, (25, 5)), (5, (25, 7)),
    ]  # fmt: skip
    assert model.n_frames == 187
    assert sizes(model, [model.pool, model.conv]) == [(92, 46), (32, 9)]


def test_back_layer_grows_with_the_front_unless_the_text_is_followed():
    assert models.build("timbre_cnn", multiple=4).conv.conv.out_channels == 128
    as_text = models.build("timbre_cnn", multiple=4, back_filters=32)
    assert as_text.conv.conv.weight.shape == (32, 368, 8)
    assert models.n_parameters(as_text) == 196_158


def test_filters_keep_their_share_of_other_front_ends():
    for name in ("timbre_cnn", "musicnn_timbre"):
        model = models.build(name, front_end="mel40", for_seconds=3)
        heights = {block.conv.kernel_size[0] for block in model.front}
        assert heights == ({31, 23, 8} if name == "timbre_cnn" else {32, 24, 8})


def test_musicnn_timbre():
    model = models.build("musicnn_timbre", multiple=2)
    assert {block.conv.kernel_size[0] for block in model.front} == {76, 57, 19}
    assert sizes(model, [model.conv]) == [(32, 45)]
    assert models.n_parameters(model) == 222_528


def test_small_rectangular_pools_time_first():
    model = models.build("small_rectangular")
    assert sizes(model, model.blocks) == [
        (32, 126, 46), (32, 31, 44), (64, 14, 21), (32, 6, 9), (16, 4, 7)
    ]  # fmt: skip
    assert all(block.conv.bias is None for block in model.blocks)


@pytest.mark.parametrize("seconds", [0.5, 3, 10])
@pytest.mark.parametrize("name", ["small_rectangular", "irmas_single", "irmas_multi"])
def test_networks_that_flatten_fit_other_lengths_and_bands(name, seconds):
    model = models.build(name, front_end="mel40", for_seconds=seconds, width=0.25).eval()
    assert model(torch.zeros(1, model.n_samples)).shape == (1, 50)


def test_irmas():
    single, multi = models.build("irmas_single", 11), models.build("irmas_multi", 11)
    assert (single.sample_rate, single.n_frames) == (12_000, 128)
    assert single.head[-1].weight.shape == (11, 448 * 4)
    assert sizes(multi, [multi.conv1, multi.conv2]) == [(128, 2, 2), (128, 1, 1)]
    statistics = sum(b.numel() for name, b in multi.named_buffers() if "running" in name)
    assert models.n_parameters(multi) + statistics == 743_723  # the 743k that is printed


def test_maps_of_han_grow_by_two():
    model = models.build("han2016", 11)
    assert sizes(model, model.blocks) == [
        (32, 130, 45), (32, 44, 15), (64, 46, 17), (64, 16, 6),
        (128, 18, 8), (128, 6, 3), (256, 8, 5), (256, 10, 7),
    ]  # fmt: skip


@pytest.mark.parametrize(("padding", "heights"), [("valid", (15, 5)), ("same", (40, 40))])
def test_jingju_pools_pairs_of_bands(padding, heights):
    model = models.build("jingju_phoneme", 29, padding=padding)
    assert (model.sample_rate, model.n_frames) == (44_100, 21)
    assert sizes(model, [model.pool])[0] == (128, heights[0])  # of six calls the first
    assert model.head[-1].in_features == 224 * sum(heights)
