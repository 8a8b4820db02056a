"""Lesson 01: what the mean and deviation of each representation tell a linear classifier."""

from functools import lru_cache

import librosa
import numpy as np
import pandas as pd
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mirdl import features
from mirdl.datasets.pack import pack
from mirdl.evaluation import point_metrics, score
from mirdl.experiments.plan import Run
from mirdl.models.baselines import PerOutput

TARGETS = ("tags", "dance", "key")
#: Weight of the data against the penalty; the validation artists choose.
STRENGTHS = (0.001, 0.01, 0.1, 1.0)


def _mel(**settings):
    front_end = features.front_end("mel96", **settings)
    return lambda x: front_end(torch.from_numpy(x)[None])[0].numpy()


def _loudness(x):
    rms, crossings = librosa.feature.rms(y=x), librosa.feature.zero_crossing_rate(x)
    return np.concatenate([20 * np.log10(rms + 1e-5), crossings])


def _stft(x):
    power = np.abs(librosa.stft(x, n_fft=512, hop_length=256)) ** 2
    return 10 * np.log10(np.maximum(power, 1e-10))


def _cqt(x):
    return 20 * np.log10(np.maximum(features.cqt(x), 1e-5))


#: From a waveform at 16 kHz to (n_rows, n_frames), in the order of the lesson.
VIEWS = {
    "waveform": _loudness,  # level in dB and rate of zero crossings, frame by frame
    "stft": _stft,  # 257 bins, dB
    "mel_power": _mel(compression=None),
    "mel_log": _mel(compression="log1p"),
    "mel_db": _mel(),
    "cqt": _cqt,  # 84 bins, dB
    "chroma": features.chroma,
}


def describe(x, view):
    """Sum a clip up, whatever its length.

    Parameters
    ----------
    x : numpy.ndarray, float32 (n_samples,)
        At 16 kHz.
    view : str
        A name of ``VIEWS``, or "mfcc120".

    Returns
    -------
    numpy.ndarray, float32 (2 * n_rows,)
        Mean and deviation over time of each row.
    """
    if view == "mfcc120":
        return features.mfcc120(x)
    image = VIEWS[view](x)
    return np.concatenate([image.mean(axis=1), image.std(axis=1)]).astype(np.float32)


def linear(seed, settings, view="mel_db", targets=TARGETS):
    """Classify clips by the statistics of one representation, for each target.

    One logistic regression a tag or class, on standardized features. It draws no random numbers.
    What varies is who one has heard: each seed trains on a random 80 % of the training artists.

    Parameters
    ----------
    seed : int
    settings : Settings
    view : str
        See `describe`.
    targets : sequence of str

    Returns
    -------
    dict of str to Evaluation
        By target, of the test clips.
    """
    made = {}
    for target in targets:
        dataset = settings.dataset(target)
        clips = dataset.clips
        x = _described(settings, view).loc[clips["clip_id"]].to_numpy()
        y = dataset.targets
        if dataset.task == "multiclass":
            y = np.eye(dataset.n_outputs)[y]
        train, valid, test = (clips["split"] == split for split in ("train", "valid", "test"))
        artists = clips["artist"][train].unique()
        rng = np.random.default_rng(seed)
        heard = rng.choice(artists, size=round(0.8 * len(artists)), replace=False)
        train &= clips["artist"].isin(heard)
        best, chosen = -np.inf, None
        for strength in STRENGTHS:
            regression = LogisticRegression(C=strength, max_iter=1000)
            model = PerOutput(make_pipeline(StandardScaler(), regression), None)
            model.fit(x[train], y[train], dataset.task, None)
            found = point_metrics(model.scores(x[valid]), dataset.targets[valid], dataset.task)
            reached = next(iter(found.values()))  # ROC-AUC or accuracy
            if reached > best:
                best, chosen = reached, model
        made[target] = score(chosen.scores(x[test]), dataset.subset("test"))
    return made


@lru_cache(maxsize=1)  # the seeds of one view follow each other
def _described(settings, view):
    """Return `describe` of every clip: DataFrame with clip ids as index."""
    dataset = settings.dataset()
    audio = pack(dataset, progress=False)
    rows = [describe(audio.clip(i).numpy(), view) for i in range(len(dataset))]
    return pd.DataFrame(rows, index=dataset.clips["clip_id"])


RUNS = [
    Run(
        "representations",
        view,
        linear,
        seed,
        TARGETS,
        minutes=0.5,
        target="+".join(TARGETS),
        options={"view": view},
    )
    for view in (*VIEWS, "mfcc120")
    for seed in range(3)
]
