"""Lesson 13: inputs found by gradient ascent, and what is stored of them."""

import numpy as np
import pytest
import torch
from torch import nn

from mirdl import explain, models
from mirdl.experiments import sample_level


@pytest.fixture
def model():
    torch.manual_seed(0)
    return models.build("sample_cnn", 5, width=0.0625, n=7, length=3).eval()


def test_a_linear_filter_is_excited_most_by_itself():
    torch.manual_seed(0)
    conv = nn.Conv1d(1, 3, 21)
    inputs = explain.exciting_inputs(conv, 101, level=0.2)
    assert inputs.shape == (3, 101)
    np.testing.assert_allclose(np.sqrt((inputs**2).mean(axis=1)), 0.2, rtol=1e-5)
    filters = conv.weight.detach()[:, 0].numpy()
    heard = inputs[:, 40:61]  # of 81 frames, 40 is in the middle
    alike = (heard * filters).sum(axis=1) / np.linalg.norm(filters, axis=1)
    np.testing.assert_allclose(alike, 0.2 * np.sqrt(101), rtol=1e-3)  # all of the energy


def test_ascent_beats_noise_in_a_deep_layer_and_repeats_itself(model):
    layers = sample_level.layers_up_to(model, 5)
    inputs = explain.exciting_inputs(layers, 729, n_steps=20, seed=3)
    noise = 0.1 * torch.randn(200, 1, 729, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        found = layers(torch.from_numpy(inputs)[:, None])[:, :, 4].diagonal()
        chance = layers(noise)[:, :, 4].amax(dim=0)
    assert (found > chance).all()
    np.testing.assert_array_equal(inputs, explain.exciting_inputs(layers, 729, 20, seed=3))


def test_a_unit_that_answers_nothing_leaves_numbers():
    silent = nn.Conv1d(1, 2, 3)
    nn.init.zeros_(silent.weight)
    assert np.isfinite(explain.exciting_inputs(silent, 9, n_steps=2)).all()


def test_layers_end_before_their_relu_and_pool(model):
    audio = 0.1 * torch.randn(2, 1, 729)
    frames = [243, 243, 81, 27, 9, 3]
    for number, n_frames in enumerate(frames, 1):
        layers = sample_level.layers_up_to(model, number)
        assert layers(audio).shape[2] == n_frames
        assert (layers(audio) < 0).any()
    block = model.blocks[0]
    expected = block.pool(block.activation(sample_level.layers_up_to(model, 2)(audio)))
    torch.testing.assert_close(block(model.conv(audio)), expected)


def test_spectra_come_back_as_they_were_stored(model):
    table = sample_level.exciting_spectra(model, layers=(1, 4))
    assert table["layer"].value_counts().to_dict() == {1: 8, 4: 16}
    spectra = sample_level.stored_spectra(table, 4)
    assert spectra.shape == (16, 121)
    np.testing.assert_allclose(spectra.max(axis=1), 1)
    peaks = table.loc[table["layer"] == 4, "peak"].sort_values().to_numpy()
    assert peaks.max() <= 8000
    width = 3 * 16_000 / 729
    assert np.median(np.abs((spectra.argmax(axis=1) + 0.8) * width - peaks)) < 2 * width


def test_all_relatives_hear_the_same_samples():
    for length, n in sample_level.RELATIVES.items():
        assert length * 3**n == 19_683
    minutes = sum(run.minutes for run in sample_level.RUNS)
    assert minutes <= 18
