"""Lesson 18's systems of before neural networks: folded chroma, chords from it, spectral flux."""

import librosa
import numpy as np
from scipy.ndimage import uniform_filter1d
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mirdl import features
from mirdl.datasets.pack import pack
from mirdl.models.framewise import DEEP_CHROMA

#: Every how many samples chroma is computed; five make one of the frames of deep chroma.
CHROMA_HOP = 320


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
