"""Recurrent networks, and the convolutional ones that they were compared with (lesson 11)."""

from math import prod

import torch
from torch import nn

from mirdl import models
from mirdl.errors import MirdlError
from mirdl.models.blocks import Head, Tagger, fitting, scaled, shrink_pools, stack
from mirdl.models.cnn2d import FCN, AxisNorm

#: Recurrent layers by name [thesis sections 2.1.4 and 2.1.5; the GRU has no equation there].
CELLS = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}
#: Length in samples at 16 kHz of the audio that the CRNN of Won et al. sees: 29 s, 1,813 frames.
CRNN_SAMPLES = 464_000
#: Frames at 12 kHz that the networks of Choi et al. see: 29.1 s.
CHOI_FRAMES = 1366
#: Their blocks and last layers in the released code.
CHOI_BLOCK = {"order": "CBAPD", "activation": nn.ELU, "dropout": 0.1}
CHOI_HEAD = {"activation": nn.ELU, "dropout": 0.3}


class RecurrentBackEnd(nn.Module):
    """Recurrent layers that read a feature map frame by frame and keep what they last knew.

    (batch, channels, frames) of any length → (batch, hidden), or (batch, 2 · hidden) in both
    directions: the last state of the forward one beside that of the backward one.

    Parameters
    ----------
    n_in, hidden : int
        Channels of the feature map; units of each layer and direction.
    layers : int
    cell : {"rnn", "lstm", "gru"}
        The plain one is tanh(W x + W_rec h + b) [thesis Eq. 2.12].
    bidirectional : bool
    """

    def __init__(self, n_in, hidden, layers=2, cell="gru", bidirectional=False):
        super().__init__()
        if cell not in CELLS:
            raise MirdlError(f"no recurrent cell is called {cell!r}; there are: {', '.join(CELLS)}")
        self.n_directions = 2 if bidirectional else 1
        self.n_out = self.n_directions * hidden
        self.rnn = CELLS[cell](n_in, hidden, layers, batch_first=True, bidirectional=bidirectional)

    def forward(self, x):
        _, last = self.rnn(x.transpose(1, 2))  # (layers · directions, batch, hidden)
        if isinstance(last, tuple):  # an LSTM's output, and the state that it keeps to itself
            last = last[0]
        return torch.cat(list(last[-self.n_directions :]), dim=1)  # (batch, directions · hidden)


class RNN(Tagger):
    """Recurrent layers straight on mel frames: the plainest way to listen in time.

    No paper's: it stands for the recurrent networks of thesis section 2.1.4 and 2.1.5, between
    which `cell` and `bidirectional` choose.

    Parameters
    ----------
    n_outputs : int
    front_end : str or FrontEnd
        Its bands are batch-normalised, each for itself.
    width : float
        Factor on `hidden`.
    for_seconds : float, optional
        Length of the audio in training; the default is any.
    cell : {"rnn", "lstm", "gru"}
    bidirectional : bool
        Whether a second set of layers reads from the end to the start.
    hidden, layers : int
        Units of a layer and direction; number of layers.
    """

    any_length = True

    def __init__(
        self,
        n_outputs=50,
        front_end="mel96",
        width=1,
        for_seconds=None,
        cell="rnn",
        bidirectional=False,
        hidden=128,
        layers=1,
    ):
        super().__init__(n_outputs, front_end, for_seconds)
        (hidden,) = scaled([hidden], width)
        self.norm = nn.BatchNorm1d(self.front_end.n_mels)
        self.back_end = RecurrentBackEnd(self.front_end.n_mels, hidden, layers, cell, bidirectional)
        self.head = Head(self.back_end.n_out, n_outputs)

    def forward(self, audio):
        x = self.front_end(audio)  # (batch, n_mels, frames)
        x = self.back_end(self.norm(x))  # (batch, directions · hidden)
        return self.head(x)  # (batch, n_outputs)


