"""Lesson 12's experiments: what is selective, what is in its own pool, what is stored."""

from dataclasses import replace

import numpy as np
import pytest

from mirdl.evaluation import verdict
from mirdl.experiments import raw_waveforms as rw
from mirdl.experiments import store


def sines(hertz, phases, n_samples=512):
    time = np.arange(n_samples) / 16_000
    return np.hanning(n_samples) * np.sin(2 * np.pi * np.outer(hertz, time) + np.c_[phases])


def test_sines_are_selective_and_noise_is_not(rng):
    assert rw.selective(sines([200, 2000, 7000], np.zeros(3))).all()
    assert rw.selective(sines([200, 2000, 7000], np.zeros(3)), above=1000).tolist() == [0, 1, 1]
    assert not rw.selective(rng.uniform(-1, 1, (50, 512))).any()
    assert not rw.selective(rng.uniform(-1, 1, (50, 1024))).any()


def test_copies_in_another_phase_are_found_in_their_pool_and_not_by_plain_correlation():
    hertz = np.repeat([500, 900, 1700, 3000], 2)
    quadrature = sines(hertz, np.tile([0, np.pi / 2], 4))
    assert rw.in_own_pool(quadrature, 2).all()
    assert not rw.in_own_pool(np.roll(quadrature, 1, axis=0), 2).any()
    assert not rw.in_own_pool(quadrature, 2, time_and_phase=True).all()
    assert rw.in_own_pool(sines(hertz, np.zeros(8)), 2, time_and_phase=True).all()


def test_noise_is_in_its_own_pool_by_chance(rng):
    assert rw.in_own_pool(rng.normal(size=(128, 256)), 4).mean() < 0.1


def test_shares_are_judged_filter_by_filter():
    few, many = (rw.share(np.arange(40) < n, 4, chance=0.1) for n in (4, 30))
    assert many.metrics == {"share": 0.75}
    assert many.chance == {"share": 0.1}
    assert many.n_artists == 10
    found = verdict(many, few, margin=0.2)
    assert (found.text, found.metric) == ("holds", "share")
    assert found.effect == pytest.approx(0.65)


def test_peaks_in_equal_steps_of_mel_lie_on_the_mel_curve():
    hertz = 700 * (10 ** (np.linspace(0, 2840, 60) / 2595) - 1)  # 2840 mel are 8 kHz
    mel, line = (rw.curve(hertz[::-1], scale) for scale in ("mel", "line"))
    assert mel.metrics["rmse"] == pytest.approx(0, abs=0.01)
    assert verdict(line, mel, "rmse").text == "holds"
    assert rw.curve(np.linspace(0, 8000, 60), "line").metrics["rmse"] == pytest.approx(0)


def test_filters_come_back_from_the_store(tmp_path, monkeypatch):
    monkeypatch.setenv("MIRDL_RESULTS", str(tmp_path))
    filters = 0.03 * sines([250, 1000, 5000], np.zeros(3))
    made = replace(rw.share(rw.selective(filters)), table=rw.describe(filters, keep=True))
    store.save(made, "raw_waveforms", "toy", "selective")
    (row,) = store.load("raw_waveforms", "toy")
    assert row["per_tag"]["peak"].tolist() == [250, 1000, 5000]
    expected = filters / np.abs(filters).max(axis=1, keepdims=True)
    np.testing.assert_allclose(rw.stored_filters(row), expected, atol=0.5 / 127)
