"""Lesson 01's experiment: clip summaries, and a linear classifier on them."""

import numpy as np
import pytest
from tones import tones

from mirdl.experiments import representations


class Tones:
    """Settings whose tags are the tones that sound in a clip."""

    def __init__(self, folder):
        self.folder = folder

    def dataset(self, target="tags"):
        dataset = tones(self.folder, n_clips=48)
        dataset.clips.loc[24:, "split"] = ["valid"] * 8 + ["test"] * 16
        return dataset


SIZES = {"waveform": 4, "stft": 514, "mel_db": 192, "cqt": 168, "chroma": 24, "mfcc120": 120}


@pytest.mark.parametrize(("view", "n_values"), SIZES.items())
def test_a_clip_of_any_length_becomes_as_many_numbers(view, n_values, rng):
    for n_samples in (48_000, 50_001):
        x = (0.1 * rng.standard_normal(n_samples)).astype(np.float32)
        assert representations.describe(x, view).shape == (n_values,)


def test_only_the_mean_of_decibels_moves_with_the_level(rng):
    x = (0.1 * rng.standard_normal(16_000)).astype(np.float32)
    loud, quiet = (representations.describe(gain * x, "mel_db") for gain in (1.0, 0.5))
    np.testing.assert_allclose(loud[:96] - quiet[:96], 6.0206, atol=1e-3)
    np.testing.assert_allclose(loud[96:], quiet[96:], atol=1e-3)


def test_tones_are_told_from_the_spectrum_and_not_from_the_waveform(tmp_path):
    settings = Tones(tmp_path)
    found = {
        view: representations.linear(0, settings, view, ["tags"])["tags"]
        for view in ("mel_db", "waveform")
    }
    assert found["mel_db"].metrics["roc_auc"] > 0.95
    assert found["waveform"].metrics["roc_auc"] < found["mel_db"].metrics["roc_auc"]
    assert len(found["mel_db"].scores) == 16


def test_seeds_hear_other_artists(tmp_path):
    settings = Tones(tmp_path)
    first, again, other = (
        representations.linear(seed, settings, "chroma", ["tags"])["tags"].scores
        for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
