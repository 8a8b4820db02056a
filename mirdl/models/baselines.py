"""Baselines on features made by hand: what a network must beat (lesson 03).

A baseline is a feature and an estimator of scikit-learn. Every tag gets a classifier of its own
against the rest, as in the thesis' section 5.5.1, and so does every class.
"""

from functools import partial

import numpy as np
from sklearn.base import clone
from sklearn.cluster import MiniBatchKMeans
from sklearn.dummy import DummyRegressor
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import r2_score, roc_auc_score
from sklearn.metrics.pairwise import euclidean_distances
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, SVR

from mirdl.errors import MirdlError
from mirdl.models.descriptors import extract

#: Baselines that draw random numbers.
RANDOM = ("boosted_trees", "gmm", "codebook")

#: Widths of the RBF kernel in the thesis' grid [section 4.3], as `SupportVectors` takes them.
GAMMAS = ["1/n", *(2.0**-k for k in range(3, 14, 2))]


class Baseline:
    """A feature and an estimator.

    Baselines are fitted anew wherever they are needed, in seconds, and are not saved: scikit-learn
    has no format that is safe to load from strangers.

    Parameters
    ----------
    feature : {None, "tempo", "mfcc120", "descriptors", "mfcc"}, Feature or callable
        What the estimator sees: nothing, one tempo, 120 values, 145, the MFCC of every frame,
        another feature of `extract`; or a function that gives the rows of a data set's clips as it
        does.
    estimator : object
        ``fit(x, y, task, valid)`` and ``scores(x)``; x is an array (n_clips, n_values), or, for
        an estimator with the attribute ``framewise``, a list of arrays (n_frames, n_values), y is
        (n_clips, n_outputs).
    """

    def __init__(self, feature, estimator):
        self.feature, self.estimator = feature, estimator

    def fit(self, train, valid=None):
        """Fit on the training clips; return self.

        Parameters
        ----------
        train : Dataset
            Clips that cannot be read are left out, with a warning.
        valid : Dataset, optional
            Clips on which a support vector machine chooses from its grid.
        """
        self.task, self.n_outputs = train.task, train.n_outputs
        if self.task not in {"multilabel", "multiclass", "regression"}:
            raise MirdlError(f"{train.name}: no baseline for the task {self.task!r}")
        x, y = self._examples(train)
        self.unseen = ~y.any(axis=0)
        self.estimator.fit(x, y, self.task, None if valid is None else self._examples(valid))
        return self

    def predict(self, dataset):
        """Return scores (n_clips, n_outputs): probabilities, margins or values; NaN if unreadable.

        Parameters
        ----------
        dataset : Dataset
        """
        x, readable = self._observe(dataset)
        scores = np.full((len(dataset), self.n_outputs), np.nan)
        scores[readable] = self.estimator.scores(x)
        if self.task == "multiclass":  # never answer a class that had no example
            scores[:, self.unseen] = np.nanmin(scores) - 1
        return scores

    def _examples(self, dataset):
        x, readable = self._observe(dataset)
        y = dataset.targets
        if self.task == "multiclass":
            y = np.eye(self.n_outputs, dtype=np.float32)[y]
        return x, y[readable]

    def _observe(self, dataset):
        """Return the features of the readable clips, and which these are."""
        if self.feature is None:
            return np.zeros((len(dataset), 1)), np.ones(len(dataset), dtype=bool)
        if (
            self.feature == "tempo"
            and "tempo" in dataset.clips
            and dataset.clips["tempo"].notna().all()
        ):
            tempo = dataset.clips["tempo"].to_numpy(dtype=float)
            return tempo[:, None], np.ones(len(tempo), dtype=bool)
        compute = self.feature if callable(self.feature) else partial(extract, feature=self.feature)
        clips = compute(dataset)
        readable = np.array([len(rows) > 0 for rows in clips], dtype=bool)
        clips = [rows for rows in clips if len(rows)]
        if not clips:
            raise MirdlError(f"{dataset.name}: no clip could be read")
        framewise = getattr(self.estimator, "framewise", False)
        return clips if framewise else np.concatenate(clips), readable


# The baselines, in the order of lesson 03


def majority():
    """Return the share of each tag in the training clips, whatever the clip; the largest class."""
    return Baseline(None, Direct(DummyRegressor()))


