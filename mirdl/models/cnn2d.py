"""2D networks: small filters that move along frequency and time (lesson 08)."""

from itertools import pairwise
from math import prod

import torch
from torch import nn

from mirdl.models.blocks import (
    ConvBlock,
    Head,
    ResBlock,
    Tagger,
    fitting,
    initialise,
    scaled,
    shrink_pools,
    stack,
)

#: Length in samples at 16 kHz of the audio that the published FCN sees: 29 s, 1,813 frames.
FCN_SAMPLES = 464_000

ACTIVATIONS = {"relu": nn.ReLU, "elu": nn.ELU}


class AxisNorm(nn.BatchNorm2d):
    """Batch normalisation along one axis of (batch, 1, n_mels, frames).

    Parameters
    ----------
    axis : int
        2 normalises each mel band, 3 each frame.
    size : int
        Number of them.
    """

    def __init__(self, axis, size):
        super().__init__(size)
        self.axis = axis

    def forward(self, x):
        return super().forward(x.transpose(1, self.axis)).transpose(1, self.axis)


class FCN(Tagger):
    """Fully convolutional network (Choi et al., ISMIR 2016), as Won et al. (SMC 2020) train it.

    Five blocks of 3 x 3 convolution, batch normalisation, ReLU and max-pooling shrink 96 mel
    bands by 29 s to one value a channel. 447,732 parameters with 50 tags.

    Parameters
    ----------
    n_outputs : int
    front_end : str or FrontEnd
        The published one is 96 mel bands in dB, followed by a batch normalisation of the input.
    width : float
        Factor on all channels.
    for_seconds : float, optional
        Length of the audio; the default is the published 464,000 samples. Pools that are too
        long for it are shortened by `shrink_pools` along time (10 s: 3, 3, 4, 4, 4 frames in
        place of 4, 4, 4, 5, 4), along frequency likewise; the parameters stay the same.
    channels : sequence of int
        Channels of each block.
    pools : sequence of pair of int
        (frequency, time) pool of each block.
    input_norm : bool or str
        Batch normalisation of the input: True one mean and deviation for all of it, "bins" one
        for each mel band, "frames" one for each frame (then the parameters grow with the length),
        False none.
    activation : {"relu", "elu"}
    block_dropout, dropout : float
        Probability of dropout after every pool; before the dense layer.
    n_frames : int, optional
        Length of the audio in spectrogram frames, in place of `for_seconds`.
    """

    def __init__(
        self,
        n_outputs=50,
        front_end="mel96",
        width=1,
        for_seconds=None,
        channels=(64, 128, 128, 128, 64),
        pools=((2, 4), (2, 4), (2, 4), (3, 5), (4, 4)),
        input_norm=True,
        activation="relu",
        block_dropout=0.0,
        dropout=0.5,
        n_frames=None,
    ):
        super().__init__(
            n_outputs, front_end, for_seconds, n_samples=FCN_SAMPLES, n_frames=n_frames
        )
        channels = scaled(channels, width)
        self.norm = self._input_norm(input_norm)
        self.blocks = stack(
            1,
            channels,
            (3, 3),
            fitting(pools, self),
            order="CBAPD" if block_dropout else "CBAP",
            activation=ACTIVATIONS[activation],
            dropout=block_dropout,
        )
        self.head = Head(channels[-1], n_outputs, dropout=dropout)
        self.to(memory_format=torch.channels_last)

    def _input_norm(self, kind):
        makers = {
            True: lambda: nn.BatchNorm2d(1),
            False: nn.Identity,
            "bins": lambda: AxisNorm(2, self.front_end.n_mels),
            "frames": lambda: AxisNorm(3, self.n_frames),
        }
        return makers[kind]()

    def forward(self, audio):
        x = self.front_end(audio)  # (batch, 96, 1813)
        x = self.norm(x.unsqueeze(1))  # (batch, 1, 96, 1813)
        x = self.blocks(x)  # (batch, 64, 1, 1)
        return self.head(x.flatten(1))  # (batch, n_outputs)


class FCN4(FCN):
    """FCN-4 (Choi et al., ISMIR 2016, Table 1; slides): four blocks, up to 2,048 channels.

    96 mel bands by 1,366 frames at 12 kHz become 48 x 341, 12 x 68, 4 x 8 and 1 x 1 (the shapes
    that the slides print contradict their pools). Dropout of 0.5 follows every pool. 17,365,938
    parameters with 50 tags; the 22M that the thesis prints fit neither this nor `FCN5`.

    Parameters
    ----------
    n_outputs, front_end, width, for_seconds
        As in `FCN`.
    **overrides
        What else differs; see `FCN`.
    """

    def __init__(self, n_outputs=50, front_end="mel96_12k", width=1, for_seconds=None, **overrides):
        paper = {
            "channels": (128, 384, 768, 2048),
            "pools": ((2, 4), (4, 5), (3, 8), (4, 8)),
            "input_norm": False,
            "block_dropout": 0.5,
            "dropout": 0.0,
            "n_frames": 1366,
        }
        super().__init__(n_outputs, front_end, width, for_seconds, **{**paper, **overrides})


