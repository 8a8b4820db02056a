"""Lesson 17: networks that were never trained, read by support vectors and least squares.

One run draws the weights of an extractor once, describes every clip of the collection by it, and
classifies dances, lead instruments and tags from these features. Three runs are three draws.
Hyper-parameters are chosen on validation artists.
"""

from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import torch
from scipy import stats
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from mirdl.datasets.pack import pack
from mirdl.evaluation import score
from mirdl.experiments import store
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
#: Seconds of a track of Emotify that are heard, from its middle.
SECONDS = 10
N_FOLDS = 5

#: Target → extractor → experiment and system of its nearest relative that was trained, and the
#: variant of the untrained side. The relatives are those of the extractor's own paper where a
#: lesson trains them; not all have one.
TRAINED = {
    "tags": {
        "sample_level": ("sample_level", "first_3"),
        "frame_level": ("raw_waveforms", "512_256"),
        "frame_level_many": ("raw_waveforms", "many_lengths"),
        "vgg": ("two_dimensions", "compact_cnn"),
        "cnn_7x96": ("two_dimensions", "one_dimension"),
        "timbral": ("timbre_filters", "timbre_cnn"),
        "timbral_temporal": ("timbre_filters", "back_end_512_500"),
    },
    "dance": {
        "vgg": ("first_networks", "fcn"),
        "cnn_7x96": ("filters_for_rhythm", "frequency_40"),
        "cnn_7x86": ("filters_for_rhythm", "frequency_36"),
        "temporal": ("filters_for_rhythm", "time_200"),
        "timbral_temporal": ("filters_for_rhythm", "time_frequency"),
    },
}


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
    look_up = partial(_look_up, rows)
    model = Baseline(look_up, CLASSIFIERS[classifier](seed))
    return model.fit(dataset.subset("train"), dataset.subset("valid"))


def _look_up(rows, dataset):
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
    of_ten, of_class = (np.arange(n, len(order), n) for n in (10, -(-len(order) // 8)))
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
        middle = (dataset.clips["start"] + dataset.clips["end"]) / 2
        times = {"start": middle - SECONDS / 2, "end": middle + SECONDS / 2}
        dataset = replace(dataset, clips=dataset.clips.assign(**times))
        if rows is None:
            rows = described(dataset, extractor, "small", seed)
            scores = np.zeros((len(dataset), dataset.n_outputs))
        test = dataset.clips["split"].to_numpy() == "test"
        scores[test] = fitted(rows, "svm", dataset).predict(dataset.subset("test"))
    return score(scores, dataset)


def t_test(a, b):
    """Return the p-value of the thesis' test: are the averages of two systems' runs equal?

    Student's t-test on one number a run. The test clips are taken as given: it asks what other
    draws of the weights would give on the same clips.

    Parameters
    ----------
    a, b : list of stored row
        One a run; the first metric of each counts.

    Returns
    -------
    float
        NaN where a side has fewer than two runs, or no run differs from any other.
    """
    a, b = ([next(iter(row["metrics"].values())) for row in side] for side in (a, b))
    if min(len(a), len(b)) < 2 or len({*a, *b}) == 1 or np.std(a) + np.std(b) == 0:
        return float("nan")
    return float(stats.ttest_ind(a, b).pvalue)


def beside_trained(target="tags", size="large", n_bootstrap=1000):
    """Compare what architectures score untrained with what their relatives score trained.

    Parameters
    ----------
    target : {"tags", "dance"}
        Of the dances the support vector machine counts.
    size : {"small", "large"}
    n_bootstrap : int
        Of the stored resamples of artists, so many are used.

    Returns
    -------
    table : DataFrame
        Index extractor; columns trained (experiment/system), untrained and after_training: means
        over seeds. Pairs without rows are left out.
    rank : dict
        Spearman's correlation of the two columns, its 95 % interval over artists (these
        architectures, other music), and the p-value over all ways to pair them (these artists,
        other architectures). NaN for fewer than three pairs.
    """
    variant = "tags" if target == "tags" else f"{target}-svm"
    lines, replicates = {}, []
    for extractor, (experiment, system) in TRAINED[target].items():
        sides = (
            store.load("untrained", f"{extractor}_{size}", variant),
            store.load(experiment, system, target),
        )
        if all(sides):
            metric = next(iter(sides[0][0]["metrics"]))
            means = [np.mean([row["metrics"][metric] for row in side]) for side in sides]
            found = [np.mean([row["replicates"][metric] for row in side], axis=0) for side in sides]
            lines[extractor] = [f"{experiment}/{system}", *means]
            replicates.append(found)
    columns = ["trained", "untrained", "after_training"]
    table = pd.DataFrame.from_dict(lines, orient="index", columns=columns)
    if len(table) < 3:
        return table, dict.fromkeys(("correlation", "low", "high", "p"), float("nan"))
    resampled = np.array(replicates)[:, :, :n_bootstrap]  # (pairs, 2, resamples)
    over_artists = [rank_correlation(*pairs) for pairs in resampled.transpose(2, 1, 0)]
    low, high = np.nanpercentile(over_artists, [2.5, 97.5])
    sides = (table["untrained"].to_numpy(), table["after_training"].to_numpy())
    shuffled = stats.permutation_test(
        sides[:1], lambda a: rank_correlation(a, sides[1]), permutation_type="pairings"
    )
    return table, {
        "correlation": rank_correlation(*sides),
        "low": float(low),
        "high": float(high),
        "p": float(shuffled.pvalue),
    }


def rank_correlation(a, b):
    """Return Spearman's correlation: that of the ranks."""
    return float(np.corrcoef(stats.rankdata(a), stats.rankdata(b))[0, 1])


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
