"""Render a whole set to a folder: in parallel, resumable, the same for any number of workers."""

import csv
import gzip
import hashlib
import io
import json
import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import soundfile
from tqdm import tqdm

from mirdl.compose import effects, synth, tags
from mirdl.compose.pieces import PRE_ROLL, compose
from mirdl.errors import DataError
from mirdl.paths import write_atomically

#: The seed of the embedded set.
SEED = 2026
#: Raised whenever the same seed would give other music.
VERSION = 1
#: Where libsndfile's Vorbis coder gives about 27 kbit/s at 16 kHz.
COMPRESSION = 0.84
CLIP_SECONDS = 10.0
STEMS = {
    "lead": ("lead",),
    "accompaniment": ("comp", "pad"),
    "bass": ("bass",),
    "drums": ("drums",),
}


def render(folder, n_tracks=318, seed=SEED, seconds=30.0, workers=None, n_stems=24, progress=True):
    """Compose, play and store a set; with the defaults, the very set of ``data/minitag``.

    Finished tracks are kept: a call that was interrupted, by ``kill -9`` too, goes on where it was.
    A larger set begins with the tracks of a smaller one of the same seed and length.

    Parameters
    ----------
    folder : path-like
        Receives ``audio/``, ``stems/`` and the tables; created where it is missing.
    n_tracks : int
        Three by an artist; of 53 artists 30 are for training, 8 for validation, 15 for testing.
    seed : int
    seconds : float
        Length of a track.
    workers : int, optional
        Processes; by default one a core.
    n_stems : int
        The first so many test tracks that have a lead, a bass and drums get 10 s of stems.
    progress : bool
        Show a bar.

    Raises
    ------
    MirdlError
        Without FluidSynth, its sound font or the extra ``mirdl[render]``.
    DataError
        Where the folder holds a set of other parameters.
    """
    synth.library(), synth.sound_font()
    folder = Path(folder)
    settings = {"seed": seed, "seconds": seconds, "version": VERSION}
    claim(folder, settings)
    records = folder / "records"
    missing = [k for k in range(n_tracks) if not _finished(folder, records / f"{k + 1:04d}.json")]
    work = partial(_render_track, folder=str(folder), seed=seed, seconds=seconds)
    # a fresh process each: a fork would inherit locks that other threads hold
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers or os.cpu_count(), mp_context=context) as pool:
        list(tqdm(pool.map(work, missing), total=len(missing), disable=not progress, unit="track"))
    rows = [json.loads((records / f"{k + 1:04d}.json").read_text()) for k in range(n_tracks)]
    _write_tables(folder, rows)
    _write_stems(folder, rows, n_stems, seed, seconds)


def claim(folder, settings):
    """Mark a folder as a set of these settings, or refuse one that is something else."""
    marker = folder / "settings.json"
    if marker.exists():
        found = json.loads(marker.read_text())
        if found != settings:
            raise DataError(folder, f"holds a set rendered with {found}, not {settings}")
    elif (folder / "tracks.csv").exists():
        raise DataError(folder, "holds tracks.csv but no settings.json: render into another folder")
    else:
        write_atomically(marker, json.dumps(settings) + "\n")


def _finished(folder, record):
    return record.exists() and (folder / json.loads(record.read_text())["path"]).exists()


def record_track(index, seed, seconds=30.0):
    """Compose and record one track.

    Returns
    -------
    piece : Piece
    samples : ndarray, int16
    parts : dict of str -> ndarray
        See `effects.record`.
    """
    piece = compose(index, seed, seconds)
    artist, stems = piece.artist, {}
    for part, player in piece.players.items():
        touch = (
            ()
            if part == "drums"
            else (artist.cents, artist.attack, artist.release, artist.brightness)
        )
        stems[part] = synth.play(player.notes, player.preset, seconds, PRE_ROLL, *touch)
    samples, parts = effects.record(stems, artist, seed, index)
    return piece, samples, parts


def _render_track(index, folder, seed, seconds):
    piece, samples, parts = record_track(index, seed, seconds)
    path = f"audio/{piece.track_id}.ogg"
    digest = _write_ogg(Path(folder) / path, samples)
    record = describe(piece, parts, seconds) | {"path": path, "sha256": digest}
    write_atomically(Path(folder) / "records" / f"{piece.track_id}.json", json.dumps(record))


def _write_ogg(path, samples):
    """Write Ogg Vorbis and return the SHA-256 of what a reader will decode from it."""
    file = io.BytesIO()
    soundfile.write(
        file,
        samples,
        synth.SAMPLE_RATE,
        format="OGG",
        subtype="VORBIS",
        compression_level=COMPRESSION,
    )
    write_atomically(path, file.getvalue())
    return pcm_digest(path)


def pcm_digest(path):
    """SHA-256 of the decoded audio as 16-bit little-endian samples.

    Ogg files carry a random serial number, so that two files with the same sound differ.
    """
    try:
        samples, _ = soundfile.read(path, dtype="float64")
    except soundfile.LibsndfileError as error:
        raise DataError(path, f"cannot be decoded ({error})") from error
    return hashlib.sha256(effects.to_int16(samples).astype("<i2").tobytes()).hexdigest()


