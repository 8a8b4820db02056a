"""The systems of lesson 16: what each hears, and how it learns from few examples."""

from functools import cache

import numpy as np
import torch
from torch import nn

from mirdl import datasets, features, models, published
from mirdl.experiments import how_much_data, patches
from mirdl.experiments.networks import kept
from mirdl.experiments.published import weights
from mirdl.models.descriptors import Feature, extract
from mirdl.models.few_shot import Prototypical
from mirdl.training import fit

#: Log-mel of 16 kHz audio in place of the paper's of 44.1 kHz: 64 frames are 3 s.
FRONT_END = {
    "preset": "mel128_44k",
    "sample_rate": 16_000,
    "n_fft": 1024,
    "hop_length": 744,
    "n_mels": 40,
}
N_FRAMES = 64
#: Steps, as shares of the ladder's 1,000; pre-training by `fit`.
PLAIN, PROTOTYPES, PRETRAINING = 0.2, 0.14, 2
#: Artists on whom a network is pre-trained.
N_SOURCE = 120
#: Rate of the pre-trained layers where it is not the thesis'.
FASTER = 0.01


# ------------------------------------------------------------------------ what a system hears


def front_end(learned_log=False):
    """Return the front end of networks that hear spectrograms; "log-EPS" [thesis Appendix A]."""
    settings = {**features.PRESETS[FRONT_END["preset"]], **FRONT_END}
    del settings["preset"]
    if learned_log:
        settings["compression"] = "log_learned"
    return patches.OfSpectrograms(**settings)


def spectrograms(dataset, settings):
    """Return the mel spectrogram of every clip, as `Clips`."""
    return patches.mel_spectrograms(dataset, front_end(), N_FRAMES)


def mfcc(dataset, settings):
    """Return MFCC-120 of every clip, as `Clips` of one column."""
    values = [torch.from_numpy(rows.T) for rows in extract(dataset, "mfcc120")]
    return patches.Clips(values, torch.from_numpy(dataset.targets), length=1)


def pretrained_features(dataset, settings):
    """Return what the pre-trained network makes of each window, before its last layer."""
    network = pretrained(settings)
    network.head = nn.Identity()
    return patches.embed(network, spectrograms(dataset, settings))


def published_features(dataset, settings):
    """Return what the published musicnn makes of each window of 3 s, before its last layer."""
    feature = Feature("musicnn_windows", _published_windows, 16_000)
    values = [torch.from_numpy(rows.T) for rows in extract(dataset, feature)]
    return patches.Clips(values, torch.from_numpy(dataset.targets), length=1)


