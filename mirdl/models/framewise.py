"""Framewise networks: a decision at every frame, for chroma, onsets, voices (lesson 18).

The three structures of the tutorial for problems that vary in time (Choi et al., arXiv:1709.04396,
section 5.7.1): dense layers on a few frames, 2D convolutional networks, a bidirectional LSTM.
"""

from functools import partial

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from mirdl.errors import MirdlError
from mirdl.models.blocks import ConvBlock, Tagger, initialise, scaled

#: Deep chroma, on 16 kHz audio: 10 windows of 188 ms a second, as Korzeniowski and Widmer, and the
#: range of the model that they released with madmom. Their bands are quarter-tones, ours mel
#: bands, which lie closer than semitones from 100 Hz up.
DEEP_CHROMA = {
    "preset": "mel96",
    "n_fft": 3000,
    "hop_length": 1600,
    "n_mels": 180,
    "f_min": 65.0,
    "f_max": 2100.0,
    "power": 1.0,
    "compression": "log1p",
    "factor": 1.0,
}
#: Singing voice, Schlüter and Grill: 70 windows of 46 ms a second.
SINGING_VOICE = {
    "preset": "mel96",
    "sample_rate": 22_050,
    "n_fft": 1024,
    "hop_length": 315,
    "n_mels": 80,
    "f_min": 27.5,
    "f_max": 8000.0,
    "power": 1.0,
    "compression": "log_eps",
}
#: Voice, Leglaive et al. as Lee et al. (ISMIR 2018) repeat them: 62.5 windows of 32 ms a second.
MEL80 = {"preset": "mel96", "n_mels": 80}


class FrameTagger(Tagger):
    """What framewise networks share: audio in, logits for every frame out.

    A subclass gives ``forward(audio (batch, n_samples)) -> logits (batch, n_outputs, n_frames)``,
    one column for each frame of its front end, for audio of any length. `times` says when. The
    truth of `Dataset.frames` has the frames of a 16 kHz front end with a hop of 256 samples, such
    as "mel96".

    Parameters
    ----------
    n_outputs : int
    front_end : str, dict or FrontEnd
    for_seconds : float, optional
        Length of the crops in training; clips are scored whole. None: any.
    """

    any_length = True
    framewise = True

    def __init__(self, n_outputs, front_end, for_seconds=None):
        super().__init__(n_outputs, front_end, for_seconds)

    @property
    def step(self):
        """Seconds from the centre of a frame to that of the next."""
        return self.front_end.hop_length / self.sample_rate

    def times(self, n_samples):
        """Return the centres in s of the frames of ``n_samples`` samples: float64 (n_frames,)."""
        return np.arange(self.front_end.n_frames(n_samples)) * self.step


class ContextDNN(FrameTagger):
    """Dense layers on 15 frames [Korzeniowski & Widmer, ISMIR 2016: deep chroma; tutorial 5.7.1].

    Three hidden layers of 512 units with dropout see a frame with 7 to each side and decide on
    the 12 pitch classes. A dense layer that is applied at every frame is a convolution, and so it
    is written here. Beyond the ends of the audio there is silence.

    The logits, (batch, n_outputs, n_frames), are one decision for each frame.

    Parameters
    ----------
    n_outputs : int
    front_end : str, dict or FrontEnd
        The default, `DEEP_CHROMA`, is near the paper's: log10(1 + x) of 10 frames a second, so
        that 15 frames are 1.5 s.
    width : float
        Factor on the hidden units.
    for_seconds : float, optional
        As in `FrameTagger`.
    context : int
        Frames that a decision sees, an odd number.
    hidden : sequence of int
        Units of the hidden layers.
    """

    def __init__(
        self,
        n_outputs=12,
        front_end=DEEP_CHROMA,
        width=1,
        for_seconds=None,
        context=15,
        hidden=(512, 512, 512),
    ):
        super().__init__(n_outputs, front_end, for_seconds)
        sizes = [self.front_end.n_mels, *scaled(hidden, width)]
        frames = [context] + [1] * len(hidden)
        self.layers = nn.Sequential(
            *(
                ConvBlock(n_in, n_out, n, order="CAD", dropout=0.5)
                for n_in, n_out, n in zip(sizes, sizes[1:], frames, strict=False)
            )
        )
        self.output = nn.Conv1d(sizes[-1], n_outputs, 1)

    def forward(self, audio):
        x = self.front_end(audio)  # (batch, n_mels, n_frames)
        x = self.layers(x)  # (batch, 512, n_frames)
        return self.output(x)  # (batch, n_outputs, n_frames)


