"""Training on a GPU: clips a second, and the shares of data, mel and step, beside a plain loop.

    python benchmarks/gpu.py --dataset magnatagatune --save
    python benchmarks/gpu.py --device cpu --shrink      (two minutes: does the script run?)
    python benchmarks/gpu.py --table                    (what has been measured, and where)

Each main network is trained by `mirdl.training.fit` on the packed set, and, in the same run, its
plain transcription (benchmarks/transcription) by the loop that one writes first: a DataLoader whose
workers decode a file for each clip, float32, Adam. Ratios are to that loop. The aim on a GPU is ten
times as many clips, and less than 5 % of the step for data. The tags are drawn: none is learnt.
"""

import argparse
import os
import warnings
from dataclasses import replace

import numpy as np
import torch
import transcription
from models import MAIN

from mirdl import datasets, models
from mirdl.datasets.pack import pack
from mirdl.experiments import speed
from mirdl.experiments.runner import save_benchmark

#: What `fit` is told.
SYSTEMS = {
    "fp32": {"precision": "fp32"},
    "bf16": {"precision": "bf16"},
    "bf16 compiled": {"precision": "bf16", "compile": True},
    "bf16 graphs": {"precision": "bf16", "compile": "reduce-overhead"},
}


def load(options):
    """Load training and validation clips with 50 random tags; few of both to be quick."""
    unit = {"unit": "track"} if options.dataset == "minitag" else {}  # 30 s, as MagnaTagATune
    dataset = datasets.load(options.dataset, root=options.root, **unit)
    tags = [f"tag {k}" for k in range(50)]
    targets = (np.random.default_rng(0).random((len(dataset), 50)) > 0.9).astype(np.float32)
    dataset = replace(dataset, tags=tags, targets=targets, task="multilabel")
    train, valid = dataset.subset("train"), dataset.subset("valid").select([0, 1])
    train = train.select(np.arange(12)) if options.shrink else train
    return train.select(pack(train).usable), valid  # the plain loop stops at a file it cannot read


def measure(name, train, valid, options):
    """Yield the row of the plain loop and of every system, for one network."""
    length = {"batch_size": options.batch, "n_steps": options.steps, "device": options.device}
    warm = options.warm + 2 * options.workers  # each worker has two batches ready
    n_samples = models.build(name).n_samples
    plain = speed.plain_speed(
        *(transcription.NETWORKS[name](), train, n_samples),
        **length,
        n_warm=warm,
        n_workers=options.workers,
    )
    for system in ("plain", *options.systems):
        found = plain
        if system != "plain":
            torch.manual_seed(0)
            network = models.build(name)
            found = speed.fit_speed(
                *(network, train, valid), **length, n_warm=options.warm, **SYSTEMS[system]
            )
        ratio = found["clips_per_second"] / plain["clips_per_second"]
        row = {"network": name, "batch": options.batch, "system": system, **found, "ratio": ratio}
        print(
            f"{name:17}{system:15}{row['clips_per_second']:10,.1f}{ratio:8.1f}x"
            + "".join(f"{row[part]:7.1%}" for part in speed.PARTS),
            flush=True,
        )
        yield {key: round(v, 4) if isinstance(v, float) else v for key, v in row.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", default="minitag")
    parser.add_argument("--root", help="its folder")
    parser.add_argument("--networks", nargs="+", choices=MAIN, default=list(MAIN))
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, help="default: all, on a GPU")
    parser.add_argument("--device", choices=["cpu"], help="default: the GPU")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--steps", type=int, default=200, help="measured steps")
    parser.add_argument("--warm", type=int, default=20, help="steps before them")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="of the plain loop")
    parser.add_argument("--shrink", action="store_true", help="2 clips a batch, 1 step, 12 clips")
    parser.add_argument("--table", action="store_true", help="print what is stored, and stop")
    parser.add_argument("--save", action="store_true", help="write results/benchmarks/gpu-*.json")
    options = parser.parse_args()
    if options.table:
        print(speed.gpu_speeds().to_string(index=False, na_rep=""))
        return
    if options.device is None and not torch.cuda.is_available():
        print(f"no GPU here: not measured. On a machine that has one: {speed.COMMAND}")
        return
    if options.shrink:
        options.batch, options.steps, options.warm, options.workers = 2, 1, 1, 0
    on_gpu = options.device is None
    options.systems = options.systems or (list(SYSTEMS) if on_gpu else ["fp32"])
    # torchaudio on the one mel band of 128 that no bin of the STFT falls into
    warnings.filterwarnings("ignore", message="At least one mel filterbank has all zero")

    device = torch.cuda.get_device_name() if on_gpu else "cpu"
    train, valid = load(options)
    print(f"{device}, torch {torch.__version__}, {len(train)} clips of {options.dataset}, batches")
    print(f"of {options.batch}; the plain loop has {options.workers} workers")
    print(f"{'':32}{'clips/s':>10}{'ratio':>9}" + "".join(f"{p:>7}" for p in speed.PARTS))
    rows = [row for name in options.networks for row in measure(name, train, valid, options)]
    if options.save:
        record = {
            "device": device,
            "dataset": options.dataset,
            "clips": len(train),
            "workers": options.workers,
            "steps": options.steps,
            "rows": rows,
            "versions": {"cuda": torch.version.cuda},
        }
        save_benchmark("gpu", record, speed.file_name(device))


if __name__ == "__main__":
    main()
