"""What it costs that one pack serves networks of other rates: its resampling beside soxr's.

    python benchmarks/resampling.py --save

Ten tracks of the embedded data, decoded at 16 kHz and resampled as `mirdl.datasets.pack` does it
for each crop, beside the same files resampled by soxr when they are decoded: the error of a whole
track in dB below its music, and how many times real time one core resamples. About 20 seconds.
"""

import argparse
import os
import tempfile
import time
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy and torch start their threads

import numpy as np

from mirdl import datasets
from mirdl.datasets.pack import pack
from mirdl.experiments.runner import save_benchmark

PACKED, RATES = 16_000, (8_000, 12_000, 22_050, 44_100)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tracks", type=int, default=10)
    parser.add_argument("--save", action="store_true", help="write resampling.json of results/")
    arguments = parser.parse_args()
    dataset = datasets.load("minitag", unit="track")
    dataset = dataset.select(np.linspace(0, len(dataset) - 1, arguments.tracks).astype(int))
    rows = []
    with tempfile.TemporaryDirectory() as store:
        for rate in RATES:
            wanted = replace(dataset, sample_rate=rate)
            exact = pack(wanted, Path(store) / str(rate), progress=False)
            ours = pack(wanted, Path(store) / "packed", progress=False, rate=PACKED)
            ours.clip(0)  # makes the filter
            errors, seconds, start = [], 0.0, time.process_time()
            clips = [ours.clip(i) for i in range(len(dataset))]
            spent = time.process_time() - start
            for i, clip in enumerate(clips):
                seconds += len(clip) / rate
                both = [x[rate:-rate].double() for x in (exact.clip(i), clip)]
                length = min(map(len, both))
                a, b = (x[:length] for x in both)
                errors.append(float(10 * ((a - b).square().mean() / a.square().mean()).log10()))
            row = {"rate": rate, "median_db": np.median(errors), "worst_db": max(errors)}
            rows.append(row | {"times_real_time": seconds / spent})
            print(
                f"{rate:6} Hz: error {row['median_db']:.1f} dB (median), {row['worst_db']:.1f} dB"
                f" (worst of {len(errors)}); {seconds / spent:,.0f} times real time"
            )
    if arguments.save:
        record = {
            "tracks": arguments.tracks,
            "packed_rate": PACKED,
            "rows": [{key: round(float(value), 1) for key, value in row.items()} for row in rows],
        }
        save_benchmark("resampling", record)


if __name__ == "__main__":
    main()
