"""Learning without tags: two crops of a track should look alike to a network (lesson 20).

SimCLR [Chen et al., ICML 2020] on audio, as CLMR does [Spijkervet & Burgoyne, ISMIR 2021]::

    fit(Contrastive(network), train, valid, objective=Pairs(), augment=RECIPE, best_by="loss")

leaves in ``network`` what was learnt; `linear_probe` asks what it is worth.
"""

import math
from dataclasses import dataclass
from functools import partial
from threading import Lock

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from mirdl.errors import AudioError, MirdlError
from mirdl.models import descriptors
from mirdl.models.baselines import Baseline, linear

#: Clips are decoded by several threads, and a hook would hear what each of them sends.
ONE_AT_A_TIME = Lock()


def nt_xent(a, b, temperature=0.5):
    """Return the normalised, temperature-scaled cross-entropy of pairs of vectors.

    Row i of a and row i of b are a pair. Each of the 2n vectors should be nearer, by cosine, to
    its partner than to the 2n - 2 others: the mean of -log softmax(cosine / temperature) at the
    partner [Chen et al., ICML 2020, Eq. 1].

    Parameters
    ----------
    a, b : torch.Tensor, (n, d)
    temperature : float
        CLMR takes 0.5.
    """
    similarities, partner = _similarities(a, b)
    return F.cross_entropy(similarities / temperature, partner)


def _similarities(a, b):
    """Return the cosines of 2n vectors, (2n, 2n), -inf with themselves; and each one's partner."""
    n = len(a)
    vectors = F.normalize(torch.cat([a, b]), dim=1)  # (2n, d)
    itself = torch.eye(2 * n, dtype=torch.bool, device=vectors.device)
    partner = torch.arange(2 * n, device=vectors.device).roll(n)  # n, …, 2n - 1, 0, …, n - 1
    return (vectors @ vectors.T).masked_fill(itself, -torch.inf), partner


@dataclass(frozen=True)
class Pairs:
    """What `mirdl.training.fit` learns in place of labels: which crops are of one clip.

    Attributes
    ----------
    temperature : float
        Of `nt_xent`.
    views : int
        Crops of every clip.
    """

    temperature: float = 0.5
    views = 2

    def loss(self, vectors, targets):
        """Return the loss of vectors (2 batch, d), row i and row batch + i of one clip.

        The targets are not looked at. Of several processes each tells its own clips apart.
        """
        return nt_xent(*vectors.chunk(2), self.temperature)

    @torch.inference_mode()
    def validate(self, network, valid, audio):
        """Return the loss of two crops of every clip, always the same and not changed.

        And "pair_accuracy", the share of crops whose partner is the nearest of all others.
        """
        usable = np.flatnonzero(audio.usable)
        parts = np.array_split(usable, math.ceil(len(usable) / 64))
        device = next(network.parameters()).device
        network.eval()
        views = (
            [network(audio.crops(part, network.n_samples, 0, view).to(device)) for part in parts]
            for view in range(self.views)
        )
        a, b = (torch.cat(vectors).float() for vectors in views)
        similarities, partner = _similarities(a, b)
        found = (similarities.argmax(dim=1) == partner).double().mean()
        return float(nt_xent(a, b, self.temperature)), "pair_accuracy", float(found)


