"""Lesson 02: metrics against scikit-learn, windows, clip averages, bootstrap, verdicts."""

from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn import metrics as sk

from mirdl.datasets import Dataset
from mirdl.errors import AudioError, MirdlError
from mirdl.evaluation import (
    SharedTags,
    average,
    chance_levels,
    evaluate,
    majority_vote,
    over_seeds,
    point_metrics,
    score,
    verdict,
    window_scores,
    window_starts,
)
from mirdl.evaluation.metrics import weighted_metrics, weighted_ranking
from mirdl.evaluation.scoring import artist_weights


@dataclass
class Clips:
    """A data set in memory: what `evaluate` asks of a `Dataset` and no more."""

    targets: np.ndarray
    artists: list
    task: str = "multilabel"
    waveforms: list = field(default_factory=list)
    sample_rate: int = 100
    name: str = "clips"

    def __post_init__(self):
        self.clips = pd.DataFrame({"artist": self.artists})
        many = self.targets.shape[1] if self.targets.ndim == 2 else self.targets.max() + 1
        self.tags = [f"tag{k}" for k in range(many)]
        self.n_outputs = many

    def __len__(self):
        return len(self.targets)

    def waveform(self, i):
        if self.waveforms[i] is None:
            raise AudioError(f"{i}.ogg", "file is empty")
        return self.waveforms[i]

    def select(self, index):
        return replace(
            self,
            targets=self.targets[index],
            artists=[self.artists[i] for i in np.arange(len(self))[index]],
            waveforms=[self.waveforms[i] for i in np.arange(len(self))[index]],
        )


class Level(torch.nn.Module):
    """A network whose logit is the mean of its window, once as it is and once negated."""

    def __init__(self, n_samples=100, sample_rate=100):
        super().__init__()
        self.n_samples, self.sample_rate = n_samples, sample_rate
        self.scale = torch.nn.Parameter(torch.ones(1))
        self.batch_sizes = []

    def forward(self, audio):
        self.batch_sizes.append(len(audio))
        mean = audio.mean(dim=1) * self.scale
        return torch.stack([mean, -mean], dim=1)


def multilabel(rng, n_artists=30, n_tags=5, clips_each=6):
    artists = np.repeat(np.arange(n_artists), clips_each)
    return Clips((rng.random((len(artists), n_tags)) < 0.3).astype(np.float32), list(artists))


def noisy(dataset, rng, noise):
    """Scores that follow the targets, with noise common to an artist and of each clip."""
    shape = (len(dataset), dataset.n_outputs)
    common = rng.normal(size=shape)[np.unique(dataset.artists, return_inverse=True)[1]]
    return dataset.targets + noise * (rng.normal(size=shape) + common)


coarse = st.integers(-3, 3).map(lambda x: x / 2)  # ties are common
cases = st.integers(2, 25).flatmap(
    lambda n: st.tuples(
        hnp.arrays(float, n, elements=coarse | st.floats(-5, 5)),
        hnp.arrays(np.int64, n, elements=st.integers(0, 1)),
        hnp.arrays(np.int64, (3, n), elements=st.integers(0, 4)),
    )
)


@given(cases)
def test_weighted_ranking_is_that_of_scikit_learn(case):
    scores, truth, weights = case
    for roc_auc, pr_auc, w in zip(
        *weighted_ranking(scores, truth, weights.astype(float)), weights, strict=True
    ):
        if w @ truth == 0 or w @ (1 - truth) == 0:
            assert np.isnan(roc_auc)
            assert np.isnan(pr_auc)
        else:
            kept = w > 0
            y, s, w = truth[kept], scores[kept], w[kept]
            assert roc_auc == pytest.approx(sk.roc_auc_score(y, s, sample_weight=w), abs=1e-9)
            expected = sk.average_precision_score(y, s, sample_weight=w)
            assert pr_auc == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("task", ["multilabel", "multiclass", "regression"])
