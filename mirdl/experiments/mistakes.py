"""Lesson 19: tags that exclude each other, labels that are missing, words that mean the same.

- *Exclusive*: of two genres that no style of the embedded data has both, or of *fast* and *slow*,
  *loud* and *quiet*, a clip should get one at most. The metric is the share of test clips that get
  both of some such pair. "confident": both scores reach 0.5. "matched": every tag is given to as
  many clips as its share of the training clips asks, those with the highest scores, so that no
  system gains by saying less. The thesis (section 5.5.1) compares a network with boosted trees, a
  model for each tag; they differ in more than that. Two multilayer perceptrons on MFCC-120 do not:
  one learns all tags together, the other is as many networks as there are tags.
- *Missing labels*: an instrument has its tag where it plays for 2 s and is loud enough. Where it
  sounds without having it, does the tagger answer more than where it does not sound at all? The
  metric is the percentile of a tag's score among all test clips.
- *Synonyms*: musicnn's published weights give 50 tags of MagnaTagATune, some of them words for one
  thing. The metric is the distance of two tags' percentiles on a track of Emotify, mean over pairs.
"""

import gzip
import json
from dataclasses import replace
from itertools import combinations
from types import SimpleNamespace

import numpy as np
import torch
from scipy.stats import rankdata

from mirdl import models, paths, published
from mirdl.compose.styles import STYLES
from mirdl.compose.tags import GENRES, INSTRUMENTS, sounding
from mirdl.datasets.base import split_tags
from mirdl.datasets.magnatagatune import SYNONYMS
from mirdl.datasets.pack import pack
from mirdl.evaluation import SharedTags, window_scores
from mirdl.evaluation.in_time import clip_means
from mirdl.experiments.dense_layers import descend, mlp
from mirdl.experiments.listening_inside import played
from mirdl.experiments.plan import Run
from mirdl.experiments.published import weights
from mirdl.models.blocks import scaled
from mirdl.models.descriptors import extract

#: From this probability on a tag is given with confidence.
CONFIDENT = 0.5
#: How often scores are dealt to other clips, for the share that chance gives.
N_SHUFFLES = 100
HIDDEN = (512,)


def exclusive_pairs(tags):
    """Return the pairs of tags that no track of the embedded data can have both, by its rules.

    Parameters
    ----------
    tags : sequence of str

    Returns
    -------
    list of (int, int)
        Columns.
    """
    styles = [{*style.tags, *(["dance"] if style.dance else [])} for style in STYLES.values()]
    pairs = [
        pair for pair in combinations(GENRES, 2) if not any(style >= {*pair} for style in styles)
    ]
    pairs += [("fast", "slow"), ("loud", "quiet")]
    return [(tags.index(a), tags.index(b)) for a, b in pairs if a in tags and b in tags]


def contradicted(given, pairs):
    """Say of each clip whether it was given both tags of some pair.

    Parameters
    ----------
    given : bool array (n_clips, n_tags)
    pairs : list of (int, int)

    Returns
    -------
    array, float (n_clips,)
        0 or 1.
    """
    both = [given[:, a] & given[:, b] for a, b in pairs]
    return np.any(both, axis=0).astype(float) if both else np.zeros(len(given))


def as_often(scores, shares):
    """Give every tag to the clips that score highest, as many as its share asks.

    Parameters
    ----------
    scores : array (n_clips, n_tags)
    shares : array (n_tags,)

    Returns
    -------
    bool array (n_clips, n_tags)
    """
    places = (-scores).argsort(axis=0, kind="stable").argsort(axis=0)
    return places < np.round(shares * len(scores))


