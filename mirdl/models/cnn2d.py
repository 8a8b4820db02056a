"""2D networks: small filters that move along frequency and time (lesson 08)."""

import torch
from torch import nn

from mirdl.models.blocks import ConvBlock, Head, Tagger, scaled, shrink_pools

#: Length in samples at 16 kHz of the audio that the published FCN sees: 29 s, 1,813 frames.
FCN_SAMPLES = 464_000


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
    """

    def __init__(
        self,
        n_outputs=50,
        front_end="mel96",
        width=1,
        for_seconds=None,
        channels=(64, 128, 128, 128, 64),
        pools=((2, 4), (2, 4), (2, 4), (3, 5), (4, 4)),
    ):
        super().__init__(n_outputs, front_end, for_seconds, n_samples=FCN_SAMPLES)
        pools = zip(
            shrink_pools([frequency for frequency, _ in pools], self.front_end.n_mels),
            shrink_pools([time for _, time in pools], self.n_frames),
            strict=True,
        )
        channels = [1, *scaled(channels, width)]
        self.norm = nn.BatchNorm2d(1)
        self.blocks = nn.Sequential(
            *(
                ConvBlock(n_in, n_out, (3, 3), pool)
                for n_in, n_out, pool in zip(channels, channels[1:], pools, strict=False)
            )
        )
        self.head = Head(channels[-1], n_outputs)
        self.to(memory_format=torch.channels_last)

    def forward(self, audio):
        x = self.front_end(audio)  # (batch, 96, 1813)
        x = self.norm(x.unsqueeze(1))  # (batch, 1, 96, 1813)
        x = self.blocks(x)  # (batch, 64, 1, 1)
        return self.head(x.flatten(1))  # (batch, n_outputs)
