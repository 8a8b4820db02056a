"""Networks that read the waveform with long filters, and the one at scale (lessons 12 and 13).

Sample-level networks are in `sample_level`.
"""

import math

import torch
from torch import nn

from mirdl.errors import MirdlError
from mirdl.models.back_ends import ResidualBackEnd
from mirdl.models.blocks import ConvBlock, Tagger, scaled, shrink_pools
from mirdl.models.cnn1d import DielemanSpectrogram

#: Nonlinearities of Dieleman and Schrauwen's Table 2. The paper does not say how the logarithm
#: takes the negative outputs of a linear filter, where log(1 + C x) has no value: here it takes
#: their magnitude. C is that of its spectrograms.
NONLINEARITIES = {
    "relu": torch.relu,
    "log": lambda x: torch.log1p(10_000 * x.abs()),
    "log_square": lambda x: torch.log1p(10_000 * x.square()),
}
#: Ways to pool a group of filters, their Table 3: (batch, groups, filters, frames) over filters.
#: The gradient of the root has no bound at 0, so it stops at 1e-12.
FEATURE_POOLINGS = {
    "l2": lambda x: x.square().sum(dim=2).clamp(min=1e-12).sqrt(),
    "max": lambda x: x.amax(dim=2),
}


class LearnedFrontEnd(nn.Module):
    """What front ends with trainable parameters share with `mirdl.features.FrontEnd`.

    Attributes
    ----------
    sample_rate, n_mels : int
        In Hz; number of bands or filters, under the name that networks ask for.
    """

    def __init__(self, sample_rate, n_mels):
        super().__init__()
        self.sample_rate, self.n_mels = sample_rate, n_mels

    def fit_normalisation(self, batches):
        """Return self: there is nothing to fit before training."""
        return self


