"""Lesson 07's experiments: clips end in the key they claim, changes are in units of the spread."""

import numpy as np
import pytest
import torch
from tones import tones

from mirdl import models
from mirdl.experiments import one_dimension as od


class Recorded:
    """One clip, a tone of 440 Hz."""

    sample_rate = 16_000

    def clip(self, i):
        return 0.3 * torch.sin(2 * torch.pi * 440 * torch.arange(16_000) / 16_000)


@pytest.mark.parametrize(("steps", "hertz"), [(od.OLD_KEY, 440), (od.NEW_KEY, 494)])
def test_shifts_end_in_the_old_key_or_two_semitones_higher(steps, hertz):
    shifted = od.Transposed(Recorded(), 1, steps).clip(0).numpy()
    assert shifted.shape == (16_000,)
    assert shifted.std() == pytest.approx(0.3 / np.sqrt(2), rel=0.01)  # as loud as before
    spectrum = np.abs(np.fft.rfft(shifted * np.hanning(16_000)))
    assert spectrum.argmax() == pytest.approx(hertz, abs=3)


def test_change_is_measured_in_the_spread_of_each_channel(tmp_path, rng):
    test = tones(tmp_path)
    maps = rng.uniform(1, 2, (len(test), 3)) * [1, 10, 0]  # the last is never above zero
    assert od.changed(maps, maps, test).metrics["rmse"] == 0
    moved = od.changed(maps, maps + 0.5 * maps.std(axis=0), test)
    assert moved.metrics["rmse"] == pytest.approx(0.5)
    assert moved.chance["rmse"] == pytest.approx(1)
    assert len(moved.table) == 2


@pytest.mark.parametrize("name", od.LAST_MAP)
def test_the_compared_layer_is_the_last_map(name):
    model = models.build(name, 5, front_end="mel96", width=0.125, for_seconds=3).eval()
    maps = od.map_means(model, od.LAST_MAP[name], Recorded(), 1)
    n_maps = [part.out_channels for part in model.modules() if hasattr(part, "out_channels")]
    assert maps.shape == (1, n_maps[-1])
