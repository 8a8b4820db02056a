"""Lesson 16: from 1 to 50 examples a class, and no validation set.

After the thesis' chapter 6: styles of the embedded data stand for its sound events, where source
and target of a transfer match (the source's tags name seven of nine styles), dances for its
acoustic scenes, where they do not. Genres of Emotify are real music. (Leads were left out: on the
validation artists a nearest neighbour is at chance with 20 examples of each, and where all guess,
nothing can be told.) Decided before any row existed:

- An example is a clip of 10 s (Emotify: a track); a draw takes n of each class, at random, from
  the training and validation artists. Five draws, the seeds of the rows: two systems of one seed
  heard the same clips. For n = 50 classes give all that they have, 27 to 45 clips. Emotify has
  two folds of artists, dealt by the seed, and a draw from each; every track is scored.
- Patches of 40 mel bands by 64 frames (3 s), half of the paper's frames and a third of its bands.
  Plain networks have 200 steps of 32 patches, the thesis' 200 epochs of one batch (with more than
  25 examples a class an epoch is more than one); prototypical ones have 140 of up to 10 patches a
  class, and the filters of `VGGSmall`, so that only the loss differs. The thesis trains them until
  all examples are told apart and 200 epochs more, with four times the filters; an epoch of its
  code is up to eight steps with few data.
- The test is that of the embedded data, 15 artists a task, and for power one clip of every track
  by 45 test artists of a rendered set of the same kind.
- Transfer starts from a `VGGSmall` that learnt the tags of 120 rendered artists, none of whom
  gives examples or is tested; or from the published musicnn (MagnaTagATune, which holds other
  parts of some of Emotify's songs). At the thesis' rate of 0.00001, 200 steps of clipped gradients
  move all pre-trained weights together by at most 0.01: they are held still, and only the new
  layer learns. "fine_tuned_faster" gives them 0.01.
- The metric is accuracy, also as a mean over a span of n (``SPANS``).
"""

from dataclasses import replace

import numpy as np
import pandas as pd
from torch import nn

from mirdl import features, models
from mirdl.datasets.base import class_numbers
from mirdl.evaluation import evaluate, over_seeds, score
from mirdl.evaluation.scoring import interval
from mirdl.experiments import how_much_data, patches, store
from mirdl.experiments.few_data_systems import (
    FRONT_END,
    LOGS,
    PLAIN,
    PROTOTYPES,
    SYSTEMS,
    pretrained,
    source,
    spectrograms,
    unknown,
)
from mirdl.experiments.plan import ladder

#: Examples a class.
COUNTS = {
    "style": (1, 2, 5, 10, 20, 50),
    "dance": (1, 2, 5, 10, 20, 50),
    "genre": (1, 2, 5, 10, 20),
}
#: Undanced styles of the embedded data with 9 tracks or more that may give examples.
STYLES = [
    "ambient", "baroque", "classical", "electronic", "jazz", "metal", "newage", "pop", "rock",
]  # fmt: skip
#: What claims average over.
SPANS = {
    "accuracy_1_to_20": (1, 2, 5, 10, 20),
    "accuracy_1_to_10": (1, 2, 5, 10),
    "accuracy_1_and_2": (1, 2),
    "accuracy_5_to_20": (5, 10, 20),
    "accuracy_5_to_50": (5, 10, 20, 50),
}
#: Resamples of artists: a row holds a dozen metrics.
N_BOOTSTRAP = 200

