"""One interface for every data set: a table of clips, their targets, their audio (lesson 02)."""

import hashlib
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mirdl.errors import DataError
from mirdl.paths import cache_folder

SPLITS = ("train", "valid", "test")
TASKS = ("multilabel", "multiclass", "regression", "frames", "frame_classes")
COLUMNS = ("clip_id", "path", "start", "end", "split", "artist")


@dataclass(eq=False)
class Dataset:
    """Clips of music and what is known about them.

    Attributes
    ----------
    name : str
    clips : pandas.DataFrame
        One row a clip, numbered from 0: ``clip_id``, ``path`` (absolute), ``start`` and ``end`` in
        seconds (``end`` is NaN where the clip runs to the end of its file), ``split`` ("train",
        "valid" or "test"), ``artist``, and what else the data set has.
    tags : list of str
        Name of each column of the targets, or of each class.
    targets : numpy.ndarray
        By task: "multilabel" float32 (n_clips, n_tags) of 0 and 1; "multiclass" int64 (n_clips,);
        "regression" float32 (n_clips, n_tags); "frames" (any labels at every frame) and
        "frame_classes" (one class at every frame) float32 (n_clips, n_tags), the share of each
        clip's frames that carry the label (``frames`` has the labels themselves).
    task : str
    sample_rate : int
        In Hz; ``waveform`` resamples to it.
    truth : object, optional
        What ``frames`` asks: ``truth.frames(clip, sample_rate)`` gives (times, labels).

    Raises
    ------
    DataError
        Where the table, the tags and the targets do not fit together.
    """

    name: str
    clips: pd.DataFrame
    tags: list[str]
    targets: np.ndarray
    task: str
    sample_rate: int = 16000
    truth: Any = field(default=None, repr=False)

    def __post_init__(self):
        self.clips = self.clips.reset_index(drop=True)
        missing = [column for column in COLUMNS if column not in self.clips]
        if missing:
            raise DataError(self.name, f"the table of clips lacks {', '.join(missing)}")
        if self.task not in TASKS:
            raise DataError(self.name, f"no task {self.task!r}; tasks are {', '.join(TASKS)}")
        n_clips, n_tags = len(self.clips), len(self.tags)
        expected = (n_clips,) if self.task == "multiclass" else (n_clips, n_tags)
        if self.targets.shape != expected:
            raise DataError(
                self.name, f"targets are {self.targets.shape}, the clips and tags ask {expected}"
            )

    def __repr__(self):
        sizes = self.clips["split"].value_counts()
        counts = " + ".join(f"{sizes.get(split, 0)} {split}" for split in SPLITS)
        return (
            f"Dataset {self.name}: {len(self)} clips ({counts}) by "
            f"{self.clips['artist'].nunique()} artists, {self.n_outputs} tags, {self.task}"
        )

    def __len__(self):
        return len(self.clips)

    @property
    def n_outputs(self):
        """Number of outputs that a model of this data set has: one per tag, class or value."""
        return len(self.tags)

    def waveform(self, i):
        """Return clip ``i`` as float32 (n_samples,) in [-1, 1], mono, at ``sample_rate``.

        Raises
        ------
        AudioError
            Where the file is missing, empty, truncated or otherwise unreadable.
        """
        from mirdl import audio

        clip = self.clips.iloc[i]
        end = None if pd.isna(clip["end"]) else clip["end"]
        return audio.load(clip["path"], self.sample_rate, clip["start"], end)

    def frames(self, i):
        """Return the frame-level truth of clip ``i``: times (n_frames,) in s, labels (n_frames, k).

        Frame t is centred on sample 256 t of the clip, as the 512/256 front ends count.

        Raises
        ------
        DataError
            Where the target has no frame-level truth.
        """
        if self.truth is None:
            raise DataError(self.name, "this target has no frame-level truth")
        return self.truth.frames(self.clips.iloc[i], self.sample_rate)

    def select(self, which):
        """Return the data set of some clips, given by index numbers or by a boolean mask."""
        which = np.asarray(which)
        which = which if which.size else which.astype(int)
        rows = np.arange(len(self))[which]
        return replace(self, clips=self.clips.iloc[rows], targets=self.targets[rows])

    def subset(self, split):
        """Return the clips of one split: "train", "valid" or "test"."""
        choose(self.name, "split", split, SPLITS)
        return self.select((self.clips["split"] == split).to_numpy())

    def digest(self):
        """Return a hash (16 hex digits) of clip ids, tags and targets: equal for the same truth."""
        text = "\n".join([*self.clips["clip_id"].astype(str), "", *self.tags])
        content = text.encode() + np.ascontiguousarray(self.targets).tobytes()
        return hashlib.sha256(content).hexdigest()[:16]


def home(name, root=None):
    """Return the folder of a data set: ``root``, else ``datasets/<name>`` in the cache folder."""
    return Path(root).expanduser() if root else cache_folder() / "datasets" / name


def choose(name, what, value, allowed):
    """Return ``value`` if it is one of ``allowed``; else raise a DataError that lists them."""
    if value not in allowed:
        raise DataError(name, f"no {what} {value!r}; choose from {', '.join(map(str, allowed))}")
    return value


def read_table(path, columns=(), **options):
    """Read a CSV with pandas, checking that it is there and has the columns that are needed.

    Raises
    ------
    DataError
        Naming the file and what is wrong with it.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(path, "no such table")
    try:
        table = pd.read_csv(path, **options)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise DataError(path, f"not a readable table: {str(error).strip()}") from error
    missing = [column for column in columns if column not in table]
    if missing:
        have = ", ".join(map(str, table.columns[:12]))
        raise DataError(path, f"missing column {', '.join(missing)} (it has: {have})")
    return table


def complain(path, problems, shown=5):
    """Raise a DataError about ``path`` if there are problems: the first few, and how many more."""
    if problems:
        more = f"; and {len(problems) - shown} more" if len(problems) > shown else ""
        raise DataError(path, "; ".join(problems[:shown]) + more)


def many_hot(lists, tags, path, first_row=2):
    """Turn lists of tags into a float32 matrix (n_clips, n_tags) of 0 and 1.

    Parameters
    ----------
    lists : iterable of list of str
    tags : list of str
        Order of the columns.
    path : path-like
        The table they came from, for the error message.
    first_row : int
        Line of the table that holds the first list.

    Raises
    ------
    DataError
        Naming the rows that carry unknown tags.
    """
    column = {tag: i for i, tag in enumerate(tags)}
    lists = list(lists)
    targets = np.zeros((len(lists), len(tags)), dtype=np.float32)
    problems = []
    for row, names in enumerate(lists):
        unknown = [name for name in names if name not in column]
        if unknown:
            problems.append(f"row {row + first_row}: unknown tag {', '.join(map(repr, unknown))}")
        else:
            targets[row, [column[name] for name in names]] = 1
    complain(path, problems)
    return targets


def class_numbers(labels, names=None):
    """Turn class names into numbers: int64 (n_clips,), and the names, sorted unless given."""
    names = sorted(set(labels)) if names is None else list(names)
    number = {name: i for i, name in enumerate(names)}
    return np.array([number[label] for label in labels], dtype=np.int64), names


def split_tags(cells, separator="|"):
    """Split cells such as "drums|piano" into lists of names; empty cells give empty lists."""
    return [
        [name.strip() for name in str(cell).split(separator) if name.strip()]
        for cell in cells.fillna("")
    ]
