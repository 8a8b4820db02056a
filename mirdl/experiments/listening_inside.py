"""Lesson 19: an instrument is muted, and attributions are held against where it really plays.

24 clips of 11 test artists have their parts: lead, accompaniment, bass and drums. The committed
tagger hears them; nothing is trained. The tag in question is that of the lead, where no other part
plays the same instrument, or *drums*. Its probability is the metric of the first table, the mean
over two windows of 5 s.

The second table asks which cells of the spectrogram got the credit for that tag. Those where the
part is louder than all others together are its own; the metric is the share of the positive
attribution that falls on them, in the window where the part is louder.
"""

import numpy as np
import torch

from mirdl import audio, explain, models, paths
from mirdl.compose.artists import FAMILIES
from mirdl.datasets import minitag
from mirdl.evaluation.in_time import clip_means
from mirdl.experiments.plan import Run

PARTS = ("lead", "drums")
#: The whole clip, the clip without the part, the part alone, and the clip without another part.
MIXES = ("whole", "without", "alone", "without_accompaniment")
METHODS = ("integrated_gradients", "saliency", "randomised", "loudness", "cells")
#: Points of the integral; the gap between their sum and the logits is then about one percent.
N_STEPS = 32

#: The tag of every preset, as (bank, program).
TAG_OF = {
    preset: family.tag for family in FAMILIES.values() for preset in (*family.seen, *family.held)
}


def played(clip):
    """Return the tag of the instrument that each part of a track plays; "" for the bass.

    Parameters
    ----------
    clip : Series
        A row of ``Dataset.clips`` of the embedded data.

    Returns
    -------
    dict of str to str
        Part ("lead", "comp", "pad", "bass", "drums") → tag.
    """
    presets = (each.split("=") for each in clip["programs"].split("|"))
    return {part: TAG_OF[tuple(map(int, preset.split(":")))] for part, preset in presets}


def tag_of_part(clip, part):
    """Return the tag that tells of one part alone, or None.

    Parameters
    ----------
    clip : Series
    part : {"lead", "drums"}

    Returns
    -------
    str or None
        None where the clip lacks the tag, or where another part would earn it too.
    """
    tags = played(clip)
    tag = tags.get(part)
    alone = [other for other, name in tags.items() if name == tag] == [part]
    return tag if alone and tag in clip["tags"].split("|") else None


def mixes(parts, part):
    """Return what is heard of a clip: dict of ``MIXES`` to float32 array (n_samples,).

    Parameters
    ----------
    parts : dict of str to array (n_samples,)
        As `mirdl.datasets.minitag.stems` gives them.
    part : str
        Which of them is muted.
    """
    whole = sum(parts.values())
    return {
        "whole": whole,
        "without": whole - parts[part],
        "alone": parts[part],
        "without_accompaniment": whole - parts["accompaniment"],
    }


def as_packed(waveform):
    """Round to 16 bits, as the tagger heard its training clips."""
    return audio.from_int16(audio.to_int16(waveform))


def muted(seed, settings, part="lead"):
    """Ask the committed tagger for the tag of a part, with the part and without it.

    Parameters
    ----------
    seed : int
        Nothing is random.
    settings : Settings
    part : {"lead", "drums"}

    Returns
    -------
    dict of str to Evaluation
        One for each of ``MIXES``, of the metric "probability". Chance is how often a training
        clip carries the tag.
    """
    dataset, parts = minitag.stems()
    model = models.load(paths.TAGGER)
    train = settings.dataset().subset("train")
    frequency = dict(zip(train.tags, train.targets.mean(axis=0), strict=True))
    probability = {mix: np.full(len(dataset), np.nan) for mix in MIXES}
    chance = []
    for i, clip in dataset.clips.iterrows():
        tag = tag_of_part(clip, part)
        if tag is None:
            continue
        chance.append(frequency[tag])
        for mix, waveform in mixes(parts[i], part).items():
            _, windows = explain.taggram(
                model, as_packed(waveform), model.n_samples / model.sample_rate
            )
            probability[mix][i] = windows[:, model.tags.index(tag)].mean()
    expected = {"probability": np.mean(chance)}
    size = models.n_parameters(model)
    return {
        mix: clip_means({"probability": values}, dataset, expected, parameters=size)
        for mix, values in probability.items()
    }


