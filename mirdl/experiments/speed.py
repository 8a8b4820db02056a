"""Where the time of training goes: data, mel, step (lesson 21; benchmarks/gpu.py).

The times are those of the device, by CUDA events, and by the clock where there is no GPU. A GPU
that waits for the processor is counted to what it waits for.
"""

import json
import re
import time
from contextlib import contextmanager
from itertools import pairwise
from unittest.mock import patch

import numpy as np
import pandas as pd
import torch
from torch.nn import functional as F

from mirdl import paths, training
from mirdl.datasets.feed import Feed

#: Devices that a table of speeds names even where nobody has measured them.
DEVICES = ("Tesla T4", "NVIDIA A100-SXM4-80GB", "NVIDIA H100 80GB HBM3")
COMMAND = "python benchmarks/gpu.py --dataset magnatagatune --save"
PARTS = ("data", "mel", "step")


class Stopwatch:
    """Times of named parts of the work on a device.

    Parameters
    ----------
    device : str or torch.device
    """

    def __init__(self, device):
        self.on_gpu = torch.device(device).type == "cuda"
        self.marks = []

    def mark(self, name):
        """Note that a part begins or ends; a GPU is not waited for."""
        moment = torch.cuda.Event(enable_timing=True) if self.on_gpu else time.perf_counter()
        if self.on_gpu:
            moment.record()
        self.marks.append((name, moment))

    @contextmanager
    def part(self, name):
        self.mark(name)
        yield
        self.mark(None)

    def speed(self, n_warm, batch_size):
        """Return clips a second and the share of each part, of the steps after the first ones.

        A step begins with "data" and ends with the next one's; what is in no part is "step". The
        last one's end was not noted, so it is left out.

        Returns
        -------
        dict
            clips_per_second, seconds_per_step, data, mel, step: the last three add up to 1.
        """
        if self.on_gpu:
            torch.cuda.synchronize()
        begins = [i for i, (name, _) in enumerate(self.marks) if name == "data"]
        marks = self.marks[begins[n_warm] : begins[-1] + 1]
        seconds = dict.fromkeys(PARTS, 0.0)
        for (name, begin), (_, end) in pairwise(marks):
            seconds[name or "step"] += self._between(begin, end)
        total, n_steps = sum(seconds.values()), len(begins) - 1 - n_warm
        speed = {"clips_per_second": n_steps * batch_size / total}
        speed["seconds_per_step"] = total / n_steps
        return speed | {name: value / total for name, value in seconds.items()}

    def _between(self, begin, end):
        return begin.elapsed_time(end) / 1000 if self.on_gpu else end - begin


def fit_speed(model, train, valid, batch_size=16, n_steps=20, n_warm=5, device=None, **options):
    """Measure training as `mirdl.training.fit` does it.

    Parameters
    ----------
    model : Tagger
        It is trained a little.
    train, valid : Dataset
        Of the second, one clip is enough: it is heard once, after what is measured.
    batch_size, n_steps, n_warm : int
        Steps that are measured, and steps before them.
    device : {None, "cpu"}
    **options
        Of `fit`: ``precision``, ``compile``, …

    Returns
    -------
    dict
        See `Stopwatch.speed`.
    """
    watch = Stopwatch("cuda" if device is None and torch.cuda.is_available() else "cpu")

    class TimedFeed(Feed):
        def batches(self, first, last):
            batches = super().batches(first, last)
            for _ in range(first, last):
                with watch.part("data"):
                    batch = next(batches)
                yield batch

    def timed(function):
        def call(audio):
            with watch.part("mel"):
                return function(audio)

        return call

    if model.front_end is not None:
        model.front_end.forward = timed(model.front_end.forward)  # until the end of `fit`
    n_steps, batch_size = n_warm + n_steps + 1, min(batch_size, len(train))
    length = {"n_steps": n_steps, "steps_per_epoch": n_steps, "batch_size": batch_size}
    with patch.object(training, "Feed", TimedFeed):
        training.fit(model, train, valid, **length, device=device, progress=False, **options)
    return watch.speed(n_warm, batch_size)


class Files(torch.utils.data.Dataset):
    """Clips as one writes them first: to each item its file, decoded, and a random crop of it."""

    def __init__(self, dataset, n_samples):
        self.dataset, self.n_samples = dataset, n_samples

    def __len__(self):
        return len(self.dataset)

    def __getitem__(self, i):
        audio = self.dataset.waveform(i)
        start = np.random.default_rng().integers(max(len(audio) - self.n_samples, 0) + 1)
        crop = torch.from_numpy(audio[start : start + self.n_samples])
        return F.pad(crop, (0, self.n_samples - len(crop))), self.dataset.targets[i]


def plain_speed(
    network, dataset, n_samples, batch_size=16, n_steps=20, n_warm=5, device=None, n_workers=0
):
    """Measure the loop that one writes first: files decoded by a DataLoader, Adam, no tricks.

    Parameters
    ----------
    network : nn.Module
        From audio to logits.
    dataset : Dataset
        Multi-label.
    n_samples : int
        Length of the crops.
    batch_size, n_steps, n_warm : int
        As of `fit_speed`. Workers are ahead when the first steps end; what they have done by then
        is not counted if the first steps use it up.
    device : {None, "cpu"}
    n_workers : int
        Processes that decode.

    Returns
    -------
    dict
        See `Stopwatch.speed`; the spectrogram is part of "step".
    """
    device = "cuda" if device is None and torch.cuda.is_available() else "cpu"
    batch_size = min(batch_size, len(dataset))
    loader = torch.utils.data.DataLoader(
        *(Files(dataset, n_samples), batch_size),
        shuffle=True,
        drop_last=True,
        num_workers=n_workers,
        persistent_workers=n_workers > 0,
    )
    network.to(device).train()
    optimizer = torch.optim.Adam(network.parameters())
    watch, total = Stopwatch(device), 0.0
    batches = (batch for _ in iter(int, 1) for batch in loader)  # lap after lap
    for _ in range(n_warm + n_steps + 1):
        with watch.part("data"):
            audio, targets = (each.to(device) for each in next(batches))
        loss = F.binary_cross_entropy_with_logits(network(audio), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item()
    return watch.speed(n_warm, batch_size)


def gpu_speeds():
    """Return what benchmarks/gpu.py measured, a row for each device, network and system.

    Returns
    -------
    pandas.DataFrame
        device, network, batch, system, clips_per_second, ratio (to the plain loop), data, mel,
        step. A device of `DEVICES` that nobody measured has one row, "not measured", and under
        "network" the command that would measure it.
    """
    rows, folder = [], paths.results_folder() / "benchmarks"
    for device in DEVICES:
        if not (folder / file_name(device)).is_file():
            rows.append({"device": device, "network": COMMAND, "system": "not measured"})
    for path in sorted(folder.glob("gpu-*.json")):
        record = json.loads(path.read_text())
        rows += [{"device": record["device"], **row} for row in record["rows"]]
    return pd.DataFrame(rows)


def file_name(device):
    """Return the name of the results of a device: ``gpu-nvidia-h100-80gb-hbm3.json``."""
    return f"gpu-{re.sub('[^a-z0-9]+', '-', device.lower()).strip('-')}.json"
