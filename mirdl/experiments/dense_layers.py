"""Lesson 04: dense layers on one frame and on several, shallow and deep; and on MFCC-120.

The frame-wise networks hear a frame of a log-mel spectrogram (d1 of Fig. 8 of the tutorial, Choi
et al., arXiv:1709.04396) or 15 (d2) and say which drums sound, or whether the lead does. All see
256,000 frames, drawn at random; the weights of the last step are scored. The claims,
each of macro ROC-AUC, three seeds a side:

1. A hidden layer helps on a frame [tutorial 4.2]: drums, ``mlp_1`` > ``perceptron_1``.
2. Context helps [tutorial 4.2]: drums, ``mlp_15`` > ``mlp_1``.
3. The same on the lead: ``mlp_15`` > ``mlp_1``.
4. Sigmoids impede the training of a deep network [tutorial 2.2]: drums, ``deep_relu`` >
   ``deep_sigmoid``, six hidden layers each.
5. To weight the positives moves scores, not ranks [ours]: drums, ``weighted_15`` equals
   ``mlp_15`` within 0.02.
6. A hidden layer helps on MFCC-120 [ours]: tags, ``mfcc_mlp`` > logistic regression of lesson 03.
"""

from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from mirdl import features, models
from mirdl.datasets.pack import pack
from mirdl.evaluation import score
from mirdl.experiments.plan import ladder
from mirdl.models.blocks import scaled
from mirdl.models.descriptors import extract

FRONT_END = "mel96"
#: Largest context, in frames; every clip has half of it in silence before and after.
LARGEST = 15
#: Frames that one of the settings' clips is worth: 16 clips a step are 256 frames.
FRAMES_A_CLIP = 16
#: Every which frame of the test clips is scored; neighbours resemble each other.
STRIDE = 16


def mlp(n_in, hidden, n_outputs, activation=nn.ReLU):
    """Build a multilayer perceptron [thesis Eqs. 2.2 to 2.5]; without hidden layers, a perceptron.

    Parameters
    ----------
    n_in : int
        Values of one example; examples of more dimensions are flattened.
    hidden : sequence of int
        Units of the hidden layers.
    n_outputs : int
        Logits.
    activation : callable
        Makes the module that follows each hidden layer.

    Returns
    -------
    nn.Sequential
    """
    sizes = [n_in, *hidden]
    layers = [nn.Flatten()]
    for before, after in pairwise(sizes):
        layers += [nn.Linear(before, after), activation()]
    return nn.Sequential(*layers, nn.Linear(sizes[-1], n_outputs))


@dataclass(frozen=True, eq=False)
class Frames:
    """The spectrograms of a data set's clips in memory, with the truth of every frame.

    Attributes
    ----------
    dataset : Dataset
        Of a target with frames, all clips equally long.
    mel : torch.Tensor, float32 (n_clips, n_frames + LARGEST - 1, n_mels)
        Log-mel spectrograms, time before frequency, between margins of silence.
    labels : torch.Tensor, float32 (n_clips, n_frames, n_outputs)
    """

    dataset: object
    mel: torch.Tensor
    labels: torch.Tensor

    def windows(self, clips, frames, context=1):
        """Return some frames with their neighbours: float32 (n, context, n_mels).

        Parameters
        ----------
        clips, frames : torch.Tensor, int64 (n,)
        context : int
            Frames in a window, an odd number up to ``LARGEST``.
        """
        first = frames + (LARGEST - context) // 2
        return self.mel[clips[:, None], first[:, None] + torch.arange(context)]

    def draw(self, n, context=1):
        """Return ``n`` random windows and their labels, (n, context, n_mels) and (n, n_outputs)."""
        n_clips, n_frames, _ = self.labels.shape
        clips, frames = torch.randint(n_clips, (n,)), torch.randint(n_frames, (n,))
        return self.windows(clips, frames, context), self.labels[clips, frames]

    def scored(self):
        """Return clips and frames of every ``STRIDE``-th frame, and a data set of those frames."""
        n_clips, n_frames, _ = self.labels.shape
        grid = torch.cartesian_prod(torch.arange(n_clips), torch.arange(0, n_frames, STRIDE))
        clips, frames = grid.T
        table = self.dataset.clips.iloc[clips.numpy()]
        labels = self.labels[clips, frames].numpy()
        dataset = replace(self.dataset, clips=table, targets=labels, task="multilabel")
        return clips, frames, dataset


