"""2D networks: layers as printed, slips of the papers, receptive fields against gradients."""

import pytest
import torch
from torch import nn

from mirdl import models
from mirdl.models.blocks import ResBlock
from mirdl.models.receptive import receptive_fields


def sizes(model):
    """Return (channels, bands, frames) after each block, for silence."""
    found = []
    for block in model.blocks:
        block.register_forward_hook(lambda *call: found.append(tuple(call[-1].shape[1:])))
    model.eval()(torch.zeros(1, model.n_samples))
    return found


def test_fcn4_shapes_are_those_of_its_pools_not_those_of_the_slides():
    model = models.build("fcn4", width=1 / 64)
    assert sizes(model) == [(2, 48, 341), (6, 12, 68), (12, 4, 8), (32, 1, 1)]


def test_fcn4_and_fcn5_are_overrides_of_fcn():
    for name, channels, pools in (
        ("fcn4", [128, 384, 768, 2048], [[2, 4], [4, 5], [3, 8], [4, 8]]),
        ("fcn5", [128, 256, 512, 1024, 2048], [[2, 4], [2, 4], [2, 4], [3, 5], [4, 4]]),
    ):
        model = models.build(name, width=1 / 16)
        same = models.build(
            "fcn",
            width=1 / 16,
            front_end="mel96_12k",
            channels=channels,
            pools=pools,
            input_norm=False,
            n_frames=1366,
        )
        assert model.n_frames == same.n_frames == 1366
        assert models.n_parameters(model) == models.n_parameters(same)
        same.load_state_dict(model.state_dict())  # dropout has no parameters


def test_dropout_of_choi_follows_every_pool():
    for name in ("fcn4", "fcn5", "choi_cnn"):
        model = models.build(name, width=1 / 32)
        assert {block[-1].p for block in model.blocks} == {0.5}
    assert not any(isinstance(layer, nn.Dropout) for layer in models.build("fcn").blocks.modules())


@pytest.mark.parametrize(
    ("kind", "axis", "size"), [("bins", 1, 96), ("frames", 2, 141), (True, None, 1)]
)
def test_axis_of_the_input_norm(kind, axis, size):
    """A factor on one band, or one frame, of the spectrogram vanishes where the axis has it."""
    model = models.build("choi_cnn", width=0.125, for_seconds=3, input_norm=kind).train()
    assert model.norm.num_features == size
    x = torch.randn(4, 1, 96, 141)
    expected = (0, 1, 2, 3) if axis is None else tuple({0, 1, 2, 3} - {axis + 1})
    mean = x.mean(expected, keepdim=True)
    deviation = x.var(expected, keepdim=True, unbiased=False).add(1e-5).sqrt()
    torch.testing.assert_close(model.norm(x), (x - mean) / deviation, rtol=1e-4, atol=1e-4)


def test_choi_with_the_bug_has_one_length():
    model = models.build("choi_cnn", width=0.125).eval()
    with pytest.raises(RuntimeError):
        model(torch.zeros(1, model.n_samples + 256))
    count = [
        models.n_parameters(models.build("choi_cnn", for_seconds=seconds, input_norm=kind))
        for kind in ("frames", "bins")
        for seconds in (3, 10)
    ]
    assert count[1] - count[0] == 2 * (469 - 141)
    assert count[2] == count[3]


def test_compact_pools_to_one_value():
    model = models.build("compact_cnn", width=0.25)
    assert model.n_frames == 1360
    assert sizes(model)[-1] == (8, 1, 1)


def test_vgg_first_pool_overlaps():
    model = models.build("vgg", width=1 / 16)
    assert sizes(model) == [(8, 48, 92), (8, 24, 46), (8, 12, 23), (8, 6, 11), (8, 1, 2)]
    rates = [layer.p for layer in model.modules() if isinstance(layer, nn.Dropout)]
    assert rates == [0.25, 0.25, 0.25, 0.25, 0.5]


@pytest.mark.parametrize(("seconds", "n_left"), [(1, 1), (3, 2), (10, 9), (29, 28)])
def test_vgg_dense_layer_grows_with_the_length(seconds, n_left):
    model = models.build("vgg", for_seconds=seconds, width=1 / 16)
    assert model.head[-1].in_features == 8 * n_left
    assert sizes(model)[-1] == (8, 1, n_left)


