"""Truth at every frame: what a crop is told, and that fit and evaluate learn and score by it."""

from dataclasses import dataclass, replace

import mir_eval
import numpy as np
import pytest
import torch
from tones import RATE, tones

from mirdl import datasets, models, training
from mirdl.datasets.frames import FrameTargets, examples
from mirdl.datasets.pack import pack
from mirdl.errors import MirdlError
from mirdl.evaluation import evaluate, in_time, score, window_scores
from mirdl.models.framewise import LearnedChroma

HOP = 256


@dataclass
class Ramps:
    """Tag k is on from frame 10 (k + 1) on; or, if exclusive, until the next one."""

    exclusive: bool = False

    def frames(self, clip, sample_rate):
        n_frames = 1 + round(1.5 * sample_rate) // HOP
        on = np.arange(n_frames)[:, None] >= 10 * np.arange(1, 4)
        if self.exclusive:
            on = np.eye(3)[on.sum(axis=1).clip(1) - 1]
        return np.arange(n_frames) * HOP / sample_rate, on.astype(np.float32)


@dataclass
class Tones:
    """The tones of a clip sound from its beginning to its end."""

    targets: dict

    def frames(self, clip, sample_rate):
        n_frames = 1 + round(1.5 * sample_rate) // HOP
        times = np.arange(n_frames) * HOP / sample_rate
        return times, np.tile(self.targets[clip["clip_id"]], (n_frames, 1))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("tones")


def framed(folder, task="frames"):
    """The data set of tones with truth for every frame: each clip's own, at all of its frames."""
    one_class = task == "frame_classes"
    dataset = tones(folder / task, "multiclass" if one_class else "multilabel")
    targets = np.eye(3, dtype=np.float32)[dataset.targets] if one_class else dataset.targets
    truth = Tones(dict(zip(dataset.clips["clip_id"], targets, strict=True)))
    return replace(dataset, targets=targets, task=task, truth=truth)


def network(n_outputs=3, **overrides):
    torch.manual_seed(0)
    overrides = {"front_end": "mel96", "context": 3, "hidden": (64,), **overrides}
    return models.build("context_dnn", n_outputs, **overrides)


def fit(model, dataset, **options):
    options = {"batch_size": 8, "crop_seconds": 1, "progress": False, "device": "cpu"} | options
    return training.fit(model, dataset.subset("train"), dataset.subset("valid"), **options)


