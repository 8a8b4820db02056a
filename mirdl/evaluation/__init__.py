"""Scores, their chance levels, their intervals over artists, and one rule for every claim.

Lesson 02 builds what this package holds: `metrics` (definitions and their weighted forms),
`windows` (scores of windows and of clips), `scoring` (the bootstrap over artists) and `verdicts`;
lesson 23 asks what the verdicts could have told (`power`).
"""

from mirdl.evaluation.metrics import chance_levels, higher_is_better, point_metrics
from mirdl.evaluation.power import artists_needed, p_value, power
from mirdl.evaluation.scoring import (
    Evaluation,
    SharedTags,
    evaluate,
    score,
)
from mirdl.evaluation.verdicts import Verdict, over_seeds, verdict
from mirdl.evaluation.windows import (
    WindowScores,
    average,
    majority_vote,
    window_scores,
    window_starts,
)

__all__ = [
    "Evaluation",
    "SharedTags",
    "Verdict",
    "WindowScores",
    "artists_needed",
    "average",
    "chance_levels",
    "evaluate",
    "higher_is_better",
    "majority_vote",
    "over_seeds",
    "p_value",
    "point_metrics",
    "power",
    "score",
    "verdict",
    "window_scores",
    "window_starts",
]
