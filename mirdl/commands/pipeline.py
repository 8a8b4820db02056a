"""``mirdl pipeline``: from archive parts to a score table, stage by stage, with one command."""

import contextlib
import hashlib
import io
import json
import shlex
import time
from pathlib import Path
from typing import NamedTuple

from mirdl import processes
from mirdl.errors import MirdlError


class Stage(NamedTuple):
    """A command that could be typed by itself.

    `product` is the file it leaves behind, where it need not run again as long as data and
    command are the same; the others see for themselves what is left to do, and are quick.
    """

    name: str
    says: str
    command: list
    product: Path | None = None


def pipeline(options):
    """Get, check, pack, train, evaluate: each stage is a command of its own, printed as it runs.

    Interrupted anywhere and called again, it goes on where it was. Clips that cannot be used are
    reported by the check, and left out.
    """
    if processes.started() > 1:
        raise MirdlError("mirdl pipeline is one process; start several for `mirdl train` alone")
    folder = Path(options.folder or _folder_name(options))
    root = _root(options)
    state_file = folder / "pipeline.json"
    state = _read(state_file)
    rows = []
    for stage in _stages(options, folder):
        print(f"\n== {stage.name}: {stage.says}\n   {shlex.join(['mirdl', *stage.command])}")
        inputs = _inputs(root, stage)
        earlier = state.get(stage.name, {})
        done = stage.product and stage.product.exists() and earlier.get("inputs") == inputs
        if done:
            print(f"   done before, in {_duration(earlier['seconds'])}: {stage.product}")
        else:
            started = time.perf_counter()
            status = _run(stage, options.main)
            if status and not (stage.name == "check" and status == 1):  # bad clips are left out
                print(f"\nstopped in {stage.name}; run the same again to go on")
                return status
            earlier = {"inputs": inputs, "seconds": time.perf_counter() - started}
            _keep(state_file, state, stage.name, earlier)
        rows.append((stage.name, _duration(earlier["seconds"]), "done before" if done else ""))
    for split in ("folder", "clean"):
        print(f"\n{split} split, test clips:\n{_scores(folder, split).read_text().rstrip()}")
    print("\n" + "\n".join(f"{name:<16} {took:>9}  {note}".rstrip() for name, took, note in rows))


def _stages(options, folder):
    name, weights = options.dataset, folder / f"seed{options.seed}" / "model.safetensors"
    root = ["--root", options.root] if options.root else []
    quiet = ["--quiet"] if options.quiet else []
    device = ["--device", options.device] if options.device else []
    train = ["train", "--dataset", name, *root, "--recipe", options.recipe]
    for flag, value in (("--model", options.model), ("--epochs", options.epochs)):
        train += [] if value is None else [flag, str(value)]
    for flag, pairs in (("--set", options.set), ("--fit", options.fit)):
        train += [flag, *(f"{key}={value}" for key, value in pairs)] if pairs else []
    train += ["--seeds", str(options.seed), "--folder", str(folder), *device, *quiet]
    source = ["--source", options.source] if options.source else []
    workers = ["--workers", str(options.workers)] if options.workers else []
    report = folder / "check.csv"
    stages = [
        Stage("get", "the archive in parts, unpacked",
              ["data", "get", name, *root, *source, *quiet]),
        Stage("check", "every clip decoded; what cannot be used",
              ["data", "check", name, *root, "--report", str(report), *quiet], report),
        Stage("pack", "every clip decoded once into one file of 16 bits",
              ["data", "pack", name, *root, *workers, *quiet]),
        Stage("train", f"the recipe {options.recipe}", train, weights),
    ]  # fmt: skip
    for split in ("folder", "clean"):
        command = ["evaluate", str(weights), "--dataset", name, *root, "--split", split, "--brief"]
        says = f"the {split} split, published numbers beside ours"
        product = _scores(folder, split)
        stages.append(Stage(f"evaluate {split}", says, command + device, product))
    return stages


def _run(stage, main):
    """Run a command; what an evaluation prints is kept, to be shown at the end."""
    if not stage.name.startswith("evaluate"):
        return main(stage.command)
    from mirdl.paths import write_atomically

    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        status = main(stage.command)
    if not status:
        write_atomically(stage.product, printed.getvalue())
    return status


def _inputs(root, stage):
    """Return a hash of a stage's command and of what it reads: tables, clips, weights."""
    from mirdl.paths import signature

    digest = hashlib.sha256(shlex.join(stage.command).encode())
    clips = sorted(root.glob("[0-9a-f]/*.mp3"))
    for path in (*root.glob("*_final.csv"), *clips):
        digest.update(f"{path} {signature(path)}".encode())
    if stage.name.startswith("evaluate") and Path(stage.command[1]).exists():
        digest.update(Path(stage.command[1]).read_bytes())
    return digest.hexdigest()


def _root(options):
    from mirdl.datasets.base import home

    return home(options.dataset, options.root)


def _folder_name(options):
    parts = ["pipeline", options.dataset, options.recipe, options.model]
    return Path("runs") / "-".join(part for part in parts if part)


def _scores(folder, split):
    return folder / f"scores-{split}.txt"


def _read(path):
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise MirdlError(f"{path}: damaged; delete it, every stage then looks again") from error


def _keep(path, state, name, entry):
    from mirdl.paths import write_atomically

    state[name] = entry
    write_atomically(path, json.dumps(state, indent=1) + "\n")


def _duration(seconds):
    return f"{seconds:.1f} s" if seconds < 120 else f"{seconds / 60:.1f} min"
