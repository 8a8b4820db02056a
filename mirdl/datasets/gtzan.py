"""GTZAN: 1,000 excerpts of 30 s in ten genres; the most used set of the field, and a faulty one.

Tzanetakis and Cook, "Musical genre classification of audio signals", IEEE Transactions on Speech
and Audio Processing 10(5), 2002. Sturm ("The GTZAN dataset: its contents, its faults", 2013) found
repetitions, wrong labels and artists throughout a genre. The fault-filtered split of Kereliuk,
Sturm and Larsen ("Deep learning and music adversaries", 2015) leaves out repetitions and keeps
artists apart: 443 / 197 / 290 excerpts. Scores on random splits are far too good.
"""

import ast
import importlib.util
import re
from pathlib import Path

import numpy as np
import pandas as pd

from mirdl.datasets import download, splits
from mirdl.datasets.base import SPLITS, Dataset, choose, class_numbers, home
from mirdl.errors import DataError

GENRES = "blues classical country disco hiphop jazz metal pop reggae rock".split()  # noqa: SIM905
SOURCE = "https://huggingface.co/datasets/marsyas/gtzan/resolve/main/data/genres.tar.gz"
EXCERPT = re.compile(rf"({'|'.join(GENRES)})\.\d{{5}}")


def load(target="genre", unit="clip", split="filtered", sample_rate=16000, root=None, seed=0):
    """Load GTZAN.

    Parameters
    ----------
    target : {"genre"}
    unit : {"clip"}
    split : {"filtered", "random"}
        The fault-filtered split (930 excerpts), or all excerpts at random.
    sample_rate : int
        The files have 22,050 Hz.
    root : path-like, optional
        Any folder with files such as ``blues.00000.wav`` at any depth (``genres/blues/``, Kaggle's
        ``genres_original/blues/``, …). Default: ``datasets/gtzan`` in the cache folder.
    seed : int
        Of the random split.

    Raises
    ------
    DataError
        No excerpts there, some of the split's are missing, or its lists cannot be found.

    Notes
    -----
    GTZAN has no table of artists: ``artist`` holds the excerpt itself, so that an interval over
    artists is one over excerpts.
    """
    name = "gtzan"
    choose(name, "target", target, ("genre", "tags"))
    choose(name, "unit", unit, ("clip",))
    choose(name, "split", split, ("filtered", "random"))
    folder = home(name, root)
    files = {}
    for path in sorted(folder.rglob("*.0*")):
        match = EXCERPT.match(path.name)
        if match and path.suffix.lower() in (".wav", ".au", ".mp3", ".flac", ".ogg"):
            files[match.group()] = str(path.resolve())
    if not files:
        raise DataError(
            folder,
            "no files such as blues.00000.wav; `mirdl data get gtzan`, or put a copy here",
        )
    clips = pd.DataFrame({"clip_id": list(files), "path": list(files.values())})
    clips = clips.assign(start=0.0, end=np.nan, artist=clips["clip_id"])
    if split == "random":
        clips["split"] = splits.at_random(clips, seed, splits.FRACTIONS)
    else:
        split_of = filtered(folder)
        missing = sorted(split_of.keys() - files.keys())
        if missing:
            raise DataError(folder, f"{len(missing)} excerpts are missing, first {missing[0]}")
        clips["split"] = clips["clip_id"].map(split_of)
        clips = clips[clips["split"].notna()]
    targets, tags = class_numbers(clips["clip_id"].str.split(".").str[0], GENRES)
    return Dataset(name, clips, tags, targets, "multiclass", sample_rate)


def filtered(folder=None):
    """Return the fault-filtered split: a dict from excerpt ("blues.00029") to split.

    It comes from ``train_filtered.txt``, ``valid_filtered.txt`` and ``test_filtered.txt`` in the
    folder, one excerpt a line, where they are; else from torchaudio, whose GTZAN class carries the
    lists. torchaudio is read, not imported: it need not be in working order.

    Raises
    ------
    DataError
        Neither has them.
    """
    lists = {}
    for split in SPLITS:
        path = Path(folder or "") / f"{split}_filtered.txt"
        if path.is_file():
            lists[split] = path.read_text().splitlines()
    if len(lists) < len(SPLITS):
        lists = _from_torchaudio()
    if lists is None:
        raise DataError(
            Path(folder or "") / "train_filtered.txt",
            "the fault-filtered lists are neither here nor in torchaudio; put the three lists "
            "(train, valid, test) of Kereliuk et al. 2015 into this folder",
        )
    return {
        EXCERPT.search(line).group(): split for split in SPLITS for line in lists[split] if line
    }


def get(root=None, progress=True):
    """Download GTZAN (1.2 GB) from where its authors keep it now, and unpack it.

    mirdata knows only the first address, which has not answered for years.
    """
    folder = home("gtzan", root)
    archive = download.fetch(
        [SOURCE], folder / "genres.tar.gz", n_bytes=1_230_000_000, progress=progress
    )
    download.unpack(archive, folder, progress=progress)
    return folder


def _from_torchaudio():
    spec = importlib.util.find_spec("torchaudio")
    if spec is None:
        return None
    path = Path(spec.submodule_search_locations[0]) / "datasets" / "gtzan.py"
    if not path.is_file():
        return None
    lists = {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.Assign) and node.targets[0].id.startswith("filtered_")
    }
    wanted = {split: lists.get(f"filtered_{split}") for split in SPLITS}
    return wanted if all(wanted.values()) else None
