"""How `ConvBlock` computes on a processor: the same numbers with fewer trips to memory.

A training step of these networks spends less time on multiplying than on writing large maps to
memory and reading them again. Five things help; none changes a result by more than rounding does.

- Channels last. oneDNN's kernels like a map in which the channels of a point are neighbours. A 1D
  map is convolved as a 2D one of height 1; its weights stay those of an `nn.Conv1d`.
- Pooling first. Batch normalisation, ReLU and ELU keep the order of a channel's values, so the
  maximum can be taken before them, and they act on what the pool has left.
- No bias. Before a batch normalisation it has no effect and no gradient.
- Rows as channels. Filters on one channel are slow, backwards very slow; with each row of the
  filter as a channel, they are a convolution along the other axis.
- The gradient of a 1D filter as matrix products, one for each place in the filter.
"""

import torch
from torch import nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

LAST = torch.channels_last
ORDERS = (["conv", "norm"], ["conv", "norm", "activation"], ["conv", "norm", "activation", "pool"])
LAYERS = {
    *(nn.Conv1d, nn.Conv2d, nn.BatchNorm1d, nn.BatchNorm2d, nn.Dropout),
    *(nn.ReLU, nn.ELU, nn.MaxPool1d, nn.MaxPool2d, nn.AdaptiveMaxPool2d),
}


def fits(block, x):
    """Say whether `conv_block` gives what the layers of a `ConvBlock` give one by one.

    Not on other devices, where they are fast by themselves; nor under a hook, which wants its
    layer to be called.
    """
    names = list(block._modules)
    if x.device.type != "cpu" or names[names[0] == "dropout" :] not in ORDERS:
        return False
    _, (conv, _, *rest) = _parts(block)
    return (
        all(type(layer) in LAYERS for layer in block)
        and not any(layer._forward_hooks or layer._forward_pre_hooks for layer in block)
        and max(conv.dilation) == 1
        and (conv.padding != "same" or all(size % 2 for size in conv.kernel_size))
        and all(_divides(layer) for layer in rest[1:])
    )


def conv_block(block, x):
    """Compute (dropout), convolution, batch normalisation, (ReLU or ELU, (max-pooling)).

    Parameters
    ----------
    block : ConvBlock
        One that `fits`.
    x : torch.Tensor
        (batch, channels, time) or (batch, channels, frequency, time).

    Returns
    -------
    torch.Tensor
        As the layers give it; the channels are last in memory.
    """
    dropout, (conv, norm, *rest) = _parts(block)
    x = dropout(x) if dropout else x
    pool = rest[1] if len(rest) == 2 else None
    weight, sign = conv.weight, torch.ones_like(norm.weight)
    if pool:  # a negative factor would turn the order round: the filter takes its sign
        sign = torch.where(norm.weight < 0, -1.0, 1.0)
        weight = weight * sign.reshape(-1, *[1] * (weight.dim() - 1))
    factor, mean, var = norm.weight * sign, norm.running_mean * sign, norm.running_var
    bias = torch.zeros_like(factor) if conv.bias is None else conv.bias * sign
    if block.training:
        y = convolve(conv, x, weight)
        mean = mean - bias.detach()
        options = (norm.bias + 0 * bias, True, norm.momentum, norm.eps)  # the bias' gradient is 0
        if pool:
            y = _PooledNorm.apply(y, mean, var, factor, *options, _size(pool, y))
        else:
            y = F.batch_norm(y, mean, var, factor, *options)
        norm.running_mean.copy_((mean + bias.detach()) * sign)
        norm.num_batches_tracked += 1
    else:
        y = convolve(conv, x, weight, bias)
        y = F.max_pool2d(y, _size(pool, y)) if pool else y
        y = F.batch_norm(y, mean, var, factor, norm.bias, eps=norm.eps)
    if rest:
        y = torch.relu_(y) if type(rest[0]) is nn.ReLU else rest[0](y)
    return y.squeeze(2) if x.dim() == 3 else y


def _parts(block):
    """Return the dropout before the convolution, None without one, and the other layers."""
    first, *others = block
    return (first, others) if isinstance(first, nn.Dropout) else (None, [first, *others])


