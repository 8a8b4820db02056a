"""Receptive fields: how much of the input one unit of a layer sees (lesson 08)."""

import pandas as pd
import torch
from torch import nn

from mirdl.models.blocks import ResBlock

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d)
POOLS = (nn.MaxPool1d, nn.MaxPool2d, nn.AvgPool1d, nn.AvgPool2d)


def receptive_fields(model):
    r"""Follow the receptive field through the convolutions and pools of a network.

    A layer with kernel k, dilation d, stride s and p zeros before the input turns a field of r
    frames whose neighbours are j frames apart, the first from frame a on, into

    .. math:: r' = r + (k - 1) d j, \quad j' = s j, \quad a' = a - p j.

    Dense layers, global pooling and squeeze-and-excitation see everything and are not listed. A
    shortcut sees less than the layers around which it leads. The network is run once, on silence.

    Parameters
    ----------
    model : Tagger
        Its convolutions and pools must follow one another; shortcuts only in a `ResBlock`.

    Returns
    -------
    pandas.DataFrame
        A row for each layer, by its name, in order: ``kind`` ("conv" or "pool"), ``channels``,
        ``frames`` and ``seconds`` (the field along time: in spectrogram frames, or samples where
        the network has no front end; in seconds of audio, with the window of the front end),
        ``step_frames`` and ``step_seconds`` (from one unit to the next), ``first_frame`` (where
        the field of the first unit begins; negative in the padding), and for spectrograms
        ``bins``, ``step_bins`` and ``first_bin`` (along frequency, in mel bands). Unit i begins
        at ``first_frame + i * step_frames``. A field can be larger than the input; frames at
        the end that fill no pool count as inside.

    Raises
    ------
    ValueError
        If the layers are no chain, as in networks with parallel branches.

    Examples
    --------
    >>> receptive_fields(models.build("fcn")).loc["blocks.1.conv", ["bins", "frames"]].tolist()
    [8, 14]
    """
    hop, window = 1, 1
    if model.front_end is not None:
        hop, window = model.front_end.hop_length, model.front_end.n_fft
    time = _Axis()
    bins = None if model.front_end is None else _Axis()
    rows, previous = {}, None
    for name, layer, n_in, n_out in _calls(model):
        if previous is not None and n_in[2:] != previous[2:]:
            raise ValueError(f"{name} does not read the layer before it: the network has branches")
        previous = n_out
        kernel, stride, dilation, padding = (_pairs(layer, key) for key in _KEYS)
        time.pass_through(kernel[-1], stride[-1], dilation[-1], padding[-1])
        row = {
            "kind": "conv" if isinstance(layer, CONVOLUTIONS) else "pool",
            "channels": n_out[1],
            "frames": time.size,
            "seconds": ((time.size - 1) * hop + window) / model.sample_rate,
            "step_frames": time.step,
            "step_seconds": time.step * hop / model.sample_rate,
            "first_frame": time.first,
        }
        if bins is not None and len(kernel) == 2:
            bins.pass_through(kernel[0], stride[0], dilation[0], padding[0])
            row |= {"bins": bins.size, "step_bins": bins.step, "first_bin": bins.first}
        elif bins is not None:  # a 1D filter is as tall as the spectrogram
            row |= {"bins": model.front_end.n_mels, "step_bins": 0, "first_bin": 0}
        rows[name] = row
    return pd.DataFrame.from_dict(rows, orient="index")


class _Axis:
    """The field of a unit along one axis: its size, its step, where the first one begins."""

    def __init__(self):
        self.size, self.step, self.first = 1, 1, 0

    def pass_through(self, kernel, stride, dilation, padding):
        self.size += (kernel - 1) * dilation * self.step
        self.first -= padding * self.step
        self.step *= stride


_KEYS = ("kernel_size", "stride", "dilation", "padding")


def _pairs(layer, key):
    """Return a setting of a layer for each axis; padding is what is added before the input."""
    value = getattr(layer, key, 1)  # average pools have no dilation
    if value == "valid":
        value = 0
    elif value == "same":
        sizes = zip(layer.kernel_size, layer.dilation, strict=True)
        return tuple((kernel - 1) * dilation // 2 for kernel, dilation in sizes)
    if isinstance(value, int):
        return (value,) * (2 if isinstance(layer, nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d) else 1)
    return tuple(value)


def _calls(model):
    """Run the network; return (name, layer, input shape, output shape) of its layers in order."""
    shortcuts = {
        part
        for block in model.modules()
        if isinstance(block, ResBlock)
        for part in block.shortcut.modules()
    }
    calls, handles = [], []
    for name, layer in model.named_modules():
        if isinstance(layer, CONVOLUTIONS + POOLS) and layer not in shortcuts:
            handles.append(
                layer.register_forward_hook(
                    lambda layer, args, output, name=name: calls.append(
                        (name, layer, args[0].shape, output.shape)
                    )
                )
            )
    was_training = model.training
    device = next(model.parameters()).device
    try:
        with torch.no_grad():
            model.eval()(torch.zeros(1, model.n_samples, device=device))
    finally:
        model.train(was_training)
        for handle in handles:
            handle.remove()
    return calls