class FCN5(FCN4):
    """FCN-5 (Choi et al., ISMIR 2016, Table 1): five blocks, 128 to 2,048 channels.

    25,183,026 parameters with 50 tags.

    Parameters
    ----------
    n_outputs, front_end, width, for_seconds, **overrides
        As in `FCN4`.
    """

    def __init__(self, n_outputs=50, front_end="mel96_12k", width=1, for_seconds=None, **overrides):
        paper = {
            "channels": (128, 256, 512, 1024, 2048),
            "pools": ((2, 4), (2, 4), (2, 4), (3, 5), (4, 4)),
        }
        super().__init__(n_outputs, front_end, width, for_seconds, **{**paper, **overrides})


class ChoiCNN(FCN):
    """The tagger that Choi published with weights (MusicTaggerCNN, after ISMIR 2016).

    Like `FCN`, with 32 to 256 channels, ELU, He's initialisation and dropout of 0.5 after every
    pool (the script that trained it; the one for users leaves out the dropout). 865,950
    parameters with 50 tags: this count contains a batch normalisation of the input that was
    meant for mel bands and acts on the 1,366 frames. ``input_norm="bins"`` is what was meant
    (863,410), and with ``channels=(64, 128, 128, 128, 64)`` another version (447,922).

    Parameters
    ----------
    n_outputs, front_end, width, for_seconds
        As in `FCN`; Choi's code squares the mel power once more before the dB.
    input_norm : bool or str
        With "frames" the number of parameters depends on the length.
    **overrides
        What else differs; see `FCN`.
    """

    def __init__(
        self,
        n_outputs=50,
        front_end="mel96_12k",
        width=1,
        for_seconds=None,
        input_norm="frames",
        **overrides,
    ):
        code = {
            "channels": (32, 128, 128, 192, 256),
            "activation": "elu",
            "block_dropout": 0.5,
            "dropout": 0.0,
            "n_frames": 1366,
        }
        super().__init__(
            n_outputs,
            front_end,
            width,
            for_seconds,
            input_norm=input_norm,
            **{**code, **overrides},
        )
        initialise(self.blocks, nn.init.kaiming_normal_)


class CompactCNN(FCN):
    """The network whose features Choi et al. (ISMIR 2017) transfer to other tasks.

    Five blocks of 32 channels, ELU, He's initialisation, no dropout; 39,282 parameters with 50
    tags. The feature is the mean over each channel of each block: 160 numbers, given by
    ``Levels(model, ["blocks.0", …, "blocks.4"], summary="mean")`` of `mirdl.models.cnn1d`. The
    published batch normalisation uses the statistics of the batch in evaluation as well; ours
    keeps running ones, so that a clip's score does not depend on the other clips.

    Parameters
    ----------
    n_outputs, front_end, width, for_seconds
        As in `FCN`; the authors have 1,360 frames of 29 s.
    **overrides
        What else differs; see `FCN`.
    """

    def __init__(self, n_outputs=50, front_end="mel96_12k", width=1, for_seconds=29, **overrides):
        code = {
            "channels": (32, 32, 32, 32, 32),
            "pools": ((2, 4), (3, 4), (2, 5), (2, 4), (4, 4)),
            "input_norm": False,
            "activation": "elu",
            "dropout": 0.0,
        }
        super().__init__(n_outputs, front_end, width, for_seconds, **{**code, **overrides})
        initialise(self.blocks, nn.init.kaiming_normal_)