@pytest.mark.parametrize("name", ["vgg", "choi_cnn", "compact_cnn"])
def test_initialisation_is_he_normal(name):
    torch.manual_seed(0)
    layer = models.build(name, for_seconds=3).blocks[4].conv
    assert layer.weight.std().item() == pytest.approx(
        (2 / (layer.in_channels * 9)) ** 0.5, rel=0.05
    )
    assert layer.bias.abs().max() == 0


# Short-chunk CNN


def test_short_chunk_shapes():
    assert sizes(models.build("short_chunk_cnn", width=1 / 32)) == [
        (4, 64, 115), (4, 32, 57), (8, 16, 28), (8, 8, 14), (8, 4, 7), (8, 2, 3), (16, 1, 1),
    ]  # fmt: skip
    assert sizes(models.build("short_chunk_res", width=1 / 32)) == [
        (4, 64, 116), (4, 32, 58), (8, 16, 29), (8, 8, 15), (8, 4, 8), (8, 2, 4), (16, 1, 2),
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["short_chunk_cnn", "short_chunk_res"])
@pytest.mark.parametrize("front_end", ["mel96", "mel40", "mel128"])
@pytest.mark.parametrize("seconds", [1, 3, 10])
def test_short_chunk_keeps_its_parameters(name, front_end, seconds):
    model = models.build(name, front_end=front_end, for_seconds=seconds)
    assert models.n_parameters(model) == models.n_parameters(models.build(name))
    small = models.build(name, front_end=front_end, for_seconds=seconds, width=1 / 32)
    assert sizes(small)[-1][1] == 1  # one band


def test_bands_that_do_not_fit_shorten_the_last_pools():
    model = models.build("short_chunk_cnn", front_end="mel96", width=1 / 32)
    assert [block.pool.kernel_size for block in model.blocks] == [(2, 2)] * 6 + [(1, 2)]


def test_residual_block_is_that_of_the_paper():
    block = ResBlock(4, 8, (3, 3), stride=2).eval()
    x = torch.randn(2, 4, 9, 12)
    for norm in (layer for layer in block.modules() if isinstance(layer, nn.BatchNorm2d)):
        nn.init.uniform_(norm.running_mean)
        nn.init.uniform_(norm.weight)
    main = block.block2.norm(block.block2.conv(torch.relu(block.block1.norm(block.block1.conv(x)))))
    expected = torch.relu(main + block.shortcut.norm(block.shortcut.conv(x)))
    torch.testing.assert_close(block(x), expected)
    assert expected.shape == (2, 8, 5, 6)
    assert block.block1.conv.bias is not None
    assert isinstance(ResBlock(8, 8, (3, 3)).shortcut, nn.Identity)


