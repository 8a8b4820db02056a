"""MagnaTagATune: 25,863 clips of 29 s with 188 tags that players of TagATune agreed on.

Law, West, Mandel, Bay, Downie, "Evaluation of algorithms using games: the case of music tagging",
ISMIR 2009. Music of the Magnatune catalogue, CC BY-NC-SA.

The layout is the original one: ``annotations_final.csv`` and ``clip_info_final.csv`` (separated by
tabs) beside the folders ``0`` to ``f``, unpacked from ``mp3.zip.001`` to ``.003``.

Papers use two splits, and results are comparable within one only:

- "folder": folders 0 to b train, c validates, d to f test (18,706 / 1,825 / 5,329 clips that can be
  decoded). The folder is a hash of the album, so albums never cross; artists do: 3,284 of the
  5,329 test clips are by artists that are in the training set.
- "clean": the same without the clips that carry none of the 50 tags (15,247 / 1,529 / 4,332).
  Published training lists differ by a few clips: 15,250 with the three empty files, 15,244
  (SampleCNN, Lee et al. 2017) also without three clips that are not longer than 29.1 s.
"""

import ast
from pathlib import Path

import numpy as np
import pandas as pd

from mirdl.datasets import download, splits
from mirdl.datasets.base import Dataset, choose, home, read_table
from mirdl.errors import DataError
from mirdl.paths import shared_folder, write_atomically

MIRRORS = (
    "https://mirg.city.ac.uk/datasets/magnatagatune/",
    "http://mi.soi.city.ac.uk/datasets/magnatagatune/",
)
PARTS = {"mp3.zip.001": 1_100_000_000, "mp3.zip.002": 1_100_000_000, "mp3.zip.003": 772_769_864}
TABLES = {"annotations_final.csv": 21_500_000, "clip_info_final.csv": 8_600_000}
SECONDS = 29.1  # what a clip lasts; `mirdl data check` reports shorter ones
EMPTY = (35644, 55753, 57881)  # clip_id of the MP3 files that hold 0 bytes in the archive

#: The 50 most frequent tags, most frequent first. Another public release has camelCase names and
#: "metal" and "female voice" in each other's place: match tags by name, never by place.
TOP_50 = [
    *("guitar", "classical", "slow", "techno", "strings", "drums", "electronic", "rock", "fast"),
    *("piano", "ambient", "beat", "violin", "vocal", "synth", "female", "indian", "opera", "male"),
    *("singing", "vocals", "no vocals", "harpsichord", "loud", "quiet", "flute", "woman"),
    *("male vocal", "no vocal", "pop", "soft", "sitar", "solo", "man", "classic", "choir"),
    *("voice", "new age", "dance", "male voice", "female vocal", "beats", "harp", "cello"),
    *("no voice", "weird", "country", "metal", "female voice", "choral"),
]

#: Words that players used for one thing; the first name is kept. Our own grouping: spelling,
#: number, and plain synonyms; nothing that a listener could tell apart.
SYNONYMS = [
    "vocals|vocal|voice|voices|singing|singer",
    "no vocals|no vocal|no voice|no voices|no singing|no singer",
    "female|female vocal|female vocals|female voice|female singer|female singing|"
    "woman|women|woman singing|girl",
    "male|male vocal|male vocals|male voice|male singer|man|men|man singing",
    "choir|choral|chorus",
    "opera|operatic",
    "classical|classic|clasical",
    "electronic|electronica|electro",
    "indian|india",
    "metal|heavy metal",
    "jazz|jazzy",
    "funk|funky",
    "orchestra|orchestral",
    "chant|chanting",
    "synth|synthesizer",
    "harpsichord|harpsicord",
    "beat|beats",
    "drums|drum",
    "strings|string",
    "guitar|guitars",
    "violin|violins",
    "flute|flutes",
    "horn|horns",
    "fast|quick",
    "weird|strange",
    "space|spacey",
]