class RawFilters(LearnedFrontEnd):
    """A strided convolution in the place of a mel-spectrogram [Dieleman & Schrauwen, Figure 1b].

    Parameters
    ----------
    length, stride : int
        Of the filters, in samples: the window and hop that they replace.
    filters : int
        Their number, before pooling.
    nonlinearity : {"relu", "log", "log_square"}
        max(0, x), log(1 + 10,000 abs(x)), log(1 + 10,000 x²).
    feature_pooling : {None, "l2", "max"}
        Root of the sum of squares, or largest value, of each group of filters [Figure 1c]. It
        pools linear filters, in the place of the nonlinearity.
    pool_size : int
        Filters in a group.
    sample_rate : int
        In Hz.
    """

    def __init__(
        self,
        length,
        stride,
        filters,
        nonlinearity="relu",
        feature_pooling=None,
        pool_size=1,
        sample_rate=16_000,
    ):
        if nonlinearity not in NONLINEARITIES:
            raise MirdlError(f"nonlinearity {nonlinearity!r}: one of {list(NONLINEARITIES)}")
        if feature_pooling not in {None, *FEATURE_POOLINGS}:
            raise MirdlError(f"feature_pooling {feature_pooling!r}: one of {[*FEATURE_POOLINGS]}")
        if filters % pool_size:
            raise MirdlError(f"{filters} filters do not make groups of {pool_size}")
        super().__init__(sample_rate, filters // pool_size if feature_pooling else filters)
        self.hop_length, self.pool_size = stride, pool_size
        self.nonlinearity, self.feature_pooling = nonlinearity, feature_pooling
        self.conv = nn.Conv1d(1, filters, length, stride)

    def n_frames(self, n_samples):
        """Return the number of frames that ``n_samples`` samples give."""
        return 1 + (n_samples - self.conv.kernel_size[0]) // self.hop_length

    def forward(self, audio):
        """Turn audio, (batch, n_samples), into (batch, n_mels, n_frames)."""
        x = self.conv(audio.unsqueeze(1))  # (batch, filters, n_frames)
        if self.feature_pooling is None:
            return NONLINEARITIES[self.nonlinearity](x)  # the same
        x = x.unflatten(1, (-1, self.pool_size))  # (batch, groups, pool_size, n_frames)
        return FEATURE_POOLINGS[self.feature_pooling](x)  # (batch, groups, n_frames)


class DielemanRaw(DielemanSpectrogram):
    """The raw-audio network of Dieleman and Schrauwen (ICASSP 2014, Figure 1b and c, Tables 1-3).

    The spectrogram network with `RawFilters` as its front end. The paper does not print their
    number; with 128, as many as its mel bands, the default (its best row of Table 1) has 107,870
    parameters. Tables 2 and 3 are for length and stride 1024, where 3 s leave two frames to the
    last pool of four: it then pools two.

    Parameters
    ----------
    n_outputs : int
    width : float
        Factor on filters and hidden units.
    for_seconds : float
        Length of the audio; the first dense layer grows with it.
    sample_rate : int
        In Hz.
    length, stride, filters, nonlinearity, feature_pooling, pool_size
        Of `RawFilters`.
    """

    def __init__(
        self,
        n_outputs=50,
        width=1,
        for_seconds=3,
        sample_rate=16_000,
        length=256,
        stride=256,
        filters=128,
        nonlinearity="relu",
        feature_pooling=None,
        pool_size=1,
    ):
        groups = scaled([filters // pool_size], width)[0]
        front_end = RawFilters(
            length,
            stride,
            groups * pool_size,
            nonlinearity,
            feature_pooling,
            pool_size,
            sample_rate,
        )
        super().__init__(n_outputs, front_end, width=width, for_seconds=for_seconds)


class FrameLevelManyShapes(Tagger):
    """Filters of five lengths on the waveform, then the layers of thesis Figure 4.3.

    Thesis section 4.3 after Zhu et al. (Interspeech 2016). There it stays untrained and gives
    features; here it is trained, with the nonlinearity, normalisation and head that section 5.4
    has around the same three convolutions. No count is published.

    Parameters
    ----------
    n_outputs : int
    width : float
        Factor on all channels and hidden units.
    for_seconds : float, optional
        Length of the audio; the default is the thesis' 350,000 samples. Any length will do.
    sample_rate : int
        In Hz; the thesis' is 12 kHz.
    lengths : sequence of int
        Of the filters, in samples: even numbers of at least `stride`.
    stride : int
        In samples.
    filters : int
        Of each length.
    back_filters, hidden : int
        Of the back end; these are the smallest filters of thesis Table 5.2.
    """

    any_length = True

    def __init__(
        self,
        n_outputs=50,
        width=1,
        for_seconds=None,
        sample_rate=12_000,
        lengths=(512, 256, 128, 64, 32),
        stride=32,
        filters=64,
        back_filters=64,
        hidden=500,
    ):
        super().__init__(n_outputs, None, for_seconds, n_samples=350_000, sample_rate=sample_rate)
        filters, back_filters, hidden = scaled([filters, back_filters, hidden], width)
        # zeros at both ends, so that every length gives n_samples // stride frames
        self.shapes = nn.ModuleList(
            ConvBlock(
                1, filters, length, order="CAB", padding=(length - stride) // 2, stride=stride
            )
            for length in lengths
        )
        self.back_end = ResidualBackEnd(len(lengths) * filters, n_outputs, back_filters, hidden)

    def forward(self, audio):
        x = audio.unsqueeze(1)  # (batch, 1, 350000)
        x = torch.cat([conv(x) for conv in self.shapes], dim=1)  # (batch, 5 * 64, 10937)
        return self.back_end(x)  # (batch, n_outputs)


class WaveformAtScale(Tagger):
    """The waveform network of Pons et al. (ISMIR 2018; thesis Figures 5.2 and 5.3, Table 5.2).

    A stack of convolutions over 3 samples, each followed by a pool of 3, and the back end that it
    shares with the spectrogram network. 5,377,082 parameters on 3 s with 50 tags.

    Parameters
    ----------
    n_outputs : int
    width : float
        Factor on all channels and hidden units.
    for_seconds : float
        Length of the audio. Any length from 3 s on will do (15 s with 9 stacks); for shorter
        clips the pools are shortened by `shrink_pools`, and the parameters stay the same.
    sample_rate : int
        In Hz.
    multiple : float
        Factor on the channels of the front end: 4 to 1/4 in Table 5.2.
    back_filters, hidden : int
        Of `ResidualBackEnd`.
    stacks : int
        7, or 9 as for the 1.2M songs of section 5.4.
    """

    any_length = True

    def __init__(
        self,
        n_outputs=50,
        width=1,
        for_seconds=3,
        sample_rate=16_000,
        multiple=1,
        back_filters=512,
        hidden=500,
        stacks=7,
    ):
        super().__init__(n_outputs, None, for_seconds, sample_rate=sample_rate)
        channels = scaled([64, 64, 64, *[128] * (stacks - 4), 256], multiple * width)
        back_filters, hidden = scaled([back_filters, hidden], width)
        pools = self._pools(stacks - 1)
        self.front = nn.Sequential(
            ConvBlock(1, channels[0], 3, order="CAB", padding="valid", stride=3),
            *(
                ConvBlock(n_in, n_out, 3, pool, order="CABP", padding="valid")
                for n_in, n_out, pool in zip(channels, channels[1:], pools, strict=False)
            ),
        )
        self.back_end = ResidualBackEnd(channels[-1], n_outputs, back_filters, hidden)

    def _pools(self, n_pools):
        """Return pools of 3, shortened until the back end gets the 8 frames that it needs."""
        pools, n_frames = [3] * n_pools, 0
        while n_frames < 8 and max(pools) > 1:
            n_frames = self.n_samples // 3
            for pool in pools:
                n_frames = (n_frames - 2) // pool
            if n_frames < 8:
                pools = shrink_pools(pools, math.prod(pools) - 1)
        return pools

    def forward(self, audio):
        x = self.front(audio.unsqueeze(1))  # (batch, 256, 20)
        return self.back_end(x)  # (batch, n_outputs)