def contradictions(scores, test, shares, parameters=None):
    """Evaluate how many clips get tags that exclude each other.

    Parameters
    ----------
    scores : array (n_clips, n_tags)
        Probabilities.
    test : Dataset
    shares : array (n_tags,)
        Of the training clips that carry each tag.
    parameters : int, optional

    Returns
    -------
    Evaluation
        Metrics "confident" and "matched"; chance is what is left of them when every tag's scores
        are dealt anew to the clips.
    """
    pairs = exclusive_pairs(test.tags)
    given = {"confident": scores >= CONFIDENT, "matched": as_often(scores, shares)}
    rng = np.random.default_rng(0)
    chance = {
        name: np.mean(
            [contradicted(rng.permuted(each, axis=0), pairs).mean() for _ in range(N_SHUFFLES)]
        )
        for name, each in given.items()
    }
    values = {name: contradicted(each, pairs) for name, each in given.items()}
    return clip_means(values, test, chance, parameters=parameters)


def tagger_scores(dataset):
    """Return the data set cut to the committed tagger's tags, that network, and its scores."""
    network = SharedTags(models.load(paths.TAGGER), dataset)
    audio = pack(dataset, progress=False)
    _, scores = window_scores(network, network.dataset, audio=audio).by_clip("multilabel")
    return network.dataset, network, scores


def exclusive(seed, settings, system="fcn"):
    """Count contradictions of one system.

    Parameters
    ----------
    seed : int
    settings : Settings
    system : str
        "fcn", the committed tagger; "together" or "apart", perceptrons on MFCC-120; or a baseline.

    Returns
    -------
    Evaluation
        Of `contradictions`.
    """
    dataset = settings.dataset()
    train, test = dataset.subset("train"), dataset.subset("test")
    parameters = None
    if system == "fcn":
        test, network, scores = tagger_scores(test)
        parameters = models.n_parameters(network)
        shares = train.targets[:, [train.tags.index(tag) for tag in test.tags]].mean(axis=0)
    else:
        shares = train.targets.mean(axis=0)
        if system in ("together", "apart"):
            scores, parameters = perceptrons(seed, settings, train, test, system == "apart")
        else:
            model = models.build(system, seed=seed).fit(train, dataset.subset("valid"))
            scores = model.predict(test)
    return contradictions(scores, test, shares, parameters)


def perceptrons(seed, settings, train, test, apart):
    """Train one perceptron on MFCC-120 for all tags, or one for each; return scores and size.

    Each has the hidden units, the steps and the rate of lesson 04's.

    Parameters
    ----------
    seed : int
    settings : Settings
    train, test : Dataset
    apart : bool

    Returns
    -------
    scores : array (n_clips, n_tags)
    parameters : int
    """
    x, x_test = (np.concatenate(extract(part, "mfcc120")) for part in (train, test))
    x, x_test = (torch.from_numpy((z - x.mean(axis=0)) / x.std(axis=0)) for z in (x, x_test))
    y = torch.from_numpy(train.targets)
    torch.manual_seed(seed)
    columns, parameters = [], 0
    for labels in y.split(1, dim=1) if apart else [y]:

        def draw(labels=labels):
            batch = torch.randint(len(x), (settings.batch_size,))
            return x[batch], labels[batch]

        model = mlp(x.shape[1], scaled(HIDDEN, settings.width), labels.shape[1])
        descend(model, draw, settings.n_steps)
        with torch.no_grad():
            columns.append(model(x_test).sigmoid())
        parameters += models.n_parameters(model)
    return torch.cat(columns, dim=1).numpy(), parameters


def sounds(dataset):
    """Say which instruments sound in which clips, whether or not they have earned their tag.

    Parameters
    ----------
    dataset : Dataset
        Clips of the embedded data.

    Returns
    -------
    bool array (n_clips, n_instruments)
        In the order of `mirdl.compose.tags.INSTRUMENTS`.
    """
    folder = paths.data_folder() / "minitag"
    with gzip.open(folder / "annotations.jsonl.gz", "rt", encoding="utf-8") as file:
        notes = {track["track_id"]: track["notes"] for track in map(json.loads, file)}
    found = np.zeros((len(dataset), len(INSTRUMENTS)), dtype=bool)
    for i, clip in dataset.clips.iterrows():
        tags = played(clip)
        for part, its_notes in notes[clip["track_id"]].items():
            if tags.get(part):
                player = SimpleNamespace(notes=its_notes)
                heard = sounding(player, clip["start"], clip["end"]) > 0
                found[i, INSTRUMENTS.index(tags[part])] |= heard
    return found


