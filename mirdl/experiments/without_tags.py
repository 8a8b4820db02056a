"""Lesson 20: a network that learnt without tags, and what a few labels then are worth.

Decided before any row existed:

- The network is the 1D network of lessons 08 and 15 (3 s, `mel96`). It learns by `Pairs`: 450
  steps of two crops of each of 64 tracks, temperature 0.5 as CLMR has it, both crops changed by
  `mirdl.augment.RECIPE`; Adam at 0.001 along a cosine. The loss on the validation artists' tracks
  chooses its weights. No label is in what it is given.
- It hears the 60 training artists of the embedded data; "contrastive_more" hears 180 rendered
  artists of training besides, in as many steps.
- Labels are those of the embedded training artists' 540 clips: all, a tenth (54), a hundredth (5),
  drawn so that every track gives one clip before any gives a second. Two systems of one seed hear
  the same clips; of a part of the labels a row is the mean of three draws. Validation clips have
  labels too, so none of them is used: the last weights are the result, and the penalty of the
  probe, logistic regression on standardised vectors, is that of all baselines of the course.
- From scratch and fine-tuned the network has 1,000 steps of 16 crops for all labels, 400 for a
  part, changed by the same recipe.
- The test is that of the embedded data and, for power, one clip of every track by 90 test artists
  of a rendered set; "tags" is the embedded test alone, with all labels, for the ladder.
- On Emotify the same probes are fitted to vectors of networks that have heard no real music, and of
  published ones, which learnt tags of MagnaTagATune, of other parts of some of Emotify's songs too.
"""

from dataclasses import replace
from functools import partial

import numpy as np

from mirdl import models
from mirdl.datasets.pack import pack
from mirdl.evaluation import score, window_scores
from mirdl.evaluation.scoring import interval
from mirdl.experiments import how_much_data
from mirdl.experiments.emotify import N_FOLDS
from mirdl.experiments.few_data_systems import unknown
from mirdl.experiments.plan import Run, ladder
from mirdl.experiments.splits import poolable
from mirdl.experiments.untrained import look_up
from mirdl.experiments.without_tags_systems import (
    NETWORK,
    SYSTEMS,
    described,
    from_scratch,
    pretrained,
    supervised,
)
from mirdl.models.baselines import Baseline, linear

#: Variant → share of the labels.
SHARES = {"1_percent": 0.01, "10_percent": 0.1, "100_percent": 1.0}
#: Draws of a part of the labels, in every row.
N_DRAWS = 3
#: Steps on a part of the labels, as a share of those on all.
FEW_STEPS = 0.4
#: Weight of the data in the probe, against the penalty.
C = 0.01
#: Resamples of artists.
N_BOOTSTRAP = 500

# ------------------------------------------------------------------------- data and labels


def collection(settings):
    """Return the embedded data set, and test artists of the rendered one with a clip of a track.

    The column ``embedded`` says which clips are of the first.
    """
    own = settings.dataset()
    more = unknown(how_much_data.rendered().subset("test"))
    second = more.clips.groupby("track_id").cumcount() == 1
    more = more.select(second.to_numpy())
    both = how_much_data.together(own, more)
    both.clips["embedded"] = np.arange(len(both)) < len(own)
    return both


def labelled(dataset, share, draw):
    """Keep a share of the training clips; validation and test clips stay whole.

    Every track gives one clip before any gives a second. What a smaller share keeps is part of
    what a larger one of the same draw keeps.

    Parameters
    ----------
    dataset : Dataset
    share : float
    draw : int or sequence of int
        Seed.

    Returns
    -------
    Dataset
    """
    training = (dataset.clips["split"] == "train").to_numpy()
    order = np.random.default_rng(draw).permutation(np.flatnonzero(training))
    tracks = dataset.clips["path"].iloc[order]
    turns = tracks.groupby(tracks).cumcount().to_numpy()  # 0 for the first clip of a track
    chosen = order[np.argsort(turns, kind="stable")][: max(1, round(share * len(order)))]
    keep = ~training
    keep[chosen] = True
    return dataset.select(keep)


def averaged(made):
    """Return the mean of some evaluations of the same clips: metrics, tables and replicates."""
    first = made[0]
    points = {name: float(np.mean([e.metrics[name] for e in made])) for name in first.metrics}
    replicates = {
        name: np.mean([e.replicates[name] for e in made], axis=0) for name in first.replicates
    }
    return replace(
        first,
        scores=np.mean([e.scores for e in made], axis=0),
        metrics=points,
        interval={n: tuple(map(float, interval(replicates[n], points[n]))) for n in points},
        table=sum(e.table for e in made) / len(made),
        replicates=replicates,
    )


# ------------------------------------------------------------------------------ experiments


def by_share(dataset, seed, learn):
    """Score what learns from each share of the labels.

    Parameters
    ----------
    dataset : Dataset
        Of `collection`.
    seed : int
        Of the draws.
    learn : callable
        ``learn(dataset, share)`` learns from the training clips that are left, and returns scores
        of the test clips.

    Returns
    -------
    dict of str to Evaluation
        By the keys of ``SHARES``, of several draws the mean; and "tags".
    """
    test, made = dataset.subset("test"), {}
    for variant, share in SHARES.items():
        draws = [[seed, draw] for draw in range(N_DRAWS if share < 1 else 1)]
        found = [learn(labelled(dataset, share, draw), share) for draw in draws]
        made[variant] = averaged([score(scores, test, N_BOOTSTRAP) for scores in found])
    embedded = test.clips["embedded"].to_numpy()
    made["tags"] = score(found[-1][embedded], test.select(embedded), N_BOOTSTRAP)
    return made


