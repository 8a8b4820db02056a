"""What a verdict could have told: p-values, power, how many artists a verdict needs (lesson 23).

All follow from the effect's standard error and degrees of freedom (see `verdict`), under the
assumption that the effect, in units of its error, has Student's distribution around the true one.
"""

import numpy as np
from scipy import stats


def p_value(verdict):
    """Return how probable an effect so much in favour of the claim is where it is just untrue.

    Just untrue means that the true effect is the margin. One-sided, so that a claim holds where
    this is below 0.025; of "equal" the larger of two.

    Parameters
    ----------
    verdict : Verdict

    Returns
    -------
    float
        Where neither artists nor seeds make any difference, 0, 1, or NaN at the margin itself.
    """
    distance = np.float64(_distance(verdict, verdict.effect))
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(stats.t.sf(distance / verdict.error, verdict.degrees))


def power(verdict, effect):
    """Return the probability that a claim would have been told to hold.

    Parameters
    ----------
    verdict : Verdict
    effect : float
        The true one.

    Returns
    -------
    float
        Of "equal", that both ends of the interval lie inside the margins.
    """
    t = stats.t.ppf(0.975, verdict.degrees)
    sides = (verdict.margin - effect, verdict.margin + effect)
    sides = np.array(sides if verdict.claim == "equal" else (effect - verdict.margin,))
    with np.errstate(divide="ignore", invalid="ignore"):
        missed = stats.t.sf(sides / verdict.error - t, verdict.degrees).sum()
    return float(max(0.0, 1 - missed))


def artists_needed(verdict, effect, power=0.8):
    """Return how many test artists would let a true effect be told with some probability.

    More artists shrink their share of the error's square, not that of the seeds.

    Parameters
    ----------
    verdict : Verdict
    effect : float
        The true one.
    power : float

    Returns
    -------
    float
        Infinite where the claim is not true of this effect, or where the seeds alone are in the
        way. Of "equal", for the nearer end.
    """
    t, q = stats.t.ppf((0.975, power), verdict.degrees)
    distance = _distance(verdict, effect)
    of_artists = verdict.artists_share * verdict.error**2
    room = (distance / (t + q)) ** 2 - (verdict.error**2 - of_artists)
    if distance <= 0 or room <= 0:
        return np.inf
    return float(verdict.n_artists * of_artists / room)


def _distance(verdict, effect):
    """Return how far an effect is on the side where the claim is true."""
    if verdict.claim == "equal":
        return verdict.margin - abs(effect)
    return effect - verdict.margin