def missing_labels(seed, settings):
    """Compare instruments that sound without having their tag with those that do not sound.

    Parameters
    ----------
    seed : int
        Nothing is random.
    settings : Settings

    Returns
    -------
    dict of str to Evaluation
        "tagged", "sounding" (without the tag), "absent": the mean percentile, 0 to 1, of the
        tagger's scores for the instruments of that kind, in the mean over clips that have any.
    """
    test, network, scores = tagger_scores(settings.dataset().subset("test"))
    known = [tag for tag in INSTRUMENTS if tag in test.tags]
    percentiles = rankdata(scores[:, [test.tags.index(tag) for tag in known]], axis=0) / len(test)
    heard = sounds(test)[:, [INSTRUMENTS.index(tag) for tag in known]]
    tags = split_tags(test.clips["tags"])
    tagged = np.array([[tag in own for tag in known] for own in tags])
    kinds = {"tagged": tagged, "sounding": heard & ~tagged, "absent": ~heard & ~tagged}
    parameters = models.n_parameters(network)
    found = {}
    for kind, chosen in kinds.items():
        with np.errstate(invalid="ignore"):
            values = (percentiles * chosen).sum(axis=1) / chosen.sum(axis=1)
        found[kind] = clip_means(
            {"percentile": values}, test, {"percentile": 0.5}, parameters=parameters
        )
    return found


def synonyms(seed, settings, name="musicnn"):
    """Compare pairs of synonyms with all other pairs among a published tagger's outputs.

    Parameters
    ----------
    seed : int
        Nothing is random.
    settings : Settings
    name : str
        Of `mirdl.published.load`.

    Returns
    -------
    dict of str to Evaluation
        "synonyms", "others": the mean distance of percentiles. Chance is 1/3, the mean distance of
        two uniform numbers.
    """
    dataset = settings.dataset("mtt_tags")
    model = published.load(name, weights(name))
    blank = np.zeros((len(dataset), len(model.tags)), dtype=np.float32)
    dataset = replace(dataset, tags=model.tags, targets=blank)
    _, scores = window_scores(model, dataset).by_clip("multilabel")
    ranks = rankdata(scores, axis=0) / len(scores)
    groups = {word: k for k, line in enumerate(SYNONYMS) for word in line.split("|")}
    kinds = {"synonyms": [], "others": []}
    for a, b in combinations(range(len(model.tags)), 2):
        first, second = (groups.get(model.tags[k], -1 - k) for k in (a, b))
        kinds["synonyms" if first == second else "others"].append(np.abs(ranks[:, a] - ranks[:, b]))
    size = models.n_parameters(model)
    return {
        kind: clip_means(
            {"distance": np.mean(each, axis=0)}, dataset, {"distance": 1 / 3}, parameters=size
        )
        for kind, each in kinds.items()
    }


def _exclusive(system, seeds=1, minutes=0.2, budget="course"):
    about = {"variants": ("tags",), "minutes": minutes, "options": {"system": system}}
    return [
        Run("exclusive_tags", system, exclusive, seed, budget=budget, **about)
        for seed in range(seeds)
    ]


RUNS = [
    *_exclusive("fcn", minutes=0.3),
    *_exclusive("boosted_trees", 3, 0.4),
    *_exclusive("logistic_regression"),
    *_exclusive("together", 3, 0.1, "ladder"),
    *_exclusive("apart", 3, 0.4, "ladder"),
    Run(
        "missing_labels",
        "fcn",
        missing_labels,
        variants=("tagged", "sounding", "absent"),
        minutes=0.3,
    ),
    Run(
        "synonyms",
        "musicnn",
        synonyms,
        variants=("synonyms", "others"),
        minutes=1.8,
        dataset="emotify",
        target="mtt_tags",
        split="all tracks",
        options={"name": "musicnn"},
    ),
]
