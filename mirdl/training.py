"""One training loop for every network of the course, read from top to bottom (lesson 05)."""

import math
import os
import re
import shutil
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from accelerate.utils import broadcast_object_list
from torch.nn import functional as F
from tqdm.auto import tqdm

from mirdl import checkpoints, processes
from mirdl.datasets.draws import one_seed
from mirdl.datasets.feed import Feed, to_device
from mirdl.datasets.frames import FRAME_TASKS, examples, targets_for
from mirdl.datasets.pack import pack
from mirdl.errors import MirdlError
from mirdl.evaluation import point_metrics, window_scores
from mirdl.optimisation import OPTIMIZERS, SCHEDULES, make_optimizer, make_schedule

LOSSES = {
    "multilabel": F.binary_cross_entropy_with_logits,
    "multiclass": F.cross_entropy,
    "regression": F.mse_loss,
    "frames": F.binary_cross_entropy_with_logits,
    "frame_classes": F.cross_entropy,
}
PRECISIONS = {"fp32": "no", "bf16": "bf16", "fp16": "fp16"}


@processes.together()
def fit(
    model,
    train,
    valid,
    *,
    seed=0,
    n_epochs=10,
    n_steps=None,
    steps_per_epoch=None,
    batch_size=16,
    crop_seconds=None,
    learning_rate=1e-3,
    optimizer="adam",
    momentum=0.9,
    weight_decay=0.0,
    decay_kernels_only=False,
    schedule=None,
    plateau_epochs=4,
    clip_gradient=None,
    precision="fp32",
    best_by="metric",
    patience=None,
    augment=None,
    objective=None,
    normalise=True,
    pack_rate=None,
    compile=False,
    folder=None,
    device=None,
    progress=True,
):
    """Train a network and leave the weights that were best on the validation clips in it.

    Every step hears one random crop of each of `batch_size` training clips. Crops, their order,
    dropout and augmentation are functions of the seed and of how far the run is, so that a run
    that was stopped anywhere and called again with the same arguments ends with the very numbers
    of an unbroken one. Under ``accelerate launch`` each process takes its share of every batch.

    Parameters
    ----------
    model : Tagger
        Network from audio to logits.
    train, valid : Dataset
        Both are decoded once (`mirdl.datasets.pack`). Clips that cannot be read are left out.
    seed : int
        Of crops, order and dropout. Seed torch before building the model for its weights.
    n_epochs, n_steps, steps_per_epoch : int
        Length of the run in epochs, or exactly in steps; an epoch ends with a validation and
        is one pass over the training clips, or `steps_per_epoch` steps.
    batch_size : int
        Crops a step, in all processes together.
    crop_seconds : float, optional
        Length of the crops for a network that takes any length; otherwise ``model.n_samples``.
    learning_rate, weight_decay : float
    optimizer : {"adam", "adamw", "sgd"}
    momentum : float
        Of "sgd", in Nesterov's form.
    decay_kernels_only : bool
        Whether `weight_decay` spares biases and batch normalisations.
    schedule : {None, "cosine", "exponential", "step", "plateau"} or callable
        To 0 along half a cosine; to a hundredth; to a tenth after each third; or halved
        whenever the validation loss has not fallen for `plateau_epochs` epochs. A function
        of the number of steps gives the factor on the learning rate.
    clip_gradient : float, optional
        Largest norm of the gradient.
    precision : {"fp32", "bf16", "fp16"}
        "fp16" needs a GPU. The front end stays in fp32. Of "fp32" torch leaves NVIDIA's GPUs the
        convolutions in TF32 (`torch.backends.cudnn.allow_tf32`) but no other product.
    best_by : {"metric", "loss"}
        Of the validation clips: decides which epoch is the best; the other one breaks ties.
    patience : int, optional
        Stop after this many epochs in a row that are not the best.
    augment : callable, optional
        ``augment(audio, targets, generator)`` returns what is heard in place of a batch of crops,
        and its targets (`mirdl.augment`). The generator is seeded at every step.
    objective : optional
        What is learnt in place of the targets, as `mirdl.models.contrastive.Pairs`: ``views``
        crops of every clip, a batch of each one after the other; ``loss(outputs, targets)``; and
        ``validate(model, valid, audio)``, which returns (loss, name of a metric, metric).
    normalise : bool
        Whether to fit mean and deviation of a front end that normalises, on the training clips.
        False for a network that has been trained before.
    pack_rate : int, optional
        Sample rate in Hz of packs that are not at the network's rate (`mirdl.datasets.pack`).
    compile : {False, True, "reduce-overhead"}
        Whether the training steps run through ``torch.compile``, which needs a C++ compiler and a
        minute; numbers then differ by rounding, and dropout draws others. "reduce-overhead"
        records CUDA graphs besides, for small batches.
    folder : path-like, optional
        Where to keep the state of the run, to go on from after an interruption.
    device : {None, "cpu"}
        None takes the GPU where there is one.
    progress : bool
        Whether to show progress on stderr.

    Returns
    -------
    pandas.DataFrame
        The history, one row an epoch: epoch, step, train_loss, valid_loss, valid_<metric> (macro
        ROC-AUC, accuracy or R²), learning_rate, seconds. The validation loss is that of the
        clips' averaged window scores, or of frames.

    Raises
    ------
    MirdlError
        If model and data do not fit, an option does not exist, or the loss is no longer finite.
    CheckpointError
        If `folder` holds a damaged state, or that of another run.
    """
    _check(model, train, valid, optimizer, schedule, precision, best_by, objective)
    for name, value in (("n_steps", n_steps), ("n_epochs", n_epochs), ("batch_size", batch_size)):
        if value is not None and value < 1:
            raise MirdlError(f"{name} must be at least 1, not {value}")
    accelerator = processes.accelerator(PRECISIONS[precision], device)
    rank, n_processes = accelerator.process_index, accelerator.num_processes
    if batch_size % n_processes:
        raise MirdlError(f"a batch of {batch_size} cannot be shared by {n_processes} processes")

    # Data: decoded once, by one process; the others wait for its lock and open what it made.
    train_audio = pack(train, progress=progress, rate=pack_rate)
    valid_audio = pack(valid, progress=progress, rate=pack_rate)
    train_audio, valid_audio = (
        to_device(a, accelerator.device) for a in (train_audio, valid_audio)
    )
    usable = np.flatnonzero(train_audio.usable)
    if len(usable) < n_processes:
        raise MirdlError(f"{train.name}: {len(usable)} usable training clips")
    batch_size = min(batch_size, len(usable) // n_processes * n_processes)
    n_samples = crop_length(model, crop_seconds)
    feed = Feed(
        *(train_audio, targets_for(model, train, n_samples), batch_size, n_samples, seed),
        *(accelerator.device, rank, n_processes),
        views=objective.views if objective else 1,
    )
    steps_per_epoch = steps_per_epoch or feed.steps_per_lap
    n_steps = n_steps or n_epochs * steps_per_epoch

    # Model, optimiser, schedule.
    model.to(accelerator.device)
    parameters = [p for p in model.parameters() if p.requires_grad]
    fused = accelerator.device.type == "cuda" or None  # one kernel in place of many
    updates = make_optimizer(
        optimizer, parameters, learning_rate, momentum, weight_decay, decay_kernels_only, fused
    )
    rates = make_schedule(schedule, updates, n_steps, plateau_epochs)
    loss_of, validate = LOSSES.get(train.task), _validate
    if objective:
        loss_of, validate = objective.loss, objective.validate

    # Where the run stands: at its start, or where an earlier call was interrupted.
    settings = {
        "network": str(getattr(model, "recipe", type(model).__name__)),
        "shapes": str([tuple(p.shape) for p in model.parameters()]),
        "training clips": train.digest(),
        "validation clips": valid.digest(),
        "usable clips": len(usable),
        "seed": seed,
        "n_steps": n_steps,
        "steps_per_epoch": steps_per_epoch,
        "batch_size": batch_size,
        "n_samples": n_samples,
        "learning_rate": learning_rate,
        "optimizer": optimizer,
        "momentum": momentum,
        "weight_decay": weight_decay,
        "decay_kernels_only": decay_kernels_only,
        "schedule": _described(schedule),
        "plateau_epochs": plateau_epochs,
        "clip_gradient": clip_gradient,
        "precision": precision,
        "best_by": best_by,
        "patience": patience,
        "augment": _described(augment),
        "objective": objective and as_text(objective),
        "normalise": normalise,
        "pack_rate": pack_rate,
        "compile": compile or None,
    }
    history, best, step = [], {"epoch": 0, "score": -math.inf, "loss": math.inf}, 0
    state_file = Path(folder) / "state.pt" if folder else None
    state = None
    if state_file and accelerator.is_main_process and state_file.exists():
        state = checkpoints.read(state_file, settings)
    state = broadcast_object_list([state])[0]  # all go on from the same step, or none does
    if state:
        model.load_state_dict(state["model"])
        for group in state["optimizer"]["param_groups"]:
            group["fused"] = fused  # as is best here, not where the run began
        updates.load_state_dict(state["optimizer"])
        rates.load_state_dict(state["schedule"])
        history, best = state["history"], state["best"]
        step = history[-1]["step"]
    elif normalise:
        _fit_normalisation(model, train_audio, usable, n_samples, seed)
    on_gpus = n_processes > 1 and accelerator.device.type == "cuda"
    norms = processes.share_norms(model) if on_gpus else []
    network, updates = accelerator.prepare(model, updates)
    if state and accelerator.scaler:
        accelerator.scaler.load_state_dict(state["scaler"])
    forward = _compiled(network, model, compile) if compile else network

    quiet = not (progress and accelerator.is_main_process)
    generator = torch.Generator(device=accelerator.device)  # of what augments
    batches = feed.batches(step, n_steps)
    bar = tqdm(total=n_steps, initial=step, unit="step", disable=quiet)
    try:
        while step < n_steps and not (patience and len(history) - best["epoch"] >= patience):
            epoch, first, started = len(history) + 1, step, time.perf_counter()
            rate, total = updates.param_groups[0]["lr"], 0.0
            torch.manual_seed(one_seed(seed, epoch, rank))  # of dropout
            network.train()
            while step < min(first + steps_per_epoch, n_steps):
                crops, heard = next(batches)
                if augment:
                    generator.manual_seed(one_seed(seed, epoch, rank, step + 1))
                    crops, heard = augment(crops, heard, generator)
                loss = loss_of(forward(crops), heard)
                updates.zero_grad()
                accelerator.backward(loss)
                if clip_gradient:
                    accelerator.clip_grad_norm_(parameters, clip_gradient)
                updates.step()
                if schedule != "plateau":
                    rates.step()
                total, step = total + loss.detach(), step + 1
                bar.update()
            train_loss = float(accelerator.reduce(total, "mean")) / (step - first)
            if not math.isfinite(train_loss):
                raise MirdlError(
                    f"the training loss is {train_loss} after step {step}: lower the learning"
                    " rate or set clip_gradient"
                )

            # Each process scores its share of the validation clips; all hear what the first one
            # makes of the scores, and draw the same conclusions.
            processes.same_buffers(model)
            result = validate(accelerator.unwrap_model(network), valid, valid_audio)
            valid_loss, metric, score = broadcast_object_list([result])[0]
            if schedule == "plateau":
                rates.step(valid_loss)
            history.append(
                {
                    "epoch": epoch,
                    "step": step,
                    "train_loss": train_loss,
                    "valid_loss": valid_loss,
                    f"valid_{metric}": score,
                    "learning_rate": rate,
                    "seconds": time.perf_counter() - started,
                }
            )
            bar.set_postfix_str(f"loss {train_loss:.4f}, valid {metric} {score:.4f}")
            if _rank(best_by, score, valid_loss) > _rank(best_by, best["score"], best["loss"]):
                weights = {name: w.detach().clone() for name, w in model.state_dict().items()}
                best = {"epoch": epoch, "score": score, "loss": valid_loss, "weights": weights}
            if state_file and accelerator.is_main_process:
                state = {"settings": settings, "history": history, "best": best}
                state |= {"model": model.state_dict(), "schedule": rates.state_dict()}
                state |= {"optimizer": updates.state_dict()}
                state |= {"scaler": accelerator.scaler and accelerator.scaler.state_dict()}
                checkpoints.write(state_file, state)
    finally:
        bar.close()
        batches.close()
        # Give the model back as it came: accelerate has wrapped its forward in autocast.
        accelerator.unwrap_model(network, keep_fp32_wrapper=False)
        for wrapped in filter(None, (model, model.front_end)):
            vars(wrapped).pop("forward", None)
        processes.restore(norms)
    if "weights" in best:
        model.load_state_dict(best["weights"])
    model.eval()
    return pd.DataFrame(history)


def _check(model, train, valid, optimizer, schedule, precision, best_by, objective):
    for name, value, choices in (
        ("optimizer", optimizer, OPTIMIZERS),
        ("schedule", None if callable(schedule) else schedule, SCHEDULES),
        ("precision", precision, PRECISIONS),
        ("best_by", best_by, ("metric", "loss")),
    ):
        if value not in choices:
            raise MirdlError(f"no {name} {value!r}; choose from {', '.join(map(str, choices))}")
    for dataset in (train, valid):
        if objective is None and dataset.task not in LOSSES:
            raise MirdlError(f"{dataset.name}: fit has no loss for the task {dataset.task!r}")
        if dataset.sample_rate != model.sample_rate:
            raise MirdlError(
                f"{dataset.name} is at {dataset.sample_rate} Hz, the network listens at"
                f" {model.sample_rate} Hz: load the data set with that sample_rate"
            )
        if objective is None and dataset.n_outputs != model.n_outputs:
            raise MirdlError(
                f"{dataset.name} has {dataset.n_outputs} tags, the network {model.n_outputs}"
                " outputs: build it with n_outputs=dataset.n_outputs"
            )


def _compiled(network, model, mode):
    """Compile a network but for its front end, whose complex numbers inductor cannot compile."""
    compiler = os.environ.get("CXX", "clang++" if sys.platform == "darwin" else "g++")
    if shutil.which(compiler) is None:
        raise MirdlError(f"compile needs a C++ compiler, and there is no {compiler} on the path")
    if model.front_end is not None:
        model.front_end.forward = torch.compiler.disable(model.front_end.forward)
    return torch.compile(network, mode=None if mode is True else mode)


def crop_length(model, crop_seconds=None):
    """Return how many samples a network hears at a time in `fit`."""
    if crop_seconds is None and model.n_samples is None:
        raise MirdlError("this network takes any length: give crop_seconds")
    if crop_seconds is not None and model.n_samples is not None:
        raise MirdlError("this network has its own length: leave crop_seconds out")
    return model.n_samples or round(crop_seconds * model.sample_rate)


def _rank(best_by, score, loss):
    return (score, -loss) if best_by == "metric" else (-loss, score)


def as_text(option):
    """Return an option as text, functions in it without their addresses."""
    return re.sub(" at 0x[0-9a-f]+", "", repr(option))


def _described(option):
    """Return an option as the state of a run keeps it."""
    return as_text(option) if callable(option) else option


def _fit_normalisation(model, audio, usable, n_samples, seed):
    """Fit mean and deviation of the front end on the first crop of every training clip."""
    if model.front_end is not None:
        chunks = np.array_split(usable, math.ceil(len(usable) / 64))
        crops = (audio.crops(chunk, n_samples, seed, 0) for chunk in chunks)
        model.front_end.fit_normalisation(crops)


def _validate(network, valid, audio):
    """Return (loss, name of the metric, metric) of the clips' averaged window scores."""
    windows = window_scores(network, valid, audio=audio)
    heard, scores = windows.by_clip(valid.task)
    valid = valid.select(heard)
    if valid.task in FRAME_TASKS:
        valid, scores = examples(valid, scores, network.step)
    targets = valid.targets
    metric, value = next(iter(point_metrics(scores, targets, valid.task).items()))
    scores, targets = torch.from_numpy(scores), torch.from_numpy(targets)
    if valid.task == "multilabel":
        loss = F.binary_cross_entropy(scores, targets)
    elif valid.task == "multiclass":
        loss = F.nll_loss(scores.clamp(min=1e-12).log(), targets)
    else:
        loss = F.mse_loss(scores, targets)
    return float(loss), metric, value