def probe(rows, heard):
    """Return a linear probe, fitted to the vectors of some clips.

    Parameters
    ----------
    rows : dict
        As `described` gives them.
    heard : Dataset
    """
    return Baseline(partial(look_up, rows), linear(C)).fit(heard)


def probed(seed, settings, system):
    """Score linear probes on the vectors of a system.

    Parameters
    ----------
    seed : int
        Of the network and the draws.
    settings : Settings
    system : str
        As in `described`.

    Returns
    -------
    dict of str to Evaluation
        As in `by_share`.
    """
    dataset = collection(settings)
    rows, test = described(system, dataset, seed, settings), dataset.subset("test")
    return by_share(dataset, seed, lambda part, _: probe(rows, part.subset("train")).predict(test))


def trained(seed, settings, start=None):
    """Score the network itself, trained on the labels from scratch or after pre-training.

    Parameters
    ----------
    seed, settings
        As in `probed`.
    start : str, optional
        A name of ``SYSTEMS``; None draws the weights at random.

    Returns
    -------
    dict of str to Evaluation
        As in `by_share`.
    """
    dataset = collection(settings)
    first = start and pretrained(seed, settings, **SYSTEMS[start])
    test = dataset.subset("test")
    audio = pack(test, progress=False)

    def learn(part, share):
        if share == 1 and start is None:
            network = from_scratch(seed, settings)
        else:
            times = 1.0 if share == 1 else FEW_STEPS
            network = supervised(seed, settings, part, times, first)
        return window_scores(network, test, audio=audio).by_clip(test.task)[1]

    made = by_share(dataset, seed, learn)
    size = models.n_parameters(models.build(**NETWORK, n_outputs=dataset.n_outputs))
    return {variant: replace(each, parameters=size) for variant, each in made.items()}


def real_music(seed, settings, system, target="genre"):
    """Score linear probes on real music, in folds of artists.

    Parameters
    ----------
    seed : int
        Of the network, the folds and the draws.
    settings : Settings
        Whose data set is Emotify.
    system : str
        As in `described`.
    target : {"genre", "emotions"}

    Returns
    -------
    dict of str to Evaluation
        By the keys of ``SHARES``, after the target: "genre_10_percent".
    """
    rows = scores = None
    for fold in range(N_FOLDS):
        dataset = settings.dataset(target, fold=fold, n_folds=N_FOLDS, seed=seed)
        split = dataset.clips["split"].replace("valid", "train")
        dataset = replace(dataset, clips=dataset.clips.assign(split=split))
        if rows is None:
            rows = described(system, dataset, seed, settings)
            shape = (N_DRAWS, len(dataset), dataset.n_outputs)
            scores = {name: np.zeros(shape) for name in SHARES}
        test = (split == "test").to_numpy()
        for name, share in SHARES.items():
            for draw in range(N_DRAWS):
                heard = labelled(dataset, share, [seed, fold, draw]).subset("train")
                found = probe(rows, heard).predict(dataset.select(test))
                scores[name][draw, test] = poolable(found, heard)
    return {
        f"{target}_{name}": averaged([score(each, dataset, N_BOOTSTRAP) for each in draws])
        for name, draws in scores.items()
    }


def _probed(system, minutes, n_seeds=3):
    options, variants = {"system": system}, (*SHARES, "tags")
    return ladder(n_seeds, "without_tags", system, probed, minutes, variants, options=options)


def _trained(system, start=None):
    options, variants = {"start": start}, (*SHARES, "tags")
    return ladder(3, "without_tags", system, trained, 2.1, variants, options=options)


def _real(system, target, minutes):
    return [
        Run(
            "without_tags_emotify",
            system,
            real_music,
            seed,
            tuple(f"{target}_{name}" for name in SHARES),
            minutes=minutes,
            budget="ladder",
            target=target,
            dataset="emotify",
            split="5 folds of artists",
            options={"system": system, "target": target},
        )
        for seed in range(3)
    ]


RUNS = [
    *_probed("mfcc", 0.15),
    *_probed("untrained", 0.15),
    *_probed("contrastive", 2.9),
    *_trained("from_scratch"),
    *_trained("fine_tuned", "contrastive"),
    *_probed("crops_alone", 1.7),
    *_probed("contrastive_more", 2.9),
    *_probed("musicnn", 0.4),
    *_probed("fcn", 0.5),
    *(
        run
        for system in ("mfcc", "untrained", "contrastive", "contrastive_more", "from_scratch")
        for target in ("genre", "emotions")
        for run in _real(system, target, 0.12)
    ),
    *(run for target in ("genre", "emotions") for run in _real("musicnn", target, 0.35)),
    *(
        run
        for name in ("speed", "equalizer", "noise", "gain")
        for run in _probed(f"{name}_alone", 2.1, 1)
    ),
    *_probed("temperature_0.1", 2.9, 1),
    *_probed("16_pairs", 2.9, 1),
]
