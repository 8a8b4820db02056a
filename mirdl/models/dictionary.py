"""Learning without labels: dictionaries, shallow and sparse, and deep belief networks (lesson 06).

Slides, "Early Deep Learning". A learner has ``fit(frames (n, d)) -> self``,
``encode(frames) -> (n, n_units)`` and ``bases (n_units, d)``, what each unit looks for.
"""

import warnings
from functools import partial

import numpy as np
import torch
from sklearn.cluster import MiniBatchKMeans
from sklearn.decomposition import PCA, MiniBatchDictionaryLearning, sparse_encode
from sklearn.exceptions import ConvergenceWarning
from torch.nn import functional as F


class Learner:
    """What all learners share: vectors are whitened first.

    Parameters
    ----------
    n_units : int
        Size of the dictionary: centres, atoms or hidden units.
    seed : int
    variance : float
        Share of the variance that the principal components keep.

    Attributes
    ----------
    filters : numpy.ndarray, (n_units, n_components)
        What `learn` finds, among whitened vectors.
    """

    def __init__(self, n_units=256, seed=0, variance=0.95):
        self.n_units, self.seed, self.variance = n_units, seed, variance

    def fit(self, frames, labels=None, task=None):
        """Learn from frames, (n, d); return self. Labels are for `DeepBelief` alone."""
        self.learn(self.whiten(frames))
        return self

    def whiten(self, frames):
        """Fit the whitening; return whitened frames, (n, n_components)."""
        self.whitening = PCA(self.variance, whiten=True, svd_solver="covariance_eigh")
        return self.whitening.fit_transform(frames)

    def encode(self, frames):
        """Return how strongly each unit answers to each frame, float32 (n, n_units)."""
        return np.asarray(self.code(self.whitening.transform(frames)), np.float32)

    @property
    def bases(self):
        """What each unit looks for: (n_units, d), as differences from the mean frame."""
        return self.whitening.inverse_transform(self.filters) - self.whitening.mean_

    def batches(self, x, n_epochs, size=128):
        """Yield shuffled batches of x as tensors, and the generator that shuffles."""
        generator = torch.Generator().manual_seed(self.seed)
        x = torch.as_tensor(x)
        for _ in range(n_epochs):
            for indices in torch.randperm(len(x), generator=generator).split(size):
                yield x[indices], generator

    def draw(self, *shape, scale=0.01):
        """Return small random weights."""
        return scale * torch.randn(*shape, generator=torch.Generator().manual_seed(self.seed))


class KMeans(Learner):
    """Centres of clusters: the code is one-hot, or soft.

    ``soft=True`` says how much nearer than the average centre each centre is, 0 beyond it
    [the triangle of Coates et al., AISTATS 2011].
    """

    def __init__(self, *args, soft=False, **options):
        super().__init__(*args, **options)
        self.soft = soft

    def learn(self, x):
        n_units = min(self.n_units, len(x))
        self.centres = MiniBatchKMeans(n_units, batch_size=4096, random_state=self.seed).fit(x)
        self.filters = self.centres.cluster_centers_

    def code(self, x):
        distances = self.centres.transform(x)  # (n, n_units)
        if self.soft:
            return np.maximum(distances.mean(axis=1, keepdims=True) - distances, 0)
        return np.eye(len(self.filters), dtype=np.float32)[distances.argmin(axis=1)]


class SparseCoding(Learner):
    """Atoms of which a few, added up, explain a frame [Olshausen & Field, 1996].

    The code h ≥ 0 minimises ½ |x - h D|² + alpha |h|₁; learning minimises it over unit-length
    atoms D too. Where atoms are alike the solver stops short of its tolerance, with an objective
    at most 0.001 too high (measured); it need not say so.
    """

    def __init__(self, *args, alpha=1.0, **options):
        super().__init__(*args, **options)
        self.alpha = alpha

    def learn(self, x):
        options = {"batch_size": 512, "max_iter": 1, "random_state": self.seed}
        options |= {"fit_algorithm": "cd", "transform_algorithm": "lasso_cd"}
        atoms = MiniBatchDictionaryLearning(
            self.n_units, alpha=self.alpha, positive_code=True, **options
        )
        # float32 cannot reach the tolerance of the solver
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            self.filters = atoms.fit(x.astype(np.float64)).components_

    def code(self, x):
        options = {"algorithm": "lasso_cd", "alpha": self.alpha, "positive": True}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            return sparse_encode(x.astype(np.float64), self.filters, **options)


