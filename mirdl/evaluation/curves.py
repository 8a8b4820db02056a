"""Learning curves: the error as a power of the number of examples, with intervals (lesson 22).

    error(n) = a n^-b + c

Without the floor c it is a straight line in logarithms. Cortes et al. (NIPS 1993) fit it to
choose between classifiers without training them on everything; Hestness et al. (2017) find it in
deep networks over orders of magnitude.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import curve_fit

from mirdl.errors import MirdlError


@dataclass(frozen=True)
class PowerLaw:
    """The law a n^-b + c; its parameters may be arrays, one law for each resample.

    Attributes
    ----------
    a, b, c : float or array
    """

    a: float
    b: float
    c: float = 0.0

    def __call__(self, size):
        """Return the error at a size."""
        return self.a * np.power(size, -self.b) + self.c

    def size_for(self, error):
        """Return the size at which the law has a given error; infinite where it is never reached.

        A law that does not fall (b of zero or less) reaches nothing.
        """
        above = np.subtract(error, self.c)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            size = np.power(np.divide(self.a, above), np.divide(1.0, self.b))
        return np.where((above > 0) & (np.asarray(self.b) > 0), size, np.inf)


def fit_power_law(sizes, errors, floor=False):
    """Fit a power law to points of a learning curve.

    Parameters
    ----------
    sizes : array (n_sizes,)
        Numbers of examples, above zero.
    errors : array (n_sizes,) or (n_resamples, n_sizes)
        Above zero; several rows, without `floor` only, give as many laws at once.
    floor : bool
        Whether to fit c too, between 0 and the smallest error. Then squares of the errors' own
        differences are least, else those of their logarithms.

    Returns
    -------
    PowerLaw

    Raises
    ------
    MirdlError
        If there are fewer points than parameters, or an error is not above zero.
    """
    sizes, errors = np.asarray(sizes, dtype=float), np.asarray(errors, dtype=float)
    if len(sizes) < 2 + floor:
        raise MirdlError(f"{len(sizes)} points are too few for {2 + floor} parameters")
    if not (errors > 0).all():
        raise MirdlError("a power law has errors above zero only")
    slope, level = np.polyfit(np.log(sizes), np.log(errors).T, 1)
    if not floor:
        return PowerLaw(np.exp(level), -slope)
    smallest = errors.min()
    start = (np.exp(level), np.clip(-slope, 0.01, 4.9), smallest / 2)
    limits = ([0, 0, 0], [np.inf, 5, smallest])
    found, _ = curve_fit(
        lambda n, a, b, c: PowerLaw(a, b, c)(n), sizes, errors, start, bounds=limits
    )
    return PowerLaw(*map(float, found))


@dataclass(frozen=True)
class LearningCurve:
    """The errors of one system at several sizes of the training set.

    Attributes
    ----------
    sizes : array (n_sizes,)
    errors : array (n_sizes,)
        Means over seeds.
    resampled : array (n_resamples, n_sizes)
        The same for resamples of test artists and of seeds, less the bias of the bootstrap.
    law : PowerLaw
        Through `errors`.
    laws : PowerLaw
        Through each resample: its a and b are arrays.
    """

    sizes: np.ndarray
    errors: np.ndarray
    resampled: np.ndarray

    @property
    def law(self):
        return fit_power_law(self.sizes, self.errors)

    @property
    def laws(self):
        return fit_power_law(self.sizes, self.resampled)

    @property
    def interval(self):
        """95 % interval of each error, (2, n_sizes)."""
        return percentiles(self.resampled)

    def estimate(self, quantity):
        """Return what follows from the law, and its 95 % interval.

        Parameters
        ----------
        quantity : callable
            Of a `PowerLaw`: ``lambda law: law.b``, ``lambda law: law.size_for(0.1)``.

        Returns
        -------
        value, low, high : float
        """
        return (float(quantity(self.law)), *map(float, percentiles(quantity(self.laws))))


def learning_curve(points, metric="roc_auc", seed=0):
    """Return the curve of 1 - metric, with resamples of the test artists and of the seeds.

    Every resample draws test artists, those of the rows' replicates, the same for all sizes; and
    as many seeds as there are, with replacement, the same for all sizes too, since the training
    sets of a seed are parts of one another. Three seeds make this interval a little too short.

    Parameters
    ----------
    points : dict of int to list of Evaluation or stored row
        For each size one row a seed. Seeds that not all sizes have are left out.
    metric : str
        One whose best value is 1.
    seed : int
        Of the draw of seeds: curves of one seed are paired, resample by resample.

    Returns
    -------
    LearningCurve

    Raises
    ------
    MirdlError
        If the rows were not scored on the same resamples, or the sizes share no seed.
    """
    sizes = sorted(points)
    rows = {n: {_field(row, "seed", k): row for k, row in enumerate(points[n])} for n in sizes}
    seeds = sorted(set.intersection(*(set(found) for found in rows.values())))
    if not seeds:
        raise MirdlError("no seed has a row at every size")
    table = [[rows[n][k] for n in sizes] for k in seeds]
    if len({_field(row, "resample_id") for line in table for row in line}) > 1:
        raise MirdlError("not scored on the same resamples of the same artists")
    values = np.array([[_field(row, "metrics")[metric] for row in line] for line in table])
    replicates = np.array([[_field(row, "replicates")[metric] for row in line] for line in table])
    n_resamples = replicates.shape[2]
    drawn = np.random.default_rng(seed).integers(len(seeds), size=(n_resamples, len(seeds)))
    chosen = replicates.transpose(0, 2, 1)[drawn, np.arange(n_resamples)[:, None]]
    resampled = chosen.mean(axis=1)  # (n_resamples, n_sizes)
    bias = replicates.mean(axis=(0, 2)) - values.mean(axis=0)
    return LearningCurve(np.array(sizes), 1 - values.mean(axis=0), 1 - (resampled - bias))


def percentiles(values):
    """Return the ends of the 95 % interval of resamples, the first axis; they may be infinite."""
    return np.percentile(values, [2.5, 97.5], axis=0, method="nearest")


def _field(row, name, default=None):
    return row.get(name, default) if isinstance(row, dict) else getattr(row, name, default)
