"""Lesson 21: what the shortcuts of fast training do to the scores.

Training at scale stores audio in 16 bits, multiplies in bfloat16 and takes large batches, shared
by many devices. Each is harmless only if the scores stay where they were. The claims, each about
macro ROC-AUC over three seeds a side, equal within 0.02:

- Precision (ours): bf16 about equals fp32, for Dieleman's network and for the FCN.
- 16 bits (ours): a network scores about the same on the pack as on the files, decoded in float.
- Batch: four times the batch, a quarter of the steps and four times the learning rate about equal
  the small batch [the linear scaling rule of Goyal et al., arXiv:1706.02677, there for SGD].
- The same without the higher rate loses (ours): the small batch is greater.

The other side of each claim is the row of lesson 07 or 08 (bf16, the pack, 16 clips a step).
"""

from mirdl.evaluation import evaluate
from mirdl.experiments.networks import judge, network, train
from mirdl.experiments.one_dimension import FRONT_END
from mirdl.experiments.plan import ladder

SMALL = {"name": "dieleman_spectrogram", "front_end": FRONT_END}
FACTOR = 4


def precise(seed, settings, name, **overrides):
    """Train in float32; score what the pack holds and what the files hold.

    Parameters
    ----------
    seed, settings, name, **overrides
        As in `mirdl.experiments.networks.train`.

    Returns
    -------
    dict of str to Evaluation
        "tags": on the pack, 16 bits; "float": on the files, decoded in float.
    """
    dataset = settings.dataset()
    model = train(seed, settings, name, dataset, {"precision": "fp32"}, **overrides)
    return {"tags": judge(model, dataset), "float": evaluate(model, dataset.subset("test"))}


def large_batch(seed, settings, rate=1, **overrides):
    """Train with ``FACTOR`` times the batch and as many clips in all.

    Parameters
    ----------
    seed, settings, **overrides
        As in `mirdl.experiments.networks.network`.
    rate : float
        Factor on the learning rate, 0.001.

    Returns
    -------
    Evaluation
        Of the tags of the test clips.
    """
    training = {"batch_size": FACTOR * settings.batch_size, "learning_rate": rate * 1e-3}
    fewer = settings.times(1 / FACTOR).training
    return network(seed, settings, training={**fewer, **training}, **overrides)


def _runs(system, function, minutes, variants=("tags",), **options):
    return ladder(3, "shortcuts", system, function, minutes, variants, options=options)


RUNS = [
    *_runs("dieleman_fp32", precise, 0.7, ("tags", "float"), **SMALL),
    *_runs("fcn_fp32", precise, 7, ("tags", "float"), name="fcn"),
    *_runs("large_batch", large_batch, 0.6, **SMALL),
    *_runs("large_batch_and_rate", large_batch, 0.6, rate=FACTOR, **SMALL),
]