def convolve(conv, x, weight, bias=None):
    """Convolve maps, 1D ones with a height of 1; the result has its channels last in memory."""
    padding = conv.padding
    if isinstance(padding, str):
        padding = [size // 2 if padding == "same" else 0 for size in conv.kernel_size]
    stride, padding = _pair(conv.stride, 1), _pair(padding, 0)
    if torch.is_autocast_enabled("cpu"):
        x = x.to(torch.get_autocast_dtype("cpu"))
    if x.dim() == 3:
        x, weight = x.unsqueeze(2), weight.unsqueeze(2)
    if x.shape[1] == 1:
        x, weight, stride, padding = _rows_as_channels(x, weight, stride, padding)
    x, weight = x.to(memory_format=LAST), weight.to(memory_format=LAST)
    is_1d = x.shape[2] == 1 and weight.shape[2] == 1 and weight.shape[3] > 1 and stride == (1, 1)
    if is_1d and bias is None and x.dtype == torch.float32:
        return _Convolution1d.apply(x, weight, padding)
    return F.conv2d(x, weight, bias, stride, padding)


def _pair(size, first):
    """Return (height, time) of a setting that 1D layers have for time alone."""
    size = (size,) if isinstance(size, int) else tuple(size)
    return size if len(size) == 2 else (first, *size)


def _divides(pool):
    """Say whether a pool's windows lie side by side; an adaptive one's do if it keeps one band."""
    if isinstance(pool, nn.AdaptiveMaxPool2d):
        return pool.output_size == (1, None)
    return pool.stride == pool.kernel_size


def _size(pool, y):
    """Return (height, time) of a pool on maps, (batch, channels, height, time)."""
    adaptive = isinstance(pool, nn.AdaptiveMaxPool2d)
    return (y.shape[2], 1) if adaptive else _pair(pool.kernel_size, 1)


def _rows_as_channels(x, weight, stride, padding):
    """Turn (batch, 1, height, time) and filters (n, 1, k, l) to (batch, k, …) and (n, k, 1, l).

    Of a filter of height 1 the places along time become the channels.
    """
    if weight.shape[2] > 1:
        border, axis, left = (0, 0, padding[0], padding[0]), 2, ((1, stride[1]), (0, padding[1]))
    else:
        border, axis, left = (padding[1], padding[1]), 3, ((stride[0], 1), (padding[0], 0))
    rows = F.pad(x, border).unfold(axis, weight.shape[axis], stride[axis - 2])
    x = rows.squeeze(1).contiguous().permute(0, 3, 1, 2)  # contiguous: channels last
    return x, weight.transpose(1, axis), *left


class _Convolution1d(torch.autograd.Function):
    """Convolution along time, (batch, channels, 1, time), with a stride of 1.

    The gradient of the filter is, for each of its places, one product of the output's gradient
    with the input that this place sees: three times as fast as oneDNN's on long maps.
    """

    @staticmethod
    def forward(ctx, x, weight, padding):
        ctx.save_for_backward(x, weight)
        ctx.padding = padding
        return F.conv2d(x, weight, padding=padding)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        x, weight = ctx.saved_tensors
        grad = grad.to(memory_format=LAST)
        grad_x = None
        if ctx.needs_input_grad[0]:
            grad_x = nn.grad.conv2d_input(x.shape, weight, grad, padding=ctx.padding)
        x, errors = x.squeeze(2).transpose(1, 2), grad.squeeze(2)  # channels last, first
        n_out, n_in, places = errors.shape[2], x.shape[1], []
        for place in range(weight.shape[3]):
            ahead = place - ctx.padding[1]  # the input that it sees, from the output's frame on
            frames = slice(max(0, -ahead), min(n_out, n_in - ahead))
            seen = slice(frames.start + ahead, frames.stop + ahead)
            places.append(torch.bmm(errors[:, :, frames], x[:, seen]).sum(0))  # (n_out, n_in)
        return grad_x, torch.stack(places, dim=-1).unsqueeze(2), None


class _PooledNorm(torch.autograd.Function):
    """Batch normalisation by the statistics of a batch, then max-pooling without overlap.

    The factors must not be negative. Of y, (batch, channels, height, time), only the pooled values
    are normalised. Backwards, batch normalisation gives every value of y a gradient that is
    linear in it, and the pooled ones that of the output besides: one sweep, in place of a sweep
    for the pool and two for the normalisation [Ioffe and Szegedy 2015, section 3].
    """

    @staticmethod
    def forward(ctx, y, running_mean, running_var, factor, shift, _, momentum, eps, pool):
        y = y.contiguous(memory_format=LAST)
        mean, var = torch.batch_norm_update_stats(y, running_mean, running_var, momentum)
        top, index = F.max_pool2d(y, pool, return_indices=True)
        ctx.save_for_backward(y, top, index, mean, var, factor)
        ctx.eps = eps
        return F.batch_norm(top, mean, var, factor, shift, eps=eps)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        y, top, index, mean, var, factor = ctx.saved_tensors
        deviation, n_values = (var + ctx.eps).sqrt(), y.numel() // y.shape[1]
        _, grad_factor, grad_shift = torch.ops.aten.native_batch_norm_backward(
            *(grad.to(y.dtype), top, factor, None, None, mean, 1 / deviation),
            *(True, ctx.eps, [False, True, True]),
        )
        slope = -factor * grad_factor / (n_values * deviation**2)
        offset = -factor * grad_shift / (n_values * deviation) - slope * mean
        grad_y = F.batch_norm(y, torch.zeros_like(mean), torch.ones_like(var), slope, offset, eps=0)
        grad, top, index = (_points(x) for x in (grad, top, index))  # (batch, points, channels)
        values = (grad * (factor / deviation)).add_(offset).addcmul_(top, slope).to(y.dtype)
        target = _points(grad_y)
        if y.dtype == torch.bfloat16:  # scattered as what it is to memory; torch is slow at it
            target, values = target.view(torch.int16), values.view(torch.int16)
        target.scatter_(1, index, values)
        return grad_y, None, None, grad_factor, grad_shift, None, None, None, None


def _points(x):
    """Return a channels-last map as (batch, points, channels)."""
    return x.permute(0, 2, 3, 1).flatten(1, 2)
