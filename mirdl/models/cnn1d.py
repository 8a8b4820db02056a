"""1D networks: filters as tall as the spectrogram that move along time only (lesson 07)."""

from itertools import pairwise

import torch
from torch import nn

from mirdl.models.back_ends import POOLINGS, GlobalPool
from mirdl.models.blocks import ConvBlock, Head, Tagger, scaled, shrink_pools

#: Front end with 599 frames of 128 mel bands in 30 s, as in the blog post, which prints no hop.
SPOTIFY_MEL = {"preset": "mel128_log", "n_fft": 1024, "hop_length": 800}


class DielemanSpectrogram(Tagger):
    """The spectrogram network of Dieleman and Schrauwen (ICASSP 2014, Figure 1a).

    Two convolutions over time that span all mel bands, each with max-pooling over 4 frames, then
    a dense layer. 74,974 parameters at 128 mel bands, 3 s and 50 tags (Pons et al., EUSIPCO 2017,
    Table 1, count 187 frames; the 188 of 48,000 samples pool to the same 45). Baseline 0 of Pons
    and Serra (ISMIR 2019) is ``front_end="mel96_log", input_norm=True``: 66,784.

    Parameters
    ----------
    n_outputs : int
    front_end : str or FrontEnd
        The paper's is log(1 + 10,000 x) of 128 mel bands.
    width : float
        Factor on filters and hidden units.
    for_seconds : float
        Length of the audio; the first dense layer grows with it.
    input_norm : bool
        Batch normalisation of the spectrogram, one mean and deviation for all of it.
    strided : bool
        Convolutions that move 4 frames at a time, in place of max-pooling [tutorial, section 5.2].
    """

    def __init__(
        self,
        n_outputs=50,
        front_end="mel128_log",
        width=1,
        for_seconds=3,
        input_norm=False,
        strided=False,
    ):
        super().__init__(n_outputs, front_end, for_seconds)
        filters, hidden = scaled([32, 100], width)
        self.norm = nn.BatchNorm2d(1) if input_norm else nn.Identity()
        n_in, n_frames = self.front_end.n_mels, self.n_frames
        blocks = []
        for _ in range(2):
            # hops of 1,024 samples leave the second pool 3 frames of 3 s
            step = {"stride": 4} if strided else {"pool": min(4, n_frames - 7)}
            blocks.append(ConvBlock(n_in, filters, 8, order="CAP", padding="valid", **step))
            n_in = filters
            n_frames = (n_frames - 4) // 4 if strided else (n_frames - 7) // step["pool"]
        self.conv1, self.conv2 = blocks
        self.head = Head(filters * n_frames, n_outputs, order="HA", hidden=hidden)

    def forward(self, audio):
        x = self.front_end(audio)  # (batch, n_mels, 188)
        x = self.norm(x.unsqueeze(1)).squeeze(1)  # (batch, n_mels, 188)
        x = self.conv1(x)  # (batch, 32, 45)
        x = self.conv2(x)  # (batch, 32, 9)
        return self.head(x.flatten(1))  # (batch, n_outputs)


