"""Lesson 17, what its rows say together: t-tests over runs, and ranks beside trained networks."""

import numpy as np
import pandas as pd
from scipy import stats

from mirdl.experiments import claims, store

#: Target → extractor → experiment and system of its nearest relative that was trained, and the
#: variant of the untrained side. The relatives are those of the extractor's own paper where a
#: lesson trains them; not all have one.
TRAINED = {
    "tags": {
        "sample_level": ("sample_level", "first_3"),
        "frame_level": ("raw_waveforms", "512_256"),
        "frame_level_many": ("raw_waveforms", "many_lengths"),
        "vgg": ("two_dimensions", "compact_cnn"),
        "cnn_7x96": ("two_dimensions", "one_dimension"),
        "timbral": ("timbre_filters", "timbre_cnn"),
        "timbral_temporal": ("timbre_filters", "back_end_512_500"),
    },
    "dance": {
        "vgg": ("first_networks", "fcn"),
        "cnn_7x96": ("filters_for_rhythm", "frequency_40"),
        "cnn_7x86": ("filters_for_rhythm", "frequency_36"),
        "temporal": ("filters_for_rhythm", "time_200"),
        "timbral_temporal": ("filters_for_rhythm", "time_frequency"),
    },
}


def t_test(a, b):
    """Return the p-value of the thesis' test: are the averages of two systems' runs equal?

    Student's t-test on one number a run. The test clips are taken as given: it asks what other
    draws of the weights would give on the same clips.

    Parameters
    ----------
    a, b : list of stored row
        One a run; the first metric of each counts.

    Returns
    -------
    float
        NaN where a side has fewer than two runs, or the runs of neither differ.
    """
    a, b = ([next(iter(row["metrics"].values())) for row in side] for side in (a, b))
    if min(len(a), len(b)) < 2 or len(set(a)) == len(set(b)) == 1:
        return float("nan")
    moments = [(np.mean(side), np.std(side, ddof=1), len(side)) for side in (a, b)]
    return float(stats.ttest_ind_from_stats(*moments[0], *moments[1]).pvalue)


def p_values(lesson=17):
    """Return what `t_test` says of both sides of each claim of a lesson.

    Parameters
    ----------
    lesson : int

    Returns
    -------
    dict of str to float
        By the claim's name; NaN also where rows are missing.
    """
    chosen = claims.claims(lesson, lesson)
    experiments = {side[0] for claim in chosen for side in (claim.a, claim.b)}
    stored = [row for experiment in sorted(experiments) for row in store.load(experiment)]
    named = [((row["experiment"], row["system"], row["variant"]), row) for row in stored]
    return {
        claim.name: t_test(
            *([row for name, row in named if name == side] for side in (claim.a, claim.b))
        )
        for claim in chosen
    }


def beside_trained(target="tags", size="large"):
    """Compare what architectures score untrained with what their relatives score trained.

    Parameters
    ----------
    target : {"tags", "dance"}
        Of the dances the support vector machine counts.
    size : {"small", "large"}

    Returns
    -------
    table : DataFrame
        Index extractor; columns trained (experiment/system), untrained and after_training: means
        over seeds. Pairs without rows are left out.
    rank : dict
        Spearman's correlation of the two columns, its 95 % interval over artists (these
        architectures, other music), and the p-value over all ways to pair them (these artists,
        other architectures). NaN for fewer than three pairs.
    """
    variant = "tags" if target == "tags" else f"{target}-svm"
    stored = store.load("untrained", variant=variant)
    lines, replicates = {}, []
    for extractor, (experiment, system) in TRAINED[target].items():
        sides = (
            [row for row in stored if row["system"] == f"{extractor}_{size}"],
            store.load(experiment, system, target),
        )
        if all(sides):
            metric = next(iter(sides[0][0]["metrics"]))
            means = [np.mean([row["metrics"][metric] for row in side]) for side in sides]
            found = [np.mean([row["replicates"][metric] for row in side], axis=0) for side in sides]
            lines[extractor] = [f"{experiment}/{system}", *means]
            replicates.append(found)
    columns = ["trained", "untrained", "after_training"]
    table = pd.DataFrame.from_dict(lines, orient="index", columns=columns)
    if len(table) < 3:
        return table, dict.fromkeys(("correlation", "low", "high", "p"), float("nan"))
    resampled = np.array(replicates)  # (pairs, 2, resamples)
    over_artists = [rank_correlation(*pairs) for pairs in resampled.transpose(2, 1, 0)]
    low, high = np.nanpercentile(over_artists, [2.5, 97.5])
    sides = (table["untrained"].to_numpy(), table["after_training"].to_numpy())
    shuffled = stats.permutation_test(
        sides[:1], lambda a: rank_correlation(a, sides[1]), permutation_type="pairings"
    )
    return table, {
        "correlation": rank_correlation(*sides),
        "low": float(low),
        "high": float(high),
        "p": float(shuffled.pvalue),
    }


def rank_correlation(a, b):
    """Return Spearman's correlation: that of the ranks."""
    return float(np.corrcoef(stats.rankdata(a), stats.rankdata(b))[0, 1])
