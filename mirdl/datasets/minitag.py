"""The embedded data set: short pieces rendered from scores, so that everything is known.

Made by ``mirdl.compose`` (``mirdl data render``); CC0. One table serves several tasks, and because
the score is known there is frame-level truth too. See ``data/minitag/DATASHEET.md``.
"""

import gzip
import json

import numpy as np

from mirdl import audio, paths
from mirdl.datasets import splits
from mirdl.datasets.base import (
    Dataset,
    choose,
    class_numbers,
    complain,
    home,
    many_hot,
    read_table,
    split_tags,
)
from mirdl.errors import DataError

HOP = 256  # samples between the frames of the frame-level truth
PITCH_CLASSES = ["C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B"]
CHORDS = [f"{root}:{kind}" for kind in ("maj", "min") for root in PITCH_CLASSES] + ["N"]
KEYS = [f"{root} {mode}" for mode in ("major", "minor") for root in PITCH_CLASSES]
FRAME_TAGS = {
    "chroma": PITCH_CLASSES,
    "chords": CHORDS,
    "onsets": ["onset"],
    "beats": ["beat"],
    "lead_activity": ["lead"],
    "drums": ["kick", "snare", "hi-hat"],
}
DRUMS = {36: 0, 38: 1, 42: 2, 44: 2, 46: 2}  # General MIDI keys of the kit, and their columns
TARGETS = ("tags", "dance", "lead", "tempo", "key", "mood", *FRAME_TAGS)
FLATS = {"Db": "C#", "Eb": "D#", "Gb": "F#", "Ab": "G#", "Bb": "A#"}


def load(target="tags", unit="clip", split="artist", sample_rate=16000, root=None, seed=0):
    """Load the embedded data set, or a larger one of the same kind.

    Parameters
    ----------
    target : str
        "tags" (multilabel); "dance", "lead", "key" (multiclass; for "dance" only danced tracks);
        "tempo" in beats per minute and "mood" as arousal and valence (regression); or, frame by
        frame through ``Dataset.frames``: "chroma" (12 pitch classes that sound in the pitched
        parts), "chords" (one-hot over 12 major, 12 minor and no chord "N"), "onsets" (of notes in
        any part), "beats", "lead_activity" (whether a lead note sounds), "drums" (kick, snare and
        hi-hat).
    unit : {"clip", "track"}
        Clips of 10 s, three a track, or whole tracks of 30 s.
    split : {"artist", "random"}
        The official split by artist; or the same numbers of tracks at random, where artists cross.
    sample_rate : int
    root : path-like, optional
        A folder made by ``mirdl data render``; the embedded one if left out.
    seed : int
        Of the random split.

    Raises
    ------
    DataError
        Where a table is missing or does not hold what it should.
    """
    name = "minitag"
    choose(name, "target", target, TARGETS)
    choose(name, "unit", unit, ("clip", "track"))
    choose(name, "split", split, ("artist", "random"))
    folder = home(name, root) if root else paths.data_folder() / name
    clips = _clips(folder, unit)
    if split == "random":
        clips["split"] = splits.at_random(clips, seed)

    if target in FRAME_TAGS:
        truth = Score(folder / "annotations.jsonl.gz", target)
        shares = [truth.frames(clip, 16000)[1].mean(axis=0) for _, clip in clips.iterrows()]
        targets = np.array(shares, dtype=np.float32).reshape(len(clips), -1)
        task = "frame_classes" if target == "chords" else "frames"
        return Dataset(name, clips, FRAME_TAGS[target], targets, task, sample_rate, truth)
    if target == "tags":
        tags = [line for line in _lines(folder / "tags.txt") if line]
        targets = many_hot(split_tags(clips["tags"]), tags, folder / f"{unit}s.csv")
        return Dataset(name, clips, tags, targets, "multilabel", sample_rate)
    if target in ("tempo", "mood"):
        tags = ["tempo"] if target == "tempo" else ["arousal", "valence"]
        targets = clips[tags].to_numpy(dtype=np.float32)
        return Dataset(name, clips, tags, targets, "regression", sample_rate)
    if target == "key":
        keys = clips["key"].map(_sharp)
        unknown = keys.index[~keys.isin(KEYS)]
        complain(folder / "tracks.csv", [f"no key {clips['key'][i]!r}" for i in unknown])
        targets, tags = class_numbers(keys, KEYS)
    else:
        clips = clips[clips[target].notna()]
        targets, tags = class_numbers(clips[target])
    return Dataset(name, clips, tags, targets, "multiclass", sample_rate)


