"""`ConvBlock` on a processor gives what its layers give one by one, forwards and backwards."""

import copy

import pytest
import torch
from torch import nn

from mirdl.models import fast
from mirdl.models.blocks import ConvBlock

BLOCKS = {
    "2D": ((3, 8, (3, 3), (2, 4)), {}),
    "2D without pool": ((4, 6, (3, 3)), {"order": "CBA", "stride": 2, "padding": 1}),
    "2D without activation": ((4, 6, (1, 1)), {"order": "CB", "padding": 0}),
    "2D without bias": ((4, 6, (3, 3), (2, 1)), {"bias": False}),
    "2D, pool of 1": ((4, 6, (3, 3), (1, 1)), {}),
    "2D, one channel": ((1, 8, (3, 3), (2, 3)), {}),
    "2D, one channel, stride": ((1, 6, (3, 3)), {"order": "CB", "stride": (2, 1), "padding": 1}),
    "2D, one channel, tall": ((1, 8, (5, 3)), {"order": "CBA", "padding": (0, 1)}),
    "2D, ELU": ((3, 8, (3, 3), (2, 4)), {"activation": nn.ELU}),
    "2D, dropout before": ((3, 8, (3, 3), (2, 4)), {"order": "DCBAP", "dropout": 0.0}),
    "2D, bands": ((1, 8, (5, 3), "bands"), {"padding": (0, 1)}),
    "2D, one channel, flat": ((1, 6, (1, 4), (1, 2)), {"padding": (0, 2)}),
    "1D": ((4, 6, 3, 3), {}),
    "1D without pool": ((4, 6, 5), {"order": "CBA"}),
    "1D, valid": ((4, 6, 5), {"order": "CB", "padding": "valid"}),
    "1D, stride": ((4, 6, 3), {"order": "CBA", "stride": 2, "padding": 1}),
    "1D, pointwise": ((4, 6, 1), {"order": "CBA"}),
    "1D, one channel": ((1, 6, 9), {"order": "CBA"}),
    "1D, one channel, stride": ((1, 6, 3), {"order": "CBA", "stride": 3, "padding": "valid"}),
}


def make(name, dtype=torch.float64):
    """Return a block with factors of both signs, and an input."""
    torch.manual_seed(0)
    arguments, options = BLOCKS[name]
    block = ConvBlock(*arguments, **options).to(dtype)
    for values in (block.norm.weight, block.norm.bias, block.norm.running_mean):
        nn.init.normal_(values)
    shape = (12, 17) if name.startswith("2D") else (37,)
    return block, torch.randn(5, arguments[0], *shape, dtype=dtype)


def run(forward, block, x, train):
    """Return output, gradients and running statistics of a copy of a block."""
    block, x = copy.deepcopy(block).train(train), x.clone().requires_grad_()
    y = forward(block, x)
    y.backward(torch.linspace(-1, 1, y.numel(), dtype=y.dtype).reshape(y.shape))
    return [y, x.grad, *(p.grad for p in block.parameters()), *block.buffers()]


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("name", BLOCKS)
def test_fast_blocks_compute_what_their_layers_do(name, train):
    block, x = make(name)
    assert fast.fits(block, x)
    ours = run(ConvBlock.__call__, block, x, train)
    plain = run(nn.Sequential.forward, block, x, train)
    for mine, theirs in zip(ours, plain, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("name", ["2D without pool", "1D without pool", "2D, one channel, tall"])
def test_bfloat16_is_as_near_to_the_truth_as_the_layers_are(name):
    block, x = make(name, torch.float32)

    def values(forward):
        return torch.stack([v.detach().norm() for v in run(forward, block, x, train=True)[:2]])

    truth = values(nn.Sequential.forward)
    with torch.autocast("cpu", torch.bfloat16):
        ours, plain = values(ConvBlock.__call__), values(nn.Sequential.forward)
    assert ((ours - truth).abs() < (plain - truth).abs() + 0.01 * truth).all()


def test_pooled_bfloat16_gradients():
    y = torch.randn(5, 8, 12, 17).bfloat16().float()  # here both see the same maxima
    norm = nn.BatchNorm2d(8)
    block = nn.Sequential(norm, nn.MaxPool2d((2, 4)))
    statistics = norm.running_mean.clone(), norm.running_var.clone()
    options = (norm.weight, norm.bias, True, norm.momentum, norm.eps, (2, 4))

    def ours(y):
        return fast._PooledNorm.apply(y.bfloat16(), *statistics, *options).float()

    results = []
    for forward in (block, ours):
        x = y.clone().requires_grad_()
        pooled = forward(x)
        weights = torch.linspace(-1, 1, pooled.numel()).reshape(pooled.shape)
        inputs = [x, norm.weight, norm.bias]
        results.append([pooled, *torch.autograd.grad((weights * pooled).sum(), inputs)])
    for plain, mine in zip(*results, strict=True):
        assert (mine - plain).norm() < 0.01 * plain.norm()


def test_hooks_on_layers_are_called():
    block, x = make("2D")
    seen = []
    block.conv.register_forward_hook(lambda *call: seen.append(call[-1].shape))
    assert not fast.fits(block, x)
    block(x)
    assert seen == [(5, 8, 12, 17)]


@pytest.mark.parametrize(
    "change",
    [
        {"order": "CABP"},
        {"order": "CBAPD"},
        {"activation": nn.GELU},  # turns the order of values round below -0.75
        {"dilation": 2},
        {"kernel": (4, 4)},  # "same" pads it unequally
    ],
)
def test_other_blocks_are_left_alone(change):
    block = ConvBlock(**{"n_in": 2, "n_out": 3, "kernel": (3, 3), "pool": (2, 2), **change})
    x = torch.randn(2, 2, 8, 8)
    assert not fast.fits(block, x)
    assert block.eval()(x).shape == (2, 3, 4, 4)


def test_overlapping_pools_are_left_alone():
    block, x = make("2D")
    block.pool = nn.MaxPool2d(3, stride=2)
    assert not fast.fits(block, x)


def test_a_training_step_cannot_be_differentiated_twice_in_silence():
    block, x = make("1D")
    gradient = torch.autograd.grad(block(x.requires_grad_()).sum(), x, create_graph=True)[0]
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()