def knn_tempo(n_neighbors=1):
    """Vote of the clips nearest in tempo [Gouyon et al., ISMIR 2004; thesis section 3.2: 82.3 %].

    The tempo is the annotated one where each clip has one (column ``tempo``), otherwise an
    estimate of librosa.
    """
    return Baseline("tempo", Direct(KNeighborsRegressor(n_neighbors)))


def knn(n_neighbors=10):
    """Vote of the clips with the nearest MFCC-120 by cosine distance [thesis section 6.2.2]."""
    neighbours = KNeighborsRegressor(n_neighbors, metric="cosine")
    return Baseline("mfcc120", Direct(make_pipeline(StandardScaler(), neighbours)))


def logistic_regression(C=0.01):
    """Logistic regression on MFCC-120; ridge regression for continuous targets."""
    return Baseline("mfcc120", linear(C))


def svm_linear():
    """Linear support vector machine on MFCC-120; C chosen on the validation clips."""
    return Baseline("mfcc120", SupportVectors(gammas=[None]))


def svm_rbf():
    """RBF support vector machine on MFCC-120; gamma and C of the thesis' grid [section 4.3]."""
    return Baseline("mfcc120", SupportVectors(GAMMAS))


def boosted_trees(n_trees=100, seed=0, feature="mfcc120"):
    """Gradient-boosted trees on MFCC-120, one ensemble a tag [thesis section 5.5.1].

    Every split looks at a quarter of the features, drawn by the seed. With the feature
    "descriptors" (timbre, rhythm, harmony) it is the third line of lesson 22.
    """
    options = {"max_iter": n_trees, "max_features": 0.25, "random_state": seed}
    options["early_stopping"] = False
    estimators = HistGradientBoostingClassifier(**options), HistGradientBoostingRegressor(**options)
    return Baseline(feature, PerOutput(*estimators))


def gmm(n_components=8, seed=0):
    """Gaussian mixtures of MFCC frames, each tag against the rest [thesis Table 3.3].

    The thesis takes 40 components, for phonemes with far more frames a class.
    """
    return Baseline("mfcc", Mixtures(n_components, seed))


def codebook(n_words=256, C=0.01, seed=0):
    """Histogram of k-means words over the MFCC frames, then logistic regression [slides]."""
    return Baseline("mfcc", Codebook(n_words, linear(C), seed))


# Estimators: fit(x, y, task, valid) and scores(x)


class Direct:
    """An estimator that predicts the whole target matrix, such as the mean over neighbours."""

    def __init__(self, estimator):
        self.estimator = estimator

    def fit(self, x, y, task, valid):
        self.estimator.fit(x, y)

    def scores(self, x):
        return self.estimator.predict(x).reshape(len(x), -1)


class PerOutput:
    """One classifier (or regressor) for each column of the target."""

    def __init__(self, classifier, regressor):
        self.classifier, self.regressor = classifier, regressor

    def fit(self, x, y, task, valid):
        prototype = self.regressor if task == "regression" else self.classifier
        self.fitted = [
            clone(DummyRegressor() if _constant(column) else prototype).fit(x, column)
            for column in y.T
        ]

    def scores(self, x):
        return np.stack([_score(estimator, x) for estimator in self.fitted], axis=1)


class SupportVectors:
    """Support vector machines on Gram matrices, which all values of C and all tags share.

    Parameters
    ----------
    gammas : list
        Widths of exp(-gamma |a - b|²), "1/n" for one over the number of features n; [None] for
        the linear kernel a·b/n. Features are standardised; without the division by n the grid
        of C lies far above the best value, where a fit takes minutes.
    C : sequence of float
    """

    def __init__(self, gammas, C=(0.1, 2.0, 8.0, 32.0)):
        self.gammas, self.C = gammas, C

    def fit(self, x, y, task, valid):
        if valid is None:
            raise MirdlError("a support vector machine chooses C on validation clips: give valid=")
        self.scaler = StandardScaler().fit(x)
        self.x = self.scaler.transform(x)
        x_valid, y_valid = self.scaler.transform(valid[0]), valid[1]
        machine = SVR if task == "regression" else SVC
        best = -np.inf
        for gamma in self.gammas:
            gram, gram_valid = self._gram(self.x, gamma), self._gram(x_valid, gamma)
            for C in self.C:
                machines = PerOutput(*[machine(kernel="precomputed", C=C)] * 2)
                machines.fit(gram, y, task, None)
                reached = quality(machines.scores(gram_valid), y_valid, task)
                if reached > best:
                    best, self.chosen, self.machines = reached, {"gamma": gamma, "C": C}, machines

    def scores(self, x):
        return self.machines.scores(self._gram(self.scaler.transform(x), self.chosen["gamma"]))

    def _gram(self, x, gamma):
        if gamma is None:
            return x @ self.x.T / x.shape[1]
        gamma = 1 / x.shape[1] if gamma == "1/n" else gamma
        return np.exp(-gamma * euclidean_distances(x, self.x, squared=True))


