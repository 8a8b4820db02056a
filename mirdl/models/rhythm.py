"""Rhythm networks: one layer of filters shaped for tempo, onsets, timbre (lesson 09).

All are one picture: filters of one or many shapes, (bands, frames), on a mel spectrogram of 40
bands, no padding, ReLU, max-pooling, and one or two dense layers.
"""

from functools import partial
from math import ceil

import torch
from torch import nn
from torch.nn import functional as F

from mirdl.errors import MirdlError
from mirdl.models.blocks import Head, ManyShapes, Tagger, initialise, scaled

#: Frames of O-net's filters, five of each. The slowest beat, 60 a minute, lasts 43 frames.
ONSETS = tuple(range(6, 42, 5))
#: Frames of P-net's filters, one of each: six beats, 9 to 43 frames apart (287 to 60 a minute).
PATTERNS = tuple(range(46, 217, 5))


class OneLayer(Tagger):
    """What the rhythm networks share: filters of many shapes, each pooled in its own way.

    Parameters
    ----------
    n_outputs, front_end, seconds, n_frames
        As in `Tagger`.
    filters : sequence of (int, pair of int, pair of int or None)
        How many, their (bands, frames), and the (bands, frames) of their max-pooling; None pools
        the whole axis.
    hidden : int, optional
        Units of a dense layer before the output.
    conv_weights : callable
        Draws the weights of the filters, as in `initialise`; the dense layers are Glorot's.

    Raises
    ------
    MirdlError
        Here and in `forward`, if a filter is longer or taller than the spectrogram.
    """

    def __init__(
        self,
        n_outputs,
        front_end,
        seconds,
        n_frames,
        filters,
        hidden=None,
        conv_weights=nn.init.xavier_uniform_,
    ):
        super().__init__(n_outputs, front_end, seconds, n_frames=n_frames)
        size = (self.front_end.n_mels, self.n_frames)
        self.kernels = [kernel for _, kernel, _ in filters]
        self.pools = [pool for _, _, pool in filters]
        self._check(size)
        self.shapes = ManyShapes([(n, kernel) for n, kernel, _ in filters], "CA", padding="valid")
        n_features = 0
        for n, kernel, pool in filters:
            maps = [whole - part + 1 for whole, part in zip(size, kernel, strict=True)]
            bands, frames = (n // (p or n) for n, p in zip(maps, pool, strict=True))
            n_features += n * bands * frames
        self.head = Head(n_features, n_outputs, "DHAD" if hidden else "D", hidden)
        initialise(self.shapes, conv_weights)
        initialise(self.head, nn.init.xavier_uniform_)
        self.to(memory_format=torch.channels_last)

    def forward(self, audio):
        x = self.front_end(audio)  # (batch, n_mels, n_frames)
        self._check(x.shape[1:])
        maps = self.shapes(x.unsqueeze(1))  # of each shape: (batch, filters, bands, frames)
        x = [_max_pool(x, pool) for x, pool in zip(maps, self.pools, strict=True)]
        x = torch.cat([x.flatten(1) for x in x], dim=1)  # (batch, n_features)
        return self.head(x)  # (batch, n_outputs)

    def _check(self, size):
        bands, frames = (max(sizes) for sizes in zip(*self.kernels, strict=True))
        if size[0] < bands or size[1] < frames:
            seconds = (frames - 1) * self.front_end.hop_length / self.sample_rate
            raise MirdlError(
                f"filters over {frames} frames and {bands} bands do not fit an input of {size[1]} "
                f"frames and {size[0]} bands: give {bands} mel bands or more, and "
                f"{ceil(10 * seconds) / 10} s of audio or more (for_seconds=)"
            )


def _max_pool(x, pool):
    """Pool (batch, filters, bands, frames); what does not fill a pool is dropped."""
    return F.max_pool2d(x, [p or n for p, n in zip(pool, x.shape[2:], strict=True)])


class BlackBox(OneLayer):
    """Small rectangular filters and a large dense layer [CBMI 2016; thesis Table 3.1].

    32 filters of 12 bands by 8 frames, max-pooling over 4 bands, 200 hidden units: 3,275,312
    parameters at 80 frames, 2,363,440 with filters of 12 by 200 at 250 frames.

    Parameters
    ----------
    n_outputs : int
    front_end : str or FrontEnd
        The published one is 40 mel bands of 44.1 kHz audio; at 16 kHz "mel40" has the same
        bands, window and hop in time.
    width : float
        Factor on filters and hidden units.
    for_seconds : float, optional
        Length of the audio in place of `n_frames`; the dense layer grows with it.
    n_frames : int
        The paper's 80 frames are 1.86 s.
    kernel : pair of int
        (bands, frames) of the filters.
    """

    def __init__(
        self,
        n_outputs=8,
        front_end="mel40_44k",
        width=1,
        for_seconds=None,
        n_frames=80,
        kernel=(12, 8),
    ):
        filters, hidden = scaled([32, 200], width)
        filters = [(filters, tuple(kernel), (4, 1))]
        super().__init__(n_outputs, front_end, for_seconds, n_frames, filters, hidden)


class Time(OneLayer):
    """Long flat filters: tempo and rhythm [CBMI 2016; thesis Table 3.1].

    32 filters of 1 band, the strongest band of each frame kept: 7,336 parameters with 60 frames
    at 80, 19,496 with 200 frames at 250. Where in time a pattern sits is not pooled away.

    Parameters
    ----------
    n_outputs, front_end, width, for_seconds, n_frames
        As in `BlackBox`; the output layer grows with the length.
    length : int
        Frames of a filter.
    """

    def __init__(
        self,
        n_outputs=8,
        front_end="mel40_44k",
        width=1,
        for_seconds=None,
        n_frames=80,
        length=60,
    ):
        filters = [(*scaled([32], width), (1, length), (None, 1))]
        super().__init__(n_outputs, front_end, for_seconds, n_frames, filters)


class Frequency(OneLayer):
    """Tall narrow filters: timbre [CBMI 2016; thesis Table 3.1].

    32 filters of 1 frame, the strongest frame kept: 3,368 parameters with 32 of 40 bands. A
    filter lower than the spectrogram moves along pitch; one of all 40 bands cannot.

    Parameters
    ----------
    n_outputs, front_end, width, for_seconds, n_frames
        As in `BlackBox`; the parameters are the same for any length.
    bins : int
        Mel bands of a filter: 30, 32, …, 40 in the paper.
    """

    any_length = True

    def __init__(
        self,
        n_outputs=8,
        front_end="mel40_44k",
        width=1,
        for_seconds=None,
        n_frames=80,
        bins=32,
    ):
        filters = [(*scaled([32], width), (bins, 1), (1, None))]
        super().__init__(n_outputs, front_end, for_seconds, n_frames, filters)


class TimeFrequency(OneLayer):
    """The filters of Time and of Frequency side by side [CBMI 2016; thesis Table 3.1, Fig. 3.4].

    Their maps, 32 by 21 frames and 32 by 9 bands, feed 200 hidden units: 196,816 parameters.
    `start_from` gives the table's pre-initialised row.

    Parameters
    ----------
    n_outputs, front_end, width, for_seconds, n_frames
        As in `BlackBox`.
    length, bins : int
        Frames of the flat filters, mel bands of the tall ones.
    """

    def __init__(
        self,
        n_outputs=8,
        front_end="mel40_44k",
        width=1,
        for_seconds=None,
        n_frames=80,
        length=60,
        bins=32,
    ):
        flat, tall, hidden = scaled([32, 32, 200], width)
        filters = [(flat, (1, length), (None, 1)), (tall, (bins, 1), (1, None))]
        super().__init__(n_outputs, front_end, for_seconds, n_frames, filters, hidden)

    def start_from(self, time, frequency):
        """Take the filters of two trained networks; the dense layers stay random.

        In the paper both were trained on the same fold, and the filters train on.

        Parameters
        ----------
        time : Time
        frequency : Frequency
            Trained with filters of the same number and size as this network's.

        Returns
        -------
        TimeFrequency
            This network.

        Raises
        ------
        MirdlError
            If the filters differ in number or size.
        """
        for block, source in zip(self.shapes, (time, frequency), strict=True):
            ours, theirs = block.conv, source.shapes[0].conv
            if ours.weight.shape != theirs.weight.shape:
                sizes = [tuple(conv.weight.shape) for conv in (theirs, ours)]
                raise MirdlError(f"filters of {sizes[0]} cannot start filters of {sizes[1]}")
            ours.load_state_dict(theirs.state_dict())
        return self


class ONetPNet(OneLayer):
    """O-net and P-net side by side: 43 lengths of flat filters [ICASSP 2017, Table 1].

    Filters of 1 band by 6 to 216 frames, 4 bands and all frames pooled to one value, so that 10
    values a filter say where in frequency its pattern was strongest; then the output layer.
    11,608 parameters; 2, 4 and 8 times as many filters: 23,208, 46,408 and 92,808. The thesis
    (Table 3.2) writes P-net's lengths as n < 216; only with 216 is the count right.

    Parameters
    ----------
    n_outputs, front_end, width, for_seconds
        As in `BlackBox`; the parameters are the same for any length.
    n_frames : int
        The paper's 250 frames are 5.8 s. The longest filter needs 216, or 5.0 s.
    multiple : int
        Copies of every filter.
    """

    any_length = True
    #: Pairs: how many filters, of how many frames.
    lengths = (*((5, n) for n in ONSETS), *((1, n) for n in PATTERNS))

    def __init__(
        self,
        n_outputs=8,
        front_end="mel40_44k",
        width=1,
        for_seconds=None,
        n_frames=250,
        multiple=1,
    ):
        counts = scaled([multiple * count for count, _ in self.lengths], width)
        filters = [
            (count, (1, length), (4, None))
            for count, (_, length) in zip(counts, self.lengths, strict=True)
        ]
        # Lasagne's HeUniform has gain 1, not the root of 2
        he = partial(nn.init.kaiming_uniform_, nonlinearity="linear")
        super().__init__(n_outputs, front_end, for_seconds, n_frames, filters, conv_weights=he)


class ONet(ONetPNet):
    """Onsets: flat filters of 6, 11, …, 41 frames [ICASSP 2017, Table 1; thesis Table 3.2].

    Five filters of each length; 4,188 parameters, 8,368 with ``multiple=2``. Parameters as in
    `ONetPNet`.
    """

    lengths = tuple((5, n) for n in ONSETS)


class PNet(ONetPNet):
    """Patterns: flat filters of 46, 51, …, 216 frames [ICASSP 2017, Table 1; thesis Table 3.2].

    One filter of each length; 7,428 parameters, 14,848 with ``multiple=2``. Parameters as in
    `ONetPNet`.
    """

    lengths = tuple((1, n) for n in PATTERNS)
