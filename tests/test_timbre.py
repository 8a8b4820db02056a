"""Lesson 10's experiments: sets of instruments are scored as scikit-learn does; moments sound."""

import fake_minitag
import numpy as np
import pytest
from sklearn.metrics import precision_recall_fscore_support

from mirdl import datasets
from mirdl.experiments import timbre


@pytest.mark.parametrize("average", ["micro", "macro"])
def test_sets_are_scored_as_scikit_learn_does(average, rng):
    answers, truth = rng.random((2, 40, 5)) < [[[0.3]], [[0.5]]]
    answers[:, 1] = False  # never named
    made = timbre.named(answers, truth, np.arange(40) % 8)
    expected = precision_recall_fscore_support(truth, answers, average=average, zero_division=0)
    for name, value in zip(("precision", "recall", "f1"), expected, strict=False):
        assert made["metrics"][f"{name}_{average}"] == pytest.approx(value)
    low, high = made["interval"][f"f1_{average}"]
    assert low < made["metrics"][f"f1_{average}"] < high
    assert made["replicates"][f"f1_{average}"].shape == (1000,)


def test_an_instrument_that_does_not_occur_is_in_no_mean(rng):
    truth = (rng.random((30, 4)) < 0.5).astype(float)
    truth[:, 2] = 0
    made = timbre.named(truth, truth, np.arange(30) % 6)
    assert made["metrics"]["f1_macro"] == made["metrics"]["f1_micro"] == 1
    assert made["chance"]["recall_micro"] == 1
    assert made["chance"]["precision_micro"] == pytest.approx(truth.mean())


def test_the_lead_sounds_in_the_middle_of_every_moment(tmp_path):
    root = fake_minitag.make(tmp_path / "minitag")
    clips = datasets.load("minitag", target="lead", root=root)
    active = datasets.load("minitag", target="lead_activity", root=root)
    cut = timbre.moments(clips, active, {"train": 3, "valid": 2, "test": 1})
    assert cut.clips["clip_id"].is_unique
    np.testing.assert_allclose(cut.clips["end"] - cut.clips["start"], timbre.MOMENT_SECONDS)
    numbers = {name: i for i, name in enumerate(clips.clips["clip_id"])}
    for _, moment in cut.clips.iterrows():
        i = numbers[moment["clip_id"].split("@")[0]]
        clip, (times, sounds) = clips.clips.iloc[i], active.frames(i)
        middle = moment["start"] + timbre.MOMENT_SECONDS / 2 - clip["start"]
        assert sounds[np.abs(times - middle).argmin(), 0] == 1
        assert clip["start"] <= moment["start"]
        assert moment["end"] <= clip["end"] + 1e-9
        assert cut.targets[_] == clips.targets[i]
