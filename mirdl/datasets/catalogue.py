"""Which data sets there are, and the functions behind ``mirdl data list|get|check``."""

import importlib
import inspect
from typing import NamedTuple

import pandas as pd
from tqdm.contrib.concurrent import thread_map

from mirdl import paths
from mirdl.datasets.base import choose, home
from mirdl.errors import AudioError, DataError


class Entry(NamedTuple):
    """What the list of data sets says about one."""

    module: str
    description: str
    licence: str
    gigabytes: float


NON_COMMERCIAL = "CC BY-NC-SA"
CATALOGUE = {
    "minitag": Entry("minitag", "embedded: rendered music, 26 tags and its scores", "CC0", 0.04),
    "folder": Entry("folder", "your own audio, with a CSV or a subfolder a class", "yours", 0),
    "magnatagatune": Entry(
        "magnatagatune", "25,863 clips of 29 s, 188 tags by listeners", NON_COMMERCIAL, 2.97
    ),
    "emotify": Entry(
        "emotify", "400 excerpts of 1 min, 4 genres, 9 felt emotions", NON_COMMERCIAL, 0.36
    ),
    "gtzan": Entry("gtzan", "1,000 excerpts of 30 s, 10 genres; faulty", "none given", 1.2),
    "ballroom": Entry("external", "698 excerpts of 30 s, 10 dances", NON_COMMERCIAL, 0),
    "irmas": Entry("external", "9,579 excerpts, 11 instruments", NON_COMMERCIAL, 0),
    "medley_solos_db": Entry("external", "21,571 clips of 3 s, 8 instruments", "CC BY", 7.9),
    "tinysol": Entry("external", "2,913 notes, 14 instruments", "CC BY", 0),
    "urbansound8k": Entry("external", "8,732 city sounds, 10 classes", "CC BY-NC", 6.0),
}


def available():
    """Return the names of all data sets."""
    return list(CATALOGUE)


def catalogue():
    """Return a table of all data sets: what they are, licence, size, whether and where they are.

    Returns
    -------
    pandas.DataFrame
        Index ``name``; columns ``description``, ``licence``, ``gigabytes`` (of the download; 0
        where there is none, or no size is known), ``present``, ``folder`` (where ``load`` looks;
        empty for your own).
    """
    rows = {}
    for name, entry in CATALOGUE.items():
        folder = _folder(name)
        present = folder is not None and folder.is_dir() and any(folder.iterdir())
        rows[name] = [*entry[1:], present, "" if folder is None else str(folder)]
    columns = ["description", "licence", "gigabytes", "present", "folder"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns).rename_axis("name")


def load(name, target=None, unit=None, split=None, sample_rate=16000, root=None, **options):
    """Load a data set by name.

    Parameters
    ----------
    name : str
        One of ``available()``.
    target : str, optional
        What to predict; by default tags, or what the set is known for. The set's own ``load``
        (``mirdl.datasets.<name>.load``) lists its targets.
    unit : str, optional
        "clip", or for minitag also "track".
    split : str, optional
        "artist", "random", or one of the set's own; by default the official one, else by artist.
    sample_rate : int
        In Hz, of the waveforms.
    root : path-like, optional
        Its folder; by default where ``catalogue()`` says.
    **options
        Of the set's own ``load``.

    Returns
    -------
    Dataset

    Raises
    ------
    DataError
        The name or an option is unknown, or the data are absent or not as they should be.

    Examples
    --------
    >>> dataset = load("minitag", target="dance")  # doctest: +SKIP
    >>> dataset.subset("train").waveform(0).shape  # doctest: +SKIP
    (160000,)
    """
    module = _module(name)
    given = {"target": target, "unit": unit, "split": split, "root": root}
    options |= {key: value for key, value in given.items() if value is not None}
    if CATALOGUE[name].module == "external":
        options["name"] = name
    for option in options:
        choose(name, "option", option, list(inspect.signature(module.load).parameters))
    return module.load(sample_rate=sample_rate, **options)


def get(name, root=None, progress=True, **options):
    """Download a data set and unpack it; interrupted and called again, it goes on where it was.

    Parameters
    ----------
    name : str
    root : path-like, optional
        By default where ``catalogue()`` says.
    progress : bool
        Show bars.
    **options
        Of the set's own ``get``: magnatagatune has ``source``, a mirror of one's own.

    Returns
    -------
    pathlib.Path
        Its folder.

    Raises
    ------
    DataError
        There is nothing to download, the source is gone, a size or hash is wrong, or the disk is
        too full.
    """
    module = _module(name)
    if not hasattr(module, "get"):
        raise DataError(name, f"nothing to download: {CATALOGUE[name].description}")
    for option in options:
        choose(name, "option of get", option, list(inspect.signature(module.get).parameters))
    if CATALOGUE[name].module == "external":
        options["name"] = name
    return module.get(root=root, progress=progress, **options)


def check(dataset, progress=True, **options):
    """Decode every file of a data set and report those that cannot be used.

    Parameters
    ----------
    dataset : Dataset or str
        A data set, or its name; ``options`` then go to ``load``.
    progress : bool
        Show a bar.

    Returns
    -------
    pandas.DataFrame
        ``path``, ``kind`` and ``reason`` of each bad file: missing, empty (0 bytes), unreadable,
        truncated, NaN, silent, or too short for the clips cut from it (or for what a clip of the
        set lasts; 1 s where that is not said); and of tables that differ from what was published,
        where the data set can tell. No rows where all is well.
    """
    from mirdl import audio

    if isinstance(dataset, str):
        dataset = load(dataset, **options)
    module = _module(dataset.name) if dataset.name in CATALOGUE else None
    tables = module.verify(dataset) if hasattr(module, "verify") else []
    least = getattr(module, "SECONDS", 1.0)
    needed = dataset.clips.groupby("path")["end"].max().fillna(least) - audio.TOLERANCE

    def reason(path):
        try:
            waveform = audio.load(path, dataset.sample_rate)
            audio.check(waveform, path, needed[path], dataset.sample_rate)
        except AudioError as error:
            return error.reason

    reasons = thread_map(reason, needed.index, disable=not progress, desc=dataset.name, unit="file")
    rows = [(path, "table", why) for path, why in tables]
    found = zip(needed.index, reasons, strict=True)
    rows += [(path, why.split(":")[0], why) for path, why in found if why]
    return pd.DataFrame(rows, columns=["path", "kind", "reason"])


def _module(name):
    choose("data sets", "data set", name, available())
    return importlib.import_module(f"mirdl.datasets.{CATALOGUE[name].module}")


def _folder(name):
    """Return where a data set is looked for, None where that is for the reader to say."""
    if name == "folder":
        return None
    try:
        if name == "minitag":
            return paths.data_folder() / name
        return _module(name).find() if name == "emotify" else home(name)
    except DataError:
        return home(name)
