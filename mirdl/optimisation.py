"""What moves the weights: optimisers, weight decay and learning-rate schedules (lesson 05)."""

import math
from functools import partial

import torch
from torch.optim import lr_scheduler

OPTIMIZERS = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "sgd": partial(torch.optim.SGD, momentum=0.9, nesterov=True),
}
#: Learning-rate schedules over a run of n steps. All advance at every step, except the plateau,
#: which asks the validation loss at the end of an epoch.
SCHEDULES = {
    None: lambda optimizer, n: lr_scheduler.ConstantLR(optimizer, factor=1.0),
    "cosine": lambda optimizer, n: lr_scheduler.CosineAnnealingLR(optimizer, n),
    "exponential": lambda optimizer, n: lr_scheduler.ExponentialLR(optimizer, 0.01 ** (1 / n)),
    "step": lambda optimizer, n: lr_scheduler.StepLR(optimizer, math.ceil(n / 3), gamma=0.1),
    "plateau": lambda optimizer, n: lr_scheduler.ReduceLROnPlateau(
        optimizer, factor=0.5, patience=3
    ),
}


def make_optimizer(
    name,
    parameters,
    learning_rate,
    momentum=0.9,
    weight_decay=0.0,
    decay_kernels_only=False,
    fused=None,
):
    """Return one of `OPTIMIZERS` over some parameters.

    Parameters
    ----------
    name : str
    parameters : list of torch.nn.Parameter
    learning_rate, momentum, weight_decay : float
        The momentum is that of "sgd", in Nesterov's form.
    decay_kernels_only : bool
        Whether the decay spares parameters with a single axis, which are biases or belong to
        normalisations, as where a paper writes the L2 norm of the kernels into its loss.
    fused : bool, optional
        Whether one kernel updates all weights, for GPUs. None leaves it to torch.
    """
    groups = [{"params": parameters, "weight_decay": weight_decay}]
    if decay_kernels_only:
        groups[0]["params"] = [p for p in parameters if p.ndim > 1]
        groups.append({"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0})
    options = {"momentum": momentum, "nesterov": momentum > 0} if name == "sgd" else {}
    return OPTIMIZERS[name](groups, lr=learning_rate, fused=fused, **options)


def make_schedule(name, optimizer, n_steps, plateau_epochs=4):
    """Return the learning-rate schedule of a run.

    Parameters
    ----------
    name : str, None or callable
        One of `SCHEDULES`, or a function of the number of steps that gives the factor on the
        learning rate.
    optimizer : torch.optim.Optimizer
    n_steps : int
        Length of the run.
    plateau_epochs : int
        Epochs without a lower validation loss after which "plateau" halves the rate.
    """
    if callable(name):
        return lr_scheduler.LambdaLR(optimizer, name)
    schedule = SCHEDULES[name](optimizer, n_steps)
    if name == "plateau":
        schedule.patience = plateau_epochs - 1  # torch counts the epochs that it tolerates
    return schedule
