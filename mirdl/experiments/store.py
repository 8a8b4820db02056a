"""The results: one small JSON file per run, written atomically, never by hand.

``results/<experiment>/<system>[__<variant>]__seed<k>.json`` holds the scores, their intervals
and bootstrap replicates (rounded to 5 digits, so that verdicts need no audio), and how they came
about: command, commit, machine, versions, minutes, settings.
"""

import base64
import json
import math

import numpy as np
import pandas as pd

from mirdl import paths
from mirdl.errors import DataError
from mirdl.evaluation import over_seeds


def path_of(experiment, system, variant="", seed=0):
    """Return the file of one row."""
    middle = f"__{variant}" if variant else ""
    return paths.results_folder() / experiment / f"{system}{middle}__seed{seed}.json"


def save(evaluation, experiment, system, variant="", seed=0, **about):
    """Write one row.

    Parameters
    ----------
    evaluation : Evaluation
    experiment, system, variant : str
    seed : int
    **about
        What else to record: dataset, target, minutes, command, … (values of JSON).

    Returns
    -------
    pathlib.Path
    """
    table = evaluation.table.reset_index().rename(columns={"output": "tag"})
    row = {
        "experiment": experiment,
        "system": system,
        "variant": variant,
        "seed": seed,
        "metrics": evaluation.metrics,
        "chance": evaluation.chance,
        "interval": evaluation.interval,
        "n_clips": len(evaluation.scores),
        "n_artists": evaluation.n_artists,
        "n_left_out": evaluation.n_left_out,
        "skipped": evaluation.skipped,
        "parameters": evaluation.parameters,
        **about,
        "per_tag": table.to_dict(orient="list"),
        "resample_id": evaluation.resample_id,
        "replicates": evaluation.replicates,
    }
    lines = [f" {json.dumps(key)}: {json.dumps(_plain(value))}" for key, value in row.items()]
    path = path_of(experiment, system, variant, seed)
    paths.write_atomically(path, "{\n" + ",\n".join(lines) + "\n}\n")
    return path


def load(experiment, system=None, variant=None):
    """Return the stored rows of an experiment, sorted by system, variant and seed.

    Parameters
    ----------
    experiment : str
    system, variant : str, optional
        Only these. ``load("baselines", "knn", "dance")`` is what `mirdl.evaluation.verdict` takes
        for one side: a list with one row a seed, empty where none has been run.

    Returns
    -------
    list of dict
        As `save` wrote them; ``replicates`` are arrays, ``per_tag`` is a DataFrame.

    Raises
    ------
    DataError
        If a file is not a row of results.
    """
    rows = []
    for path in sorted((paths.results_folder() / experiment).glob("*.json")):
        try:
            row = json.loads(path.read_text(encoding="utf-8"))
            row["replicates"] = {k: np.array(v, dtype=float) for k, v in row["replicates"].items()}
            row["per_tag"] = pd.DataFrame(row["per_tag"]).set_index("tag")
        except (ValueError, KeyError, AttributeError) as error:
            raise DataError(path, f"not a row of results ({error!r}); delete and re-run") from error
        if system in (None, row["system"]) and variant in (None, row["variant"]):
            rows.append(row)
    return sorted(rows, key=lambda row: (row["system"], row["variant"], row["seed"]))


def encode(rows, dtype):
    """Return arrays as text for a column of ``per_tag``: a byte a value, scaled to its largest.

    Parameters
    ----------
    rows : array (n, n_values)
    dtype : {numpy.int8, numpy.uint8}
        The second for values that are never negative.

    Returns
    -------
    list of str
        Base64.
    """
    scaled = np.iinfo(dtype).max * rows / np.abs(rows).max(axis=1, keepdims=True)
    return [base64.b64encode(row.astype(dtype)).decode() for row in np.round(scaled)]


def decode(texts, dtype):
    """Return what `encode` wrote, float32 (n, n_values); the largest magnitude of each row is 1."""
    rows = [np.frombuffer(base64.b64decode(text), dtype) for text in texts]
    return np.stack(rows).astype(np.float32) / np.iinfo(dtype).max


def table(experiment, variant=None, metric=None, planned=None):
    """Return an experiment as a table in the order of the plan; missing rows show as missing.

    Parameters
    ----------
    experiment : str
    variant : str, optional
        Only the lines of this variant.
    metric : str, optional
        Default: the first metric of each line.
    planned : list of Run, optional
        Default: `mirdl.experiments.plan.runs`.

    Returns
    -------
    DataFrame
        Index (system, variant); columns metric, mean and deviation over seeds, low and high (mean
        ends of the 95 % intervals over artists), chance, parameters, minutes (of one core
        and one seed), and seeds: "3 of 3", or "missing".
    """
    if planned is None:
        from mirdl.experiments import plan  # the plan's functions import training and models

        planned = plan.runs()
    expected = {}
    for run in planned:
        for name in run.variants if run.experiment == experiment else ():
            expected.setdefault((run.system, name), []).append(run.seed)
    stored, lines = {}, {}
    for row in load(experiment, variant=variant):
        stored.setdefault((row["system"], row["variant"]), []).append(row)
    for (system, name), seeds in expected.items():
        if variant not in (None, name):
            continue
        rows = [row for row in stored.get((system, name), []) if row["seed"] in seeds]
        line = {"metric": metric or "", "seeds": "missing"}
        if rows:
            line["metric"] = metric or next(iter(rows[0]["metrics"]))
            line |= over_seeds(rows).loc[line["metric"]].to_dict()
            line["seeds"] = f"{len(rows)} of {len(seeds)}"
            line["parameters"] = rows[0]["parameters"]
            line["minutes"] = np.mean([row["core_minutes"] for row in rows])
        lines[system, name] = line
    columns = ["metric", "mean", "deviation", "low", "high", "chance"]
    columns += ["parameters", "minutes", "seeds"]
    frame = pd.DataFrame.from_dict(lines, orient="index", columns=columns)
    frame.index = pd.MultiIndex.from_tuples(lines, names=["system", "variant"])
    return frame.astype({"parameters": "Int64"})


def _plain(value):
    """Turn arrays to lists, numbers to 5 digits and NaN to null, all the way down."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [_plain(item) for item in value]
    if isinstance(value, (float, np.floating)):
        return round(float(value), 5) if math.isfinite(value) else None
    return value.item() if isinstance(value, np.generic) else value
