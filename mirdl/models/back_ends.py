"""Back ends: from a feature map over time to one vector a clip, or to the logits.

Every one takes (batch, channels, frames) of any length.
"""

import torch
from torch import nn

from mirdl.models.blocks import ConvBlock, Head

#: Ways to summarise a feature map over time. L2 is the root of the mean square [slides: Spotify].
POOLINGS = {
    "max": lambda x: x.amax(dim=2),
    "mean": lambda x: x.mean(dim=2),
    "l2": lambda x: x.square().mean(dim=2).clamp(min=1e-12).sqrt(),
}


class GlobalPool(nn.Module):
    """Summaries over time, side by side: (batch, channels, frames) → (batch, n · channels).

    Parameters
    ----------
    *kinds : str
        Names of `POOLINGS`: "max", "mean", "l2".
    """

    def __init__(self, *kinds):
        super().__init__()
        self.kinds = kinds

    def forward(self, x):
        return torch.cat([POOLINGS[kind](x) for kind in self.kinds], dim=1)

    def extra_repr(self):
        """Return what a printed model shows."""
        return ", ".join(self.kinds)


class AutoPool(nn.Module):
    """A mean over time whose weights lean towards the large values as far as training wants.

    The weights are a softmax over time of alpha times the values: alpha 0, the start, is the mean,
    infinity the maximum [McFee et al., 2018]. (batch, channels, frames) → (batch, channels). One
    alpha for all channels, which gives the count that Pons & Serra (ISMIR 2019) print; one for
    each, as their main code and McFee et al. have it, would give 767 parameters more.
    """

    def __init__(self):
        super().__init__()
        self.alpha = nn.Parameter(torch.zeros(()))

    def forward(self, x):
        weights = torch.softmax(self.alpha * x, dim=2)  # (batch, channels, frames)
        return (weights * x).sum(dim=2)  # (batch, channels)


class AttentionPool(nn.Module):
    """A mean over time whose weights a convolution over a few frames finds [Pons & Serra 2019].

    The values know their place in time: sines and cosines of ever longer periods are added to
    them first. Each channel has weights of its own. (batch, channels, frames) → (batch, channels).

    Parameters
    ----------
    n_channels : int
    context : int
        Frames that a weight sees.
    """

    def __init__(self, n_channels, context=3):
        super().__init__()
        self.conv = nn.Conv1d(n_channels, n_channels, context, padding="same")

    def forward(self, x):
        x = x + self._places(x)  # (batch, channels, frames)
        weights = torch.softmax(self.conv(x), dim=2)  # the same
        return (weights * x).sum(dim=2)  # (batch, channels)

    @staticmethod
    def _places(x):
        """Return sines in even channels and cosines in odd ones, (channels, frames).

        Channel i of n turns by 10000^(-2i/n) a frame: as in the authors' code, where i counts
        channels; in Vaswani et al. (2017) it counts pairs of them.
        """
        _, n, n_frames = x.shape
        i = torch.arange(n, device=x.device)
        angle = torch.arange(n_frames, device=x.device) * 10000.0 ** (-2 * i[:, None] / n)
        return torch.where(i[:, None] % 2 == 0, angle.sin(), angle.cos()).to(x.dtype)


class ResidualBackEnd(nn.Module):
    """The back end that waveform and spectrogram share [Pons et al., ISMIR 2018; thesis Fig. 5.2].

    Three convolutions over 7 frames, the last two with a shortcut, max and mean over time, and a
    dense layer. In the authors' code the second and third batch normalisation act after a
    transpose and see one channel of all values (2 parameters in place of 1,024); so do ours,
    since the published counts contain it.

    Parameters
    ----------
    n_in, n_outputs : int
        Channels of the feature map; logits.
    filters, hidden : int
        Channels of the convolutions; units of the dense layer.
    """

    def __init__(self, n_in, n_outputs, filters=512, hidden=500):
        super().__init__()
        self.conv1 = ConvBlock(n_in, filters, 7, order="CAB", padding="valid")
        self.conv2 = ConvBlock(filters, filters, 7, order="CA")
        self.norm2 = nn.BatchNorm2d(1)
        self.pool = nn.MaxPool1d(2)
        self.conv3 = ConvBlock(filters, filters, 7, order="CA")
        self.norm3 = nn.BatchNorm2d(1)
        self.summary = GlobalPool("max", "mean")
        self.head = Head(2 * filters, n_outputs, order="DHABD", hidden=hidden)

    def forward(self, x):
        x = self.conv1(x)  # (batch, filters, frames - 6)
        x = x + self.norm2(self.conv2(x).unsqueeze(1)).squeeze(1)  # the same
        x = self.pool(x)  # (batch, filters, (frames - 6) // 2)
        x = x + self.norm3(self.conv3(x).unsqueeze(1)).squeeze(1)  # the same
        return self.head(self.summary(x))  # (batch, n_outputs)
