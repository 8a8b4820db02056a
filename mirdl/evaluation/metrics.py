"""The metrics of lesson 02: for one test set from scikit-learn, for all resamples at once here.

Resampling artists with replacement gives every clip an integer weight, so a bootstrap is one
weighted metric per row of a weight matrix. The weighted forms below take the whole matrix
(n_resamples, n_clips) and agree with scikit-learn's ``sample_weight`` to 1e-9 (tests).
"""

import numpy as np
from sklearn import metrics as sk


def per_output(scores, targets, task):
    """Return each output's metrics on one test set.

    Parameters
    ----------
    scores : array (n_clips, n_outputs)
        Probabilities or decision values; predicted values for regression.
    targets : array
        As in `mirdl.datasets.Dataset`: (n_clips, n_outputs), or (n_clips,) class numbers.
    task : {"multilabel", "multiclass", "regression"}

    Returns
    -------
    dict of str to array (n_outputs,)
        ``positives`` and ``chance`` besides the metrics. NaN where an output has no positives,
        or (multilabel) no negatives: nothing can be ranked there.
    """
    if task == "regression":
        error = (scores - targets) ** 2
        rmse, deviation = np.sqrt(error.mean(axis=0)), targets.std(axis=0)
        r2 = sk.r2_score(targets, scores, multioutput="raw_values")
        return {"r2": r2, "rmse": rmse, "chance": deviation}
    truth = _one_hot(targets, scores.shape[1], task)
    positives = truth.sum(axis=0)
    table = {"positives": positives, "chance": positives / len(truth)}
    if task == "multilabel":
        usable = (positives > 0) & (positives < len(truth))
        for name, metric in [
            ("roc_auc", sk.roc_auc_score),
            ("pr_auc", sk.average_precision_score),
        ]:
            columns = zip(usable, truth.T, scores.T, strict=True)
            table[name] = np.array([metric(y, s) if ok else np.nan for ok, y, s in columns])
        return table
    predicted = scores.argmax(axis=1)
    classes = np.arange(scores.shape[1])
    for name, values in zip(
        ("precision", "recall", "f1"),
        sk.precision_recall_fscore_support(targets, predicted, labels=classes, zero_division=0),
        strict=False,
    ):
        table[name] = np.where(positives > 0, values, np.nan)
    return table


def point_metrics(scores, targets, task):
    """Return the metrics of one test set, averaged over outputs.

    Multilabel: ``roc_auc`` and ``pr_auc``, the mean over tags (macro); PR-AUC is average
    precision, without interpolation. Multiclass: ``accuracy``, ``f1_micro`` (equal to accuracy
    when each clip has one class) and ``f1_macro``. Regression: ``r2`` and ``rmse``, the mean
    over columns. Outputs that `per_output` cannot score are left out of the mean.

    Returns
    -------
    dict of str to float
        The first entry is the metric that claims use unless they say otherwise.
    """
    table = per_output(scores, targets, task)
    if task == "multiclass":
        accuracy = float(sk.accuracy_score(targets, scores.argmax(axis=1)))
        return {"accuracy": accuracy, "f1_micro": accuracy, "f1_macro": _mean(table["f1"])}
    names = ("roc_auc", "pr_auc") if task == "multilabel" else ("r2", "rmse")
    return {name: _mean(table[name]) for name in names}


def chance_levels(targets, task, n_outputs):
    """Return what each metric gives to a system that has not heard the audio.

    ROC-AUC: 0.5, random order. PR-AUC: the mean share of positives, also random order.
    Accuracy and micro F1: the share of the largest class, always answered; macro F1: that same
    answer's, which is right for one class and 0 for all others. R² and RMSE: the mean of the
    test targets, always answered (0 and the standard deviation).
    """
    if task == "regression":
        return {"r2": 0.0, "rmse": _mean(targets.std(axis=0))}
    truth = _one_hot(targets, n_outputs, task)
    share = truth.mean(axis=0)
    if task == "multilabel":
        usable = (share > 0) & (share < 1)
        return {"roc_auc": 0.5, "pr_auc": _mean(np.where(usable, share, np.nan))}
    largest = float(share.max())
    f1 = 2 * largest / (1 + largest) / np.count_nonzero(share)
    return {"accuracy": largest, "f1_micro": largest, "f1_macro": float(f1)}