class VGG(Tagger):
    """The VGG of Pons and Serra (ISMIR 2019, musicnn-training models 1 and 2).

    Five 3 x 3 convolutions with ReLU, then batch normalisation, then max-pooling; dropout between
    the blocks and before the dense layer that reads the last map; He's initialisation. 605,748
    parameters with 128 filters, 50 tags and 187 frames; 40,884 with 32 filters. The first pool of
    the authors' code is 4 frames by 1 band with a stride of 2 by 2: it overlaps in time, and
    skips every second band.

    Parameters
    ----------
    n_outputs : int
    front_end : str or FrontEnd
    width : float
        Factor on the filters.
    for_seconds : float, optional
        Length of the audio; the default is 187 frames. Pools that are too long for it are
        shortened, and the dense layer grows with what the pools leave: filters by 2 frames at
        187 frames, by 9 at 10 s.
    filters : int
        Channels of each convolution.
    """

    def __init__(self, n_outputs=50, front_end="mel96_log", width=1, for_seconds=None, filters=128):
        super().__init__(n_outputs, front_end, for_seconds, n_frames=187)
        filters = scaled([filters], width)[0]
        n_mels, n_frames = (self.front_end.n_mels + 1) // 2, self.n_frames // 2 - 1  # after pool 1
        mel_pools, time_pools = (shrink_pools([2, 2, 2, 4], size) for size in (n_mels, n_frames))
        pools = [(1, 4), *zip(mel_pools, time_pools, strict=True)]
        self.blocks = nn.Sequential(
            *(
                ConvBlock(
                    1 if i == 0 else filters,
                    filters,
                    (3, 3),
                    pool,
                    order="CABPD" if i < 4 else "CABP",
                )
                for i, pool in enumerate(pools)
            )
        )
        self.blocks[0].pool = nn.MaxPool2d((1, 4), stride=2)
        self.norm = nn.BatchNorm2d(1)
        n_values = (n_mels // prod(mel_pools)) * (n_frames // prod(time_pools))
        self.head = Head(filters * n_values, n_outputs)
        for part in (self.blocks, self.head):
            initialise(part, nn.init.kaiming_normal_)
        self.to(memory_format=torch.channels_last)

    def forward(self, audio):
        x = self.front_end(audio)  # (batch, 96, 187)
        x = self.norm(x.unsqueeze(1))  # (batch, 1, 96, 187)
        x = self.blocks(x)  # (batch, 128, 1, 2)
        return self.head(x.flatten(1))  # (batch, n_outputs)


class ShortChunkCNN(Tagger):
    """Short-chunk CNN (Won et al., SMC 2020; slides): 3.7 s, seven blocks, then the maximum.

    3 x 3 convolutions with max-pooling over 2 x 2, the maximum over what is left of time, a dense
    layer of 512 units. 3,687,348 parameters with 50 tags.

    Parameters
    ----------
    n_outputs : int
    front_end : str or FrontEnd
        The published one is 128 mel bands in dB, followed by a batch normalisation.
    width : float
        Factor on channels and hidden units.
    for_seconds : float, optional
        Length of the audio; the default is the published 59,049 samples. With fewer than 128
        bands or frames the last pools have size 1 along that axis; the parameters stay the same.
    channels : sequence of int
        Channels of each block; the dense layer has as many units as the last.
    """

    any_length = True

    def __init__(
        self,
        n_outputs=50,
        front_end="mel128",
        width=1,
        for_seconds=None,
        channels=(128, 128, 256, 256, 256, 256, 512),
    ):
        super().__init__(n_outputs, front_end, for_seconds, n_samples=59_049)
        channels = [1, *scaled(channels, width)]
        self.norm = nn.BatchNorm2d(1)
        self.blocks = nn.Sequential(*self._blocks(channels))
        self.head = Head(channels[-1], n_outputs, order="HBAD", hidden=channels[-1])
        self.to(memory_format=torch.channels_last)

    def _blocks(self, channels):
        # the first pools save the most work, so the last ones give way
        mel_pools, time_pools = (
            reversed(shrink_pools([2] * (len(channels) - 1), size))
            for size in (self.front_end.n_mels, self.n_frames)
        )
        for n_in, n_out, *pool in zip(channels, channels[1:], mel_pools, time_pools, strict=False):
            yield ConvBlock(n_in, n_out, (3, 3), tuple(pool))

    def forward(self, audio):
        x = self.front_end(audio)  # (batch, 128, 231)
        x = self.norm(x.unsqueeze(1))  # (batch, 1, 128, 231)
        x = self.blocks(x)  # (batch, 512, 1, 1)
        x = x.amax(dim=(2, 3))  # (batch, 512)
        return self.head(x)  # (batch, n_outputs)


class ShortChunkRes(ShortChunkCNN):
    """Short-chunk CNN with shortcuts (Won et al., SMC 2020; slides).

    Seven residual blocks; a stride of 2 x 2 replaces the pooling, so 59,049 samples leave two
    frames for the maximum. 12,104,244 parameters with 50 tags.

    Parameters
    ----------
    n_outputs, front_end, width, for_seconds, channels
        As in `ShortChunkCNN`; every number of bands and frames fits.
    squeeze : float, optional
        Adds squeeze and excitation (Hu et al., CVPR 2018) to every block; its hidden layer has
        this factor times as many units as the block has channels (theirs: 1/16). Won et al. do
        not have it in this network.
    """

    def __init__(
        self,
        n_outputs=50,
        front_end="mel128",
        width=1,
        for_seconds=None,
        channels=(128, 128, 256, 256, 256, 256, 512),
        squeeze=None,
    ):
        self.squeeze = squeeze
        super().__init__(n_outputs, front_end, width, for_seconds, channels)

    def _blocks(self, channels):
        for n_in, n_out in pairwise(channels):
            squeeze = scaled([n_out], self.squeeze)[0] if self.squeeze else None
            yield ResBlock(n_in, n_out, (3, 3), stride=2, squeeze=squeeze)
