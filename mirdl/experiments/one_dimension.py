"""Lesson 07: what 1D convolutions over time make of windows, compression, pooling and key.

All networks of the table hear the 128 log-mel bands of Dieleman and Schrauwen's Table 1, at
512/256 samples where the window is not the question. The claims, each a difference of macro
ROC-AUC over three seeds a side, margin 0 for "greater" and 0.01 for "equal":

- Shorter windows help [section 4.2]: 512/512 above 1024/512, 256/256 above 512/256.
- Halving the hop alone does not: 1024/512 equals 1024/1024, 512/256 equals 512/512.
- The logarithm helps [section 2, there without a number]: 512/256 above ``linear``.
- Strides are similar to max-pooling [tutorial, section 5.2]: ``strided`` equals 512/256.
- Transposing the key changes 1D maps more than 2D ones (ours): see `transposition`.
"""

from dataclasses import replace

import librosa
import torch
from torch.nn import functional as F

from mirdl.audio import from_int16, to_int16
from mirdl.datasets.pack import pack
from mirdl.evaluation import evaluate, score
from mirdl.experiments.networks import judge, network, train
from mirdl.experiments.plan import ladder
from mirdl.models.cnn1d import Levels

FRONT_END = "mel128_log"
#: Window and hop of Dieleman and Schrauwen's Table 1, in samples; 1,024 are 64 ms.
WINDOWS = ((1024, 1024), (1024, 512), (512, 512), (512, 256), (256, 256))
#: Lengths in frames of the local networks; 256 samples apart, 18 are 0.3 s and 216 are 3.5 s.
SCALES = (18, 27, 54, 108, 216)
#: Networks whose maps are compared, on one spectrogram: 96 bands in dB, normalised by a batch
#: normalisation. The layer is the last that still has the shape of a map.
LAST_MAP = {"dieleman_spectrogram": "conv2", "short_chunk_cnn": "blocks.6"}
SAME_INPUT = {"dieleman_spectrogram": {"front_end": "mel96", "input_norm": True}}
#: Semitones of two shifts, one after the other. Both pairs do the damage of two shifts of one
#: semitone; the first ends in the old key, the second two semitones higher.
OLD_KEY, NEW_KEY = (-1, 1), (1, 1)


def in_two_stages(seed, settings, frames=SCALES):
    """Train a small network at each scale, then a dense network on what their layers give.

    As Lee and Nam (2017) do it; `multi_level_multi_scale` of the zoo is trained as one.

    Parameters
    ----------
    seed : int
    settings : Settings
        Its steps are those of every network, and of the dense network.
    frames : sequence of int
        Length of each network's input.

    Returns
    -------
    Evaluation
        Of the tags of the test clips.
    """
    dataset = settings.dataset()
    levels = []
    for n_frames in frames:
        local = train(seed, settings, "local_cnn", dataset, front_end=FRONT_END, n_frames=n_frames)
        levels.append(Levels(local, [f"blocks.{i}" for i in range(len(local.blocks))]))
    model = train(seed, settings, "multi_level_multi_scale", dataset, levels=levels)
    return judge(model, dataset)


class Transposed:
    """The clips of a pack after pitch shifts, at the same tempo and level.

    A phase vocoder makes a clip about 3 dB softer with every shift, which would change the maps
    more than the key does; the level is therefore restored.

    Parameters
    ----------
    recorded : Pack
    n_clips : int
    semitones : sequence of float
        Shifts, one after the other, each by a phase vocoder and resampling.
    """

    def __init__(self, recorded, n_clips, semitones):
        self.clips = []
        for i in range(n_clips):
            waveform = shifted = recorded.clip(i).numpy()
            for steps in semitones:
                shifted = librosa.effects.pitch_shift(
                    shifted, sr=recorded.sample_rate, n_steps=steps, n_fft=1024
                )
            gain = waveform.std() / max(shifted.std(), 1e-6)
            self.clips.append(to_int16(gain * shifted))

    def clip(self, i):
        """Return a clip as a float32 tensor (n_samples,), as a pack does."""
        return torch.from_numpy(from_int16(self.clips[i]))


def map_means(model, layer, audio, n_clips):
    """Return the mean over time of each channel of a layer, (n_clips, channels), for every clip.

    Parameters
    ----------
    model : Tagger
        A trained network, which hears a clip in pieces of its own length; a shorter clip is
        followed by zeros.
    layer : str
        One of its parts.
    audio : Pack or Transposed
    n_clips : int
    """
    levels = Levels(model, [layer], summary="mean").eval()
    clips = (audio.clip(i) for i in range(n_clips))
    padded = (F.pad(x, (0, max(model.n_samples - len(x), 0))) for x in clips)
    with torch.inference_mode():
        return torch.cat([levels(x[None]) for x in padded]).numpy()


