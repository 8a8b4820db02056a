"""The numbers on the README's first screen are those of results/."""

from pathlib import Path

import pytest

from mirdl import paths
from mirdl.evaluation import over_seeds
from mirdl.experiments import ledger, store

ROWS = {
    "MFCC-120 + logistic regression": ("baselines", "logistic_regression", "tags", "roc_auc", 2),
    "Dieleman's 1D network": ("first_networks", "dieleman_spectrogram", "tags", "roc_auc", 2),
    "FCN at a quarter": ("first_networks", "fcn", "tags", "roc_auc", 2),
    "FCN at full width": ("tagger", "fcn", "", "roc_auc", 2),
    "the same tagger on real music": ("tagger_on_real_music", "tagger", "", "roc_auc", 2),
    "26 tags, test artists": ("baselines", "logistic_regression", "tags", "roc_auc", 3),
    "8 dances, test artists": ("baselines", "logistic_regression", "dance", "accuracy", 3),
    "nearest tempo": ("baselines", "knn_tempo", "dance", "accuracy", 3),
    "folds of artists": ("split_leak", "logistic_regression", "tags-artist", "roc_auc", 3),
    "folds of tracks": ("split_leak", "logistic_regression", "tags-random", "roc_auc", 3),
    "familiar": ("programs", "logistic_regression", "seen", "roc_auc", 3),
    "unheard": ("programs", "logistic_regression", "unseen", "roc_auc", 3),
}


@pytest.mark.parametrize("words", ROWS)
def test_a_score_in_the_readme_is_a_stored_one(words):
    experiment, system, variant, metric, digits = ROWS[words]
    score = over_seeds(store.load(experiment, system, variant)).loc[metric, "mean"]
    text = Path(paths.ROOT, "README.md").read_text(encoding="utf-8")
    line = next(line for line in text.splitlines() if words in line)
    assert f"{score:.{digits}f}" in line


def test_the_verdicts_in_the_readme_are_those_of_the_ledger():
    holds, does_not, cannot, missing = ledger.counts().loc["all"]
    told = (
        f"of {holds + does_not + cannot + missing} claims {holds} hold, {does_not} do not hold,"
        f" {cannot} cannot be told"
    )
    text = Path(paths.ROOT, "README.md").read_text(encoding="utf-8")
    assert told in " ".join(text.split())
