"""Lesson 09: filters shaped for time or for frequency, and for many lengths of time, on dances."""

from dataclasses import replace

from mirdl.datasets.pack import pack
from mirdl.evaluation import evaluate
from mirdl.experiments.baselines import baseline
from mirdl.experiments.networks import judge, network, train
from mirdl.experiments.plan import Run, ladder

#: Frames between the windows of a track that are scored [ICASSP 2017, Table 1].
HOPS = (250, 80)
#: Part of the budget's steps that the networks of 43 lengths get: each length is a convolution
#: of its own, which takes a step from 25 to more than 200 ms.
SHARE = 0.35
#: In place of 0.001: networks of one layer have not learned after 1,000 steps of that. The training
#: loss and the validation artists chose it, for Time, O-net and Time-Frequency alike.
RATE = {"learning_rate": 0.003}


def pre_initialised(seed, settings, target="dance"):
    """Train Time and Frequency, and then Time-Frequency from their filters [thesis Table 3.1].

    All three hear the same training clips, so that no test clip has shaped a filter. Together
    they take three times as many steps as one network.

    Parameters
    ----------
    seed, settings, target
        As in `mirdl.experiments.networks.network`.

    Returns
    -------
    Evaluation
    """
    dataset = settings.dataset(target)
    parts = [train(seed, settings, name, dataset, RATE) for name in ("time", "frequency")]
    model = train(
        seed,
        settings,
        "time_frequency",
        dataset,
        RATE,
        prepare=lambda model: model.start_from(*parts),
    )
    return judge(model, dataset)


def on_tracks(seed, settings, name="o_net_p_net", hops=HOPS, training=RATE, **overrides):
    """Train on tracks of 30 s, and score windows that lie apart or overlap [ICASSP 2017, Table 1].

    In the paper a smaller hop also gives more training examples. Here training draws its windows
    anywhere in any case; only the number of scores that a track averages differs.

    Parameters
    ----------
    seed, settings, name, training, **overrides
        As in `mirdl.experiments.networks.network`; the steps are ``SHARE`` of the budget's.
    hops : sequence of int
        Frames from one window to the next.

    Returns
    -------
    dict of str to Evaluation
        "hop250" and "hop80", of one network.
    """
    dataset = settings.dataset("dance", unit="track")
    fewer = replace(
        settings,
        n_steps=max(1, round(SHARE * settings.n_steps)),
        steps_per_epoch=max(1, settings.steps_per_epoch // 2),
    )
    model = train(seed, fewer, name, dataset, training, **overrides)
    test = dataset.subset("test")
    audio = pack(test, progress=False)
    samples = {f"hop{hop}": hop * model.front_end.hop_length for hop in hops}
    return {variant: evaluate(model, test, hop, audio=audio) for variant, hop in samples.items()}


BOTH = ("dance", "lead")
LONG = {"n_frames": 250}
#: The papers' rate. Their descent is plain; ours has Nesterov's momentum, ten times as fast.
SGD = {"training": {"optimizer": "sgd", "learning_rate": 0.01}}


def _clips(system, name, minutes, n_seeds=1, targets=("dance",), **options):
    """Plan a line of thesis Table 3.1: 10 s clips; the windows of a clip do not overlap."""
    if name:
        options = {"name": name, "training": RATE, **options}
    function = network if name else pre_initialised
    runs = []
    for target in targets:
        about = {"target": target, "options": {"target": target, **options}}
        line = "filters_for_rhythm", system, function, minutes, (target,)
        runs += ladder(n_seeds, *line, **about)
    return runs


def _tracks(system, name, minutes, n_seeds=1, hops=HOPS, **options):
    """Plan a line of ICASSP's Table 1: 30 s tracks."""
    variants = tuple(f"hop{hop}" for hop in hops)
    about = {"target": "dance", "unit": "track", "options": {"name": name, "hops": hops, **options}}
    return ladder(n_seeds, "onsets_and_patterns", system, on_tracks, minutes, variants, **about)


RUNS = [
    *_clips("black_box_8", "black_box", 1.2, 3),
    *_clips("black_box_200", "black_box", 2.3, kernel=(12, 200), **LONG),
    *_clips("time_60", "time", 0.6, 3, BOTH),
    *_clips("time_60_sgd", "time", 0.6, **SGD),
    *_clips("time_200", "time", 1.5, 3, length=200, **LONG),
    *_clips("frequency_30", "frequency", 0.5, bins=30),
    *_clips("frequency_32", "frequency", 0.5, 3, BOTH),
    *_clips("frequency_34", "frequency", 0.5, bins=34),
    *_clips("frequency_36", "frequency", 0.5, bins=36),
    *_clips("frequency_38", "frequency", 0.5, bins=38),
    *_clips("frequency_40", "frequency", 0.5, 3, bins=40),
    *_clips("time_frequency", "time_frequency", 0.6, 3),
    *_clips("time_frequency_started", None, 1.6, 3),
    # with the rate of the other networks of the ladder
    *_clips("time_frequency", "time_frequency", 0.9, targets=("tags",), training={}),
    Run(
        "filters_for_rhythm",
        "logistic_regression",
        baseline,
        variants=("lead",),
        target="lead",
        options={"name": "logistic_regression", "target": "lead"},
    ),
    *_tracks("time", "time", 0.3, hops=(80,)),
    *_tracks("time_frequency", "time_frequency", 0.3, hops=(80,)),
    *_tracks("black_box", "black_box", 0.5, hops=(80,)),
    *_tracks("o_net", "o_net", 0.7),
    *_tracks("p_net", "p_net", 1.4),
    *_tracks("o_net_x2", "o_net", 0.8, 3, multiple=2),
    *_tracks("p_net_x2", "p_net", 1.6, 3, multiple=2),
    *_tracks("o_net_p_net", "o_net_p_net", 1.7, 3),
    *_tracks("o_net_p_net_x2", "o_net_p_net", 1.9, multiple=2),
    *_tracks("o_net_p_net_x4", "o_net_p_net", 2.3, 3, multiple=4),
    *_tracks("o_net_p_net_x8", "o_net_p_net", 3.2, multiple=8),
]
