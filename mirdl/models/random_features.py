"""Networks that were never trained, as features [thesis ch. 4; Pons & Serra, ICASSP 2019].

A network with random weights turns a clip into the mean of each of its feature maps; a support
vector machine or an extreme learning machine does the rest (lesson 17).
"""

import sys
from functools import partial

import numpy as np
import torch
from sklearn.preprocessing import StandardScaler
from torch import nn
from torch.nn import functional as F

from mirdl import features
from mirdl.errors import MirdlError
from mirdl.models import descriptors, fast
from mirdl.models.baselines import GAMMAS, Baseline, SupportVectors, linear, quality
from mirdl.models.blocks import ConvBlock, ManyShapes, shrink_pools

SAMPLE_RATE = 12_000
#: In place: nobody asks for gradients here.
RELU, ELU = partial(nn.ReLU, inplace=True), partial(nn.ELU, inplace=True)
#: Of the spectrograms: librosa's mel scale and area norm, 96 bands to 6 kHz, dB. librosa also
#: cuts 80 dB below the loudest value of a clip, we at -100 dB.
FRONT_END = {"preset": "mel96_12k", "mel_scale": "slaney", "norm": "slaney"}


def compute(block, x, pool=None):
    """Compute a `ConvBlock` and a max-pooling behind it.

    Without batch normalisation a clip takes a third of the time that its layers take one by one:
    `mirdl.models.fast.convolve`, and the maximum before the activation, which keeps the order.

    Parameters
    ----------
    block : ConvBlock
        Convolution, (batch normalisation), activation.
    x : torch.Tensor
        (batch, channels, time) or (batch, channels, bands, time).
    pool : (int, int) or "bands", optional
        Bands and frames of a pool, 1 band for 1D maps; "bands" keeps the largest of all bands.

    Returns
    -------
    torch.Tensor
        (batch, filters, …), without bands where there are none, or where one of them is kept.
    """
    normalised = "norm" in block._modules
    y = block(x) if normalised else fast.convolve(block.conv, x, block.conv.weight)
    y = y.unsqueeze(2) if y.dim() == 3 else y
    if pool == "bands":
        y = F.max_pool2d(y, (y.shape[2], 1))  # four times as fast as amax
    elif pool:
        y = F.max_pool2d(y, pool)
    y = y if normalised else block.activation(y)
    return y.squeeze(2) if x.dim() == 3 or pool == "bands" else y


# The networks: from audio, (batch, 1, n_samples), or a spectrogram, (batch, 1, 96, n_frames), to
# the list of feature maps whose means become the features


class SampleLevel(nn.Module):
    """Seven convolutions over 3 samples, each a third as long [Lee et al., SMC 2017]."""

    def __init__(self, filters, order):
        super().__init__()
        self.conv = ConvBlock(
            1, filters, 3, stride=3, order=order, padding="valid", activation=RELU
        )
        self.blocks = nn.ModuleList(
            ConvBlock(filters, filters, 3, order=order, activation=RELU) for _ in range(6)
        )

    def forward(self, x):
        maps = [compute(self.conv, x)]  # (batch, filters, n_samples // 3)
        for block in self.blocks:
            maps.append(compute(block, maps[-1], (1, 3)))  # (batch, filters, a third)
        return maps


