"""Lesson 17: networks that were never trained, read by support vectors and least squares.

One run draws the weights of an extractor once, describes every clip of the collection by it, and
classifies dances, lead instruments and tags from these features. Three runs are three draws.
Hyper-parameters are chosen on validation artists.
"""

from dataclasses import replace
from functools import partial

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from mirdl.datasets.pack import pack
from mirdl.evaluation import score
from mirdl.experiments.plan import Run
from mirdl.models.baselines import GAMMAS, Baseline, PerOutput, SupportVectors, quality
from mirdl.models.descriptors import extract
from mirdl.models.random_features import (
    EXTRACTORS,
    SAMPLE_RATE,
    WAVEFORM,
    Extractor,
    ExtremeLearningMachine,
)

#: Variant → target and classifier.
TASKS = {
    "dance-svm": ("dance", "svm"),
    "dance-elm": ("dance", "elm"),
    "lead-svm": ("lead", "svm"),
    "lead-elm": ("lead", "elm"),
    "tags": ("tags", "logistic_regression"),
}
#: Of logistic regression: weight of the data against the penalty.
STRENGTHS = (0.001, 0.01, 0.1, 1.0)
#: What the batch normalisation of the trap sees together: nothing ("none" has no normalisation),
#: a clip, ten clips or a class of clips, in any order or sorted by class; and the same after
#: labels have been dealt at random.
BATCHES = (
    *("none", "alone", "mixed_10", "mixed_60", "sorted_10", "sorted_60"),
    *("dealt_none", "dealt_60"),
)
#: Seconds between which a track of Emotify is heard: most last a minute, the shortest 26 s.
HEARD = 10, 20
N_FOLDS = 5


class Regression:
    """Logistic regression for each output; validation clips choose the strength of all.

    Where there are more features than clips, the clips span few directions. Turned onto these,
    features and weights have the same products, and the penalty is the same: less to fit.
    """

    def fit(self, x, y, task, valid):
        self.scaler = StandardScaler().fit(x)
        *_, directions = np.linalg.svd(self.scaler.transform(x), full_matrices=False)
        self.directions = directions.T  # (n_features, at most n_clips)
        best = -np.inf
        for strength in STRENGTHS:
            machine = PerOutput(LogisticRegression(C=strength, max_iter=1000), None)
            machine.fit(self._turned(x), y, task, None)
            reached = quality(machine.scores(self._turned(valid[0])), valid[1], task)
            if reached > best:
                best, self.chosen, self.machine = reached, strength, machine

    def scores(self, x):
        return self.machine.scores(self._turned(x))

    def _turned(self, x):
        return self.scaler.transform(x) @ self.directions


#: By name, made for a seed.
CLASSIFIERS = {
    "svm": lambda seed: SupportVectors([None, *GAMMAS]),
    "elm": lambda seed: ExtremeLearningMachine(seed=seed),
    "logistic_regression": lambda seed: Regression(),
}


def describe(dataset, network, batches=None):
    """Return the features of every clip, read from the pack.

    Parameters
    ----------
    dataset : Dataset
    network : Extractor
    batches : list of sequence of int, optional
        Clips that go through the network together, which matters where it normalises them, cut
        to the shortest; default: one by one.

    Returns
    -------
    dict of str to numpy.ndarray
        Clip id to float32 (1, n_features).
    """
    audio = pack(replace(dataset, sample_rate=SAMPLE_RATE), progress=False)
    names = dataset.clips["clip_id"].to_numpy()
    rows = {}
    for batch in [[i] for i in range(len(dataset))] if batches is None else batches:
        waves = [audio.clip(i) for i in batch]
        shortest = min(map(len, waves))
        with torch.inference_mode():
            found = network(torch.stack([wave[:shortest] for wave in waves])).numpy()
        rows.update(zip(names[batch], found[:, None], strict=True))
    return rows


def described(dataset, extractor, size, seed):
    """Return the features of every clip, by `describe`, or MFCC-120.

    Parameters
    ----------
    dataset : Dataset
    extractor : str
        A name of `mirdl.models.random_features.EXTRACTORS`, or "mfcc".
    size : {"small", "large"}
        The large networks compute in bfloat16: it moves a feature by a few hundredths of its
        deviation over clips, and takes a third of the time.
    seed : int

    Returns
    -------
    dict of str to numpy.ndarray
        Clip id to float32 (1, n_features).
    """
    if extractor == "mfcc":
        return dict(zip(dataset.clips["clip_id"], extract(dataset, "mfcc120"), strict=True))
    precision = "bf16" if size == "large" else "fp32"
    return describe(dataset, Extractor(extractor, size, seed, precision=precision))


def fitted(rows, classifier, dataset, seed=0):
    """Fit a classifier on features of training clips; validation clips choose from its grid.

    Parameters
    ----------
    rows : dict of str to numpy.ndarray
        Clip id to features, as `describe` gives them.
    classifier : {"svm", "elm", "logistic_regression"}
    dataset : Dataset
    seed : int
        Of the extreme learning machine.

    Returns
    -------
    Baseline
        What it has chosen is in ``estimator.chosen``.
    """
    model = Baseline(partial(look_up, rows), CLASSIFIERS[classifier](seed))
    return model.fit(dataset.subset("train"), dataset.subset("valid"))


def look_up(rows, dataset):
    """Return the features of the clips of a data set, as a `Baseline` wants them."""
    return [rows[name] for name in dataset.clips["clip_id"]]


def judged(rows, classifier, dataset, seed=0):
    """Fit as `fitted` does, and score the test clips; return an `Evaluation`."""
    test = dataset.subset("test")
    return score(fitted(rows, classifier, dataset, seed).predict(test), test)