def test_a_crop_is_told_what_sounds_in_it(folder):
    dataset = replace(framed(folder), truth=Ramps())
    targets, audio = FrameTargets(dataset), pack(dataset, progress=False)
    clips, n_samples = np.array([0, 5, 7]), 8000
    begun = audio.offsets(clips, n_samples, seed=3, epoch=1)
    crops = audio.crops(clips, n_samples, seed=3, epoch=1)
    for clip, start, crop in zip(clips, begun, crops, strict=True):
        first = round(start * RATE)
        torch.testing.assert_close(audio.clip(clip)[first : first + n_samples], crop)
    times = np.arange(1 + n_samples // HOP) * HOP / RATE
    heard = targets.at(clips, begun[:, None] + times)
    assert heard.shape == (3, 3, len(times))
    nearest = np.round(begun[:, None] * RATE / HOP + np.arange(len(times)))
    expected = nearest[:, None, :] >= 10 * np.arange(1, 4)[:, None]
    np.testing.assert_array_equal(heard.numpy(), expected)


def test_frames_of_another_hop_get_the_nearest_label_and_nothing_beyond_the_end(folder):
    dataset = replace(framed(folder), truth=Ramps())
    heard = FrameTargets(dataset).at([0], np.arange(21) * 0.1)  # 2 s; the clip has 1.5 s
    starts = 10 * np.arange(1, 4) * HOP / RATE
    inside = np.arange(21) * 0.1 < 1.5  # the last frame is at 1.488 s
    expected = inside & (np.arange(21) * 0.1 + HOP / RATE / 2 > starts[:, None])
    np.testing.assert_array_equal(heard[0].numpy(), expected)


@pytest.mark.parametrize(("task", "metric"), [("frames", "roc_auc"), ("frame_classes", "accuracy")])
def test_fit_learns_frame_by_frame(folder, task, metric):
    dataset, model = framed(folder, task), network()
    history = fit(model, dataset, n_epochs=20, learning_rate=3e-3)
    assert history["train_loss"].iloc[-1] < 0.5 * history["train_loss"].iloc[0]
    assert history[f"valid_{metric}"].max() > 0.9
    test = dataset.subset("valid")
    made = evaluate(model, test)
    assert made.metrics[metric] > 0.9
    assert len(made.scores) == 6 * len(test)  # 1.5 s, every quarter of a second
    assert made.n_artists == test.clips["artist"].nunique()


def test_same_seed_same_numbers(folder):
    dataset = framed(folder)
    a, b = (fit(network(), dataset, n_epochs=2)["train_loss"] for _ in range(2))
    assert a.tolist() == b.tolist()


def test_scored_frames_are_those_of_the_clip(folder):
    dataset = replace(framed(folder, "frame_classes"), truth=Ramps(exclusive=True))
    scores = np.random.default_rng(0).random((len(dataset), 3, 94))
    frames, chosen = examples(dataset, scores, HOP / RATE)
    assert frames.task == "multiclass"
    assert frames.targets[:6].tolist() == [0, 0, 2, 2, 2, 2]  # frames 0, 16, 32, …
    np.testing.assert_array_equal(chosen[:6], scores[0, :, ::16].T)
    np.testing.assert_array_equal(chosen[6:12], scores[1, :, ::16].T)


def test_whole_clips_are_scored_whatever_the_crops_were(folder):
    model = network(for_seconds=0.5)
    scores = window_scores(model, framed(folder).subset("valid")).scores
    assert scores.shape[1:] == (3, 94)


def test_targets_and_decisions_must_fit(folder):
    with pytest.raises(MirdlError, match="targets of clips, the network decides on frames"):
        fit(network(), tones(folder / "frames"))
    small = models.build("dieleman_spectrogram", 3, width=0.25, for_seconds=1)
    with pytest.raises(MirdlError, match="targets of frames, the network decides on clips"):
        fit(small, framed(folder), crop_seconds=None)
    with pytest.raises(MirdlError, match="one of frames"):
        score(np.zeros((4, 3)), framed(folder).select(range(4)))


def test_learned_chroma_is_a_front_end_that_stays_as_it_is(folder):
    dataset, below = framed(folder), network()
    before = {name: w.clone() for name, w in below.state_dict().items()}
    model = models.build("frame_blstm", 3, front_end=LearnedChroma(below), hidden=(4,))
    assert models.n_parameters(model) == 4 * 4 * (3 + 4 + 2) * 2 + 3 * 9
    fit(model, dataset, n_epochs=2)
    assert all(torch.equal(before[name], w) for name, w in below.state_dict().items())
    audio = torch.randn(2, 8000)
    torch.testing.assert_close(model.train().front_end(audio), below.eval()(audio).sigmoid())


# ------------------------------------------------------------------------- metrics


@pytest.fixture(scope="module", name="test_clips")
def _test_clips():
    return {
        target: datasets.load("minitag", target=target).subset("test").select(np.arange(0, 270, 27))
        for target in ("chords", "onsets", "chroma")
    }


def truth(dataset, step=HOP / RATE):
    seconds = np.arange(1 + int(10 / step)) * step
    return FrameTargets(dataset).at(np.arange(len(dataset)), seconds).numpy()


def test_segments_cover_a_clip():
    intervals, labels = in_time.segments(np.array([2, 2, 0, 0, 1]), 0.5, list("abc"), 2.0)
    assert labels == ["c", "a", "b"]
    np.testing.assert_allclose(intervals, [[0, 0.75], [0.75, 1.75], [1.75, 2.0]])
    assert in_time.segments(np.zeros(3, int), 0.5, ["N"], 1.0)[1] == ["N"]


def test_the_truth_scores_one(test_clips):
    made = in_time.chord_evaluation(test_clips["chords"], truth(test_clips["chords"]), HOP / RATE)
    assert made.metrics == pytest.approx({"majmin": 1, "segmentation": 1})
    onsets = test_clips["onsets"]
    found = [in_time.onset_times(onsets, i) for i in range(len(onsets))]
    assert set(in_time.onset_evaluation(onsets, found).metrics.values()) == {1.0}
    chroma = test_clips["chroma"]
    made = in_time.chroma_evaluation(chroma, truth(chroma), HOP / RATE, 0.5)
    assert made.metrics == pytest.approx({"f1": 1, "cosine": 1})


def test_majmin_is_that_of_mir_eval(test_clips):
    dataset = test_clips["chords"].select([0])
    scores = np.random.default_rng(0).random((1, 25, 11))
    found = in_time.chord_values(dataset, scores, 1.0)
    times, labels = dataset.frames(0)
    sides = in_time.segments(labels.argmax(axis=1), times[1], dataset.tags, times[-1])
    sides += in_time.segments(scores[0].argmax(axis=0), 1.0, dataset.tags, times[-1])
    theirs = mir_eval.chord.evaluate(*sides)
    assert found["majmin"][0] == pytest.approx(theirs["majmin"])
    assert found["segmentation"][0] == pytest.approx(theirs["seg"])


def test_onsets_are_found_within_the_tolerance_only(test_clips):
    onsets = test_clips["onsets"]
    times = [in_time.onset_times(onsets, i) for i in range(len(onsets))]
    assert min(np.diff(times[0])) > in_time.TOGETHER
    late = in_time.onset_values(onsets.select([0]), [times[0][:1] + 0.04])
    assert late["precision"][0] == 1
    assert late["f_25"][0] == 0


def test_peaks_of_a_curve_are_picked():
    curve = np.zeros(100)
    curve[[10, 40, 41, 70]] = 0.9, 0.8, 0.5, 0.05
    np.testing.assert_allclose(in_time.pick(curve, 0.016, 0.1), [0.16, 0.64])
    assert len(in_time.pick(curve, 0.016, 0.02)) == 3
    np.testing.assert_allclose(in_time.pick(curve, 0.016, 0.1, delay=0.2), [0, 0.44])


def test_clips_without_a_value_are_left_out(test_clips):
    values = {"f": np.append(np.nan, np.linspace(0, 1, 9))}
    made = in_time.clip_means(values, test_clips["onsets"], {"f": 0.1})
    assert made.metrics["f"] == pytest.approx(0.5)
    assert made.table.loc["f", "clips"] == 9
    assert made.interval["f"][0] < 0.5 < made.interval["f"][1]
    frames = score(np.zeros((10, 12)), replace(test_clips["chroma"], task="regression"))
    assert made.resample_id == frames.resample_id


def test_templates_know_a_triad(test_clips):
    from mirdl.experiments.in_time_baselines import templates

    chroma = np.zeros((1, 12, 2))
    chroma[0, [9, 0, 4], 0] = 1  # A minor
    chroma[0, [2, 6, 9], 1] = 1  # D major
    tags = test_clips["chords"].tags
    best = templates(chroma, tags).argmax(axis=1)[0]
    assert [tags[k] for k in best] == ["A:min", "D:maj"]
