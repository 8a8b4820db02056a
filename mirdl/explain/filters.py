"""What the first filters of a network have become: spectra, bands, likeness (lessons 12, 13)."""

import copy

import numpy as np
import torch
from scipy import signal
from torch.nn import functional as F


def power_spectra(filters):
    """Return how much each frequency gets of what a filter lets through.

    Parameters
    ----------
    filters : array, float (n_filters, n_samples)
        Weights of filters on the waveform, or pieces of a waveform.

    Returns
    -------
    array (n_filters, n_samples // 2 + 1)
        Squared magnitudes at 0, 1, 2, … times the sample rate over n_samples. As those of
        negative frequencies are added, the rows sum to n_samples times the filters' energy.
    """
    filters = np.asarray(filters, dtype=float)
    power = np.abs(np.fft.rfft(filters)) ** 2
    power[:, 1 : (filters.shape[1] + 1) // 2] *= 2
    return power


def half_power_bands(filters, sample_rate=16_000):
    """Return the narrowest band that holds half of each filter's energy.

    White noise needs nearly half of all frequencies for that, a sine one or two bins.

    Parameters
    ----------
    filters : array, float (n_filters, n_samples)
    sample_rate : int
        In Hz.

    Returns
    -------
    low, high : array (n_filters,)
        Edges in Hz, half a bin below the first and half a bin above the last bin of the band.
    """
    power = power_spectra(filters)
    step = sample_rate / np.shape(filters)[1]
    edges = []
    for row in power:
        before = np.concatenate([[0], np.cumsum(row)])
        # the band from bin i to before bin end[i]; no such band starts at the last bins
        end = np.searchsorted(before, before[:-1] + (0.5 - 1e-9) * before[-1])
        starts = np.flatnonzero(end < len(before))
        i = starts[np.argmin(end[starts] - starts)]
        edges.append(((i - 0.5) * step, (end[i] - 0.5) * step))
    return tuple(np.transpose(edges))


def likeness(filters):
    """Return how much two filters resemble each other if time and phase do not count.

    One of them is moved along time, and its phase is turned, until the correlation is largest:
    the maximum over lags of the magnitude of the analytic signals' normalised correlation.

    Parameters
    ----------
    filters : array, float (n_filters, n_samples)

    Returns
    -------
    array (n_filters, n_filters)
        From 0 to 1, which a filter has with itself, its negative, and a copy in quadrature.
    """
    filters = np.asarray(filters, dtype=float)
    n_samples = filters.shape[1]
    analytic = np.fft.fft(signal.hilbert(filters), 2 * n_samples)  # zeros: no lag wraps around
    analytic *= np.sqrt(2 * n_samples) / np.linalg.norm(analytic, axis=1, keepdims=True)
    # a row at a time: all lags of all pairs would take a gigabyte
    return np.stack([np.abs(np.fft.ifft(row.conj() * analytic)).max(axis=1) for row in analytic])


def exciting_inputs(layers, n_samples, n_steps=50, step=0.1, level=0.1, seed=0):
    """Return the inputs that excite the units of a layer most, found by gradient ascent.

    From the same noise for all, each input goes up the gradient of one unit's answer in the middle
    of the layer's frames. Its energy stays the same, since a louder input would be a cheap way up.
    [Lee et al., SMC 2017; lesson 13]

    Parameters
    ----------
    layers : nn.Module
        In evaluation mode, from (batch, 1, n_samples) to (batch, units, frames). It should end
        before a ReLU: where that is 0, there is no way up.
    n_samples : int
    n_steps : int
    step : float
        Length of each step, the input's own length being 1.
    level : float
        Root mean square of the inputs.
    seed : int
        Of the noise.

    Returns
    -------
    array, float32 (units, n_samples)
    """
    layers = copy.deepcopy(layers).requires_grad_(False)  # gradients of weights would take longer
    noise = torch.randn(1, n_samples, generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        n_units, n_frames = layers(noise[None]).shape[1:]
    x = F.normalize(noise).repeat(n_units, 1)
    for _ in range(n_steps):
        x.requires_grad_()
        answers = layers(level * n_samples**0.5 * x[:, None])[:, :, n_frames // 2]
        (gradient,) = torch.autograd.grad(answers.diagonal().sum(), x)
        x = F.normalize(x.detach() + step * F.normalize(gradient))
    return (level * n_samples**0.5 * x).numpy()
