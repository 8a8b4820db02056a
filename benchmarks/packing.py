"""Packing and cropping: times real time and crops a second on one core, beside librosa.

    python benchmarks/packing.py --folder data/minitag/audio --save

Every line of the table is measured in this run, on one thread, in processor time (so a busy
machine hardly matters); between machines, compare the ratios.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy and torch start their threads

import librosa
import numpy as np
import pandas as pd
import torch

from mirdl import audio, paths
from mirdl.datasets.pack import pack
from mirdl.experiments.runner import save_benchmark

RATE, SECONDS = 16_000, 3.0


def timed(function, n, minimum=2.0):
    """Return how many of ``n`` units ``function`` does a second, repeated for ``minimum`` s."""
    start, rounds = time.process_time(), 0
    while (spent := time.process_time() - start) < minimum or rounds == 0:
        function()
        rounds += 1
    return n * rounds / spent


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, help="audio files (default: data/minitag/audio)")
    parser.add_argument("--files", type=int, default=100, help="how many of them")
    parser.add_argument("--batch", type=int, default=16, help="crops in a batch")
    parser.add_argument("--save", action="store_true", help="write results/benchmarks/packing.json")
    arguments = parser.parse_args()
    folder = arguments.folder or Path(os.path.relpath(paths.data_folder() / "minitag" / "audio"))
    suffixes = {".wav", ".flac", ".ogg", ".mp3"}
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in suffixes)
    files = files[: arguments.files]
    if not files:
        parser.error(f"no audio in {folder}")
    torch.set_num_threads(1)
    seconds = sum(audio.info(path).seconds for path in files)
    rng = np.random.default_rng(0)

    clips = pd.DataFrame({"clip_id": [path.stem for path in files], "path": map(str, files)})
    dataset = SimpleNamespace(
        name="benchmark", sample_rate=RATE, clips=clips.assign(start=0.0, end=None)
    )
    with tempfile.TemporaryDirectory() as store:
        start = time.process_time()
        packed = pack(dataset, store, workers=1, progress=False)
        packing = seconds / (time.process_time() - start)
        some = files[: max(1, len(files) // 10)]
        for path in some[:1]:
            librosa.load(path, sr=RATE)  # its first call imports and compiles
        some_seconds = sum(audio.info(path).seconds for path in some)
        decoding = timed(lambda: [librosa.load(p, sr=RATE) for p in some], some_seconds)

        n_samples = int(RATE * SECONDS)
        usable = np.flatnonzero(packed.usable)
        steps = iter(range(10**9))
        cropping = timed(
            lambda: packed.crops(rng.choice(usable, arguments.batch), n_samples, 0, next(steps)),
            arguments.batch,
        )

        def crops_by(load):
            batch = rng.choice(len(files), arguments.batch)
            return np.stack([load(files[i], 10 * rng.random()) for i in batch])

        by_librosa = timed(
            lambda: crops_by(lambda p, s: librosa.load(p, sr=RATE, offset=s, duration=SECONDS)[0]),
            arguments.batch,
        )
        by_audio = timed(
            lambda: crops_by(lambda p, s: audio.load(p, RATE, s, s + SECONDS)), arguments.batch
        )

    rows = [
        ("decode and pack", "x real time", packing),
        ("decode with librosa.load", "x real time", decoding),
        ("3 s crops from the pack", "a second", cropping),
        ("3 s crops by audio.load (seeks)", "a second", by_audio),
        ("3 s crops by librosa.load", "a second", by_librosa),
    ]
    print(f"{len(files)} files, {seconds / 60:.1f} minutes, one core")
    for name, unit, value in rows:
        print(f"{name:34}{value:10,.0f} {unit}")
    print(f"crops: {cropping / by_librosa:.0f} times as many as by librosa.load")
    if arguments.save:
        record = {
            "folder": folder.as_posix(),
            "files": len(files),
            "minutes_of_audio": round(seconds / 60, 1),
            "batch": arguments.batch,
            "rows": [{"what": n, "unit": u, "value": round(v, 1)} for n, u, v in rows],
            "crops_ratio_to_librosa": round(cropping / by_librosa, 1),
        }
        save_benchmark("packing", record)


if __name__ == "__main__":
    main()