def test_squeeze_and_excitation_is_added_to_every_block():
    plain = models.build("short_chunk_res", width=0.125)
    model = models.build("short_chunk_res", width=0.125, squeeze=1 / 16)
    channels = [16, 16, 32, 32, 32, 32, 64]
    extra = sum(2 * n * (n // 16) + n + n // 16 for n in channels)
    assert models.n_parameters(model) - models.n_parameters(plain) == extra
    gates = []
    for block in model.blocks:
        block.squeeze.dense2.register_forward_hook(lambda *call: gates.append(call[-1].shape))
    model.eval()(torch.zeros(1, model.n_samples))
    assert gates == [(1, n) for n in channels]


# Receptive fields


class Counting(nn.Module):
    """A front end that keeps its spectrogram, to ask for gradients with respect to it."""

    def __init__(self, front_end):
        super().__init__()
        self.front_end = front_end

    def __getattr__(self, name):
        if name in {"n_mels", "hop_length", "n_fft", "sample_rate", "n_frames"}:
            return getattr(self.front_end, name)
        return super().__getattr__(name)

    def forward(self, audio):
        self.spectrogram = self.front_end(audio).detach().requires_grad_()
        return self.spectrogram


def linear(model):
    """Make every value of the input count: positive weights, mean pools, no activation."""
    for module in list(model.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.MaxPool1d | nn.MaxPool2d):
                pool = nn.AvgPool1d if isinstance(child, nn.MaxPool1d) else nn.AvgPool2d
                module.add_module(name, pool(child.kernel_size, child.stride))
            elif isinstance(child, nn.ReLU | nn.ELU | nn.Dropout):
                module.add_module(name, nn.Identity())
            elif isinstance(child, nn.Conv1d | nn.Conv2d):
                nn.init.constant_(child.weight, 1 / child.weight[0].numel())
    model.front_end = Counting(model.front_end)
    return model.eval()


def extent(values):
    """Return the first of the values that are not zero, and how many from there to the last."""
    where = values.nonzero().flatten()
    return where[0].item(), (where[-1] - where[0] + 1).item()


@pytest.mark.parametrize(
    ("name", "layers", "options"),
    [
        ("dieleman_spectrogram", ["conv1.pool", "conv2.conv", "conv2.pool"], {}),
        ("spotify_cnn", ["blocks.0.conv", "blocks.2.pool", "blocks.3.conv"], {}),
        ("local_cnn", ["blocks.1.conv", "blocks.2.pool"], {"n_frames": 200}),
        ("fcn", ["blocks.0.pool", "blocks.1.conv", "blocks.2.pool"], {"for_seconds": 10}),
        ("vgg", ["blocks.0.pool", "blocks.1.pool", "blocks.2.conv"], {"for_seconds": 3}),
        ("short_chunk_cnn", ["blocks.1.conv", "blocks.3.pool"], {}),
        ("short_chunk_res", ["blocks.1.block1.conv", "blocks.2.block2.conv"], {}),
    ],
)
def test_receptive_field_is_what_gradients_reach(name, layers, options):
    model = linear(models.build(name, width=1 / 16, **options))
    table = receptive_fields(model)
    maps = {}
    for layer in layers:
        model.get_submodule(layer).register_forward_hook(
            lambda *call, layer=layer: maps.update({layer: call[-1]})
        )
    model(0.1 * torch.randn(1, model.n_samples))
    for layer in layers:
        row, y = table.loc[layer], maps[layer]
        assert y.shape[1] == row["channels"]
        for unit in (y.shape[-1] // 2, 0):
            middle = (0, 0, *([y.shape[2] // 2] if y.dim() == 4 else []), unit)
            (gradient,) = torch.autograd.grad(
                y[middle], model.front_end.spectrogram, retain_graph=True
            )
            gradient = gradient[0].abs()
            axes = {"frames": (gradient.sum(0), "first_frame", unit)}
            axes["bins"] = (gradient.sum(1), "first_bin", middle[2] if y.dim() == 4 else 0)
            for axis, (values, key, position) in axes.items():
                first = row[key] + position * row[f"step_{axis}"]
                last = min(first + row[axis], len(values))
                assert extent(values) == (max(first, 0), last - max(first, 0)), (layer, axis, unit)


def test_nothing_outside_the_receptive_field_matters():
    torch.manual_seed(0)
    model = models.build("short_chunk_res", width=1 / 16).eval()
    row = receptive_fields(model).loc["blocks.2.block2.conv"]
    spectrogram = model.front_end(0.1 * torch.randn(1, model.n_samples))[:, None]
    unit = 14
    first = row["first_frame"] + unit * row["step_frames"]
    inside = torch.zeros(spectrogram.shape[-1], dtype=torch.bool)
    inside[max(first, 0) : first + row["frames"]] = True
    assert 0 < inside.sum() < len(inside)
    changed = torch.where(inside, spectrogram, torch.randn_like(spectrogram))
    blocks, reference = model.blocks[:3], model.blocks[:3](spectrogram)
    torch.testing.assert_close(blocks(changed)[..., unit], reference[..., unit])
    assert not torch.allclose(blocks(changed)[..., unit + 8], reference[..., unit + 8])


def test_receptive_field_in_seconds():
    model = models.build("fcn", for_seconds=10, width=0.125)
    row = receptive_fields(model).loc["blocks.0.conv"]
    assert (row["frames"], row["step_frames"], row["bins"], row["kind"]) == (3, 1, 3, "conv")
    assert row["seconds"] == pytest.approx((2 * 256 + 512) / 16_000)
    assert row["step_seconds"] == pytest.approx(256 / 16_000)
    assert model.training


def test_branches_are_refused():
    model = models.build("multi_level_multi_scale", width=0.125, for_seconds=2)
    with pytest.raises(ValueError, match="branches"):
        receptive_fields(model)
