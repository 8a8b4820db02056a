"""Minutes and peak memory of each notebook, one after the other, on one thread each.

    python benchmarks/notebooks.py --save --fill

--save writes results/benchmarks/notebooks.json, --fill copies its numbers to the box at the head
of each lesson and to the README's table. Nothing is judged: a slow machine fails no test.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import psutil

from mirdl import paths
from mirdl.experiments.runner import provenance

ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1"
)
BOX = re.compile(r"(\*\*Time and memory\*\* on two CPU cores: )[^.\n]*(?:\.\d[^.\n]*)*\.")
CELL = re.compile(r"(\| \d\d \| \[[^]]+\]\(notebooks/(\w+)\.ipynb\) \|)( [^|]*\|)( [^|]* GB \|)?")


def measure(path):
    """Run a notebook and return its minutes and the peak of its memory in GB.

    Parameters
    ----------
    path : pathlib.Path

    Returns
    -------
    dict of str to float
    """
    command = [sys.executable, "-m", "jupyter", "nbconvert", "--to", "notebook", "--execute"]
    command += ["--ExecutePreprocessor.timeout=1200", "--stdout", str(path)]
    started, peak = time.perf_counter(), 0
    process = psutil.Popen(
        command,
        env={**os.environ, **ONE_THREAD, "JUPYTER_PREFER_ENV_PATH": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while process.poll() is None:
        time.sleep(0.1)
        peak = max(peak, *(_resident(child) for child in _kernels(process)), 0)
    if process.returncode:
        raise SystemExit(f"{path}: a cell fails; run it in JupyterLab to see which")
    return {"minutes": (time.perf_counter() - started) / 60, "gigabytes": peak / 1e9}


def _kernels(process):
    try:
        return process.children(recursive=True)
    except psutil.Error:  # it has just ended
        return []


def _resident(process):
    try:
        return process.memory_info().rss
    except psutil.Error:
        return 0


def described(row):
    """Return "about 40 seconds, 1.2 GB" or "about 1½ minutes, 0.8 GB"."""
    half_minutes = round(2 * row["minutes"])
    if half_minutes < 2:
        seconds = max(10, 10 * round(6 * row["minutes"]))
        return f"about {seconds} seconds, {row['gigabytes']:.1f} GB"
    minutes = f"{half_minutes // 2}{'½' if half_minutes % 2 else ''}"
    return f"about {minutes} minute{'s' if half_minutes > 2 else ''}, {row['gigabytes']:.1f} GB"


def fill(rows):
    """Write the numbers into the box of each lesson and into the README's table."""
    for name, row in rows.items():
        path = paths.ROOT / "notebooks" / f"{name}.ipynb"
        notebook = nbformat.read(path, as_version=4)
        head = notebook.cells[0]
        head.source, n = BOX.subn(rf"\g<1>{described(row)}.", head.source)
        if n != 1:
            raise SystemExit(f"{path}: no box with the time and memory in its first cell")
        nbformat.write(notebook, path)
    readme = paths.ROOT / "README.md"
    text = readme.read_text(encoding="utf-8")
    readme.write_text(CELL.sub(lambda found: _line(found, rows), text), encoding="utf-8")


def _line(found, rows):
    if found[2] not in rows:
        return found[0]
    return f"{found[1]}{found[3]} {described(rows[found[2]]).removeprefix('about ')} |"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("notebooks", nargs="*", type=Path, help="default: all")
    parser.add_argument("--save", action="store_true", help="write results/benchmarks/")
    parser.add_argument("--fill", action="store_true", help="update lessons and README")
    arguments = parser.parse_args()
    target = paths.results_folder() / "benchmarks" / "notebooks.json"
    known = json.loads(target.read_text(encoding="utf-8"))["rows"] if target.exists() else {}
    for path in arguments.notebooks or sorted((paths.ROOT / "notebooks").glob("*.ipynb")):
        known[path.stem] = measure(path)
        print(f"{path.stem:<32} {known[path.stem]['minutes']:5.2f} min"
              f" {known[path.stem]['gigabytes']:5.2f} GB", flush=True)  # fmt: skip
    known = {name: {key: round(v, 2) for key, v in known[name].items()} for name in sorted(known)}
    if arguments.save:
        paths.write_atomically(target, json.dumps({"rows": known, **provenance()}, indent=1) + "\n")
        print(f"saved {target}")
    if arguments.fill:
        fill(known)


if __name__ == "__main__":
    main()
