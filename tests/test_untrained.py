"""Lesson 17's experiments: untrained features on every target, the trap, t-tests and ranks."""

from dataclasses import replace

import fake_minitag
import numpy as np
import pytest
from scipy import stats
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from tones import tones
from toy_results import small_dataset

from mirdl.evaluation import score
from mirdl.experiments import plan, runner, settings, store, untrained, untrained_compared
from mirdl.models.random_features import Extractor

pytestmark = pytest.mark.usefixtures("own_results")


@pytest.fixture
def chosen(tmp_path, monkeypatch):
    fake_minitag.make(tmp_path / "minitag")
    monkeypatch.setenv("MIRDL_DATA", str(tmp_path))
    return settings.choose(budget="smoke")


def run_of(experiment, system):
    return next(r for r in untrained.RUNS if (r.experiment, r.system) == (experiment, system))


@pytest.mark.parametrize("system", ["mfcc", "timbral_temporal_small", "temporal_large"])
def test_one_run_makes_the_rows_of_all_targets(system, chosen):
    made = runner.execute(run_of("untrained", system), chosen)
    assert [len(e.scores) for e in made.values()] == [3, 3, 6, 6, 6]  # dance, lead, tags
    assert next(iter(made["dance-svm"].metrics)) == "accuracy"
    assert next(iter(made["tags"].metrics)) == "roc_auc"


def test_the_trap_has_all_kinds_of_batches(chosen):
    made = runner.execute(run_of("batch_trap", "vgg"), chosen)
    assert made["none"].chance == made["sorted_60"].chance
    assert made["dealt_none"].chance == made["dealt_60"].chance


def test_batches_of_one_class():
    labels = np.array([2, 0, 1, 0, 2])
    found = untrained.classes(np.array([3, 1, 2, 4, 0]), labels)
    assert [batch.tolist() for batch in found] == [[3, 1], [2], [4, 0]]


def test_only_normalised_features_depend_on_their_batch(chosen):
    dataset = chosen.dataset("dance")
    batches = np.split(np.random.default_rng(0).permutation(len(dataset)), 3)
    for batch_norm in (False, True):
        network = Extractor("vgg", batch_norm=batch_norm)
        alone, together = (untrained.describe(dataset, network, b) for b in (None, batches))
        same = all(np.allclose(alone[i], together[i], rtol=1e-3, atol=1e-3) for i in alone)
        assert same != batch_norm


def test_large_networks_in_bfloat16_give_about_the_same(chosen):
    clips = chosen.dataset().select(range(4))
    rough = untrained.described(clips, "timbral_temporal", "large", 0)
    exact = untrained.describe(clips, Extractor("timbral_temporal", "large"))
    rough, exact = (np.concatenate(list(rows.values())) for rows in (rough, exact))
    assert rough.dtype == np.float32
    np.testing.assert_allclose(rough, exact, rtol=0.02, atol=0.02 * exact.mean())


def test_regression_on_few_directions_is_regression(rng):
    x, y = rng.standard_normal((30, 50)), rng.integers(0, 2, (30, 2)).astype(np.float32)
    machine = untrained.Regression()
    machine.fit(x, y, "multilabel", (x, y))
    scaler = StandardScaler().fit(x)
    plain = LogisticRegression(C=machine.chosen, tol=1e-8, max_iter=1000)
    plain.fit(scaler.transform(x), y[:, 0])
    expected = plain.predict_proba(scaler.transform(x))[:, 1]
    np.testing.assert_allclose(machine.scores(x)[:, 0], expected, atol=0.01)


def test_t_test():
    a, b, constant = (
        [{"metrics": {"accuracy": x}} for x in side]
        for side in ([0.5, 0.6, 0.7], [0.5, 0.4, 0.5], [0.5] * 3)
    )
    expected = stats.ttest_ind([0.5, 0.6, 0.7], [0.5, 0.4, 0.5]).pvalue
    assert untrained_compared.t_test(a, b) == pytest.approx(expected)
    assert 0 < untrained_compared.t_test(a, constant) < 1
    assert np.isnan(untrained_compared.t_test(constant, constant))
    assert np.isnan(untrained_compared.t_test(a, b[:1]))
    assert np.isnan(list(untrained_compared.p_values().values())).all()  # no rows yet


def test_ranks_beside_the_trained():
    dataset = small_dataset()
    rng = np.random.default_rng(0)
    noise = rng.standard_normal(dataset.targets.shape)
    names = ["sample_level", "vgg", "timbral", "frame_level"]
    for k, name in enumerate(names):
        made = score(dataset.targets + (k + 0.5) * noise, dataset, 50)
        store.save(made, "untrained", f"{name}_large", "tags")
        if name != "timbral":
            store.save(made, *untrained_compared.TRAINED["tags"][name], "tags")
    table, rank = untrained_compared.beside_trained()
    assert table.index.tolist() == ["sample_level", "frame_level", "vgg"]
    assert rank["correlation"] == rank["low"] == rank["high"] == pytest.approx(1)
    assert rank["p"] == pytest.approx(1 / 3)  # two-sided: two of six orders
    table, rank = untrained_compared.beside_trained("dance")
    assert table.empty
    assert np.isnan(rank["correlation"])


def test_every_relative_is_planned():
    planned = {(run.experiment, run.system, v) for run in plan.runs() for v in run.variants}
    for target, pairs in untrained_compared.TRAINED.items():
        assert {(*pair, target) for pair in pairs.values()} <= planned


def test_genres_out_of_fold(tmp_path, monkeypatch):
    dataset = tones(tmp_path, "multiclass", n_clips=50)
    folds = np.arange(50) % 5

    class Chosen:
        def dataset(self, target, fold, n_folds, seed):
            kinds = np.where(folds == fold, "test", "train")
            kinds[folds == (fold + 1) % n_folds] = "valid"
            return replace(dataset, clips=dataset.clips.assign(split=kinds))

    monkeypatch.setattr(untrained, "HEARD", (0.2, 1.2))
    made = untrained.genres(0, Chosen(), "temporal")
    assert len(made.scores) == 50
    assert made.metrics["accuracy"] > 0.5
