"""Lesson 23, the ledger: every system with its score, every claim with its verdict.

Built from the plan and `results/` alone; what has not been run shows as missing. Beside them stand
the numbers that papers print for their claims (``printed_effects.csv``), on their own music.
"""

import html
from pathlib import Path

import numpy as np
import pandas as pd

from mirdl import paths
from mirdl.evaluation import artists_needed, p_value, power
from mirdl.experiments import claims, plan, runner, store

#: In the order of a table's columns.
COLUMNS = ("dataset", "target", "split", "metric", "score", "interval", "chance")
COLUMNS += ("parameters", "minutes", "seeds")
VERDICTS = ("holds", "does not hold", "cannot be told", "missing")
#: Start of a claim's source → the paper; the first that fits.
PAPERS = {
    "thesis": "thesis",
    "tutorial": "tutorial",
    "slides": "slides",
    "dieleman": "Dieleman & Schrauwen",
    "ICASSP": "ICASSP",
    "ours, after": "ours, after a paper",
    "ours": "ours",
    "": "others",
}
PRINTED = Path(__file__).with_name("printed_effects.csv")

#: A click on a column's head sorts by it, numbers as numbers, what is missing last; another click
#: turns it round.
SORT = """
document.querySelectorAll("th").forEach(head => head.addEventListener("click", () => {
  const body = head.closest("table").tBodies[0];
  const up = head.dataset.up = head.dataset.up === "1" ? "0" : "1";
  const key = row => row.cells[head.cellIndex].textContent;
  const order = new Intl.Collator(undefined, {numeric: true}).compare;
  const turn = up === "1" ? 1 : -1;
  const compare = (a, b) => (a === "") - (b === "")
    || turn * (parseFloat(a) - parseFloat(b) || order(a, b));
  [...body.rows].sort((a, b) => compare(key(a), key(b)))
    .forEach(row => body.append(row));
}));
"""
STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; padding: 0 1rem; }
body { max-width: 100rem; }
table { border-collapse: collapse; margin: 1rem 0 3rem; }
th { cursor: pointer; text-align: left; border-bottom: 2px solid; }
td { border-bottom: 1px solid #ddd; vertical-align: top; }
th, td { padding: .25rem .6rem; }
td { max-width: 22rem; }
"""


def scores():
    """Return every system of the plan with its score, as numbers.

    Returns
    -------
    DataFrame
        Index experiment, system and variant, in the order of the lessons; columns dataset, target,
        split, and those of `mirdl.experiments.store.table` for the first metric: NaN where
        missing.
    """
    planned = plan.runs()
    about = {
        (run.experiment, run.system, name): (run.dataset, run.target, run.split)
        for run in planned
        for name in run.variants
    }
    experiments = list(dict.fromkeys(run.experiment for run in planned))
    tables = [store.table(experiment, planned=planned) for experiment in experiments]
    frame = pd.concat(tables, keys=experiments, names=["experiment"])
    where = [about[index] for index in frame.index]
    where = pd.DataFrame(where, index=frame.index, columns=["dataset", "target", "split"])
    return where.join(frame)


def systems():
    """Return every system of the plan with its score, as text.

    Returns
    -------
    DataFrame
        Index experiment, system and variant, in the order of the lessons; columns as ``COLUMNS``:
        score (the first metric, mean ± deviation over seeds), its 95 % interval over artists,
        chance, parameters, core-minutes of one seed, seeds ("3 of 3", or "missing").
    """
    frame = scores()
    rows = {index: _cells(line) for index, line in frame.iterrows()}
    table = pd.DataFrame.from_dict(rows, orient="index", columns=list(COLUMNS)).fillna("")
    table.index = frame.index
    return table


def unfinished():
    """Return what `results/` lacks.

    Returns
    -------
    DataFrame
        Index experiment, only those that lack something; columns missing and planned: runs, and
        minutes: of one core, for the missing ones.
    """
    lines = {}
    for run in plan.runs():
        line = lines.setdefault(run.experiment, {"missing": 0, "planned": 0, "minutes": 0.0})
        missing = not runner.is_finished(run)
        line["planned"] += 1
        line["missing"] += missing
        line["minutes"] += missing * run.minutes
    frame = pd.DataFrame.from_dict(
        lines, orient="index", columns=["missing", "planned", "minutes"]
    ).rename_axis("experiment")
    return frame[frame["missing"] > 0]


def paper(source):
    """Return the paper of a claim's source, a value of ``PAPERS``."""
    return next(name for start, name in PAPERS.items() if source.lower().startswith(start.lower()))


def printed():
    """Return the numbers that papers print for both sides of a claim.

    Returns
    -------
    DataFrame
        Index lesson and name; columns a, b, metric, where (table and data set), effect.
    """
    frame = pd.read_csv(PRINTED, dtype={"name": str}, index_col=["lesson", "name"])
    return frame.assign(effect=frame["a"] - frame["b"])


def verdicts():
    """Return every claim with its verdict and what the test could have told, as numbers.

    Returns
    -------
    DataFrame
        Index lesson and name; columns paper, claim, source, a, b (experiment/system/variant), kind,
        metric, margin, verdict (one of ``VERDICTS``), effect, low, high, detectable, artists,
        artists_share (of the variance), p (`p_value`), needed (`artists_needed` for the effect
        that was seen; of "equal" for none), printed (effect, where the paper prints one in this
        metric), power and needed_printed (for that effect). NaN where missing.
    """
    known, lines = printed(), {}
    for claim, found in claims.judged():
        key = (claim.lesson, claim.name)
        line = {
            "paper": paper(claim.source),
            "claim": claim.text,
            "source": claim.source,
            "a": "/".join(claim.a),
            "b": "/".join(claim.b),
            "kind": claim.kind,
            "metric": claim.metric,
            "margin": claim.margin,
            "verdict": "missing",
        }
        if found:
            equal = claim.kind == "equal"
            line |= {
                "metric": found.metric,
                "verdict": found.text,
                "effect": found.effect,
                "low": found.low,
                "high": found.high,
                "detectable": found.detectable,
                "artists": found.n_artists,
                "artists_share": found.artists_share,
                "p": p_value(found),
                "needed": artists_needed(found, 0.0 if equal else found.effect),
            }
        if found and key in known.index and found.metric.startswith(known.loc[key, "metric"]):
            effect = known.loc[key, "effect"]
            line |= {"printed": effect, "power": power(found, effect)}
            line["needed_printed"] = artists_needed(found, effect)
        lines[key] = line
    columns = ["paper", "claim", "source", "a", "b", "kind", "metric", "margin", "verdict"]
    columns += ["effect", "low", "high", "detectable", "artists", "artists_share", "p", "needed"]
    columns += ["printed", "power", "needed_printed"]
    frame = pd.DataFrame.from_dict(lines, orient="index", columns=columns)
    frame.index = pd.MultiIndex.from_tuples(lines, names=["lesson", "name"])
    return frame


def counts(by="lesson"):
    """Return how many claims hold, do not hold, cannot be told or are missing.

    Parameters
    ----------
    by : {"lesson", "paper"}

    Returns
    -------
    DataFrame
        Index lesson or paper, with "all" as its last line; a column for each of ``VERDICTS``.
    """
    found = claims.table().reset_index("lesson")
    groups = found["lesson"] if by == "lesson" else found["source"].map(paper).rename("paper")
    frame = pd.crosstab(groups, found["verdict"])
    if by == "paper":
        frame = frame.reindex([name for name in PAPERS.values() if name in frame.index])
    frame = frame.reindex(columns=list(VERDICTS), fill_value=0)
    frame.columns.name = None
    frame.loc["all"] = frame.sum()
    return frame


def export(folder):
    """Write the ledger as Markdown, CSV and a page of HTML whose tables can be sorted.

    Parameters
    ----------
    folder : str or Path
        Is made where there is none.

    Returns
    -------
    list of Path
        ledger.md, ledger.html, systems.csv and claims.csv.
    """
    tables = {
        "Verdicts by lesson": counts().reset_index(),
        "Verdicts by paper": counts("paper").reset_index(),
        "Claims": _claims().reset_index(),
        "Systems": systems().reset_index(),
    }
    written = {
        "ledger.md": "# Ledger\n\n"
        + "\n".join(f"## {title}\n\n{_markdown(table)}" for title, table in tables.items()),
        "ledger.html": _page(tables),
        "claims.csv": tables["Claims"].to_csv(index=False),
        "systems.csv": tables["Systems"].to_csv(index=False),
    }
    for name, text in written.items():
        paths.write_atomically(Path(folder) / name, text)
    return [Path(folder) / name for name in written]


def _claims():
    """Return the claims as text, with what the paper prints, the power for that, and both sides."""
    found, table = verdicts(), claims.table()
    for name, form in (("printed", "{:+.3f}"), ("power", "{:.2f}")):
        table[name] = ["" if np.isnan(value) else form.format(value) for value in found[name]]
    return table.join(found[["a", "b"]])


def _cells(line):
    cells = {name: line[name] for name in ("dataset", "target", "split", "seeds")}
    if line["seeds"] == "missing":
        return cells
    spread = "" if pd.isna(line["deviation"]) else f" ± {line['deviation']:.3f}"
    return cells | {
        "metric": line["metric"],
        "score": f"{line['mean']:.3f}{spread}",
        "interval": f"[{line['low']:.3f}, {line['high']:.3f}]",
        "chance": "" if pd.isna(line["chance"]) else f"{line['chance']:.3f}",
        "parameters": "" if pd.isna(line["parameters"]) else str(line["parameters"]),
        "minutes": f"{line['minutes']:.1f}",
    }


def _markdown(table):
    lines = [list(table.columns), ["---"] * table.shape[1], *table.astype(str).to_numpy().tolist()]
    cells = ([cell.replace("|", "\\|") for cell in line] for line in lines)
    return "".join(f"| {' | '.join(line)} |\n" for line in cells)


def _cell(text):
    """Return text as HTML; the name of a run may go on in a new line after / and _."""
    return html.escape(text).replace("/", "/<wbr>").replace("_", "_<wbr>")


def _page(tables):
    body = "".join(
        f"<h2>{html.escape(title)}</h2>\n"
        f"{table.astype(str).map(_cell).to_html(index=False, border=0, escape=False)}\n"
        for title, table in tables.items()
    )
    return (
        '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n<title>Ledger</title>\n'
        f"<style>{STYLE}</style>\n<h1>Ledger</h1>\n{body}<script>{SORT}</script>\n</html>\n"
    )
