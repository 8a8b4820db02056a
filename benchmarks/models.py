"""Speed of the main networks, beside plain transcriptions of them (benchmarks/transcription).

    python benchmarks/models.py --threads 2 --save

Clips a second of a training step (audio, loss, backward, Adam) and of inference, in float32 and,
where the processor has it, bfloat16 as `mirdl.training.fit` uses it; ours and the transcription
take turns in one run. With one thread processor time is measured, so a busy machine hardly
matters; with more, the wall clock. Between machines, compare the ratios. About 6 minutes.
"""

import argparse
import time
import warnings
from statistics import median

import torch
import transcription
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from mirdl import models
from mirdl.experiments.runner import save_benchmark

#: Batch of each network, and clips a second that the original authors' code trains on two cores
#: of a server processor: for orientation only, not measured here.
MAIN = {
    "fcn": (4, 4.3),
    "musicnn": (16, 5.6),
    "crnn": (4, 2.8),
    "sample_cnn": (16, 5.3),
    "short_chunk_cnn": (16, 7.9),
    "short_chunk_res": (8, 10.9),
    "harmonic_cnn": (8, 5.1),
    "self_attention": (4, 2.0),
}
PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16}


def seconds(function):
    """Return how long a call takes."""
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    start = clock()
    function()
    return clock() - start


def peak(dtype, size=4096):
    """Return the operations a second of a large matrix product."""
    a, b = (torch.randn(size, size).to(dtype) for _ in range(2))
    return 2 * size**3 / min(seconds(lambda: a @ b) for _ in range(5))


def steps(network, audio, targets, precision="fp32"):
    """Return two functions: a training step, and inference."""
    optimizer = torch.optim.Adam(network.parameters())

    def forward():
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            return network(audio).float()

    def train():
        network.train()
        loss = F.binary_cross_entropy_with_logits(forward(), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    def infer():
        network.eval()
        with torch.inference_mode():
            forward()

    return {"training": train, "inference": infer}


def operations(function):
    """Count the multiplications and additions of convolutions and matrix products in a call."""
    with FlopCounterMode(display=False) as counter:
        function()
    return counter.get_total_flops()


def measure(name, batch, precisions, repeats):
    """Measure one network.

    Returns
    -------
    dict
        By task ("training", "inference") and system ("plain", "fp32", "bf16"): clips a second.
    dict
        By task: operations a clip.
    """
    torch.manual_seed(0)
    ours, plain = models.build(name), transcription.NETWORKS[name]()
    transcription.copy_weights(ours, plain)
    audio = 0.1 * torch.randn(batch, ours.n_samples)
    targets = (torch.rand(batch, 50) > 0.9).float()
    systems = {"plain": steps(plain, audio, targets)}
    systems |= {name: steps(ours, audio, targets, name) for name in precisions}
    # the first call of each, which also makes room in memory, is not timed
    counts = {task: operations(call) / batch for task, call in systems["plain"].items()}
    speeds = {}
    for task in counts:
        times = {system: [] for system in systems}
        for _ in range(1 + repeats):
            for system, calls in systems.items():
                times[system].append(seconds(calls[task]))
        speeds[task] = {system: batch / median(t[1:]) for system, t in times.items()}
    return speeds, counts


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="+", choices=MAIN, default=list(MAIN))
    parser.add_argument("--threads", type=int, help="default: one for each core")
    parser.add_argument("--repeats", type=int, default=5, help="timed calls, of which the median")
    parser.add_argument("--quick", action="store_true", help="one repeat, a quarter of the batch")
    parser.add_argument("--save", action="store_true", help="write results/benchmarks/models.json")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    repeats = 1 if arguments.quick else arguments.repeats
    # torchaudio on the one mel band of 128 that no bin of the STFT falls into
    warnings.filterwarnings("ignore", message="At least one mel filterbank has all zero")

    peaks = {name: peak(dtype) for name, dtype in PRECISIONS.items()}
    print(
        f"{torch.get_num_threads()} threads, torch {torch.__version__}; matrix products:", end=" "
    )
    print(", ".join(f"{name} {value / 1e9:,.0f} GFLOP/s" for name, value in peaks.items()))
    if peaks["bf16"] < 1.2 * peaks["fp32"]:
        print("this processor has no fast bfloat16: left out")
        del peaks["bf16"]
    print("clips a second (times the plain transcription; share of the matrix-product peak)")
    print(f"{'':28}{'plain':>8}" + "".join(f"{f'ours, {name}':>26}" for name in peaks), end="")
    print(f"{'authors':>10}")
    rows = []
    for name in arguments.networks:
        batch, orientation = MAIN[name]
        batch = max(2, batch // 4) if arguments.quick else batch
        speeds, counts = measure(name, batch, list(peaks), repeats)
        for task, speed in speeds.items():
            row = {"network": name, "task": task, "batch": batch, "plain": speed["plain"]}
            for precision, top in peaks.items():
                row[precision] = speed[precision]
                row[f"{precision}_ratio"] = speed[precision] / speed["plain"]
                row[f"{precision}_share_of_peak"] = speed[precision] * counts[task] / top
            row["plain_share_of_peak"] = speed["plain"] * counts[task] / peaks["fp32"]
            row["gigaflop_per_clip"] = counts[task] / 1e9
            line = f"{name:17}{task:11}{row['plain']:8.2f}"
            for key in peaks:
                ratio, share = row[f"{key}_ratio"], row[f"{key}_share_of_peak"]
                line += f"{row[key]:10.2f} ({ratio:5.2f}x; {share:4.0%})"
            line += f"{orientation:10.1f}" if task == "training" else ""
            print(line, flush=True)
            rows.append({k: round(v, 3) if isinstance(v, float) else v for k, v in row.items()})
    if arguments.save:
        record = {
            "rows": rows,
            "peak_gigaflop_a_second": {name: round(value / 1e9) for name, value in peaks.items()},
            "authors_training_clips_a_second": {name: MAIN[name][1] for name in MAIN},
            "repeats": repeats,
        }
        save_benchmark("models", record)


if __name__ == "__main__":
    main()
