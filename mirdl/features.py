"""From waveform to representation: log-mel front ends, MFCC-120, CQT, chroma (lesson 01).

A front end is part of its network. It has no trainable parameters (but for the compression
"log_learned" of lesson 14), stays in float32 under autocast, and lets gradients pass, so that
saliency can reach the waveform.
"""

import warnings

import librosa
import numpy as np
import torch
import torchaudio.functional as AF
from scipy import signal
from torch import nn
from torch.nn import functional as F

#: The published front ends, and two that stand in for 44.1 kHz ones on 16 kHz audio.
#:
#: ``mel96``       Won et al., SMC 2020 (musicnn, FCN, CRNN of sota-music-tagging-models): dB.
#:                 Their BatchNorm on the input belongs to the model.
#: ``mel128``      the same with 128 bands (Short-chunk CNN, self-attention; slides). At 31 Hz
#:                 from bin to bin one HTK band in the bass holds no bin and stays empty.
#: ``mel96_log``   musicnn of Pons & Serra, ISMIR 2019: librosa's mel scale and area norm,
#:                 log10(1 + 10000 x). They cut patches of 187 frames; 3 s centred give 188.
#: ``mel128_log``  Pons et al., EUSIPCO 2017, Table 2 (thesis Table 3.5), z-scored: theirs each
#:                 bin in each frame of the patch, ours of each bin, for any length. Dieleman &
#:                 Schrauwen, ICASSP 2014, Table 1 has the same bands and compression; its windows
#:                 (256 to 1024 samples) are ``n_fft=`` and ``hop_length=``; they print log without
#:                 a base, which only scales.
#: ``mel96_12k``   Choi et al., ISMIR 2016/2017 and thesis section 4.3: 12 kHz, dB. Choi's code
#:                 squares the mel power a second time before the dB; that only doubles the dB.
#: ``mel40_44k``   Pons et al., CBMI 2016 and ICASSP 2017 (thesis section 3.3): Essentia's window
#:                 (area 2) and bands of unit sum, z-scored over the data set (theirs included
#:                 the test part; ours is fitted on training clips). On 16 kHz audio, resampled up,
#:                 its bands above 8 kHz are empty.
#: ``mel40``       ours, in its place for 16 kHz audio: the same 46 ms window and 23 ms hop, the
#:                 same 21.5 Hz between bins, 40 bands up to 8 kHz.
#: ``mel128_44k``  thesis section 6.2.2: 1024/1024, log10(x + eps), eps not printed (here 1e-7).
#: ``mel128_44k_learned``  the same with the compression that thesis Appendix A learns (lesson 14).
#: ``mel128_22k``  Han et al., TASLP 2017: 22.05 kHz 1024/512, 128 bands, natural logarithm (here
#:                 dB, which only scales), z-scored as thesis section 3.4 has it. Theirs divides
#:                 each clip by its largest sample first.
#: ``mel80_44k``   jingju phonemes of Pons et al., EUSIPCO 2017 (thesis section 3.4): windows of
#:                 25 ms padded to 2,048 samples, every 10 ms; from the authors' code 80 bands to
#:                 11 kHz of unit sum, ln(1 + 100,000 x) at a window of area 2 (ours has 551, which
#:                 the factor makes good), z-scored: theirs each bin of each frame.
PRESETS = {
    "mel96": {},
    "mel128": {"n_mels": 128},
    "mel96_log": {"compression": "log1p", "mel_scale": "slaney", "norm": "slaney"},
    "mel128_log": {"n_mels": 128, "compression": "log1p", "normalise": "per_bin"},
    "mel96_12k": {"sample_rate": 12_000},
    "mel40_44k": {
        "sample_rate": 44_100,
        "n_fft": 2048,
        "hop_length": 1024,
        "n_mels": 40,
        "window": "blackmanharris62",
        "norm": "unit_sum",
        "compression": "log1p",
        "normalise": "global",
    },
    "mel40": {
        "n_fft": 743,
        "hop_length": 372,
        "n_mels": 40,
        "window": "blackmanharris62",
        "norm": "unit_sum",
        "compression": "log1p",
        "normalise": "global",
    },
    "mel128_44k": {
        "sample_rate": 44_100,
        "n_fft": 1024,
        "hop_length": 1024,
        "n_mels": 128,
        "compression": "log_eps",
    },
    "mel128_22k": {
        "sample_rate": 22_050,
        "n_fft": 1024,
        "hop_length": 512,
        "n_mels": 128,
        "mel_scale": "slaney",
        "norm": "slaney",
        "normalise": "global",
    },
    "mel80_44k": {
        "sample_rate": 44_100,
        "n_fft": 2048,
        "win_length": 1102,
        "hop_length": 441,
        "n_mels": 80,
        "f_max": 11_000,
        "norm": "unit_sum",
        "compression": "ln1p",
        "factor": 100_000 / (551 / 2) ** 2,
        "normalise": "per_bin",
    },
}
PRESETS["mel128_44k_learned"] = {**PRESETS["mel128_44k"], "compression": "log_learned"}

