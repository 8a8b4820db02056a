"""Timbral and temporal filters side by side: musicnn and its relatives (lesson 10)."""

import torch
from torch import nn

from mirdl.errors import MirdlError
from mirdl.models.back_ends import AttentionPool, AutoPool, GlobalPool, ResidualBackEnd
from mirdl.models.blocks import ConvBlock, Head, ManyShapes, Tagger, initialise, scaled
from mirdl.models.recurrent import RecurrentBackEnd
from mirdl.models.timbre import tall_shapes

#: What sets the two publications of musicnn apart: input and its length, order of the layers, long
#: filters, channels between front and back, units and order of the head.
ISMIR_2019 = {
    "front_end": "mel96_log",
    "length": {"n_frames": 187},
    "order": "CAB",
    "long": ((1, 128), (1, 64), (1, 32)),
    "filters": 64,
    "hidden": 200,
    "head": "BDHABD",
}
VERSIONS = {
    "smc2020": {
        "front_end": "mel96",
        "length": {"n_samples": 48_000},
        "order": "CBA",
        "long": (129, 65, 33),
        "filters": 64,
        "hidden": 200,
        "head": "HBAD",
    },
    "ismir2019": ISMIR_2019,
    "ismir2019_big": {**ISMIR_2019, "filters": 512, "hidden": 500},
}
#: Whether a back end reads all front-end and middle layers, or the last one; whether the front end
#: is the full one, or one tall shape alone.
BACK_ENDS = {
    "temporal": {"dense": True, "full": True},
    "residual": {"dense": False, "full": True},
    "attention": {"dense": True, "full": False},
    "autopool": {"dense": True, "full": False},
    "rnn": {"dense": False, "full": True},
}
#: log-mel of 96 bands, z-scored over the data set (thesis section 5.4, which names no more).
AT_SCALE_FRONT_END = {"preset": "mel96_log", "normalise": "global"}


class TimbralTemporal(nn.Module):
    """Tall filters and long filters side by side [thesis Figure 4.4].

    Of the maps of tall filters the largest value over the bands is kept. Long filters read the
    mean over the bands; given as (1, frames) they read every band, and of theirs too the largest
    value is kept. (batch, 1, bands, frames) → (batch, n_out, frames).

    Parameters
    ----------
    tall, long : sequence of (int, int or pair of int)
        Number of filters and kernel of each, as in `ManyShapes`; `long` may be empty.
    order : str
        Of each convolution, as in `ConvBlock`.

    Attributes
    ----------
    n_out : int
        Number of all filters.
    """

    def __init__(self, tall, long, order="CAB"):
        super().__init__()
        pooled = {"order": order + "P", "pool": "bands"}
        self.reads_mean = bool(long) and isinstance(long[0][1], int)
        self.tall = ManyShapes(tall, **pooled)
        self.long = ManyShapes(long, order) if self.reads_mean else ManyShapes(long, **pooled)
        self.n_out = sum(n for n, _ in [*tall, *long])

    def forward(self, x):
        maps = [y.squeeze(2) for y in self.tall(x)]  # (batch, filters, frames) each
        if self.reads_mean:
            maps += self.long(x.mean(dim=2))  # (batch, filters, frames) each
        else:
            maps += [y.squeeze(2) for y in self.long(x)]  # the same
        return torch.cat(maps, dim=1)  # (batch, n_out, frames)


