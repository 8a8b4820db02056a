"""Features learnt without labels, pooled over time, and a classifier [slides] (lesson 06).

Dictionaries on constant-Q frames, whole or by octave [Henaff et al., ISMIR 2011], and on patches
of a mel-spectrogram [Nam et al., ISMIR 2012]; deep belief networks on single frames [Hamel & Eck,
ISMIR 2010].
"""

from dataclasses import dataclass

import numpy as np
import torch

from mirdl import features
from mirdl.errors import MirdlError
from mirdl.models.baselines import Baseline, linear
from mirdl.models.descriptors import Feature
from mirdl.models.dictionary import RBM, DeepBelief, KMeans, SparseAutoencoder, SparseCoding

LEARNERS = {
    "kmeans": KMeans,
    "sparse_coding": SparseCoding,
    "sparse_autoencoder": SparseAutoencoder,
    "rbm": RBM,
}

# Frames


def cqt_frames(waveform, sample_rate):
    """Return log10(1 + 10,000 x) of the constant-Q transform, float32 (n_frames, 96).

    Quarter tones from C2 to C6 (65 to 1047 Hz), as in the slides, every 512 samples.
    """
    spectrum = features.cqt(waveform, sample_rate, 512, n_octaves=5, bins_per_octave=24)
    return np.log10(1 + 10_000 * spectrum[24:]).T


def mel_frames(waveform, sample_rate):
    """Return log10(1 + 10,000 x) of 96 mel bands, float32 (n_frames, 96), every 512 samples."""
    front_end = features.front_end("mel96_log", n_fft=1024, hop_length=512)
    with torch.inference_mode():
        return front_end(torch.from_numpy(waveform)[None])[0].numpy().T