COMPRESSIONS = {
    None: lambda x, _: x,
    "db": lambda x, _: 10 * torch.log10(x.clamp(min=1e-10)),
    "log1p": lambda x, factor: torch.log10(1 + factor * x),
    "ln1p": lambda x, factor: torch.log1p(factor * x),
    "log_eps": lambda x, _: torch.log10(x + 1e-7),
}


class FrontEnd(nn.Module):
    """Compressed mel-spectrogram of a batch of waveforms (lesson 01).

    Parameters
    ----------
    sample_rate : int
        Of the audio, in Hz.
    n_fft, hop_length : int
        Window and hop, in samples.
    n_mels : int
        Number of mel bands.
    win_length : int, optional
        Length of a window that is shorter than ``n_fft``, padded with zeros on both sides.
    f_min, f_max : float
        Range of the bands in Hz; ``f_max=None`` is half the sample rate.
    mel_scale : {"htk", "slaney"}
        HTK: 2595 log10(1 + f / 700). Slaney: linear below 1 kHz, librosa's default.
    norm : {None, "slaney", "unit_sum"}
        Triangles of height 1, of equal area in Hz (librosa), or whose weights sum to 1 (Essentia).
    power : float
        2 for power, 1 for magnitude.
    window : {"hann", "blackmanharris62"}
        Periodic Hann, or the three-term window of Essentia, scaled to area 2 as there.
    center : bool
        Pad half a window by reflection at both ends, so that frame t is centred on sample
        ``t * hop_length``.
    compression : {"db", "log1p", "ln1p", "log_eps", "log_learned", None}
        10 log10(max(x, 1e-10)); log10(1 + C x); the same with the natural logarithm;
        log10(x + 1e-7); log10(a x + b) with a = exp(`alpha`), b = softplus(`beta`), two trainable
        parameters that start at 7 and 1 [thesis Appendix A]; none.
    factor : float
        C of ``log1p`` and ``ln1p`` [Dieleman & Schrauwen 2014, section 4.2].
    normalise : {"none", "global", "per_bin"}
        Subtract the mean and divide by the deviation, of all values or of each band, that
        :meth:`fit_normalisation` found. Only then does the state dict hold anything.
    """

    def __init__(
        self,
        sample_rate=16_000,
        n_fft=512,
        hop_length=256,
        n_mels=96,
        *,
        win_length=None,
        f_min=0.0,
        f_max=None,
        mel_scale="htk",
        norm=None,
        power=2.0,
        window="hann",
        center=True,
        compression="db",
        factor=10_000.0,
        normalise="none",
    ):
        super().__init__()
        if compression == "log_learned":
            self.alpha = nn.Parameter(torch.tensor(7.0))  # a = 1096.63
            self.beta = nn.Parameter(torch.tensor(1.0))  # b = 1.31
        elif compression not in COMPRESSIONS:
            known = [*COMPRESSIONS, "log_learned"]
            raise ValueError(f"compression {compression!r}: one of {known}")
        if normalise not in {"none", "global", "per_bin"}:
            raise ValueError(f"normalise {normalise!r}: one of 'none', 'global', 'per_bin'")
        self.sample_rate, self.n_fft, self.hop_length = sample_rate, n_fft, hop_length
        self.n_mels, self.power, self.center = n_mels, power, center
        self.compression, self.factor, self.normalise = compression, factor, normalise
        bank = _mel_bank(
            n_fft, f_min, f_max or sample_rate / 2, n_mels, sample_rate, norm, mel_scale
        )
        self.register_buffer("window", _window(window, win_length or n_fft), persistent=False)
        self.register_buffer("mel_bank", bank, persistent=False)  # (n_fft // 2 + 1, n_mels)
        if normalise != "none":
            n_values = n_mels if normalise == "per_bin" else 1
            self.register_buffer("mean", torch.zeros(n_values, 1))
            self.register_buffer("std", torch.ones(n_values, 1))

    def n_frames(self, n_samples):
        """Return the number of frames that ``n_samples`` samples give."""
        if self.center:  # an odd window is padded by one sample less than it is long
            return 1 + (n_samples - self.n_fft % 2) // self.hop_length
        return 1 + (n_samples - self.n_fft) // self.hop_length

    def forward(self, audio):
        """Turn audio, (batch, n_samples) in [-1, 1], into (batch, n_mels, n_frames), float32."""
        values = self._compressed(audio)
        if self.normalise == "none":
            return values
        return (values - self.mean) / self.std

    def fit_normalisation(self, batches):
        """Set mean and deviation from batches of training audio; return self.

        Parameters
        ----------
        batches : iterable of torch.Tensor, each (batch, n_samples)
            Training clips only: anything else leaks.
        """
        if self.normalise == "none":
            return self
        dims = (0, 2) if self.normalise == "per_bin" else (0, 1, 2)
        n, total, square = 0, 0.0, 0.0
        with torch.no_grad():
            for audio in batches:
                # Apple's GPUs have no float64: to the processor first
                values = self._compressed(audio.to(self.mel_bank.device)).cpu().double()
                n += values.numel() // (self.n_mels if self.normalise == "per_bin" else 1)
                total, square = total + values.sum(dims), square + values.square().sum(dims)
        if n == 0:
            raise ValueError("fit_normalisation got no audio")
        mean = total / n
        std = (square / n - mean**2).clamp(min=0).sqrt()
        std = torch.where(std > 1e-5, std, 1.0)  # an empty band stays at zero
        self.mean.copy_(mean.reshape(-1, 1))
        self.std.copy_(std.reshape(-1, 1))
        return self

    def extra_repr(self):
        """Return the settings that a printed model shows."""
        return (
            f"{self.sample_rate} Hz, {self.n_fft}/{self.hop_length}, {self.n_mels} mel, "
            f"{self.compression}, normalise {self.normalise}"
        )

    def mel(self, audio):
        """Return the mel spectrogram before its compression, (batch, n_mels, n_frames), float32."""
        # In bfloat16 the mel product loses precision: out of autocast, whatever the caller does.
        with torch.autocast(audio.device.type, enabled=False):
            spectrum = AF.spectrogram(
                audio.float(),
                pad=0,
                window=self.window,
                n_fft=self.n_fft,
                hop_length=self.hop_length,
                win_length=len(self.window),
                power=self.power,
                normalized=False,
                center=self.center,
            )  # (batch, n_fft // 2 + 1, n_frames)
            return self.mel_bank.T @ spectrum  # (batch, n_mels, n_frames)

    def compress(self, mel):
        """Return the compressed form of a mel spectrogram, of the same shape."""
        if self.compression == "log_learned":
            return torch.log10(self.alpha.exp() * mel + F.softplus(self.beta))
        return COMPRESSIONS[self.compression](mel, self.factor)

    def _compressed(self, audio):
        return self.compress(self.mel(audio))