def load(
    target="tags",
    unit="clip",
    split="folder",
    sample_rate=16000,
    root=None,
    merge_synonyms=False,
    seed=0,
):
    """Load MagnaTagATune.

    Parameters
    ----------
    target : {"tags"}
        The 50 most frequent tags (multilabel), in the order of ``TOP_50``.
    unit : {"clip"}
    split : {"folder", "clean", "artist", "random"}
        The two of the literature (see the module); all clips dealt anew so that no artist is in
        two parts; or tracks at random.
    sample_rate : int
        The files have 16 kHz.
    root : path-like, optional
        Default: ``datasets/magnatagatune`` in the cache folder.
    merge_synonyms : bool
        Merge the columns of ``SYNONYMS``, then take the 50 tags that are most frequent.
    seed : int
        Of the artist and random splits.

    Raises
    ------
    DataError
        A table is missing (the message says where to get it) or lacks a tag.
    """
    name = "magnatagatune"
    choose(name, "target", target, ("tags",))
    choose(name, "unit", unit, ("clip",))
    choose(name, "split", split, ("folder", "clean", "artist", "random"))
    folder = home(name, root)
    table = _annotations(folder)
    table = table[~table["clip_id"].isin(EMPTY)].reset_index(drop=True)
    if split == "clean":
        table = table[(table[TOP_50] > 0).any(axis=1)].reset_index(drop=True)
    votes = table.drop(columns=["clip_id", "mp3_path"])
    votes = _merged(votes) if merge_synonyms else votes[TOP_50]
    clips = _clips(folder, table)
    if split == "artist":
        clips["split"] = splits.by_artist(clips, votes.to_numpy(), seed)
    elif split == "random":
        clips["split"] = splits.at_random(clips, seed, splits.FRACTIONS)
    targets = votes.to_numpy(dtype=np.float32)
    return Dataset(name, clips, list(votes.columns), targets, "multilabel", sample_rate)


def split_of(mp3_path):
    """Return the split of a clip in the folder split, from the first letter of its path."""
    digit = int(mp3_path[0], 16)
    return "train" if digit <= 0xB else "valid" if digit == 0xC else "test"


def get(root=None, progress=True, source=None):
    """Download tables and archive (3 GB), and unpack it; goes on where it stopped.

    The parts of the archive may be deleted afterwards.

    Parameters
    ----------
    root : path-like, optional
        Default: ``datasets/magnatagatune`` in the cache folder.
    progress : bool
        Show bars.
    source : str or path-like, optional
        A folder (the parts are read where they lie) or a URL with the same files, in place of
        the published mirrors; checked where ``checksums.txt`` or ``SHA256SUMS`` lies beside them.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    DataError
        A file is missing or damaged (the message names the part and says what to do; the good
        ones are kept), no source answers, or the disk is too full.
    """
    folder = home("magnatagatune", root)
    folder.mkdir(parents=True, exist_ok=True)
    done = folder / "unpacked.txt"
    if source is not None and "://" not in str(source):
        parts = _take(Path(source).expanduser(), folder, done)
    else:
        parts = _download(source, folder, done, progress)
    if parts:
        download.unzip(download.opened_parts(parts), folder, progress)
        lines = [f"{part.name} {part.stat().st_size} bytes\n" for part in parts]
        write_atomically(done, "".join(lines) + "are unpacked here and may be deleted\n")
    return folder


def _take(where, folder, done):
    """Copy the tables out of a folder; return its parts, where they are not unpacked already."""
    tables, parts = ([where / name for name in names] for names in (TABLES, PARTS))
    sizes = {part.name: part.stat().st_size for part in parts if part.is_file()}
    if _is_unpacked(done, sizes) and all((folder / table).is_file() for table in TABLES):
        return []
    hashes = download.checksums(where)
    for path in tables + parts:
        if not path.is_file():
            raise DataError(path, "missing: the source has no such file")
        download.check_hash(path, hashes.get(path.name))
    for table in tables:
        write_atomically(folder / table.name, table.read_bytes())
    return parts


def _download(source, folder, done, progress):
    """Fetch what is missing; return the parts, where they are not unpacked already."""
    mirrors, sizes, table_sizes, hashes = MIRRORS, PARTS, TABLES, {}
    if source is not None:
        mirrors = (f"{source.rstrip('/')}/",)
        hashes = download.checksums(mirrors[0])
        sizes, table_sizes = (
            {name: download.size(mirrors[0] + name) for name in names} for names in (PARTS, TABLES)
        )

    def bring(name, n_bytes, exact):
        urls, known = [mirror + name for mirror in mirrors], hashes.get(name)
        return download.fetch(urls, folder / name, known, n_bytes, exact, progress)

    for table, n_bytes in table_sizes.items():
        bring(table, n_bytes, exact=False)  # the published sizes of tables are rounded
    if _is_unpacked(done, sizes):
        return []
    missing = sum(sizes.values()) - sum(download.arrived(folder / part) for part in sizes)
    if missing:  # nothing can be unpacked yet: as much again will be needed for that
        download.need_space(folder, missing + sum(sizes.values()))
    return [bring(part, n_bytes, exact=n_bytes > 0) for part, n_bytes in sizes.items()]


def _is_unpacked(done, sizes):
    """Whether the archive of these parts is unpacked; sizes that are unknown are not compared."""
    if not done.is_file():
        return False
    lines = done.read_text().splitlines()
    return all(f"{part} {n} bytes" in lines for part, n in sizes.items() if n)


