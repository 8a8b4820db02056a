"""Training with few examples and no validation set: fixed steps over patches (lesson 16).

What the thesis' chapter 6 says of training: plain stochastic gradient descent at a rate of 0.1,
gradients clipped at a norm of 5, an L2 penalty of 0.001, and patches drawn at random from
spectrograms that were computed once. Where the text is silent, the authors' code decides
(github.com/jordipons/neural-classifiers-with-few-audio). The number of steps is fixed beforehand,
since there is nothing on which to choose it.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from sklearn.preprocessing import StandardScaler
from torch import nn
from torch.nn import functional as F

from mirdl.datasets.pack import pack
from mirdl.features import FrontEnd
from mirdl.models.blocks import Tagger

#: Learning rate of new layers, largest norm of a gradient, penalty on half the squares of kernels.
RATE, CLIP, L2 = 0.1, 5.0, 0.001
#: Patches of a step of a plain network, as long as there are so many clips.
BATCH = 32
#: Patches of a class in the support, at most one of a clip, and in the queries of a step.
N_SUPPORT = N_QUERIES = 5
#: Windows of a clip that is scored, at most: evenly spread, or as many as cover it.
MOST_WINDOWS = 8


@dataclass
class Clips:
    """Clips as matrices from which patches are cut: spectrograms, or features window by window.

    Attributes
    ----------
    values : list of torch.Tensor, each float32 (n_rows, n_columns)
        Columns follow in time, at least `length` of them.
    labels : torch.Tensor of int, (n_clips,)
    length : int
        Columns of a patch.
    """

    values: list
    labels: torch.Tensor
    length: int

    def __len__(self):
        return len(self.values)

    def select(self, which):
        """Return some clips, given by index numbers or by a boolean mask."""
        rows = np.arange(len(self))[np.asarray(which)]
        return replace(self, values=[self.values[i] for i in rows], labels=self.labels[rows])

    def draw(self, which, rng):
        """Cut a random patch of each of some clips, (len(which), n_rows, length)."""
        chosen = [self.values[i] for i in which]
        starts = [rng.integers(value.shape[1] - self.length + 1) for value in chosen]
        return torch.stack(
            [
                value[:, start : start + self.length]
                for value, start in zip(chosen, starts, strict=True)
            ]
        )

    def windows(self):
        """Cut every clip into the patches that are scored.

        Returns
        -------
        patches : torch.Tensor, (n_windows, n_rows, length)
        owner : torch.Tensor of int, (n_windows,)
            The clip of each.
        """
        patches, owner = [], []
        for i, value in enumerate(self.values):
            number = min(MOST_WINDOWS, -(-value.shape[1] // self.length))
            for start in np.linspace(0, value.shape[1] - self.length, number).astype(int):
                patches.append(value[:, start : start + self.length])
                owner.append(i)
        return torch.stack(patches), torch.tensor(owner)


class OfSpectrograms(FrontEnd):
    """The front end of a network that hears mel spectrograms: only their logarithm is left to do.

    Parameters are those of `FrontEnd`.
    """

    def forward(self, mel):
        return self.compress(mel)  # (batch, n_mels, n_frames)


class Dense(Tagger):
    """One dense layer on features, (batch, n_values, 1): a new last layer for a frozen network.

    Parameters
    ----------
    n_outputs, n_values : int
    """

    def __init__(self, n_outputs, n_values):
        super().__init__(n_outputs, None)
        self.head = nn.Linear(n_values, n_outputs)

    def forward(self, x):
        return self.head(x.flatten(1))  # (batch, n_outputs)


def mel_spectrograms(dataset, front_end, n_frames):
    """Compute the mel spectrogram of every clip, before its logarithm.

    Parameters
    ----------
    dataset : Dataset
        Multiclass.
    front_end : FrontEnd
    n_frames : int
        Length of a patch. A clip that is shorter is repeated, as in the thesis' section 6.2.3.

    Returns
    -------
    Clips
    """
    audio, values = pack(dataset, progress=False), []
    for i in range(len(dataset)):
        mel = front_end.mel(audio.clip(i)[None])[0]  # (n_mels, frames)
        values.append(mel.repeat(1, -(-n_frames // mel.shape[1])))
    return Clips(values, torch.from_numpy(dataset.targets), n_frames)


def examples(labels, n, seed):
    """Draw n clips of every class, or all where there are fewer.

    Parameters
    ----------
    labels : torch.Tensor of int, (n_clips,)
    n, seed : int
        The clips of a smaller n are among those of a larger one.

    Returns
    -------
    numpy.ndarray of int
        Class after class.
    """
    labels = np.asarray(labels)
    return np.concatenate(
        [
            np.random.default_rng([seed, label]).permutation(np.flatnonzero(labels == label))[:n]
            for label in np.unique(labels)
        ]
    )


def support(heard, rng):
    """Cut the patches whose mean is a prototype: one of each of up to five clips of a class.

    The thesis' text says five patches even of a single clip, its code as we do.

    Returns
    -------
    patches : torch.Tensor, (n_classes * number, n_rows, length)
        Class after class.
    labels : torch.Tensor of int, (n_classes * number,)
    """
    number = min(N_SUPPORT, int(heard.labels.bincount().min()))
    which = [
        rng.permutation(np.flatnonzero(heard.labels == label))[:number]
        for label in heard.labels.unique()
    ]
    which = np.concatenate(which)
    return heard.draw(which, rng), heard.labels[which]


def of_each_class(heard, number, rng):
    """Cut patches of every class, each from a clip drawn at random.

    Returns
    -------
    patches : torch.Tensor, (n_classes * number, n_rows, length)
    labels : torch.Tensor of int, (n_classes * number,)
    """
    labels = torch.arange(int(heard.labels.max()) + 1).repeat_interleave(number)
    which = [rng.choice(np.flatnonzero(heard.labels == label), number) for label in labels.unique()]
    return heard.draw(np.concatenate(which), rng), labels


def lower_precision(model, precision):
    """Let a network compute in bf16, or leave it as it is; its outputs are float32 either way."""
    forward = model.forward

    def run(x):
        with torch.autocast(x.device.type, torch.bfloat16, enabled=precision == "bf16"):
            return forward(x).float()

    model.forward = run
    return model


def steps(model, heard, seed, n_steps, pretrained_rate=None, l2=L2):
    """Train a network to tell classes apart; yield after every step how many there were.

    Parameters
    ----------
    model : nn.Module
        From patches to logits, with a last part ``head``.
    heard : Clips
    seed : int
        Of the patches and of dropout.
    n_steps : int
    pretrained_rate : float, optional
        Learning rate of all that is not ``head``; by default the same.
    l2 : float
    """
    groups = [
        {
            "params": [weights],
            "lr": RATE if pretrained_rate is None or name.startswith("head") else pretrained_rate,
            "weight_decay": l2 if weights.dim() > 1 else 0.0,  # the gradient of l2 w² / 2
        }
        for name, weights in model.named_parameters()
    ]
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)

    def loss():
        which = rng.permutation(len(heard))[:BATCH]
        return F.cross_entropy(model(heard.draw(which, rng)), heard.labels[which])

    yield from _descend(model, groups, loss, n_steps)


def prototypical_steps(model, heard, seed, n_steps, ready_every=None):
    """Train a prototypical network; yield after every step how many there were.

    The support is drawn once; after the last step it gives the prototypes.

    Parameters
    ----------
    model : Prototypical
    heard : Clips
        Where support and queries come from.
    seed, n_steps : int
    ready_every : int, optional
        Steps after which the prototypes are set too, for who looks in on the way.
    """
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    patches, labels = support(heard, rng)
    by_class = patches.unflatten(0, (int(labels.max()) + 1, -1))  # (n_classes, 5, n_rows, length)
    groups = [{"params": list(model.parameters()), "lr": RATE}]

    def loss():
        return model.episode_loss(by_class, *of_each_class(heard, N_QUERIES, rng))

    for step in _descend(model, groups, loss, n_steps):
        if step == n_steps or (ready_every and step % ready_every == 0):
            model.fit_prototypes(patches, labels)
        yield step


def _descend(model, groups, loss_of_step, n_steps):
    updates = torch.optim.SGD(groups)
    for step in range(1, n_steps + 1):
        model.train()
        loss = loss_of_step()
        updates.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        updates.step()
        yield step


@torch.no_grad()
def predict(model, clips, batch_size=64):
    """Return the probabilities of clips, the mean over their windows, (n_clips, n_classes)."""
    if isinstance(model, Nearest):
        return model.predict(clips)
    model.eval()
    windows, owner = clips.windows()
    found = torch.cat([model(batch).softmax(dim=1) for batch in windows.split(batch_size)])
    sums = found.new_zeros(len(clips), found.shape[1]).index_add_(0, owner, found)
    return (sums / owner.bincount().unsqueeze(1)).numpy()


@torch.no_grad()
def embed(model, clips, batch_size=64):
    """Return the outputs of a network window by window in place of spectrograms.

    Parameters
    ----------
    model : nn.Module
        From patches to vectors.
    clips : Clips

    Returns
    -------
    Clips
        A column is a window, and a patch one column.
    """
    model.eval()
    windows, owner = clips.windows()
    found = torch.cat([model(batch) for batch in windows.split(batch_size)])  # (n_windows, size)
    values = [rows.T.clone() for rows in found.split(owner.bincount().tolist())]
    return Clips(values, clips.labels, length=1)


class Nearest:
    """Each window votes for the class of the nearest one by the cosine [thesis section 6.2.2].

    Parameters
    ----------
    heard : Clips
        Examples; features are standardized on their windows.
    """

    def __init__(self, heard):
        windows, owner = heard.windows()
        self.labels = heard.labels[owner]
        self.scaler = StandardScaler().fit(windows.flatten(1))
        self.examples = self._scaled(windows)

    def predict(self, clips):
        """Return the share of the windows of each clip that vote for a class."""
        windows, owner = clips.windows()
        nearest = (self._scaled(windows) @ self.examples.T).argmax(dim=1)
        votes = F.one_hot(self.labels[nearest], int(self.labels.max()) + 1).double()
        sums = votes.new_zeros(len(clips), votes.shape[1]).index_add_(0, owner, votes)
        return (sums / owner.bincount().unsqueeze(1)).numpy()

    def _scaled(self, windows):
        return F.normalize(torch.from_numpy(self.scaler.transform(windows.flatten(1))), dim=1)
