"""Lesson 15: changed audio in training, with all training artists and with few; wrong labels.

The network is the 1D network of lesson 08's table (3 s, `mel96`). The recipe, decided before any
row existed and not changed since: `mirdl.augment.RECIPE` (speed by a semitone, equalizer and noise
for half of the clips each, gain for all) and SpecAugment as `mirdl.augment.mask_spectrograms` has
it. Test clips stay as they are. The claims, on macro ROC-AUC, three seeds a side, margin 0:

- Augmentation helps [slides; tutorial, section 2.3]: with all 60 training artists, and with six.
- It helps most when data are few [tutorial, section 2.3]: the gain with six is the greater one.
"""

from dataclasses import replace

import numpy as np

from mirdl import augment
from mirdl.evaluation.scoring import interval
from mirdl.experiments.networks import judge, train
from mirdl.experiments.plan import ladder

#: The network, and its settings.
NETWORK = {"name": "dieleman_spectrogram", "front_end": "mel96", "input_norm": True}
#: Share of the training artists that "few" stands for.
FEW = 0.1
#: Each transform alone, as often as the recipe has it; Mixup and Reverb are not part of that.
ALONE = {
    "speed": augment.Sometimes(augment.ByRatio()),
    "equalizer": augment.Sometimes(augment.Equalize()),
    "noise": augment.Sometimes(augment.Noise()),
    "gain": augment.Gain(),
    "reverb": augment.Sometimes(augment.Reverb()),
    "mixup": augment.Mixup(),
}


def fewer_artists(dataset, share, seed):
    """Keep the training clips of a random share of the training artists; valid and test stay whole.

    Parameters
    ----------
    dataset : Dataset
    share : float
    seed : int

    Returns
    -------
    Dataset
    """
    training = dataset.clips["split"] == "train"
    artists = np.unique(dataset.clips["artist"][training])
    n_kept = max(1, round(share * len(artists)))
    kept = np.random.default_rng(seed).permutation(artists)[:n_kept]
    return dataset.select(~training | dataset.clips["artist"].isin(kept))


def gain(a, b):
    """Return how much more a scores than b as an evaluation of its own.

    Two gains can then be compared by `mirdl.evaluation.verdict`, replicate by replicate: the
    difference of two differences.

    Parameters
    ----------
    a, b : Evaluation
        Of the same test clips.

    Returns
    -------
    Evaluation
        Differences in place of scores, metrics and replicates; chance is 0.
    """
    replicates = {name: values - b.replicates[name] for name, values in a.replicates.items()}
    metrics = {name: value - b.metrics[name] for name, value in a.metrics.items()}
    by_tag = a.table[list(metrics)] - b.table[list(metrics)]
    return replace(
        a,
        scores=a.scores - b.scores,
        metrics=metrics,
        chance=dict.fromkeys(metrics, 0.0),
        interval={
            name: tuple(map(float, interval(replicates[name], value)))
            for name, value in metrics.items()
        },
        table=a.table[["positives"]].join(by_tag),
        replicates=replicates,
    )


def with_and_without(seed, settings, share=1.0):
    """Train the network twice on the same clips, once on them as they are, once by the recipe.

    Parameters
    ----------
    seed : int
        Also of the choice of artists.
    settings : Settings
    share : float
        Of the training artists.

    Returns
    -------
    dict of str to Evaluation
        "plain", "augmented", and their `gain`.
    """
    dataset = fewer_artists(settings.dataset(), share, seed)
    plain = judge(train(seed, settings, dataset=dataset, **NETWORK), dataset)
    recipe = {"training": {"augment": augment.RECIPE}, "prepare": augment.mask_spectrograms}
    augmented = judge(train(seed, settings, dataset=dataset, **recipe, **NETWORK), dataset)
    return {"plain": plain, "augmented": augmented, "gain": gain(augmented, plain)}


def alone(seed, settings, name, share=FEW):
    """Train the network with one transform of ``ALONE``, or "masks", in place of the recipe.

    Parameters
    ----------
    seed, settings, share
        As in `with_and_without`.
    name : str

    Returns
    -------
    Evaluation
    """
    dataset = fewer_artists(settings.dataset(), share, seed)
    recipe = {"training": {"augment": ALONE.get(name)}}
    if name == "masks":
        recipe = {"prepare": augment.mask_spectrograms}
    return judge(train(seed, settings, dataset=dataset, **recipe, **NETWORK), dataset)


def noisy(targets, kind, rate, rng):
    """Spoil the tags of clips.

    Parameters
    ----------
    targets : numpy.ndarray, float32 (n_clips, n_tags)
    kind : {"missing", "wrong"}
        Each tag that a clip carries is left out with probability `rate`; or, for that share of
        the clips, all tags are those of another clip, so that every tag stays as frequent.
    rate : float
    rng : numpy.random.Generator

    Returns
    -------
    numpy.ndarray, float32 (n_clips, n_tags)
    """
    if kind == "missing":
        return targets * (rng.random(targets.shape) >= rate).astype(targets.dtype)
    spoilt = rng.permutation(len(targets))[: round(rate * len(targets))]
    made = targets.copy()
    made[spoilt] = targets[np.roll(spoilt, 1)]
    return made


def label_noise(seed, settings, kind, rate):
    """Train on noisy labels of training and validation clips; score on clean ones.

    Parameters
    ----------
    seed : int
    settings : Settings
    kind, rate
        As in `noisy`.

    Returns
    -------
    Evaluation
    """
    clean = settings.dataset()
    targets, rng = clean.targets.copy(), np.random.default_rng(seed)
    for split in ("train", "valid"):
        rows = (clean.clips["split"] == split).to_numpy()
        targets[rows] = noisy(targets[rows], kind, rate, rng)
    model = train(seed, settings, dataset=replace(clean, targets=targets), **NETWORK)
    return judge(model, clean)


BOTH = ("plain", "augmented", "gain")

RUNS = [
    run
    for system, share in (("all", 1.0), ("few", FEW))
    for run in ladder(
        3, "augmentation", system, with_and_without, 1.4, BOTH, options={"share": share}
    )
]
RUNS += [
    run
    for name in (*ALONE, "masks")
    for run in ladder(1, "augmentation", name, alone, 0.6, ("few",), options={"name": name})
]
RUNS += [
    run
    for kind in ("missing", "wrong")
    for rate in (0.25, 0.5)
    for run in ladder(
        1,
        "label_noise",
        f"{kind}_{100 * rate:.0f}",
        label_noise,
        0.5,
        options={"kind": kind, "rate": rate},
    )
]
