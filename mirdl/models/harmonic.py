"""Learned front ends: filter banks with few, meaningful parameters (lesson 14)."""

import numpy as np
import torch
import torchaudio.functional as AF
from torch import nn
from torch.nn import functional as F

from mirdl.errors import MirdlError
from mirdl.models.blocks import ConvBlock, Head, ResBlock, Tagger, fitting, scaled
from mirdl.models.cnn1d import DielemanSpectrogram
from mirdl.models.waveform import LearnedFrontEnd

#: Length in samples at 16 kHz of the audio that the published HarmonicCNN sees: 5 s, 313 frames.
HARMONIC_SAMPLES = 80_000


class HarmonicFilters(LearnedFrontEnd):
    """Triangular filters on the harmonics of every half semitone, with learned widths.

    Won et al., ICASSP 2020; slides, HarmonicCNN. The triangle around harmonic h of the fundamental
    f has the width (α h f + β) / Q in Hz, that of the ear's equivalent rectangular bandwidth for
    Q = 1. Bins of the STFT lie 31 Hz apart: one of the 768
    triangles, in the bass, holds none and sees nothing, and a larger Q empties more.

    Parameters
    ----------
    n_harmonics : int
        Channels of the output. Fundamentals reach up to where the last harmonic still lies below
        half the sample rate.
    bands_per_semitone : int
        Fundamentals, from C1 (32.7 Hz) up.
    learn : {"q", "all", None}
        Train Q, as published; Q, α and β; nothing.
    sample_rate, n_fft, hop_length : int
        In Hz and samples.

    Attributes
    ----------
    n_channels, n_mels : int
        Harmonics and fundamentals of the output: 6 and 128.
    """

    def __init__(
        self,
        n_harmonics=6,
        bands_per_semitone=2,
        learn="q",
        sample_rate=16_000,
        n_fft=512,
        hop_length=256,
    ):
        if learn not in {"q", "all", None}:
            raise MirdlError(f"learn {learn!r}: one of 'q', 'all', None")
        # MIDI notes: C1, and the one nearest to half the sample rate over the last harmonic
        lowest, highest = 24, np.round(69 + 12 * np.log2(sample_rate / (2 * n_harmonics) / 440))
        steps = np.arange((highest - lowest) * bands_per_semitone) / bands_per_semitone
        fundamentals = 440 * 2 ** ((lowest + steps - 69) / 12)
        super().__init__(sample_rate, len(fundamentals))
        self.n_channels, self.n_fft, self.hop_length = n_harmonics, n_fft, hop_length
        centres = np.outer(np.arange(1, n_harmonics + 1), fundamentals)[..., None]
        bins = np.linspace(0, sample_rate / 2, n_fft // 2 + 1)
        for name, value in (("centres", centres), ("bins", bins)):
            value = torch.tensor(value, dtype=torch.float32)
            self.register_buffer(name, value, persistent=False)  # (harmonics, bands, 1), (bins,)
        self.register_buffer("window", torch.hann_window(n_fft), persistent=False)
        for name, start in (("q", 1.0), ("alpha", 0.1079), ("beta", 24.7)):
            if learn in {"all", name}:
                setattr(self, name, nn.Parameter(torch.tensor([start])))
            else:
                self.register_buffer(name, torch.tensor([start]), persistent=False)

    def n_frames(self, n_samples):
        """Return the number of frames that ``n_samples`` samples give."""
        return 1 + n_samples // self.hop_length

    def filter_bank(self):
        """Return the triangles, (n_harmonics, n_mels, n_fft // 2 + 1), of height 1."""
        width = (self.alpha * self.centres + self.beta) / self.q
        return torch.relu(1 - 2 * (self.bins - self.centres).abs() / width)

    def forward(self, audio):
        """Turn audio, (batch, n_samples), into dB, (batch, n_harmonics, n_mels, n_frames)."""
        with torch.autocast(audio.device.type, enabled=False):
            spectrum = AF.spectrogram(
                audio.float(),
                pad=0,
                window=self.window,
                n_fft=self.n_fft,
                hop_length=self.hop_length,
                win_length=self.n_fft,
                power=2.0,
                normalized=False,
            )  # (batch, n_fft // 2 + 1, n_frames)
            power = self.filter_bank().flatten(0, 1) @ spectrum  # one product, not one a harmonic
            power = power.unflatten(1, (self.n_channels, self.n_mels))
            return 10 * torch.log10(power.clamp(min=1e-10))


class HarmonicCNN(Tagger):
    """Harmonic filters, their harmonics as channels of a 2D network (Won et al., ICASSP 2020).

    As in SMC 2020: 3,631,551 parameters with 50 tags on 80,000 samples, one of which (Q) is the
    front end's.

    Parameters
    ----------
    n_outputs : int
    front_end : str, dict or nn.Module, optional
        A mel-spectrogram in the place of `HarmonicFilters`, to see what these are good for.
    width : float
        Factor on all channels.
    for_seconds : float, optional
        Length of the audio; the default is 80,000 samples. Pools that are too long for it are
        shortened by `shrink_pools`; of longer audio the maximum over time is taken.
    n_harmonics, bands_per_semitone, learn
        Of `HarmonicFilters`.
    """

    def __init__(
        self,
        n_outputs=50,
        front_end=None,
        width=1,
        for_seconds=None,
        n_harmonics=6,
        bands_per_semitone=2,
        learn="q",
    ):
        front_end = front_end or HarmonicFilters(n_harmonics, bands_per_semitone, learn)
        super().__init__(n_outputs, front_end, for_seconds, n_samples=HARMONIC_SAMPLES)
        n_channels = getattr(self.front_end, "n_channels", 1)
        narrow, wide = scaled([128, 256], width)
        pool = iter(fitting([(2, 2)] * 5 + [(2, 3)] * 2, self))
        self.norm = nn.BatchNorm2d(n_channels)
        self.blocks = nn.Sequential(
            ConvBlock(n_channels, narrow, (3, 3), next(pool)),
            *(ResBlock(narrow, narrow, (3, 3), pool=next(pool)) for _ in range(3)),
            ConvBlock(narrow, wide, (3, 3), next(pool)),
            *(ResBlock(wide, wide, (3, 3), pool=next(pool)) for _ in range(2)),
        )
        self.head = Head(wide, n_outputs, order="HBAD", hidden=wide)
        self.to(memory_format=torch.channels_last)

    def forward(self, audio):
        x = self.front_end(audio)  # (batch, 6, 128, 313), or (batch, 128, 313) of a mel one
        x = x if x.dim() == 4 else x.unsqueeze(1)  # (batch, 6 or 1, 128, 313)
        x = self.blocks(self.norm(x))  # (batch, 256, 1, 1)
        return self.head(x.amax(dim=(2, 3)))  # (batch, n_outputs)


class SincFilters(LearnedFrontEnd):
    """Band-pass filters of which only the two cut-off frequencies are learned: SincNet.

    Ravanelli and Bengio, SLT 2018. A filter is the difference of two ideal low-pass filters, cut
    to `length` by a Hamming window and scaled to 1 at its centre. Its magnitude is pooled over
    time and normalised, as in the authors' code (which has layer normalisation there). They
    convolve at every sample and pool by 3; here convolution and pool step by 16 each, so that
    frames come every 256 samples, as a spectrogram's do.

    Parameters
    ----------
    filters : int
        Number of filters, equally spaced on the mel scale at first.
    length : int
        In samples, odd.
    stride, pool : int
        Of the convolution, in samples, and of the maximum after it, in strides.
    sample_rate : int
        In Hz.
    """

    min_low = min_band = 50.0  #: Hz: neither edge nor width becomes less

    def __init__(self, filters=80, length=251, stride=16, pool=16, sample_rate=16_000):
        super().__init__(sample_rate, filters)
        self.length, self.stride, self.pool = length, stride, pool
        self.hop_length = stride * pool
        # At 0 Hz the first edge would have no gradient.
        ends = np.array([30, sample_rate / 2 - self.min_low - self.min_band])
        steps = np.linspace(*(2595 * np.log10(1 + ends / 700)), filters + 1)
        edges = 700 * (10 ** (steps / 2595) - 1)
        # As fractions of the sample rate, so that one step of an optimiser is some Hz.
        for name, value in (("low", edges[:-1]), ("band", np.diff(edges))):
            value = torch.tensor(value / sample_rate, dtype=torch.float32)
            setattr(self, name, nn.Parameter(value))
        time = np.arange(length) - (length - 1) / 2
        for name, value in (("time", time), ("window", np.hamming(length))):
            value = torch.tensor(value, dtype=torch.float32)
            self.register_buffer(name, value, persistent=False)  # (length,)
        self.norm = nn.BatchNorm1d(filters)

    def n_frames(self, n_samples):
        """Return the number of frames that ``n_samples`` samples give."""
        return (1 + (n_samples - self.length) // self.stride) // self.pool

    def edges(self):
        """Return the cut-off frequencies in Hz: low (filters,), high (filters,)."""
        low = self.min_low + self.sample_rate * self.low.abs()
        high = low + self.min_band + self.sample_rate * self.band.abs()
        return low, high.clamp(max=self.sample_rate / 2)

    def filter_bank(self):
        """Return the filters in time, (filters, length)."""
        low, high = (edge[:, None] / self.sample_rate for edge in self.edges())
        passed = 2 * high * torch.sinc(2 * high * self.time)
        passed = passed - 2 * low * torch.sinc(2 * low * self.time)
        return self.window * passed / (2 * (high - low))

    def forward(self, audio):
        """Turn audio, (batch, n_samples), into (batch, filters, n_frames)."""
        with torch.autocast(audio.device.type, enabled=False):
            filters = self.filter_bank().unsqueeze(1)  # (filters, 1, length)
            x = F.conv1d(audio.float().unsqueeze(1), filters, stride=self.stride)
            x = F.max_pool1d(x.abs(), self.pool)  # (batch, filters, n_frames)
            return F.leaky_relu(self.norm(x), 0.2)  # the same


class SincNet(DielemanSpectrogram):
    """Sinc filters in the place of the mel-spectrogram (Ravanelli & Bengio, SLT 2018; ours).

    Their network names speakers. Ours has their first layer, `SincFilters`, under the layers of
    Dieleman and Schrauwen's network, for then three front ends differ in nothing else: a
    mel-spectrogram (`dieleman_spectrogram`), filters learned freely (`dieleman_raw`), and filters
    of two learned numbers each. No count is published.

    Parameters
    ----------
    n_outputs : int
    width : float
        Factor on filters and hidden units of the layers above the sinc filters.
    for_seconds : float
        Length of the audio; the first dense layer grows with it.
    filters, length, stride, pool, sample_rate : int
        Of `SincFilters`.
    """

    def __init__(
        self,
        n_outputs=50,
        width=1,
        for_seconds=3,
        filters=80,
        length=251,
        stride=16,
        pool=16,
        sample_rate=16_000,
    ):
        front_end = SincFilters(filters, length, stride, pool, sample_rate)
        super().__init__(n_outputs, front_end, width=width, for_seconds=for_seconds)