def higher_is_better(metric):
    """Return False for errors (``rmse``), True for scores."""
    return metric != "rmse"


def weighted_ranking(scores, truth, weights):
    """Return ROC-AUC and average precision of one tag for every row of weights.

    With clips in falling order of score, clips of equal score form one step. A step with
    positive weight p and negative weight n, after P and N so far, adds n (P + p/2) to the
    area under the ROC curve and p (P + p) / (P + p + N + n) to the average precision.

    Parameters
    ----------
    scores, truth : array (n_clips,)
    weights : array (n_resamples, n_clips)

    Returns
    -------
    roc_auc, pr_auc : array (n_resamples,)
        NaN where a resample has no positive or no negative clip.
    """
    order = np.argsort(-scores, kind="stable")
    step_ends = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)
    weights = weights[:, order]
    is_positive = truth[order] > 0.5
    positives = np.cumsum(weights * is_positive, axis=1)[:, step_ends]
    negatives = np.cumsum(weights * ~is_positive, axis=1)[:, step_ends]
    p = np.diff(positives, axis=1, prepend=0)
    n = np.diff(negatives, axis=1, prepend=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        area = (n * (positives - p / 2)).sum(axis=1)
        roc_auc = area / (positives[:, -1] * negatives[:, -1])
        precision = np.where(p > 0, positives / (positives + negatives), 0.0)
        pr_auc = (p * precision).sum(axis=1) / positives[:, -1]
    pr_auc[negatives[:, -1] == 0] = np.nan
    return roc_auc, pr_auc


def weighted_metrics(scores, targets, task, weights):
    """Return `per_output` and `point_metrics` for every row of a weight matrix.

    Parameters
    ----------
    weights : array (n_resamples, n_clips)
        How often each clip counts.

    Returns
    -------
    overall : dict of str to array (n_resamples,)
    by_output : dict of str to array (n_resamples, n_outputs)
    """
    weights = np.asarray(weights, dtype=float)
    if task == "multilabel":
        columns = zip(scores.T, targets.T, strict=True)
        pairs = [weighted_ranking(s, y, weights) for s, y in columns]
        by_output = {
            name: np.stack([pair[k] for pair in pairs], axis=1)
            for k, name in enumerate(("roc_auc", "pr_auc"))
        }
        return {name: _row_means(values) for name, values in by_output.items()}, by_output
    total = weights.sum(axis=1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        if task == "multiclass":
            predicted = _one_hot(scores.argmax(axis=1), scores.shape[1], task)
            truth = _one_hot(targets, scores.shape[1], task)
            right, true = weights @ (predicted * truth), weights @ truth
            f1 = np.where(true > 0, 2 * right / (true + weights @ predicted), np.nan)
            accuracy = right.sum(axis=1) / total[:, 0]
            overall = {"accuracy": accuracy, "f1_micro": accuracy, "f1_macro": _row_means(f1)}
            return overall, {"f1": f1}
        error = weights @ (scores - targets) ** 2
        centred = targets - targets.mean(axis=0, dtype=float)  # keeps digits in the next line
        spread = weights @ centred**2 - (weights @ centred) ** 2 / total
        by_output = {"r2": 1 - error / spread, "rmse": np.sqrt(error / total)}
    return {name: _row_means(values) for name, values in by_output.items()}, by_output


def _one_hot(targets, n_outputs, task):
    if task == "multilabel":
        return (targets > 0.5).astype(float)
    return (targets[:, None] == np.arange(n_outputs)).astype(float)


def _mean(values):
    values = np.asarray(values, dtype=float)
    return float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")


def _row_means(values):
    present = np.isfinite(values)
    counts = present.sum(axis=1)
    sums = np.where(present, values, 0).sum(axis=1)
    return np.divide(sums, counts, out=np.full(len(values), np.nan), where=counts > 0)