#: Thesis Tables A.1 (US8K, 10 classes) and A.3 (ASC-TUT, 15 classes): accuracy in % for n of 1, 2,
#: 5, 10, 20, 50 and 100, log-EPS and learned.
PUBLISHED = {
    "log_eps": {
        ("US8K", "prototypical"): (21.69, 30.02, 43.58, 51.14, 58.86, 62.14, 63.08),
        ("US8K", "sb_cnn"): (18.29, 22.81, 29.89, 36.66, 42.34, 53.19, 60.43),
        ("US8K", "vgg"): (16.58, 22.03, 27.93, 32.40, 35.49, 58.62, 67.41),
        ("US8K", "timbre"): (18.97, 24.95, 34.20, 40.12, 37.70, 46.11, 49.57),
        ("ASC-TUT", "prototypical"): (18.16, 24.68, 35.36, 45.39, 53.78, 62.03, 67.78),
        ("ASC-TUT", "sb_cnn"): (13.70, 18.08, 21.24, 27.81, 36.61, 52.32, 58.56),
        ("ASC-TUT", "vgg"): (17.01, 20.05, 20.36, 29.45, 44.58, 52.46, 57.71),
        ("ASC-TUT", "timbre"): (17.00, 20.21, 25.40, 27.74, 39.02, 46.61, 50.16),
    },
    "learned_log": {
        ("US8K", "prototypical"): (19.16, 25.85, 35.85, 44.90, 51.15, 60.39, 65.38),
        ("US8K", "sb_cnn"): (19.84, 24.77, 32.85, 39.75, 45.03, 54.94, 60.34),
        ("US8K", "vgg"): (18.27, 21.53, 26.48, 30.89, 32.04, 55.22, 64.65),
        ("US8K", "timbre"): (21.27, 25.95, 34.02, 39.20, 42.38, 48.40, 50.14),
        ("ASC-TUT", "prototypical"): (19.94, 24.72, 31.77, 39.64, 43.28, 45.43, 47.70),
        ("ASC-TUT", "sb_cnn"): (18.69, 21.34, 26.62, 30.22, 34.87, 45.27, 52.59),
        ("ASC-TUT", "vgg"): (11.07, 11.54, 12.47, 13.71, 22.51, 37.14, 42.53),
        ("ASC-TUT", "timbre"): (16.06, 19.72, 21.88, 24.17, 25.09, 31.66, 38.35),
    },
}


def task(settings, target, seed, larger=False, rendered=True):
    """Return a data set, and for each part of it that is tested a mask (n_clips,).

    Parameters
    ----------
    settings : Settings
    target : {"style", "dance", "genre"}
    seed : int
        Of the two folds of Emotify.
    larger : bool
        Whether those artists of the rendered set join who are neither of its test nor of `source`.
    rendered : bool
        Whether the test artists of the rendered set join those of the embedded one, with the
        second clip of every track.

    Returns
    -------
    dataset : Dataset
    tested : list of numpy.ndarray of bool
    """
    if settings.dataset_name == "emotify":
        folds = [settings.dataset(target, n_folds=2, fold=k, seed=seed) for k in (0, 1)]
        return folds[0], [(fold.clips["split"] == "test").to_numpy() for fold in folds]
    dataset = _classes(settings.dataset, target)
    if rendered:
        more = unknown(_classes(how_much_data.rendered, target))
        wanted = more.clips["split"] == "test"
        wanted &= more.clips.groupby("track_id").cumcount() == 1
        if larger:
            used = more.clips["artist"].isin(source().clips["artist"])
            wanted |= ~used & (more.clips["split"] != "test")
        dataset = how_much_data.together(dataset, more.select(wanted.to_numpy()))
    return dataset, [(dataset.clips["split"] == "test").to_numpy()]


def _classes(load, target):
    if target != "style":
        return load(target)
    dataset = load("tags")
    dataset = dataset.select(dataset.clips["style"].isin(STYLES).to_numpy())
    targets, names = class_numbers(dataset.clips["style"], STYLES)
    return replace(dataset, tags=names, targets=targets, task="multiclass")


