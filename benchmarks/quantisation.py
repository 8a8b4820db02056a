"""What int16 packing costs in score: the committed tagger on packed and on float audio.

    python benchmarks/quantisation.py --save

The test clips of the embedded data, scored twice by the same network; about two minutes.
"""

import argparse
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy and torch start their threads

import numpy as np

from mirdl import datasets, models, paths
from mirdl.datasets.pack import pack
from mirdl.evaluation import evaluate
from mirdl.experiments.runner import save_benchmark


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    target = paths.results_folder() / "benchmarks" / "quantisation.json"
    parser.add_argument("--save", action="store_true", help=f"write {target.name} of results/")
    arguments = parser.parse_args()
    tagger = models.load(paths.TAGGER)
    test = datasets.load("minitag").subset("test")
    packed = evaluate(tagger, test, audio=pack(test, progress=False))
    unpacked = evaluate(tagger, test)
    largest = float(np.abs(packed.scores - unpacked.scores).max())
    rows = {
        metric: {"packed": round(packed.metrics[metric], 6), "float": round(value, 6)}
        for metric, value in unpacked.metrics.items()
    }
    for metric, row in rows.items():
        print(f"{metric}: packed {row['packed']:.6f}, float {row['float']:.6f}")
    print(f"largest difference of one probability: {largest:.6f}")
    if arguments.save:
        record = {
            "clips": len(test),
            "scores": rows,
            "largest_probability_difference": round(largest, 6),
        }
        save_benchmark("quantisation", record)


if __name__ == "__main__":
    main()