class CRNN(Tagger):
    """Convolutional recurrent network (Choi et al., ICASSP 2017): four 2D blocks, then a GRU.

    By default as Won et al. (SMC 2020) train it: 394,100 parameters with 50 tags. 29 s are pooled
    to 18 steps, 10 s to 6, 3 s to 1, where little is left for a GRU to do; shorter `pools` along
    time keep more of them, at the same number of parameters. As published, any length from one
    pool of 96 frames (1.5 s) on is heard.

    Parameters
    ----------
    n_outputs : int
    front_end : str or FrontEnd, optional
        The published ones: 96 mel bands in dB, at 16 kHz or, of the version "keras", at 12 kHz.
    width : float
        Factor on channels and on units of the recurrent layers.
    for_seconds : float, optional
        Length of the audio; the default is the published 464,000 samples, or 1,366 frames. Pools
        that are too long are shortened by `shrink_pools`, along time and frequency.
    version : {"smc2020", "keras"}
        "keras" is the authors' released code: zeros fill up the last pool, 37 frames before and
        after 1,366; batch normalisation of the input by frame, the axes having slipped; ELU;
        dropout after each pool; one bias a gate (torch's second one is kept at 0). 396,786
        parameters; one length only. Keras applies the reset gate before the product with the
        recurrent weights, torch after it.
    channels : sequence of int
        Channels of each block. The paper's sizes are reached, with the units of the GRU, by
        0.1 M (30, 60, 60, 60; 30), 0.25 M (48, 96, 96, 96; 48), 0.5 M (68, 137, 137, 137; 68),
        1 M (96, 195, 195, 195; 96) and 3 M (169, 339, 339, 339; 169).
    pools : sequence of pair of int
        (frequency, time) pool of each block.
    cell, hidden : str, int
        Kind and units of the two recurrent layers.
    """

    any_length = True

    def __init__(
        self,
        n_outputs=50,
        front_end=None,
        width=1,
        for_seconds=None,
        version="smc2020",
        channels=(64, 128, 128, 128),
        pools=((2, 2), (3, 3), (4, 4), (4, 4)),
        cell="gru",
        hidden=32,
    ):
        if version not in {"smc2020", "keras"}:
            raise MirdlError(f"no CRNN is of version {version!r}; there are: smc2020, keras")
        keras = version == "keras"
        front_end = front_end or ("mel96_12k" if keras else "mel96")
        length = {"n_frames": CHOI_FRAMES} if keras else {"n_samples": CRNN_SAMPLES}
        super().__init__(n_outputs, front_end, for_seconds, **length)
        self.any_length = not keras
        pools = fitting(pools, self)
        *channels, hidden = scaled([*channels, hidden], width)
        self.norm = nn.BatchNorm2d(1)
        if keras:
            missing = -self.n_frames % prod(time for _, time in pools)
            before, after = missing // 2, missing - missing // 2
            self.norm = nn.Sequential(
                nn.ZeroPad2d((before, after, 0, 0)), AxisNorm(3, self.n_frames + missing)
            )
        self.blocks = stack(1, channels, (3, 3), pools, **(CHOI_BLOCK if keras else {}))
        self.back_end = RecurrentBackEnd(channels[-1], hidden, layers=2, cell=cell)
        if keras:
            for name, parameter in self.back_end.named_parameters():
                if "bias_hh" in name:
                    nn.init.zeros_(parameter).requires_grad_(False)
        self.head = Head(hidden, n_outputs, dropout=0.3 if keras else 0.5)
        self.to(memory_format=torch.channels_last)

    def forward(self, audio):
        x = self.front_end(audio)  # (batch, 96, 1813)
        x = self.norm(x.unsqueeze(1))  # (batch, 1, 96, 1813)
        x = self.blocks(x)  # (batch, 128, 1, 18)
        x = self.back_end(x.squeeze(2))  # (batch, 32)
        return self.head(x)  # (batch, n_outputs)


class K1C2(Tagger):
    """1D kernels that move along time in each band by itself, "k1c2" (Choi et al., ICASSP 2017).

    Four convolutions over 4 frames, pooled along time only, and two dense layers: the first of
    them sees every band and holds nearly all parameters. 1,005,042 with 50 tags.

    The paper compares its networks at 0.1, 0.25, 0.5, 1 and 3 M parameters; `width_for` gives the
    factor `width` for these, or for any. Its table of widths is not among the sources of this
    course: ours are 1 M in the ratios 1 : 1 : 2 : 2 : 2. The released code of the CRNN gives the
    rates of dropout, which the paper says are the same in all of them.

    Parameters
    ----------
    n_outputs : int
    front_end : str or FrontEnd
        The paper's is 96 mel bands in dB at 12 kHz.
    width : float
        Factor on channels and hidden units.
    for_seconds : float, optional
        Length of the audio; the default is the paper's 1,366 frames. Pools that are too long for
        it are shortened by `shrink_pools`.
    channels : sequence of int
        Channels of each block.
    pools : sequence of int
        Pool along time of each block.
    hidden : int
        Units of each dense layer.
    """

    def __init__(
        self,
        n_outputs=50,
        front_end="mel96_12k",
        width=1,
        for_seconds=None,
        channels=(49, 49, 98, 98),
        pools=(4, 5, 8, 8),
        hidden=98,
    ):
        super().__init__(n_outputs, front_end, for_seconds, n_frames=CHOI_FRAMES)
        pools = shrink_pools(pools, self.n_frames)
        *channels, hidden = scaled([*channels, hidden], width)
        self.norm = nn.BatchNorm2d(1)
        pools_2d = [(1, pool) for pool in pools]
        self.blocks = stack(1, channels, (1, 4), pools_2d, padding=(0, 2), **CHOI_BLOCK)
        n_features = channels[-1] * self.front_end.n_mels * pooled(self.n_frames, pools)
        self.head = Head(n_features, n_outputs, "HADHAD", hidden, **CHOI_HEAD)
        self.to(memory_format=torch.channels_last)

    def forward(self, audio):
        x = self.front_end(audio)  # (batch, 96, 1366)
        x = self.norm(x.unsqueeze(1))  # (batch, 1, 96, 1366)
        x = self.blocks(x)  # (batch, 98, 96, 1)
        return self.head(x.flatten(1))  # (batch, n_outputs)


