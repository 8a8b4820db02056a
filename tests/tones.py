"""A tiny data set that is learnt in a second: sine tones in noise."""

from pathlib import Path

import numpy as np
import pandas as pd
import soundfile

from mirdl.datasets.base import Dataset

SECONDS, RATE, PITCHES = 1.5, 16_000, (220.0, 880.0, 3520.0)


def tones(folder, task="multilabel", n_clips=24):
    """Make clips of up to three sine tones in noise; the tags say which tones sound."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    sounding = rng.integers(0, 2, (n_clips, 3)).astype(np.float32)
    if task == "multiclass":
        sounding = np.eye(3, dtype=np.float32)[np.arange(n_clips) % 3]
    seconds = np.arange(round(SECONDS * RATE)) / RATE
    rows = []
    for i, on in enumerate(sounding):
        waves = [a * np.sin(2 * np.pi * f * seconds) for a, f in zip(on, PITCHES, strict=True)]
        noise = 0.01 * rng.standard_normal(len(seconds))
        path = folder / f"{i}.wav"
        if not path.exists():
            soundfile.write(path, 0.2 * np.sum(waves, axis=0) + noise, RATE)
        split = "train" if i < 2 * n_clips // 3 else "valid"
        rows.append((str(i), str(path), 0.0, np.nan, split, f"artist {i // 2}"))
    clips = pd.DataFrame(rows, columns=["clip_id", "path", "start", "end", "split", "artist"])
    targets = sounding.argmax(axis=1) if task == "multiclass" else sounding
    return Dataset("tones", clips, ["low", "middle", "high"], targets, task, RATE)