def front_end(preset, **overrides):
    """Build a front end.

    Parameters
    ----------
    preset : str, dict or nn.Module
        A name of ``PRESETS``; settings that replace those of ``{"preset": name}``; a module is
        returned as it is.
    **overrides
        Parameters of :class:`FrontEnd` that replace the preset's.

    Returns
    -------
    FrontEnd
    """
    if isinstance(preset, nn.Module):
        if overrides:
            raise ValueError(f"{sorted(overrides)} cannot change a front end that is built already")
        return preset
    if isinstance(preset, dict):
        preset, overrides = preset["preset"], {**preset, **overrides}
        del overrides["preset"]
    if preset not in PRESETS:
        raise ValueError(f"no front end {preset!r}; there are {', '.join(PRESETS)}")
    return FrontEnd(**{**PRESETS[preset], **overrides})


def mfcc120(waveform, sample_rate=16_000):
    """Return the features of the classical baseline: 20 MFCC, differences, mean and deviation.

    Thesis section 4.3 and 6.2.2 after Choi et al., ISMIR 2017, whose code takes plain first and
    second differences in time, not librosa's smoothed Δ.

    Parameters
    ----------
    waveform : numpy.ndarray, float (n_samples,)
        At least 2,048 samples, for three frames to differ.
    sample_rate : int
        In Hz.

    Returns
    -------
    numpy.ndarray, float32 (120,)
        Mean and deviation of the 20 MFCC, of their Δ, of their ΔΔ, in this order.
    """
    mfcc = librosa.feature.mfcc(y=waveform, sr=sample_rate, n_mfcc=20)  # (20, n_frames)
    series = [mfcc, np.diff(mfcc), np.diff(mfcc, n=2)]
    statistics = [value for x in series for value in (x.mean(axis=1), x.std(axis=1))]
    return np.concatenate(statistics).astype(np.float32)