def stems(sample_rate=16000, root=None):
    """Load the parts of which the mix is known: 10 s of 24 test tracks.

    Parameters
    ----------
    sample_rate : int
    root : path-like, optional
        As in `load`.

    Returns
    -------
    dataset : Dataset
        The clips from which the parts were taken, with their tags.
    parts : list of dict of str to float32 array (n_samples,)
        Of each clip: "lead", "accompaniment", "bass", "drums", after equaliser and room, at a
        level at which their sum is nearest to the clip. It lacks the clip's saturation and noise.

    Raises
    ------
    DataError
        Where a table is missing or does not hold what it should.
    """
    folder = home("minitag", root) if root else paths.data_folder() / "minitag"
    table = read_table(
        folder / "stems.csv", ["track_id", "start", "part", "path"], dtype={"track_id": str}
    )
    dataset = load(sample_rate=sample_rate, root=root)
    starts = table.groupby("track_id")["start"].first()
    dataset = dataset.select(dataset.clips["track_id"].map(starts) == dataset.clips["start"])
    parts = []
    for i, clip in dataset.clips.iterrows():
        own = table[table["track_id"] == clip["track_id"]]
        seconds = clip["end"] - clip["start"]
        heard = [audio.load(folder / path, sample_rate, end=seconds) for path in own["path"]]
        n_samples = round(seconds * sample_rate)
        heard = [np.pad(x, (0, max(0, n_samples - len(x))))[:n_samples] for x in heard]
        whole, mix = dataset.waveform(i)[:n_samples], sum(heard)
        gain = np.float32((whole @ mix) / (mix @ mix))
        parts.append({part: gain * x for part, x in zip(own["part"], heard, strict=True)})
    return dataset, parts


def _lines(path):
    if not path.is_file():
        raise DataError(path, "no such list")
    return path.read_text(encoding="utf-8").splitlines()


def _clips(folder, unit):
    """Read the table of tracks, and of clips where those are asked for, as a Dataset wants them."""
    text = {"track_id": str, "clip_id": str}
    wanted = ["track_id", "path", "artist", "split", "seconds", "dance", "lead", "tags"]
    wanted += ["tempo", "key", "arousal", "valence"]
    if not (folder / "tracks.csv").is_file():
        raise DataError(folder / "tracks.csv", "no such table; `mirdl data render` makes one")
    tracks = read_table(folder / "tracks.csv", wanted, dtype=text)
    tracks["path"] = [str(folder.resolve() / path) for path in tracks["path"]]
    if unit == "track":
        return tracks.assign(clip_id=tracks["track_id"], start=0.0, end=tracks["seconds"])
    wanted = ["clip_id", "track_id", "start", "end", "tags"]
    clips = read_table(folder / "clips.csv", wanted, dtype=text)
    own = [column for column in tracks if column == "track_id" or column not in clips]
    merged = clips.merge(tracks[own], on="track_id", how="left", validate="many_to_one")
    if merged["path"].isna().any():
        lost = merged.loc[merged["path"].isna(), "clip_id"]
        raise DataError(folder / "clips.csv", f"clips of unknown tracks: {', '.join(lost[:5])}")
    return merged


def _sharp(key):
    """Write a key such as "Eb minor" with a sharp."""
    root, _, mode = key.partition(" ")
    return f"{FLATS.get(root, root)} {mode}"


