"""Freeze a rendered set: its datasheet, and the hash of every file that claims will rest on."""

import hashlib
from importlib.metadata import version
from pathlib import Path

import pandas as pd
import soundfile

from mirdl.compose import synth, tags
from mirdl.compose.artists import FAMILIES
from mirdl.compose.styles import DANCES, UNDANCED
from mirdl.paths import write_atomically

FROZEN = "FROZEN.sha256"
_NOT_DATA = {FROZEN, "DATASHEET.md", "LICENSE", "settings.json"}

_TEXT = """# minitag: datasheet

{n_tracks} tracks of {seconds:g} s by {n_artists} artists, {n_clips} clips of 10 s, {n_tags}
tags: small enough to live in a repository, and hard enough that a network has something to
learn. It is the default data set of the course. Its frozen state has a name, the SHA-256 of
`{frozen_name}`, which lists every file:

`{frozen}`

## Why it was made
Real collections with tags cannot be redistributed, are large, or lose their audio. This set may
be copied freely, is rendered from rules that can be read (`mirdl/compose/`), and has labels of
several kinds that are true because the score is known. It is for learning and teaching; no
result on it replaces one on recorded music.

## What is in it
- `audio/`: 16 kHz mono Ogg Vorbis, {kbits:.0f} kbit/s on average, {megabytes:.1f} MB with stems.
- `tracks.csv`: artist, split, style, dance, lead instrument, presets, tempo (quarter notes a
  minute), meter, key, mode, arousal, valence, tags, SHA-256 of the decoded 16-bit PCM.
- `clips.csv`: three clips a track and their tags. `tags.txt`: the order of the targets.
- `annotations.jsonl.gz`: beats, downbeats, chords (Harte's syntax), sections and every note of
  every part, in seconds. Slow attacks (bowed strings, flutes, pads) reach half their level up to
  some tenths of a second after the note starts.
- `stems/`, `stems.csv`: 10 s of lead, accompaniment, bass and drums of {n_stems} test tracks,
  after equaliser and room. Up to one gain, their sum is the track before saturation, noise and
  codec.

| | train | valid | test |
|---|---|---|---|
{split_table}

## How it was made
Eleven undanced styles ({undanced})
and eight ballroom dances ({dances}),
the latter at the tempi of the Ballroom data set (samba counted in quarters), as text patterns for
drums, bass and comping; functional and modal
progressions with voice leading; melodies from motifs that are stated, repeated and closed by
cadences; forms with intros, breaks and fills, of which 30 s are cut at random. FluidSynth plays
each part with the FluidR3 General MIDI sound font (F. Wen, MIT licence); then come balance,
equaliser, a room of decaying noise, sometimes saturation, noise or hum or crackle, a loudness,
sometimes a poor MP3, and Ogg Vorbis.

An artist is a habit: presets, two lead instruments, balance, keys, register, touch, timing,
tuning, envelope, equaliser, room, noise, loudness and codec are drawn once for an artist and
stay. A track never crosses splits and neither does an artist; a random split leaks these habits.

Half of the test artists play only presets that no training or validation artist plays
(`seen_programs` is False for them), the other half only familiar ones.

## Labels
- Instruments: per clip; the instrument plays at least {least_seconds:g} s there (drums:
  {least_hits} strokes) and lies no more than {least_level:g} dB below the mix. Accompaniment
  counts as well as the lead.
- Genres: from the style, for the whole track. *dance* means one of the eight ballroom dances.
- *fast*, *slow*: from tempo and note onsets together; *loud*, *quiet*: from how the music is
  played (arousal), not from the playback level, which an artist's mastering sets at random.
- *sad*: low valence, from mode, style, pace and register. Arousal and valence are formulas over
  the score in the direction that listening studies report; nobody listened.

| tag | train clips (artists) | valid | test |
|---|---|---|---|
{tag_table}

## Sounds
FluidR3 presets as program, or bank:program; bank 128 holds the drum kits.

| family | tag | all artists | held for test artists |
|---|---|---|---|
{preset_table}

## Difficulty
It was tuned on training and validation artists only, before the freeze. Scores are not written
here by hand: they are measured by `python -m mirdl.experiments` and kept in `results/`.

## Known limits
- General MIDI samples and rules: no singing with words, no rubato beyond a few percent, no
  expression within a note, chords of four tones at most, one key a track.
- The same sampler plays everything, so a network may learn FluidR3 in place of instruments; the
  held-out presets measure a part of that. *piano* includes electric pianos, *organ* accordions,
  *sitar* koto and shamisen, *vocal* sampled choirs and a synthetic voice.
- Noise, rooms and equalisers are simple models; there is no stereo.
- A few tags rest on few artists: see the table, and the intervals of every score.
- A re-render gives identical decoded audio with the same versions of FluidSynth, libsndfile and
  soxr on the same kind of processor (made with {versions}). Ogg files carry a random serial
  number: compare `mirdl.compose.verify`'s hashes of the decoded audio, not the files.

## Licence
CC0 1.0, see LICENSE. Cite it as part of mirdl (`CITATION.cff`).
"""


