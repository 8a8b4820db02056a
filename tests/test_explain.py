"""Taggrams: windows over a recording, their times, the likeliest tags; and filters' bands."""

import numpy as np
import pytest
import torch

from mirdl import explain


class Loudness(torch.nn.Module):
    sample_rate, n_samples, n_outputs = 100, 200, 2

    def forward(self, audio):
        level = audio.abs().mean(dim=1)
        return torch.stack([level, -level], dim=1)


@pytest.fixture
def crescendo():
    return np.linspace(0, 3, 1050, dtype=np.float32)


def test_taggram_follows_the_recording(crescendo):
    times, probabilities = explain.taggram(Loudness(), crescendo, hop_seconds=1.0)
    assert times.tolist() == [1, 2, 3, 4, 5, 6, 7, 8, 9, 9.5]  # the last ends with the recording
    assert probabilities.shape == (10, 2)
    assert (np.diff(probabilities[:, 0]) > 0).all()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)


def test_taggram_of_classes_is_a_distribution(crescendo):
    model = Loudness()
    model.task = "multiclass"
    _, probabilities = explain.taggram(model, crescendo)
    level = crescendo[:200].mean()
    assert probabilities[0, 0] == pytest.approx(1 / (1 + np.exp(-2 * level)), abs=1e-5)


def test_taggram_pads_a_short_recording():
    times, probabilities = explain.taggram(Loudness(), np.ones(100, dtype=np.float32))
    assert times.tolist() == [1.0]
    assert probabilities[0, 0] == pytest.approx(1 / (1 + np.exp(-0.5)))


def test_top_tags_are_sorted_by_their_mean():
    probabilities = np.array([[0.1, 0.9, 0.4], [0.3, 0.1, 0.8]])
    top = explain.top_tags(probabilities, ["flute", "piano", "drums"], n=2)
    assert [tag for tag, _ in top] == ["drums", "piano"]
    assert top[0][1] == pytest.approx(0.6)


def sine(hertz, phase=0.0, n_samples=512):
    return np.hanning(n_samples) * np.sin(2 * np.pi * hertz * np.arange(n_samples) / 16_000 + phase)


@pytest.mark.parametrize("n_samples", [16, 17])
def test_power_spectra_hold_the_energy(rng, n_samples):
    filters = rng.normal(size=(3, n_samples))
    power = explain.power_spectra(filters)
    assert power.shape == (3, 9)
    np.testing.assert_allclose(power.sum(axis=1), n_samples * (filters**2).sum(axis=1))


def test_half_the_energy_of_a_sine_is_where_it_is_and_that_of_noise_is_anywhere(rng):
    low, high = explain.half_power_bands([sine(1000), sine(3000), np.ones(512), np.eye(512)[9]])
    width = 16_000 / 512
    np.testing.assert_allclose(((low + high) / 2)[:3], [1000, 3000, 0])
    np.testing.assert_allclose((high - low)[:3], width)
    assert high[3] - low[3] == pytest.approx(4000, abs=width)  # a click has all frequencies
    low, high = explain.half_power_bands(rng.uniform(-1, 1, (200, 512)))
    assert (high - low).min() > 2500


def test_likeness_is_blind_to_time_and_phase_alone(rng):
    filters = [sine(1000), sine(1000, 1.3), -sine(1000), sine(1500), rng.normal(size=512)]
    filters.append(np.roll(np.pad(sine(1000, 0, 256), (0, 256)), 200))
    filters.append(np.pad(sine(1000, 0, 256), (0, 256)))
    alike = explain.likeness(filters)
    np.testing.assert_allclose(alike[0, :3], 1, atol=1e-3)
    assert alike[5, 6] == pytest.approx(1, abs=1e-3)  # moved along time
    assert alike[0, 3:5].max() < 0.3
    np.testing.assert_allclose(alike, alike.T, atol=1e-6)