def cqt(waveform, sample_rate=16_000, hop_length=256, n_octaves=7, bins_per_octave=12):
    """Return the magnitude of the constant-Q transform from C1 (32.7 Hz) up.

    Bins lie at ``f_min 2^(k / bins_per_octave)`` [tutorial Eq. 4].

    Parameters
    ----------
    waveform : numpy.ndarray, float (n_samples,)
    sample_rate, hop_length : int
        In Hz, in samples.
    n_octaves, bins_per_octave : int

    Returns
    -------
    numpy.ndarray, float32 (n_octaves * bins_per_octave, n_frames)
    """
    spectrum = librosa.cqt(
        waveform,
        sr=sample_rate,
        hop_length=hop_length,
        n_bins=n_octaves * bins_per_octave,
        bins_per_octave=bins_per_octave,
    )
    return np.abs(spectrum).astype(np.float32)


def chroma(waveform, sample_rate=16_000, hop_length=256, n_octaves=7):
    """Return how strong each of the 12 pitch classes is: a CQT with its octaves folded together.

    Parameters
    ----------
    waveform : numpy.ndarray, float (n_samples,)
    sample_rate, hop_length, n_octaves : int

    Returns
    -------
    numpy.ndarray, float32 (12, n_frames)
        From C to B; the strongest class of each frame is 1 (a silent frame stays 0).
    """
    octaves = cqt(waveform, sample_rate, hop_length, n_octaves).reshape(n_octaves, 12, -1)
    folded = octaves.sum(axis=0)  # (12, n_frames)
    return folded / np.maximum(folded.max(axis=0), 1e-8)


def _mel_bank(n_fft, f_min, f_max, n_mels, sample_rate, norm, mel_scale):
    if norm not in {None, "slaney", "unit_sum"}:
        raise ValueError(f"norm {norm!r}: one of None, 'slaney', 'unit_sum'")
    # Networks are counted on torch's meta device, where no bank could be computed.
    with torch.device("cpu"), warnings.catch_warnings():
        # the empty band of 128 is part of the published settings
        warnings.filterwarnings("ignore", message="At least one mel filterbank has all zero")
        bank = AF.melscale_fbanks(
            n_fft // 2 + 1,
            f_min,
            f_max,
            n_mels,
            sample_rate,
            norm="slaney" if norm == "slaney" else None,
            mel_scale=mel_scale,
        )
    if norm == "unit_sum":
        bank = bank / bank.sum(dim=0, keepdim=True).clamp(min=1e-12)
    return bank


def _window(name, n_fft):
    if name == "hann":
        return torch.hann_window(n_fft)  # periodic
    if name == "blackmanharris62":
        window = signal.windows.general_cosine(n_fft, [0.44959, 0.49364, 0.05677], sym=False)
        return torch.tensor(2 * window / window.sum(), dtype=torch.float32)
    raise ValueError(f"window {name!r}: one of 'hann', 'blackmanharris62'")
