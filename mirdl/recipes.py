"""Published ways to train on MagnaTagATune, by name: every stage of them, as data (lesson 21).

What a paper leaves open, and where `mirdl.training.fit` differs from its code, is in the notes of
a recipe. All of them: `fit` judges a network by the averaged window scores of a clip, most codes
by each window; it draws the clips of a pass anew each time and leaves its incomplete batch out.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from mirdl import training
from mirdl.datasets.draws import one_seed
from mirdl.datasets.pack import pack
from mirdl.errors import MirdlError


@dataclass(frozen=True)
class Recipe:
    """How a paper trained its networks.

    Attributes
    ----------
    name, source : str
        Ours; paper and code.
    networks : dict
        Names of `mirdl.models.build` that it was published for, the usual one first, and what
        each overrides there.
    split : str
        Of `mirdl.datasets.magnatagatune`.
    stages : tuple of dict
        Arguments of `mirdl.training.fit`; each stage starts from the best weights so far.
    every_segment : bool
        Whether an epoch hears each clip whole, cut into segments, in place of one random crop.
    notes : tuple of str
        What is open, and what differs.
    """

    name: str
    source: str
    networks: dict
    split: str
    stages: tuple
    every_segment: bool = False
    notes: tuple = ()


def inverse_decay(step):
    """Return the factor that SGD of early Keras has on its learning rate, with decay 1e-6."""
    return 1 / (1 + 1e-6 * step)


WON = {"batch_size": 16, "weight_decay": 1e-4, "best_by": "loss"}
LEE = {
    "n_epochs": 1000,
    "batch_size": 23,
    "optimizer": "sgd",
    "momentum": 0.9,
    "schedule": inverse_decay,
    "best_by": "loss",
    "patience": 3,
}
PONS = {
    "n_epochs": 600,
    "batch_size": 32,
    "optimizer": "adam",
    "learning_rate": 1e-3,
    "weight_decay": 1e-5,
    "decay_kernels_only": True,
    "schedule": "plateau",
    "plateau_epochs": 75,
    "best_by": "loss",
}
DIELEMAN = {
    "n_steps": 5_000_000,
    "batch_size": 10,
    "optimizer": "sgd",
    "learning_rate": 0.1,
    "momentum": 0.0,
    "best_by": "metric",
}

RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe(
            name="won2020",
            source="Won et al., SMC 2020 (sota-music-tagging-models)",
            networks={
                "fcn": {},
                "musicnn": {},
                "crnn": {},
                "sample_cnn": {},
                "sample_cnn_se": {},
                "self_attention": {},
                "harmonic_cnn": {},
                "short_chunk_cnn": {},
                "short_chunk_res": {},
            },
            split="clean",
            stages=(
                {"n_epochs": 80, "optimizer": "adam", "learning_rate": 1e-4, **WON},
                {"n_epochs": 20, "optimizer": "sgd", "learning_rate": 1e-3, **WON},
                {"n_epochs": 20, "optimizer": "sgd", "learning_rate": 1e-4, **WON},
                {"n_epochs": 80, "optimizer": "sgd", "learning_rate": 1e-5, **WON},
            ),
            notes=(
                "No seed is published, nor the number of runs.",
                "Their code validates on 16 evenly spaced chunks of a clip, ours on consecutive"
                " ones; it keeps the momentum of SGD from stage to stage, ours starts anew.",
            ),
        ),
        Recipe(
            name="lee2017",
            source="Lee et al., SMC 2017 (authors' code)",
            networks={"sample_cnn": {"sample_rate": 22_050}},
            split="clean",
            stages=tuple({"learning_rate": 0.01 / 5**i, **LEE} for i in range(5)),
            every_segment=True,
            notes=(
                "The decay of 1e-6 is of the learning rate, by steps of a stage, not of weights.",
                "Early Keras counts patience from 0 and so waits for one epoch more.",
                "Their code shuffles segments within a 37th of the training clips; silent segments,"
                " which ours leaves out, are in; a last stage that is worse still has the say.",
                "Their training list lacks three clips that are not longer than 29.1 s.",
            ),
        ),
        Recipe(
            name="pons2018",
            source="Pons & Serra, ISMIR 2019 (musicnn-training), after Pons et al., ISMIR 2018",
            networks={
                "musicnn": {"version": "ismir2019"},
                "vgg": {},
                "dieleman_spectrogram": {"front_end": "mel96_log", "input_norm": True},
                "musicnn_timbre": {},
            },
            split="folder",
            stages=(PONS,),
            notes=(
                "Their code halves the rate at every 75th epoch that is not the best, wherever"
                " those lie; here the 75 follow one another.",
                "Their validation loss holds the L2 norm of the weights too.",
            ),
        ),
        Recipe(
            name="dieleman2014",
            source="Dieleman & Schrauwen, ICASSP 2014",
            networks={
                "dieleman_spectrogram": {
                    "front_end": {"preset": "mel128_log", "n_fft": 256, "hop_length": 256}
                },
                "dieleman_raw": {"length": 256, "stride": 256},
            },
            split="folder",
            stages=(DIELEMAN,),
            notes=(
                "The paper says: windows of 3 s, minibatches of 10, about 5 million updates, the"
                " weights of the best validation score.",
                "In no text: learning rate, momentum, initial weights, how often it validates (here"
                " after each pass) and how windows are drawn (here one at random a clip and pass).",
                "Rate 0.1, no momentum and bands of mean 0 and deviation 1 are from the code of"
                " Pons et al., EUSIPCO 2017, which repeats its conditions.",
            ),
        ),
    )
}


def find(name):
    """Return a recipe by its name.

    Raises
    ------
    MirdlError
        If there is none of this name; lists those that there are.
    """
    if name not in RECIPES:
        raise MirdlError(f"no recipe is called {name!r}; there are: {', '.join(RECIPES)}")
    return RECIPES[name]


def train(
    recipe,
    model,
    train,
    valid,
    *,
    seed=0,
    folder=None,
    epochs=None,
    device=None,
    progress=True,
    **overrides,
):
    """Train a network by a recipe, stage after stage, and leave the best weights of all in it.

    A stage goes on from the best weights so far; if it makes nothing better, they stay. The front
    end is normalised before the first stage only. Called again after an interruption with the same
    arguments and folder it repeats no finished stage, and ends with the numbers of an unbroken run.

    Parameters
    ----------
    recipe : str or Recipe
    model, train, valid, device, progress
        As in `mirdl.training.fit`.
    seed : int
        The first stage's; the others' are made from it.
    folder : path-like, optional
        Where each stage keeps its state, in ``stage1``, ``stage2``, …
    epochs : int, optional
        The longest that a stage may be, for rehearsals; one that is counted in steps has as many.
    **overrides
        Arguments of `mirdl.training.fit` that replace those of every stage.

    Returns
    -------
    pandas.DataFrame
        The histories of all stages, with a column ``stage``; epochs and steps are counted through.

    Raises
    ------
    MirdlError
        If there is no such recipe, or as `mirdl.training.fit`.
    """
    recipe = find(recipe) if isinstance(recipe, str) else recipe
    if recipe.every_segment:
        n_samples = training.crop_length(model, overrides.get("crop_seconds"))
        train = in_segments(train, n_samples, progress, overrides.get("pack_rate"))
    histories, best = [], None
    for number, stage in enumerate(recipe.stages, start=1):
        before = {name: value.detach().clone() for name, value in model.state_dict().items()}
        options = _capped({**stage, **overrides}, epochs)
        history = training.fit(
            model,
            train,
            valid,
            seed=seed if number == 1 else one_seed(seed, number),
            normalise=number == 1,
            folder=Path(folder) / f"stage{number}" if folder else None,
            device=device,
            progress=progress,
            **options,
        )
        reached = _best(history, options.get("best_by", "metric"))
        if best is None or reached > best:
            best = reached
        else:
            model.load_state_dict(before)
        if histories:
            history[["epoch", "step"]] += histories[-1][["epoch", "step"]].iloc[-1]
        history.insert(0, "stage", number)
        histories.append(history)
        if torch.cuda.is_available():  # the next stage asks how much memory is free
            torch.cuda.empty_cache()
    return pd.concat(histories, ignore_index=True)


def in_segments(dataset, n_samples, progress=True, pack_rate=None):
    """Cut every clip into consecutive segments, each a clip of its own.

    Parameters
    ----------
    dataset : Dataset
        It is packed first, as the lengths of its clips are known then.
    n_samples : int
        Length of a segment; the rest of a clip is left out, a clip that is shorter kept whole.
    progress : bool
    pack_rate : int, optional
        As in `mirdl.training.fit`.

    Returns
    -------
    Dataset
        Without the clips that cannot be read. Clip ids end in ``:0``, ``:1``, …
    """
    rate = dataset.sample_rate
    lengths = np.round(pack(dataset, progress=progress, rate=pack_rate).seconds * rate).astype(int)
    counts = np.where(lengths > 0, np.maximum(lengths // n_samples, 1), 0)
    rows = np.repeat(np.arange(len(dataset)), counts)
    segment = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    whole = dataset.select(rows)
    clips, seconds = whole.clips.copy(), n_samples / rate
    clips["clip_id"] = [f"{name}:{i}" for name, i in zip(clips["clip_id"], segment, strict=True)]
    cut = lengths[rows] >= n_samples
    clips.loc[cut, "end"] = clips["start"][cut] + (segment[cut] + 1) * seconds
    clips["start"] += segment * seconds
    return replace(whole, clips=clips)


def _capped(options, epochs):
    """Return the options of a stage that is at most so many epochs long."""
    if epochs is None:
        return options
    if options.get("n_steps"):
        return {**options, "n_steps": None, "n_epochs": epochs}
    return {**options, "n_epochs": min(epochs, options["n_epochs"])}


def _best(history, best_by):
    """Return the number that decides which epoch is the best, larger is better."""
    if best_by == "loss":
        return -history["valid_loss"].min()
    return history.filter(regex="^valid_(?!loss)").max().item()
