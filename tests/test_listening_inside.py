"""Lesson 19's experiments: what is muted, contradictions, labels that are missing, filters."""

import fake_minitag
import numpy as np
import pandas as pd
import pytest
import torch

from mirdl import datasets, features
from mirdl.datasets import minitag
from mirdl.experiments import first_filters, listening_inside, mistakes
from mirdl.models import build


def clip(programs, tags):
    return pd.Series({"programs": programs, "tags": tags})


def test_a_part_has_a_tag_of_its_own_only_where_no_other_plays_that_instrument():
    band = "lead=0:73|comp=0:29|pad=0:53|bass=0:33|drums=128:32"
    assert listening_inside.played(clip(band, ""))["comp"] == "guitar"
    assert listening_inside.tag_of_part(clip(band, "flute|drums"), "lead") == "flute"
    assert listening_inside.tag_of_part(clip(band, "guitar"), "lead") is None  # it rests
    choir = band.replace("0:73", "0:52")
    assert listening_inside.tag_of_part(clip(choir, "vocal|drums"), "lead") is None
    assert listening_inside.tag_of_part(clip(choir, "vocal|drums"), "drums") == "drums"


def test_muting_takes_one_part_away(rng):
    parts = {name: rng.normal(size=50) for name in fake_minitag.STEMS}
    heard = listening_inside.mixes(parts, "drums")
    np.testing.assert_allclose(heard["without"] + heard["alone"], heard["whole"])
    assert list(heard) == list(listening_inside.MIXES)


def test_stems_are_as_loud_as_their_clip(tmp_path):
    dataset, parts = minitag.stems(root=fake_minitag.make(tmp_path / "minitag"))
    assert dataset.clips["split"].unique().tolist() == ["test"]
    assert (dataset.clips["start"] == 2).all()
    for i, heard in enumerate(parts):
        whole = dataset.waveform(i)
        assert np.std(sum(heard.values())) == pytest.approx(np.std(whole), rel=0.02)
        assert np.std(heard["lead"]) > np.std(heard["bass"])


def test_real_stems_sum_to_their_clips():
    dataset, parts = minitag.stems()
    assert len(dataset) == 24
    assert np.corrcoef(sum(parts[0].values()), dataset.waveform(0))[0, 1] > 0.95


def test_cells_belong_to_the_louder_part():
    time = np.arange(16_000) / 16_000
    low, high = (np.sin(2 * np.pi * f * time).astype(np.float32) for f in (200, 4000))
    mine = listening_inside.own_cells(features.front_end("mel96"), high, low)
    assert mine.shape == (96, 63)
    assert mine[72:74, 5:-5].all()  # 4 kHz
    assert not mine[8:10, 5:-5].any()  # 200 Hz
    half = np.concatenate([0 * low, low])
    assert listening_inside.louder_half(half, 16_000) == 16_000
    assert listening_inside.louder_half(half[::-1], 16_000) == 0


def test_exclusive_pairs_never_meet_in_the_data():
    dataset = datasets.load("minitag")
    pairs = mistakes.exclusive_pairs(dataset.tags)
    names = {(dataset.tags[a], dataset.tags[b]) for a, b in pairs}
    assert {("fast", "slow"), ("loud", "quiet"), ("pop", "metal")} <= names
    assert ("rock", "metal") not in names
    assert not mistakes.contradicted(dataset.targets > 0, pairs).any()


def test_contradictions_are_counted_per_clip():
    given = np.array([[1, 1, 0], [1, 0, 1], [1, 1, 1]], dtype=bool)
    assert mistakes.contradicted(given, [(0, 1), (1, 2)]).tolist() == [1, 0, 1]
    assert mistakes.contradicted(given, []).tolist() == [0, 0, 0]


def test_every_tag_is_given_as_often_as_its_share(rng):
    given = mistakes.as_often(rng.random((40, 3)), np.array([0.1, 0.5, 0.0]))
    assert given.sum(axis=0).tolist() == [4, 20, 0]
    same = mistakes.as_often(np.zeros((10, 1)), np.array([0.3]))
    assert same.sum() == 3


def test_what_sounds_is_more_than_what_is_tagged():
    test = datasets.load("minitag").subset("test")
    heard = mistakes.sounds(test)
    tagged = test.targets[:, : heard.shape[1]] > 0
    assert test.tags[: heard.shape[1]] == list(mistakes.INSTRUMENTS)
    assert not (tagged & ~heard).any()
    assert (heard & ~tagged).sum() == 74


@pytest.mark.parametrize(
    ("name", "options", "shapes"),
    [
        ("dieleman_spectrogram", {"front_end": "mel128_log"}, {(128, 8)}),
        ("time", {"front_end": "mel40"}, {(1, 60)}),
        ("timbre_cnn", {"for_seconds": 1}, {(h, n) for h in (100, 75, 25) for n in (1, 3, 5, 7)}),
    ],
)
def test_first_filters_come_back_from_their_table(name, options, shapes):
    torch.manual_seed(0)
    model = build(name, 4, **options)
    filters = first_filters.stored({"per_tag": first_filters.pictures(model)})
    assert {w.shape for w in filters} == shapes
    first = first_filters.first_convolutions(model)[0].weight.detach()[0].squeeze()
    expected = (first / first.abs().max()).numpy().reshape(filters[0].shape)
    np.testing.assert_allclose(filters[0], expected, atol=0.5 / 127)