def freeze(folder):
    """Write ``FROZEN.sha256`` (checked by ``sha256sum -c``) and ``DATASHEET.md`` for a set.

    Parameters
    ----------
    folder : path-like
        A set that `mirdl.compose.render` wrote.

    Returns
    -------
    str
        SHA-256 of the list: the name of this version of the set.
    """
    folder = Path(folder)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    files = [path for path in files if path.name not in _NOT_DATA and path.parent.name != "records"]
    lines = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(folder).as_posix()}\n"
        for path in files
    ]
    write_atomically(folder / FROZEN, "".join(lines))
    digest = hashlib.sha256("".join(lines).encode()).hexdigest()
    write_atomically(folder / "DATASHEET.md", _text(folder, digest, files))
    return digest


def _text(folder, digest, files):
    tracks = pd.read_csv(folder / "tracks.csv", dtype={"track_id": str}, keep_default_na=False)
    clips = pd.read_csv(folder / "clips.csv", dtype={"track_id": str}, keep_default_na=False)
    clips = clips.merge(tracks[["track_id", "artist", "split"]], on="track_id")
    names = (folder / "tags.txt").read_text().split()
    stems = (
        pd.read_csv(folder / "stems.csv", dtype=str) if (folder / "stems.csv").exists() else None
    )
    sizes = {path: path.stat().st_size for path in files}
    audio = sum(size for path, size in sizes.items() if path.parent.name == "audio")
    return _TEXT.format(
        n_tracks=len(tracks),
        seconds=tracks.seconds[0],
        n_artists=tracks.artist.nunique(),
        n_clips=len(clips),
        n_tags=len(names),
        frozen=digest,
        frozen_name=FROZEN,
        kbits=8e-3 * audio / tracks.seconds.sum(),
        megabytes=sum(sizes.values()) / 1e6,
        n_stems=0 if stems is None else stems.track_id.nunique(),
        split_table=_split_table(tracks, clips),
        undanced=", ".join(UNDANCED),
        dances=", ".join(DANCES),
        least_seconds=tags.LEAST_SECONDS,
        least_hits=tags.LEAST_HITS,
        least_level=-tags.LEAST_LEVEL,
        tag_table="\n".join(_tag_row(clips, name) for name in names),
        preset_table="\n".join(
            f"| {name} | {family.tag} | {_presets(family.seen)} | {_presets(family.held)} |"
            for name, family in FAMILIES.items()
        ),
        versions=f"FluidSynth {synth.version()}, libsndfile {soundfile.__libsndfile_version__}, "
        f"soxr {version('soxr')}",
    )


def _split_table(tracks, clips):
    def row(title, count):
        cells = (count(tracks[tracks.split == s], clips[clips.split == s]) for s in _SPLITS)
        return f"| {title} | " + " | ".join(map(str, cells)) + " |"

    return "\n".join(
        (
            row("artists", lambda track, _: track.artist.nunique()),
            row("tracks", lambda track, _: len(track)),
            row("danced tracks", lambda track, _: (track.dance != "").sum()),
            row("clips", lambda _, clip: len(clip)),
            row("clips of unseen presets", lambda _, clip: (~clip.seen_programs).sum()),
        )
    )


_SPLITS = ("train", "valid", "test")


def _tag_row(clips, name):
    carries = clips[clips.tags.str.split("|").map(lambda found: name in found)]
    cells = (carries[carries.split == split] for split in _SPLITS)
    return f"| {name} | " + " | ".join(f"{len(c)} ({c.artist.nunique()})" for c in cells) + " |"


def _presets(pairs):
    return ", ".join(f"{bank}:{program}" if bank else str(program) for bank, program in pairs)
