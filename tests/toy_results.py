"""Runs and claims that take no time: scores are the truth and noise."""

import numpy as np
import pandas as pd

from mirdl import datasets
from mirdl.evaluation import score
from mirdl.experiments import plan
from mirdl.experiments.claims import Claim


def small_dataset():
    """Sixty clips by twelve artists with three tags; no audio."""
    rng = np.random.default_rng(3)
    clips = pd.DataFrame({"clip_id": np.arange(60).astype(str), "artist": np.arange(60) % 12})
    clips = clips.assign(path="none.ogg", start=0.0, end=10.0, split="test")
    targets = (rng.random((60, 3)) < 0.4).astype(np.float32)
    return datasets.Dataset("small", clips, ["a", "b", "c"], targets, "multilabel")


def guess(seed, chosen, noise=1.0):
    dataset = small_dataset()
    rng = np.random.default_rng(seed)
    return score(dataset.targets + noise * rng.normal(size=dataset.targets.shape), dataset, 200)


def guess_twice(seed, chosen):
    return {"sharp": guess(seed, chosen, 0.3), "blunt": guess(seed, chosen, 3.0)}


RUNS = [
    *(plan.Run("toy", "noisy", guess, seed, minutes=30) for seed in range(3)),
    *(plan.Run("toy", "clean", guess, s, options={"noise": 0.2}, minutes=30) for s in range(3)),
    plan.Run("pair", "both", guess_twice, 0, ("sharp", "blunt"), minutes=60),
]

CLAIMS = [
    Claim(1, "1", "Clean beats noisy", "ours", ("toy", "clean", ""), ("toy", "noisy", "")),
    Claim(1, "2", "Noisy beats clean", "ours", ("toy", "noisy", ""), ("toy", "clean", "")),
    Claim(2, "1", "Nobody has run it", "ours", ("toy", "clean", ""), ("toy", "absent", "")),
]