class K2C1(Tagger):
    """2D kernels as tall as the spectrogram, that so move along time only: "k2c1".

    Five convolutions over 4 frames, the first of which spans all bands, and two dense layers
    (Choi et al., ICASSP 2017, after Dieleman and Schrauwen). 1,001,580 parameters with 50 tags.
    The paper's sizes are reached, within its 2 %, by channels x, x, x, y, y and y hidden units:
    0.1 M (43; 87), 0.25 M (72; 145), 0.5 M (106; 212), 1 M (152; 304) and 3 M (265; 535); the
    first of them if, as in the authors' code, each of 1,366 frames has its own normalisation.

    Parameters
    ----------
    n_outputs, front_end, width, for_seconds, channels, pools, hidden
        As of `K1C2`.
    """

    def __init__(
        self,
        n_outputs=50,
        front_end="mel96_12k",
        width=1,
        for_seconds=None,
        channels=(152, 152, 152, 304, 304),
        pools=(4, 4, 4, 4, 4),
        hidden=304,
    ):
        super().__init__(n_outputs, front_end, for_seconds, n_frames=CHOI_FRAMES)
        pools = shrink_pools(pools, self.n_frames)
        *channels, hidden = scaled([*channels, hidden], width)
        self.norm = nn.BatchNorm2d(1)
        self.blocks = stack(self.front_end.n_mels, channels, 4, pools, padding=2, **CHOI_BLOCK)
        n_features = channels[-1] * pooled(self.n_frames, pools)
        self.head = Head(n_features, n_outputs, "HADHAD", hidden, **CHOI_HEAD)

    def forward(self, audio):
        x = self.front_end(audio)  # (batch, 96, 1366)
        x = self.norm(x.unsqueeze(1)).squeeze(1)  # the same
        x = self.blocks(x)  # (batch, 304, 1)
        return self.head(x.flatten(1))  # (batch, n_outputs)


class K2C2(FCN):
    """Small kernels that move along frequency and time, "k2c2": `FCN` with ELU and dropout.

    Five blocks of 3 x 3 pool everything to one value a channel; there is no hidden dense layer
    (Choi et al., ICASSP 2017). 1,003,830 parameters with 50 tags. The paper's sizes are reached
    by 0.1 M (20, 41, 41, 62, 83), 0.25 M (33, 66, 66, 100, 133), 0.5 M (47, 95, 95, 142, 190),
    1 M (67, 135, 135, 203, 271) and 3 M (118, 236, 236, 355, 473).

    Parameters
    ----------
    n_outputs, front_end, width, for_seconds, channels, **overrides
        As of `FCN`; the length is 1,366 frames by default.
    """

    def __init__(
        self,
        n_outputs=50,
        front_end="mel96_12k",
        width=1,
        for_seconds=None,
        channels=(67, 135, 135, 203, 271),
        **overrides,
    ):
        options = {
            "activation": "elu",
            "block_dropout": 0.1,
            "dropout": 0.3,
            "n_frames": CHOI_FRAMES,
            **overrides,
        }
        super().__init__(n_outputs, front_end, width, for_seconds, channels, **options)


def pooled(n_frames, pools):
    """Return how many frames are left by convolutions of 4, padded by 2, and pools."""
    for pool in pools:
        n_frames = (n_frames + 1) // pool
    return n_frames


def width_for(name, n_parameters, n_outputs=50, **overrides):
    """Return the factor `width` that gives a network the wished number of parameters.

    Networks of different kinds are compared at equal sizes, as in Choi et al. (ICASSP 2017).

    Parameters
    ----------
    name : str
        A network of `mirdl.models`.
    n_parameters : int
        Trainable ones.
    n_outputs, **overrides
        As in `mirdl.models.build`, without ``width``.

    Returns
    -------
    float
        The factor whose number of parameters is nearest. Channels are whole numbers: small
        networks cannot have any size.

    Raises
    ------
    MirdlError
        If the nearest is more than 10 % away.
    """

    def count(width):
        with torch.device("meta"):  # without memory for the weights
            model = models.build(name, n_outputs, width=width, **overrides)
        return models.n_parameters(model)

    low, high = 0.0, 1.0
    while count(high) < n_parameters:
        low, high = high, 2 * high
    while high - low > 1e-4:
        middle = (low + high) / 2
        low, high = (middle, high) if count(middle) < n_parameters else (low, middle)
    width = min(low, high, key=lambda width: abs(count(width) - n_parameters))
    if abs(count(width) - n_parameters) > 0.1 * n_parameters:
        raise MirdlError(
            f"no width gives {name} {n_parameters:,} parameters; {count(width):,} does"
        )
    return width
