"""Emotify: 400 excerpts of a minute from the Magnatune catalogue, four genres, nine emotions.

Aljanaki, Wiering, Veltkamp, "Studying emotion induced by music through a crowdsourcing game",
Information Processing & Management 52(1), 2016. Listeners picked up to three of nine emotions of
the Geneva Emotional Music Scales that the music made them feel.
"""

import zipfile

import numpy as np
import soundfile

from mirdl.datasets import download, splits
from mirdl.datasets.base import Dataset, choose, class_numbers, home, read_table
from mirdl.errors import DataError
from mirdl.paths import shared_folder

SOURCE = "http://www2.projects.science.uu.nl/memotion/emotifydata"
EMOTIONS = [
    *("amazement", "solemnity", "tenderness", "nostalgia", "calmness"),
    *("power", "joyful_activation", "tension", "sadness"),
]
TARGETS = ("genre", "emotions", "emotion_fractions", "mtt_tags")


def load(
    target="genre",
    unit="clip",
    split="artist",
    sample_rate=16000,
    root=None,
    threshold=0.25,
    n_folds=5,
    fold=0,
    seed=0,
):
    """Load Emotify, as downloaded or as the 300 mono Ogg files of a prepared subset.

    Two layouts are read. The original: ``data.csv``, one row a listener and track, beside
    ``emotifymusic/<genre>/<1..100>.mp3``. The prepared one: ``tracks.csv``, one row a track with
    artist and fractions, beside the audio that it names, and ``mtt_tags.csv``.

    The original has no table of artists; they are read from the ID3 tags of its MP3 files. A file
    without one counts as an artist of its own, and the column ``artist_known`` is False there.

    Parameters
    ----------
    target : str
        "genre" (multiclass, 4); "emotions" (multilabel, 9: those that at least ``threshold`` of a
        track's listeners felt); "emotion_fractions" (regression, 9); "mtt_tags" or "tags"
        (multilabel, 20 tags that at least half of the song's clips in MagnaTagATune carry, for the
        tracks that it holds; weak, since they come from other parts of the song).
    unit : {"clip"}
        A clip is a track.
    split : {"artist", "random"}
        Folds that keep artists together, or the same numbers of tracks at random.
    sample_rate : int
    root : path-like, optional
        By default ``$MIRDL_SHARED/emotify`` or ``../shared/emotify`` where there is one, else
        ``datasets/emotify`` in the cache folder, where ``mirdl data get emotify`` puts it.
    threshold : float
    n_folds, fold : int
        Fold ``fold`` of ``n_folds`` is the test set, the next one the validation set.
    seed : int
        Of the folds.

    Raises
    ------
    DataError
        Where the data set is absent (the message says where to get it), or not as it should be.
    """
    name = "emotify"
    target = "mtt_tags" if target == "tags" else choose(name, "target", target, TARGETS)
    choose(name, "unit", unit, ("clip",))
    choose(name, "split", split, ("artist", "random"))
    folder = find(root)
    clips = _prepared(folder) if (folder / "tracks.csv").is_file() else _original(folder)
    clips = clips.assign(clip_id=clips["track_id"].astype(str), start=0.0, end=np.nan)
    # folds are dealt once, by genre, so that every target is tested on the same artists
    folds = splits.artist_folds(clips, clips["genre"], n_folds, seed)
    clips["split"] = splits.from_folds(folds, fold, n_folds)
    if split == "random":
        clips["split"] = splits.at_random(clips, seed)

    if target == "genre":
        targets, tags = class_numbers(clips["genre"])
        return Dataset(name, clips, tags, targets, "multiclass", sample_rate)
    if target == "mtt_tags":
        return _with_mtt_tags(name, clips, folder, sample_rate)
    fractions = clips[EMOTIONS].to_numpy(dtype=np.float32)
    if target == "emotion_fractions":
        return Dataset(name, clips, EMOTIONS, fractions, "regression", sample_rate)
    felt = (fractions >= threshold).astype(np.float32)
    return Dataset(name, clips, EMOTIONS, felt, "multilabel", sample_rate)


