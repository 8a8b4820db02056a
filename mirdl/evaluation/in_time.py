"""Decisions in time, scored as the field does: chords, onsets, pitch classes (lesson 18).

Metrics of chords and onsets are those of mir_eval [Raffel et al., ISMIR 2014]. Each gives a number
for every clip; the mean over clips is the score, and its interval comes from the bootstrap over
artists, as everywhere in the course.
"""

import librosa
import mir_eval
import numpy as np
import pandas as pd

from mirdl.datasets.frames import FrameTargets
from mirdl.evaluation.scoring import Evaluation, artist_weights, interval

#: Onsets closer than this are heard as one [Böck et al., ISMIR 2012].
TOGETHER = 0.03
#: What `choose` tries as the least height of a peak above the mean around it, as the delay of peaks
#: in s, and as the least probability of a pitch class that sounds.
HEIGHTS = (0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4)
DELAYS = (-0.016, 0.0, 0.016, 0.032)
THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)


def clip_means(values, dataset, chance, n_bootstrap=1000, seed=0, parameters=None):
    """Make an evaluation of metrics that every clip has for itself.

    Parameters
    ----------
    values : dict of str to array (n_clips,)
        The metrics; NaN where a clip has none. The first is what claims use.
    dataset : Dataset
        Those clips.
    chance : dict of str to float
    n_bootstrap, seed : int
        As in `mirdl.evaluation.score`: the same artists are drawn.
    parameters : int, optional
        Of the network.

    Returns
    -------
    Evaluation
        Its table has one row a metric.
    """
    weights, resample_id = artist_weights(dataset.clips["artist"], n_bootstrap, seed)
    scores = np.stack([np.asarray(each, dtype=float) for each in values.values()], axis=1)
    known = np.isfinite(scores)
    with np.errstate(invalid="ignore"):
        replicates = (weights @ np.where(known, scores, 0)) / (weights @ known)
    points = np.nanmean(scores, axis=0)
    ends = interval(replicates, points).clip(0, 1)
    table = {"clips": known.sum(axis=0), "deviation": np.nanstd(scores, axis=0)}
    return Evaluation(
        scores=scores,
        metrics=dict(zip(values, map(float, points), strict=True)),
        chance={name: float(chance[name]) for name in values},
        interval={name: tuple(map(float, ends[:, k])) for k, name in enumerate(values)},
        table=pd.DataFrame({"output": list(values), **table}).set_index("output"),
        replicates=dict(zip(values, replicates.T, strict=True)),
        resample_id=resample_id,
        n_artists=dataset.clips["artist"].nunique(),
        n_left_out=0,
        parameters=parameters,
    )


def choose(values_at, candidates):
    """Return the candidate whose mean over clips is the highest, on validation clips.

    Parameters
    ----------
    values_at : callable
        From a candidate to an array (n_clips,).
    candidates : sequence
    """
    return max(candidates, key=lambda candidate: np.nanmean(values_at(candidate)))


# ------------------------------------------------------------------------------- chords


def segments(classes, step, names, seconds):
    """Join frames of one class: the form in which chords are written and mir_eval wants them.

    Parameters
    ----------
    classes : array, int (n_frames,)
    step : float
        Seconds from a frame to the next; a frame speaks for half a step to each side.
    names : list of str
        Of the classes.
    seconds : float
        Length of the clip.

    Returns
    -------
    intervals : array (n_segments, 2)
        Start and end in s, from 0 to `seconds` without gaps.
    labels : list of str
    """
    changes = np.flatnonzero(np.diff(classes)) + 1
    edges = np.concatenate([[0], (changes - 0.5) * step, [seconds]])
    labels = [names[k] for k in np.asarray(classes)[np.append(0, changes)]]
    return np.stack([edges[:-1], edges[1:]], axis=1), labels


def chord_values(dataset, scores, step):
    """Score chords by duration.

    Parameters
    ----------
    dataset : Dataset
        Target "chords".
    scores : array (n_clips, n_chords, n_frames)
        The chord of a frame is the one with the highest.
    step : float
        Seconds from a frame to the next.

    Returns
    -------
    dict of str to array (n_clips,)
        "majmin", the share of the time in which root and third are right (what is neither major
        nor minor is "N" here on both sides; mir_eval would not score a suspended chord), and
        "segmentation", whether chords change where they should and nowhere else, whatever they
        are called (mir_eval's `chord.seg`).
    """
    values = {"majmin": [], "segmentation": []}
    for i, clip in enumerate(scores):
        times, labels = dataset.frames(i)
        seconds = times[-1]
        truth, names = segments(labels.argmax(axis=1), times[1], dataset.tags, seconds)
        found, guesses = segments(clip.argmax(axis=0), step, dataset.tags, seconds)
        values["segmentation"].append(mir_eval.chord.seg(truth, found))
        both, names, guesses = mir_eval.util.merge_labeled_intervals(truth, names, found, guesses)
        right = mir_eval.chord.majmin(names, guesses)
        durations = mir_eval.util.intervals_to_durations(both)
        values["majmin"].append(mir_eval.chord.weighted_accuracy(right, durations))
    return {name: np.array(each) for name, each in values.items()}


