"""Sample-level networks: filters of a few samples all the way down (lesson 13)."""

import torch
from torch import nn

from mirdl.errors import MirdlError
from mirdl.models.back_ends import GlobalPool
from mirdl.models.blocks import (
    ConvBlock,
    Head,
    ResBlock,
    SqueezeExcitation,
    Tagger,
    initialise,
    scaled,
    shrink_pools,
)


class SampleCNN(Tagger):
    """Sample-level network (Lee et al., SMC 2017), with the blocks of Kim et al. (ICASSP 2018).

    A first convolution steps through the waveform, `n` blocks of a convolution over `m` samples
    and a pool over `m` shrink what is left to one value a channel: 3 · 3^9 = 59,049 samples in the
    paper's best form, 1,869,874 parameters with 50 tags. Lee et al. work at 22.05 kHz, where that
    is 2.7 s, Won et al. (SMC 2020, the same count) at 16 kHz, 3.7 s. Won's code pads the first
    convolution by one sample, Lee's, as here, by none.

    Convolutions start as Lee's and Kim's do (He, uniform), dense layers as Kim's (Glorot).

    Parameters
    ----------
    n_outputs : int
    width : float
        Factor on all channels.
    for_seconds : float, optional
        Length of the audio; the default is ``length * m ** n`` samples. Pools that are too long
        for it are shortened by `shrink_pools` (3 s at 16 kHz: the first pool 2 in place of 3); of
        longer audio the last blocks' maxima over time are taken. The parameters stay the same.
    sample_rate : int
        In Hz.
    m, n : int
        Filter and pool of the blocks in samples, and number of blocks: the m^n networks of the
        paper's Table 2. The first two blocks have 128 channels, the last 512, all others 256, as
        in the authors' code for 3^9 and 2^13.
    length : int, optional
        Filter and stride of the first convolution, in samples; the default is `m`. With the same
        59,049 samples, (m, n, length) = (3, 4, 729), (3, 5, 243), (3, 6, 81), (3, 7, 27),
        (3, 8, 9) are the shallower relatives, from frame level to sample level.
    last_kernel : int
        Of the last convolution: 1 in Lee's code; 3 gives the 2,394,162 parameters that agree with
        the thesis' 2.4M. At 59,049 samples one frame is left for it, so two of its three taps
        meet zeros only: the 524,288 parameters more are never used.
    block : {"basic", "se", "res", "rese"}
        Convolution and pool; the same with squeeze and excitation; a residual block; both. All but
        "basic" end in the global maximum and a dense layer in place of the last convolution
        (on one frame the two are the same).
    n_convs : int
        Convolutions of a residual block: 2, or 1 [Kim et al., JSTSP 2019].
    amplify : float
        Hidden units of squeeze and excitation per channel: 16 [2018] or 1/8 [2019].
    multi_level : bool
        Whether the maxima over time of the last three blocks are set side by side.
    """

    def __init__(
        self,
        n_outputs=50,
        width=1,
        for_seconds=None,
        sample_rate=16_000,
        m=3,
        n=9,
        length=None,
        last_kernel=1,
        block="basic",
        n_convs=2,
        amplify=16,
        multi_level=False,
    ):
        length = length or m
        super().__init__(
            n_outputs, None, for_seconds, n_samples=length * m**n, sample_rate=sample_rate
        )
        if block not in {"basic", "se", "res", "rese"}:
            raise MirdlError(f"block {block!r}: one of 'basic', 'se', 'res', 'rese'")
        channels = scaled([128, *([128, 128] + n * [256])[: n - 1], 512], width)
        pools = shrink_pools([m] * n, self.n_samples // length)
        self.conv = ConvBlock(1, channels[0], length, order="CBA", padding="valid", stride=length)
        self.blocks = nn.ModuleList(
            _block(block, n_in, n_out, m, pool, n_convs, amplify)
            for n_in, n_out, pool in zip(channels, channels[1:], pools, strict=False)
        )
        self.n_levels = 3 if multi_level else 1
        self.pool = GlobalPool("max")
        n_features = sum(channels[1:][-self.n_levels :])
        if block == "basic" and not multi_level:
            self.last = ConvBlock(n_features, n_features, last_kernel, order="CBA")
            self.head = Head(n_features, n_outputs)
        else:
            self.last = nn.Identity()
            self.head = Head(n_features, n_outputs, order="HBAD", hidden=n_features)
        initialise(self, nn.init.kaiming_uniform_)
        gates = (part for part in self.modules() if isinstance(part, SqueezeExcitation))
        for part in (self.head, *gates):
            initialise(part, nn.init.xavier_uniform_)

    def forward(self, audio):
        x = self.conv(audio.unsqueeze(1))  # (batch, 128, 19683)
        levels = []
        for block in self.blocks:
            x = block(x)  # (batch, 128 … 512, 6561 … 1)
            levels.append(x)
        levels[-1] = self.last(x)  # (batch, 512, 1)
        levels = [self.pool(level) for level in levels[-self.n_levels :]]  # each (batch, channels)
        return self.head(torch.cat(levels, dim=1))  # (batch, n_outputs)


class SampleCNNSE(Tagger):
    """SampleCNN of residual blocks with squeeze and excitation (Kim et al., as in SMC 2020).

    The network that Won et al. (SMC 2020) compare: unlike in Kim et al. the first and the last
    convolution are such blocks too, the gates have as many hidden units as channels, the shortcuts
    convolve over 3 samples, and nothing is dropped within a block. 6,951,858 parameters.

    Parameters
    ----------
    n_outputs : int
    width : float
        Factor on all channels.
    for_seconds : float, optional
        Length of the audio; the default is 59,049 samples. Pools are shortened as in `SampleCNN`.
    sample_rate : int
        In Hz.
    """

    def __init__(self, n_outputs=50, width=1, for_seconds=None, sample_rate=16_000):
        super().__init__(n_outputs, None, for_seconds, n_samples=59_049, sample_rate=sample_rate)
        channels = scaled([128, 128, 128, *[256] * 6, 512], width)
        pools = shrink_pools([3] * 9, self.n_samples // 3)
        first = ResBlock(1, channels[0], 3, stride=3, squeeze=channels[0])
        last = ResBlock(channels[-1], channels[-1], 1, squeeze=channels[-1])
        middle = (
            ResBlock(n_in, n_out, 3, pool=pool, squeeze=n_out)
            for n_in, n_out, pool in zip(channels, channels[1:], pools, strict=False)
        )
        self.blocks = nn.Sequential(first, *middle, last)
        self.pool = GlobalPool("max")
        self.head = Head(channels[-1], n_outputs, order="HBAD", hidden=channels[-1])

    def forward(self, audio):
        x = self.blocks(audio.unsqueeze(1))  # (batch, 512, 1)
        return self.head(self.pool(x))  # (batch, n_outputs)


def _block(kind, n_in, n_out, m, pool, n_convs, amplify):
    """Return one block of Kim et al.; their residual ones have filters of 3 samples."""
    hidden = max(1, round(amplify * n_out))
    if kind in {"res", "rese"}:
        squeeze = hidden if kind == "rese" else None
        return ResBlock(
            n_in, n_out, 3, 1, pool, squeeze, dropout=0.2, n_convs=n_convs, pointwise=True
        )
    # An even filter leaves one frame more than it got, which its pool drops.
    block = ConvBlock(n_in, n_out, m, pool, padding=m // 2)
    return nn.Sequential(block, SqueezeExcitation(n_out, hidden)) if kind == "se" else block
