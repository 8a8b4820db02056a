"""What a feature map, or an attribution, sounds like (lesson 19).

A picture over bands and frames says how much of each cell to keep. Mel bands become STFT bins
again, the STFT of the recording is weighted, and its own phases bring it back to sound, as Choi,
Fazekas, Sandler & Kim do (*Auralisation of deep convolutional neural networks*, ISMIR
late-breaking, 2015). Theirs reads STFT magnitudes and sounds the picture itself; ours reads log-mel
spectrograms, for which a picture can only be a mask.
"""

import warnings

import numpy as np
import torch
from torch import nn

from mirdl.explain.attribution import behind_front_end, captum, spectrogram


def as_mask(picture, quantile=0.99):
    """Turn a picture into weights from 0 to 1: its positive part, the brightest cells at 1.

    Parameters
    ----------
    picture : array (n_mels, n_frames)
    quantile : float
        Of the positive cells; what is above has weight 1 too. All zeros where none is positive.

    Returns
    -------
    array, float32, same shape
    """
    positive = np.clip(np.asarray(picture, dtype=np.float32), 0, None)
    if not positive.any():
        return positive
    return np.clip(positive / np.quantile(positive[positive > 0], quantile), 0, 1)


def heard_through(front_end, waveform, mask):
    """Return what is left of a recording where a mask over mel bands and frames lets it through.

    Parameters
    ----------
    front_end : FrontEnd
        With centred frames; its bands and frames are those of the mask.
    waveform : array, float (n_samples,)
    mask : array (n_mels, n_frames)
        Factors on magnitudes. A bin of the STFT takes the mean of the bands that read it, by their
        weights; a bin that no band reads is lost.

    Returns
    -------
    array, float32 (n_samples,)
    """
    bank = front_end.mel_bank  # (n_bins, n_mels)
    weights = (
        bank
        @ torch.as_tensor(mask, dtype=torch.float32)
        / bank.sum(dim=1, keepdim=True).clamp(min=1e-10)
    )
    window = front_end.window
    setting = (front_end.n_fft, front_end.hop_length, len(window), window)
    samples = torch.as_tensor(waveform, dtype=torch.float32)
    bins = torch.stft(samples, *setting, pad_mode="reflect", return_complex=True)
    return torch.istft(bins * weights, *setting, length=len(samples)).numpy()


class MapEnergy(nn.Module):
    """Half the energy of every map of a layer: its gradient is the map itself.

    Parameters
    ----------
    network : nn.Module
        As `mirdl.explain.behind_front_end` returns it.
    layer : str
        Name of one of its modules, such as "blocks.1".
    """

    def __init__(self, network, layer):
        super().__init__()
        self.network, self.layer = network, layer

    def forward(self, x):
        kept = []
        handle = self.network.get_submodule(self.layer).register_forward_hook(
            lambda module, arguments, output: kept.append(output)
        )
        try:
            self.network(x)
        finally:
            handle.remove()
        return 0.5 * kept[0].flatten(2).square().sum(dim=2)  # (batch, channels)


def deconvolution(model, waveform, layer, channel):
    """Follow a feature map back to the spectrogram through a deconvolutional network.

    Pools put values where the maximum was, filters are turned round, and a ReLU lets pass what is
    positive on the way down, whatever it was on the way up [Zeiler & Fergus, ECCV 2014; by
    captum]. For networks of ReLU.

    Parameters
    ----------
    model : Tagger
        With a mel spectrogram.
    waveform : array, float (n_samples,)
        One window of the network.
    layer : str
        Name of a module of it that gives maps, (batch, channels, …).
    channel : int

    Returns
    -------
    array, float32 (n_mels, n_frames)
        Positive where more would excite the map, negative where less would.
    """
    energy = MapEnergy(behind_front_end(model), layer)
    with warnings.catch_warnings():  # captum tells that it sets hooks, and takes them away
        warnings.simplefilter("ignore", UserWarning)
        found = captum().Deconvolution(energy).attribute(spectrogram(model, waveform), channel)
    return found.detach()[0].numpy()


def auralise(model, waveform, layer, channel):
    """Return what a feature map hears in a recording, as sound.

    Parameters
    ----------
    model, waveform, layer, channel
        As in `deconvolution`.

    Returns
    -------
    array, float32 (n_samples,)
        Silent where the map does not answer at all.
    """
    picture = deconvolution(model, waveform, layer, channel)
    return heard_through(model.front_end, waveform, as_mask(picture))