class SpotifyCNN(Tagger):
    """Dieleman's network at Spotify: 1D convolutions, then statistics over all time [slides].

    Four convolutions of 4 frames, then mean, maximum and L2 norm over time side by side, two
    dense layers, the outputs. 8,627,506 parameters with 50 outputs; no count is published.

    The blog post (S. Dieleman, "Recommending music on Spotify with deep learning", 2014) gives
    599 frames of 128 log mel bands in 30 s, filters of 4 frames, ReLU, pools of 4, 2 and 2
    between the convolutions, the three statistics, two dense layers of 2,048 ReLU units with
    dropout, and 40 latent factors as outputs, trained on their squared error. The slides give
    the channels. In no text: window and hop of the mel spectrogram (here 64 ms and 50 ms),
    padding (here none), probability of dropout (here 0.5), and whether the L2 norm is divided by
    the number of frames (here it is, so that it does not grow with the length).

    Parameters
    ----------
    n_outputs : int
    front_end : str, dict or FrontEnd
    width : float
        Factor on channels and hidden units.
    for_seconds : float, optional
        Length of the audio; the default is 599 frames. Below about 100 frames the pools are
        shortened, which leaves the parameters as they are.
    poolings : sequence of str
        Of "mean", "max" and "l2"; the first dense layer grows with their number.
    """

    any_length = True

    def __init__(
        self,
        n_outputs=50,
        front_end=SPOTIFY_MEL,
        width=1,
        for_seconds=None,
        poolings=("mean", "max", "l2"),
    ):
        super().__init__(n_outputs, front_end, for_seconds, n_frames=599)
        channels = [self.front_end.n_mels, *scaled([256, 256, 256, 512], width)]
        hidden = scaled([2048], width)[0]
        # four valid convolutions of 4 frames between pools use up seven frames for every one
        pools = [*shrink_pools([4, 2, 2], self.n_frames // 7), None]
        self.blocks = nn.Sequential(
            *(
                ConvBlock(n_in, n_out, 4, pool, order="CAP", padding="valid")
                for (n_in, n_out), pool in zip(pairwise(channels), pools, strict=True)
            )
        )
        self.summary = GlobalPool(*poolings)
        self.head = Head(len(poolings) * channels[-1], n_outputs, order="HADHAD", hidden=hidden)

    def forward(self, audio):
        x = self.front_end(audio)  # (batch, n_mels, 599)
        x = self.blocks(x)  # (batch, 512, 32)
        x = self.summary(x)  # (batch, 1536)
        return self.head(x)  # (batch, n_outputs)


def local_blocks(n_mels, n_frames, width=1):
    """Build the convolutions of `LocalCNN`: as many as the input has powers of three, at most 5.

    Parameters
    ----------
    n_mels, n_frames : int
        Size of the spectrogram.
    width : float
        Factor on the channels 128, 128, 256, 256, 512.

    Returns
    -------
    nn.Sequential
        (batch, n_mels, n_frames) → (batch, channels, n_frames // 3 ** n_blocks).
    """
    n_blocks = max(n for n in range(1, 6) if n == 1 or 3**n <= n_frames)
    channels = [n_mels, *scaled([128, 128, 256, 256, 512], width)][: n_blocks + 1]
    return nn.Sequential(*(ConvBlock(n_in, n_out, 3, pool=3) for n_in, n_out in pairwise(channels)))


class LocalCNN(Tagger):
    """One of the 1D CNNs whose features `MultiLevelMultiScale` gathers (Lee and Nam, 2017).

    It sees a fraction of a second or a few, and is trained alone, to predict the tags. The layers
    are ours: see `MultiLevelMultiScale`.

    Parameters
    ----------
    n_outputs : int
    front_end : str or FrontEnd
    width : float
        Factor on all channels.
    for_seconds : float, optional
        Length of the audio, in place of `n_frames`; a longer one has more blocks.
    n_frames : int
        Length of the input in frames.
    """

    any_length = True

    def __init__(
        self, n_outputs=50, front_end="mel128_log", width=1, for_seconds=None, n_frames=27
    ):
        super().__init__(n_outputs, front_end, for_seconds, n_frames=n_frames)
        self.blocks = local_blocks(self.front_end.n_mels, self.n_frames, width)
        self.summary = GlobalPool("max")
        self.head = Head(self.blocks[-1].conv.out_channels, n_outputs)

    def forward(self, audio):
        x = self.front_end(audio)  # (batch, n_mels, 27)
        x = self.blocks(x)  # (batch, 256, 1)
        x = self.summary(x)  # (batch, 256)
        return self.head(x)  # (batch, n_outputs)


class Levels(nn.Module):
    """Features from several layers of one network, for a clip of any length (lesson 07).

    The input is cut into pieces of the length that the network knows. Of every layer that is
    named, each channel is summarised over the piece, and the summaries are averaged over the
    pieces. What is left after the last whole piece is dropped; an input shorter than one piece
    is one piece.

    Parameters
    ----------
    network : nn.Module
        Such as a trained network of `mirdl.models.build`.
    layers : sequence of str
        Names of its parts, as in ``network.get_submodule``, whose outputs are (batch, channels,
        …): "conv1", "blocks.0".
    length : int, optional
        Of a piece; the default is ``network.n_samples``.
    summary : str
        Over a piece: "max" [Lee and Nam 2017], "mean" [Choi et al., ISMIR 2017] or "l2".
    frozen : bool
        Whether the network stays as it is while what follows is trained.

    Attributes
    ----------
    n_features : int
    """

    def __init__(self, network, layers, length=None, summary="max", frozen=True):
        super().__init__()
        self.network = network
        self.layers = list(layers)
        self.length = length or network.n_samples
        self.summary = summary
        self.frozen = frozen
        if frozen:
            network.requires_grad_(False)
        self.train(self.training)
        self.n_features = sum(_n_channels(network.get_submodule(name)) for name in self.layers)

    def train(self, mode=True):
        """Set the mode of training; a frozen network keeps its statistics and has no dropout."""
        super().train(mode)
        if self.frozen:
            self.network.eval()
        return self

    def forward(self, x):
        """Turn (batch, …, time) into (batch, n_features)."""
        length = min(self.length, x.shape[-1])
        whole = x[..., : x.shape[-1] // length * length]
        pieces = whole.unflatten(-1, (-1, length)).movedim(-2, 1)  # (batch, pieces, …, length)
        maps = self._maps(pieces.flatten(0, 1))  # a (batch * pieces, channels, …) for each layer
        summaries = [POOLINGS[self.summary](level.flatten(2)) for level in maps]
        x = torch.cat(summaries, dim=1)  # (batch * pieces, n_features)
        return x.unflatten(0, pieces.shape[:2]).mean(dim=1)  # (batch, n_features)

    def _maps(self, x):
        """Run the network and catch what its layers give."""
        maps = {}
        handles = [
            self.network.get_submodule(name).register_forward_hook(
                lambda _, __, output, name=name: maps.update({name: output})
            )
            for name in self.layers
        ]
        try:
            self.network(x)
        finally:
            for handle in handles:
                handle.remove()
        return [maps[name] for name in self.layers]


def _n_channels(layer):
    return [part.out_channels for part in layer.modules() if hasattr(part, "out_channels")][-1]


class MultiLevelMultiScale(Tagger):
    """Features of all layers of several 1D CNNs, and a small dense network (Lee and Nam, 2017).

    "Multi-level and multi-scale feature aggregation using pre-trained convolutional neural
    networks for music auto-tagging", IEEE Signal Processing Letters [slides; thesis Table 5.4].
    1D CNNs see inputs of different lengths. Each channel of each layer is max-pooled over an
    input and averaged over the inputs of a clip; a dense network with two hidden layers reads
    all averages. No count is published.

    The paper trains each CNN alone first, then the dense network on features that stay fixed:
    train a `LocalCNN` for each length, then give ``levels=[Levels(cnn, ["blocks.0", …]), …]``.
    Without `levels`, the network is trained as one. Ours, since our sources do not print them:
    the number of layers, channels, filters and pools of 3 frames, the lengths, the size of the
    dense layers with their batch normalisation, and the front end.

    Parameters
    ----------
    n_outputs : int
    front_end : str or FrontEnd
        Without `levels`, which have their own.
    width : float
        Factor on channels and hidden units.
    for_seconds : float
        Length of the audio.
    frames : sequence of int
        Lengths of the inputs of the CNNs; what is longer than the audio is cut to it.
    hidden : int
        Units of each of the two hidden layers.
    levels : sequence of Levels, optional
        Features of networks that read audio of one sample rate. A network with them cannot be
        saved by `mirdl.models.save`.
    """

    any_length = True

    def __init__(
        self,
        n_outputs=50,
        front_end="mel128_log",
        width=1,
        for_seconds=29,
        frames=(18, 27, 54, 108, 216),
        hidden=512,
        levels=None,
    ):
        if levels is None:
            super().__init__(n_outputs, front_end, for_seconds)
            levels = [
                self._own(min(length, self.n_frames), width) for length in frames
            ]  # on the spectrogram
        else:
            rates = {level.network.sample_rate for level in levels}
            if len(rates) != 1:
                raise ValueError(f"networks of one sample rate are needed, not of {sorted(rates)}")
            super().__init__(n_outputs, None, for_seconds, sample_rate=rates.pop())
        self.levels = nn.ModuleList(levels)
        n_features = sum(level.n_features for level in levels)
        hidden = scaled([hidden], width)[0]
        self.head = Head(n_features, n_outputs, order="HBADHBAD", hidden=hidden)

    def _own(self, n_frames, width):
        blocks = local_blocks(self.front_end.n_mels, n_frames, width)
        names = [name for name, _ in blocks.named_children()]
        return Levels(blocks, names, n_frames, frozen=False)

    def forward(self, audio):
        x = self.front_end(audio) if self.front_end else audio  # (batch, n_mels, 1813)
        x = torch.cat([level(x) for level in self.levels], dim=1)  # (batch, n_features)
        return self.head(x)  # (batch, n_outputs)
