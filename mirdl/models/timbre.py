"""Filters as tall as a timbre: many shapes side by side on one spectrogram (lesson 10)."""

from functools import partial
from math import prod

import torch
from torch import nn

from mirdl.models.blocks import (
    ConvBlock,
    Head,
    ManyShapes,
    Tagger,
    initialise,
    max_over_bands,
    scaled,
    shrink_pools,
)

#: Filters of the auto-taggers by their length in frames: of the tallest, the middle, the lowest.
TAGGER_FILTERS = {1: (10, 15, 15), 3: (6, 10, 10), 5: (3, 5, 5), 7: (3, 5, 5)}
IRMAS_FILTERS = {1: 128, 3: 64, 5: 32}
JINGJU_FILTERS = {1: 128, 5: 64, 10: 32}
#: 12 kHz, librosa's mel scale, dB, z-scored. The authors' code squares the power once more, which
#: only doubles the dB.
IRMAS_FRONT_END = {
    "preset": "mel96_12k",
    "mel_scale": "slaney",
    "norm": "slaney",
    "normalise": "global",
}


def tall_shapes(heights, filters, factor=1):
    """Return shapes as `ManyShapes` takes them: every height with every length.

    Parameters
    ----------
    heights : sequence of int
        In mel bands.
    filters : dict of int to (int or sequence of int)
        Length in frames → number of filters, of all heights or of each.
    factor : float
        On the number of filters.
    """
    return [
        (scaled([n if isinstance(n, int) else n[i]], factor)[0], (height, frames))
        for i, height in enumerate(heights)
        for frames, n in filters.items()
    ]