def verify(dataset, reference=None):
    """Compare the tables with the lists that papers published, where those are at hand.

    Parameters
    ----------
    dataset : Dataset
        What ``load`` gave; its folder is looked at.
    reference : path-like, optional
        A folder with ``index_mtt.tsv``, ``tags.txt``, ``val_gt_mtt.tsv`` and ``test_gt_mtt.tsv``
        (musicnn-training) and ``clean_<split>.txt`` (SampleCNN); by default
        ``$MIRDL_SHARED/magnatagatune``.

    Returns
    -------
    list of (str, str)
        A table and what differs in it; empty where all is as published, nothing is at hand, or
        no clip is one of the published ones (a rehearsal in the same layout).
    """
    shared = shared_folder()
    if reference is None and (shared is None or not (shared / "magnatagatune").is_dir()):
        return []
    reference = Path(reference or shared / "magnatagatune")
    path = Path(dataset.clips["path"].iloc[0]).parents[1] / "annotations_final.csv"
    table = _annotations(path.parent).set_index("clip_id")
    faults = []

    index = read_table(reference / "index_mtt.tsv", sep="\t", header=None, index_col=0)[1]
    if index.index.intersection(table.index.difference(EMPTY)).empty:
        return []
    moved = index.index[table["mp3_path"].reindex(index.index) != index]
    if len(moved):
        faults.append(f"{len(moved)} clips have another path than published, first {moved[0]}")
    tags = (reference / "tags.txt").read_text().splitlines()
    for part in ("val", "test"):
        file = reference / f"{part}_gt_mtt.tsv"
        truth = read_table(file, sep="\t", header=None, index_col=0)[1].map(ast.literal_eval)
        ours = table[tags].reindex(truth.index).to_numpy()
        other = truth.index[(ours != np.array(truth.tolist())).any(axis=1)]
        if len(other):
            faults.append(f"{len(other)} {part} clips have other labels, first {other[0]}")
    tagged = table[(table[TOP_50] > 0).any(axis=1) & ~table.index.isin(EMPTY)]
    for part in ("train", "valid", "test"):
        published = set((reference / f"clean_{part}.txt").read_text().split("\n")) - {""}
        ours = set(tagged["mp3_path"][tagged["mp3_path"].map(split_of) == part])
        lost, extra = sorted(published - ours), sorted(ours - published)
        if lost:
            faults.append(f"{len(lost)} clips of the clean {part} list are left out: {lost[0]}")
        # SampleCNN's list also leaves out three training clips that are not longer than 29.1 s
        if len(extra) > (3 if part == "train" else 0):
            faults.append(f"{len(extra)} clips are not on the clean {part} list: {extra[0]}")
    return [(str(path), fault) for fault in faults]


def _annotations(folder):
    """Read the table of tags: clip_id, one column of 0 and 1 a tag, mp3_path."""
    path = folder / "annotations_final.csv"
    if not path.is_file():
        raise DataError(
            path, f"no such table; `mirdl data get magnatagatune`, or by hand from {MIRRORS[0]}"
        )
    return read_table(path, ["clip_id", "mp3_path", *TOP_50], sep="\t")


def _clips(folder, table):
    """Return the table of clips.

    A file is named artist-album-number-title-start-end.mp3, in folders by album: that gives the
    230 artists, 446 albums and 5,405 tracks of the literature. The second table adds how artist
    and title are written, where it is present.
    """
    stem = table["mp3_path"].str.slice(2, -4)
    clips = pd.DataFrame(
        {
            "clip_id": table["clip_id"],
            "path": [str(folder.resolve() / path) for path in table["mp3_path"]],
            "start": 0.0,
            "end": np.nan,
            "split": table["mp3_path"].map(split_of),
            "artist": stem.str.split("-").str[0],
            "album": stem.str.split("-").str[1],
            "track_id": stem.str.rsplit("-", n=2).str[0],
        }
    )
    info = folder / "clip_info_final.csv"
    if not info.is_file():
        return clips
    names = read_table(info, ["clip_id", "artist", "title"], sep="\t", encoding_errors="replace")
    names = names.drop_duplicates("clip_id").set_index("clip_id")
    clips["artist_name"] = clips["clip_id"].map(names["artist"])
    clips["title"] = clips["clip_id"].map(names["title"])
    return clips


def _merged(votes):
    """Return the 50 most frequent tags once each synonym stands for its whole group."""
    kept = {word: group.split("|")[0] for group in SYNONYMS for word in group.split("|")}
    merged = votes.T.groupby(lambda tag: kept.get(tag, tag)).max().T
    counts = merged.sum().sort_index().sort_values(ascending=False, kind="stable")
    return merged[counts.index[:50]]
