"""Where things live: the embedded data, the results, the caches."""

import contextlib
import errno
import os
import tempfile
from pathlib import Path

import platformdirs

from mirdl.errors import DataError

_CHECKOUT = Path(__file__).resolve().parents[1]
#: The checkout that this package runs from; None where only the wheel is installed.
ROOT = _CHECKOUT if (_CHECKOUT / "pyproject.toml").is_file() else None
#: The small network that ``mirdl tag`` uses; part of the package, so that it works offline at once.
TAGGER = Path(__file__).parent / "weights" / "minitag_tagger.safetensors"


def _folder(variable, name):
    if os.environ.get(variable):
        return Path(os.environ[variable]).expanduser()
    if ROOT is None:
        raise DataError(
            name,
            f"not part of an installed wheel; clone the repository or set ${variable}",
        )
    return ROOT / name


def data_folder():
    """Return the folder of embedded data sets: ``$MIRDL_DATA``, else ``data/`` of the checkout."""
    return _folder("MIRDL_DATA", "data")


def results_folder():
    """Return the folder of stored scores: ``$MIRDL_RESULTS``, else ``results/`` of the checkout."""
    return _folder("MIRDL_RESULTS", "results")


def cache_folder():
    """Return the folder for packs, features and downloads: ``$MIRDL_CACHE`` or the platform's."""
    return Path(os.environ.get("MIRDL_CACHE") or platformdirs.user_cache_dir("mirdl")).expanduser()


def shared_folder():
    """Return the folder of real music outside the repository, or None where there is none."""
    if os.environ.get("MIRDL_SHARED"):
        folder = Path(os.environ["MIRDL_SHARED"])
    elif ROOT is not None:
        folder = ROOT.parent / "shared"
    else:
        return None
    return folder if folder.is_dir() else None


def signature(path):
    """Return a file's size and time of change, by which caches notice another file; or None."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return [status.st_size, status.st_mtime_ns]


@contextlib.contextmanager
def room_for(path):
    """Turn what a full disk (a quota, a limit on the size of files) raises inside into DataError.

    Everything here is written so that it can go on afterwards; the message says so.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        raise DataError(
            path,
            f"cannot be written: {os.strerror(error.errno)}. What was done before is kept: make"
            " room and run the same again",
        ) from error


def write_atomically(path, content):
    """Write text or bytes so that the file is either the old one or the whole new one.

    Parameters
    ----------
    path : path-like
        File to write; its folder is created.
    content : str or bytes
        What to write; text is encoded as UTF-8.

    Raises
    ------
    DataError
        The disk is full; the old file is as it was.
    """
    path = Path(path)
    data = content.encode() if isinstance(content, str) else content
    with room_for(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(temporary, 0o644)
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