class TimbreCNN(Tagger):
    """The auto-tagger of Pons et al., EUSIPCO 2017 (thesis section 3.4 and Table 3.5).

    The network of Dieleman and Schrauwen whose first layer has 12 shapes in place of one: 100, 75
    and 25 of 128 mel bands tall, 1, 3, 5 and 7 frames long. 74,526 parameters with 50 tags.

    Parameters
    ----------
    n_outputs : int
    front_end : str, dict or FrontEnd
        With other than 128 bands the filters keep their share of the height.
    width : float
        Factor on all channels and hidden units.
    for_seconds : float, optional
        Length of the audio, at least 0.7 s; the first dense layer grows with it. The paper's is
        187 frames.
    multiple : int
        Factor on the filters of the first layer: the paper's x2 and x4.
    back_filters : int, optional
        Filters of the second convolution. The text says that they stay 32 at x2 and x4; the
        authors' code multiplies them too, which gives the printed counts and is the default.
    """

    def __init__(
        self,
        n_outputs=50,
        front_end="mel128_log",
        width=1,
        for_seconds=None,
        multiple=1,
        back_filters=None,
    ):
        super().__init__(n_outputs, front_end, for_seconds, n_frames=187)
        back_filters, hidden = scaled([back_filters or 32 * multiple, 100], width)
        heights = scaled((100, 75, 25), self.front_end.n_mels / 128)
        shapes = tall_shapes(heights, TAGGER_FILTERS, multiple * width)
        n_filters = sum(n for n, _ in shapes)
        # the largest value of a map stays the largest under ELU, which then has less to do
        self.front = ManyShapes(shapes, order="CPA", activation=nn.ELU, pool="bands")
        self.pool = nn.MaxPool1d(4)
        self.conv = ConvBlock(
            n_filters, back_filters, 8, 4, order="CAP", activation=nn.ELU, padding="valid"
        )
        n_frames = (self.n_frames // 4 - 7) // 4
        self.head = Head(
            back_filters * n_frames, n_outputs, "DHAD", hidden=hidden, activation=nn.ELU
        )
        initialise(self, nn.init.kaiming_uniform_)

    def forward(self, audio):
        x = self.front_end(audio).unsqueeze(1)  # (batch, 1, 128, 187)
        x = torch.cat(self.front(x), dim=1).squeeze(2)  # (batch, 92, 187)
        x = self.pool(x)  # (batch, 92, 46)
        x = self.conv(x)  # (batch, 32, 9)
        return self.head(x.flatten(1))  # (batch, n_outputs)


class MusicnnTimbre(Tagger):
    """The timbre network as Pons and Serra made it again (ISMIR 2019, musicnn-training #3).

    As `TimbreCNN`, with ReLU and batch normalisation, also of the input, filters of 80, 60 and
    20 % of the bands, no pooling over time in the first layer and no dropout. 185,856 parameters
    with 50 tags; with ``multiple=2`` 222,528, the 220k of thesis Table 5.3. Here the second
    convolution keeps its 32 filters.

    Parameters
    ----------
    n_outputs : int
    front_end : str, dict or FrontEnd
    width : float
        Factor on all channels and hidden units.
    for_seconds : float, optional
        Length of the audio, at least 0.2 s; the first dense layer grows with it. The paper's is
        187 frames.
    multiple : int
        Factor on the filters of the first layer.
    """

    def __init__(self, n_outputs=50, front_end="mel96_log", width=1, for_seconds=None, multiple=1):
        super().__init__(n_outputs, front_end, for_seconds, n_frames=187)
        back_filters, hidden = scaled([32, 100], width)
        heights = [int(share * self.front_end.n_mels) for share in (0.8, 0.6, 0.2)]
        shapes = tall_shapes(heights, TAGGER_FILTERS, multiple * width)
        self.norm = nn.BatchNorm2d(1)
        n_filters = sum(n for n, _ in shapes)
        self.front = ManyShapes(shapes, order="CAB")
        self.conv = ConvBlock(n_filters, back_filters, 8, 4, order="CAP", padding="valid")
        n_frames = (self.n_frames - 7) // 4
        self.head = Head(back_filters * n_frames, n_outputs, "HA", hidden=hidden)
        initialise(self, nn.init.kaiming_normal_)
        self.to(memory_format=torch.channels_last)

    def forward(self, audio):
        x = self.norm(self.front_end(audio).unsqueeze(1))  # (batch, 1, 96, 187)
        x = max_over_bands(self.front(x))  # (batch, 92, 187)
        x = self.conv(x)  # (batch, 32, 45)
        return self.head(x.flatten(1))  # (batch, n_outputs)


class SmallRectangular(Tagger):
    """Five layers of 3 x 3 filters, the rival in Pons et al., EUSIPCO 2017 (thesis Table 3.5).

    From the authors' code: dropout of 25 % before each convolution, no padding, no bias. 73,778
    parameters with 50 tags, printed as 75k.

    Parameters
    ----------
    n_outputs : int
    front_end : str, dict or FrontEnd
    width : float
        Factor on all channels.
    for_seconds : float, optional
        Length of the audio; the dense layer grows with it. The paper's is 187 frames. Pools that
        are too long for the length or the number of bands are shortened.
    """

    def __init__(self, n_outputs=50, front_end="mel128_log", width=1, for_seconds=None):
        super().__init__(n_outputs, front_end, for_seconds, n_frames=187)
        channels = [1, *scaled([32, 32, 64, 32, 16], width)]
        bands, bands_left = self._fit([1, 4, 2, 2], self.front_end.n_mels)
        frames, frames_left = self._fit([4, 1, 2, 2], self.n_frames)
        pools = [*zip(bands, frames, strict=True), None]
        self.blocks = nn.Sequential(
            *(
                ConvBlock(
                    n_in, n_out, (3, 3), pool,
                    order="DCBAP", activation=nn.ELU, padding="valid", bias=False,
                )
                for n_in, n_out, pool in zip(channels, channels[1:], pools, strict=False)
            )
        )  # fmt: skip
        self.head = Head(channels[-1] * bands_left * frames_left, n_outputs)
        initialise(self, nn.init.kaiming_uniform_)
        self.to(memory_format=torch.channels_last)

    @staticmethod
    def _fit(pools, size):
        """Shorten pools until five valid convolutions fit; return them and what they leave."""
        while True:
            left = size - 2
            for pool in pools:
                left = left // pool - 2
            if left >= 1 or max(pools) == 1:
                return pools, left
            pools[pools.index(max(pools))] -= 1

    def forward(self, audio):
        x = self.front_end(audio).unsqueeze(1)  # (batch, 1, 128, 187)
        x = self.blocks(x)  # (batch, 16, 4, 7)
        return self.head(x.flatten(1))  # (batch, n_outputs)


class IrmasSingle(Tagger):
    """One layer that names instruments, Pons et al., EUSIPCO 2017 (thesis Table 3.4).

    Filters of two heights and of 1, 3 and 5 frames, then the largest value over all bands in each
    32 frames. 61,867 parameters with 11 instruments, printed as 62k.

    Parameters
    ----------
    n_outputs : int
    front_end : str, dict or FrontEnd
        With other than 96 bands, filters and pool keep their share of the height.
    width : float
        Factor on all channels.
    for_seconds : float, optional
        Length of the audio; the dense layer grows with it. The paper's is 128 frames.
    bins : pair of int
        Heights of the filters, of 96 bands. (5, 80) in the text, which gives the printed count;
        (50, 70) in the authors' code.
    pool : pair of int
        Bands and frames. 32 frames in the authors' code; the text says 16.
    """

    def __init__(
        self,
        n_outputs=11,
        front_end=IRMAS_FRONT_END,
        width=1,
        for_seconds=None,
        bins=(5, 80),
        pool=(96, 32),
    ):
        super().__init__(n_outputs, front_end, for_seconds, n_frames=128)
        n_mels = self.front_end.n_mels
        shapes = tall_shapes(scaled(bins, n_mels / 96), IRMAS_FILTERS, width)
        self.n_filters = sum(n for n, _ in shapes)
        height, length = scaled([pool[0]], n_mels / 96)[0], min(pool[1], self.n_frames)
        options = {"order": "CBAP", "activation": nn.ELU, "padding": "same"}
        self.front = ManyShapes(shapes, pool=(height, length), **options)
        self.shape = (n_mels // height, self.n_frames // length)
        self.head = Head(self.n_filters * prod(self.shape), n_outputs)
        initialise(self, nn.init.kaiming_normal_)
        self.to(memory_format=torch.channels_last)

    def forward(self, audio):
        x = self.front_end(audio).unsqueeze(1)  # (batch, 1, 96, 128)
        x = torch.cat(self.front(x), dim=1)  # (batch, 448, 1, 4)
        return self.head(x.flatten(1))  # (batch, n_outputs)


class IrmasMulti(IrmasSingle):
    """`IrmasSingle`, with two more convolutions and a hidden layer on top (thesis Table 3.4).

    742,315 parameters with 11 instruments; the printed 743k counts the running statistics too.

    Parameters
    ----------
    n_outputs : int
    front_end : str, dict or FrontEnd
        As of `IrmasSingle`.
    width : float
        Factor on all channels and hidden units.
    for_seconds : float, optional
        Length of the audio; the hidden layer grows with it. The paper's is 128 frames.
    pool : pair of int
        Bands and frames of the first pool. (24, 32) in the authors' code, which gives the
        printed count; the text says (12, 16).
    """

    def __init__(
        self, n_outputs=11, front_end=IRMAS_FRONT_END, width=1, for_seconds=None, pool=(24, 32)
    ):
        super().__init__(n_outputs, front_end, width, for_seconds, pool=pool)
        filters, hidden = scaled([128, 256], width)
        bands, frames = (shrink_pools([2, 2], size) for size in self.shape)
        options = {"order": "DCBAP", "activation": nn.ELU}
        self.conv1 = ConvBlock(self.n_filters, filters, (3, 3), (bands[0], frames[0]), **options)
        self.conv2 = ConvBlock(filters, filters, (3, 3), (bands[1], frames[1]), **options)
        n_left = (self.shape[0] // prod(bands)) * (self.shape[1] // prod(frames))
        self.head = Head(filters * n_left, n_outputs, "DHAD", hidden=hidden, activation=nn.ELU)
        initialise(self, nn.init.kaiming_normal_)
        self.to(memory_format=torch.channels_last)

    def forward(self, audio):
        x = self.front_end(audio).unsqueeze(1)  # (batch, 1, 96, 128)
        x = torch.cat(self.front(x), dim=1)  # (batch, 448, 4, 4)
        x = self.conv1(x)  # (batch, 128, 2, 2)
        x = self.conv2(x)  # (batch, 128, 1, 1)
        return self.head(x.flatten(1))  # (batch, n_outputs)


class Han2016(Tagger):
    """The instrument recogniser of Han et al., TASLP 2017, the rival in thesis Table 3.4.

    Four pairs of 3 x 3 convolutions with leaky ReLU; each has two zeros on every side, so that the
    maps grow by two. The largest value of each map, and a hidden layer. 1,446,123 parameters with
    11 instruments.

    Parameters
    ----------
    n_outputs : int
    front_end : str, dict or FrontEnd
        The paper's, 1 s in 43 frames, follows a division of each clip by its largest sample.
    width : float
        Factor on all channels and hidden units.
    for_seconds : float, optional
        Length of the audio; the parameters stay the same.
    """

    any_length = True

    def __init__(self, n_outputs=11, front_end="mel128_22k", width=1, for_seconds=None):
        super().__init__(n_outputs, front_end, for_seconds, n_frames=43)
        leaky = partial(nn.LeakyReLU, 0.33)
        options = {"activation": leaky, "padding": 2}
        *channels, hidden = scaled([32, 64, 128, 256, 1024], width)
        blocks, n_in = [], 1
        for i, n_out in enumerate(channels):
            pooled = {"order": "CAPD", "pool": (3, 3)} if i < 3 else {"order": "CA"}
            blocks += [
                ConvBlock(n_in, n_out, (3, 3), order="CA", **options),
                ConvBlock(n_out, n_out, (3, 3), **pooled, **options),
            ]
            n_in = n_out
        self.blocks = nn.Sequential(*blocks)
        self.head = Head(channels[-1], n_outputs, "HAD", hidden=hidden, activation=leaky)
        initialise(self, nn.init.xavier_uniform_)
        self.to(memory_format=torch.channels_last)

    def forward(self, audio):
        x = self.front_end(audio).unsqueeze(1)  # (batch, 1, 128, 43)
        x = self.blocks(x)  # (batch, 256, 10, 7)
        return self.head(x.amax(dim=(2, 3)))  # (batch, n_outputs)


class JingjuPhoneme(Tagger):
    """One layer that names sung phonemes, Pons et al., EUSIPCO 2017 (thesis Table 3.3).

    Filters of 50 and 70 bands and of 1, 5 and 10 frames, then the largest value over time in each
    2 bands. 222,557 parameters with the 29 phonemes of the authors' label map (the text says 32).

    Parameters
    ----------
    n_outputs : int
    front_end : str, dict or FrontEnd
        With other than 80 bands the filters keep their share of the height.
    width : float
        Factor on all channels.
    for_seconds : float, optional
        Length of the audio, at least 10 frames; the parameters stay the same. The paper's is 21
        frames, 0.2 s, around the frame to name.
    padding : {"valid", "same"}
        Of the convolutions; only "valid", as in the authors' code, gives the printed count.
    """

    any_length = True

    def __init__(
        self, n_outputs=29, front_end="mel80_44k", width=1, for_seconds=None, padding="valid"
    ):
        super().__init__(n_outputs, front_end, for_seconds, n_frames=21)
        n_mels = self.front_end.n_mels
        shapes = tall_shapes(scaled((50, 70), n_mels / 80), JINGJU_FILTERS, width)
        self.front = ManyShapes(shapes, order="CA", activation=nn.ELU, padding=padding)
        self.pool = nn.MaxPool1d(2)
        n_left = sum(
            n_filters * ((n_mels if padding == "same" else n_mels - height + 1) // 2)
            for n_filters, (height, _) in shapes
        )
        self.head = Head(n_left, n_outputs, dropout=0.3)
        initialise(self, nn.init.kaiming_uniform_)
        self.to(memory_format=torch.channels_last)

    def forward(self, audio):
        x = self.front_end(audio).unsqueeze(1)  # (batch, 1, 80, 21)
        maps = self.front(x)  # (batch, filters, 31 or 11, up to 21) each
        maps = [self.pool(y.amax(dim=3)) for y in maps]  # (batch, filters, 15 or 5) each
        return self.head(torch.cat([y.flatten(1) for y in maps], dim=1))  # (batch, n_outputs)
