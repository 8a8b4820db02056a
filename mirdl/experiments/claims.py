"""The claims of the lessons, judged from `results/` by the one rule of the course.

``python -m mirdl.experiments.claims`` prints all of them.
"""

import pandas as pd

from mirdl.evaluation import verdict
from mirdl.experiments import plan, store

MISSING = "missing: run make results"


def judge(claim):
    """Return the verdict on a claim, None where a side has no rows yet.

    Parameters
    ----------
    claim : Claim

    Returns
    -------
    Verdict or None
    """
    a, b = store.load(*claim.a), store.load(*claim.b)
    return verdict(a, b, claim.metric, claim.margin, claim.kind) if a and b else None


def report(lesson):
    """Return a lesson's claims with their verdicts, two lines each, as text.

    Parameters
    ----------
    lesson : int

    Returns
    -------
    str
    """
    chosen = [claim for claim in plan.claims() if claim.lesson == lesson]
    return "\n".join(
        f"{claim.name}. {claim.text} [{claim.source}]\n    {judge(claim) or MISSING}"
        for claim in chosen
    )


def table(first=0, last=23):
    """Return the claims of some lessons as a table.

    Parameters
    ----------
    first, last : int
        Lessons, both included.

    Returns
    -------
    DataFrame
        Index lesson and name; columns claim, source, verdict, effect, interval (95 %), claimed and
        detectable: the smallest true effect that had been seen with power 0.8.
    """
    lines = {}
    for claim in plan.claims():
        if not first <= claim.lesson <= last:
            continue
        found = judge(claim)
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
