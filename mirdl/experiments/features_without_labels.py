"""Lesson 06: features learnt without labels, how they are pooled, and deep belief networks."""

from mirdl import models
from mirdl.evaluation import evaluate, score
from mirdl.experiments.plan import Run
from mirdl.models.baselines import linear
from mirdl.models.descriptors import FEATURES, extract
from mirdl.models.learned_features import LEARNERS, OnCodes, Representation

#: Units of the dictionary: 64 for each of the four octaves make 256 features of a clip too.
N_UNITS = {"mel_patch": 256, "cqt": 256, "cqt_octave": 64}
#: Of the lasso, which is solved vector by vector; the other learners take a tenth of that.
LASSO_MINUTES = {"mel_patch": 0.4, "cqt": 1, "cqt_octave": 1.3}
#: From codes to what the classifier sees: pooling, and the seconds that are pooled.
WAYS = {
    "frame": ("mean", 0),
    "5s": ("mean_std", 5),
    "clip": ("mean_std", None),
    "clip_mean": ("mean", None),
    "clip_max": ("max", None),
}
#: Learning is the same for all layers of a deep belief network; what is read out differs.
LAYERS = {"layer_1": 1, "layer_2": 2, "layer_3": 3, "all_layers": "all"}


class AsTheyAre:
    """A learner that learns nothing: the code of a frame is the frame."""

    def fit(self, frames, labels=None, task=None):
        return self

    def encode(self, frames):
        return frames


def tags(seed, settings, name="learned_features", **options):
    """Learn features on the training clips, classify clips by them, and score the test clips.

    Parameters
    ----------
    seed : int
    settings : Settings
    name : {"learned_features", "deep_belief_network"}
    **options
        Of `mirdl.models.build`.

    Returns
    -------
    Evaluation
    """
    dataset = settings.dataset()
    model = models.build(name, seed=seed, **options)
    return evaluate(model.fit(dataset.subset("train")), dataset.subset("test"))


def estimator(system, seed):
    """Return the estimator of a system of the pooling table, not yet fitted.

    Parameters
    ----------
    system : str
        A learner, a key of ``LAYERS``, or "mfcc": 20 coefficients a frame as they are.
    seed : int

    Returns
    -------
    OnCodes
    """
    if system == "mfcc":
        mfcc = Representation(FEATURES["mfcc"])
        return OnCodes(AsTheyAre(), mfcc, "mean", None, linear(0.01), seed)
    if system in LAYERS:
        return models.build("deep_belief_network", layer=LAYERS[system], seed=seed).estimator
    return models.build("learned_features", learner=system, seed=seed).estimator


def pooled(seed, settings, system="kmeans"):
    """Learn features once, pool them in each of ``WAYS``, classify, and score the test clips.

    The scores of the pieces of a clip are averaged.

    Parameters
    ----------
    seed : int
    settings : Settings
    system : str
        See `estimator`.

    Returns
    -------
    dict of str to Evaluation
        By way.
    """
    dataset = settings.dataset()
    train, test = dataset.subset("train"), dataset.subset("test")
    chosen = estimator(system, seed)
    x_train, x_test = (extract(part, chosen.representation.feature) for part in (train, test))
    chosen.learn(x_train, train.targets, train.task)
    made = {}
    for way, (pooling, seconds) in WAYS.items():
        chosen.pooling, chosen.seconds = pooling, seconds
        chosen.classify(x_train, train.targets, train.task)
        made[way] = score(chosen.scores(x_test), test)
    return made


LEARNED = [
    Run(
        "learned_features",
        f"{learner}_{representation}",
        tags,
        seed,
        ("tags",),
        minutes=LASSO_MINUTES[representation] if learner == "sparse_coding" else 0.15,
        options={"learner": learner, "representation": representation, "n_units": n_units},
    )
    for representation, n_units in N_UNITS.items()
    for learner in LEARNERS
    for seed in range(3)
]
POOLED = [
    Run(
        "pooled_features",
        system,
        pooled,
        seed,
        tuple(WAYS),
        minutes=minutes,
        options={"system": system},
    )
    for system, minutes in {
        "mfcc": 0.1,
        **dict.fromkeys(LEARNERS, 0.3),
        "sparse_coding": 1.5,
        **dict.fromkeys(LAYERS, 0.6),
    }.items()
    for seed in range(3)
]
#: Deep belief networks that answer themselves, with and without pre-training.
DEEP = [
    Run(
        "deep_belief_network",
        f"{n_layers}_{start}",
        tags,
        seed,
        ("tags",),
        minutes=0.15 * (n_layers + 1),
        options={
            "name": "deep_belief_network",
            "layers": [50] * n_layers,
            "pretrain": start == "pretrained",
        },
    )
    for n_layers in (1, 2, 3, 5)
    for start in ("pretrained", "random")
    for seed in range(3)
]
RUNS = [*LEARNED, *POOLED, *DEEP]
