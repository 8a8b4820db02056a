"""Layers that several networks share: the base class, one convolution block, one dense head."""

from collections import OrderedDict
from math import prod

from torch import nn

from mirdl import features

LAYERS = {"C": "conv", "B": "norm", "A": "activation", "P": "pool", "D": "dropout"}
CONVOLUTIONS = {1: nn.Conv1d, 2: nn.Conv2d}
NORMS = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d}
POOLS = {1: nn.MaxPool1d, 2: nn.MaxPool2d}


class Tagger(nn.Module):
    """What all networks have in common: audio in, logits out.

    A subclass builds its layers in ``__init__`` and gives
    ``forward(audio (batch, n_samples)) -> logits (batch, n_outputs)``.

    Parameters
    ----------
    n_outputs : int
        Number of logits.
    front_end : str, FrontEnd or None
        Preset of `mirdl.features` or a front end; None for networks that read the waveform.
    seconds : float, optional
        Length of the audio that the network sees; None where any length will do.
    n_samples : int, optional
        The same in samples, where a paper gives samples.
    sample_rate : int
        Sample rate in Hz of a network without a front end.
    """

    def __init__(self, n_outputs, front_end, seconds=None, n_samples=None, sample_rate=16000):
        super().__init__()
        self.n_outputs = n_outputs
        self.front_end = None if front_end is None else features.front_end(front_end)
        self.sample_rate = self.front_end.sample_rate if self.front_end else sample_rate
        self.n_samples = n_samples if seconds is None else round(seconds * self.sample_rate)

    @property
    def n_frames(self):
        """Number of spectrogram frames that the network sees."""
        return self.front_end.n_frames(self.n_samples)


def scaled(channels, width):
    """Multiply numbers of channels by a factor, at least one channel each.

    Parameters
    ----------
    channels : sequence of int
    width : float

    Returns
    -------
    list of int
    """
    return [max(1, round(width * n)) for n in channels]


def shrink_pools(pools, size):
    """Shorten pools until they fit: the first of the largest pools gives one, again and again.

    A published network that pools 29 s to one value is so made to pool 10 s to one value, with
    the same parameters.

    Parameters
    ----------
    pools : sequence of int
        Pool lengths along one axis, first layer first.
    size : int
        Length of that axis at the input.

    Returns
    -------
    list of int
        Pools whose product is at most `size`.

    Examples
    --------
    >>> shrink_pools([4, 4, 4, 5, 4], 626)
    [3, 3, 4, 4, 4]
    """
    pools = list(pools)
    while prod(pools) > max(1, size):
        pools[pools.index(max(pools))] -= 1
    return pools


class ConvBlock(nn.Sequential):
    """Convolution, batch normalisation, activation, pooling, in the order that the paper has.

    Parameters
    ----------
    n_in, n_out : int
        Channels.
    kernel : int or pair of int
        An int makes a 1D block, (batch, channels, time); a pair a 2D one, (batch, channels,
        frequency, time).
    pool : int or pair of int, optional
        Size (and stride) of the max-pooling; what does not fill a pool is dropped.
    order : str
        One letter a layer: C convolution, B batch normalisation, A activation, P pooling,
        D dropout.
    activation : callable
        Makes the activation module.
    padding : str or int
        "same", "valid" or a number, as in torch.
    stride : int or pair of int
    bias : bool
        Whether the convolution has a bias.
    dropout : float
        Probability of the layer D.
    """

    def __init__(
        self,
        n_in,
        n_out,
        kernel,
        pool=None,
        *,
        order="CBAP",
        activation=nn.ReLU,
        padding="same",
        stride=1,
        bias=True,
        dropout=0.25,
    ):
        dims = 1 if isinstance(kernel, int) else len(kernel)
        norm_first = "B" in order and order.index("B") < order.index("C")
        makers = {
            "C": lambda: CONVOLUTIONS[dims](n_in, n_out, kernel, stride, padding, bias=bias),
            "B": lambda: NORMS[dims](n_in if norm_first else n_out),
            "A": activation,
            "P": lambda: POOLS[dims](pool),
            "D": lambda: nn.Dropout(dropout),
        }
        wanted = order if pool else order.replace("P", "")
        super().__init__(OrderedDict((LAYERS[letter], makers[letter]()) for letter in wanted))


class Head(nn.Sequential):
    """From one vector per clip to logits, through a hidden layer where the paper has one.

    Parameters
    ----------
    n_in, n_outputs : int
    order : str
        One letter a layer before the last one: D dropout, H hidden dense layer, A ReLU,
        B batch normalisation.
    hidden : int, optional
        Units of the hidden layer H.
    dropout : float
        Probability of every D.
    """

    def __init__(self, n_in, n_outputs, order="D", hidden=None, dropout=0.5):
        layers = []
        for letter in order:
            if letter == "H":
                layers.append(nn.Linear(n_in, hidden))
                n_in = hidden
            elif letter == "B":
                layers.append(nn.BatchNorm1d(n_in))
            else:
                layers.append(nn.ReLU() if letter == "A" else nn.Dropout(dropout))
        super().__init__(*layers, nn.Linear(n_in, n_outputs))
