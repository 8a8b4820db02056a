"""A learning rate that the validation clips choose, once for all seeds of a network (lesson 18)."""

from mirdl.datasets.pack import pack
from mirdl.errors import MirdlError
from mirdl.evaluation import evaluate
from mirdl.experiments import store
from mirdl.experiments.networks import train

#: The course's usual rate, and one that networks may want that are slow to start.
RATES = (0.001, 0.003)
#: Variants under which the scores on the validation clips are stored, seed 0.
VALID = tuple(f"valid_{rate}" for rate in RATES)


def train_at_chosen_rate(seed, settings, row, name, dataset, training=None, **overrides):
    """Train a network at the rate of ``RATES`` that the validation clips prefer.

    Seed 0 is trained with each, and the better one stays; the other seeds take the rate that seed
    0 has chosen, from its stored rows.

    Parameters
    ----------
    seed, settings, name, dataset, training, **overrides
        As in `mirdl.experiments.networks.train`.
    row : (str, str) or None
        Experiment and system under which the scores of seed 0 are stored. None: nothing is
        chosen, the rate is the usual one.

    Returns
    -------
    model : nn.Module
    heard : dict of str to Evaluation
        Scores on the validation clips, by ``VALID``; empty but for seed 0.
    """

    def at(rate):
        options = {**(training or {}), "learning_rate": rate}
        return train(seed, settings, name, dataset, options, **overrides)

    if row is None:
        return at(RATES[0]), {}
    if seed:
        return at(chosen_rate(*row)), {}
    valid, found = dataset.subset("valid"), [at(rate) for rate in RATES]
    heard = [evaluate(model, valid, audio=pack(valid, progress=False)) for model in found]
    return found[_best(heard)], dict(zip(VALID, heard, strict=True))


def chosen_rate(experiment, system):
    """Return the rate that scored higher on the validation clips, from the stored rows of seed 0.

    Raises
    ------
    MirdlError
        If they are missing.
    """
    rows = [store.load(experiment, system, variant) for variant in VALID]
    if not all(rows):
        raise MirdlError(f"seed 0 of {experiment}/{system} chooses the learning rate: run it first")
    return RATES[_best([row[0] for row in rows])]


def _best(heard):
    """Return which score is highest, of evaluations or stored rows, by their first metric."""
    metrics = [row["metrics"] if isinstance(row, dict) else row.metrics for row in heard]
    scores = [next(iter(found.values())) for found in metrics]
    return scores.index(max(scores))
