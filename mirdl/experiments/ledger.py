"""Lesson 23, the ledger: every system with its score, every claim with its verdict.

Built from the plan and `results/` alone; what has not been run shows as missing.
"""

import html
from pathlib import Path

import pandas as pd

from mirdl import paths
from mirdl.experiments import claims, plan, store

#: In the order of a table's columns.
COLUMNS = ("dataset", "target", "split", "metric", "score", "interval", "chance")
COLUMNS += ("parameters", "minutes", "seeds")
VERDICTS = ("holds", "does not hold", "cannot be told", "missing")

#: A click on a column's head sorts by it, numbers as numbers; another click turns it round.
SORT = """
document.querySelectorAll("th").forEach(head => head.addEventListener("click", () => {
  const body = head.closest("table").tBodies[0];
  const up = head.dataset.up = head.dataset.up === "1" ? "0" : "1";
  const key = row => row.cells[head.cellIndex].textContent;
  const order = new Intl.Collator(undefined, {numeric: true}).compare;
  const compare = (a, b) => parseFloat(a) - parseFloat(b) || order(a, b);
  [...body.rows].sort((a, b) => compare(key(a), key(b)) * (up === "1" ? 1 : -1))
    .forEach(row => body.append(row));
}));
"""
STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 80rem; }
table { border-collapse: collapse; margin: 1rem 0 3rem; }
th { cursor: pointer; text-align: left; border-bottom: 2px solid; }
td { border-bottom: 1px solid #ddd; vertical-align: top; }
th, td { padding: .25rem .6rem; }
"""


def systems():
    """Return every system of the plan with its score.

    Returns
    -------
    DataFrame
        Index experiment, system and variant, in the order of the lessons; columns as ``COLUMNS``:
        score (the first metric, mean ± deviation over seeds), its 95 % interval over artists,
        chance, parameters, core-minutes of one seed, seeds ("3 of 3", or "missing").
    """
    planned = plan.runs()
    about = {(run.experiment, run.system, name): run for run in planned for name in run.variants}
    experiments = list(dict.fromkeys(run.experiment for run in planned))
    tables = [store.table(experiment, planned=planned) for experiment in experiments]
    frame = pd.concat(tables, keys=experiments, names=["experiment"])
    rows = {index: _cells(about[index], line) for index, line in frame.iterrows()}
    table = pd.DataFrame.from_dict(rows, orient="index", columns=list(COLUMNS)).fillna("")
    table.index = pd.MultiIndex.from_tuples(rows, names=["experiment", "system", "variant"])
    return table


def counts():
    """Return how many claims of each lesson hold, do not hold, cannot be told or are missing.

    Returns
    -------
    DataFrame
        Index lesson, with "all" as its last line; a column for each of ``VERDICTS``.
    """
    verdicts = claims.table()["verdict"].reset_index("lesson")
    frame = pd.crosstab(verdicts["lesson"], verdicts["verdict"])
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
        "Verdicts": counts().reset_index(),
        "Claims": claims.table().reset_index(),
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


def _cells(run, line):
    cells = {"dataset": run.dataset, "target": run.target, "split": run.split}
    cells["seeds"] = line["seeds"]
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


def _page(tables):
    body = "".join(
        f"<h2>{html.escape(title)}</h2>\n{table.to_html(index=False, border=0)}\n"
        for title, table in tables.items()
    )
    return (
        '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n<title>Ledger</title>\n'
        f"<style>{STYLE}</style>\n<h1>Ledger</h1>\n{body}<script>{SORT}</script>\n</html>\n"
    )
