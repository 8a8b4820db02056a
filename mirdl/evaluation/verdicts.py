"""One rule for every claim of the course: paired bootstrap over artists, seeds averaged."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from mirdl.errors import MirdlError


@dataclass(frozen=True)
class Verdict:
    """The answer to one claim about systems a and b.

    Attributes
    ----------
    text : {"holds", "does not hold", "cannot be told"}
    effect : float
        Mean over seeds of a's metric minus that of b.
    low, high : float
        95 % interval of the effect.
    detectable : float
        The smallest true effect that this test set and these seeds show with power 0.8.
    metric, claim, margin
        What was claimed.
    n_seeds : (int, int)
        Seeds of a and of b.
    reason : str
        Why it cannot be told, where the interval is not the reason.
    error, degrees : float
        Standard error of the effect and its degrees of freedom.
    artists_share : float
        Of the error's square, what is due to the artists of the test set; the rest is due to seeds.
    n_artists : int
        Of the test set.
    """

    text: str
    effect: float
    low: float
    high: float
    detectable: float
    metric: str
    claim: str
    margin: float
    n_seeds: tuple
    reason: str = ""
    error: float = float("nan")
    degrees: float = float("nan")
    artists_share: float = float("nan")
    n_artists: int = 0

    def __str__(self):
        if self.reason:
            return f"{self.text}: {self.reason}"
        relation = f"> {self.margin:g}" if self.claim == "greater" else f"within ±{self.margin:g}"
        return (
            f"{self.text}: {self.metric} difference {self.effect:+.3f}"
            f" [{self.low:+.3f}, {self.high:+.3f}], claimed {relation};"
            f" detectable {self.detectable:.3f}; seeds {self.n_seeds[0]} and {self.n_seeds[1]}"
        )


def verdict(a, b, metric=None, margin=0.0, claim="greater"):
    """Judge a claim about two systems from stored replicates or live evaluations.

    The effect is the difference of the metric's means over seeds. Two sources of chance make
    its variance: the artists of the test set, ``V_artists``, the variance of the paired
    differences of the bootstrap replicates times n / (n - 1) for n artists; and training,
    ``V_seeds``, from the spread over seeds (zero for one seed, where it is unknown). With as
    many seeds on both sides, the k-th of a is paired with the k-th of b. The interval is
    effect ± t · sqrt(V_artists + V_seeds), t the 97.5 % point of Student's distribution at
    Welch and Satterthwaite's degrees of freedom.

    ==============  =========================  ===========================
    claim           "greater": a - b > margin  "equal": abs(a - b) < margin
    ==============  =========================  ===========================
    holds           low > margin               -margin < low, high < margin
    does not hold   high <= margin             low >= margin or high <= -margin
    cannot be told  otherwise                  otherwise
    ==============  =========================  ===========================

    "equal" is the two one-sided tests procedure, with the 95 % interval here too (its usual
    90 % would be easier to pass). "Greater" than a margin below zero means at least as good, but
    for that much. Two systems of identical scores are not "greater" at any margin from zero on,
    and equal at any. For an error such as ``rmse``, swap a and b.

    Parameters
    ----------
    a, b : Evaluation, stored row (see `mirdl.experiments.store`), or list of them, one a seed
    metric : str, optional
        Default: the first of a's metrics.
    margin : float
        Above zero for "equal".
    claim : {"greater", "equal"}

    Returns
    -------
    Verdict
        "cannot be told" also where a list is empty, because its rows are missing.

    Raises
    ------
    MirdlError
        If the two were not scored on the same resamples of artists, or the claim is unknown.
    """
    if claim not in ("greater", "equal") or (claim == "equal" and margin <= 0):
        raise MirdlError(f"no such claim: {claim!r} with margin {margin} (equal needs one above 0)")
    a, b = ([_fields(x) for x in (side if isinstance(side, list) else [side])] for side in (a, b))
    n_seeds = (len(a), len(b))
    if not a or not b:
        nan, reason = float("nan"), f"results missing for {'both' if not (a or b) else 'one side'}"
        return Verdict("cannot be told", *[nan] * 4, metric, claim, margin, n_seeds, reason)
    if len({row["resample_id"] for row in a + b}) > 1:
        raise MirdlError("not scored on the same resamples of the same artists: cannot be paired")
    metric = metric or next(iter(a[0]["metrics"]))
    points_a, points_b = ([row["metrics"][metric] for row in side] for side in (a, b))
    effect = float(np.mean(points_a) - np.mean(points_b))

    replicates_a, replicates_b = (
        np.mean([row["replicates"][metric] for row in side], axis=0) for side in (a, b)
    )
    n_artists = a[0]["n_artists"]
    if n_artists < 2:
        raise MirdlError("a verdict needs a test set of at least two artists")
    differences = replicates_a - replicates_b
    parts = [(np.nanvar(differences, ddof=1) * n_artists / (n_artists - 1), n_artists - 1)]
    if len(a) == len(b):
        parts.append(_variance_of_mean(np.subtract(points_a, points_b)))
    else:
        parts += [_variance_of_mean(points_a), _variance_of_mean(points_b)]
    variance = sum(part for part, _ in parts)
    degrees = variance**2 / sum(part**2 / df for part, df in parts) if variance > 0 else np.inf
    error, t = np.sqrt(variance), stats.t.ppf(0.975, degrees)
    low, high = effect - t * error, effect + t * error
    if claim == "greater":
        holds, fails = low > margin, high <= margin
    else:
        holds, fails = -margin < low and high < margin, low >= margin or high <= -margin
    text = "holds" if holds else "does not hold" if fails else "cannot be told"
    detectable = (t + stats.t.ppf(0.8, degrees)) * error
    share = parts[0][0] / variance if variance > 0 else np.nan
    return Verdict(
        *(text, effect, float(low), float(high), float(detectable)),
        *(metric, claim, margin, n_seeds),
        error=float(error),
        degrees=float(degrees),
        artists_share=float(share),
        n_artists=n_artists,
    )


def over_seeds(evaluations):
    """Return each metric's mean and deviation over seeds, beside chance and the mean interval.

    Parameters
    ----------
    evaluations : list of Evaluation or stored row
        One per seed, of the same system.

    Returns
    -------
    DataFrame
        Index: metric; columns mean, deviation (NaN for one seed), chance, low, high, seeds.
    """
    rows = [_fields(x) for x in evaluations]
    lines = {}
    for metric in rows[0]["metrics"]:
        values = [row["metrics"][metric] for row in rows]
        low, high = np.mean([row["interval"][metric] for row in rows], axis=0)
        lines[metric] = {
            "mean": np.mean(values),
            "deviation": np.std(values, ddof=1) if len(values) > 1 else np.nan,
            "chance": np.mean([row["chance"][metric] for row in rows]),
            "low": low,
            "high": high,
            "seeds": len(rows),
        }
    return pd.DataFrame.from_dict(lines, orient="index")


def _fields(x):
    return x if isinstance(x, dict) else vars(x)


def _variance_of_mean(values):
    """Return the variance of the mean over seeds and its degrees of freedom; 0 for one seed."""
    n = len(values)
    return (float(np.var(values, ddof=1)) / n, n - 1) if n > 1 else (0.0, 1)
