"""Taggrams: windows over a recording, their times, the likeliest tags."""

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
