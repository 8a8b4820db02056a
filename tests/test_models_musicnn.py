"""musicnn and the spectrogram network at scale: parts as published, behaviour of the back ends."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from mirdl import models
from mirdl.errors import MirdlError
from mirdl.models.back_ends import AttentionPool, AutoPool
from mirdl.models.musicnn import BACK_ENDS, TimbralTemporal


def kernels(filters):
    return [(block.conv.out_channels, block.conv.kernel_size) for block in filters]


def test_parts_of_smc2020():
    model = models.build("musicnn")
    assert (model.n_samples, model.n_frames) == (48_000, 188)
    assert kernels(model.front.tall) == [(204, (67, 7)), (204, (38, 7))]
    assert kernels(model.front.long) == [(51, (129,)), (51, (65,)), (51, (33,))]
    assert model.head[0].weight.shape == (200, 2 * (561 + 3 * 64))


def test_parts_of_ismir2019():
    model = models.build("musicnn", version="ismir2019")
    assert model.n_frames == 187
    assert kernels(model.front.long) == [(51, (1, 128)), (51, (1, 64)), (51, (1, 32))]
    assert isinstance(model.head[0], nn.BatchNorm1d)
    assert model.head[0].num_features == 1506
    alone = models.build("musicnn", version="ismir2019", back_end="attention")
    assert kernels([*alone.front.tall, *alone.front.long]) == [(576, (38, 7))]


def test_long_filters_read_every_band_or_their_mean():
    mean = TimbralTemporal([], [(4, 16)], order="CA")
    every = TimbralTemporal([], [(4, (1, 16))], order="CA")
    every.long[0].conv.weight.data = mean.long[0].conv.weight.data[:, :, None]
    every.long[0].conv.bias.data = mean.long[0].conv.bias.data
    x = torch.randn(2, 1, 1, 50)
    torch.testing.assert_close(mean(x.expand(-1, -1, 96, -1)), every(x.expand(-1, -1, 96, -1)))
    x = torch.randn(2, 1, 96, 50)
    assert (every(x) >= mean(x)).all()  # no mean is above the largest
    assert not torch.allclose(every(x), mean(x))


def test_middle_layers_have_shortcuts():
    model = models.build("musicnn", back_end="residual", width=0.25).eval()
    for layer in (model.mid2, model.mid3):
        nn.init.zeros_(layer.norm.weight)
    seen = {}
    model.mid1.register_forward_hook(lambda *call: seen.update(first=call[-1]))
    model.pool.register_forward_hook(lambda _, inputs, __: seen.update(last=inputs[0]))
    model(0.1 * torch.randn(1, 16_000))
    torch.testing.assert_close(seen["first"], seen["last"])


@pytest.mark.parametrize("back_end", BACK_ENDS)
@pytest.mark.parametrize("version", ["smc2020", "ismir2019"])
def test_every_back_end_takes_any_length_and_learns(version, back_end):
    model = models.build("musicnn", 3, width=0.1, version=version, back_end=back_end)
    for n_samples in (16_000, 40_000):
        logits = model(0.1 * torch.randn(2, n_samples))
        assert logits.shape == (2, 3)
    logits.square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_unknown_parts_are_named():
    with pytest.raises(MirdlError, match=r"no 'smc'.*smc2020"):
        models.build("musicnn", version="smc")
    with pytest.raises(MirdlError, match=r"no 'lstm'.*rnn"):
        models.build("musicnn", back_end="lstm")


# Back ends


def test_autopool_starts_as_the_mean_and_can_become_the_maximum():
    pool, x = AutoPool(), torch.randn(2, 5, 30)
    torch.testing.assert_close(pool(x), x.mean(dim=2))
    nn.init.constant_(pool.alpha, 1000.0)
    torch.testing.assert_close(pool(x), x.amax(dim=2), rtol=0, atol=0.01)


@given(st.floats(-20, 20), st.floats(0, 20), st.integers(0, 1000))
def test_autopool_grows_with_alpha(alpha, more, seed):
    pool, x = AutoPool(), torch.randn(1, 3, 20, generator=torch.Generator().manual_seed(seed))
    results = []
    for value in (alpha, alpha + more):
        nn.init.constant_(pool.alpha, value)
        results.append(pool(x))
    assert (results[1] >= results[0] - 1e-4).all()
    assert ((results[0] >= x.amin(dim=2) - 1e-4) & (results[1] <= x.amax(dim=2) + 1e-4)).all()


def test_attention_without_weights_is_the_mean_of_values_and_places():
    pool, x = AttentionPool(4), torch.randn(2, 4, 30)
    nn.init.zeros_(pool.conv.weight)
    nn.init.zeros_(pool.conv.bias)
    t = torch.arange(30.0)
    turns = [torch.sin(t), torch.cos(t / 100), torch.sin(t / 1e4), torch.cos(t / 1e6)]
    expected = x.mean(dim=2) + torch.stack(turns).mean(dim=1)
    torch.testing.assert_close(pool(x), expected)


def test_attention_knows_the_order_of_frames():
    pool, x = AttentionPool(4), torch.zeros(1, 4, 30)
    x[:, :, 5] = 1
    assert not torch.allclose(pool(x), pool(x.roll(10, dims=2)), atol=1e-4)


# At scale


def test_parts_of_the_spectrogram_network():
    model = models.build("spectrogram_at_scale")
    assert kernels(model.front.tall) == [
        (16, (86, 7)), (32, (86, 3)), (64, (86, 1)), (16, (38, 7)), (32, (38, 3)), (64, (38, 1))
    ]  # fmt: skip
    assert kernels(model.front.long) == [(16, (165,)), (32, (128,)), (64, (64,)), (128, (32,))]
    assert model.front.n_out == 29 * 16
    assert [norm.weight.numel() for norm in (model.back_end.norm2, model.back_end.norm3)] == [1, 1]


@pytest.mark.parametrize("name", ["musicnn", "spectrogram_at_scale", "han2016", "jingju_phoneme"])
def test_length_does_not_change_the_parameters(name):
    short, long = models.build(name, for_seconds=1), models.build(name, for_seconds=15)
    assert models.n_parameters(short) == models.n_parameters(long)
    assert short.n_samples * 15 == long.n_samples
