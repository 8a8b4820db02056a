"""Layers that several networks share: the base class, one convolution block, one dense head."""

from collections import OrderedDict
from math import prod

import torch
from torch import nn
from torch.nn import functional as F

from mirdl import features
from mirdl.models import fast

LAYERS = {"C": "conv", "B": "norm", "A": "activation", "P": "pool", "D": "dropout"}
CONVOLUTIONS = {1: nn.Conv1d, 2: nn.Conv2d}
NORMS = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d}
POOLS = {1: nn.MaxPool1d, 2: nn.MaxPool2d}


class Tagger(nn.Module):
    """What all networks have in common: audio in, logits out.

    A subclass builds its layers in ``__init__`` and gives
    ``forward(audio (batch, n_samples)) -> logits (batch, n_outputs)``.

    Parameters
    ----------
    n_outputs : int
        Number of logits.
    front_end : str, FrontEnd or None
        Preset of `mirdl.features` or a front end; None for networks that read the waveform.
    seconds : float, optional
        Length of the audio that the network sees; None where any length will do.
    n_samples, n_frames : int, optional
        The same in samples or in spectrogram frames, where a paper gives these.
    sample_rate : int
        Sample rate in Hz of a network without a front end.

    Attributes
    ----------
    any_length : bool
        Of a class: whether `forward` also takes audio of other lengths than `n_samples`.
    framewise : bool
        Of a class: whether `forward` gives logits for every frame, (batch, n_outputs, n_frames).
    """

    any_length = False
    framewise = False

    def __init__(
        self,
        n_outputs,
        front_end,
        seconds=None,
        n_samples=None,
        n_frames=None,
        sample_rate=16000,
    ):
        super().__init__()
        self.n_outputs = n_outputs
        self.front_end = None if front_end is None else features.front_end(front_end)
        self.sample_rate = self.front_end.sample_rate if self.front_end else sample_rate
        if seconds is not None:
            n_samples = round(seconds * self.sample_rate)
        elif n_frames is not None:
            n_samples = (n_frames - 1) * self.front_end.hop_length  # frames are centred
            if self.front_end.n_frames(n_samples) < n_frames:
                n_samples += 1  # a window of odd length needs one more
        self.n_samples = n_samples

    @property
    def n_frames(self):
        """Number of spectrogram frames that the network sees."""
        return self.front_end.n_frames(self.n_samples)


def scaled(channels, width):
    """Multiply numbers of channels by a factor, at least one channel each.

    Parameters
    ----------
    channels : sequence of int
    width : float

    Returns
    -------
    list of int
    """
    return [max(1, round(width * n)) for n in channels]


def shrink_pools(pools, size):
    """Shorten pools until they fit: the first of the largest pools gives one, again and again.

    A published network that pools 29 s to one value is so made to pool 10 s to one value, with
    the same parameters.

    Parameters
    ----------
    pools : sequence of int
        Pool lengths along one axis, first layer first.
    size : int
        Length of that axis at the input.

    Returns
    -------
    list of int
        Pools whose product is at most `size`.

    Examples
    --------
    >>> shrink_pools([4, 4, 4, 5, 4], 626)
    [3, 3, 4, 4, 4]
    """
    pools = list(pools)
    while prod(pools) > max(1, size):
        pools[pools.index(max(pools))] -= 1
    return pools


def fitting(pools, model):
    """Return (frequency, time) pools, shortened where the spectrogram of a network is smaller."""
    frequency, time = zip(*pools, strict=True)
    sizes = model.front_end.n_mels, model.n_frames
    return list(zip(*map(shrink_pools, (frequency, time), sizes), strict=True))


