"""Lesson 16: from 1 to 50 examples a class, and no validation set.

After the thesis' chapter 6: leads of the embedded data stand for its sound events, where source
and target of a transfer match (the source's tags name the instruments), dances for its acoustic
scenes, where they do not. Genres of Emotify are real music. Decided before any row existed:

- An example is a clip of 10 s (Emotify: a track); a draw takes n of each class, at random, from
  the training and validation artists. Five draws, the seeds of the rows: two systems of one seed
  heard the same clips. Classes of 39 to 50 clips give all for n = 50. Emotify has two folds
  of artists, dealt by the seed, and a draw from each; every track is scored.
- Patches of 40 mel bands by 64 frames (3 s), half of the paper's frames and a third of its bands.
  Plain networks have 200 steps of 32 patches; prototypical ones have 60 of 10 patches a class,
  about as many patches, and the filters of `VGGSmall`, so that only the loss differs. The thesis
  gives both 200 epochs and more, and prototypes four times the filters.
- Transfer starts from a `VGGSmall` that learnt the tags of 180 rendered artists, none of whom is
  in the embedded data; or from the published musicnn (MagnaTagATune, which holds other parts of
  some of Emotify's songs). At the thesis' rate of 0.00001, 200 steps of clipped gradients move
  all pre-trained weights together by at most 0.01: they are held still, and only the new layer
  learns. "fine_tuned_faster" gives them 0.01.
- The metric is accuracy, also as a mean over a span of n (``SPANS``).
"""

from dataclasses import replace

import numpy as np
import pandas as pd
from torch import nn

from mirdl import features, models
from mirdl.evaluation import evaluate, score
from mirdl.evaluation.scoring import interval
from mirdl.experiments import how_much_data, patches
from mirdl.experiments.few_data_systems import (
    FRONT_END,
    LOGS,
    PLAIN,
    PROTOTYPES,
    SYSTEMS,
    pretrained,
    spectrograms,
    unknown,
)
from mirdl.experiments.plan import ladder

#: Examples a class.
COUNTS = {"lead": (1, 2, 5, 10, 20, 50), "dance": (1, 2, 5, 10, 20, 50), "genre": (1, 2, 5, 10, 20)}
#: What claims average over.
SPANS = {
    "accuracy_1_to_20": (1, 2, 5, 10, 20),
    "accuracy_1_to_10": (1, 2, 5, 10),
    "accuracy_1_and_2": (1, 2),
    "accuracy_5_to_20": (5, 10, 20),
    "accuracy_5_to_50": (5, 10, 20, 50),
    "accuracy_5_and_20": (5, 20),
}
#: Resamples of artists: a row holds a dozen metrics.
N_BOOTSTRAP = 200


def task(settings, target, seed, larger=False):
    """Return a data set, and for each part of it that is tested a mask (n_clips,).

    Parameters
    ----------
    settings : Settings
    target : {"lead", "dance", "genre"}
    seed : int
        Of the two folds of Emotify.
    larger : bool
        Whether validation and test artists of `how_much_data.rendered` join those who give
        examples. (Its training artists are those of `source`.)

    Returns
    -------
    dataset : Dataset
    tested : list of numpy.ndarray of bool
    """
    if settings.dataset_name == "emotify":
        folds = [settings.dataset(target, n_folds=2, fold=k, seed=seed) for k in (0, 1)]
        return folds[0], [(fold.clips["split"] == "test").to_numpy() for fold in folds]
    dataset = settings.dataset(target)
    if larger:
        more = how_much_data.rendered(target)
        more = unknown(more.select((more.clips["split"] != "train").to_numpy()))
        more.clips["split"] = "valid"
        dataset = replace(
            dataset,
            clips=pd.concat([dataset.clips, more.clips], ignore_index=True),
            targets=np.concatenate([dataset.targets, more.targets]),
        )
    return dataset, [(dataset.clips["split"] == "test").to_numpy()]


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


def pretraining(seed, settings):
    """Score the pre-trained network on the tags of the embedded data's test clips."""
    made = pretrained(settings)
    heard = settings.dataset().subset("test")
    made.front_end = features.front_end(FRONT_END)
    return evaluate(made, heard, n_bootstrap=N_BOOTSTRAP)


def overfit(seed, settings, system, target="lead", n=5, times=5, checks=25):
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
        "fitted": at the first check where all examples are told apart, or the last if none.
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
    fitted = curves.index[curves["train"] == 1]
    last = curves.index[-1]
    return {
        "fitted": made[fitted[0] if len(fitted) else last],
        "end": replace(made[last], table=curves),
    }


# Core-minutes of one draw, all n.
MINUTES = {
    "lead": {
        "sb_cnn": 0.4,
        "vgg": 0.8,
        "timbre": 0.25,
        "prototypical": 1,
        "fine_tuned_faster": 0.8,
    },
    "dance": {
        "sb_cnn": 0.3,
        "vgg": 0.7,
        "timbre": 0.2,
        "prototypical": 0.7,
        "fine_tuned_faster": 0.7,
    },
    "genre": {"sb_cnn": 0.5, "vgg": 0.9, "timbre": 0.3, "prototypical": 0.6},
}


def _curves(system, target, minutes, n_draws=5, suffix="", **options):
    about = {"target": target, "dataset": "minitag"}
    if target == "genre":
        about |= {"dataset": "emotify", "split": "2 folds of artists"}
    return ladder(
        n_draws,
        "few_data",
        system,
        curve,
        minutes,
        (target + suffix,),
        options={"system": system, "target": target, **options},
        **about,
    )


RUNS = [
    *ladder(1, "few_data", "pretrained", pretraining, 3.5),
    *(
        run
        for target in COUNTS
        for system in SYSTEMS
        if not (target == "genre" and system == "fine_tuned_faster")
        for run in _curves(system, target, MINUTES[target].get(system.removesuffix("_cosine"), 0.1))
    ),
    *(
        run
        for target in ("lead", "dance")
        for system in LOGS
        for run in _curves(
            system,
            target,
            0.4 * MINUTES[target][system.removesuffix("_learned_log")],
            counts=(5, 20),
        )
    ),
    *(
        run
        for target in ("lead", "dance")
        for system, minutes in (("vgg", 0.3), ("prototypical", 0.3), ("fine_tuned", 0.15))
        for run in _curves(system, target, minutes, suffix="_larger", counts=(100,), larger=True)
    ),
    *(
        run
        for system, n_draws in (("prototypical", 5), ("vgg", 1))
        for run in ladder(
            n_draws,
            "few_data_over_fitting",
            system,
            overfit,
            1,
            ("fitted", "end"),
            target="lead",
            options={"system": system},
        )
    ),
]
