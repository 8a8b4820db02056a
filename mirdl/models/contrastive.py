"""Learning without tags: two views of a clip should look alike to a network (lesson 20).

SimCLR [Chen et al., ICML 2020] on audio, as CLMR does [Spijkervet & Burgoyne, ISMIR 2021].
"""

from functools import partial
from threading import Lock

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from mirdl.errors import MirdlError
from mirdl.models import descriptors
from mirdl.models.baselines import Baseline, linear


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
    n = len(a)
    vectors = F.normalize(torch.cat([a, b]), dim=1)  # (2n, d)
    similarities = vectors @ vectors.T / temperature  # (2n, 2n)
    itself = torch.eye(2 * n, dtype=torch.bool, device=vectors.device)
    partner = torch.arange(2 * n, device=vectors.device).roll(n)  # n, …, 2n - 1, 0, …, n - 1
    return F.cross_entropy(similarities.masked_fill(itself, -torch.inf), partner)


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

    def forward(self, audio):
        """Turn audio, (batch, n_samples), into vectors, (batch, n_values)."""
        last = [m for m in self.network.modules() if isinstance(m, nn.Linear)][-1]
        seen = []
        hook = last.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
        try:
            self.network(audio)
        finally:
            hook.remove()
        if seen[0].dim() != 2:
            raise MirdlError(f"{type(self.network).__name__} decides on frames, not on clips")
        return seen[0]


class Contrastive(nn.Module):
    """A network and a projection head, whose loss asks that two views of a clip agree.

    Parameters
    ----------
    network : Tagger
    projection : int or nn.Module
        Values that the head gives: a hidden layer with ReLU, then a dense one. Or a head.
    temperature : float
        Of `nt_xent`.
    augment : callable, optional
        Changes a batch of audio, (batch, n_samples), at random; each view by itself, in training
        only.
    """

    def __init__(self, network, projection=128, temperature=0.5, augment=None):
        super().__init__()
        self.embedding = Embedding(network)
        n_values = self.embedding.n_values
        if isinstance(projection, int):
            projection = nn.Sequential(
                nn.Linear(n_values, n_values), nn.ReLU(), nn.Linear(n_values, projection)
            )
        self.projection, self.temperature, self.augment = projection, temperature, augment
        self.sample_rate, self.n_samples = network.sample_rate, network.n_samples

    def forward(self, view_a, view_b):
        """Return the loss of two crops, each (batch, n_samples); row i of both from one track."""
        if self.training and self.augment is not None:
            view_a, view_b = self.augment(view_a), self.augment(view_b)
        # both views in one batch, so that batch normalisation treats them alike
        vectors = self.embedding(torch.cat([view_a, view_b]))  # (2 batch, n_values)
        a, b = self.projection(vectors).chunk(2)  # each (batch, projection)
        return nt_xent(a, b, self.temperature)

    @torch.inference_mode()
    def embed(self, audio):
        """Return the vectors of audio, (batch, n_samples) → (batch, n_values), without the head."""
        was = self.training
        vectors = self.eval().embedding(audio)
        self.train(was)
        return vectors


def embeddings(dataset, network):
    """Compute the vector of every clip: the mean over its windows.

    Parameters
    ----------
    dataset : Dataset
    network : Tagger
        Windows of its length stand side by side from the clip's start; what is left over at the
        end is not heard, a clip shorter than one window is padded with zeros.

    Returns
    -------
    list of numpy.ndarray
        For each clip float32 (1, n_values); no row where the clip cannot be read, which a warning
        reports. They are not cached: networks change.
    """
    embedding, device = Embedding(network), next(network.parameters()).device
    was, one_at_a_time = embedding.training, Lock()  # clips are decoded by several threads
    embedding.eval()

    def of_clip(waveform, _):
        length = network.n_samples or len(waveform)
        waveform = np.pad(waveform, (0, max(0, length - len(waveform))))
        windows = waveform[: len(waveform) // length * length].reshape(-1, length)
        with one_at_a_time, torch.inference_mode():
            return embedding(torch.from_numpy(windows).to(device)).mean(dim=0).cpu().numpy()

    feature = descriptors.Feature("embedding", of_clip, network.sample_rate)
    found = descriptors.compute(dataset, feature, range(len(dataset)))
    embedding.train(was)
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