def test_weights_count_clips(rng, task):
    """A weight of two is the clip twice: the weighted metrics equal the point metrics."""
    n, k = 60, 4
    scores = rng.normal(size=(n, k))
    targets = {
        "multilabel": (rng.random((n, k)) < 0.3).astype(np.float32),
        "multiclass": rng.integers(0, k, n),
        "regression": rng.normal(size=(n, k)).astype(np.float32),
    }[task]
    weights = rng.integers(0, 3, (5, n))
    overall, _ = weighted_metrics(scores, targets, task, weights)
    for row, w in enumerate(weights):
        index = np.repeat(np.arange(n), w)
        expected = point_metrics(scores[index], targets[index], task)
        for name, value in expected.items():
            assert overall[name][row] == pytest.approx(value, abs=1e-6), name


def test_multiclass_metrics_are_those_of_scikit_learn(rng):
    truth, scores = rng.integers(0, 4, 50), rng.normal(size=(50, 4))
    got, answer = point_metrics(scores, truth, "multiclass"), scores.argmax(1)
    assert got["accuracy"] == pytest.approx(sk.accuracy_score(truth, answer))
    assert got["f1_micro"] == pytest.approx(sk.f1_score(truth, answer, average="micro"))
    assert got["f1_macro"] == pytest.approx(sk.f1_score(truth, answer, average="macro"))


def test_chance_is_what_a_deaf_system_gets(rng):
    targets = rng.choice(4, 200, p=[0.5, 0.3, 0.2, 0])
    always = np.zeros((200, 4))
    always[:, 0] = 1
    assert chance_levels(targets, "multiclass", 4) == pytest.approx(
        point_metrics(always, targets, "multiclass")
    )
    targets = rng.normal(size=(200, 2))
    constant = np.tile(targets.mean(axis=0), (200, 1))
    assert chance_levels(targets, "regression", 2) == pytest.approx(
        point_metrics(constant, targets, "regression")
    )
    targets = (rng.random((300, 3)) < 0.2).astype(float)
    deaf = [point_metrics(rng.random((300, 3)), targets, "multilabel") for _ in range(60)]
    chance = chance_levels(targets, "multilabel", 3)
    for name, value in chance.items():
        assert np.mean([x[name] for x in deaf]) == pytest.approx(value, abs=0.03)


def test_a_tag_without_positives_is_left_out():
    targets = np.array([[1, 0], [0, 0], [1, 0], [0, 0]], dtype=np.float32)
    result = score(np.array([[4, 1], [1, 2], [3, 3], [2, 4]]), Clips(targets, list("abcd")), 200)
    assert result.metrics == {"roc_auc": 1.0, "pr_auc": 1.0}
    assert result.table["roc_auc"].isna().tolist() == [False, True]
    assert result.n_left_out > 200  # the second tag always, the first where a resample lacks it


def test_interval_covers_the_point_and_narrows_with_artists(rng):
    widths = []
    for n_artists in (10, 160):
        dataset = multilabel(rng, n_artists)
        result = score(noisy(dataset, rng, 1.0), dataset)
        low, high = result.interval["roc_auc"]
        assert low < result.metrics["roc_auc"] < high
        widths.append(high - low)
    assert widths[1] < 0.5 * widths[0]


def test_artists_are_drawn_not_clips():
    weights, first = artist_weights(["a", "b", "a", "c", "b"], 50)
    assert (weights[:, 0] == weights[:, 2]).all()
    assert (weights[:, 1] == weights[:, 4]).all()
    assert (weights[:, [0, 1, 3]].sum(axis=1) == 3).all()
    assert first == artist_weights(["c", "b", "a"], 50)[1]
    assert first != artist_weights(["c", "b", "d"], 50)[1]
    assert first != artist_weights(["c", "b", "a"], 50, seed=1)[1]


@pytest.mark.parametrize(
    ("scores", "message"),
    [(np.zeros((3, 2)), "shape"), (np.full((4, 2), np.nan), "NaN")],
)
def test_scores_are_checked(scores, message):
    targets = np.eye(4, 2, dtype=np.float32)
    with pytest.raises(MirdlError, match=message):
        score(scores, Clips(targets, list("abcd")))