def find(root=None):
    """Return the folder that holds Emotify, in either layout.

    Raises
    ------
    DataError
        Where there is none; names where to get it.
    """
    shared = shared_folder()
    candidates = [home("emotify", root)]
    if root is None and shared is not None:
        candidates.insert(0, shared / "emotify")
    for folder in candidates:
        if (folder / "tracks.csv").is_file() or (folder / "data.csv").is_file():
            return folder
    raise DataError(
        candidates[-1],
        f"Emotify is not here (data.csv and emotifymusic/); `mirdl data get emotify`, or {SOURCE}",
    )


def get(root=None, progress=True):
    """Download the original data set (363 MB of MP3) and unpack it; goes on where it stopped."""
    folder = home("emotify", root)
    download.fetch(
        [f"{SOURCE}/data.csv"], folder / "data.csv", n_bytes=1_000_000, progress=progress
    )
    archive = folder / "emotifymusic.zip"
    if not (folder / "emotifymusic" / "rock" / "100.mp3").is_file():
        download.fetch(
            [f"{SOURCE}/{archive.name}"], archive, n_bytes=363_000_000, progress=progress
        )
        into = folder if _has_folder(archive, "emotifymusic") else folder / "emotifymusic"
        download.unzip(archive, into, progress)
    return folder


def _prepared(folder):
    """Read the layout with one row a track."""
    columns = ["track_id", "audio", "genre", "artist", *EMOTIONS]
    tracks = read_table(folder / "tracks.csv", columns)
    paths = [str((folder / audio).resolve()) for audio in tracks["audio"]]
    return tracks.assign(path=paths, artist_known=tracks["artist"].notna())


def _original(folder):
    """Read the layout with one row a listener, and the artists from the files' ID3 tags."""
    votes = read_table(folder / "data.csv")
    votes.columns = [name.strip().replace(" ", "_") for name in votes.columns]
    missing = [name for name in ("track_id", "genre", *EMOTIONS) if name not in votes]
    if missing:
        raise DataError(folder / "data.csv", f"missing column {', '.join(missing)}")
    votes["genre"] = votes["genre"].str.strip()
    by_track = votes.groupby("track_id")
    tracks = (
        by_track[EMOTIONS].mean().assign(genre=by_track["genre"].first(), listeners=by_track.size())
    )
    tracks = tracks.reset_index()
    # ids run from 1 to 400 over the genres, files from 1 to 100 within each
    numbers = (tracks["track_id"] - 1) % 100 + 1
    music = folder.resolve() / "emotifymusic"
    tracks["path"] = [
        str(music / genre / f"{number}.mp3")
        for genre, number in zip(tracks["genre"], numbers, strict=True)
    ]
    artists = [_artist(path) for path in tracks["path"]]
    tracks["artist_known"] = [artist != "" for artist in artists]
    tracks["artist"] = [
        artist or f"unknown {track}"
        for artist, track in zip(artists, tracks["track_id"], strict=True)
    ]
    return tracks


def _artist(path):
    """Return the artist in a file's ID3 tag; "" where there is none or the file is unreadable."""
    try:
        with soundfile.SoundFile(path) as file:
            return file.copy_metadata().get("artist", "").strip()
    except (soundfile.LibsndfileError, OSError):
        return ""


def _with_mtt_tags(name, clips, folder, sample_rate):
    """Keep the tracks that MagnaTagATune holds and has labels for, with its tags as targets."""
    path = folder / "mtt_tags.csv"
    if not path.is_file():
        raise DataError(
            path, "this table is part of the prepared layout only; choose another target"
        )
    table = read_table(path, ["track_id", "n_mtt_clips", "n_labelled"]).set_index("track_id")
    table = table[table["n_labelled"] > 0]
    clips = clips[clips["track_id"].isin(table.index)]
    counts = ["n_mtt_clips", "n_labelled"]
    fractions = table.drop(columns=counts).loc[clips["track_id"]]
    targets = (fractions.to_numpy() >= 0.5).astype(np.float32)
    return Dataset(name, clips, list(fractions.columns), targets, "multilabel", sample_rate)


def _has_folder(archive, name):
    with zipfile.ZipFile(archive) as file:
        return file.namelist()[0].startswith(f"{name}/")
