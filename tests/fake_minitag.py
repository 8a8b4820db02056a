"""A tiny data set in the layout of data/minitag, made with numpy in a tenth of a second."""

import gzip
import json

import numpy as np
import pandas as pd

from mirdl import audio

N_TRACKS, SECONDS, RATE = 10, 6, 16000
TAGS = ["piano", "drums", "fast", "weird"]
STEMS = ["lead", "accompaniment", "bass", "drums"]
ARTISTS = ["ann", "ann", "ann", "ann", "bob", "bob", "cid", "cid", "dot", "eve"]
SPLIT_OF = {"ann": "train", "bob": "train", "cid": "valid", "dot": "test", "eve": "test"}
DANCES = ["tango", "", "samba", "tango", "", "samba", "tango", "samba", "tango", ""]


def make(folder):
    """Write 10 tracks of 6 s by 5 artists, each also as three clips of 2 s; return the folder."""
    (folder / "audio").mkdir(parents=True)
    rng = np.random.default_rng(0)
    (folder / "stems").mkdir()
    tracks, clips, annotations, stems = [], [], [], []
    for i in range(N_TRACKS):
        track_id, pitch = f"{i + 1:04d}", 60 + i
        time = np.arange(SECONDS * RATE) / RATE
        tone = 0.3 * np.sin(2 * np.pi * 440 * 2 ** ((pitch - 69) / 12) * time)
        path = f"audio/{track_id}.ogg"
        audio.write(folder / path, tone + 0.01 * rng.standard_normal(len(time)), RATE)
        tags = [tag for k, tag in enumerate(TAGS) if (i + k) % 3 == 0]
        tracks.append(
            {
                "track_id": track_id,
                "path": path,
                "artist": ARTISTS[i],
                "split": SPLIT_OF[ARTISTS[i]],
                "seconds": SECONDS,
                "style": "ballroom" if DANCES[i] else "ambient",
                "dance": DANCES[i],
                "lead": ["piano", "flute"][i % 2],
                "programs": f"lead=0:{72 if i % 3 else 0}|bass=0:32|drums=128:0",
                "seen_programs": i % 2 == 0,
                "tempo": 90 + 5 * i,
                "key": ["C major", "Eb minor", "A major"][i % 3],
                "mode": ["major", "aeolian", "mixolydian"][i % 3],
                "arousal": i / 10,
                "valence": 1 - i / 10,
                "tags": "|".join(tags),
            }
        )
        for k in range(3):
            clips.append(
                {
                    "clip_id": f"{track_id}-{k}",
                    "track_id": track_id,
                    "start": 2 * k,
                    "end": 2 * k + 2,
                    "tags": "|".join(tags[: 2 - (k == 2)]),
                    "seen_programs": k < 2,
                }
            )
        annotations.append(
            {
                "track_id": track_id,
                "beats": [0.5 * beat for beat in range(12)],
                "downbeats": [0.0, 2.0, 4.0],
                "chords": [[0, 3, "C:maj"], [3, 5, "Eb:min7"], [5, 6, "N"]],
                "notes": {
                    "lead": [[0.5, 1.0, pitch, 80], [2.5, 3.5, pitch + 1, 80]],
                    "bass": [[0.0, 6.0, 36, 80]],
                    "drums": [[0.25, 0.3, 38, 90]],
                },
                "lead_part": "lead",
                "sections": [[0, 6, "A"]],
            }
        )
        if SPLIT_OF[ARTISTS[i]] == "test":
            for part, share in {
                "lead": 0.5,
                "accompaniment": 0.3,
                "bass": 0.1,
                "drums": 0.1,
            }.items():
                path = f"stems/{track_id}_{part}.ogg"
                audio.write(folder / path, share * tone[2 * RATE : 4 * RATE], RATE)
                stems.append({"track_id": track_id, "start": 2.0, "part": part, "path": path})
    pd.DataFrame(stems).to_csv(folder / "stems.csv", index=False)
    pd.DataFrame(tracks).to_csv(folder / "tracks.csv", index=False)
    pd.DataFrame(clips).to_csv(folder / "clips.csv", index=False)
    (folder / "tags.txt").write_text("\n".join(TAGS) + "\n")
    with gzip.open(folder / "annotations.jsonl.gz", "wt") as file:
        file.writelines(json.dumps(track) + "\n" for track in annotations)
    return folder
