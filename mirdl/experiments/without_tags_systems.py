"""The systems of lesson 20: networks that learnt from pairs or from labels, and their vectors."""

from dataclasses import replace
from functools import cache, partial

import numpy as np
import torch

from mirdl import augment, datasets, models, published
from mirdl.datasets.pack import pack
from mirdl.experiments import augmentation, how_much_data
from mirdl.experiments.few_data_systems import unknown
from mirdl.experiments.networks import kept, train
from mirdl.experiments.published import weights
from mirdl.models.contrastive import Contrastive, Embedding, Pairs, embeddings
from mirdl.models.descriptors import Feature, extract
from mirdl.training import fit

NETWORK = augmentation.NETWORK
#: Steps of pre-training, as a share of the ladder's 1,000; and its tracks a step, as a multiple of
#: the ladder's 16 clips.
PRETRAINING, PAIRS = 0.45, 4

#: Pre-trained networks, and what differs from `pretrained`. "16_pairs" hears as many crops as the
#: others, in four times the steps.
SYSTEMS = {
    "contrastive": {},
    "contrastive_more": {"more": True},
    "crops_alone": {"change": None},
    **{f"{name}_alone": {"change": augmentation.ALONE[name]} for name in ("speed", "equalizer")},
    **{f"{name}_alone": {"change": augmentation.ALONE[name]} for name in ("noise", "gain")},
    "temperature_0.1": {"temperature": 0.1},
    "16_pairs": {"pairs": 1, "times": 4},
}
#: Published networks whose vectors are probed.
PUBLISHED = ("fcn", "musicnn")


def unlabelled(split, more=False):
    """Return the tracks of a split, without their labels.

    Parameters
    ----------
    split : {"train", "valid"}
    more : bool
        Whether rendered artists join those of the embedded data.
    """
    tracks = datasets.load("minitag", unit="track").subset(split)
    if more:
        others = unknown(how_much_data.rendered(unit="track").subset(split))
        tracks = how_much_data.together(tracks, others)
    return replace(tracks, targets=np.zeros_like(tracks.targets))


def pretrained(
    seed,
    settings,
    more=False,
    change=augment.RECIPE,
    temperature=0.5,
    pairs=PAIRS,
    times=1.0,
):
    """Return the network after learning which crops are of one track.

    Parameters
    ----------
    seed : int
    settings : Settings
    more : bool
        As in `unlabelled`.
    change : callable or None
        Transform of `mirdl.augment`.
    temperature : float
        Of `Pairs`.
    pairs : int
        Tracks a step, as a multiple of the settings' clips a step.
    times : float
        Factor on the steps.

    Returns
    -------
    Tagger
        Its last layer is as it was drawn. It is kept in the cache.
    """
    heard, valid = unlabelled("train", more), unlabelled("valid")
    training = settings.times(PRETRAINING * times).training
    training |= {"batch_size": pairs * settings.batch_size, "augment": change}
    training |= {"objective": Pairs(temperature), "best_by": "loss"}

    def make():
        torch.manual_seed(seed)
        network = models.build(**NETWORK, n_outputs=heard.n_outputs)
        fit(Contrastive(network), heard, valid, seed=seed, progress=False, **training)
        return network

    about = (seed, NETWORK, heard.digest(), valid.digest(), training)
    return kept("without_tags/pretrained", about, make)


def untrained(seed):
    """Return the network with random weights; a crop of every track has set its normalisation."""
    torch.manual_seed(seed)
    tracks = unlabelled("train")
    network = models.build(**NETWORK, n_outputs=tracks.n_outputs)
    network.norm.momentum = None  # the mean over all batches
    audio = pack(tracks, progress=False)
    with torch.no_grad():
        for part in np.array_split(np.flatnonzero(audio.usable), 4):
            network(audio.crops(part, network.n_samples, seed, 0))
    return network.eval()


def supervised(seed, settings, dataset, times=1.0, start=None):
    """Return the network after learning from the labels of a data set's training clips.

    Parameters
    ----------
    seed : int
        Of random weights and crops.
    settings : Settings
    dataset : Dataset
    times : float
        Factor on the steps.
    start : Tagger, optional
        The same network, pre-trained.
    """
    training = {"augment": augment.RECIPE, "normalise": start is None}
    return train(
        seed,
        settings.times(times).validating_once(),
        dataset=dataset,
        training=training,
        prepare=None if start is None else partial(_copy, start.state_dict()),
        **NETWORK,
    )


def _copy(weights, network):
    network.load_state_dict(weights)


def from_scratch(seed, settings):
    """Return the network that learnt from all labels of the embedded data, kept in the cache."""
    dataset = datasets.load("minitag")
    about = (seed, NETWORK, dataset.digest(), settings.training, augment.RECIPE)
    make = partial(supervised, seed, settings, dataset)
    return kept("without_tags/from_scratch", about, make)


def described(system, dataset, seed, settings):
    """Return the vector of every clip under a system.

    Parameters
    ----------
    system : str
        "mfcc", "untrained", "from_scratch", a name of ``SYSTEMS`` or of ``PUBLISHED``.
    dataset : Dataset
    seed : int
        Of the network.
    settings : Settings

    Returns
    -------
    dict of str to numpy.ndarray
        Clip id to float32 (1, n_values).
    """
    if system == "mfcc":
        rows = extract(dataset, "mfcc120")
    elif system in PUBLISHED:
        vector = partial(_published_vector, system)
        rows = extract(dataset, Feature(f"{system}_embedding", vector, 16_000, Embedding))
    else:
        if system == "untrained":
            network = untrained(seed)
        elif system == "from_scratch":
            network = from_scratch(seed, settings)
        else:
            network = pretrained(seed, settings, **SYSTEMS[system])
        rows = embeddings(dataset, network, pack(dataset, progress=False))
    return dict(zip(dataset.clips["clip_id"], rows, strict=True))


def _published_vector(name, waveform, sample_rate):
    return _published(name).of_clip(waveform)


@cache
def _published(name):
    return Embedding(published.load(name, weights(name)))