def chord_evaluation(dataset, scores, step, parameters=None):
    """Return the `Evaluation` of `chord_values`; chance is the test's most frequent chord."""
    always = np.zeros((len(dataset), dataset.n_outputs, 2))
    always[:, dataset.targets.mean(axis=0).argmax()] = 1
    chance = {k: v.mean() for k, v in chord_values(dataset, always, step).items()}
    return clip_means(chord_values(dataset, scores, step), dataset, chance, parameters=parameters)


# ------------------------------------------------------------------------------- onsets


def onset_times(dataset, i):
    """Return the onsets of clip `i` in s, those within 30 ms as one, at the first."""
    times, labels = dataset.frames(i)
    kept = []
    for onset in times[labels[:, 0] > 0]:
        if not kept or onset - kept[-1] > TOGETHER:
            kept.append(onset)
    return np.array(kept)


def pick(envelope, step, height, delay=0.0):
    """Pick the peaks of a curve of onset strength with librosa's rule.

    A peak is the highest within 30 ms, stands `height` above the mean of 100 ms to each side, and
    does not come within 30 ms of the last one [Böck et al., ISMIR 2012].

    Parameters
    ----------
    envelope : array (n_frames,)
        Probabilities, or strengths between 0 and 1.
    step : float
        Seconds from a frame to the next.
    height : float
    delay : float
        By which the curve comes late, in s: a constant that says nothing of how well it hears.

    Returns
    -------
    array (n_onsets,)
        In s.
    """
    frames = librosa.onset.onset_detect(
        onset_envelope=envelope,
        sr=1 / step,
        hop_length=1,
        units="frames",
        normalize=False,
        delta=height,
    )
    return np.maximum(frames * step - delay, 0)


def onset_values(dataset, onsets):
    """Score onsets: an onset is found if one is picked within a tolerance; each counts once.

    Parameters
    ----------
    dataset : Dataset
        Target "onsets".
    onsets : list of array (n_onsets,)
        In s, for every clip.

    Returns
    -------
    dict of str to array (n_clips,)
        "f_50" and "f_25", F-measures within 50 ms (mir_eval's own tolerance) and 25 ms; precision
        and recall within 50 ms. NaN for a clip without onsets.
    """
    names = ("f_50", "f_25", "precision", "recall")
    values = np.full((len(dataset), len(names)), np.nan)
    for i, found in enumerate(onsets):
        truth = onset_times(dataset, i)
        if len(truth) and not len(found):
            values[i] = 0
        elif len(truth):
            f, precision, recall = mir_eval.onset.f_measure(truth, found, window=0.05)
            f_25 = mir_eval.onset.f_measure(truth, found, window=0.025)[0]
            values[i] = f, f_25, precision, recall
    return dict(zip(names, values.T, strict=True))


def regular_onsets(dataset):
    """Return, for every clip, as many onsets as clips have on average, evenly spaced."""
    ends = [dataset.frames(i)[0][-1] for i in range(len(dataset))]
    rate = sum(len(onset_times(dataset, i)) for i in range(len(dataset))) / sum(ends)
    return [np.arange(0, end, 1 / rate) for end in ends]


def onset_evaluation(dataset, onsets, parameters=None):
    """Return the `Evaluation` of `onset_values`; chance is that of `regular_onsets`."""
    chance = onset_values(dataset, regular_onsets(dataset))
    chance = {name: np.nanmean(each) for name, each in chance.items()}
    return clip_means(onset_values(dataset, onsets), dataset, chance, parameters=parameters)


# ------------------------------------------------------------------------- pitch classes


def chroma_values(dataset, scores, step, threshold):
    """Score pitch classes frame by frame.

    Parameters
    ----------
    dataset : Dataset
        Target "chroma".
    scores : array (n_clips, 12, n_frames)
        Not negative.
    step : float
        Seconds from a frame to the next.
    threshold : float
        A class sounds from this score on.

    Returns
    -------
    dict of str to array (n_clips,)
        "f1" over all classes and frames of a clip, and "cosine", the mean over frames in which
        anything sounds of the cosine between scores and truth, which no threshold and no
        loudness moves. NaN for a clip without notes.
    """
    seconds = np.arange(scores.shape[2]) * step
    truth = FrameTargets(dataset).at(np.arange(len(dataset)), seconds).numpy()
    found = scores >= threshold
    both, either = (found * truth).sum(axis=(1, 2)), found.sum(axis=(1, 2)) + truth.sum(axis=(1, 2))
    sounding = truth.any(axis=1)
    lengths = np.linalg.norm(scores, axis=1) * np.linalg.norm(truth, axis=1)
    cosine = (scores * truth).sum(axis=1) / np.maximum(lengths, 1e-8)
    silent = ~sounding.any(axis=1)
    with np.errstate(invalid="ignore"):
        f1, cosine = 2 * both / either, (cosine * sounding).sum(axis=1) / sounding.sum(axis=1)
    return {"f1": np.where(silent, np.nan, f1), "cosine": np.where(silent, np.nan, cosine)}


def chroma_evaluation(dataset, scores, step, threshold, parameters=None):
    """Return the `Evaluation` of `chroma_values`; chance is that all classes always sound."""
    chance = chroma_values(dataset, np.ones_like(scores), step, 1)
    chance = {name: np.nanmean(each) for name, each in chance.items()}
    values = chroma_values(dataset, scores, step, threshold)
    return clip_means(values, dataset, chance, parameters=parameters)
