"""Lesson 18: chroma and the chords on top, onsets, lead activity; decisions frame by frame.

Networks hear crops of 5 s where they decide ten times a second, of 3 s where 62.5 times; all are
scored on whole clips. A number is a mean over clips (`mirdl.evaluation.in_time`), but for the
lead: ROC-AUC over frames, on the very frames of lesson 04. Heights and delays of peaks, and
thresholds, are chosen on the validation clips, for every system.

The claims are in ``claims.csv``, decided before any row existed: margin 0, three seeds of each
network. What does not learn, or learns by a convex loss on fixed chroma, has no chance in it and
one row.
"""

from dataclasses import replace
from itertools import product

import librosa
import numpy as np
from scipy.ndimage import uniform_filter1d
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mirdl import features, models
from mirdl.datasets.frames import FrameTargets
from mirdl.datasets.pack import pack
from mirdl.evaluation import evaluate, in_time, window_scores
from mirdl.experiments.networks import train
from mirdl.experiments.plan import ladder
from mirdl.models.framewise import DEEP_CHROMA, MEL80, LearnedChroma

#: Networks that decide ten times a second, on the front end of deep chroma, and their crops.
SLOW = {"training": {"crop_seconds": 5}}
#: Networks that decide 62.5 times a second, on 80 mel bands.
FAST = {"front_end": MEL80, "training": {"crop_seconds": 3}}
#: Of recurrent networks, which are small and slow to start.
RATE = {"learning_rate": 3e-3}
ONSET_CNN = {"name": "onset_cnn", "width": 0.5, **FAST}
#: What takes four times as long as the others: half of the steps at a higher rate, as it has batch
#: normalisation.
FRAME_CNN = {"name": "frame_cnn", "width": 0.25, "batch_norm": True, **FAST}
FRAME_CNN["training"] = {**FAST["training"], **RATE}
BLSTM = {"name": "frame_blstm", "width": 1, **FAST, "training": FRAME_CNN["training"]}
#: In one direction, with about as many parameters: 66,636, the bidirectional 66,321.
LSTM = {**BLSTM, "bidirectional": False, "hidden": (51, 34, 67)}
#: Every how many samples chroma is computed; five make one of the frames of deep chroma.
CHROMA_HOP = 320


def probabilities(model, dataset):
    """Return what a framewise network says of whole clips: (n_clips, n_outputs, n_frames)."""
    return window_scores(model, dataset, audio=pack(dataset, progress=False)).scores


# ------------------------------------------------------------------- chroma, and chords


def librosa_chroma(dataset, smoothing=1):
    """Return the folded CQT of lesson 01 at the frames of deep chroma.

    Parameters
    ----------
    dataset : Dataset
    smoothing : int
        Frames, an odd number, over which the mean is taken.

    Returns
    -------
    array (n_clips, 12, n_frames)
        Between 0 and 1; ten frames a second.
    """
    audio, share = pack(dataset, progress=False), DEEP_CHROMA["hop_length"] // CHROMA_HOP
    found = []
    for i in range(len(dataset)):
        chroma = features.chroma(audio.clip(i).numpy(), dataset.sample_rate, CHROMA_HOP)
        found.append(uniform_filter1d(chroma, share, axis=1)[:, ::share])
    return uniform_filter1d(np.stack(found), smoothing, axis=2)


def templates(chroma, tags):
    """Compare chroma with the three notes of each major and minor chord [Fujishima, ICMC 1999].

    Parameters
    ----------
    chroma : array (n_clips, 12, n_frames)
    tags : list of str
        The 12 major chords from C up, the 12 minor ones, "N", which is never answered.

    Returns
    -------
    array (n_clips, 25, n_frames)
        Cosine of the angle between a frame and each chord, but for the length of the frame.
    """
    chords = np.zeros((len(tags), 12))
    for k in range(24):
        chords[k, [k % 12, (k + (4 if k < 12 else 3)) % 12, (k + 7) % 12]] = 1
    return np.einsum("kp,cpt->ckt", chords, chroma) / np.sqrt(3)


def logistic(chroma, labels, heard):
    """Name the chord of each frame from its chroma alone, by logistic regression.

    It is the chord model of Korzeniowski and Widmer [ISMIR 2016].

    Parameters
    ----------
    chroma, heard : array (n_clips, 12, n_frames)
        Of training clips; of those that are wanted.
    labels : array (n_clips, 25, n_frames)
        One-hot, of the training clips.

    Returns
    -------
    array (n_clips, 25, n_frames)
        Probabilities.
    """
    x, x_heard = (np.moveaxis(each, 1, 2) for each in (chroma, heard))
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=300))
    model.fit(x.reshape(-1, x.shape[2]), labels.argmax(axis=1).ravel())
    scores = np.zeros((*x_heard.shape[:2], labels.shape[1]))
    found = model.predict_proba(x_heard.reshape(-1, x.shape[2]))
    scores[:, :, model.classes_] = found.reshape(*x_heard.shape[:2], -1)
    return np.moveaxis(scores, 2, 1)


