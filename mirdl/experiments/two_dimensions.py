"""Lesson 08: networks of small filters that move along frequency and time.

The claims, decided before any row existed (macro ROC-AUC of the tags, three seeds a side):

- [slides; Won et al., SMC 2020] short chunks with a global maximum are at least as good as long
  input with huge pools: `short_chunk_cnn` on 3 s against `fcn` on 10 s, greater than -0.01. Ours:
  the same with one window of 3 s a clip, and with as few parameters as the FCN.
- [the slides' benchmark, 0.9129 and 0.9126] residual connections change nothing: within 0.02.
- Ours: averaging over a clip's windows helps. Ours, after the slides' "relatively invariant to
  pitch shifting": moved up by four mel bands, the test spectrograms get the same score from the
  2D network (within 0.02), and a lower one from a 1D network on the same front end.
"""

import torch

from mirdl import models
from mirdl.datasets.pack import pack
from mirdl.evaluation import score, window_scores
from mirdl.experiments.networks import train
from mirdl.experiments.plan import ladder

#: Windows of 3 s, from the clip's begin on, whose mean is its score; all of them are "tags".
FIRST_WINDOWS = (1, 2, 3)
#: Mel bands by which the test spectrograms are moved up.
SHIFTS = (2, 4, 8)


def moved_up(spectrogram, bands):
    """Move a spectrogram up in frequency; below, its lowest band is repeated.

    With the "mel96" preset, four bands are a minor third at 1 kHz, more below, less above.

    Parameters
    ----------
    spectrogram : torch.Tensor, (..., n_mels, n_frames)
    bands : int
        At least 0; the highest ones fall off.

    Returns
    -------
    torch.Tensor, (..., n_mels, n_frames)
    """
    n_kept = spectrogram.shape[-2] - bands
    lowest = spectrogram[..., :1, :].expand(*spectrogram.shape[:-2], bands, -1)
    return torch.cat([lowest, spectrogram[..., :n_kept, :]], dim=-2)


def tags(seed, settings, name="fcn", first_windows=(), shifts=(), **overrides):
    """Train a network on the tags; score it as always, on less of each clip, and on moved clips.

    Parameters
    ----------
    seed : int
    settings : Settings
    name : str
        A network of `mirdl.models.build`.
    first_windows : sequence of int
        Numbers of windows to average, in place of all.
    shifts : sequence of int
        Mel bands by which to move the test spectrograms up.
    **overrides
        Of `mirdl.models.build`.

    Returns
    -------
    dict of str to Evaluation
        "tags", and as asked for "first_1", …, "up_2", ….
    """
    dataset = settings.dataset("tags")
    model = train(seed, settings, name, dataset, **overrides)
    test = dataset.subset("test")
    audio = pack(test, progress=False)
    options = {"parameters": models.n_parameters(model)}

    def judge(windows, n=None):
        heard, scores = windows.by_clip(test.task, lambda rows, task: rows[:n].mean(axis=0))
        return score(scores, test.select(heard), skipped=windows.skipped, **options)

    windows = window_scores(model, test, audio=audio)
    made = {"tags": judge(windows)} | {f"first_{n}": judge(windows, n) for n in first_windows}
    for bands in shifts:
        hook = model.front_end.register_forward_hook(
            lambda module, args, spectrogram, bands=bands: moved_up(spectrogram, bands)
        )
        made[f"up_{bands}"] = judge(window_scores(model, test, audio=audio))
        hook.remove()
    return made


def _runs(system, name, minutes, seeds=1, **options):
    variants = ("tags",)
    variants += tuple(f"first_{n}" for n in options.get("first_windows", ()))
    variants += tuple(f"up_{bands}" for bands in options.get("shifts", ()))
    options = {"name": name, **options}
    return ladder(seeds, "two_dimensions", system, tags, minutes, variants, options=options)


RUNS = [
    # the 1D network of lesson 07, on the front end of all others, for comparison
    *_runs(
        "one_dimension",
        "dieleman_spectrogram",
        0.5,
        3,
        shifts=SHIFTS,
        front_end="mel96",
        input_norm=True,
    ),
    *_runs("fcn", "fcn", 3.9, 3),
    *_runs("fcn_3s", "fcn", 1.1, for_seconds=3),
    *_runs("fcn4", "fcn4", 4.2, width=0.125),  # about as large as the short-chunk CNN
    *_runs("compact_cnn", "compact_cnn", 2.1, for_seconds=3),
    *_runs("vgg", "vgg", 2.9, 3),
    *_runs(
        "short_chunk_cnn",
        "short_chunk_cnn",
        2.6,
        3,
        first_windows=FIRST_WINDOWS,
        shifts=SHIFTS,
    ),
    *_runs("short_chunk_narrow", "short_chunk_cnn", 0.9, 3, width=0.085),  # as large as the FCN
    *_runs("short_chunk_res", "short_chunk_res", 2.0, 3),
    *_runs("short_chunk_se", "short_chunk_res", 2.1, squeeze=1 / 16),
]
