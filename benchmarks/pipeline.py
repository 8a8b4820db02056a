"""The whole way to MagnaTagATune's scores: the rate of every stage, and what the full set takes.

    python benchmarks/pipeline.py --save

Renders a small copy in the original layout (`mirdl data rehearse`), then unpacks, checks, packs,
trains and evaluates it as `mirdl pipeline` does. All in this run, on one thread, in processor time
(so a busy machine hardly matters); the projections are core-hours of this machine. The optimiser
steps are those of a GPU's work done by one core: ``benchmarks/gpu.py`` measures them where they
belong.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy and torch start their threads

import numpy as np
import soundfile
import torch

from mirdl import datasets, evaluation, models, paths, recipes, training
from mirdl.compose import collection, rehearsal, synth
from mirdl.datasets.pack import AUDIO, pack
from mirdl.experiments.runner import save_benchmark

RECIPE = "won2020"
#: The real set, and its clean split.
CLIPS, TRAIN, TEST = 25_860, 15_247, 4_332


class Clock:
    """Adds up the processor time of what is done under a name."""

    def __init__(self):
        self.seconds = {}

    def time(self, name, function, *arguments, **options):
        start = time.process_time()
        result = function(*arguments, **options)
        self.seconds[name] = self.seconds.get(name, 0.0) + time.process_time() - start
        return result


def make(folder, n_clips, rendered, clock):
    """Write a small copy as `mirdl data rehearse` does, each step timed by itself."""
    rows = collection.read_tracks(paths.data_folder() / "minitag")
    records = []
    for i in range(n_clips):
        if rendered:
            piece, samples, parts = clock.time(
                "render", collection.record_track, i, collection.SEED
            )
            row = collection.describe(piece, parts, piece.seconds)["row"]
        else:
            row = rows[i]
            path = paths.data_folder() / "minitag" / row["path"]
            samples, _ = soundfile.read(path, dtype="int16")
        record = rehearsal.clip_record(i, row)
        content = clock.time("write MP3", rehearsal.encode, samples[: rehearsal.N_SAMPLES])
        paths.write_atomically(folder / "clips" / record["info"]["mp3_path"], content)
        records.append(record)
    clock.time("archive and checksums", rehearsal.publish, folder, records, progress=False)


def train_steps(model, packed, targets, batch_size, n_steps):
    """Run optimiser steps of the recipe's first stage on crops of the pack, as `fit` does."""
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4, weight_decay=1e-4)
    rng = np.random.default_rng(0)
    model.train()
    for step in range(n_steps):
        batch = rng.choice(np.flatnonzero(packed.usable), batch_size)
        crops = packed.crops(batch, model.n_samples, 0, step)
        loss = training.LOSSES["multilabel"](model(crops), targets[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def measure(n_clips, rendered, network, n_steps, folder):
    """Return processor seconds by stage, wall seconds of packing, and sizes in bytes a clip."""
    clock, source, root = Clock(), folder / "source", folder / "mtt"
    make(source, n_clips, rendered, clock)
    clock.time("unpack", datasets.get, "magnatagatune", root, False, source=source)
    dataset = datasets.load("magnatagatune", root=root)
    faults = clock.time("check", datasets.check, dataset, progress=False)
    if len(faults):
        raise SystemExit(f"the check found {faults.to_string()}")
    wall = {}
    for workers in (1, 2):
        started = time.perf_counter()
        name = f"pack, {workers} worker{'s' * (workers > 1)}"
        packed = clock.time(
            name, pack, dataset, folder / f"pack{workers}", workers=workers, progress=False
        )
        wall[workers] = time.perf_counter() - started
    torch.manual_seed(0)
    model = models.build(network, dataset.n_outputs)
    batch_size = recipes.find(RECIPE).stages[0]["batch_size"]
    targets = torch.from_numpy(dataset.targets)
    train_steps(model, packed, targets, batch_size, 1)  # the first step warms up
    clock.time("train", train_steps, model, packed, targets, batch_size, n_steps)
    part = dataset.select(np.arange(min(8, len(dataset))))
    heard = pack(part, packed.folder, progress=False)
    clock.time("evaluate", evaluation.window_scores, model.eval(), part, audio=heard)
    sizes = {
        "archive": sum((source / part).stat().st_size for part in rehearsal.PARTS) / n_clips,
        "unpacked": sum(p.stat().st_size for p in root.glob("?/*.mp3")) / n_clips,
        "pack": (packed.folder / AUDIO).stat().st_size / n_clips,
    }
    return clock.seconds, wall, sizes, batch_size, len(part)


def table(seconds, n_clips, n_steps, batch_size, n_evaluated, epochs):
    """Return one row a stage: what, seconds of a core a unit, units of the full set, hours."""
    rows = []
    for name, spent in seconds.items():
        unit, measured, full = "clip", n_clips, CLIPS
        if name == "train":
            unit, measured, full = f"step of {batch_size} clips", n_steps, TRAIN // batch_size
        if name == "evaluate":
            measured, full = n_evaluated, TEST
        row = {"stage": name, "unit": unit, "seconds_a_unit": round(spent / measured, 4)}
        row |= {"units_of_the_full_set": full}
        row["core_hours"] = round(spent / measured * full / 3600, 2)
        if unit == "clip":
            row["clips_a_second"] = round(measured / spent, 2)
        rows.append(row)
        if name == "train":
            row["stage"] = "train, one epoch"
            whole = {"units_of_the_full_set": full * epochs}
            hours = {"core_hours": round(spent / measured * full * epochs / 3600)}
            rows.append(row | {"stage": f"train, {epochs} epochs of {RECIPE}"} | whole | hours)
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=48, help="how many to measure with (48)")
    parser.add_argument("--network", default="fcn", help="of the recipe (fcn, its first)")
    parser.add_argument("--steps", type=int, default=2, help="optimiser steps to time (2)")
    parser.add_argument("--no-render", action="store_true", help="cut the embedded set instead")
    parser.add_argument(
        "--save", action="store_true", help="write results/benchmarks/pipeline.json"
    )
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if not arguments.no_render:
        synth.library(), synth.sound_font()
    with tempfile.TemporaryDirectory() as folder:
        seconds, wall, sizes, batch_size, n_evaluated = measure(
            arguments.clips,
            not arguments.no_render,
            arguments.network,
            arguments.steps,
            Path(folder),
        )
    epochs = sum(stage["n_epochs"] for stage in recipes.find(RECIPE).stages)
    rows = table(seconds, arguments.clips, arguments.steps, batch_size, n_evaluated, epochs)
    gigabytes = {name: round(size * CLIPS / 1e9, 2) for name, size in sizes.items()}
    print(f"{arguments.clips} clips of 29.1 s, one core; {arguments.network}; full set {CLIPS:,}")
    for row in rows:
        print(
            f"{row['stage']:<30}{row['seconds_a_unit']:9.3f} s a {row['unit']:<20}"
            f"{row['core_hours']:9,.2f} core-hours"
        )
    print("GB of the full set: " + ", ".join(f"{name} {n}" for name, n in gigabytes.items()))
    print(f"pack, wall time: {wall[1] / wall[2]:.2f} times as fast with two workers")
    if arguments.save:
        record = {
            "clips": arguments.clips,
            "network": arguments.network,
            "rows": rows,
            "gigabytes_of_the_full_set": gigabytes,
            "pack_two_workers_speed": round(wall[1] / wall[2], 2),
        }
        save_benchmark("pipeline", record)


if __name__ == "__main__":
    main()