@given(st.integers(1, 500), st.integers(1, 100), st.integers(1, 120))
def test_windows_start_with_the_clip_and_end_with_it(n_samples, window, hop):
    starts = np.array(window_starts(n_samples, window, hop))
    assert starts[0] == 0
    assert (np.diff(starts) > 0).all()
    assert (np.diff(starts) <= hop).all()
    assert (np.diff(starts)[:-1] == hop).all()
    assert starts[-1] + window == max(n_samples, window)


def test_evaluate_averages_windows_per_clip():
    loud, soft = np.full(250, 2.0, np.float32), np.full(250, -1.0, np.float32)
    step = np.concatenate([np.zeros(100), np.full(150, 3.0)]).astype(np.float32)
    short = np.full(50, 4.0, np.float32)  # padded with 50 zeros: mean 2
    targets = np.array([[1, 0], [0, 1], [1, 0], [0, 1]], dtype=np.float32)
    dataset = Clips(targets, list("abcd"), waveforms=[loud, soft, step, short])
    model = Level()
    result = evaluate(model, dataset, batch_size=4)

    def sigmoid(x):
        return 1 / (1 + np.exp(-x))

    expected = [sigmoid(2), sigmoid(-1), np.mean([sigmoid(0), sigmoid(3), sigmoid(3)]), sigmoid(2)]
    np.testing.assert_allclose(result.scores[:, 0], expected, atol=1e-6)
    assert model.batch_sizes == [4, 4, 2]  # 3 + 3 + 3 + 1 windows, batched across clips
    assert result.parameters == 1
    windows = window_scores(model, dataset, hop=50)
    assert windows.start[windows.clip == 0].tolist() == [0, 50, 100, 150]


def test_evaluate_takes_whole_clips_of_any_length():
    waveforms = [np.full(n, value, np.float32) for n, value in [(30, 1), (30, 2), (40, 3)]]
    dataset = Clips(np.array([0, 1, 1]), list("abc"), "multiclass", waveforms)
    model = Level(n_samples=None)
    result = evaluate(model, dataset)
    assert model.batch_sizes == [2, 1]
    np.testing.assert_allclose(result.scores.sum(axis=1), 1, atol=1e-6)


def test_evaluate_skips_and_reports_bad_clips():
    waveforms = [np.ones(250, np.float32), None, -np.ones(250, np.float32)]
    targets = np.array([[1, 0], [1, 1], [0, 1]], dtype=np.float32)
    with pytest.warns(UserWarning, match="1 clips skipped"):
        result = evaluate(Level(), Clips(targets, list("abc"), waveforms=waveforms))
    assert result.scores.shape == (2, 2)
    assert result.skipped == ["1.ogg: file is empty"]
    assert result.metrics["roc_auc"] == 1


def test_evaluate_leaves_the_model_as_it_was():
    dataset = Clips(np.eye(2, dtype=np.float32), list("ab"), waveforms=[np.ones(100, "f4")] * 2)
    model = Level()
    model.frozen = torch.nn.Dropout().eval()  # as in fine-tuning: one part stays in eval mode
    evaluate(model, dataset, n_bootstrap=10)
    assert model.training
    assert not model.frozen.training


@pytest.mark.parametrize(
    ("model", "message"), [(Level(sample_rate=200), "200 Hz"), (Level(), "2 outputs")]
)
def test_evaluate_refuses_what_does_not_fit(model, message):
    dataset = Clips(np.eye(3, dtype=np.float32), list("abc"), waveforms=[np.ones(100, "f4")] * 3)
    with pytest.raises(MirdlError, match=message):
        evaluate(model, dataset)


