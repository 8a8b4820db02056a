"""What a network hears in training, changed: the same music, recorded otherwise (lesson 15).

A transform is called with a batch of audio (batch, n_samples), its targets and a
`torch.Generator`, and returns audio and targets of the same batch; the audio keeps its shape.
Everything random comes from the generator. `mirdl.training.fit` takes one as ``augment=``::

    fit(model, train, valid, augment=Chain((Sometimes(ByRatio()), Noise(), Gain())))

SpecAugment works on what the front end gives, so it is put there: `mask_spectrograms`.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torchaudio.functional as AF
from torch.nn import functional as F
from torchaudio.transforms import SpecAugment

from mirdl.errors import MirdlError

#: Speeds that are about a semitone away, in steps that resample quickly: 18/17 was the semitone of
#: lute makers, 99 cents. Ratios of large numbers, as 16951/16000, take ten times as long.
SEMITONES = ((17, 18), (18, 17))


@dataclass(frozen=True)
class Chain:
    """Transforms one after the other.

    Parameters
    ----------
    transforms : sequence of callable
    """

    transforms: tuple

    def __call__(self, audio, targets, generator):
        for transform in self.transforms:
            audio, targets = transform(audio, targets, generator)
        return audio, targets


@dataclass(frozen=True)
class Sometimes:
    """A transform for a random share of the clips; the others stay as they are.

    Parameters
    ----------
    transform : callable
    share : float
        Probability that a clip is chosen.
    """

    transform: Callable
    share: float = 0.5

    def __call__(self, audio, targets, generator):
        chosen = _uniform(0, 1, (len(audio),), generator) < self.share
        if chosen.any():
            changed = self.transform(audio[chosen], targets[chosen], generator)
            audio, targets = audio.clone(), targets.clone()
            audio[chosen], targets[chosen] = changed
        return audio, targets


@dataclass(frozen=True)
class Gain:
    """Each clip louder or softer.

    Parameters
    ----------
    decibels : (float, float)
        Range, all values in it equally likely.
    """

    decibels: tuple = (-6.0, 6.0)

    def __call__(self, audio, targets, generator):
        return audio * _factor(self.decibels, len(audio), generator), targets


@dataclass(frozen=True)
class Noise:
    """Noise behind each clip; behind silence there is none.

    Parameters
    ----------
    snr : (float, float)
        Range of the ratio of powers, music to noise, in dB.
    slope : float
        How the noise's power falls with frequency: 0 not at all (white), 1 as 1 / f (pink).
    """

    snr: tuple = (20.0, 40.0)
    slope: float = 1.0

    def __call__(self, audio, targets, generator):
        batch, n_samples = audio.shape
        n_bins = n_samples // 2 + 1
        spectrum = torch.randn(
            (batch, n_bins, 2), generator=generator, device=generator.device
        )  # real and imaginary part
        bins = torch.arange(n_bins, device=audio.device).clamp(min=1)
        spectrum = torch.view_as_complex(spectrum) * bins ** (-self.slope / 2)
        noise = torch.fft.irfft(spectrum, n_samples)
        snr = _uniform(*self.snr, (batch,), generator)
        return AF.add_noise(audio, noise, snr), targets


@dataclass(frozen=True)
class Equalize:
    """A graphic equalizer with one slider an octave, each at a random place.

    Between two sliders the gain in dB is interpolated along log frequency. The filter has no
    phase, and the clip's end is heard at its begin, as the product of two spectra has it.

    Parameters
    ----------
    decibels : float
        A slider is anywhere from minus to plus that.
    sample_rate : int
        In Hz.
    lowest : float
        Hz of the first slider; below it the gain stays the same.
    """

    decibels: float = 6.0
    sample_rate: int = 16_000
    lowest: float = 62.5

    def __call__(self, audio, targets, generator):
        batch, n_samples = audio.shape
        frequency = torch.fft.rfftfreq(n_samples, 1 / self.sample_rate, device=audio.device)
        octave = (frequency / self.lowest).log2().clamp(min=0)  # (bins,)
        below = octave.long()  # the slider below each bin
        shape = (batch, int(below.max()) + 2)
        sliders = _uniform(-self.decibels, self.decibels, shape, generator)
        gain = torch.lerp(sliders[:, below], sliders[:, below + 1], octave - below)  # dB
        spectrum = torch.fft.rfft(audio) * 10 ** (gain / 20)
        return torch.fft.irfft(spectrum, n_samples), targets


@dataclass(frozen=True)
class Reverb:
    """Each clip in a room of its own: the direct sound, then a tail of fading noise.

    Parameters
    ----------
    seconds : (float, float)
        Range of the reverberation time, in which the tail falls by 60 dB.
    decibels : (float, float)
        Range of the tail's energy, against that of the direct sound.
    sample_rate : int
        In Hz.
    """

    seconds: tuple = (0.2, 1.0)
    decibels: tuple = (-15.0, 0.0)
    sample_rate: int = 16_000

    def __call__(self, audio, targets, generator):
        batch, n_samples = audio.shape
        length = round(self.seconds[1] * self.sample_rate)
        time = torch.arange(length, device=audio.device) / self.sample_rate
        seconds = _uniform(*self.seconds, (batch, 1), generator)
        tail = torch.randn((batch, length), generator=generator, device=generator.device)
        tail = F.normalize(tail * 10 ** (-3 * time / seconds), dim=1)
        tail = tail * _factor(self.decibels, batch, generator)
        response = F.pad(tail, (1, 0), value=1.0)  # the direct sound comes first
        return AF.fftconvolve(audio, response)[:, :n_samples], targets


def change_speed(audio, up, down):
    """Play audio ``up / down`` times as fast: tempo and pitch change together.

    Parameters
    ----------
    audio : torch.Tensor, (batch, n_samples)
    up, down : int
        Of a ratio in small numbers; the larger, the slower.

    Returns
    -------
    torch.Tensor, (batch, about n_samples * down / up)
    """
    return AF.resample(audio, up, down)


def stretch(audio, up, down, n_fft=1024, hop_length=256):
    """Play audio ``up / down`` times as fast at the same pitch, by a phase vocoder.

    Parameters
    ----------
    audio : torch.Tensor, (batch, n_samples)
    up, down : float
        Of the ratio.
    n_fft, hop_length : int
        Window and hop of the vocoder, in samples.

    Returns
    -------
    torch.Tensor, (batch, about n_samples * down / up)
    """
    window = torch.hann_window(n_fft, device=audio.device)
    frames = torch.stft(audio, n_fft, hop_length, window=window, return_complex=True)
    advance = torch.linspace(0, torch.pi * hop_length, n_fft // 2 + 1, device=audio.device)
    frames = AF.phase_vocoder(frames, up / down, advance[:, None])
    n_samples = round(audio.shape[1] * down / up)
    return torch.istft(frames, n_fft, hop_length, window=window, length=n_samples)


def transpose(audio, up, down):
    """Raise the pitch to ``up / down`` of the frequency at the same tempo.

    The clip is stretched to ``up / down`` of its length, and then played that much faster.

    Parameters
    ----------
    audio : torch.Tensor, (batch, n_samples)
    up, down : int
        Of a ratio in small numbers.

    Returns
    -------
    torch.Tensor, (batch, about n_samples)
    """
    return change_speed(stretch(audio, down, up), up, down)


@dataclass(frozen=True)
class ByRatio:
    """Speed, tempo or pitch of each clip, changed by one of some ratios.

    What is too long afterwards is cut; what is too short goes on with its own mirror image.

    Parameters
    ----------
    change : callable
        `change_speed`, `stretch` or `transpose`.
    ratios : sequence of (int, int)
        All equally likely.
    relabel : callable, optional
        ``relabel(targets, ratio)`` returns the targets of clips that were changed by a ratio, for
        targets that the change affects (tempo, key).
    """

    change: Callable = change_speed
    ratios: tuple = SEMITONES
    relabel: Callable | None = None

    def __call__(self, audio, targets, generator):
        made, targets = torch.empty_like(audio), targets.clone()
        shape, device = (len(audio),), generator.device
        drawn = torch.randint(len(self.ratios), shape, generator=generator, device=device)
        for i, (up, down) in enumerate(self.ratios):
            chosen = drawn == i
            if chosen.any():
                made[chosen] = _of_length(self.change(audio[chosen], up, down), audio.shape[1])
                if self.relabel:
                    targets[chosen] = self.relabel(targets[chosen], up / down)
        return made, targets


@dataclass(frozen=True)
class Mixup:
    """Each clip mixed with another of the batch, and its targets with that clip's [Zhang 2018].

    Parameters
    ----------
    alpha : float
        The first clip's share is drawn from Beta(alpha, alpha): mostly near 0 or 1 for a small
        one, equally likely everywhere for 1.
    n_classes : int, optional
        For class numbers as targets, which become shares of classes (batch, n_classes).
    """

    alpha: float = 0.4
    n_classes: int | None = None

    def __call__(self, audio, targets, generator):
        if not targets.is_floating_point():
            if self.n_classes is None:
                raise MirdlError("Mixup needs n_classes where targets are class numbers")
            targets = F.one_hot(targets, self.n_classes).float()
        drawn = torch.randint(2**62, (), generator=generator, device=generator.device)
        rng = np.random.default_rng(int(drawn))  # torch draws no Beta from a generator
        share = torch.from_numpy(rng.beta(self.alpha, self.alpha, (len(audio), 1)))
        share = share.to(audio)
        partner = torch.from_numpy(rng.permutation(len(audio))).to(audio.device)
        return tuple(share * x + (1 - share) * x[partner] for x in (audio, targets))


def mask_spectrograms(model, n_masks=2, bands=12, frames=25):
    """Hide random bands and frames of what a network's front end gives: SpecAugment [Park 2019].

    It acts in training mode only. Like dropout it draws from torch's own generator, which
    `mirdl.training.fit` seeds at every epoch.

    Parameters
    ----------
    model : Tagger
        Changed in place.
    n_masks : int
        Masks along frequency, and as many along time.
    bands, frames : int
        Largest width of a mask; any smaller one is equally likely. It holds the batch's mean.

    Returns
    -------
    torch.utils.hooks.RemovableHandle
        Its ``remove()`` ends it.

    Raises
    ------
    MirdlError
        If the network has no front end.
    """
    if model.front_end is None:
        raise MirdlError("no spectrogram to mask: this network hears the waveform")
    masks = SpecAugment(n_masks, frames, n_masks, bands, iid_masks=True, zero_masking=False)
    return model.front_end.register_forward_hook(
        lambda front_end, _, spectrogram: masks(spectrogram) if front_end.training else spectrogram
    )


#: What two recordings differ in, as lesson 15 tests it: tuning and tempo by a semitone, tone, noise
#: and level. Chosen before any result, and cheap: half of the time of a small network's step.
RECIPE = Chain((Sometimes(ByRatio()), Sometimes(Equalize()), Sometimes(Noise()), Gain()))


def _uniform(low, high, shape, generator):
    drawn = torch.rand(shape, generator=generator, device=generator.device)
    return low + (high - low) * drawn


def _factor(decibels, batch, generator):
    """Draw one amplitude ratio for each clip, (batch, 1), from a range in dB."""
    return 10 ** (_uniform(*decibels, (batch, 1), generator) / 20)


def _of_length(audio, n_samples):
    missing = n_samples - audio.shape[1]
    return F.pad(audio, (0, missing), mode="reflect") if missing > 0 else audio[:, :n_samples]