class Musicnn(Tagger):
    """musicnn (Pons & Serra, ISMIR 2019), by default as Won et al. (SMC 2020) train it.

    Tall filters for timbre and long filters for rhythm, three convolutions over time, the last two
    with a shortcut, all layers side by side summarised by maximum and mean over time, and a hidden
    layer. 784,300 parameters with 50 tags.

    Parameters
    ----------
    n_outputs : int
    front_end : str, dict or FrontEnd, optional
        Published: 96 mel bands in dB, in 2019 log10(1 + 10,000 x); with others the tall filters
        keep their share of the height.
    width : float
        Factor on all channels and hidden units.
    for_seconds : float, optional
        Length of the audio; the parameters stay the same. Published: 48,000 samples, in 2019 187
        frames.
    version : {"smc2020", "ismir2019", "ismir2019_big"}
        2019: ReLU before the batch normalisation; the long filters read every band, and the
        largest value is kept, in place of the mean over bands (which the thesis has too); they
        are one frame shorter; the summary is normalised. 787,159 parameters, big 7,980,235.
    back_end : {"temporal", "residual", "attention", "autopool", "rnn"}
        Numbers 11, 10, 12, 13 and 14 of musicnn-training. "residual" and "rnn" (two LSTM layers)
        read the last of the three convolutions alone; "attention" and "autopool" have a front end
        of 576 filters of the lower of the two heights. With "ismir2019" 508,803, 2,406,940,
        636,701 and 3,871,363 parameters.
    """

    any_length = True

    def __init__(
        self,
        n_outputs=50,
        front_end=None,
        width=1,
        for_seconds=None,
        version="smc2020",
        back_end="temporal",
    ):
        for name, known in ((version, VERSIONS), (back_end, BACK_ENDS)):
            if name not in known:
                raise MirdlError(f"musicnn has no {name!r}; there are: {', '.join(known)}")
        paper, parts = VERSIONS[version], BACK_ENDS[back_end]
        super().__init__(n_outputs, front_end or paper["front_end"], for_seconds, **paper["length"])
        self.dense, order = parts["dense"], paper["order"]
        filters, hidden, n_states = scaled([paper["filters"], paper["hidden"], 512], width)
        high, low = (int(share * self.front_end.n_mels) for share in (0.7, 0.4))
        n_tall, n_long, n_alone = scaled([204, 51, 576], width)
        if parts["full"]:
            tall = [(n_tall, (high, 7)), (n_tall, (low, 7))]
            long = [(n_long, kernel) for kernel in paper["long"]]
        else:
            tall, long = [(n_alone, (low, 7))], []
        self.norm = nn.BatchNorm2d(1)
        self.front = TimbralTemporal(tall, long, order)
        self.mid1 = ConvBlock(self.front.n_out, filters, 7, order=order)
        self.mid2 = ConvBlock(filters, filters, 7, order=order)
        self.mid3 = ConvBlock(filters, filters, 7, order=order)
        n_features = self.front.n_out + 3 * filters if self.dense else filters
        if back_end in {"temporal", "residual"}:
            self.pool, n_features = GlobalPool("max", "mean"), 2 * n_features
        elif back_end == "rnn":
            self.pool = RecurrentBackEnd(n_features, n_states, layers=2, cell="lstm")
            n_features = self.pool.n_out
        else:
            self.pool = AutoPool() if back_end == "autopool" else AttentionPool(n_features)
        self.head = Head(n_features, n_outputs, paper["head"], hidden=hidden)
        if version != "smc2020":
            initialise(self, nn.init.kaiming_normal_)
            initialise(self.front, nn.init.xavier_uniform_)
        self.to(memory_format=torch.channels_last)

    def forward(self, audio):
        x = self.norm(self.front_end(audio).unsqueeze(1))  # (batch, 1, 96, 188)
        x = self.front(x)  # (batch, 561, 188)
        y1 = self.mid1(x)  # (batch, 64, 188)
        y2 = y1 + self.mid2(y1)  # the same
        y3 = y2 + self.mid3(y2)  # the same
        x = torch.cat([x, y1, y2, y3], dim=1) if self.dense else y3  # (batch, 753 or 64, 188)
        return self.head(self.pool(x))  # (batch, n_outputs)


class SpectrogramAtScale(Tagger):
    """The spectrogram network of "End-to-end learning at scale" (Pons et al., ISMIR 2018).

    Tall filters of 90 and 40 % of the bands and long ones of 32 to 165 frames, then the back end
    that it shares with the waveform network. 5,924,154 parameters with 50 tags (thesis Table 5.3).

    Parameters
    ----------
    n_outputs : int
    front_end : str, dict or FrontEnd
        With other than 96 bands the tall filters keep their share of the height.
    width : float
        Factor on all channels and hidden units.
    for_seconds : float
        Length of the audio; the parameters stay the same. Published: 3 s, of the 1.2 million songs
        15 s.
    filters : int
        Of the largest shapes; the smaller ones have up to 8 times as many. 16 is the "x1" of the
        thesis, 8 its "x1/2".
    back_filters, hidden : int
        Channels of the back end's convolutions, units of its dense layer.
    """

    any_length = True

    def __init__(
        self,
        n_outputs=50,
        front_end=AT_SCALE_FRONT_END,
        width=1,
        for_seconds=3,
        filters=16,
        back_filters=512,
        hidden=500,
    ):
        super().__init__(n_outputs, front_end, for_seconds)
        filters, back_filters, hidden = scaled([filters, back_filters, hidden], width)
        heights = [int(share * self.front_end.n_mels) for share in (0.9, 0.4)]
        tall = tall_shapes(heights, {7: 1, 3: 2, 1: 4}, filters)
        long = [(filters, 165), (2 * filters, 128), (4 * filters, 64), (8 * filters, 32)]
        self.front = TimbralTemporal(tall, long)
        self.back_end = ResidualBackEnd(self.front.n_out, n_outputs, back_filters, hidden)
        initialise(self, nn.init.kaiming_normal_)

    def forward(self, audio):
        x = self.front_end(audio).unsqueeze(1)  # (batch, 1, 96, 188)
        x = self.front(x)  # (batch, 464, 188)
        return self.back_end(x)  # (batch, n_outputs)
