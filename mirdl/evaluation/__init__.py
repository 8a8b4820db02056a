"""Scores, their chance levels, their intervals over artists, and one rule for every claim.

Lesson 02 builds what this package holds: `metrics` (definitions and their weighted forms),
`scoring` (windows, clip averages, the bootstrap over artists) and `verdicts`.
"""

from mirdl.evaluation.metrics import chance_levels, higher_is_better, point_metrics
from mirdl.evaluation.scoring import (
    Evaluation,
    SharedTags,
    WindowScores,
    average,
    evaluate,
    majority_vote,
    score,
    window_scores,
    window_starts,
)
from mirdl.evaluation.verdicts import Verdict, over_seeds, verdict

__all__ = [
    "Evaluation",
    "SharedTags",
    "Verdict",
    "WindowScores",
    "average",
    "chance_levels",
    "evaluate",
    "higher_is_better",
    "majority_vote",
    "over_seeds",
    "point_metrics",
    "score",
    "verdict",
    "window_scores",
    "window_starts",
]
