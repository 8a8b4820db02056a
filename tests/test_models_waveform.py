"""Waveform networks: sizes and settings of their papers."""

import math

import pytest
import torch
from torch import nn

from mirdl import models
from mirdl.errors import MirdlError
from mirdl.models.waveform import FEATURE_POOLINGS, NONLINEARITIES, RawFilters


def sizes(model, layers):
    """Return the size, without the batch, of the output of each layer on the model's own input."""
    found = []
    for layer in layers:
        layer.register_forward_hook(lambda *call: found.append(tuple(call[-1].shape[1:])))
    with torch.no_grad():
        model.eval()(torch.zeros(1, model.n_samples))
    return found


def count(name, n_outputs=50, **overrides):
    with torch.device("meta"):
        return models.n_parameters(models.build(name, n_outputs, **overrides))


# Filters in the place of a spectrogram


@pytest.mark.parametrize(
    ("length", "stride", "n_frames", "last"),
    [(1024, 1024, 46, 1), (1024, 512, 92, 3), (512, 512, 93, 3), (512, 256, 186, 9),
     (256, 256, 187, 9)],
)  # fmt: skip
def test_raw_filters_have_the_frames_of_table_1(length, stride, n_frames, last):
    model = models.build("dieleman_raw", length=length, stride=stride)
    layers = [model.front_end, model.conv1, model.conv2]
    assert sizes(model, layers) == [(128, n_frames), (32, (n_frames - 7) // 4), (32, last)]
    assert model.n_frames == n_frames


def test_the_layers_above_are_those_of_the_spectrogram_network():
    raw, spectrogram = models.build("dieleman_raw"), models.build("dieleman_spectrogram")
    above = [
        {key: value.shape for key, value in model.state_dict().items() if key[:5] != "front"}
        for model in (raw, spectrogram)
    ]
    assert above[0] == above[1]


def test_logarithms_take_negative_outputs():
    x = torch.tensor([-2.0, 0.0, 2.0], requires_grad=True)
    for name, inner in (("log", 20_000), ("log_square", 40_000)):
        values = NONLINEARITIES[name](x)
        expected = math.log(1 + inner)
        torch.testing.assert_close(values, torch.tensor([expected, 0.0, expected]))
        (gradient,) = torch.autograd.grad(values.sum(), x)
        assert torch.isfinite(gradient).all()
    assert NONLINEARITIES["relu"](x).tolist() == [0, 0, 2]


@pytest.mark.parametrize("kind", FEATURE_POOLINGS)
@pytest.mark.parametrize("pool_size", [2, 4])
def test_feature_pooling_leaves_fewer_parameters(kind, pool_size):
    model = models.build("dieleman_raw", feature_pooling=kind, pool_size=pool_size)
    assert model.front_end.conv.out_channels == 128
    assert model.conv1.conv.in_channels == 128 // pool_size
    fewer = (128 - 128 // pool_size) * 32 * 8
    assert models.n_parameters(model) == 107_870 - fewer
    assert model.eval()(torch.zeros(2, 48_000)).shape == (2, 50)


def test_l2_pooling_of_a_quadrature_pair_hears_no_phase():
    filters = RawFilters(256, 256, 2, feature_pooling="l2", pool_size=2)
    time = 2 * math.pi * 10 * torch.arange(256) / 256
    with torch.no_grad():
        filters.conv.weight.copy_(torch.stack([time.sin(), time.cos()]).unsqueeze(1))
        filters.conv.bias.zero_()
        tones = torch.stack([torch.sin(time + phase) for phase in (0, 0.7, 1.5, 3)])
        pooled, linear = filters(tones), filters.conv(tones.unsqueeze(1))
    torch.testing.assert_close(pooled, torch.full((4, 1, 1), 128.0), rtol=1e-4, atol=0)
    assert linear[:, 0].std() > 30


def test_max_pooling_is_of_linear_filters():
    filters = RawFilters(8, 8, 4, feature_pooling="max", pool_size=2)
    audio = torch.randn(3, 64)
    groups = filters.conv(audio.unsqueeze(1)).reshape(3, 2, 2, 8)
    torch.testing.assert_close(filters(audio), groups.amax(dim=2))
    assert filters(audio).min() < 0


@pytest.mark.parametrize(
    "wrong", [{"nonlinearity": "tanh"}, {"feature_pooling": "mean"}, {"filters": 9, "pool_size": 2}]
)
def test_unknown_settings_of_raw_filters_are_named(wrong):
    with pytest.raises(MirdlError):
        RawFilters(**{"length": 8, "stride": 8, "filters": 8, "feature_pooling": "l2"} | wrong)


# Frame level, many shapes


def test_filters_of_every_length_give_the_same_frames():
    model = models.build("frame_level_many_shapes", for_seconds=1, width=0.125)
    assert models.build("frame_level_many_shapes").n_samples == 350_000
    assert sizes(model, model.shapes) == [(8, 375)] * 5
    kernels = [block.conv.kernel_size[0] for block in model.shapes]
    assert kernels == [512, 256, 128, 64, 32]
    assert model.back_end.conv1.conv.in_channels == 40
    for n_samples in (11_999, 12_001, 12_345):  # no multiples of the stride
        assert model(torch.zeros(1, n_samples)).shape == (1, 50)


# Sample level


def test_sample_cnn_shrinks_59049_samples_to_one_frame():
    model = models.build("sample_cnn")
    assert (model.n_samples, model.sample_rate) == (59_049, 16_000)
    channels = [128, 128, 128, *[256] * 6, 512, 512]
    frames = [*(3**n for n in range(9, -1, -1)), 1]
    found = sizes(model, [model.conv, *model.blocks, model.last])
    assert found == list(zip(channels, frames, strict=True))


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ({"multi_level": True}, 2_683_442),
        ({"block": "se"}, 23_929_138),
        ({"block": "se", "multi_level": True}, 24_742_706),
        ({"block": "res"}, 4_107_314),
        ({"block": "res", "multi_level": True}, 4_920_882),
        ({"block": "rese"}, 26_166_578),
        ({"block": "rese", "multi_level": True}, 26_980_146),
        ({"block": "se", "amplify": 0.125, "multi_level": True}, 2_858_066),
        ({"block": "rese", "n_convs": 1, "amplify": 0.125, "multi_level": True}, 3_024_210),
        ({"block": "rese", "amplify": 0.125, "multi_level": True}, 5_095_506),
    ],
)
def test_blocks_of_kim_have_the_sizes_of_their_code(overrides, expected):
    assert count("sample_cnn", **overrides) == expected


@pytest.mark.parametrize("block", ["basic", "se", "res", "rese"])
@pytest.mark.parametrize("n_convs", [1, 2])
def test_multi_level_sees_the_last_three_blocks(block, n_convs):
    settings = {"width": 0.0625, "for_seconds": 1, "amplify": 2, "n_convs": n_convs}
    model = models.build("sample_cnn", 5, block=block, multi_level=True, **settings)
    assert model.head[0].in_features == 16 + 16 + 32
    audio = 0.1 * torch.randn(2, model.n_samples)
    model(audio).sum().backward()
    assert all(p.grad is not None for p in model.parameters())


def test_a_dense_layer_is_a_convolution_of_one_frame():
    """Kim's basic network without multiple levels is Lee's: one frame is its own maximum."""
    conv, dense = nn.Conv1d(6, 4, 1), nn.Linear(6, 4)
    dense.weight.data, dense.bias.data = conv.weight.data[:, :, 0], conv.bias.data
    x = torch.randn(2, 6, 1)
    torch.testing.assert_close(conv(x)[..., 0], dense(x.amax(dim=2)))


def test_two_taps_of_the_last_kernel_meet_padding_only():
    model = models.build("sample_cnn", last_kernel=3, width=0.0625)
    model(0.1 * torch.randn(2, model.n_samples)).sum().backward()
    used = model.last.conv.weight.grad.abs().sum(dim=(0, 1)) > 0
    assert used.tolist() == [False, True, False]


@pytest.mark.parametrize(
    ("m", "n", "length", "n_samples"),
    [
        (2, 13, 2, 16_384), (2, 6, 256, 16_384),
        (3, 9, 3, 59_049), (3, 8, 9, 59_049), (3, 4, 729, 59_049), (3, 8, 3, 19_683),
        (4, 7, 4, 65_536), (4, 6, 4, 16_384),
        (5, 6, 5, 78_125), (5, 5, 5, 15_625),
    ],
)  # fmt: skip
def test_relatives_of_m_to_the_n(m, n, length, n_samples):
    model = models.build("sample_cnn", m=m, n=n, length=length, width=0.03125)
    assert model.n_samples == n_samples
    channels = [4, 4, *[8] * (n - 3), 16]
    found = sizes(model, model.blocks)
    assert found == list(zip(channels, [m**k for k in range(n - 1, -1, -1)], strict=True))


@pytest.mark.parametrize("name", ["sample_cnn", "sample_cnn_se"])
@pytest.mark.parametrize("seconds", [0.5, 3, 10])
def test_other_lengths_keep_the_parameters(name, seconds):
    model = models.build(name, for_seconds=seconds, width=0.0625)
    assert models.n_parameters(model) == count(name, width=0.0625)
    assert model.n_samples == seconds * 16_000
    assert model.eval()(torch.zeros(1, model.n_samples)).shape == (1, 50)


def test_three_seconds_cost_the_first_pool_one_sample():
    model = models.build("sample_cnn", for_seconds=3, width=0.0625)
    assert [block.pool.kernel_size for block in model.blocks] == [2, *[3] * 8]
    assert models.build("sample_cnn", sample_rate=22_050, width=0.0625).n_samples == 59_049


def test_blocks_differ_as_the_papers_say():
    kim = models.build("sample_cnn", block="rese", n_convs=1, width=0.0625).blocks[2]
    won = models.build("sample_cnn_se", width=0.0625).blocks[3]
    assert kim.shortcut.conv.kernel_size == (1,)
    assert won.shortcut.conv.kernel_size == (3,)
    assert isinstance(kim.block2, nn.Identity)
    assert list(kim.block1._modules) == ["conv", "norm"]
    assert kim.squeeze.dense1.out_features == 16 * 16
    assert won.squeeze.dense1.out_features == 16
    with pytest.raises(MirdlError, match="basic"):
        models.build("sample_cnn", block="dense")


# At scale


def test_waveform_front_end_has_the_sizes_of_figure_5_3():
    model = models.build("waveform_at_scale")
    channels = [64, 64, 64, 128, 128, 128, 256]
    frames = [16_000, 5332, 1776, 591, 196, 64, 20]
    assert sizes(model, model.front) == list(zip(channels, frames, strict=True))


@pytest.mark.parametrize("seconds", [0.5, 1, 3, 10])
def test_short_clips_leave_the_back_end_enough_frames(seconds):
    model = models.build("waveform_at_scale", for_seconds=seconds, width=0.125)
    assert models.n_parameters(model) == count("waveform_at_scale", width=0.125)
    *_, (_, n_frames) = sizes(model, model.front)
    assert n_frames >= 8
    pools = [block.pool.kernel_size for block in model.front[1:]]
    assert (pools == [3] * 6) is (seconds >= 3)


def test_nine_stacks_fit_15_seconds_without_shorter_pools():
    with torch.device("meta"):
        model = models.build("waveform_at_scale", 139, stacks=9, for_seconds=15)
    assert [block.pool.kernel_size for block in model.front[1:]] == [3] * 8
    assert models.n_parameters(model) == 5_520_743
