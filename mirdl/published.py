"""Published checkpoints: FCN, CRNN and musicnn of Won et al. (SMC 2020) in our own networks.

The authors trained them on MagnaTagATune, clean split, and give them away under the MIT licence:
https://github.com/minzwon/sota-music-tagging-models. On float audio our outputs are theirs to
1e-5; audio that was rounded to 16 bits, as packs and `mirdl tag` do, moves some by up to 0.05.
"""

import hashlib
import pickle
from pathlib import Path

import torch

from mirdl import models, paths
from mirdl.datasets import download
from mirdl.datasets.magnatagatune import TOP_50
from mirdl.errors import CheckpointError, MirdlError

#: Address of a checkpoint, pinned to the commit that brought it.
SOURCE = (
    "https://raw.githubusercontent.com/minzwon/sota-music-tagging-models/"
    "1f4d282693ac19cde4d30b86811fe0ae2452f406/models/mtat/{name}/best_model.pth"
)
SHA256 = {
    "fcn": "e89d751202d38c3ae69855782bc27010f87051958dbec64f5aa762364dbac271",
    "crnn": "cd22fc70cafd06f8f2bfc7dd795abccb1f4b50d5b09094c39ad100baf87475a3",
    "musicnn": "690ace3bb5d49d90dd38fe3ec05a1185350b3bc3742bd7ee941f56b649b2c893",
}
#: Their name of each part of a network, and ours. In convolution blocks ``bn`` is our ``norm``.
PARTS = {
    "fcn": {
        "spec_bn": "norm",
        **{f"layer{i + 1}": f"blocks.{i}" for i in range(5)},
        "dense": "head.1",
    },
    "crnn": {
        "spec_bn": "norm",
        **{f"layer{i + 1}": f"blocks.{i}" for i in range(4)},
        "layer5": "back_end.rnn",
        "dense": "head.1",
    },
    "musicnn": {
        "spec_bn": "norm",
        **{f"layers.{i}": f"front.tall.{i}" for i in range(2)},
        **{f"layers.{i + 2}": f"front.long.{i}" for i in range(3)},
        **{f"layer{i}": f"mid{i}" for i in (1, 2, 3)},
        "dense1": "head.0",
        "bn": "head.1",
        "dense2": "head.4",
    },
}
#: The spectrogram in a checkpoint, and the same in our front end.
FRONT_END = {"spec.spectrogram.window": "window", "spec.mel_scale.fb": "mel_bank"}
#: How far they may be apart: torchaudio's mel bank of 2020 differs from today's by 1.3e-5.
TOLERANCE = 2e-5


def load(name, path=None):
    """Load a published network.

    Parameters
    ----------
    name : {"fcn", "crnn", "musicnn"}
    path : path-like, optional
        A checkpoint as published, or converted by `convert` (``.safetensors``). By default
        ``published/<name>.safetensors`` or ``.pth`` in the cache folder, where it is downloaded
        to if it is not there.

    Returns
    -------
    Tagger
        The network of `mirdl.models.build`, in evaluation mode, with ``tags``, the names of its
        50 outputs, and ``task``, "multilabel".

    Raises
    ------
    CheckpointError
        If the file is missing, damaged, holds code, or is another than the published one: of
        another network, another front end, or trained on other tags.
    MirdlError
        If there is no such checkpoint, or it cannot be downloaded.
    """
    if name not in PARTS:
        raise MirdlError(f"no published checkpoint of {name!r}; there are: {', '.join(PARTS)}")
    path = Path(path) if path is not None else find(name)
    if path.suffix == ".safetensors":
        model = models.load(path)
        if (model.recipe["name"], model.tags) != (name, TOP_50):
            raise CheckpointError(path, f"is not the published {name}, converted")
        return model
    model = models.build(name)
    model.load_state_dict(_translated(name, path, model))
    model.tags, model.task = list(TOP_50), "multilabel"
    return model.eval()


def convert(name, path=None, target=None):
    """Convert a published checkpoint for `mirdl.models.load` and ``mirdl tag --model``.

    Parameters
    ----------
    name, path
        As in `load`.
    target : path-like, optional
        The safetensors file to write; by default where `load` looks first.

    Returns
    -------
    pathlib.Path
        The file.
    """
    model = load(name, path)
    target = Path(target) if target is not None else folder() / f"{name}.safetensors"
    models.save(model, target, model.tags, model.task)
    return target


def folder():
    """Return the folder of downloaded and converted checkpoints."""
    return paths.cache_folder() / "published"


def find(name):
    """Return the file of a checkpoint in the cache folder; download it where there is none.

    Raises
    ------
    DataError
        If it cannot be downloaded; names the file and the address.
    """
    for suffix in (".safetensors", ".pth"):
        path = folder() / f"{name}{suffix}"
        if path.is_file():
            return path
    return download.fetch([SOURCE.format(name=name)], path, f"sha256:{SHA256[name]}")


def _translated(name, path, model):
    """Return the weights of a checkpoint under our names, after checking that all fit."""
    theirs = _read(path)
    for key, buffer in FRONT_END.items():
        if key not in theirs:
            raise CheckpointError(path, f"is no checkpoint of {name}: it has no {key}")
        found, ours = theirs.pop(key), getattr(model.front_end, buffer)
        if found.shape != ours.shape or not torch.allclose(found, ours, rtol=0, atol=TOLERANCE):
            raise CheckpointError(path, f"belongs to another front end: {key} is not ours")
    weights = {_renamed(key, PARTS[name]): value for key, value in theirs.items()}
    shapes, expected = (
        {key: value.shape for key, value in state.items()}
        for state in (weights, model.state_dict())
    )
    wrong = sorted(
        key for key in shapes.keys() | expected.keys() if shapes.get(key) != expected.get(key)
    )
    if wrong:
        raise CheckpointError(
            path, f"is no checkpoint of {name}: {len(wrong)} tensors do not fit, first {wrong[0]}"
        )
    if hashlib.sha256(path.read_bytes()).hexdigest() != SHA256[name]:
        raise CheckpointError(
            path,
            f"has the layers of the published {name}, but another SHA-256: it is damaged, or was"
            " trained on other tags",
        )
    return weights


def _renamed(key, parts):
    """Return our name of a tensor; its own where we have none."""
    for theirs, ours in parts.items():
        if key.startswith(f"{theirs}."):
            return ours + key[len(theirs) :].replace(".bn.", ".norm.")
    return key


def _read(path):
    """Return the tensors of a PyTorch file, without running any code that it may hold."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise CheckpointError(path, "no such file") from error
    except Exception as error:  # torch.load raises whatever a damaged file leads it into
        if isinstance(error, pickle.UnpicklingError) and "global" in str(error).lower():
            reason = "holds Python code, not weights alone: not opened"
        else:
            reason = f"damaged, or no checkpoint ({type(error).__name__})"
        raise CheckpointError(path, reason) from error
    if not isinstance(state, dict) or not all(map(torch.is_tensor, state.values())):
        raise CheckpointError(path, "is no checkpoint: holds something else than named tensors")
    return dict(state)
