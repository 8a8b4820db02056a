"""Lesson 10: filters as tall as a timbre, on tags, on the lead instrument, and on moments of it.

All networks hear one second at a time, and train on 8 windows a step in place of 16: tall filters
take ten times as long as those of lesson 07. The weights of the last step are scored. Rows of
claims have three seeds.
"""

from dataclasses import replace

import numpy as np

from mirdl import models
from mirdl.datasets.base import split_tags
from mirdl.datasets.pack import pack
from mirdl.evaluation import evaluate
from mirdl.evaluation.scoring import artist_weights, interval
from mirdl.experiments import two_dimensions
from mirdl.experiments.baselines import baseline
from mirdl.experiments.networks import judge, network, train
from mirdl.experiments.plan import ladder

#: Seconds that every network hears at a time, but for the moments.
SECONDS = 1
#: Mel bands of 128 by which test spectrograms are moved up; 4 of 96 were lesson 08's.
SHIFT = 5
#: An instrument is named where the clip's mean softmax reaches this [thesis section 3.4].
THRESHOLD = 0.2
#: dB, z-scored as all inputs of the paper.
IRMAS = {"preset": "mel96", "normalise": "global"}
HAN = {"preset": "mel128", "normalise": "global"}
#: 80 bands, 25 ms windows every 10 ms, as the phoneme network's, at 16 kHz.
MOMENT = {
    "preset": "mel96",
    "n_mels": 80,
    "n_fft": 512,
    "win_length": 400,
    "hop_length": 160,
    "normalise": "per_bin",
}
#: 21 frames of it, and how many such moments a clip of each split gives.
MOMENT_SECONDS = 0.2
MOMENTS = {"train": 20, "valid": 5, "test": 8}


