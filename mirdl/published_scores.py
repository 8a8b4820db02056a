"""What papers report on MagnaTagATune, beside what a network of ours reaches (lesson 21).

The numbers stand in ``published_scores.csv``: a line a network as a paper trained it, with its
split and the overrides of `mirdl.models.build` that make it. Two numbers may be compared where
network, split and clips are the same; windows (ours follow one another), seeds and recipes differ.
"""

import ast
import inspect
import json
from pathlib import Path

import numpy as np
import pandas as pd

from mirdl import models

FILE = Path(__file__).with_name("published_scores.csv")
#: Clips of each part, without the three empty files.
SIZES = {
    "folder": {"train": 18_706, "valid": 1_825, "test": 5_329},
    "clean": {"train": 15_247, "valid": 1_529, "test": 4_332},
}
#: `Dataset.digest` of the real test part in the order of clip ids: a copy in the same layout, of
#: whatever size, has another.
TEST_DIGESTS = {"folder": "676f369febf259bd", "clean": "1482f23c7dbf180d"}


def read(network=None, split=None):
    """Read the published scores.

    Parameters
    ----------
    network : str, optional
        Only those of a network of `mirdl.models.build`.
    split : str, optional
        Only those of a split: "folder", "clean" or "own".

    Returns
    -------
    pandas.DataFrame
        Columns network, overrides (dict), source, split, roc_auc, pr_auc (NaN where the paper
        has none), note.
    """
    rows = pd.read_csv(FILE, keep_default_na=False)
    rows["overrides"] = rows["overrides"].map(_overrides)
    for metric in ("roc_auc", "pr_auc"):
        rows[metric] = pd.to_numeric(rows[metric])
    wanted = np.ones(len(rows), dtype=bool)
    for column, value in (("network", network), ("split", split)):
        if value is not None:
            wanted &= (rows[column] == value).to_numpy()
    return rows[wanted].reset_index(drop=True)


def other_data(dataset, split, part="test", n_skipped=0):
    """Say why scores on a data set cannot stand beside published ones.

    Parameters
    ----------
    dataset : Dataset
        The whole of it, as `mirdl.datasets.load` gave it.
    split : str
    part : str
        That was scored.
    n_skipped : int
        Clips of it that could not be read.

    Returns
    -------
    list of str
        Reasons; empty where it is MagnaTagATune, all of it.
    """
    if split not in SIZES:
        return [f"no paper has the {split} split"]
    reasons = [] if part == "test" else [f"scored on {part}, not on test"]
    sizes = dataset.clips["split"].value_counts()
    for name, size in SIZES[split].items():
        if sizes.get(name, 0) != size:
            reasons.append(f"{sizes.get(name, 0):,} of {size:,} {name} clips")
    if not reasons and _digest(dataset.subset("test")) != TEST_DIGESTS[split]:
        reasons.append("test clips or labels of another data set")
    if n_skipped:
        reasons.append(f"{n_skipped:,} clips could not be read")
    return reasons


def other_network(overrides, model):
    """Say where a network of ours differs from a published one of the same name.

    Parameters
    ----------
    overrides : dict
        Of the published network.
    model : Tagger
        Made by `mirdl.models.build`.

    Returns
    -------
    list of str
        Such as "width=0.1 (theirs 1)"; empty where they are the same.
    """
    parameters = inspect.signature(models.network(model.recipe["name"])).parameters
    usual = {name: parameter.default for name, parameter in parameters.items()}
    ours, theirs = (_plain({**usual, **given}) for given in (model.recipe["overrides"], overrides))
    return [
        f"{name}={value} (theirs {theirs[name]})"
        for name, value in ours.items()
        if value != theirs[name]
    ]


def beside(model, scores, split, reasons=()):
    """Return published scores of a network beside ours, as text.

    Parameters
    ----------
    model : Tagger
        Made by `mirdl.models.build`.
    scores : dict
        Ours: roc_auc and pr_auc.
    split : str
    reasons : sequence of str
        Of `other_data`.

    Returns
    -------
    str
        A line a published row: its source, its scores, and whether it is comparable.
    """
    name = model.recipe["name"]
    rows = read(name, split)
    if rows.empty:
        return f"MagnaTagATune, {split} split: nothing is published for {name}"
    lines = [("", "ROC-AUC", "PR-AUC", ""), ("ours", *_printed(scores), "")]
    for row in rows.to_dict("records"):
        different = [*reasons, *other_network(row["overrides"], model)]
        verdict = f"not comparable: {'; '.join(different)}" if different else "comparable"
        note = f" ({row['note']})" if row["note"] else ""
        lines.append((row["source"], *_printed(row), verdict + note))
    width = max(len(line[0]) for line in lines)
    table = [f"{a:<{width}} {b:>8} {c:>8}  {d}".rstrip() for a, b, c, d in lines]
    return "\n".join([f"{name} on MagnaTagATune, {split} split, published and ours:", *table])


def _overrides(text):
    """Read "key=value key=value", values as Python writes them, or plain words."""
    found = {}
    for pair in text.split():
        key, _, value = pair.partition("=")
        try:
            found[key] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            found[key] = value
    return found


def _plain(overrides):
    """Return overrides as they come back from a file of weights: lists in place of tuples."""
    return json.loads(json.dumps(overrides, default=str))


def _printed(scores):
    values = [scores["roc_auc"], scores["pr_auc"]]
    return ["–" if np.isnan(value) else f"{value:.4f}" for value in values]


def _digest(test):
    return test.select(np.argsort(test.clips["clip_id"].astype(int), kind="stable")).digest()