class LearnedChroma(nn.Module):
    """A trained `ContextDNN` as the front end of a network that names chords [tutorial 5.7.1].

    It gives the probability of each pitch class at every frame, learns no more and drops nothing
    out: for the network on top it is as fixed as a filter bank.

    Parameters
    ----------
    network : ContextDNN
        It is frozen.
    """

    def __init__(self, network):
        super().__init__()
        self.network = network.requires_grad_(False).eval()
        self.sample_rate, self.hop_length = network.sample_rate, network.front_end.hop_length
        self.n_mels, self.n_frames = network.n_outputs, network.front_end.n_frames

    def forward(self, audio):
        """Turn audio, (batch, n_samples) in [-1, 1], into (batch, 12, n_frames), float32."""
        with torch.no_grad(), torch.autocast(audio.device.type, enabled=False):
            return self.network(audio).sigmoid()

    def train(self, mode=True):
        """Stay in evaluation mode, whatever the network on top does."""
        return super().train(False)

    def fit_normalisation(self, batches):
        """Return self: probabilities are not normalised."""
        return self

    def extra_repr(self):
        """Return what a printed model shows."""
        return f"{self.sample_rate} Hz, hop {self.hop_length}, {self.n_mels} pitch classes"


class FrameCNN(FrameTagger):
    """Small 2D filters on 115 frames [Schlüter & Grill, ISMIR 2015: singing voice; tutorial 5.7.1].

    Two pairs of 3 x 3 convolutions, each pair followed by 3 x 3 max-pooling, then dense layers of
    256 and 64 units, on an excerpt of 115 frames (1.6 s) around each decision: 1,408,225
    parameters with one output. Each mel band is normalised; beyond the ends of the audio there
    are zeros, the mean of the band.

    To decide at every frame, the network is not run on every excerpt: as in the authors'
    prediction code, pools move by one frame, what follows a pool takes every third frame
    (dilation), and the dense layers are convolutions. The logits are the same, the work is far
    less. They are one decision for each frame, (batch, n_outputs, n_frames). The tutorial draws
    the network of ISMIR 2016, which has a fifth convolution.

    Parameters
    ----------
    n_outputs : int
    front_end : str, dict or FrontEnd
        The default, `SINGING_VOICE`, is the paper's: log magnitude of 80 mel bands, 70 frames a
        second. Fewer than 25 bands leave nothing after the pools.
    width : float
        Factor on filters and hidden units.
    for_seconds : float, optional
        As in `FrameTagger`.
    batch_norm : bool
        Batch normalisation after each convolution and hidden layer, which the authors' code has
        since ISMIR 2016.
    """

    def __init__(
        self,
        n_outputs=1,
        front_end=SINGING_VOICE,
        width=1,
        for_seconds=None,
        batch_norm=False,
    ):
        super().__init__(n_outputs, front_end, for_seconds)
        bands = ((self.front_end.n_mels - 4) // 3 - 4) // 3
        if bands < 1:
            raise MirdlError(f"frame_cnn needs 25 mel bands, not {self.front_end.n_mels}")
        n1, n2, n3, n4, n5, n6 = scaled([64, 32, 128, 64, 256, 64], width)
        options = {
            "activation": partial(nn.LeakyReLU, 0.01),
            "padding": "valid",
            "bias": not batch_norm,
            "dropout": 0.5,
        }
        conv, dense = ("CBA", "DCBA") if batch_norm else ("CA", "DCA")
        self.norm = nn.BatchNorm1d(self.front_end.n_mels, affine=False)
        self.layers = nn.Sequential(
            ConvBlock(1, n1, (3, 3), order=conv, **options),
            ConvBlock(n1, n2, (3, 3), order=conv, **options),
            nn.MaxPool2d((3, 3), stride=(3, 1)),
            ConvBlock(n2, n3, (3, 3), order=conv, dilation=(1, 3), **options),
            ConvBlock(n3, n4, (3, 3), order=conv, dilation=(1, 3), **options),
            nn.MaxPool2d((3, 3), stride=(3, 1), dilation=(1, 3)),
            ConvBlock(n4, n5, (bands, 11), order=dense, dilation=(1, 9), **options),
            ConvBlock(n5, n6, (1, 1), order=dense, **options),
            nn.Dropout(0.5),
            nn.Conv2d(n6, n_outputs, 1),
        )
        initialise(self.layers, nn.init.orthogonal_)
        self.to(memory_format=torch.channels_last)

    def forward(self, audio):
        x = self.front_end(audio)  # (batch, 80, n_frames)
        x = F.pad(self.norm(x), (57, 57))  # (batch, 80, n_frames + 114)
        x = self.layers(x.unsqueeze(1))  # (batch, n_outputs, 1, n_frames)
        return x.squeeze(2)  # (batch, n_outputs, n_frames)


class OnsetCNN(FrameTagger):
    """Small 2D filters on 15 frames [Schlüter & Böck, ICASSP 2014: onsets; tutorial 4.4].

    10 filters of 3 bands x 7 frames, 20 of 3 x 3, each layer followed by max-pooling over 3 bands,
    then a dense layer of 256 units, on 7 frames to each side of a decision. Nothing is pooled over
    time: an onset is a matter of one frame. So the network runs along the clip as it is, the dense
    layer being a convolution. Each mel band is normalised; beyond the ends of the audio there are
    zeros, the mean of the band.

    The logits, (batch, n_outputs, n_frames), are one decision for each frame.

    Parameters
    ----------
    n_outputs : int
    front_end : str, dict or FrontEnd
        The paper's are three spectrograms of 80 bands, with windows of 23, 46 and 93 ms, every
        10 ms; ours is one, with windows of 32 ms every 16 ms, the frames of the truth.
    width : float
        Factor on filters and hidden units.
    for_seconds : float, optional
        As in `FrameTagger`.
    """

    def __init__(self, n_outputs=1, front_end=MEL80, width=1, for_seconds=None):
        super().__init__(n_outputs, front_end, for_seconds)
        bands = ((self.front_end.n_mels - 2) // 3 - 2) // 3
        if bands < 1:
            raise MirdlError(f"onset_cnn needs 17 mel bands, not {self.front_end.n_mels}")
        n1, n2, n3 = scaled([10, 20, 256], width)
        options = {"padding": "valid", "dropout": 0.5}
        self.norm = nn.BatchNorm1d(self.front_end.n_mels, affine=False)
        self.layers = nn.Sequential(
            ConvBlock(1, n1, (3, 7), order="CA", **options),
            nn.MaxPool2d((3, 1)),
            ConvBlock(n1, n2, (3, 3), order="CA", **options),
            nn.MaxPool2d((3, 1)),
            ConvBlock(n2, n3, (bands, 7), order="DCA", **options),
            nn.Dropout(0.5),
            nn.Conv2d(n3, n_outputs, 1),
        )

    def forward(self, audio):
        x = self.front_end(audio)  # (batch, 80, n_frames)
        x = F.pad(self.norm(x), (7, 7))  # (batch, 80, n_frames + 14)
        x = self.layers(x.unsqueeze(1))  # (batch, n_outputs, 1, n_frames)
        return x.squeeze(2)  # (batch, n_outputs, n_frames)


class FrameBLSTM(FrameTagger):
    """Bidirectional LSTMs over mel frames [Leglaive et al., ICASSP 2015: voice; tutorial 5.7.1].

    Layers of 30, 20 and 40 units in each direction, then a dense layer at every frame. Every
    decision hears the whole clip, what comes after as well as what came before.

    The logits, (batch, n_outputs, n_frames), are one decision for each frame.

    Parameters
    ----------
    n_outputs : int
    front_end : str, dict or FrontEnd
        The paper's is 40 mel bands of the harmonic and 40 of the percussive part of the audio;
        ours is one spectrogram of 80 bands, each normalised.
    width : float
        Factor on the units.
    for_seconds : float, optional
        As in `FrameTagger`.
    hidden : sequence of int
        Units of each layer in each direction.
    bidirectional : bool
        False: every decision hears only what came before.
    """

    def __init__(
        self,
        n_outputs=1,
        front_end=MEL80,
        width=1,
        for_seconds=None,
        hidden=(30, 20, 40),
        bidirectional=True,
    ):
        super().__init__(n_outputs, front_end, for_seconds)
        hidden = scaled(hidden, width)
        sizes = [self.front_end.n_mels, *((1 + bidirectional) * n for n in hidden)]
        self.norm = nn.BatchNorm1d(self.front_end.n_mels, affine=False)
        self.layers = nn.ModuleList(
            nn.LSTM(n_in, n, batch_first=True, bidirectional=bidirectional)
            for n_in, n in zip(sizes, hidden, strict=False)
        )
        self.output = nn.Linear(sizes[-1], n_outputs)

    def forward(self, audio):
        x = self.norm(self.front_end(audio))  # (batch, 80, n_frames)
        x = x.transpose(1, 2)  # (batch, n_frames, 80)
        for layer in self.layers:
            x, _ = layer(x)  # (batch, n_frames, 2 * units), or 1 * units in one direction
        return self.output(x).transpose(1, 2)  # (batch, n_outputs, n_frames)