@dataclass(frozen=True)
class Representation:
    """The vectors that a learner sees of a clip.

    Attributes
    ----------
    feature : Feature
        Frames, (n_frames, n_bins), every 32 ms.
    patch : int
        Frames side by side in a vector; patches overlap by half.
    n_parts : int
        Parts, such as octaves, into which each frame is cut: vectors of their own to the learner,
        side by side again in the code.
    """

    feature: Feature
    patch: int = 1
    n_parts: int = 1

    @property
    def hop(self):
        """Seconds from one vector to the next."""
        return max(1, self.patch // 2) * 512 / 16_000

    def vectors(self, frames):
        """Return (n_vectors, n_parts, d) of the frames of a clip."""
        if self.patch > 1:
            patches = np.lib.stride_tricks.sliding_window_view(frames, self.patch, axis=0)
            frames = patches[:: self.patch // 2]  # (n_vectors, n_bins, patch)
        return frames.reshape(len(frames), self.n_parts, -1)


CQT, MEL = (
    Feature(compute.__name__, compute, sample_rate=16_000) for compute in (cqt_frames, mel_frames)
)
REPRESENTATIONS = {
    "cqt": Representation(CQT),
    "cqt_octave": Representation(CQT, n_parts=4),
    "mel_frame": Representation(MEL),
    "mel_patch": Representation(MEL, patch=4),  # 128 ms
}

# From codes to tags

POOLINGS = {
    "mean": lambda x: x.mean(axis=0),
    "max": lambda x: x.max(axis=0),
    "mean_std": lambda x: np.concatenate([x.mean(axis=0), x.std(axis=0)]),
}


class OnCodes:
    """An estimator that learns codes of frames, pools them over time and classifies the pools.

    Parameters
    ----------
    learner : Learner
    representation : Representation
    pooling : str
        One of `POOLINGS`.
    seconds : float, optional
        Length over which codes are pooled; 0 for single vectors. A classifier then sees every
        such piece with the labels of its clip, and the scores of the pieces are averaged. None
        pools the whole clip.
    classifier : object
        As the estimator of a `Baseline`; None where the code itself is the score.
    seed : int
    n_vectors, n_pieces : int
        Random vectors that the learner, and pieces that the classifier, sees at most.
    """

    framewise = True

    def __init__(
        self, learner, representation, pooling, seconds, classifier, seed,
        n_vectors=20_000, n_pieces=20_000,
    ):  # fmt: skip
        self.learner, self.representation, self.pooling = learner, representation, pooling
        self.seconds, self.classifier, self.seed = seconds, classifier, seed
        self.n_vectors, self.n_pieces = n_vectors, n_pieces

    def fit(self, x, y, task, valid):
        self.learn(x, y, task)
        self.classify(x, y, task)

    def learn(self, x, y, task):
        """Fit the learner alone."""
        vectors = [np.concatenate(self.representation.vectors(frames)) for frames in x]
        rng = np.random.default_rng((self.seed, 0))
        self.learner.fit(*self._some(vectors, y, self.n_vectors, rng), task)

    def classify(self, x, y, task):
        """Fit the classifier alone, as after another choice of pooling or seconds."""
        if self.classifier is not None:
            rng = np.random.default_rng((self.seed, 1))
            self.classifier.fit(*self._some(self.pooled(x), y, self.n_pieces, rng), task, None)

    def scores(self, x):
        pieces = self.pooled(x)
        if self.classifier is not None:
            ends = np.cumsum([len(clip) for clip in pieces])[:-1]
            pieces = np.split(self.classifier.scores(np.concatenate(pieces)), ends)
        return np.stack([clip.mean(axis=0) for clip in pieces])

    def pooled(self, x):
        """Return the pooled codes of each clip, arrays (n_pieces, n_values)."""
        return [self._pooled(frames) for frames in x]

    def _pooled(self, frames):
        vectors = self.representation.vectors(frames)  # (n, n_parts, d)
        codes = self.learner.encode(vectors.reshape(-1, vectors.shape[2]))
        codes = codes.reshape(len(vectors), -1)  # (n, n_parts * n_units)
        seconds = np.inf if self.seconds is None else self.seconds
        length = int(np.clip(seconds / self.representation.hop, 1, len(codes)))
        pieces = np.split(codes, range(length, len(codes), length))
        return np.stack([POOLINGS[self.pooling](piece) for piece in pieces])

    def _some(self, clips, y, n, rng):
        """Return at most n of all rows, each clip giving alike, and the labels of their clips."""
        share = max(1, n // len(clips))
        chosen = [rows[np.sort(rng.permutation(len(rows))[:share])] for rows in clips]
        return np.concatenate(chosen), np.repeat(y, [len(rows) for rows in chosen], axis=0)


def learned_features(
    learner="kmeans",
    representation="mel_patch",
    pooling="mean",
    seconds=None,
    n_units=256,
    C=0.01,
    seed=0,
    **options,
):
    """Features learnt without labels, pooled over time, then logistic regression [slides].

    Parameters
    ----------
    learner : {"kmeans", "sparse_coding", "sparse_autoencoder", "rbm"}
    representation : {"cqt", "cqt_octave", "mel_frame", "mel_patch"}
    pooling : {"mean", "max", "mean_std"}
    seconds : float, optional
        As in `OnCodes`: None for whole clips, 0 for single frames.
    n_units : int
    C : float
        Of the logistic regression.
    seed : int
    **options
        Of the learner, such as ``soft=True`` of k-means or ``alpha`` of sparse coding.
    """
    made = _one_of(LEARNERS, learner, "learner")(n_units, seed, **options)
    return _baseline(made, representation, pooling, seconds, linear(C), seed)


def deep_belief_network(
    layers=(50, 50, 50),
    representation="mel_frame",
    layer=None,
    pooling=None,
    seconds=None,
    C=0.01,
    seed=0,
    **options,
):
    """A deep belief network, pre-trained layer by layer and fine-tuned on frames [slides].

    Parameters
    ----------
    layers, layer
        As in `DeepBelief`: by default its own outputs are averaged over the clip; with a layer,
        or "all", its hidden units are pooled, by mean and deviation, and a logistic regression
        classifies them (the slides' two tables).
    representation : {"cqt", "mel_frame", "mel_patch"}
    pooling, seconds, C, seed
        As in `learned_features`.
    **options
        Of `DeepBelief`, such as ``pretrain=False``.
    """
    if representation == "cqt_octave":
        raise MirdlError("a deep belief network sees whole frames, not octaves")
    if layer not in (None, "all", *range(1, len(layers) + 1)):
        raise MirdlError(f"no layer {layer!r}: 1 to {len(layers)}, 'all' or None")
    learner = DeepBelief(layers, seed, layer=layer, **options)
    classifier = None if layer is None else linear(C)
    pooling = pooling or ("mean" if layer is None else "mean_std")
    return _baseline(learner, representation, pooling, seconds, classifier, seed, n_vectors=40_000)


def _baseline(learner, representation, pooling, seconds, classifier, seed, **options):
    chosen = _one_of(REPRESENTATIONS, representation, "representation")
    _one_of(POOLINGS, pooling, "pooling")
    estimator = OnCodes(learner, chosen, pooling, seconds, classifier, seed, **options)
    return Baseline(chosen.feature, estimator)


def _one_of(known, name, what):
    if name not in known:
        raise MirdlError(f"no {what} {name!r}; there are: {', '.join(known)}")
    return known[name]
