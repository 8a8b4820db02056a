"""Training and scoring one network within a budget; the first networks (lessons 00, 07, 08)."""

import hashlib

import torch
from filelock import FileLock

from mirdl import models
from mirdl.datasets.pack import pack
from mirdl.evaluation import evaluate
from mirdl.experiments.plan import Run
from mirdl.paths import cache_folder
from mirdl.training import as_text, fit

#: Log-mel of 16 kHz audio, one for all networks whose paper has another sample rate or whose
#: front end is not the question: only the network then differs.
ONE_FRONT_END = {"front_end": "mel96"}
#: 3 s of it.
SHORT = {**ONE_FRONT_END, "for_seconds": 3}
#: What the course changes of a published network besides the width of its budget: clips are 10 s
#: long and at 16 kHz, and 70,000 parameters need not be made fewer.
FOR_COURSE = {
    "dieleman_spectrogram": {"width": 1},
    "spotify_cnn": {**ONE_FRONT_END, "for_seconds": 10},
    "local_cnn": ONE_FRONT_END,
    "multi_level_multi_scale": {**ONE_FRONT_END, "for_seconds": 10},
    "fcn": {"for_seconds": 10},
    "fcn4": {**ONE_FRONT_END, "for_seconds": 10},
    "choi_cnn": {**ONE_FRONT_END, "for_seconds": 10, "input_norm": "bins"},
    "compact_cnn": {**ONE_FRONT_END, "for_seconds": 10, "width": 1},
    "vgg": SHORT,
    "short_chunk_cnn": SHORT,
    "short_chunk_res": SHORT,
    **{
        name: {"front_end": "mel40", "width": 1}
        for name in (
            "black_box", "time", "frequency", "time_frequency", "o_net", "p_net", "o_net_p_net",
        )
    },
    "timbre_cnn": {"width": 1},
    "small_rectangular": {"width": 1},
    "irmas_single": {**SHORT, "width": 1},
    "irmas_multi": SHORT,
    "han2016": {"front_end": "mel128", "for_seconds": 1},
    "musicnn_timbre": {"width": 1},
    "crnn": {"for_seconds": 10},
    "k1c2": {**ONE_FRONT_END, "for_seconds": 10},
    "k2c1": {**ONE_FRONT_END, "for_seconds": 10},
    "k2c2": {**ONE_FRONT_END, "for_seconds": 10},
    "rnn": SHORT,
    "self_attention": {**ONE_FRONT_END, "for_seconds": 10},
    "dieleman_raw": {"width": 1},
    "frame_level_many_shapes": {"sample_rate": 16_000, "for_seconds": 3},
    "sample_cnn": {"for_seconds": 3},
    "sample_cnn_se": {"for_seconds": 3},
    "harmonic_cnn": {"for_seconds": 3},
    "sinc_net": {"width": 1},
}  # fmt: skip


def train(seed, settings, name, dataset, training=None, prepare=None, **overrides):
    """Train a network on a data set's training clips; the validation clips choose its weights.

    Parameters
    ----------
    seed : int
        Of weights, crops and dropout.
    settings : Settings
        Steps, batch, precision, schedule and width.
    name : str
        A network of `mirdl.models.build`.
    dataset : Dataset
        With its splits.
    training : dict, optional
        Arguments of `mirdl.training.fit` that replace those of the settings.
    prepare : callable, optional
        Changes the network in place before it is trained.
    **overrides
        Of `mirdl.models.build`; they come before the course's own.

    Returns
    -------
    nn.Module
    """
    torch.manual_seed(seed)
    overrides = {"width": settings.width, **FOR_COURSE.get(name, {}), **overrides}
    model = models.build(name, n_outputs=dataset.n_outputs, **overrides)
    if prepare:
        prepare(model)
    options = {**settings.training, **(training or {})}
    train_set, valid_set = dataset.subset("train"), dataset.subset("valid")
    fit(model, train_set, valid_set, seed=seed, progress=False, **options)
    return model


def judge(model, dataset, hop=None):
    """Score a network on the test clips, read from the pack as training hears them.

    Parameters
    ----------
    model : nn.Module
    dataset : Dataset
        With its splits.
    hop : int, optional
        Samples between windows; default: their length.

    Returns
    -------
    Evaluation
    """
    test = dataset.subset("test")
    return evaluate(model, test, hop, audio=pack(test, progress=False))


def kept(name, about, make, tags=()):
    """Return a network that several runs need; the first call makes it and keeps it in the cache.

    Others that ask meanwhile wait.

    Parameters
    ----------
    name : str
        Where in the cache, as "few_data/vgg_small".
    about : object
        All that the network depends on: a hash of its ``repr`` is part of the file's name.
    make : callable
        ``make()`` returns the network, built by `mirdl.models.build`.
    tags : sequence of str
        Names of its outputs.

    Returns
    -------
    Tagger
    """
    digest = hashlib.sha256(as_text(about).encode()).hexdigest()[:16]
    path = cache_folder() / f"{name}-{digest}.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{path}.lock"):
        if not path.is_file():
            models.save(make(), path, tags)
    return models.load(path)


def network(
    seed, settings, name="fcn", target="tags", unit="clip", hop=None, training=None, **overrides
):
    """Train a network and score it on the test clips.

    Parameters
    ----------
    seed, settings, name, training, **overrides
        As in `train`.
    target, unit : str
        Of `mirdl.datasets.load`.
    hop : float, optional
        Seconds between the windows that are scored; default: their length.

    Returns
    -------
    Evaluation
    """
    dataset = settings.dataset(target, unit=unit)
    model = train(seed, settings, name, dataset, training, **overrides)
    return judge(model, dataset, None if hop is None else round(hop * model.sample_rate))


RUNS = [
    Run(
        "first_networks",
        name,
        network,
        seed,
        (target,),
        minutes=minutes,
        target=target,
        options={"name": name, "target": target},
    )
    for name, minutes in (("dieleman_spectrogram", 0.5), ("fcn", 3))
    for target in ("tags", "dance")
    for seed in range(3)
]
