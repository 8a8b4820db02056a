"""What is wrong with an installation, and how to mend it.

Nothing here imports torch or torchaudio at module level: the doctor has to work where they do not.
"""

import importlib.util
import subprocess
import sys
from pathlib import Path

ASIDE = ".aside"


def torchaudio_error():
    """Try ``import torchaudio`` in a fresh process.

    Returns
    -------
    str or None
        The last line of the error; None where torchaudio imports.
    """
    tried = subprocess.run(
        [sys.executable, "-c", "import torchaudio"], capture_output=True, text=True, check=False
    )
    if tried.returncode == 0:
        return None
    return (tried.stderr.strip() or f"exit status {tried.returncode}").splitlines()[-1]


def _torchaudio_library():
    spec = importlib.util.find_spec("torchaudio")  # looks, without importing
    return Path(spec.submodule_search_locations[0]) / "lib" if spec else None


def mend(folder=None, error=torchaudio_error):
    """Move torchaudio's compiled extension aside where it keeps torchaudio from importing.

    The Linux wheel of torchaudio on PyPI is linked against CUDA and raises OSError beside a
    CPU-only torch. All transforms that mirdl uses are written in Python and run without it.
    :func:`unmend` takes the step back.

    Parameters
    ----------
    folder : path-like or None
        The ``lib`` folder of the installed torchaudio; None looks for it.
    error : callable
        Gives the import error of torchaudio, or None where it imports.

    Returns
    -------
    bool, str
        Whether torchaudio imports now, and a line that says what was done.
    """
    folder = Path(folder) if folder else _torchaudio_library()
    if folder is None:
        return False, "torchaudio is not installed: python -m pip install -r requirements.lock"
    reason = error()
    if reason is None:
        return True, "torchaudio imports; nothing to mend"
    extensions = sorted(
        path for path in folder.glob("_torchaudio*") if path.suffix in {".so", ".pyd"}
    )
    if not extensions or not reason.startswith("OSError"):
        return False, f"torchaudio does not import, and not because of its extension: {reason}"
    for path in extensions:
        path.replace(path.with_name(path.name + ASIDE))
    reason = error()
    if reason is not None:
        unmend(folder)
        return False, f"torchaudio does not import even without its extension: {reason}"
    names = ", ".join(path.name for path in extensions)
    return True, (
        f"torchaudio's {names} needs CUDA libraries that are not here; moved aside (to "
        f"*{ASIDE} in {folder}). `mirdl doctor --unmend` puts it back."
    )


def unmend(folder=None):
    """Put back what :func:`mend` moved aside.

    Parameters
    ----------
    folder : path-like or None
        The ``lib`` folder of the installed torchaudio; None looks for it.

    Returns
    -------
    str
        A line that says what was done.
    """
    folder = Path(folder) if folder else _torchaudio_library()
    moved = sorted(folder.glob(f"_torchaudio*{ASIDE}")) if folder else []
    for path in moved:
        path.replace(path.with_name(path.name.removesuffix(ASIDE)))
    return f"put back {', '.join(p.name for p in moved)}" if moved else "nothing was moved aside"