def curve(seed, settings, system, target, counts=None, larger=False):
    """Score one system with n examples a class, for every n.

    Parameters
    ----------
    seed : int
        Of the draw, the weights, and the folds of Emotify.
    settings : Settings
    system : str
        Of ``SYSTEMS`` or ``LOGS``.
    target, larger
        As in `task`.
    counts : sequence of int, optional
        Default: ``COUNTS`` of the target.

    Returns
    -------
    Evaluation
        As `joined` makes it of one for each n.
    """
    hears, learns, options = {**SYSTEMS, **LOGS}[system]
    dataset, folds = task(settings, target, seed, larger)
    clips = hears(dataset, settings)
    tested = np.any(folds, axis=0)
    by_count = {}
    for n in counts or COUNTS[target]:
        scores = np.full((len(dataset), dataset.n_outputs), np.nan)
        for test in folds:
            pool = clips.select(~test)
            heard = pool.select(patches.examples(pool.labels, n, seed))
            model, training = learns(heard, dataset.n_outputs, seed, settings, **options)
            for _ in training:
                pass
            scores[test] = patches.predict(model, clips.select(test))
        by_count[n] = score(scores[tested], dataset.select(tested), N_BOOTSTRAP)
    is_network = isinstance(model, nn.Module)
    return joined(by_count, models.n_parameters(model) if is_network else None)


def joined(by_count, parameters=None):
    """Make one evaluation of those for each n: its metrics are "accuracy_5", "accuracy_5_to_20".

    Parameters
    ----------
    by_count : dict of int to Evaluation
        Of the same clips.
    parameters : int, optional

    Returns
    -------
    Evaluation
        Scores are those of the largest n; the table has the recall of every class for each n.
    """
    spans = {f"accuracy_{n}": (n,) for n in by_count}
    spans |= {name: span for name, span in SPANS.items() if set(span) <= set(by_count)}

    def mean(of, span):
        return np.mean([of(by_count[n]) for n in span], axis=0)

    points = {name: float(mean(lambda e: e.metrics["accuracy"], s)) for name, s in spans.items()}
    replicates = {name: mean(lambda e: e.replicates["accuracy"], s) for name, s in spans.items()}
    last = list(by_count.values())[-1]
    recall = {f"recall_{n}": made.table["recall"] for n, made in by_count.items()}
    return replace(
        last,
        metrics=points,
        chance=dict.fromkeys(spans, last.chance["accuracy"]),
        interval={n: tuple(map(float, interval(replicates[n], points[n]))) for n in spans},
        table=last.table[["positives"]].assign(**recall),
        replicates=replicates,
        parameters=parameters,
    )


def stored():
    """Return the accuracies of all stored rows of the table.

    Returns
    -------
    DataFrame
        Index system, variant and n; mean and deviation over draws, low and high (mean ends of the
        95 % intervals over artists), chance, seeds. Empty where no row has been run.
    """
    rows, lines = {}, {}
    for row in store.load("few_data"):
        rows.setdefault((row["system"], row["variant"]), []).append(row)
    for side, found in rows.items():
        for metric, line in over_seeds(found).iterrows():
            n = metric.removeprefix("accuracy_")
            if n.isdigit():
                lines[*side, int(n)] = line
    lines = dict(sorted(lines.items()))
    index = pd.MultiIndex.from_tuples(list(lines), names=["system", "variant", "n"])
    columns = ["mean", "deviation", "low", "high", "chance", "seeds"]
    return pd.DataFrame(list(lines.values()), index=index, columns=columns)


def pretraining(seed, settings):
    """Score the pre-trained network on the tags of the embedded data's test clips."""
    made = pretrained(settings)
    heard = settings.dataset().subset("test")
    made.front_end = features.front_end(FRONT_END)
    return evaluate(made, heard, n_bootstrap=N_BOOTSTRAP)


