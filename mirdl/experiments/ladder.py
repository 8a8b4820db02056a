"""The ladder: one table that grows from lesson to lesson, every system on one task and protocol.

Tags of the embedded data, artist split, clip scores averaged over windows; beside it the emotions
and genres of Emotify, real music, in folds of artists. It is read from `results/` alone.
"""

import pandas as pd

from mirdl.experiments import store

#: Lesson, name in the table, experiment and system of its row; the variant is "tags".
LINES = [
    (3, "majority", "baselines", "majority"),
    (3, "knn", "baselines", "knn"),
    (3, "logistic_regression", "baselines", "logistic_regression"),
    (3, "svm_rbf", "baselines", "svm_rbf"),
    (3, "boosted_trees", "baselines", "boosted_trees"),
    (4, "mfcc_mlp", "dense_layers", "mfcc_mlp"),
    (6, "kmeans", "learned_features", "kmeans_mel_patch"),
    (6, "sparse_coding", "learned_features", "sparse_coding_mel_patch"),
    (6, "sparse_autoencoder", "learned_features", "sparse_autoencoder_mel_patch"),
    (6, "rbm", "learned_features", "rbm_mel_patch"),
    (6, "deep_belief_network", "deep_belief_network", "3_pretrained"),
    (7, "dieleman_spectrogram", "one_dimension", "512_256"),
    (7, "spotify_cnn", "one_dimension", "spotify_all"),
    (7, "multi_level_multi_scale", "one_dimension", "multi_level_multi_scale"),
    (8, "fcn", "two_dimensions", "fcn"),
    (8, "vgg", "two_dimensions", "vgg"),
    (8, "short_chunk_cnn", "two_dimensions", "short_chunk_cnn"),
    (8, "short_chunk_res", "two_dimensions", "short_chunk_res"),
    (9, "time_frequency", "filters_for_rhythm", "time_frequency"),
    (10, "timbre_cnn", "timbre_filters", "timbre_cnn"),
    (10, "small_rectangular", "timbre_filters", "small_rectangular"),
    (10, "spectrogram_at_scale", "timbre_filters", "back_end_512_500"),
    (10, "musicnn", "timbre_filters", "musicnn"),
    (11, "crnn", "recurrence", "crnn"),
    (11, "self_attention", "recurrence", "self_attention"),
    (12, "dieleman_raw", "raw_waveforms", "512_256"),
    (12, "frame_level_many_shapes", "raw_waveforms", "many_lengths"),
    (13, "sample_cnn", "sample_level", "first_3"),
    (13, "waveform_at_scale", "sample_level", "at_scale"),
    (14, "harmonic_cnn", "learned_front_ends", "harmonic_cnn"),
    (14, "sinc_net", "learned_front_ends", "sinc_net"),
    (17, "random_vgg", "untrained", "vgg_large"),
    (17, "random_timbral_temporal", "untrained", "timbral_temporal_large"),
]
#: Columns of real music: target and metric.
REAL = {"emotions": ("emotions", "roc_auc"), "genres": ("genre", "accuracy")}


def table(until=23):
    """Return the ladder up to a lesson; a missing row shows as missing.

    Parameters
    ----------
    until : int
        Number of the last lesson.

    Returns
    -------
    DataFrame
        Index lesson and system; ROC-AUC and PR-AUC on the tags (means over seeds) with the 95 %
        interval of the first over artists, seeds, parameters, core-minutes of one seed; on Emotify
        the ROC-AUC of the emotions and the accuracy of the genres, empty where none is planned.
    """
    chosen = [line for line in LINES if line[0] <= until]
    metrics = {
        (experiment, metric): store.table(experiment, "tags", metric)
        for experiment in dict.fromkeys(line[2] for line in chosen)
        for metric in ("roc_auc", "pr_auc")
    }
    real = {
        name: store.table("emotify", target, metric).droplevel("variant")
        for name, (target, metric) in REAL.items()
    }
    lines = {}
    for lesson, name, experiment, system in chosen:
        scores = (metrics[experiment, metric] for metric in ("roc_auc", "pr_auc"))
        lines[lesson, name] = _line(*scores, (system, "tags"))
        lines[lesson, name] |= {column: _mean(rows, name) for column, rows in real.items()}
    frame = pd.DataFrame.from_dict(lines, orient="index")
    frame.index = pd.MultiIndex.from_tuples(lines, names=["lesson", "system"])
    return frame


def _mean(rows, name):
    if name not in rows.index:
        return ""
    return "missing" if rows.loc[name, "seeds"] == "missing" else f"{rows.loc[name, 'mean']:.3f}"


def _line(roc_auc, pr_auc, index):
    if index not in roc_auc.index or roc_auc.loc[index, "seeds"] == "missing":
        return dict.fromkeys(
            ("ROC-AUC", "interval", "PR-AUC", "seeds", "parameters", "minutes"), ""
        ) | {"seeds": "missing"}
    roc = roc_auc.loc[index]
    return {
        "ROC-AUC": f"{roc['mean']:.3f}",
        "interval": f"[{roc['low']:.3f}, {roc['high']:.3f}]",
        "PR-AUC": f"{pr_auc.loc[index, 'mean']:.3f}",
        "seeds": roc["seeds"].split()[0],
        "parameters": "" if pd.isna(roc["parameters"]) else f"{roc['parameters']:,}",
        "minutes": f"{roc['minutes']:.1f}",
    }