def brief(settings):
    """Return the settings with half the batch and one validation, after the last step."""
    return replace(settings.validating_once(), batch_size=max(1, settings.batch_size // 2))


def tags(seed, settings, name="timbre_cnn", **options):
    """Train on the tags and score the test clips, also moved up [thesis Tables 3.5 and 5.3].

    Parameters
    ----------
    seed, settings, name, **options
        As in `mirdl.experiments.two_dimensions.tags`; the settings are made `brief`.

    Returns
    -------
    dict of str to Evaluation
        "tags", and "up_5" where ``shifts`` ask for it.
    """
    return two_dimensions.tags(seed, brief(settings), name, for_seconds=SECONDS, **options)


def instruments(seed, settings, name="irmas_single", **overrides):
    """Train on the lead instrument alone, then name all that reach a threshold [Table 3.4].

    IRMAS is used in this way: a training clip has one label, a test clip may have several.

    Parameters
    ----------
    seed, settings, name, **overrides
        As in `mirdl.experiments.networks.network`; the settings are made `brief`. A baseline's
        scores, one probability for each class, are divided by their sum.

    Returns
    -------
    dict of str to Evaluation
        "lead": the class of the largest score. "named": the set that `THRESHOLD` gives, against
        the lead. "sounding": the same set, against all eleven that sound in the clip.
    """
    dataset = settings.dataset("lead")
    test = dataset.subset("test")
    if name in models.BASELINES:
        made = baseline(seed, settings, name, "lead")
    else:
        model = train(seed, brief(settings), name, dataset, for_seconds=SECONDS, **overrides)
        made = judge(model, dataset)
    answers = made.scores / made.scores.sum(axis=1, keepdims=True) >= THRESHOLD
    lead = np.eye(dataset.n_outputs)[test.targets]
    heard = split_tags(test.clips["tags"])
    sounding = np.array([[tag in clip for tag in dataset.tags] for clip in heard], dtype=float)
    artists = test.clips["artist"]
    return {
        "lead": made,
        "named": replace(made, **named(answers, lead, artists)),
        "sounding": replace(made, **named(answers, sounding, artists)),
    }


def named(answers, truth, artists, n_bootstrap=1000, seed=0):
    """Score sets of instruments by precision, recall and F1, micro and macro, with intervals.

    Micro counts all answers together; macro is the mean over the instruments that occur. Where
    nothing was answered, precision is 0.

    Parameters
    ----------
    answers, truth : array (n_clips, n_outputs) of 0 and 1
    artists : sequence (n_clips,)
    n_bootstrap, seed : int
        As in `mirdl.evaluation.score`, so that the resamples are the same.

    Returns
    -------
    dict
        ``metrics``, ``chance`` (every instrument named for every clip), ``interval`` and
        ``replicates``, as in an `Evaluation`.
    """
    weights, _ = artist_weights(artists, n_bootstrap, seed)
    points, everything = (
        {key: float(values[0]) for key, values in _weighted(given, truth, one).items()}
        for one in [np.ones((1, len(truth)))]
        for given in (answers, np.ones_like(answers))
    )
    replicates = _weighted(answers, truth, weights)
    return {
        "metrics": points,
        "chance": everything,
        "interval": {
            key: tuple(map(float, interval(values, points[key]).clip(0, 1)))
            for key, values in replicates.items()
        },
        "replicates": replicates,
    }


def _weighted(answers, truth, weights):
    """Return each metric of `named` for every row of weights: dict of arrays (n_rows,)."""
    answers, truth = np.asarray(answers, dtype=float), np.asarray(truth, dtype=float)
    counts = [weights @ x for x in (answers * truth, answers, truth)]
    metrics = {}
    for kind in ("micro", "macro"):
        if kind == "micro":
            right, given, true = (x.sum(axis=1, keepdims=True) for x in counts)
        else:
            right, given, true = counts
        shares = {
            "f1": (2 * right, given + true),
            "precision": (right, given),
            "recall": (right, true),
        }
        occurs = true > 0
        for name, (above, below) in shares.items():
            values = np.divide(above, below, out=np.zeros_like(above), where=below > 0)
            total = (values * occurs).sum(axis=1)
            metrics[f"{name}_{kind}"] = total / occurs.sum(axis=1).clip(min=1)
    return metrics


def moments(dataset, active, n_a_clip, seed=0):
    """Cut short excerpts out of clips, each around a frame in which the lead sounds.

    Parameters
    ----------
    dataset : Dataset
        Clips with one class each.
    active : Dataset
        The same clips with the target "lead_activity".
    n_a_clip : dict of str to int
        Split → excerpts of each clip, fewer where the lead sounds in fewer frames.
    seed : int
        Of the choice.

    Returns
    -------
    Dataset
        Of excerpts of ``MOMENT_SECONDS``; ``clip_id`` tells the frame too.
    """
    rng = np.random.default_rng(seed)
    rows, starts = [], []
    for i, clip in dataset.clips.iterrows():
        times, sounds = active.frames(i)
        first = clip["start"] + times - MOMENT_SECONDS / 2
        fits = (first >= clip["start"]) & (first + MOMENT_SECONDS <= clip["end"])
        found = first[fits & (sounds[:, 0] > 0)]
        found = rng.permutation(found)[: n_a_clip[clip["split"]]]
        rows += [i] * len(found)
        starts += sorted(found)
    chosen = dataset.select(np.array(rows, dtype=int))
    ids = [
        f"{name}@{start:.3f}" for name, start in zip(chosen.clips["clip_id"], starts, strict=True)
    ]
    times = {"start": starts, "end": np.array(starts) + MOMENT_SECONDS}
    return replace(chosen, clips=chosen.clips.assign(clip_id=ids, **times))


def moment(seed, settings, name="jingju_phoneme", **overrides):
    """Name the lead in 0.2 s of music, 80 bands by 21 frames [thesis Table 3.3].

    Parameters
    ----------
    seed, settings, name, **overrides
        As in `mirdl.experiments.networks.network`; the settings are made to validate once.

    Returns
    -------
    Evaluation
        Of the test excerpts, one by one.
    """
    clips, active = settings.dataset("lead"), settings.dataset("lead_activity")
    dataset = moments(clips, active, MOMENTS)
    overrides = {"front_end": MOMENT, "for_seconds": MOMENT_SECONDS, **overrides}
    model = train(seed, settings.validating_once(), name, dataset, **overrides)
    test = dataset.subset("test")
    return evaluate(model, test, batch_size=64, audio=pack(test, progress=False))


def _runs(experiment, system, function, variants, minutes, seeds=1, target="lead", **options):
    about = {"target": target, "options": options}
    return ladder(seeds, experiment, system, function, minutes, variants, **about)


def _tags(system, minutes, seeds=1, **options):
    variants = ("tags", *(f"up_{bands}" for bands in options.get("shifts", ())))
    return _runs("timbre_filters", system, tags, variants, minutes, seeds, "tags", **options)


def _instruments(name, minutes, **options):
    variants = ("lead", "named", "sounding")
    return _runs("instruments", name, instruments, variants, minutes, name=name, **options)


RUNS = [
    *_tags("timbre_cnn", 1.4, 3, name="timbre_cnn", shifts=(SHIFT,)),
    *_tags("full_height", 0.2, 3, name="dieleman_spectrogram", shifts=(SHIFT,)),
    *_tags("small_rectangular", 0.8, 3, name="small_rectangular"),
    # 64 and 512 filters, 200 and 500 units of the back end, at a quarter of them
    *_tags(
        "back_end_64_200",
        0.5,
        3,
        name="spectrogram_at_scale",
        filters=8,
        back_filters=64,
        hidden=200,
    ),
    *_tags("back_end_512_500", 0.6, 3, name="spectrogram_at_scale", filters=8),
    # the published network of such a front end, on 3 s, as the networks of the other lessons
    *ladder(1, "timbre_filters", "musicnn", network, 3.2, options={"name": "musicnn"}),
    *_instruments("logistic_regression", 0.1),
    *_instruments("irmas_single", 0.8, width=0.25, front_end=IRMAS),
    *_instruments("irmas_multi", 0.9, front_end=IRMAS),
    *_instruments("han2016", 0.5, front_end=HAN),
    *_runs("moments", "timbre", moment, ("lead",), 0.7, name="jingju_phoneme", width=0.5),
    *_runs("moments", "small_rectangular", moment, ("lead",), 0.6, name="small_rectangular"),
]