class Score:
    """What is known of every track from its score, for one frame-level target.

    Parameters
    ----------
    path : path-like
        ``annotations.jsonl.gz``: one JSON object a track.
    target : str
        One of ``FRAME_TAGS``.

    Raises
    ------
    DataError
        Where the file is missing or not readable.
    """

    def __init__(self, path, target):
        self.path, self.target = path, target
        try:
            with gzip.open(path, "rt", encoding="utf-8") as file:
                tracks = [json.loads(line) for line in file]
            self.events = {track["track_id"]: _events(track, target) for track in tracks}
        except FileNotFoundError as error:
            raise DataError(path, "no such file of annotations") from error
        except (OSError, EOFError, KeyError, ValueError) as error:
            raise DataError(path, f"not readable as annotations: {error!r}") from error

    def frames(self, clip, sample_rate):
        """Return times (n_frames,) from the start of the clip in s, and labels (n_frames, k).

        Frame t is centred on sample ``256 t``; there are ``1 + n_samples // 256``, as many as a
        centred spectrogram has. A note sounds in the frames whose centres it covers; an onset or
        a beat marks the nearest frame. Labels are float32, 0 or 1.
        """
        if clip["track_id"] not in self.events:
            raise DataError(self.path, f"no annotations of track {clip['track_id']}")
        times, kinds = self.events[clip["track_id"]]
        n_samples = round((clip["end"] - clip["start"]) * sample_rate)
        n_frames = 1 + n_samples // HOP
        labels = np.zeros((n_frames, len(FRAME_TAGS[self.target])), dtype=np.float32)
        position = (times - clip["start"]) * sample_rate / HOP  # in frames
        if self.target in ("onsets", "beats"):
            nearest = np.round(position[:, 0]).astype(int)
            labels[nearest[(nearest >= 0) & (nearest < n_frames)]] = 1
        else:
            first, stop = np.clip(np.ceil(position), 0, n_frames).astype(int).T
            for begin, end, kind in zip(first, stop, kinds, strict=True):
                labels[begin:end, kind] = 1
        if self.target == "chords":
            labels[labels.sum(axis=1) == 0, CHORDS.index("N")] = 1
        return np.arange(n_frames) * HOP / sample_rate, labels


def _events(track, target):
    """Return the times (n, 2) in s of what a target marks in a track, and the column of each."""
    if target == "beats":
        times, kinds = [(beat, beat) for beat in track["beats"]], []
    elif target == "chords":
        times = [(start, end) for start, end, _ in track["chords"]]
        kinds = [chord_number(name) for _, _, name in track["chords"]]
    else:
        parts = track["notes"]
        if target == "lead_activity":
            parts = {"lead": parts[track["lead_part"]]} if track["lead_part"] else {}
        if target == "chroma":
            parts = {part: notes for part, notes in parts.items() if part != "drums"}
        notes = [note for part in parts.values() for note in part]
        if target == "drums":
            notes = [note for note in parts.get("drums", []) if note[2] in DRUMS]
        times = [(note[0], note[1]) for note in notes]
        column = {"chroma": lambda key: int(key) % 12, "drums": DRUMS.get}.get(target)
        kinds = [column(note[2]) if column else 0 for note in notes]
    return np.array(times, dtype=float).reshape(-1, 2), kinds


def chord_number(name):
    """Return the number in ``CHORDS`` of a chord written as "C:min7" or "Bb": major, minor or "N".

    Sevenths and other additions are dropped; what holds no major or minor triad (suspended,
    diminished, augmented and power chords) counts as no chord.
    """
    root, _, quality = name.partition(":")
    root = FLATS.get(root, root)
    minor = quality.startswith("min")
    major = quality.startswith("maj") or quality in ("", "6", "7", "9")
    if root not in PITCH_CLASSES or not (major or minor):
        return CHORDS.index("N")
    return PITCH_CLASSES.index(root) + 12 * minor