def changed(before, after, test):
    """Score how far what a network's channels say of the test clips has moved.

    Every channel is brought to mean 0 and deviation 1 over the clips before. RMSE is then the
    change in units of the channel's own spread, averaged over channels: 0 where nothing changes,
    1 (the chance level) where the channel's mean would do as well.

    Parameters
    ----------
    before, after : array (n_clips, channels)
        Of `map_means`. Channels that are above zero in less than a tenth of the clips are left
        out: a resample may hold none of these.
    test : Dataset

    Returns
    -------
    Evaluation
        Of a regression, from the maps after to those before.
    """
    alive = (before > 0).mean(axis=0) > 0.1
    mean, spread = before.mean(axis=0), before.std(axis=0).clip(min=1e-6)
    before, after = (((x - mean) / spread)[:, alive] for x in (before, after))
    names = [f"channel {i}" for i in alive.nonzero()[0]]
    return score(after, replace(test, targets=before, tags=names, task="regression"))


def transposition(seed, settings, name):
    """Train a network, then let it hear the test clips two semitones higher.

    A filter as tall as the spectrogram knows at which bands it found its pattern; a small filter
    that moves along frequency finds it a few bands higher too. Whether the maps at the end of the
    two networks differ in that is the question.

    Shifting pitch does some damage of its own. Clips in the new key are therefore compared with
    clips that were shifted as often, and ended in the old one: ``NEW_KEY`` with ``OLD_KEY``.

    Parameters
    ----------
    seed : int
    settings : Settings
    name : str
        A name of ``LAST_MAP``.

    Returns
    -------
    dict of str to Evaluation
        "recorded", "old_key" and "new_key": the tags of the test clips as they are, and after the
        shifts (no tag of the embedded data names a key). "maps": `changed` of the layer
        ``LAST_MAP[name]`` from the old to the new key. "damage": the same from the recorded clips
        to those in the old key. The claim is that the RMSE of "maps" is greater for the 1D
        network.
    """
    dataset = settings.dataset()
    model = train(seed, settings, name, dataset, **SAME_INPUT.get(name, {}))
    test = dataset.subset("test")
    recorded = pack(test, progress=False)
    old_key, new_key = (Transposed(recorded, len(test), steps) for steps in (OLD_KEY, NEW_KEY))
    heard = {"recorded": recorded, "old_key": old_key, "new_key": new_key}
    maps = {key: map_means(model, LAST_MAP[name], x, len(test)) for key, x in heard.items()}
    return {
        **{key: evaluate(model, test, audio=x) for key, x in heard.items()},
        "maps": changed(maps["old_key"], maps["new_key"], test),
        "damage": changed(maps["recorded"], maps["old_key"], test),
    }


def _runs(system, seeds, minutes, function=network, **options):
    return ladder(seeds, "one_dimension", system, function, minutes, options=options)


def _dieleman(system, n_fft=512, hop_length=256, minutes=0.6, strided=False, **front_end):
    front_end = {"preset": FRONT_END, "n_fft": n_fft, "hop_length": hop_length, **front_end}
    options = {"name": "dieleman_spectrogram", "front_end": front_end}
    return _runs(system, 3, minutes, **options, **({"strided": True} if strided else {}))


def _spotify(*poolings):
    system = f"spotify_{poolings[0] if len(poolings) == 1 else 'all'}"
    options = {"name": "spotify_cnn", "front_end": FRONT_END, "poolings": poolings}
    return _runs(system, 1, 1.6, **options)


#: What `transposition` compares.
CHANGES = ("recorded", "old_key", "new_key", "maps", "damage")

RUNS = [
    *(run for n_fft, hop in WINDOWS for run in _dieleman(f"{n_fft}_{hop}", n_fft, hop)),
    *_dieleman("linear", compression=None),
    *_dieleman("strided", minutes=0.5, strided=True),
    *_spotify("mean"),
    *_spotify("max"),
    *_spotify("l2"),
    *_spotify("mean", "max", "l2"),
    *_runs(
        "multi_level_multi_scale",
        1,
        2.2,
        name="multi_level_multi_scale",
        front_end=FRONT_END,
        frames=SCALES,
    ),
    *_runs("multi_level_in_two_stages", 1, 4, in_two_stages),
    *(
        run
        for name, minutes in (("dieleman_spectrogram", 1.3), ("short_chunk_cnn", 3.6))
        for run in ladder(
            3, "transposition", name, transposition, minutes, CHANGES, options={"name": name}
        )
    ),
]