def read_chroma(chroma_of, settings, parameters=None):
    """Score chroma itself, and what two simple readers make of it.

    Parameters
    ----------
    chroma_of : callable
        From a data set of the target "chroma" to (n_clips, 12, n_frames), ten frames a second.
    settings : Settings
    parameters : int, optional
        That were learned for it.

    Returns
    -------
    dict of str to Evaluation
        "chroma", "templates", "logistic".
    """
    pitches, chords = settings.dataset("chroma"), settings.dataset("chords")
    step = DEEP_CHROMA["hop_length"] / pitches.sample_rate
    chroma = {split: chroma_of(pitches.subset(split)) for split in ("train", "valid", "test")}
    valid, taught, test = pitches.subset("valid"), chords.subset("train"), chords.subset("test")
    threshold = in_time.choose(
        lambda t: in_time.chroma_values(valid, chroma["valid"], step, t)["f1"],
        in_time.THRESHOLDS,
    )
    seconds = np.arange(chroma["train"].shape[2]) * step
    labels = FrameTargets(taught).at(np.arange(len(taught)), seconds).numpy()
    named = {
        "templates": templates(chroma["test"], chords.tags),
        "logistic": logistic(chroma["train"], labels, chroma["test"]),
    }
    heard = (pitches.subset("test"), chroma["test"], step, threshold, parameters)
    made = {"chroma": in_time.chroma_evaluation(*heard)}
    return made | {
        name: in_time.chord_evaluation(test, scores, step, parameters)
        for name, scores in named.items()
    }


def by_librosa(seed, settings, smoothing=1):
    """Score librosa's chroma, and chords by it.

    Parameters
    ----------
    seed : int
        Not used: nothing is drawn.
    settings, smoothing
        As in `librosa_chroma`.

    Returns
    -------
    dict of str to Evaluation
        As `read_chroma`.
    """
    return read_chroma(lambda dataset: librosa_chroma(dataset, smoothing), settings)


def chords_by_network(seed, settings, name, **overrides):
    """Train a framewise network on the chords and score it.

    Parameters
    ----------
    seed, settings, name, **overrides
        As in `mirdl.experiments.networks.train`.

    Returns
    -------
    Evaluation
    """
    dataset = settings.dataset("chords")
    training = {**SLOW["training"], **(RATE if name == "frame_blstm" else {})}
    model = train(seed, settings, name, dataset, training, **overrides)
    test = dataset.subset("test")
    parameters = models.n_parameters(model)
    return in_time.chord_evaluation(test, probabilities(model, test), model.step, parameters)


def by_learned_chroma(seed, settings, context=15, on_top=()):
    """Learn chroma, then chords on top of it.

    Parameters
    ----------
    seed : int
    settings : Settings
    context : int
        Frames that the chroma network sees.
    on_top : sequence of str
        Networks of ``ON_TOP`` that name chords from the learned chroma.

    Returns
    -------
    dict of str to Evaluation
        As `read_chroma`, and one for each network on top.
    """
    pitches = settings.dataset("chroma")
    model = train(seed, settings, "context_dnn", pitches, width=0.5, context=context, **SLOW)
    parameters = models.n_parameters(model)
    made = read_chroma(lambda dataset: probabilities(model, dataset), settings, parameters)
    chroma = LearnedChroma(model)
    return made | {
        name: chords_by_network(seed, settings, front_end=chroma, **ON_TOP[name]) for name in on_top
    }


#: Networks that read chroma.
ON_TOP = {
    "context_dnn": {"name": "context_dnn", "width": 0.5},
    "blstm": {"name": "frame_blstm", "width": 1},
}


# -------------------------------------------------------------------- onsets, and the lead