def _published_windows(waveform, sample_rate):
    network = _musicnn()
    length = network.n_samples
    waveform = np.tile(waveform, -(-length // len(waveform)))
    heard = patches.Clips([torch.from_numpy(waveform)[None]], torch.zeros(1), length)
    with torch.inference_mode():
        return network(heard.windows()[0].squeeze(1)).numpy()  # (n_windows, 200)


@cache
def _musicnn():
    network = published.load("musicnn", weights("musicnn"))
    network.head = nn.Sequential(*list(network.head)[:-1])
    return network.eval()


def source():
    """Return clips of ``N_SOURCE`` rendered artists, of training, not in the embedded data."""
    dataset = unknown(how_much_data.rendered().subset("train"))
    artists = np.unique(dataset.clips["artist"])[:N_SOURCE]
    return dataset.select(dataset.clips["artist"].isin(artists).to_numpy())


def unknown(dataset):
    """Return the clips of artists who are not in the embedded data."""
    known = datasets.load("minitag").clips["artist"]
    return dataset.select((~dataset.clips["artist"].isin(known)).to_numpy())


def pretrained(settings):
    """Return a `VGGSmall` that has learnt the tags of `source`, and hears spectrograms.

    The first call trains it, as `mirdl.experiments.networks.kept` says.
    """
    dataset = source()

    def make():
        torch.manual_seed(0)
        options = {"front_end": FRONT_END, "n_frames": N_FRAMES}
        made = models.build("vgg_small", dataset.n_outputs, **options)
        few = dataset.select(np.arange(min(len(dataset), 50)))  # `fit` must validate once
        training = settings.times(PRETRAINING).validating_once().training
        fit(made, dataset, few, progress=False, **training)
        return made

    about = (dataset.digest(), settings.times(PRETRAINING).training, FRONT_END, N_FRAMES)
    network = kept("few_data/vgg_small", about, make, dataset.tags)
    network.front_end = front_end()
    return network


# ---------------------------------------------------------------------------------- learners

# Each returns a model and an iterator that trains it, a step at a time.


def nearest(heard, n_outputs, seed, settings):
    """Return the nearest neighbour among the examples; there is nothing to train."""
    return patches.Nearest(heard), ()


def network(heard, n_outputs, seed, settings, name="vgg_small", fine_tune=False, times=1, **log):
    """Return a plain network on spectrograms.

    Parameters
    ----------
    heard : Clips
        The examples.
    n_outputs, seed : int
    settings : Settings
    name : {"sb_cnn", "vgg_small", "timbre_small"}
    fine_tune : bool
        Whether all but the last layer comes from `pretrained`.
    times : float
        Factor on the steps.
    **log
        Of `front_end`.
    """
    made, training = _random(name, n_outputs, seed, settings, **log), {}
    if fine_tune:
        start, training = pretrained(settings), {"pretrained_rate": FASTER, "l2": 0.0}
        start.head = made.head
        made = patches.lower_precision(start, settings.precision)
    n_steps = settings.times(PLAIN * times).n_steps
    return made, patches.steps(made, heard, seed, n_steps, **training)


def dense(heard, n_outputs, seed, settings):
    """Return a dense layer on the features of a network that is held still."""
    torch.manual_seed(seed)
    made = patches.Dense(n_outputs, len(heard.values[0]))
    return made, patches.steps(made, heard, seed, settings.times(PLAIN).n_steps, l2=0.0)


def prototypes(
    heard, n_outputs, seed, settings, distance="mean_square", times=1, ready_every=None, **log
):
    """Return a prototypical network on spectrograms; what is not its own is as in `network`.

    Parameters
    ----------
    distance : {"mean_square", "euclidean", "cosine"}
        The first is that of the authors' code, for which their rate of 0.1 was chosen.
    ready_every : int, optional
        As in `prototypical_steps`.
    """
    embedding = _random("vgg_small", 10, seed, settings, **log)
    made = Prototypical(n_outputs, distance=distance, embedding=embedding)
    n_steps = settings.times(PROTOTYPES * times).n_steps
    return made, patches.prototypical_steps(made, heard, seed, n_steps, ready_every)


def dense_prototypes(heard, n_outputs, seed, settings):
    """Return prototypes among the outputs of a dense layer on features held still."""
    torch.manual_seed(seed)
    made = Prototypical(
        n_outputs, distance="mean_square", embedding=patches.Dense(10, len(heard.values[0]))
    )
    return made, patches.prototypical_steps(made, heard, seed, settings.times(PLAIN).n_steps)


def _random(name, n_outputs, seed, settings, **log):
    """Return a network with random weights, which hears spectrograms."""
    torch.manual_seed(seed)
    made = models.build(name, n_outputs, front_end=front_end(**log), n_frames=N_FRAMES)
    return patches.lower_precision(made, settings.precision)


#: System: what it hears, how it learns, options of that.
SYSTEMS = {
    "nearest_mfcc": (mfcc, nearest, {}),
    "sb_cnn": (spectrograms, network, {"name": "sb_cnn"}),
    "vgg": (spectrograms, network, {}),
    "timbre": (spectrograms, network, {"name": "timbre_small"}),
    "prototypical": (spectrograms, prototypes, {}),
    "prototypical_cosine": (spectrograms, prototypes, {"distance": "cosine"}),
    "nearest_pretrained": (pretrained_features, nearest, {}),
    "fine_tuned": (pretrained_features, dense, {}),
    "fine_tuned_faster": (spectrograms, network, {"fine_tune": True}),
    "prototypes_pretrained": (pretrained_features, dense_prototypes, {}),
    "nearest_published": (published_features, nearest, {}),
    "fine_tuned_published": (published_features, dense, {}),
    "prototypes_published": (published_features, dense_prototypes, {}),
}
#: The same with a learned logarithm.
LOGS = {
    f"{name}_learned_log": (hears, learns, {**options, "learned_log": True})
    for name, (hears, learns, options) in SYSTEMS.items()
    if name in ("sb_cnn", "vgg", "timbre", "prototypical")
}