class SparseAutoencoder(Learner):
    """An autoencoder whose sigmoid units are seldom active.

    The loss is the squared error of the reconstruction, plus `weight` times the Kullback-Leibler
    divergence of each unit's mean activity in the batch from `sparsity`.
    """

    def __init__(self, *args, sparsity=0.05, weight=3.0, n_epochs=20, **options):
        super().__init__(*args, **options)
        self.sparsity, self.weight, self.n_epochs = sparsity, weight, n_epochs

    def learn(self, x):
        n_units, d = self.n_units, x.shape[1]
        self.encoder, self.decoder = self.draw(d, n_units, scale=0.1), self.draw(n_units, d)
        p = self.sparsity
        self.bias, mean = torch.full((n_units,), np.log(p / (1 - p))), torch.zeros(d)
        weights = [self.encoder, self.decoder, self.bias, mean]
        optimizer = torch.optim.Adam([w.requires_grad_() for w in weights], lr=2e-3)
        self.losses = []
        for batch, _ in self.batches(x, self.n_epochs):
            h = torch.sigmoid(batch @ self.encoder + self.bias)  # (batch, n_units)
            error = (h @ self.decoder + mean - batch).square().sum(dim=1).mean() / 2
            q = h.mean(dim=0).clamp(1e-6, 1 - 1e-6)
            divergence = p * torch.log(p / q) + (1 - p) * torch.log((1 - p) / (1 - q))
            loss = error + self.weight * divergence.sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            self.losses.append(loss.item())
        for weight in weights:
            weight.requires_grad_(False)
        self.filters = self.decoder.numpy()

    def code(self, x):
        return torch.sigmoid(torch.from_numpy(x) @ self.encoder + self.bias).numpy()


class RBM(Learner):
    """Restricted Boltzmann machine, learnt by one step of contrastive divergence [Hinton, 2002].

    Hidden units are binary; visible ones "gaussian" of variance 1, for whitened frames, or
    "bernoulli", for the hidden units of another machine.

    Parameters
    ----------
    sparsity : float, optional
        Mean activity to which the biases pull the hidden units [Nam et al.: 0.01]; None for none.
    """

    def __init__(
        self,
        *args,
        visible="gaussian",
        sparsity=0.05,
        n_epochs=20,
        learning_rate=0.01,
        momentum=0.5,
        **options,
    ):
        super().__init__(*args, **options)
        self.visible, self.sparsity, self.n_epochs = visible, sparsity, n_epochs
        self.learning_rate, self.momentum = learning_rate, momentum

    def learn(self, x):
        d = x.shape[1]
        self.weights = self.draw(d, self.n_units)
        self.visible_bias, self.hidden_bias = torch.zeros(d), torch.zeros(self.n_units)
        parameters = [self.weights, self.visible_bias, self.hidden_bias]
        steps = [torch.zeros_like(p) for p in parameters]
        for v, generator in self.batches(x, self.n_epochs):
            h = self.hidden(v)  # (batch, n_units), probabilities
            v1 = self.reconstruct(torch.bernoulli(h, generator=generator))  # (batch, d)
            h1 = self.hidden(v1)
            gradients = [v.T @ h - v1.T @ h1, (v - v1).sum(dim=0), (h - h1).sum(dim=0)]
            if self.sparsity is not None:
                gradients[2] += (self.sparsity - h).sum(dim=0)
            for p, step, gradient in zip(parameters, steps, gradients, strict=True):
                step.mul_(self.momentum).add_(gradient, alpha=self.learning_rate / len(v))
                p.add_(step)
        self.filters = self.weights.T.numpy()

    def hidden(self, v):
        """Return the probabilities of the hidden units, (n, n_units)."""
        return torch.sigmoid(v @ self.weights + self.hidden_bias)

    def reconstruct(self, h):
        """Return the mean of the visible units, (n, d)."""
        v = h @ self.weights.T + self.visible_bias
        return torch.sigmoid(v) if self.visible == "bernoulli" else v

    def free_energy(self, v):
        """Return -log p(v) but for a constant, (n,): low where the machine expects data."""
        if self.visible == "bernoulli":
            visible = -v @ self.visible_bias
        else:
            visible = (v - self.visible_bias).square().sum(dim=1) / 2
        return visible - F.softplus(v @ self.weights + self.hidden_bias).sum(dim=1)

    def code(self, x):
        return self.hidden(torch.as_tensor(x)).numpy()