def load_frames(dataset):
    """Compute the spectrograms and the frame-level truth of the training and the test clips.

    Each band has mean 0 and deviation 1 over the training clips; the margins are 0, the mean.

    Parameters
    ----------
    dataset : Dataset
        Of a target with frames.

    Returns
    -------
    train, test : Frames
    """
    front_end, mean, made = features.front_end(FRONT_END), None, []
    for part in (dataset.subset("train"), dataset.subset("test")):
        audio = pack(part, progress=False)
        mel = torch.stack([front_end(audio.clip(i)[None])[0].T for i in range(len(part))])
        if mean is None:
            mean, deviation = mel.mean(dim=(0, 1)), mel.std(dim=(0, 1))
        margin = (0, 0, LARGEST // 2, LARGEST // 2)
        mel = F.pad((mel - mean) / deviation, margin)
        labels = np.stack([part.frames(i)[1] for i in range(len(part))])
        made.append(Frames(part, mel, torch.from_numpy(labels)))
    return made


@lru_cache(maxsize=2)
def _loaded(settings, target):
    return load_frames(settings.dataset(target))


def balance(labels):
    """Return the number of negatives for each positive: the ``pos_weight`` of every output.

    Parameters
    ----------
    labels : torch.Tensor, float32 (…, n_outputs)
    """
    share = labels.flatten(end_dim=-2).mean(dim=0).clamp(min=1 / len(labels))
    return (1 - share) / share


def descend(model, draw, n_steps, learning_rate=1e-3, pos_weight=None):
    """Train a network by Adam along half a cosine; the loss is binary cross-entropy of logits.

    Parameters
    ----------
    model : nn.Module
    draw : callable
        Gives a random batch: examples and labels.
    n_steps : int
    learning_rate : float
    pos_weight : torch.Tensor, optional
        Weight of the positives of each output.

    Returns
    -------
    list of float
        The loss at every step.
    """
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, n_steps)
    losses = []
    for _ in range(n_steps):
        x, y = draw()
        loss = F.binary_cross_entropy_with_logits(model(x), y, pos_weight=pos_weight)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    return losses


def frame_wise(
    seed,
    settings,
    target="drums",
    context=1,
    hidden=(512, 512),
    activation="ReLU",
    weighted=False,
    learning_rate=1e-3,
):
    """Train a network on random frames and score it on frames of the test clips.

    Parameters
    ----------
    seed : int
        Of weights and frames.
    settings : Settings
    target : str
        With frame-level truth.
    context : int
        Frames that a decision sees.
    hidden : sequence of int
        Units of the hidden layers at full width.
    activation : str
        A class of `torch.nn`.
    weighted : bool
        Whether positives and negatives weigh the same in the loss.
    learning_rate : float
        Of the first step.

    Returns
    -------
    Evaluation
        Of frames, not clips; the bootstrap draws artists, as everywhere.
    """
    train, test = _loaded(settings, target)
    torch.manual_seed(seed)
    n_in, units = train.mel.shape[-1] * context, scaled(hidden, settings.width)
    model = mlp(n_in, units, train.dataset.n_outputs, getattr(nn, activation))
    weights = balance(train.labels) if weighted else None
    n_frames = FRAMES_A_CLIP * settings.batch_size
    descend(
        model,
        lambda: train.draw(n_frames, context),
        settings.n_steps,
        learning_rate,
        pos_weight=weights,
    )
    clips, frames, scored = test.scored()
    with torch.no_grad():
        scores = model(test.windows(clips, frames, context)).sigmoid()
    return score(scores.numpy(), scored, parameters=models.n_parameters(model))


def on_mfcc(seed, settings, hidden=(512,), weighted=False):
    """Give the logistic regression of lesson 03 a hidden layer: MFCC-120 to tags.

    Parameters
    ----------
    seed, settings, hidden, weighted
        As in `frame_wise`.

    Returns
    -------
    Evaluation
    """
    dataset = settings.dataset()
    train, test = dataset.subset("train"), dataset.subset("test")
    x, x_test = (np.concatenate(extract(part, "mfcc120")) for part in (train, test))
    x, x_test = (torch.from_numpy((z - x.mean(axis=0)) / x.std(axis=0)) for z in (x, x_test))
    y = torch.from_numpy(train.targets)

    def draw():
        batch = torch.randint(len(x), (settings.batch_size,))
        return x[batch], y[batch]

    torch.manual_seed(seed)
    model = mlp(x.shape[1], scaled(hidden, settings.width), train.n_outputs)
    descend(model, draw, settings.n_steps, pos_weight=balance(y) if weighted else None)
    with torch.no_grad():
        scores = model(x_test).sigmoid()
    return score(scores.numpy(), test, parameters=models.n_parameters(model))


def _run(system, target, seeds=3, minutes=0.1, function=frame_wise, **options):
    if function is frame_wise:
        options["target"] = target
    about = {"unit": "clip" if target == "tags" else "frame", "options": options}
    line = "dense_layers", system, function, minutes, (target,)
    return ladder(seeds, *line, target=target, **about)


#: Without hidden layers a network needs a larger rate to arrive in as many steps (chosen on
#: validation artists).
PERCEPTRON = {"hidden": (), "learning_rate": 0.03}
DEEP = {"context": LARGEST, "hidden": (512,) * 6}
RUNS = [
    *_run("mfcc_mlp", "tags", function=on_mfcc),
    *_run("mfcc_mlp_weighted", "tags", function=on_mfcc, weighted=True),
    *(
        run
        for target, seeds in (("drums", 3), ("lead_activity", 1))
        for run in (
            *_run("perceptron_1", target, **PERCEPTRON),
            *_run("mlp_1", target),
            *_run("mlp_5", target, seeds=1, context=5),
            *_run("perceptron_15", target, seeds=seeds, context=LARGEST, **PERCEPTRON),
            *_run("mlp_15", target, context=LARGEST),
        )
    ),
    *_run("weighted_15", "drums", context=LARGEST, weighted=True),
    *_run("deep_relu", "drums", activation="ReLU", **DEEP),
    *_run("deep_tanh", "drums", activation="Tanh", **DEEP),
    *_run("deep_sigmoid", "drums", activation="Sigmoid", **DEEP),
]
