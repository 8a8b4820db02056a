"""The claims of the lessons, judged from `results/` by the one rule of the course.

They stand in ``claims.csv``, a line each, written before the rows that decide them existed.
``python -m mirdl.experiments.claims`` prints all of them.
"""

import csv
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from mirdl.evaluation import verdict
from mirdl.experiments import store

FILE = Path(__file__).with_name("claims.csv")
MISSING = "missing: run make results"


@dataclass(frozen=True)
class Claim:
    """One sentence about two systems.

    Attributes
    ----------
    lesson : int
    name : str
        What the lesson calls it: "1", "2a".
    text : str
        What is claimed, in words.
    source : str
        Paper and table or section; "ours" where no paper says it.
    a, b : (str, str, str)
        Experiment, system and variant of the two sides.
    metric : str or None
        None is the first of the rows.
    margin : float
    kind : {"greater", "equal"}
        As in `mirdl.evaluation.verdict`.
    """

    lesson: int
    name: str
    text: str
    source: str
    a: tuple
    b: tuple
    metric: str | None = None
    margin: float = 0.0
    kind: str = "greater"


def claims(first=0, last=23):
    """Return the claims of some lessons, in their order.

    Parameters
    ----------
    first, last : int
        Lessons, both included.

    Returns
    -------
    list of Claim
    """
    with FILE.open(encoding="utf-8", newline="") as file:
        found = [
            Claim(
                int(line["lesson"]),
                line["name"],
                line["claim"],
                line["source"],
                tuple(line["a"].split("/")),
                tuple(line["b"].split("/")),
                line["metric"] or None,
                float(line["margin"]),
                line["kind"],
            )
            for line in csv.DictReader(file)
        ]
    return [claim for claim in found if first <= claim.lesson <= last]


def judged(first=0, last=23):
    """Return the claims of some lessons with their verdicts; each experiment is read once.

    Parameters
    ----------
    first, last : int
        As in `claims`.

    Returns
    -------
    list of (Claim, Verdict or None)
        None where a side has no rows yet.
    """
    chosen, rows = claims(first, last), {}
    for experiment in {side[0] for claim in chosen for side in (claim.a, claim.b)}:
        for row in store.load(experiment):
            rows.setdefault((experiment, row["system"], row["variant"]), []).append(row)
    found = []
    for claim in chosen:
        a, b = rows.get(claim.a), rows.get(claim.b)
        sides = (a, b, claim.metric, claim.margin, claim.kind)
        found.append((claim, verdict(*sides) if a and b else None))
    return found


def report(lesson):
    """Return a lesson's claims with their verdicts, two lines each, as text.

    Parameters
    ----------
    lesson : int

    Returns
    -------
    str
    """
    return "\n".join(
        f"{claim.name}. {claim.text} [{claim.source}]\n    {found or MISSING}"
        for claim, found in judged(lesson, lesson)
    )


def table(first=0, last=23):
    """Return the claims of some lessons as a table.

    Parameters
    ----------
    first, last : int
        As in `claims`.

    Returns
    -------
    DataFrame
        Index lesson and name; columns claim, source, verdict, effect, interval (95 %), claimed and
        detectable: the smallest true effect that had been seen with power 0.8.
    """
    lines = {}
    for claim, found in judged(first, last):
        line = {"claim": claim.text, "source": claim.source, "verdict": "missing"}
        if found:
            sign = ">" if claim.kind == "greater" else "within ±"
            line |= {
                "verdict": found.text,
                "effect": f"{found.effect:+.3f}",
                "interval": f"[{found.low:+.3f}, {found.high:+.3f}]",
                "claimed": f"{found.metric} {sign} {found.margin:g}",
                "detectable": f"{found.detectable:.3f}",
            }
        lines[claim.lesson, claim.name] = line
    columns = ["claim", "source", "verdict", "effect", "interval", "claimed", "detectable"]
    frame = pd.DataFrame.from_dict(lines, orient="index", columns=columns).fillna("")
    frame.index = pd.MultiIndex.from_tuples(lines, names=["lesson", "name"])
    return frame


def main():
    """Print every claim, and how many hold."""
    frame = table()
    for (lesson, name), line in frame.iterrows():
        print(f"{lesson:02d} {name}. {line['claim']} [{line['source']}]")
        print("    " + "  ".join(value for value in line.iloc[2:] if value))
    print(", ".join(f"{text}: {n}" for text, n in frame["verdict"].value_counts().items()))


if __name__ == "__main__":
    main()