class FrameLevel(nn.Module):
    """Long filters every 32 samples, then three convolutions over 7 frames [thesis Fig. 4.3].

    One filter length [Dieleman & Schrauwen, ICASSP 2014] without padding, or many [Zhu et al.,
    Interspeech 2016] padded so that their maps have the same frames.
    """

    def __init__(self, filters, order, lengths=(512,)):
        super().__init__()
        self.fronts = nn.ModuleList(
            ConvBlock(1, filters, length, stride=32, order=order, padding="valid")
            for length in lengths
        )
        self.conv1 = ConvBlock(len(lengths) * filters, filters, 7, order=order, padding="valid")
        self.conv2 = ConvBlock(filters, filters, 7, order=order)
        self.pool = nn.MaxPool1d(2)
        self.conv3 = ConvBlock(filters, filters, 7, order=order)

    def forward(self, x):
        maps = [compute(front, self._padded(x, front)) for front in self.fronts]
        y1 = compute(self.conv1, torch.cat(maps, dim=1))  # (batch, filters, frames - 6)
        y2 = y1 + compute(self.conv2, y1)  # the same
        y3 = self.pool(y2)  # (batch, filters, (frames - 6) // 2)
        y3 = y3 + compute(self.conv3, y3)  # the same
        return [*maps, y1, y2, y3]

    def _padded(self, x, front):
        if len(self.fronts) == 1:
            return x
        n_samples, length = x.shape[2], front.conv.kernel_size[0]
        missing = max((-(-n_samples // 32) - 1) * 32 + length - n_samples, 0)
        return F.pad(x, (missing // 2, missing - missing // 2))


class SmallFilters(nn.Module):
    """Five layers of 3 x 3 filters, exponential linear units [Choi et al., ISMIR 2016].

    The pools over time are those of 29 s; where a clip is too short they are shortened.
    """

    pools = (4, 4, 5, 4, 4), (2, 3, 2, 2, 4)  # frames, bands

    def __init__(self, filters, order):
        super().__init__()
        self.convs = nn.ModuleList(
            ConvBlock(n_in, filters, (3, 3), order=order, activation=ELU)
            for n_in in (1, *[filters] * 4)
        )

    def forward(self, x):
        frames, bands = self.pools
        maps = []
        for conv, pool in zip(
            self.convs, zip(bands, shrink_pools(frames, x.shape[3]), strict=True), strict=True
        ):
            x = compute(conv, x, pool)  # (batch, filters, bands / pool, frames / pool)
            maps.append(x)
        return maps


class Shapes(nn.Module):
    """One layer of filters of many shapes: timbral, temporal or both [thesis Fig. 4.4].

    Parameters
    ----------
    filters : int
    order : str
    timbral : sequence of (int, (int, int))
        Factor on the filters, and their bands and frames. They move along frequency too, of
        which the maximum is kept.
    temporal : sequence of int
        Frames of the filters that move over the mean of all bands: filters, 2 filters,
        4 filters, …, each less a quarter of `filters`.
    padding : str
        Of `ManyShapes`.
    """

    def __init__(self, filters, order, timbral=(), temporal=(), padding="time"):
        super().__init__()
        tall = [(factor * filters, shape) for factor, shape in timbral]
        long = [(2**i * filters - filters // 4, size) for i, size in enumerate(temporal)]
        self.timbral = ManyShapes(tall, order=order, padding=padding)
        self.temporal = ManyShapes(long, order=order)

    def forward(self, x):
        tall = self._maps(self.timbral, x, "bands")  # of each shape (batch, filters, frames)
        long = self._maps(self.temporal, x.mean(dim=2))  # of each length the same
        return [*([torch.cat(tall, dim=1)] if tall else []), *long]

    def _maps(self, shapes, x, pool=None):
        padded = (F.pad(x, padding) for padding in shapes.padding)
        return [compute(block, x, pool) for block, x in zip(shapes, padded, strict=True)]


TIMBRAL = [
    (factor, (bands, frames)) for bands in (86, 38) for factor, frames in ((1, 7), (2, 3), (4, 1))
]
TEMPORAL, TIME = (165, 128, 64, 32), (64, 32, 16, 8)  # music; urban sounds

#: name → how to make the network of so many filters, and how many are "small" and "large".
EXTRACTORS = {
    "sample_level": (SampleLevel, 23, 512),
    "frame_level": (FrameLevel, 40, 896),
    "frame_level_many": (partial(FrameLevel, lengths=(512, 256, 128, 64, 32)), 20, 448),
    "vgg": (SmallFilters, 32, 717),
    "cnn_7x96": (partial(Shapes, timbral=[(1, (96, 7))], padding="valid"), 160, 3585),
    "cnn_7x86": (partial(Shapes, timbral=[(1, (86, 7))], padding="valid"), 160, 3585),
    "timbral": (partial(Shapes, timbral=TIMBRAL), 8, 256),
    "temporal": (partial(Shapes, temporal=TEMPORAL), 8, 256),
    "timbral_temporal": (partial(Shapes, timbral=TIMBRAL, temporal=TEMPORAL), 4, 128),
    "timbral_time": (partial(Shapes, timbral=TIMBRAL, temporal=TIME), 4, 128),
}
WAVEFORM = ("sample_level", "frame_level", "frame_level_many")


class Extractor(nn.Module):
    """A network of random weights and the mean of each of its maps: features without learning.

    Weights after He et al. (ICCV 2015), no bias, ReLU (ELU in "vgg") [thesis section 4.3; code:
    github.com/jordipons/elmarc, where some layers have ELU or no non-linearity: we follow the
    text]. The thesis cuts every clip to 29 s and repeats shorter ones; we take a clip as it is.

    Parameters
    ----------
    name : str
        One of `EXTRACTORS`.
    size : {"small", "large"}
        About 120 features (112, 160 or 161), or about 3,500 (3,584 or 3,585).
    seed : int
    batch_norm : bool
        Normalise each layer by the statistics of the current batch: the trap of thesis Fig. 4.5.
    precision : {"fp32", "bf16"}
        Of the network, not of the front end and the means. bfloat16 takes a fraction of the time
        on processors that multiply it by themselves, for the large sizes.
    """

    def __init__(self, name, size="small", seed=0, batch_norm=False, precision="fp32"):
        super().__init__()
        if name not in EXTRACTORS:
            raise MirdlError(f"no extractor {name!r}; there are: {', '.join(EXTRACTORS)}")
        if size not in ("small", "large"):
            raise MirdlError(f"an extractor is 'small' or 'large', not {size!r}")
        make, small, large = EXTRACTORS[name]
        order, self.precision = "CBA" if batch_norm else "CA", precision
        self.front_end = None if name in WAVEFORM else features.front_end(FRONT_END)
        self.network = make(small if size == "small" else large, order)
        generator = torch.Generator().manual_seed(seed)
        for layer in self.network.modules():
            if isinstance(layer, nn.Conv1d | nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, generator=generator)
                nn.init.zeros_(layer.bias)
        self.requires_grad_(False)  # and never .eval(): batch normalisation takes the batch's

    def forward(self, audio):
        """Turn audio, (batch, n_samples) at 12 kHz, into features, (batch, n_features)."""
        x = self.front_end(audio) if self.front_end else audio
        with torch.autocast(x.device.type, torch.bfloat16, enabled=self.precision == "bf16"):
            maps = self.network(x.unsqueeze(1))
        return torch.cat([x.flatten(2).mean(dim=2, dtype=torch.float32) for x in maps], dim=1)

    def rows(self, waveform, sample_rate):
        """Return the features of one clip, float32 (n_features,)."""
        with torch.inference_mode():
            return self(torch.from_numpy(waveform)[None])[0].numpy()


def extract(
    dataset, extractor="sample_level", size="small", seed=0, batch_norm=False, batch_size=100
):
    """Compute the random features of every clip, or read them from the cache.

    Parameters
    ----------
    dataset : Dataset
        Of any sample rate; the audio is resampled to 12 kHz.
    extractor, size, seed, batch_norm
        As in `Extractor`.
    batch_size : int
        Clips that are normalised together, in the order of the data set. What a clip's features
        are then depends on its neighbours, so they are not cached.

    Returns
    -------
    list of numpy.ndarray
        For each clip float32 (1, n_features); no row where the clip cannot be read, which a
        warning reports.
    """
    network = Extractor(extractor, size, seed, batch_norm)
    if not batch_norm:
        name = f"{extractor}-{size}-{seed}"
        feature = descriptors.Feature(name, network.rows, SAMPLE_RATE, sys.modules[__name__])
        return descriptors.extract(dataset, feature)
    audio = descriptors.Feature("audio", lambda waveform, _: waveform, SAMPLE_RATE)
    found = []
    for first in range(0, len(dataset), batch_size):
        chunk = range(first, min(first + batch_size, len(dataset)))
        waves = descriptors.compute(dataset, audio, chunk)
        found += _normalised_together(network, waves)
    return descriptors.readable(found)


def _normalised_together(network, waves):
    """Return the features of a batch of clips, cut to the shortest, as `descriptors.compute`."""
    heard = [wave for wave, fault in waves if not fault]
    shortest = min((wave.shape[1] for wave in heard), default=0)
    rows = iter(())
    if heard:
        batch = np.concatenate([wave[:, :shortest] for wave in heard])
        with torch.inference_mode():
            rows = iter(network(torch.from_numpy(batch)).numpy())
    nothing = np.zeros((0, 1), np.float32)
    return [(nothing, fault) if fault else (next(rows)[None], "") for _, fault in waves]


class ExtremeLearningMachine:
    """Random hidden units and a least-squares fit [Huang et al., 2006; thesis Eqs. 4.1 and 4.2].

    With a clip in each row of X, hidden units H = relu(X W1) and scores H W2, where
    W2 = pinv(H) Y. (The thesis writes X with a clip in each column; Y must then stand left of
    the pseudo-inverse in Eq. 4.2, not right.) There is no bias: targets are centred, features
    standardised.

    Parameters
    ----------
    n_hidden : sequence of int
        Numbers of hidden units, of which validation clips choose.
    seed : int
    """

    def __init__(self, n_hidden=(100, 250, 500, 1200, 1800, 2500), seed=0):
        self.n_hidden, self.seed = n_hidden, seed

    def fit(self, x, y, task, valid):
        if valid is None and len(self.n_hidden) > 1:
            raise MirdlError("the number of hidden units is chosen on validation clips: give them")
        self.scaler, self.mean = StandardScaler().fit(x), y.mean(axis=0)
        best = -np.inf
        for n_hidden in self.n_hidden:
            rng = np.random.default_rng(self.seed)
            w1 = rng.standard_normal((x.shape[1], n_hidden)) / np.sqrt(x.shape[1])
            w2 = np.linalg.pinv(self.hidden(x, w1)) @ (y - self.mean)
            reached = 0.0
            if valid is not None:
                reached = quality(self._scores(valid[0], w1, w2), valid[1], task)
            if reached > best:
                best, self.chosen, self.w1, self.w2 = reached, n_hidden, w1, w2

    def scores(self, x):
        return self._scores(x, self.w1, self.w2)

    def hidden(self, x, w1):
        """Return the hidden units, (n_clips, n_hidden)."""
        return np.maximum(self.scaler.transform(x).astype(np.float64) @ w1, 0)

    def _scores(self, x, w1, w2):
        return self.hidden(x, w1) @ w2 + self.mean


def random_features(
    extractor="sample_level",
    size="small",
    classifier="svm",
    seed=0,
    batch_norm=False,
    batch_size=100,
):
    """Means of the maps of a network that was never trained, and a classifier [thesis ch. 4].

    Parameters
    ----------
    extractor, size, seed, batch_norm, batch_size
        As in `extract`.
    classifier : {"svm", "elm", "logistic_regression"}
        Support vector machine, linear or RBF, with gamma and C of the thesis' grid; extreme
        learning machine; both choose on validation clips. Or logistic regression.
    """
    machines = {
        "svm": lambda: SupportVectors([None, *GAMMAS]),
        "elm": lambda: ExtremeLearningMachine(seed=seed),
        "logistic_regression": lambda: linear(C=0.01),
    }
    if classifier not in machines:
        raise MirdlError(f"no classifier {classifier!r}; there are: {', '.join(machines)}")
    options = {"size": size, "seed": seed, "batch_norm": batch_norm, "batch_size": batch_size}
    Extractor(extractor, size)  # complains at once of a wrong name
    return Baseline(partial(extract, extractor=extractor, **options), machines[classifier]())