def initialise(network, weights):
    """Draw the weights of all convolutions and dense layers anew, as a paper says; biases are 0.

    Parameters
    ----------
    network : nn.Module
    weights : callable
        Of `torch.nn.init`: ``kaiming_normal_`` or ``kaiming_uniform_`` (He), ``xavier_uniform_``
        (Glorot).
    """
    for layer in network.modules():
        if isinstance(layer, nn.Conv1d | nn.Conv2d | nn.Linear):
            weights(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


class ConvBlock(nn.Sequential):
    """Convolution, batch normalisation, activation, pooling, in the order that the paper has.

    Parameters
    ----------
    n_in, n_out : int
        Channels.
    kernel : int or pair of int
        An int makes a 1D block, (batch, channels, time); a pair a 2D one, (batch, channels,
        frequency, time).
    pool : int, pair of int or "bands", optional
        Size (and stride) of the max-pooling; what does not fill a pool is dropped. "bands" keeps
        the largest value of all bands, (batch, n_out, 1, time).
    order : str
        One letter a layer: C convolution, B batch normalisation, A activation, P pooling,
        D dropout.
    activation : callable
        Makes the activation module.
    padding : str or int
        "same", "valid" or a number, as in torch.
    stride, dilation : int or pair of int
    bias : bool
        Whether the convolution has a bias.
    dropout : float
        Probability of the layer D.
    """

    def __init__(
        self,
        n_in,
        n_out,
        kernel,
        pool=None,
        *,
        order="CBAP",
        activation=nn.ReLU,
        padding="same",
        stride=1,
        dilation=1,
        bias=True,
        dropout=0.25,
    ):
        dims = 1 if isinstance(kernel, int) else len(kernel)
        norm_first = "B" in order and order.index("B") < order.index("C")
        makers = {
            "C": lambda: CONVOLUTIONS[dims](
                n_in, n_out, kernel, stride, padding, dilation, bias=bias
            ),
            "B": lambda: NORMS[dims](n_in if norm_first else n_out),
            "A": activation,
            "P": lambda: nn.AdaptiveMaxPool2d((1, None)) if pool == "bands" else POOLS[dims](pool),
            "D": lambda: nn.Dropout(dropout),
        }
        wanted = order if pool else order.replace("P", "")
        super().__init__(OrderedDict((LAYERS[letter], makers[letter]()) for letter in wanted))

    def forward(self, x):
        return fast.conv_block(self, x) if fast.fits(self, x) else super().forward(x)


def stack(n_in, channels, kernel, pools, **options):
    """Return one `ConvBlock` after the other: its channels, its pool; the options are of all."""
    before = [n_in, *channels[:-1]]
    return nn.Sequential(
        *(
            ConvBlock(*each[:2], kernel, each[2], **options)
            for each in zip(before, channels, pools, strict=True)
        )
    )


class Head(nn.Sequential):
    """From one vector per clip to logits, through a hidden layer where the paper has one.

    Parameters
    ----------
    n_in, n_outputs : int
    order : str
        One letter a layer before the last one: D dropout, H hidden dense layer, A activation,
        B batch normalisation.
    hidden : int, optional
        Units of the hidden layer H.
    dropout : float
        Probability of every D.
    activation : callable
        Makes the module A.
    """

    def __init__(self, n_in, n_outputs, order="D", hidden=None, dropout=0.5, activation=nn.ReLU):
        layers = []
        for letter in order:
            if letter == "H":
                layers.append(nn.Linear(n_in, hidden))
                n_in = hidden
            elif letter == "B":
                layers.append(nn.BatchNorm1d(n_in))
            else:
                layers.append(activation() if letter == "A" else nn.Dropout(dropout))
        super().__init__(*layers, nn.Linear(n_in, n_outputs))


class ResBlock(nn.Module):
    """Two convolutions with a shortcut around them [slides: ResNet; Won et al., SMC 2020].

    conv → norm → ReLU → (dropout) → conv → norm → (squeeze and excitation), plus the input, then
    ReLU and pooling. Where stride or channels change, the input passes through a convolution of
    its own and a batch normalisation.

    Parameters
    ----------
    n_in, n_out : int
        Channels.
    kernel : int or pair of int
        As in `ConvBlock`: 1D or 2D.
    stride : int or pair of int
        Of the first convolution and of the shortcut.
    pool : int or pair of int, optional
        Max-pooling after the sum.
    squeeze : int, optional
        Hidden units of a `SqueezeExcitation`.
    dropout : float
        Between the two convolutions.
    n_convs : int
        1 leaves the second convolution out, and the ReLU before it [Kim et al., 2019].
    pointwise : bool
        Whether the shortcut's convolution has a kernel of 1 in place of `kernel` [the same].
    """

    def __init__(
        self,
        n_in,
        n_out,
        kernel,
        stride=1,
        pool=None,
        squeeze=None,
        dropout=0.0,
        n_convs=2,
        pointwise=False,
    ):
        super().__init__()
        dims = 1 if isinstance(kernel, int) else len(kernel)
        padding = kernel // 2 if dims == 1 else tuple(k // 2 for k in kernel)
        options = {"stride": stride, "padding": padding}
        order = "CB" if n_convs == 1 else "CBAD" if dropout else "CBA"
        self.block1 = ConvBlock(n_in, n_out, kernel, order=order, dropout=dropout, **options)
        self.block2 = (
            ConvBlock(n_out, n_out, kernel, order="CB", padding=padding)
            if n_convs == 2
            else nn.Identity()
        )
        self.squeeze = SqueezeExcitation(n_out, squeeze) if squeeze else nn.Identity()
        changes = n_in != n_out or stride not in (1, (1, 1))
        if pointwise:
            kernel, options = (1 if dims == 1 else (1, 1)), {"stride": stride, "padding": 0}
        self.shortcut = (
            ConvBlock(n_in, n_out, kernel, order="CB", **options) if changes else nn.Identity()
        )
        self.pool = POOLS[dims](pool) if pool else nn.Identity()

    def forward(self, x):
        y = self.block2(self.block1(x))  # (batch, n_out, …) divided by the stride
        y = self.squeeze(y)  # the same
        return torch.relu_(self.pool(y + self.shortcut(x)))  # … divided by the pool


class SqueezeExcitation(nn.Module):
    """Weigh each channel by a gate that sees the mean of all channels [Kim et al., ICASSP 2018].

    Parameters
    ----------
    n_channels, hidden : int
        Channels, and units of the dense layer between squeeze and excitation.
    """

    def __init__(self, n_channels, hidden):
        super().__init__()
        self.dense1 = nn.Linear(n_channels, hidden)
        self.dense2 = nn.Linear(hidden, n_channels)

    def forward(self, x):
        z = x.flatten(2).mean(dim=2)  # (batch, channels)
        gate = torch.sigmoid(self.dense2(torch.relu(self.dense1(z))))  # (batch, channels)
        return x * gate.reshape(*gate.shape, *[1] * (x.dim() - 2))  # as x


class ManyShapes(nn.ModuleList):
    """Convolutions of many shapes side by side on one input: timbral, temporal [thesis 3.1, 3.4].

    Timbral filters are tall: (bins, frames) pairs that move over (batch, 1, bins, frames).
    Temporal filters are long: an int, its frames, that moves over (batch, 1, frames), or the pair
    (1, frames). Gives the list of their maps, (batch, filters, …), in order.

    Parameters
    ----------
    shapes : sequence of (int, int or pair of int)
        Number of filters and kernel of each.
    order, activation : str, callable
        As in `ConvBlock`: "CAB" is convolution, activation, batch normalisation.
    padding : {"time", "same", "valid"}
        Zeros along time, so that every map has the frames of the input; along both axes; none.
        Of an even number of frames the longer half lies behind, as in the papers' Keras and
        TensorFlow.
    pool : "bands", optional
        As in `ConvBlock`, where `order` has a P.
    """

    def __init__(self, shapes, order="CAB", activation=nn.ReLU, padding="time", pool=None):
        super().__init__(
            ConvBlock(
                1, n_filters, kernel, pool, order=order, activation=activation, padding="valid"
            )
            for n_filters, kernel in shapes
        )
        n_padded = {"time": 1, "same": 2, "valid": 0}[padding]  # axes, the last first
        self.padding = [
            [n for size in kernel[::-1][:n_padded] for n in ((size - 1) // 2, size // 2)]
            for kernel in (block.conv.kernel_size for block in self)
        ]

    def forward(self, x):
        return [
            block(F.pad(x, padding) if any(padding) else x)
            for block, padding in zip(self, self.padding, strict=True)
        ]


def max_over_bands(maps):
    """Keep the largest value of each map over frequency, and set the maps side by side.

    Parameters
    ----------
    maps : sequence of torch.Tensor, each (batch, filters, bins, frames)
        Of `ManyShapes`; the bins may differ.

    Returns
    -------
    torch.Tensor, (batch, all filters, frames)
    """
    return torch.cat([x.amax(dim=2) for x in maps], dim=1)
