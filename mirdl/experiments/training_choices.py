"""Lesson 05: one network, trained in many ways: what each choice of the recipe is worth.

The network is Dieleman's on the spectrogram, 16,000 crops a run. The reference is Adam at 0.001
along a cosine, batches of 16, bands normalised, no dropout, no weight decay; every other line
changes what its name says. Three claims on the macro ROC-AUC, three seeds a side: to normalise
the input helps [slides]; dropout helps [slides]; dropout in the dense layers of this network
changes nothing that matters [dieleman section 4], here: less than 0.02.
"""

from torch import nn

from mirdl.experiments import networks
from mirdl.experiments.plan import ladder
from mirdl.models.blocks import initialise

NAME = "dieleman_spectrogram"
RATES = {
    "sgd": (0.0001, 0.001, 0.01, 0.1, 0.3),
    "adam": (0.0001, 0.001, 0.01, 0.1),
    "adamw": (0.0001, 0.001, 0.01, 0.1),
}
#: How to draw the weights; torch's own way is the reference.
WEIGHTS = {
    "xavier": nn.init.xavier_uniform_,
    "he": nn.init.kaiming_uniform_,
    "normal_1": nn.init.normal_,  # deviation 1, whatever the size of the layer
}


def add_dropout(model, probability):
    """Put dropout before every dense layer of a network's head, in place.

    Parameters
    ----------
    model : Tagger
        With a `mirdl.models.blocks.Head`.
    probability : float
        Of a unit to be set to zero.
    """
    layers = []
    for layer in model.head:
        layers += [nn.Dropout(probability)] if isinstance(layer, nn.Linear) else []
        layers.append(layer)
    model.head = nn.Sequential(*layers)


def add_batch_norm(model):
    """Put batch normalisation between the convolutions of Dieleman's network and their ReLU."""
    for name in ("conv1", "conv2"):
        block = getattr(model, name)
        norm = nn.BatchNorm1d(block.conv.out_channels)
        setattr(model, name, nn.Sequential(block.conv, norm, block.activation, block.pool))


def train(
    seed,
    settings,
    dataset,
    dropout=0.0,
    batch_norm=False,
    weights=None,
    batch_factor=1,
    front_end=None,
    **training,
):
    """Train the network with one choice changed.

    Parameters
    ----------
    seed : int
    settings : Settings
    dataset : Dataset
        With its splits.
    dropout : float
        See `add_dropout`.
    batch_norm : bool
        See `add_batch_norm`.
    weights : str, optional
        A name of ``WEIGHTS``.
    batch_factor : float
        Times as many crops a step, in as many times fewer steps: all runs hear the same number.
    front_end : dict, optional
        What replaces settings of the published front end.
    **training
        Of `mirdl.training.fit`.

    Returns
    -------
    nn.Module
        With the weights that were best on the validation clips.
    """

    def prepare(model):
        if weights:
            initialise(model, WEIGHTS[weights])
        if dropout:
            add_dropout(model, dropout)
        if batch_norm:
            add_batch_norm(model)

    front_end = {"preset": "mel128_log", **(front_end or {})}
    options = {**settings.training, **training}
    options["batch_size"] = round(options["batch_size"] * batch_factor)
    for name in ("n_steps", "steps_per_epoch"):
        options[name] = max(1, round(options[name] / batch_factor))
    return networks.train(seed, settings, NAME, dataset, options, prepare, front_end=front_end)


def choice(seed, settings, **changes):
    """Train the network with one choice changed, and score it on the tags of the test clips.

    Parameters
    ----------
    seed : int
    settings : Settings
    **changes
        As in `train`.

    Returns
    -------
    Evaluation
    """
    dataset = settings.dataset()
    return networks.judge(train(seed, settings, dataset, **changes), dataset)


def _run(system, variant, seeds=1, minutes=0.6, **changes):
    return ladder(seeds, "training_choices", system, choice, minutes, (variant,), options=changes)


#: System and variant of the line that all others are compared with.
REFERENCE = ("adam", "0.001")
RUNS = [
    *(
        run
        for optimizer, rates in RATES.items()
        for rate in rates
        for run in _run(
            optimizer,
            f"{rate:g}",
            seeds=3 if (optimizer, f"{rate:g}") == REFERENCE else 1,
            optimizer=optimizer,
            learning_rate=rate,
            # without weight decay AdamW is Adam; 0.01 is torch's own default
            weight_decay=0.01 if optimizer == "adamw" else 0.0,
        )
    ),
    *_run("batch_4", "0.001", minutes=0.8, batch_factor=0.25, learning_rate=0.001),
    *_run("batch_4", "0.00025", minutes=0.8, batch_factor=0.25, learning_rate=0.00025),
    *_run("batch_64", "0.001", batch_factor=4, learning_rate=0.001),
    *_run("batch_64", "0.004", batch_factor=4, learning_rate=0.004),
    *(
        run
        for schedule in (None, "step", "exponential", "plateau")
        for run in _run("schedule", schedule or "constant", schedule=schedule)
    ),
    *_run("log_input", "none", seeds=3, front_end={"normalise": "none"}),
    *_run("log_input", "global", front_end={"normalise": "global"}),
    *_run("db_input", "none", front_end={"compression": "db", "normalise": "none"}),
    *_run("db_input", "per_bin", front_end={"compression": "db"}),
    *(run for name in WEIGHTS for run in _run("weights", name, weights=name)),
    *_run("batch_norm", "convolutions", batch_norm=True),
    *_run("dropout", "0.2", dropout=0.2),
    *_run("dropout", "0.5", seeds=3, dropout=0.5),
    *_run("weight_decay", "adam_0.0001", weight_decay=0.0001),
    *_run("weight_decay", "adam_0.01", weight_decay=0.01),
    *_run("weight_decay", "adamw_0.1", optimizer="adamw", weight_decay=0.1),
]