def describe(piece, parts, seconds):
    """One track as plain data: its row, its clips and its annotation."""
    players = piece.players
    key = {part: f"{family.preset[0]}:{family.preset[1]}" for part, family in players.items()}
    clips = []
    for k in range(int(seconds // CLIP_SECONDS)):
        start, end = k * CLIP_SECONDS, (k + 1) * CLIP_SECONDS
        heard = tags.players_heard(piece, parts, start, end)
        clips.append(
            {
                "clip_id": f"{piece.track_id}-{k}",
                "track_id": piece.track_id,
                "start": start,
                "end": end,
                "tags": "|".join(tags.clip_tags(piece, parts, start, end)),
                "seen_programs": all(players[part].seen for part in heard),
            }
        )
    every = {tag for clip in clips for tag in clip["tags"].split("|") if tag}
    row = {
        "track_id": piece.track_id,
        "artist": piece.artist.name,
        "split": piece.artist.split,
        "seconds": seconds,
        "style": piece.style.name,
        "dance": piece.style.name if piece.style.dance else "",
        "lead": players["lead"].family.replace("distorted", "guitar"),
        "lead_program": key["lead"],
        "programs": "|".join(f"{part}={preset}" for part, preset in key.items()),
        "seen_programs": all(player.seen for player in players.values()),
        "tempo": round(piece.tempo, 2),
        "meter": piece.style.meter,
        "key": piece.key,
        "mode": piece.mode,
        "arousal": piece.arousal,
        "valence": piece.valence,
        "tags": "|".join(tags.in_order(every)),
    }
    annotation = {
        "track_id": piece.track_id,
        "beats": [round(time, 4) for time in piece.beats],
        "downbeats": [round(time, 4) for time in piece.downbeats],
        "chords": [[round(a, 4), round(b, 4), label] for a, b, label in piece.chords],
        "notes": {part: [list(note) for note in player.notes] for part, player in players.items()},
        "lead_part": "lead",
        "sections": [[round(a, 4), round(b, 4), label] for a, b, label in piece.sections],
    }
    return {"row": row, "clips": clips, "annotation": annotation}


def _write_tables(folder, records):
    rows = []
    for record in records:
        row = {"track_id": record["row"]["track_id"], "path": record["path"]}
        rows.append(row | record["row"] | {"sha256": record["sha256"]})
    _write_csv(folder / "tracks.csv", rows)
    _write_csv(folder / "clips.csv", [clip for record in records for clip in record["clips"]])
    write_atomically(
        folder / "tags.txt", "\n".join((*tags.INSTRUMENTS, *tags.GENRES, *tags.MOODS)) + "\n"
    )
    text = "".join(
        json.dumps(record["annotation"], separators=(",", ":")) + "\n" for record in records
    )
    write_atomically(folder / "annotations.jsonl.gz", gzip.compress(text.encode(), mtime=0))


def _write_csv(path, rows):
    file = io.StringIO()
    writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_atomically(path, file.getvalue())


def _write_stems(folder, records, n_stems, seed, seconds):
    """Ten seconds of separate parts for the first test tracks that have all four."""
    needed = {"lead", "comp", "bass", "drums"}
    chosen = []
    for index, record in enumerate(records):
        notes = record["annotation"]["notes"]
        full = needed <= set(notes) and all(
            sum(10 <= note[0] < 20 for note in notes[part]) >= 4 for part in needed
        )
        if record["row"]["split"] == "test" and full and len(chosen) < n_stems and seconds >= 20:
            chosen.append(index)
    rows = []
    for index in chosen:
        piece, _, parts = record_track(index, seed, seconds)
        window = slice(10 * synth.SAMPLE_RATE, 20 * synth.SAMPLE_RATE)
        cut = {
            stem: sum(parts[part][window] for part in members if part in parts)
            for stem, members in STEMS.items()
        }
        gain = min(1.0, 0.8 / max(np.max(np.abs(audio)) for audio in cut.values()))
        for stem, audio in cut.items():
            path = f"stems/{piece.track_id}_{stem}.ogg"
            _write_ogg(folder / path, effects.to_int16(gain * audio))
            rows.append({"track_id": piece.track_id, "start": 10.0, "part": stem, "path": path})
    if rows:
        _write_csv(folder / "stems.csv", rows)


def read_tracks(folder):
    """Return the rows of a set's ``tracks.csv`` as dicts of text; DataError if it is missing."""
    try:
        with open(folder / "tracks.csv", newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))
    except OSError as error:
        raise DataError(folder / "tracks.csv", "missing: not a rendered set") from error


def verify(folder):
    """Compare every decoded track with the table of a set.

    Parameters
    ----------
    folder : path-like
        A rendered set.

    Returns
    -------
    int
        Number of tracks, all of them sound.

    Raises
    ------
    DataError
        Naming the first file that is missing, cannot be decoded or sounds different.
    """
    folder = Path(folder)
    rows = read_tracks(folder)
    for row in rows:
        path = folder / row["path"]
        if not path.exists():
            raise DataError(path, "missing")
        if pcm_digest(path) != row["sha256"]:
            raise DataError(path, "sounds different from what tracks.csv says")
    return len(rows)