def test_a_network_is_scored_on_the_tags_it_shares():
    waveforms = [np.full(100, value, np.float32) for value in (-1, 1, 2)]
    rows = {"clip_id": list("abc"), "artist": list("abc"), "path": "", "split": "test"}
    clips = pd.DataFrame({**rows, "start": 0.0, "end": 1.0})
    targets = np.array([[0, 1], [1, 0], [1, 1]], dtype=np.float32)
    dataset = Dataset("theirs", clips, ["oboe", "quiet"], targets, "multilabel", sample_rate=100)
    dataset.waveform = waveforms.__getitem__
    model = Level()
    model.tags = ["loud", "quiet"]  # logits: mean, -mean
    shared = SharedTags(model, dataset)
    assert shared.dataset.tags == ["quiet"]
    shared.dataset.waveform = waveforms.__getitem__
    result = evaluate(shared, shared.dataset, n_bootstrap=10)
    assert result.metrics["roc_auc"] == 0.5  # -1 is quieter than 1 and 2, of which one is quiet
    model.tags = ["loud", "soft"]
    with pytest.raises(MirdlError, match="none of the network's tags"):
        SharedTags(model, dataset)


def test_evaluate_takes_baselines(rng):
    class Oracle:
        def predict(self, dataset):
            return dataset.targets

    dataset = multilabel(rng)
    dataset.clips["path"] = "a.ogg"
    assert evaluate(Oracle(), dataset).metrics["roc_auc"] == 1


def test_evaluate_skips_clips_that_a_baseline_could_not_read():
    class Deaf:
        def predict(self, dataset):
            return np.array([[0.9], [np.nan], [0.1]])

    targets = np.array([[1], [1], [0]], dtype=np.float32)
    dataset = Clips(targets, list("abc"), waveforms=[None] * 3)
    dataset.clips["path"] = ["a.ogg", "b.ogg", "c.ogg"]
    result = evaluate(Deaf(), dataset, n_bootstrap=10)
    assert result.skipped == ["b.ogg: no score"]
    assert result.scores.shape == (2, 1)


def test_evaluate_reads_from_a_pack():
    class Pack:
        def clip(self, i):
            return torch.full((100,), float(i))

    dataset = Clips(np.eye(2, dtype=np.float32), list("ab"), waveforms=[None, None])
    scores = evaluate(Level(), dataset, audio=Pack()).scores
    assert scores[0, 0] == pytest.approx(0.5)
    assert scores[1, 0] == pytest.approx(1 / (1 + np.exp(-1)))


def test_majority_vote_counts_windows():
    windows = np.array([[0.6, 0.3, 0.1], [0.1, 0.5, 0.4], [0.9, 0.1, 0.0]])
    np.testing.assert_allclose(majority_vote(windows, "multiclass"), [2 / 3, 1 / 3, 0])
    np.testing.assert_allclose(majority_vote(windows, "multilabel"), [2 / 3, 1 / 3, 0])
    np.testing.assert_allclose(average(windows, "multiclass"), windows.mean(axis=0))


# ------------------------------------------------------------------------------ verdicts


def systems(rng, dataset, noises, n_seeds=3):
    """Evaluations of systems whose errors are partly shared, several seeds each."""
    shared = noisy(dataset, rng, 1.0)
    return [
        [score(shared + noisy(dataset, rng, noise), dataset, 300) for _ in range(n_seeds)]
        for noise in noises
    ]


def test_a_clear_difference_holds_and_its_reverse_does_not(rng):
    good, bad = systems(rng, multilabel(rng, 60), (0.2, 3.0))
    assert verdict(good, bad).text == "holds"
    assert verdict(bad, good).text == "does not hold"
    assert verdict(good, bad, margin=0.9).text == "does not hold"
    assert verdict(good, bad, claim="equal", margin=0.001).text == "does not hold"
    assert verdict(good, good, claim="equal", margin=0.001).text == "holds"
    assert verdict(good, good, margin=-0.001).text == "holds"  # at least as good
    assert verdict(bad, good, margin=-0.001).text == "does not hold"


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 3), st.integers(1, 3))
def test_verdicts_are_antisymmetric(seed, n_a, n_b):
    rng = np.random.default_rng(seed)
    a, b = systems(rng, multilabel(rng, 12), (0.5, 1.0))
    one, other = verdict(a[:n_a], b[:n_b]), verdict(b[:n_b], a[:n_a])
    assert one.effect == pytest.approx(-other.effect)
    assert one.low == pytest.approx(-other.high)
    assert one.detectable == pytest.approx(other.detectable)
    assert (one.text == "holds") <= (other.text == "does not hold")
    assert one.low <= one.effect <= one.high


