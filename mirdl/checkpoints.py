"""The state of a training run as one file, so that it goes on where it was interrupted."""

import io
import zipfile
from pickle import UnpicklingError

import torch

from mirdl.errors import CheckpointError
from mirdl.paths import write_atomically


def write(path, state):
    """Write a state, atomically.

    Parameters
    ----------
    path : path-like
    state : dict
        Of what `torch.load` reads with ``weights_only=True``; under "settings" a dict of what the
        run depends on.
    """
    buffer = io.BytesIO()
    torch.save(state, buffer)
    write_atomically(path, buffer.getvalue())


def read(path, settings):
    """Read a state, checking every byte and that it belongs to a run with these settings.

    Parameters
    ----------
    path : path-like
    settings : dict

    Returns
    -------
    dict

    Raises
    ------
    CheckpointError
        If the file is damaged, or its settings are others; names those.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
        state = None if damaged else torch.load(path, map_location="cpu", weights_only=True)
        theirs = state["settings"]
    except (
        OSError,
        TypeError,
        KeyError,
        RuntimeError,
        zipfile.BadZipFile,
        UnpicklingError,
    ) as error:
        raise CheckpointError(path, "damaged, delete it to start again") from error
    different = [name for name in settings if settings[name] != theirs.get(name)]
    if different:
        changes = ", ".join(f"{name} {theirs.get(name)} → {settings[name]}" for name in different)
        raise CheckpointError(path, f"state of another run ({changes}): choose another folder")
    return state
