"""Learning curves: laws are found again, intervals cover them, and nothing is promised for free."""

import numpy as np
import pytest
from toy_results import guess

from mirdl.errors import MirdlError
from mirdl.evaluation import curves

SIZES = np.array([15, 30, 60, 120, 240])


def row(errors, seed=0, noise=0.0, n_resamples=500):
    """Rows of one seed at every size; the resamples lie around the point."""
    rng = np.random.default_rng(seed)
    artists = noise * rng.standard_normal(n_resamples)  # one draw of artists moves all sizes
    return {
        n: {
            "seed": seed,
            "metrics": {"roc_auc": 1 - error},
            "replicates": {"roc_auc": 1 - error + artists},
            "resample_id": "x",
        }
        for n, error in zip(SIZES, errors, strict=True)
    }


def points(*seeds):
    return {n: [made[n] for made in seeds] for n in SIZES}


def test_laws_are_found_again():
    law = curves.PowerLaw(0.9, 0.3)
    found = curves.fit_power_law(SIZES, law(SIZES))
    assert (found.a, found.b, found.c) == pytest.approx((0.9, 0.3, 0))
    law = curves.PowerLaw(0.9, 0.6, 0.12)
    found = curves.fit_power_law(SIZES, law(SIZES), floor=True)
    assert (found.a, found.b, found.c) == pytest.approx((0.9, 0.6, 0.12), rel=1e-3)


def test_many_laws_at_once_are_the_laws_one_by_one(rng):
    errors = 0.3 * np.exp(0.1 * rng.standard_normal((7, 5)))
    together = curves.fit_power_law(SIZES, errors)
    for i, line in enumerate(errors):
        alone = curves.fit_power_law(SIZES, line)
        assert (together.a[i], together.b[i]) == pytest.approx((alone.a, alone.b))


def test_size_for_is_the_inverse_and_infinite_where_nothing_is_reached():
    law = curves.PowerLaw(0.9, 0.3, 0.05)
    assert law.size_for(law(77.0)) == pytest.approx(77)
    assert law.size_for(0.05) == law.size_for(0.01) == np.inf
    assert curves.PowerLaw(0.2, -0.1).size_for(0.1) == np.inf
    many = curves.PowerLaw(np.array([0.9, 0.9]), np.array([0.3, -0.3]))
    assert many.size_for(0.3) == pytest.approx([3 ** (1 / 0.3), np.inf])


def test_points_that_no_law_fits_are_refused():
    with pytest.raises(MirdlError, match="too few"):
        curves.fit_power_law([15], [0.3])
    with pytest.raises(MirdlError, match="too few"):
        curves.fit_power_law([15, 30], [0.3, 0.2], floor=True)
    with pytest.raises(MirdlError, match="above zero"):
        curves.fit_power_law([15, 30], [0.3, 0.0])


def test_a_curve_averages_the_seeds_they_share():
    law = curves.PowerLaw(0.8, 0.25)
    rows = points(row(law(SIZES), 0), row(law(SIZES) + 0.02, 1))
    rows[240].append({**rows[240][0], "seed": 5, "metrics": {"roc_auc": 0.1}})
    curve = curves.learning_curve(rows)
    np.testing.assert_allclose(curve.errors, law(SIZES) + 0.01)
    assert set(np.abs(np.round(curve.resampled[:, 0] - law(15), 6))) == {0, 0.01, 0.02}


def test_intervals_hold_artists_and_seeds():
    law = curves.PowerLaw(0.8, 0.25)
    still = curves.learning_curve(points(*(row(law(SIZES), s) for s in range(3))))
    value, low, high = still.estimate(lambda law: law.b)
    assert (value, low, high) == pytest.approx((0.25, 0.25, 0.25))
    moved = curves.learning_curve(points(*(row(law(SIZES), s, 0.02) for s in range(3))))
    value, low, high = moved.estimate(lambda law: law.b)
    assert low < 0.25 - 0.005
    assert high > 0.25 + 0.005
    low, high = moved.interval
    assert (low < law(SIZES)).all()
    assert (law(SIZES) < high).all()


def test_curves_of_one_seed_are_paired():
    law = curves.PowerLaw(0.8, 0.25)
    rows = points(*(row(law(SIZES) + 0.01 * s, s, 0.02) for s in range(3)))
    a, b = (curves.learning_curve(rows, seed=1) for _ in range(2))
    np.testing.assert_array_equal(a.laws.b, b.laws.b)
    assert (curves.learning_curve(rows, seed=2).laws.b != a.laws.b).any()


def test_live_evaluations_make_a_curve_too():
    made = {n: [guess(s, None, 3 / n) for s in range(2)] for n in (1, 2, 4)}
    curve = curves.learning_curve(made)
    assert curve.resampled.shape == (200, 3)
    assert np.diff(curve.errors).max() < 0
    assert curve.law.b > 0


def test_rows_of_other_resamples_are_refused():
    rows = points(row(curves.PowerLaw(0.8, 0.25)(SIZES)))
    rows[15][0]["resample_id"] = "y"
    with pytest.raises(MirdlError, match="same resamples"):
        curves.learning_curve(rows)
    rows[15][0]["seed"] = 9
    with pytest.raises(MirdlError, match="no seed"):
        curves.learning_curve(rows)