def test_identical_systems_are_not_greater(rng):
    (a,) = systems(rng, multilabel(rng), (1.0,))
    same = verdict(a, a)
    assert same.text == "does not hold"
    assert same.effect == same.detectable == 0


@pytest.mark.parametrize("n_seeds", [1, 3])
def test_equally_good_systems_rarely_hold(n_seeds):
    """Coverage: under no true difference about 95 % of the intervals hold zero."""
    rng = np.random.default_rng(5)
    covered, held = [], []
    for _ in range(150):
        dataset = multilabel(rng, 25, n_tags=1, clips_each=4)
        if n_seeds == 1:  # two systems of independent errors
            pair = [[score(noisy(dataset, rng, 1.0), dataset, 300)] for _ in range(2)]
        else:  # one system against itself, trained again
            pair = systems(rng, dataset, (1.0, 1.0), n_seeds)
        result = verdict(*pair)
        covered.append(result.low <= 0 <= result.high)
        held.append(result.text == "holds")
    assert np.mean(covered) > 0.9
    assert np.mean(held) < 0.06


def test_detectable_differences_are_detected():
    """Simulated power: an effect of the stated size is found in about 8 cases of 10."""
    rng = np.random.default_rng(6)
    n_artists, n_bootstrap = 40, 300
    found = []
    for _ in range(200):
        per_artist = rng.normal(0, 1, n_artists)
        weights, _ = artist_weights(np.arange(n_artists), n_bootstrap)

        def row(values, weights=weights):
            replicates = weights @ values / n_artists
            return {
                "metrics": {"x": values.mean()},
                "replicates": {"x": replicates},
                "resample_id": "",
                "n_artists": n_artists,
            }

        none = row(np.zeros(n_artists))
        detectable = verdict(row(per_artist), none).detectable
        found.append(verdict(row(per_artist + detectable), none).text == "holds")
    assert 0.72 < np.mean(found) < 0.88


def test_more_spread_over_seeds_widens_the_interval():
    def row(value):
        replicates = {"x": value + np.linspace(-0.01, 0.01, 50)}
        return {
            "metrics": {"x": value},
            "replicates": replicates,
            "resample_id": "",
            "n_artists": 9,
        }

    calm = verdict([row(x) for x in (0.6, 0.6, 0.6)], [row(x) for x in (0.5, 0.5, 0.5)])
    wild = verdict([row(x) for x in (0.4, 0.6, 0.8)], [row(x) for x in (0.5, 0.5, 0.5)])
    assert calm.text == "holds"
    assert wild.text == "cannot be told"
    assert wild.effect == pytest.approx(calm.effect)


def test_verdict_refuses_unpaired_systems(rng):
    one, other = multilabel(rng, 10), multilabel(rng, 11)
    a, b = score(one.targets, one, 50), score(other.targets, other, 50)
    with pytest.raises(MirdlError, match="paired"):
        verdict(a, b)
    with pytest.raises(MirdlError, match="no such claim"):
        verdict(a, a, claim="equal")


def test_missing_rows_cannot_be_told(rng):
    dataset = multilabel(rng, 10)
    result = verdict([], [score(dataset.targets, dataset, 50)])
    assert result.text == "cannot be told"
    assert "missing" in str(result)


def test_over_seeds_gives_mean_and_deviation(rng):
    (a,) = systems(rng, multilabel(rng), (1.0,))
    table = over_seeds(a)
    values = [x.metrics["roc_auc"] for x in a]
    assert table.loc["roc_auc", "mean"] == pytest.approx(np.mean(values))
    assert table.loc["roc_auc", "deviation"] == pytest.approx(np.std(values, ddof=1))
    assert table.loc["roc_auc", "chance"] == 0.5
