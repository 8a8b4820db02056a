"""Lesson 11: recurrence and attention against networks that pool.

Four tables: the CRNN on the course's ladder, as large as its FCN; recurrent layers straight on mel
frames, with gates and without; the four networks of Choi et al. (ICASSP 2017) at equal parameters;
the back ends of musicnn-training. Seconds, bands and steps are fewer where the budget wants it,
and then fewer for every line of the table.
"""

from mirdl.datasets.pack import pack
from mirdl.evaluation import evaluate
from mirdl.experiments.networks import FOR_COURSE, judge, train
from mirdl.experiments.plan import ladder
from mirdl.models.recurrent import width_for

#: Parameters of the course's FCN with 26 tags, `two_dimensions`: what the others are made to have.
FCN_SIZE = 28_620
#: Parameters of recurrent layers on mel frames: an LSTM of 32 units.
RNN_SIZE = 17_700
#: The CRNN as large as that FCN, in the ratios of Choi et al.; 27,996 parameters.
CRNN = {"name": "crnn", "width": 1, "channels": (16, 32, 32, 32), "hidden": 16}
#: (frequency, time) pools that leave 7 steps of 3 s.
POOLS_3S = ((2, 2), (3, 2), (4, 3), (4, 2))
#: Parts of the budget's steps.
RNN_SHARE, TABLE_SHARE = 0.6, 0.3
#: musicnn at 1.3 in place of 3 core-minutes per 1,000 steps.
SMALL_MUSICNN = {"name": "musicnn", "front_end": "mel40", "for_seconds": 3, "width": 0.125}


def tags(seed, settings, name="crnn", share=1.0, n_parameters=None, tracks=False, **overrides):
    """Train a network on the tags of 10 s clips; score it on clips and, if asked for, on tracks.

    Parameters
    ----------
    seed : int
    settings : Settings
    name : str
        A network of `mirdl.models.build`.
    share : float
        Part of the budget's steps.
    n_parameters : int, optional
        The width that gives so many, in place of the budget's.
    tracks : bool
        Whether tracks of 30 s are scored too, by a network that takes any length: in windows of
        the length of its training, and all at once.
    **overrides
        Of `mirdl.models.build`.

    Returns
    -------
    dict of str to Evaluation
        "tags", and as asked for "track_windows" and "track_at_once".
    """
    dataset = settings.dataset("tags")
    if n_parameters:
        known = {**FOR_COURSE.get(name, {}), **overrides}
        overrides["width"] = width_for(name, n_parameters, dataset.n_outputs, **known)
    model = train(seed, settings.times(share), name, dataset, **overrides)
    made = {"tags": judge(model, dataset)}
    if tracks:
        test = settings.dataset("tags", unit="track").subset("test")
        audio = pack(test, progress=False)
        made["track_windows"] = evaluate(model, test, audio=audio)
        model.n_samples = None  # a window is the whole track
        made["track_at_once"] = evaluate(model, test, audio=audio)
    return made


def _runs(experiment, system, minutes, seeds=1, **options):
    variants = ("tags",)
    if options.get("tracks"):
        variants += ("track_windows", "track_at_once")
    return ladder(seeds, experiment, system, tags, minutes, variants, options=options)


def _choi(system, minutes, **options):
    options = {"name": system, "n_parameters": FCN_SIZE, "for_seconds": 3, **options}
    return _runs("equal_parameters", system, minutes, share=TABLE_SHARE, **options)


def _musicnn(back_end, seeds=1):
    options = {**SMALL_MUSICNN, "back_end": back_end, "share": TABLE_SHARE}
    return _runs("musicnn_back_ends", back_end, 0.33, seeds, **options)


RUNS = [
    *_runs("recurrence", "crnn", 3.3, 3, tracks=True, **CRNN),
    *_runs("recurrence", "self_attention", 2.0, name="self_attention", for_seconds=3),
    *(
        run
        for cell, minutes in (("rnn", 0.4), ("lstm", 0.2))
        for run in _runs(
            "recurrence",
            cell,
            minutes,
            3,
            name="rnn",
            cell=cell,
            n_parameters=RNN_SIZE,
            share=RNN_SHARE,
        )
    ),
    *_choi("k1c2", 0.4),
    *_choi("k2c1", 0.15),
    *_choi("k2c2", 0.5),
    *_choi("crnn", 0.35, **{**CRNN, "n_parameters": None}, pools=POOLS_3S),
    *_musicnn("temporal", 3),
    *_musicnn("residual"),
    *_musicnn("attention", 3),
    *_musicnn("autopool"),
    *_musicnn("rnn"),
]