class Embedding(nn.Module):
    """What the last dense layer of a network sees: the clip as a vector.

    The network is used as it is, neither copied nor changed: train the embedding, and the network
    is trained but for its last layer, which a fine-tuning on tags then learns.

    Parameters
    ----------
    network : Tagger
        Any whose logits come out of a dense layer, the last in it.

    Attributes
    ----------
    n_values : int
        Length of the vectors.
    """

    def __init__(self, network):
        super().__init__()
        dense = [m for m in network.modules() if isinstance(m, nn.Linear)]
        if not dense or dense[-1].out_features != network.n_outputs:
            raise MirdlError(f"{type(network).__name__} does not end in a dense layer")
        self.network, self.n_values = network, dense[-1].in_features
        self.sample_rate, self.n_samples = network.sample_rate, network.n_samples

    @property
    def last(self):
        """The last dense layer of the network."""
        return [m for m in self.network.modules() if isinstance(m, nn.Linear)][-1]

    def forward(self, audio):
        """Turn audio, (batch, n_samples), into vectors, (batch, n_values)."""
        seen = []
        hook = self.last.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
        try:
            self.network(audio)
        finally:
            hook.remove()
        if seen[0].dim() != 2:
            raise MirdlError(f"{type(self.network).__name__} decides on frames, not on clips")
        return seen[0]

    @torch.inference_mode()
    def of_clip(self, waveform):
        """Return the mean vector of a clip's windows, float32 (n_values,).

        Windows of the network's length stand side by side from the clip's start; what is left
        over at the end is not heard. A shorter clip is repeated until it fills one.

        Parameters
        ----------
        waveform : array or torch.Tensor, float32 (n_samples,)
        """
        waveform = torch.as_tensor(waveform)
        length = self.n_samples or len(waveform)
        waveform = waveform.repeat(math.ceil(length / len(waveform)))
        windows = waveform[: len(waveform) // length * length].reshape(-1, length)
        device = next(self.network.parameters()).device
        with ONE_AT_A_TIME:
            return self(windows.to(device)).float().mean(dim=0).cpu().numpy()


class Contrastive(nn.Module):
    """A network and a projection head: audio to the vectors that `Pairs` compares.

    The network's last dense layer, which has no part in it, is held still.

    Parameters
    ----------
    network : Tagger
    projection : int or nn.Module
        Values that the head gives: a hidden layer with ReLU, then a dense one. Or a head.

    Raises
    ------
    MirdlError
        If the network takes any length, or does not end in a dense layer.
    """

    def __init__(self, network, projection=128):
        super().__init__()
        self.embedding = Embedding(network)
        self.embedding.last.requires_grad_(False)
        n_values = self.embedding.n_values
        if isinstance(projection, int):
            projection = nn.Sequential(
                nn.Linear(n_values, n_values), nn.ReLU(), nn.Linear(n_values, projection)
            )
        self.projection = projection
        self.sample_rate, self.n_samples = network.sample_rate, network.n_samples
        if self.n_samples is None:
            raise MirdlError("crops need a length, and this network takes any: give for_seconds")

    @property
    def front_end(self):
        """The front end of the network, whose normalisation `mirdl.training.fit` fits."""
        return self.embedding.network.front_end

    def forward(self, audio):
        """Turn audio, (batch, n_samples), into projected vectors, (batch, projection)."""
        return self.projection(self.embedding(audio))


def embeddings(dataset, network, audio=None):
    """Compute the vector of every clip, by `Embedding.of_clip`.

    Parameters
    ----------
    dataset : Dataset
    network : Tagger
        It hears clips in evaluation mode, and keeps the mode it was in.
    audio : Pack, optional
        Decoded audio of the same data set, read instead of its files.

    Returns
    -------
    list of numpy.ndarray
        For each clip float32 (1, n_values); no row where the clip cannot be read, which a warning
        reports. They are not cached: networks change.
    """
    embedding, was = Embedding(network), network.training
    network.eval()

    def packed(i):
        try:
            return embedding.of_clip(audio.clip(i))[None], ""
        except AudioError as error:
            return np.zeros((0, embedding.n_values), np.float32), str(error)

    if audio is None:
        feature = descriptors.Feature(
            "embedding", lambda waveform, _: embedding.of_clip(waveform), network.sample_rate
        )
        found = descriptors.compute(dataset, feature, range(len(dataset)))
    else:
        found = [packed(i) for i in range(len(dataset))]
    network.train(was)
    return descriptors.readable(found)


def linear_probe(network, C=0.01):
    """Return a baseline that classifies the vectors of a frozen network by logistic regression.

    Parameters
    ----------
    network : Tagger
    C : float
        Weight of the data against the penalty.

    Returns
    -------
    Baseline
        ``fit(train, valid)`` and ``predict(dataset)``; `mirdl.evaluation.evaluate` takes it.
    """
    return Baseline(partial(embeddings, network=network), linear(C))