def half(settings):
    """Return the settings with half of the steps."""
    return replace(settings, n_steps=max(1, settings.n_steps // 2))


def onsets(seed, settings, name, **overrides):
    """Train a framewise network on onsets and score the peaks of what it says.

    Parameters
    ----------
    seed, settings, name, **overrides
        As in `mirdl.experiments.networks.train`.

    Returns
    -------
    Evaluation
    """
    dataset = settings.dataset("onsets")
    model = train(seed, settings, name, dataset, **overrides)
    curves = [probabilities(model, dataset.subset(split))[:, 0] for split in ("valid", "test")]
    return score_peaks(dataset, *curves, model.step, models.n_parameters(model))


def flux(dataset, lag=1, max_size=1):
    """Return librosa's spectral flux of every clip, (n_clips, n_frames), 62.5 frames a second.

    Parameters
    ----------
    dataset : Dataset
    lag, max_size : int
        2 and 3 make it SuperFlux [Böck & Widmer, DAFx 2013], as librosa's gallery has it.
    """
    audio, curves = pack(dataset, progress=False), []
    for i in range(len(dataset)):
        curve = librosa.onset.onset_strength(
            y=audio.clip(i).numpy(),
            sr=dataset.sample_rate,
            n_fft=1024,
            hop_length=256,
            lag=lag,
            max_size=max_size,
        )
        curves.append(curve / max(curve.max(), 1e-8))  # as librosa's onset_detect does
    return np.stack(curves)


def onsets_by_flux(seed, settings, lag=1, max_size=1):
    """Score the peaks of the spectral flux.

    Parameters
    ----------
    seed : int
        Not used: nothing is drawn.
    settings, lag, max_size
        As in `flux`.

    Returns
    -------
    Evaluation
    """
    dataset = settings.dataset("onsets")
    curves = [flux(dataset.subset(split), lag, max_size) for split in ("valid", "test")]
    return score_peaks(dataset, *curves, 256 / dataset.sample_rate)


def score_peaks(dataset, valid_curves, test_curves, step, parameters=None):
    """Choose height and delay of peaks on the validation clips, then score those of the test clips.

    The best have the highest sum of both F-measures: a curve that is late by a constant, as
    librosa's flux is by about half a window, must not lose by that.

    Parameters
    ----------
    dataset : Dataset
        Target "onsets", with its splits.
    valid_curves, test_curves : array (n_clips, n_frames)
        Between 0 and 1.
    step : float
        Seconds from a frame to the next.
    parameters : int, optional

    Returns
    -------
    Evaluation
    """

    def picked(curves, peaks):
        return [in_time.pick(curve, step, *peaks) for curve in curves]

    def value(peaks):
        values = in_time.onset_values(valid, picked(valid_curves, peaks))
        return values["f_50"] + values["f_25"]

    valid, test = dataset.subset("valid"), dataset.subset("test")
    peaks = in_time.choose(value, list(product(in_time.HEIGHTS, in_time.DELAYS)))
    return in_time.onset_evaluation(test, picked(test_curves, peaks), parameters)


def lead(seed, settings, name, steps="all", **overrides):
    """Train a framewise network on whether the lead plays and score it frame by frame.

    Parameters
    ----------
    seed, settings, name, **overrides
        As in `mirdl.experiments.networks.train`.
    steps : {"all", "half"}

    Returns
    -------
    Evaluation
        Of frames, four a second.
    """
    dataset = settings.dataset("lead_activity")
    settings = half(settings) if steps == "half" else settings
    model = train(seed, settings, name, dataset, **overrides)
    test = dataset.subset("test")
    return evaluate(model, test, audio=pack(test, progress=False))


READ = ("chroma", "templates", "logistic")


def _chords(system, function, minutes, variants, seeds=1, **options):
    about = {"target": "chords", "options": options}
    return ladder(seeds, "chroma_and_chords", system, function, minutes, variants, **about)


def _in_time(experiment, system, function, minutes, seeds=1, unit="clip", **options):
    about = {"target": experiment, "unit": unit, "options": options}
    return ladder(seeds, experiment, system, function, minutes, (experiment,), **about)


def _direct(name, minutes, seeds):
    options = {"front_end": DEEP_CHROMA, **ON_TOP[name]}
    return _chords(f"mel_{name}", chords_by_network, minutes, ("chords",), seeds, **options)


RUNS = [
    *_chords("librosa", by_librosa, 0.6, READ),
    *_chords("librosa_smooth", by_librosa, 0.6, READ, smoothing=15),
    *_chords("learned_1", by_learned_chroma, 1.2, READ, 3, context=1),
    *_chords("learned_15", by_learned_chroma, 3.5, (*READ, *ON_TOP), 3, on_top=list(ON_TOP)),
    *_direct("blstm", 1.0, 3),
    *_direct("context_dnn", 1.3, 1),
    *_in_time("onsets", "spectral_flux", onsets_by_flux, 0.6),
    *_in_time("onsets", "superflux", onsets_by_flux, 0.6, lag=2, max_size=3),
    *_in_time("onsets", "onset_cnn", onsets, 1.9, 3, **ONSET_CNN),
    *_in_time("onsets", "frame_blstm", onsets, 1.2, **BLSTM),
    *_in_time("lead_activity", "frame_cnn", lead, 2.0, 3, "frame", steps="half", **FRAME_CNN),
    *_in_time("lead_activity", "frame_blstm", lead, 0.9, 3, "frame", **BLSTM),
    *_in_time("lead_activity", "frame_lstm", lead, 0.9, 3, "frame", **LSTM),
]