def overfit(seed, settings, system, target="style", n=5, times=3, checks=20):
    """Train for long, and score the examples and the test clips on the way [thesis Fig. 6.4].

    Parameters
    ----------
    seed : int
    settings : Settings
    system : {"vgg", "prototypical"}
    target : str
    n : int
        Examples a class.
    times : float
        Factor on the steps.
    checks : int
        How often, evenly over the steps.

    Returns
    -------
    dict of str to Evaluation
        "fitted": at the first check where 95 % of the examples are right; half-way if at none.
        "end": after the last step; its table has a row a check: step, train and test accuracy.
    """
    _, learns, options = SYSTEMS[system]
    dataset, (test,) = task(settings, target, seed)
    clips = spectrograms(dataset, settings)
    heard, held_out = clips.select(~test), clips.select(test)
    heard = heard.select(patches.examples(heard.labels, n, seed))
    n_steps = settings.times({"vgg": PLAIN, "prototypical": PROTOTYPES}[system] * times).n_steps
    every = max(1, n_steps // checks)
    if system == "prototypical":
        options = {"ready_every": every}
    model, training = learns(heard, dataset.n_outputs, seed, settings, times=times, **options)
    checked = {}
    for step in training:
        if step % every == 0:
            train = patches.predict(model, heard).argmax(axis=1) == heard.labels.numpy()
            checked[step] = float(train.mean()), patches.predict(model, held_out)
    part = dataset.select(test)
    made = {step: score(scores, part, N_BOOTSTRAP) for step, (_, scores) in checked.items()}
    curves = pd.DataFrame(
        {
            "train": [train for train, _ in checked.values()],
            "test": [one.metrics["accuracy"] for one in made.values()],
        },
        index=pd.Index(checked, name="output"),
    )
    fitted = [*curves.index[curves["train"] >= 0.95], curves.index[len(curves) // 2]]
    return {"fitted": made[fitted[0]], "end": replace(made[curves.index[-1]], table=curves)}


#: Core-minutes of one draw, all n; of the others 0.07.
MINUTES = {
    "style": {"sb_cnn": 0.4, "vgg": 0.8, "timbre": 0.25, "prototypical": 1.5},
    "dance": {"sb_cnn": 0.3, "vgg": 0.7, "timbre": 0.2, "prototypical": 1.35},
    "genre": {"sb_cnn": 0.5, "vgg": 0.9, "timbre": 0.3, "prototypical": 1.3},
}
#: Examples a class of the lines of section 6.4.1 and of Appendix A.
COSINE = {"style": (5, 50), "dance": (5, 50), "genre": (5, 20)}
LEARNED = (10,)
#: Draws of lines under no claim that cost minutes; of the others 5.
FEWER_DRAWS = {("sb_cnn", "genre"): 3, ("timbre", "genre"): 3}
#: Lines of Appendix A.
LEARNED_LOGS = [
    *((system, "style") for system in LOGS),
    ("vgg_learned_log", "dance"),
    ("prototypical_learned_log", "dance"),
]


def _curves(system, target, counts=None, suffix="", **options):
    about = {"target": target, "dataset": "minitag"}
    if target == "genre":
        about |= {"dataset": "emotify", "split": "2 folds of artists"}
    if counts:
        options["counts"] = counts
    base = system.removesuffix("_learned_log").removesuffix("_cosine")
    share = len(counts or COUNTS[target]) / len(COUNTS[target])
    return ladder(
        FEWER_DRAWS.get((system, target), 5),
        "few_data",
        system,
        curve,
        share * MINUTES[target].get(base, 0.07),
        (target + suffix,),
        options={"system": system, "target": target, **options},
        **about,
    )


def _faster(target):
    options = {"system": "fine_tuned_faster", "target": target}
    return ladder(
        1, "few_data", "fine_tuned_faster", curve, 0.8, (target,), target=target, options=options
    )


def _overfit(system, n_draws):
    name, variants, about = "few_data_over_fitting", ("fitted", "end"), {"target": "style"}
    return ladder(
        n_draws, name, system, overfit, 1.0, variants, options={"system": system}, **about
    )


RUNS = [
    *ladder(1, "few_data", "pretrained", pretraining, 2.5),
    *(
        run
        for target in COUNTS
        for system in SYSTEMS
        if system != "fine_tuned_faster"
        for run in _curves(system, target, COSINE[target] if "cosine" in system else None)
    ),
    *_faster("style"),
    *_faster("dance"),
    *(run for line in LEARNED_LOGS for run in _curves(*line, LEARNED)),
    *(
        run
        for target in ("style", "dance")
        for system in ("vgg", "prototypical", "fine_tuned")
        for run in _curves(system, target, (100,), "_larger", larger=True)
    ),
    *_overfit("prototypical", 5),
    *_overfit("vgg", 1),
]