class DeepBelief(Learner):
    """A stack of RBMs, learnt layer by layer, then fine-tuned by the labels of each frame.

    Parameters
    ----------
    layers : sequence of int
        Hidden units of each layer.
    layer : {None, "all"} or int
        What `encode` gives: the outputs (probabilities or values), the units of all hidden layers
        or those of one layer, 1 for the first.
    pretrain : bool
        False starts from random weights (Glorot): what deep networks failed with before.
    n_epochs : int
        Passes over the frames of each RBM, and of the fine-tuning.
    """

    def __init__(
        self, layers=(50, 50, 50), seed=0, variance=0.99, layer=None, pretrain=True, n_epochs=30
    ):
        super().__init__(layers[0], seed, variance)
        self.layers, self.layer, self.pretrain = layers, layer, pretrain
        self.n_epochs = n_epochs

    def fit(self, frames, labels, task):
        """Learn from frames, (n, d), and the labels of their clips, (n, n_outputs); return self.

        The task is "multilabel", "multiclass" (labels one-hot) or "regression".
        """
        x, self.task = torch.from_numpy(self.whiten(frames)), task
        labels = torch.from_numpy(np.asarray(labels, np.float32))
        last = torch.zeros(self.layers[-1], labels.shape[1]), torch.zeros(labels.shape[1])
        self.weights = [weight for pair in (*self.start(x), last) for weight in pair]
        self.fine_tune(x, labels)
        self.filters = self.weights[0].T.numpy()
        return self

    def start(self, x):
        """Yield weights (n_in, n_out) and biases (n_out,) of each hidden layer before labels."""
        for i, n_units in enumerate(self.layers):
            if self.pretrain:
                visible = "bernoulli" if i else "gaussian"
                # binary units bear a larger rate than Gaussian ones [Hinton, 2010]; with the
                # default, machines above the first hardly leave their first weights
                options = {"learning_rate": 0.1 if i else 0.01, "momentum": 0.9}
                options |= {"sparsity": None, "n_epochs": self.n_epochs}
                machine = RBM(n_units, self.seed + i, visible=visible, **options)
                machine.learn(x)
                x = machine.hidden(x)
                yield machine.weights, machine.hidden_bias
            else:
                scale = (2 / (x.shape[1] + n_units)) ** 0.5
                yield self.draw(x.shape[1], n_units, scale=scale), torch.zeros(n_units)
                x = x[:, :1].expand(-1, n_units)  # only its shape matters

    def fine_tune(self, x, labels):
        """Minimise the loss of single frames by Adam."""
        loss_of = {
            "multilabel": F.binary_cross_entropy_with_logits,
            "multiclass": F.cross_entropy,
            "regression": F.mse_loss,
        }[self.task]
        optimizer = torch.optim.Adam([w.requires_grad_() for w in self.weights], lr=3e-3)
        for batch, _ in self.batches(torch.cat([x, labels], dim=1), self.n_epochs):
            frames, wanted = batch.split([x.shape[1], labels.shape[1]], dim=1)
            loss = loss_of(self.activations(frames)[-1], wanted)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        for weight in self.weights:
            weight.requires_grad_(False)

    def activations(self, x):
        """Return the units of every hidden layer, and the logits, each (n, n_units)."""
        found = []
        for weight, bias in zip(self.weights[:-2:2], self.weights[1:-2:2], strict=True):
            x = torch.sigmoid(x @ weight + bias)  # (n, n_units)
            found.append(x)
        return [*found, x @ self.weights[-2] + self.weights[-1]]

    def code(self, x):
        *hidden, logits = self.activations(torch.from_numpy(x))
        if self.layer == "all":
            return torch.cat(hidden, dim=1).numpy()
        if self.layer is not None:
            return hidden[self.layer - 1].numpy()
        squash = {"multilabel": torch.sigmoid, "multiclass": partial(torch.softmax, dim=1)}
        return squash.get(self.task, torch.clone)(logits).numpy()
