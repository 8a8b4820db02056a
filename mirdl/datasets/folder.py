"""Your own audio: any folder of files, with a table or with one subfolder a class.

The table is a CSV with a column ``path`` (relative to the table, or absolute) and

- one column of class names (multiclass), or
- a column ``tags`` of names with "|" between them, or several columns of 0 and 1 (multilabel), or
- columns of numbers (regression).

It may have ``clip_id``, ``start`` and ``end`` (seconds: several clips of one file), ``artist``
(then a split that is made here keeps artists together) and ``split`` (train, valid, test).
"""

from pathlib import Path

import numpy as np
import pandas as pd

from mirdl.datasets import splits
from mirdl.datasets.base import (
    SPLITS,
    Dataset,
    choose,
    class_numbers,
    complain,
    many_hot,
    read_table,
    split_tags,
)
from mirdl.errors import DataError

SUFFIXES = (".wav", ".flac", ".ogg", ".mp3")
ABOUT_CLIPS = ("path", "clip_id", "track_id", "start", "end", "artist", "split")


def load(
    target="tags",
    unit="clip",
    split="artist",
    sample_rate=16000,
    root=None,
    tags=None,
    separator="|",
    seed=0,
):
    """Load your own audio.

    Parameters
    ----------
    target : str or list of str
        The label column, or several; "tags" means the column of that name, or where there is none
        all columns that are not about the clip itself. Text gives classes (or tags, in the column
        ``tags`` and wherever the separator occurs), columns of 0 and 1 give tags, columns of other
        numbers a regression, but a single column of whole numbers gives classes.
    unit : {"clip"}
        A clip is a row of the table.
    split : {"artist", "random"}
        How to deal clips to train, valid and test where the table has no column ``split``: by
        artist, or file by file. Without a column ``artist`` every file is its own artist; if your
        music has several files an artist, say so, or the scores will be too good.
    sample_rate : int
    root : path-like
        The CSV; or the folder, with one CSV or with one subfolder a class.
    tags : list of str, optional
        The tags or classes that are allowed, in the order of the targets; by default those that
        occur, sorted.
    separator : str
        Between the names in a cell of tags.
    seed : int
        Of a split that is made here.

    Raises
    ------
    DataError
        Naming the table, the rows and the reason: a missing column, a file that is not there, an
        unknown tag or split, an empty label, a clip that ends before it starts.

    Examples
    --------
    >>> mine = datasets.load("folder", root="my_music/labels.csv")  # doctest: +SKIP
    """
    choose("folder", "unit", unit, ("clip",))
    choose("folder", "split", split, ("artist", "random"))
    if root is None:
        raise DataError("folder", "say where your audio is: root= a folder or a CSV")
    root = Path(root).expanduser()
    path = _table(root)
    clips = _subfolders(root) if path is None else _rows(path)
    columns = _label_columns(path or root, clips, target)
    labels, names, task = _targets(path or root, clips, columns, tags, separator)
    if "split" in clips:
        wrong = clips[~clips["split"].isin(SPLITS)]
        complain(path, [f"row {i + 2}: no split {s!r}" for i, s in wrong["split"].items()])
    elif split == "artist":
        strata = labels if task != "regression" else None
        clips["split"] = splits.by_artist(clips, strata, seed)
    else:
        clips["split"] = splits.at_random(clips, seed, splits.FRACTIONS)
    name = root.stem if root.is_file() else root.resolve().name
    return Dataset(name, clips, names, labels, task, sample_rate)


def _table(root):
    """Return the CSV of a folder, None where its subfolders are the classes."""
    if root.is_file():
        return root
    if not root.is_dir():
        raise DataError(root, "no such folder or table")
    tables = sorted(root.glob("*.csv"))
    if len(tables) > 1:
        listed = ", ".join(table.name for table in tables)
        raise DataError(root, f"several tables ({listed}): give the path of one as root")
    return tables[0] if tables else None