class Mixtures:
    """For each output, how much likelier a clip's frames are with it than without it.

    Two mixtures of Gaussians with diagonal covariance for each output, each on at most
    `n_frames` random frames; the score is the mean difference of log-likelihoods.
    """

    framewise = True

    def __init__(self, n_components, seed, n_frames=10_000):
        self.n_components, self.seed, self.n_frames = n_components, seed, n_frames

    def fit(self, x, y, task, valid):
        if task == "regression":
            raise MirdlError("mixtures tell classes apart: no gmm for continuous targets")
        self.scaler = StandardScaler().fit(np.concatenate(x))
        rng = np.random.default_rng(self.seed)
        self.pairs = []
        for column in y.T:
            chosen = [np.flatnonzero(column == side) for side in (1, 0)]
            known = all(len(clips) for clips in chosen)
            pair = (
                [self._mixture([x[i] for i in clips], rng) for clips in chosen] if known else None
            )
            self.pairs.append(pair)

    def scores(self, x):
        ends = np.cumsum([len(frames) for frames in x])
        starts = np.concatenate([[0], ends[:-1]])
        frames = self.scaler.transform(np.concatenate(x))
        scores = np.zeros((len(x), len(self.pairs)))
        for k, pair in enumerate(self.pairs):
            if pair:
                ratio = pair[0].score_samples(frames) - pair[1].score_samples(frames)
                scores[:, k] = np.add.reduceat(ratio, starts) / (ends - starts)
        return scores

    def _mixture(self, clips, rng):
        frames = self.scaler.transform(np.concatenate(clips))
        frames = frames[rng.permutation(len(frames))[: self.n_frames]]
        n_components = min(self.n_components, len(frames))
        return GaussianMixture(
            n_components, covariance_type="diag", reg_covar=1e-3, random_state=self.seed
        ).fit(frames)


class Codebook:
    """Frames become words, the nearest of `n_words` centres; a clip the histogram of its words.

    The square root of the histogram keeps frequent words from drowning the others.
    """

    framewise = True

    def __init__(self, n_words, estimator, seed):
        self.n_words, self.estimator, self.seed = n_words, estimator, seed

    def fit(self, x, y, task, valid):
        frames = np.concatenate(x)
        self.scaler = StandardScaler().fit(frames)
        n_words = min(self.n_words, len(frames))
        words = MiniBatchKMeans(n_words, batch_size=4096, random_state=self.seed)
        self.words = words.fit(self.scaler.transform(frames))
        self.estimator.fit(self._histograms(x), y, task, None)

    def scores(self, x):
        return self.estimator.scores(self._histograms(x))

    def _histograms(self, x):
        words = [self.words.predict(self.scaler.transform(frames)) for frames in x]
        counts = [np.bincount(w, minlength=self.words.n_clusters) / len(w) for w in words]
        return np.sqrt(np.stack(counts))  # (n_clips, n_words)


def linear(C):
    """Logistic regression, or ridge regression of like strength, on standardised features."""
    return PerOutput(
        make_pipeline(StandardScaler(), LogisticRegression(C=C, max_iter=1000)),
        make_pipeline(StandardScaler(), Ridge(alpha=1 / C)),
    )


def _constant(column):
    return column.min() == column.max()


def _score(estimator, x):
    """Return one score a clip: a probability where there is one, a margin, or a value."""
    if hasattr(estimator, "predict_proba"):
        return estimator.predict_proba(x)[:, 1]
    if hasattr(estimator, "decision_function"):
        return estimator.decision_function(x)
    return estimator.predict(x)


def quality(scores, y, task):
    """Return the number by which the grid is searched: ROC-AUC, accuracy or R²."""
    if task == "regression":
        return r2_score(y, scores)
    if task == "multiclass":
        return np.mean(scores.argmax(axis=1) == y.argmax(axis=1))
    known = ~np.array([_constant(column) for column in y.T])
    return roc_auc_score(y[:, known], scores[:, known])
