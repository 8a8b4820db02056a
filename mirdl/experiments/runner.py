"""Run what is missing of ``results/``: ``make results``, or ``python -m mirdl.experiments``."""

import argparse
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import time
from dataclasses import asdict, replace
from fnmatch import fnmatch
from pathlib import Path

import torch

from mirdl import paths
from mirdl.errors import MirdlError
from mirdl.experiments import plan, settings, store

LIBRARIES = ("mirdl", "torch", "torchaudio", "numpy", "scipy", "scikit-learn", "librosa")


def select(runs, names):
    """Return the runs that match any of the names, all where there are none.

    A name is an experiment, or a pattern of the shell over experiment/system__variant__seed.

    Raises
    ------
    MirdlError
        If a name matches nothing.
    """
    for name in names:
        if not any(_matches(run, name) for run in runs):
            experiments = ", ".join(dict.fromkeys(run.experiment for run in runs))
            raise MirdlError(f"no experiment matches {name!r}; there are {experiments}")
    return [run for run in runs if not names or any(_matches(run, name) for name in names)]


def is_finished(run):
    """Say whether all rows of a run are stored."""
    return all(store.path_of(*row(run, variant)).is_file() for variant in run.variants)


def execute(run, chosen, command=""):
    """Make one run and store its rows.

    Parameters
    ----------
    run : Run
    chosen : Settings
        Budget; the run names its own data set.
    command : str
        What was typed, for the record.

    Returns
    -------
    dict of str to Evaluation
        By variant.
    """
    chosen = replace(chosen, dataset_name=run.dataset)
    started, busy = time.perf_counter(), time.process_time()
    made = run.function(run.seed, chosen, **run.options)
    made = made if isinstance(made, dict) else {run.variants[0]: made}
    if set(made) != set(run.variants):
        raise MirdlError(f"{run} made {sorted(made)}, planned were {sorted(run.variants)}")
    minutes = (time.perf_counter() - started) / 60
    about = {
        "dataset": run.dataset,
        "target": run.target,
        "split": run.split,
        "unit": run.unit,
        "options": run.options,
        "settings": asdict(chosen),
        "minutes": minutes,
        "core_minutes": (time.process_time() - busy) / 60,
        "command": command,
        **provenance(),
    }
    for variant in run.variants:
        store.save(made[variant], *row(run, variant), **about)
    return made


def row(run, variant):
    """Return what names a row: experiment, system, variant, seed."""
    return run.experiment, run.system, variant, run.seed


def commit():
    """Return the commit that the code is at, with ``-dirty`` where code or data differ from it."""
    if paths.ROOT is None:
        return "unknown"
    git = ["git", "-C", str(paths.ROOT)]
    try:
        head = subprocess.run(
            [*git, "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True, check=True
        )
        changes = subprocess.run(
            [*git, "status", "--porcelain", "--", "mirdl", "data"],
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return head.stdout.strip() + ("-dirty" if changes.stdout.strip() else "")


def machine():
    """Return processor, cores, threads in use, and the GPU where there is one."""
    processor = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").is_file():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
        processor = models[0] if models else processor
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "processor": processor,
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpu": gpu,
        "system": platform.platform(terse=True),
    }


def versions():
    """Return the versions of Python and of the libraries that numbers depend on."""
    found = {name: importlib.metadata.version(name) for name in LIBRARIES}
    return {"python": platform.python_version(), **found}


def provenance():
    """Return what every stored number says of its making: commit, machine, versions."""
    return {"commit": commit(), "machine": machine(), "versions": versions()}


def save_benchmark(name, record, file_name=None):
    """Write what a script of benchmarks/ measured, the command that was typed and `provenance`.

    Parameters
    ----------
    name : str
    record : dict
        An entry "versions" adds to those of Python and the libraries.
    file_name : str, optional
        In ``results/benchmarks``; default: the name, with ".json".
    """
    about = {"command": " ".join(["python", *sys.argv]), **provenance()}
    about["versions"] |= record.get("versions", {})
    target = paths.results_folder() / "benchmarks" / (file_name or f"{name}.json")
    record = {"benchmark": name, **record, **about}
    paths.write_atomically(target, json.dumps(record, indent=1) + "\n")


def main(arguments=None):
    """Run the command line; return 0, or 1 where a run failed, or 2 where the call was wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m mirdl.experiments",
        description="Run what is missing of results/. Interrupt it, and it goes on where it was.",
    )
    parser.add_argument("names", nargs="*", help="experiments, or patterns such as 'baselines/*'")
    parser.add_argument("--dry-run", action="store_true", help="print the runs and their minutes")
    parser.add_argument("--list", action="store_true", help="print the experiments")
    parser.add_argument("--budget", choices=settings.BUDGETS, help="another than each run's own")
    options = parser.parse_args(arguments)
    try:
        runs = select(plan.runs(), options.names)
        if options.list:
            return _list(runs)
        return _dry_run(runs) if options.dry_run else _run(runs, options.budget, arguments)
    except MirdlError as error:
        print(f"mirdl: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; run the same command again to go on", file=sys.stderr)
        return 130


def _matches(run, name):
    return run.experiment == name or fnmatch(str(run), name)


def _list(runs):
    for experiment in dict.fromkeys(run.experiment for run in runs):
        of_it = [run for run in runs if run.experiment == experiment]
        finished = sum(is_finished(run) for run in of_it)
        print(f"{experiment}: {finished} of {len(of_it)} runs finished")
    return 0


def _dry_run(runs):
    for run in runs:
        print(f"{run.minutes:7.1f} min  {'finished' if is_finished(run) else 'missing '}  {run}")
    missing = sum(run.minutes for run in runs if not is_finished(run)) / 60
    total = sum(run.minutes for run in runs) / 60
    print(f"{len(runs)} runs, {total:.1f} core-hours, {missing:.1f} of them missing")
    return 0


def _run(runs, budget, arguments):
    given = sys.argv[1:] if arguments is None else arguments
    command = " ".join(["python -m mirdl.experiments", *given])
    failed = 0
    for number, run in enumerate(runs, 1):
        if is_finished(run):
            continue
        print(f"[{number}/{len(runs)}] {run} (about {run.minutes:.1f} min)", flush=True)
        try:
            chosen = settings.choose(budget=budget or run.budget)
            for variant, evaluation in execute(run, chosen, command).items():
                print(f"    {variant} {evaluation}".replace("  ", " "), flush=True)
        except MirdlError as error:  # the other rows do not depend on this one
            failed += 1
            print(f"    failed: {error}", file=sys.stderr, flush=True)
    return 1 if failed else 0