def untrained(seed, settings, extractor="vgg", size="small"):
    """Classify dances, lead instruments and tags by a network that was never trained.

    Parameters
    ----------
    seed : int
        Of the network's weights, and of the extreme learning machine's.
    settings : Settings
    extractor, size : str
        As in `described`.

    Returns
    -------
    dict of str to Evaluation
        By the keys of ``TASKS``.
    """
    rows = described(settings.dataset(), extractor, size, seed)  # dances are some of its clips
    return {
        variant: judged(rows, classifier, settings.dataset(target), seed)
        for variant, (target, classifier) in TASKS.items()
    }


def trap(seed, settings):
    """Normalise batches of clips by their own statistics before classifying the dances.

    The random VGG of thesis Fig. 4.5. The whole collection, test clips too, passes through it,
    in the order of the batches.

    Parameters
    ----------
    seed : int
        Of the weights, the order of the clips, and the labels dealt.
    settings : Settings

    Returns
    -------
    dict of str to Evaluation
        By ``BATCHES``. Those of dealt labels are scored against the labels dealt.
    """
    dataset = settings.dataset("dance")
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(dataset))
    dealt = replace(dataset, targets=rng.integers(dataset.n_outputs, size=len(dataset)))
    by_class, by_deal = (
        order[np.argsort(labels.targets[order], kind="stable")] for labels in (dataset, dealt)
    )
    sizes = (10, -(-len(order) // dataset.n_outputs))
    of_ten, of_class = (np.arange(n, len(order), n) for n in sizes)
    network, plain = (Extractor("vgg", seed=seed, batch_norm=on) for on in (True, False))
    none = describe(dataset, plain)
    rows = {
        "none": none,
        "alone": describe(dataset, network),
        "mixed_10": describe(dataset, network, np.split(order, of_ten)),
        "mixed_60": describe(dataset, network, np.split(order, of_class)),
        "sorted_10": describe(dataset, network, np.split(by_class, of_ten)),
        "sorted_60": describe(dataset, network, classes(by_class, dataset.targets)),
        "dealt_none": none,
        "dealt_60": describe(dataset, network, classes(by_deal, dealt.targets)),
    }
    return {
        name: judged(found, "svm", dealt if name.startswith("dealt") else dataset)
        for name, found in rows.items()
    }


def classes(order, labels):
    """Return one batch for each class, as the ten genres of GTZAN fill ten batches of 100.

    Parameters
    ----------
    order : int array (n_clips,)
        Clips, sorted by class.
    labels : int array (n_clips,)

    Returns
    -------
    list of int array
    """
    return np.split(order, np.flatnonzero(np.diff(labels[order])) + 1)


def genres(seed, settings, extractor="vgg"):
    """Classify the genres of real music by about 120 random features and a support vector machine.

    Five folds of artists are dealt by the seed; three train, the fourth chooses, the fifth tests.

    Parameters
    ----------
    seed : int
        Of the folds and of the weights.
    settings : Settings
    extractor : str
        As in `described`.

    Returns
    -------
    Evaluation
        Of all tracks, each scored by a model that has heard no track of its artist.
    """
    rows, scores = None, None
    for fold in range(N_FOLDS):
        dataset = settings.dataset("genre", fold=fold, n_folds=N_FOLDS, seed=seed)
        dataset = replace(dataset, clips=dataset.clips.assign(start=HEARD[0], end=HEARD[1]))
        if rows is None:
            rows = described(dataset, extractor, "small", seed)
            scores = np.zeros((len(dataset), dataset.n_outputs))
        test = dataset.clips["split"].to_numpy() == "test"
        scores[test] = fitted(rows, "svm", dataset).predict(dataset.subset("test"))
    return score(scores, dataset)


#: Core-minutes of a run: classifiers, and what the features add, small and large.
CLASSIFYING = {"small": 0.15, "large": 0.25}
EXTRACTING = {
    "sample_level": (0.3, 4.1),
    "frame_level": (0.2, 4.0),
    "frame_level_many": (0.25, 4.1),
    "vgg": (0.25, 4.9),
    "cnn_7x96": (0.15, 0.3),
    "cnn_7x86": (0.25, 1.4),
    "timbral": (0.35, 1.7),
    "temporal": (0.1, 0.1),
    "timbral_temporal": (0.3, 0.8),
    "timbral_time": (0.3, 0.8),
}


def _run(system, minutes, n_seeds=3, **options):
    return [
        Run(
            "untrained",
            system,
            untrained,
            seed,
            tuple(TASKS),
            minutes=round(minutes, 2),
            target="dance+lead+tags",
            options=options,
        )
        for seed in range(n_seeds)
    ]


def _runs(size):
    """Plan ten extractors. The large ones on the waveform, half of all minutes, are drawn once."""
    runs = []
    for extractor in EXTRACTORS:
        minutes = EXTRACTING[extractor][size == "large"] + CLASSIFYING[size]
        n_seeds = 1 if size == "large" and extractor in WAVEFORM else 3
        options = {"extractor": extractor, "size": size}
        runs += _run(f"{extractor}_{size}", minutes, n_seeds, **options)
    return runs


RUNS = [
    *_run("mfcc", 0.2, extractor="mfcc"),
    *_runs("small"),
    *(
        Run("batch_trap", "vgg", trap, seed, BATCHES, minutes=1.2, target="dance")
        for seed in range(3)
    ),
    *(
        Run(
            "untrained_emotify",
            extractor,
            genres,
            seed,
            ("genre",),
            minutes=0.1,
            target="genre",
            dataset="emotify",
            split="5 folds of artists",
            options={"extractor": extractor},
        )
        for extractor in ("mfcc", *EXTRACTORS)
        for seed in range(3)
    ),
    *_runs("large"),
]
