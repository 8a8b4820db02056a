"""A small copy of MagnaTagATune in its original layout, made in a second: 24 tones of 2 s."""

import csv
from pathlib import Path

import numpy as np

from mirdl import audio
from mirdl.compose.rehearsal import rehearse

N_CLIPS, SECONDS, RATE = 24, 2.0, 16_000
TAGS = ["guitar", "piano", "drums", "slow"]  # by pitch and loudness, to be learnt


def tracks(folder, n_tracks=N_CLIPS):
    """Write a set in the layout of data/minitag, three tones of 2 s by an artist."""
    folder = Path(folder)
    (folder / "audio").mkdir(parents=True)
    time = np.arange(round(SECONDS * RATE)) / RATE
    rng, rows = np.random.default_rng(0), []
    for i in range(n_tracks):
        sounding = [k for k in range(4) if rng.random() < 0.5]
        waves = [0.2 * np.sin(2 * np.pi * 220 * 3**k * time) for k in sounding]
        path = f"audio/{i:04d}.ogg"
        audio.write(folder / path, np.sum(waves, axis=0) + 0.01 * rng.standard_normal(len(time)),
                    RATE)  # fmt: skip
        row = {"artist": f"a{i // 3 + 1:03d}", "style": "folk", "key": "C# minor", "path": path}
        rows.append(row | {"programs": "", "tags": "|".join(TAGS[k] for k in sounding)})
    with open(folder / "tracks.csv", "w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, list(rows[0]))
        table.writeheader()
        table.writerows(rows)
    return folder


def copy(folder, n_clips=N_CLIPS):
    """Write archive parts, tables and checksums; return the folder, a ``--source``."""
    return rehearse(
        folder, n_clips, source=tracks(Path(folder) / "music", n_clips), workers=1, progress=False
    )
