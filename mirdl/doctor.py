"""What is wrong with an installation, and how to mend it.

Nothing here imports torch or torchaudio at module level: the doctor has to work where they do not.
"""

import csv
import ctypes.util
import hashlib
import importlib.metadata
import importlib.util
import io
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from mirdl import paths
from mirdl.errors import MirdlError

ASIDE = ".aside"
INSTALL = "python -m pip install -r requirements.lock"
GIB = 2**30


class Check(NamedTuple):
    """One line of the report: OK, NONE (absent and not needed), WARN or FAIL."""

    name: str
    verdict: str
    found: str
    remedy: str = ""


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
        return False, f"torchaudio is not installed: {INSTALL}"
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


def _python():
    found = f"{platform.python_version()}, {sys.executable}"
    if tuple(map(int, platform.python_version_tuple()[:2])) < (3, 11):
        return "FAIL", found, "install Python 3.11 or newer, then: make lab PYTHON=python3.12"
    return "OK", found


def _libraries():
    from packaging.requirements import Requirement

    wrong = []
    needed = [Requirement(line) for line in importlib.metadata.requires("mirdl") or []]
    needed = [each for each in needed if not each.marker or each.marker.evaluate({"extra": ""})]
    for each in needed:
        try:
            version = importlib.metadata.version(each.name)
        except importlib.metadata.PackageNotFoundError:
            wrong.append(f"{each.name} missing")
        else:
            if not each.specifier.contains(version, prereleases=True):
                wrong.append(f"{each.name} {version}, needed {each.specifier}")
    if wrong:
        return "FAIL", "; ".join(wrong), INSTALL
    return "OK", f"all {len(needed)} that mirdl asks for"


def _torch():
    try:
        import torch
    except ImportError as error:
        return "FAIL", str(error), INSTALL
    return "OK", f"{torch.__version__}, {torch.get_num_threads()} threads"


def _torchaudio():
    reason = torchaudio_error()
    if reason is None:
        folder = _torchaudio_library()
        aside = ", its extension moved aside" if list(folder.glob(f"*{ASIDE}")) else ""
        return "OK", f"{importlib.metadata.version('torchaudio')}{aside}"
    remedy = "mirdl doctor --mend" if reason.startswith("OSError") else INSTALL
    return "FAIL", reason, remedy


def _mp3():
    import numpy as np
    import soundfile

    sample_rate = 16000
    tone = np.sin(2 * np.pi * 440 * np.arange(sample_rate) / sample_rate).astype(np.float32)
    memory = io.BytesIO()
    try:
        soundfile.write(memory, tone, sample_rate, format="MP3")
        memory.seek(0)
        decoded, _ = soundfile.read(memory)
    except (soundfile.LibsndfileError, ValueError) as error:
        return "FAIL", str(error), 'python -m pip install --upgrade "soundfile>=0.13"'
    if abs(np.abs(decoded).max() - 1) > 0.1:
        return "FAIL", "a tone does not survive encoding", "python -m pip install -U soundfile"
    return "OK", f"written and read by libsndfile {soundfile.__libsndfile_version__}"


def _cores():
    return "OK", str(
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    )


def _memory():
    import psutil

    memory = psutil.virtual_memory()
    found = f"{memory.available / GIB:.1f} of {memory.total / GIB:.1f} GiB free"
    if memory.available < 4 * GIB:
        return "WARN", found, "close what you can: a lesson takes up to 4 GB"
    return "OK", found


def _gpu():
    import torch

    if torch.cuda.is_available():
        return "OK", ", ".join(
            torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())
        )
    if torch.backends.mps.is_available():
        return "OK", "Apple Metal (mps)"
    return "NONE", "no lesson needs one"


def _data():
    clone = "git restore data/minitag, or clone the repository again"
    try:
        folder = paths.data_folder() / "minitag"
    except MirdlError as error:
        return "FAIL", str(error), clone
    frozen = folder / "FROZEN.sha256"
    if not frozen.is_file():
        return "FAIL", f"no {frozen}", clone
    wrong = []
    for line in frozen.read_text().splitlines():
        digest, name = line.split(maxsplit=1)
        file = folder / name.lstrip("*")
        if not file.is_file() or hashlib.sha256(file.read_bytes()).hexdigest() != digest:
            wrong.append(name)
    with (folder / "tracks.csv").open(newline="", encoding="utf-8") as table:
        tracks = [row["path"] for row in csv.DictReader(table)]
    wrong += [path for path in tracks if not (folder / path).is_file()]
    if wrong:
        return "FAIL", f"{len(wrong)} files missing or changed, first {wrong[0]}", clone
    return "OK", f"minitag, {len(tracks)} tracks, tables as frozen"


def _cache():
    folder = paths.cache_folder()
    try:
        paths.write_atomically(folder / "doctor.txt", "written by mirdl doctor")
        (folder / "doctor.txt").unlink()
    except OSError as error:
        return "FAIL", str(error), "set MIRDL_CACHE to a folder that you can write to"
    free = shutil.disk_usage(folder).free / GIB
    found = f"{folder}, {free:.1f} GiB free"
    if free < 2:
        return "WARN", found, "free some space, or set MIRDL_CACHE to a folder on a larger disk"
    return "OK", found


def _kernel():
    from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel

    register = "python -m ipykernel install --sys-prefix --name python3"
    try:
        program = KernelSpecManager().get_kernel_spec("python3").argv[0]
    except NoSuchKernel:
        return "FAIL", "no kernel python3", register
    # Jupyter starts a bare "python" as the interpreter that Jupyter itself runs on.
    if os.path.isabs(program) and Path(program).parent != Path(sys.executable).parent:
        return "FAIL", f"python3 starts {program}, not this environment", register
    return "OK", "python3, this environment"


def _fluidsynth():
    if ctypes.util.find_library("fluidsynth") and importlib.util.find_spec("fluidsynth"):
        return "OK", "`mirdl data render` can be used"
    return "NONE", "only `mirdl data render` needs it"


CHECKS = {
    "Python": _python,
    "libraries": _libraries,
    "torch": _torch,
    "torchaudio": _torchaudio,
    "MP3": _mp3,
    "cores": _cores,
    "memory": _memory,
    "GPU": _gpu,
    "data": _data,
    "cache": _cache,
    "kernel": _kernel,
    "FluidSynth": _fluidsynth,
}


def examine(checks=None):
    """Run the checks.

    Parameters
    ----------
    checks : dict of str to callable or None
        Functions that return (verdict, what was found, how to mend it); None runs all of them.

    Returns
    -------
    list of Check
        In the order of the report. A check that cannot run at all counts as a failure.
    """
    found = []
    for name, check in (checks or CHECKS).items():
        try:
            found.append(Check(name, *check()))
        except Exception as error:  # the doctor outlives whatever is broken
            found.append(Check(name, "FAIL", f"{type(error).__name__}: {error}", INSTALL))
    return found


def report(checks=None):
    """Print one line a check and how to mend what fails.

    Parameters
    ----------
    checks : list of Check or None
        None examines this installation.

    Returns
    -------
    int
        Exit status: 0 where nothing fails, else 1. Warnings do not count.
    """
    checks = examine() if checks is None else checks
    for check in checks:
        print(f"{check.verdict:<5} {check.name:<11} {check.found}")
        if check.remedy:
            print(f"{'':<17} to mend: {check.remedy}")
    failing = [check.name for check in checks if check.verdict == "FAIL"]
    print(f"failing: {', '.join(failing)}" if failing else "nothing is failing")
    return 1 if failing else 0
