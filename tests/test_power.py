"""What a verdict could have told: p-values, power, artists."""

from dataclasses import replace

import numpy as np
import pytest

from mirdl.evaluation import Verdict, artists_needed, p_value, power, verdict


def side(value, spread=0.01, seeds=(0.0,), n_artists=30):
    replicates = np.random.default_rng(1).normal(value, spread, 400)
    return [
        {
            "metrics": {"x": value + seed},
            "replicates": {"x": replicates},
            "resample_id": "",
            "n_artists": n_artists,
        }
        for seed in seeds
    ]


def none(n_artists=30):
    return side(0.0, 0.0, n_artists=n_artists)


@pytest.mark.parametrize("claim", ["greater", "equal"])
@pytest.mark.parametrize("margin", [0.01, 0.03, 0.1])
@pytest.mark.parametrize("value", [-0.05, 0.0, 0.02, 0.05])
def test_a_claim_holds_where_its_p_value_says_so(value, margin, claim):
    found = verdict(side(value), none(), margin=margin, claim=claim)
    assert (found.text == "holds") == (p_value(found) < 0.025)


def test_the_detectable_effect_has_a_power_of_four_fifths():
    found = verdict(side(0.02), none(), margin=-0.01)
    assert power(found, found.margin + found.detectable) == pytest.approx(0.8)
    assert power(found, found.margin) == pytest.approx(0.025)


def test_power_to_tell_that_two_are_equal():
    found = verdict(side(0.0), none(), margin=0.05, claim="equal")
    assert power(found, 0.0) > 0.9
    assert power(found, 0.02) == pytest.approx(power(found, -0.02))
    assert power(found, 0.05) < 0.03
    assert power(replace(found, margin=0.005), 0.0) == 0


def test_as_many_artists_as_there_are_tell_the_detectable_effect():
    found = verdict(side(0.02), none())
    assert artists_needed(found, found.detectable) == pytest.approx(30)
    assert artists_needed(found, found.detectable / 2) == pytest.approx(120)
    assert artists_needed(found, -0.01) == np.inf


def test_artists_do_not_help_against_seeds():
    wild = verdict(side(0.02, seeds=(-0.05, 0.0, 0.05)), side(0.0, 0.0, seeds=(0.0, 0.0, 0.0)))
    assert 0 < wild.artists_share < 0.5
    assert artists_needed(wild, 0.02) == np.inf


def test_where_nothing_differs_nothing_is_left_to_chance():
    same = verdict(none(), none(), margin=-0.01)
    assert same.text == "holds"
    assert p_value(same) == 0
    assert power(same, 0.0) == 1


def test_a_verdict_without_rows_knows_no_error():
    empty = verdict([], none())
    assert isinstance(empty, Verdict)
    assert np.isnan(empty.error)