def louder_half(part, n_samples):
    """Return where the window of a part starts that has the most energy: 0, or flush with the end.

    Parameters
    ----------
    part : array (n_samples,)
    n_samples : int
        Length of a window.
    """
    last = max(len(part) - n_samples, 0)
    energies = [np.sum(part[start : start + n_samples] ** 2) for start in (0, last)]
    return (0, last)[int(np.argmax(energies))]


def own_cells(front_end, part, rest):
    """Say of every cell of a mel spectrogram whether one part is louder there than the rest.

    Parameters
    ----------
    front_end : FrontEnd
    part, rest : array (n_samples,)

    Returns
    -------
    bool array (n_mels, n_frames)
    """
    with torch.no_grad():
        mine, theirs = front_end.mel(torch.from_numpy(np.stack([part, rest])))
    return (mine > theirs).numpy()


def credited(model, untrained, waveform, output):
    """Return what each of ``METHODS`` gives to every cell, none of it negative.

    Parameters
    ----------
    model, untrained : Tagger
        The second for "randomised".
    waveform : float32 array (n_samples,)
    output : int

    Returns
    -------
    dict of str to array (n_mels, n_frames)
        "loudness": dB above silence, what integrated gradients of a network would say that weighs
        all cells alike; "cells": the same number for all.
    """
    above = explain.spectrogram(model, waveform) - explain.silence(model, len(waveform))
    return {
        "integrated_gradients": explain.integrated_gradients(model, waveform, output, N_STEPS).clip(
            min=0
        ),
        "saliency": np.abs(explain.saliency(model, waveform, output)),
        "randomised": explain.integrated_gradients(untrained, waveform, output, N_STEPS).clip(
            min=0
        ),
        "loudness": above[0].numpy(),
        "cells": np.ones(above.shape[1:]),
    }


def pointing(seed, settings, part="lead"):
    """Ask how much of an attribution falls on the cells that belong to the part.

    Parameters
    ----------
    seed : int
        Of the weights of "randomised".
    settings : Settings
    part : {"lead", "drums"}

    Returns
    -------
    dict of str to Evaluation
        One for each of ``METHODS``, of the metric "share"; chance is that of "cells".
    """
    dataset, parts = minitag.stems()
    model = models.load(paths.TAGGER)
    untrained = explain.randomised(model, seed)
    shares = {method: np.full(len(dataset), np.nan) for method in METHODS}
    for i, clip in dataset.clips.iterrows():
        tag = tag_of_part(clip, part)
        if tag is None:
            continue
        start = louder_half(parts[i][part], model.n_samples)
        alone, whole = (
            explain.window_at(model, heard, start / model.sample_rate)
            for heard in (parts[i][part], as_packed(sum(parts[i].values())))
        )
        mine = own_cells(model.front_end, alone, whole - alone)
        credit = credited(model, untrained, whole, model.tags.index(tag))
        for method, cells in credit.items():
            shares[method][i] = cells[mine].sum() / cells.sum() if cells.sum() > 0 else np.nan
    chance = {"share": np.nanmean(shares["cells"])}
    size = models.n_parameters(model)
    return {
        method: clip_means({"share": values}, dataset, chance, parameters=size)
        for method, values in shares.items()
    }


RUNS = [
    run
    for part in PARTS
    for run in (
        Run("muted", part, muted, variants=MIXES, minutes=0.3, options={"part": part}),
        Run("pointing", part, pointing, variants=METHODS, minutes=1.5, options={"part": part}),
    )
]