def _subfolders(root):
    """Return one clip for every audio file in the subfolders, whose names become the classes."""
    files = sorted(
        file
        for file in root.glob("*/**/*")
        if file.suffix.lower() in SUFFIXES and not file.name.startswith(".")
    )
    if not files:
        raise DataError(root, f"neither a CSV nor subfolders with {', '.join(SUFFIXES)} files")
    parts = [file.relative_to(root) for file in files]
    return pd.DataFrame(
        {
            "clip_id": [str(part.with_suffix("")) for part in parts],
            "path": [str(file.resolve()) for file in files],
            "start": 0.0,
            "end": np.nan,
            "artist": [str(part) for part in parts],
            "class": [part.parts[0] for part in parts],
        }
    )


def _rows(path):
    """Return the clips of a table, with what it leaves out filled in."""
    text = dict.fromkeys(("path", "clip_id", "track_id", "artist", "split", "tags"), str)
    clips = read_table(path, ["path"], dtype=text, skipinitialspace=True)
    clips.columns = clips.columns.str.strip()
    if clips.empty:
        raise DataError(path, "the table has no rows")
    clips["path"] = [str((path.parent / file).resolve()) for file in clips["path"].fillna("")]
    complain(
        path,
        [
            f"row {i + 2}: no file {file}"
            for i, file in clips["path"].items()
            if not Path(file).is_file()
        ],
    )
    for column, filler in {"start": 0.0, "end": np.nan}.items():
        clips[column] = clips[column].fillna(filler) if column in clips else filler
        if not pd.api.types.is_numeric_dtype(clips[column]):
            raise DataError(path, f"column {column} holds something that is not a number")
    wrong = clips[(clips["start"] < 0) | (clips["end"] <= clips["start"])]
    complain(
        path,
        [f"row {i + 2}: no such part, {c.start} s to {c.end} s" for i, c in wrong.iterrows()],
    )
    if "clip_id" not in clips:
        clips["clip_id"] = [str(i) for i in range(len(clips))]
    if "artist" not in clips:
        clips["artist"] = clips["path"]
    clips["artist"] = clips["artist"].fillna(clips["path"])
    return clips


def _label_columns(path, clips, target):
    """Return the names of the columns that hold the labels."""
    if target == "tags" and "tags" not in clips:
        columns = [column for column in clips if column not in ABOUT_CLIPS]
        if not columns:
            raise DataError(path, "no column of labels")
        return columns
    columns = [target] if isinstance(target, str) else list(target)
    missing = [column for column in columns if column not in clips]
    if missing:
        raise DataError(path, f"missing column {', '.join(missing)}")
    return columns


def _targets(path, clips, columns, tags, separator):
    """Return targets, their names and the task, as the values of the label columns ask for."""
    values = clips[columns]
    numeric = [pd.api.types.is_numeric_dtype(values[column]) for column in columns]
    if columns == ["tags"] or (len(columns) == 1 and _has_separator(values, separator)):
        lists = split_tags(values[columns[0]], separator)
        names = tags or sorted({name for cell in lists for name in cell})
        return many_hot(lists, names, path), names, "multilabel"
    empty = values.isna().any(axis=1)
    complain(path, [f"row {i + 2}: empty label" for i in clips.index[empty]])
    if all(numeric):
        numbers = values.to_numpy(dtype=np.float32)
        if np.isin(numbers, (0, 1)).all():
            return numbers, columns, "multilabel"
        if len(columns) > 1 or pd.api.types.is_float_dtype(values[columns[0]]):
            return numbers, columns, "regression"
    if len(columns) > 1:
        raise DataError(
            path, f"columns {', '.join(columns)} are not all numbers: choose with target="
        )
    labels = values[columns[0]].astype(str)
    unknown = [] if tags is None else labels[~labels.isin(tags)]
    complain(path, [f"row {i + 2}: unknown class {label!r}" for i, label in dict(unknown).items()])
    return *class_numbers(labels, tags), "multiclass"


def _has_separator(values, separator):
    return values.iloc[:, 0].astype(str).str.contains(separator, regex=False).any()
