"""Several processes that train or score together, as ``accelerate launch`` or ``torchrun`` start.

In a process that was started alone nothing here does anything (lesson 21).
"""

import os
import sys
from contextlib import contextmanager
from datetime import timedelta

from mirdl.errors import MirdlError

#: How long a process waits for one that neither answers nor ends. One that ends is noticed at
#: once. Nothing that all wait for takes long: whoever packs a data set holds a lock on the file.
PATIENCE = timedelta(minutes=10)


def rank():
    """Return the number of this process among those started together; 0 writes and prints."""
    return int(os.environ.get("RANK", 0))


def started():
    """Return how many processes were started together, whether or not they have met."""
    return int(os.environ.get("WORLD_SIZE", 1))


def use_cpu(device):
    """Say whether to train and score on the processor.

    Accelerate takes processes without a GPU for processes that know nothing of each other, unless
    it is told that they are to work on the processor.
    """
    import torch

    return device == "cpu" or (started() > 1 and not torch.cuda.is_available())


def accelerator(precision, device):
    """Make an Accelerator; an earlier one in this process may have had another precision.

    Parameters
    ----------
    precision : {"no", "bf16", "fp16"}
    device : {None, "cpu"}

    Raises
    ------
    MirdlError
        If the precision cannot be had here.
    """
    import torch
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState
    from accelerate.utils import InitProcessGroupKwargs

    AcceleratorState._reset_state(reset_partial_state=not torch.distributed.is_initialized())
    try:
        return Accelerator(
            mixed_precision=precision,
            cpu=use_cpu(device),
            kwargs_handlers=[InitProcessGroupKwargs(timeout=PATIENCE)],
        )
    except ValueError as error:
        raise MirdlError(f"precision {precision!r} cannot be used here: {error}") from error


def join(device=None):
    """Meet the processes that were started with this one, and return the device to work on.

    Parameters
    ----------
    device : {None, "cpu"}
        None takes a GPU, each process its own, where there is one.
    """
    from accelerate import PartialState

    return PartialState(cpu=use_cpu(device), timeout=PATIENCE).device


def leave():
    """Part from the other processes at the end of a command, where they were met at all."""
    torch = sys.modules.get("torch")
    if torch and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def place():
    """Return (number of this process, number of processes) among those that have met."""
    from torch import distributed

    return (
        (distributed.get_rank(), distributed.get_world_size())
        if distributed.is_initialized()
        else (0, 1)
    )


def gather(value):
    """Return the values that all processes gave, in their order; all must call it."""
    from torch import distributed

    values = [value] * place()[1]
    if len(values) > 1:
        distributed.all_gather_object(values, value)
    return values


def same_buffers(model):
    """Give all processes the buffers of the first, such as running means; all must call it."""
    from torch import distributed

    if place()[1] > 1:
        for buffer in model.buffers():
            distributed.broadcast(buffer, 0)


def share_norms(model):
    """Make batch normalisations use the whole batch, of all processes, on GPUs.

    Parameters
    ----------
    model : nn.Module

    Returns
    -------
    list of (nn.Module, str, nn.Module)
        What was replaced, for `restore`. The new layers have the names, weights and buffers of
        the old ones, so optimisers and states do not notice.
    """
    from torch.nn import SyncBatchNorm
    from torch.nn.modules.batchnorm import _BatchNorm

    norms = [
        (parent, name, child)
        for parent in model.modules()
        for name, child in parent.named_children()
        if isinstance(child, _BatchNorm)
    ]
    for parent, name, norm in norms:
        parent.register_module(name, SyncBatchNorm.convert_sync_batchnorm(norm))
    return norms


def restore(norms):
    """Put the layers back that `share_norms` replaced."""
    for parent, name, norm in norms:
        parent.register_module(name, norm)


@contextmanager
def together():
    """Say in one line that another process has gone, where that is what went wrong.

    Raises
    ------
    MirdlError
    """
    from torch.distributed import DistError

    try:
        yield
    except RuntimeError as error:
        if not isinstance(error, DistError) and "gloo" not in str(error).lower():
            raise
        raise MirdlError(
            "another process has ended or no longer answers; start all of them again: training"
            f" goes on from the last epoch that is saved ({str(error).splitlines()[0]})"
        ) from error
