"""The baselines of lesson 03: what they learn, what they choose, what they remember."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from tones import tones

from mirdl import models
from mirdl.errors import MirdlError
from mirdl.models import baselines, descriptors
from mirdl.paths import cache_folder

QUICK = {"knn": {"n_neighbors": 3}, "gmm": {"n_components": 2}, "codebook": {"n_words": 16}}
NAMES = [name for name, place in models.BASELINES.items() if place.startswith("baselines.")]
LEARNERS = [name for name in NAMES if name not in {"majority", "knn_tempo"}]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("tones")


def fitted(name, dataset):
    model = models.build(name, **QUICK.get(name, {}))
    return model.fit(dataset.subset("train"), dataset.subset("valid"))


@pytest.mark.parametrize("name", LEARNERS)
def test_learns_tags(folder, name):
    dataset = tones(folder, n_clips=60)
    valid = dataset.subset("valid")
    scores = fitted(name, dataset).predict(valid)
    assert scores.shape == (20, 3)
    assert roc_auc_score(valid.targets, scores) > 0.85


@pytest.mark.parametrize("name", LEARNERS)
def test_learns_classes(folder, name):
    dataset = tones(folder / "classes", "multiclass", n_clips=60)
    valid = dataset.subset("valid")
    scores = fitted(name, dataset).predict(valid)
    assert np.mean(scores.argmax(axis=1) == valid.targets) > 0.9


@pytest.mark.parametrize("name", [name for name in LEARNERS if name != "gmm"])
def test_learns_values(folder, name):
    dataset = tones(folder, "regression", n_clips=60)
    valid = dataset.subset("valid")
    error = (fitted(name, dataset).predict(valid) - valid.targets) ** 2
    assert error.mean() < 0.8 * valid.targets.var(axis=0).mean()


def test_gmm_refuses_values(folder):
    with pytest.raises(MirdlError, match="gmm"):
        fitted("gmm", tones(folder, "regression"))


def test_majority_knows_the_shares(folder):
    dataset = tones(folder)
    train, valid = dataset.subset("train"), dataset.subset("valid")
    scores = models.build("majority").fit(train).predict(valid)
    np.testing.assert_allclose(scores, np.tile(train.targets.mean(axis=0), (len(valid), 1)))


def test_tempo_annotated_and_estimated(folder):
    dataset = tones(folder / "classes", "multiclass")
    dataset.clips["tempo"] = 60 + 40 * dataset.targets + np.arange(len(dataset)) % 5
    valid = dataset.subset("valid")
    scores = fitted("knn_tempo", dataset).predict(valid)
    assert (scores.argmax(axis=1) == valid.targets).all()
    dataset.clips.loc[0, "tempo"] = np.nan  # not all are known: librosa's estimate for all
    assert fitted("knn_tempo", dataset).predict(valid).shape == scores.shape

    seconds = np.arange(10 * 16_000) / 16_000
    clicks = np.sin(2 * np.pi * 1000 * seconds) * (seconds % 0.5 < 0.02)
    assert descriptors.tempo(clicks, 16_000) == pytest.approx([120], rel=0.03)


@pytest.mark.parametrize("name", ["svm_linear", "svm_rbf"])
def test_gram_matrices_change_nothing(folder, name):
    dataset = tones(folder)
    train, valid = dataset.subset("train"), dataset.subset("valid")
    model = fitted(name, dataset)
    gamma, C = model.estimator.chosen["gamma"], model.estimator.chosen["C"]
    gamma = {None: "auto", "1/n": 1 / 120}.get(gamma, gamma)
    kernel, C = ("linear", C / 120) if name == "svm_linear" else ("rbf", C)
    machine = SVC(kernel=kernel, gamma=gamma, C=C)
    plain = make_pipeline(StandardScaler(), OneVsRestClassifier(machine))
    x = [np.concatenate(descriptors.extract(d, "mfcc120")) for d in (train, valid)]
    expected = plain.fit(x[0], train.targets).decision_function(x[1])
    np.testing.assert_allclose(model.predict(valid), expected, atol=5e-3)


def test_the_grid_takes_the_best_on_validation_clips(folder):
    dataset = tones(folder)
    valid = dataset.subset("valid")
    machines = baselines.svm_rbf()
    whole = roc_auc_score(
        valid.targets, machines.fit(dataset.subset("train"), valid).predict(valid)
    )
    for gamma in machines.estimator.gammas:
        single = baselines.Baseline("mfcc120", baselines.SupportVectors([gamma], C=[2.0]))
        scores = single.fit(dataset.subset("train"), valid).predict(valid)
        assert roc_auc_score(valid.targets, scores) <= whole
    with pytest.raises(MirdlError, match="valid"):
        baselines.svm_rbf().fit(dataset.subset("train"))


@pytest.mark.parametrize("name", NAMES)
def test_tags_and_classes_that_training_lacks(folder, name):
    dataset = tones(folder)
    dataset.targets[:, 1] = 0  # a tag that nothing has, and one that everything has
    dataset.targets[:, 2] = 1
    assert np.isfinite(fitted(name, dataset).predict(dataset)).all()
    classes = tones(folder / "classes", "multiclass")
    some = classes.select((classes.targets > 0) | (classes.clips["split"] == "valid"))
    answers = fitted(name, some).predict(some).argmax(axis=1)
    assert set(answers) <= {1, 2}


@pytest.mark.parametrize("name", NAMES)
def test_seeds_matter_where_numbers_are_drawn(folder, name):
    dataset = tones(folder, n_clips=90)
    train, valid = dataset.subset("train"), dataset.subset("valid")
    scores = [models.build(name, seed=seed).fit(train, valid).predict(valid) for seed in (0, 0, 1)]
    assert np.array_equal(scores[0], scores[1])
    assert np.array_equal(scores[0], scores[2]) == (name not in baselines.RANDOM)


def test_unreadable_clips_are_reported_and_left_out(tmp_path):
    dataset = tones(tmp_path)
    Path(dataset.clips["path"][0]).write_bytes(b"")
    with pytest.warns(UserWarning, match=r"1 clips skipped.*0\.wav: empty"):
        scores = fitted("logistic_regression", dataset).predict(dataset)
    assert np.isnan(scores[0]).all()
    assert np.isfinite(scores[1:]).all()


def test_features_are_computed_once(tmp_path, monkeypatch):
    dataset = tones(tmp_path)
    first = descriptors.extract(dataset, "mfcc")
    (stored,) = (cache_folder() / "features").iterdir()
    monkeypatch.setattr(type(dataset), "waveform", lambda *_: pytest.fail("computed again"))
    again = descriptors.extract(dataset, "mfcc")
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    monkeypatch.undo()
    stored.write_bytes(stored.read_bytes()[:100])  # a damaged cache is made again
    again = descriptors.extract(dataset, "mfcc")
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))


def test_interrupted_features_go_on_where_they_were(tmp_path, monkeypatch):
    dataset, heard = tones(tmp_path), []
    waveform = type(dataset).waveform

    def interrupted(self, i):
        heard.append(i)
        if len(heard) == 15:
            raise KeyboardInterrupt
        return waveform(self, i)

    monkeypatch.setattr(descriptors, "CHUNK", 5)
    monkeypatch.setattr(type(dataset), "waveform", interrupted)
    with pytest.raises(KeyboardInterrupt):
        descriptors.extract(dataset, "mfcc120")
    heard[:] = []
    assert len(descriptors.extract(dataset, "mfcc120")) == 24
    assert len(heard) == 14  # two chunks of five were kept


def test_changed_audio_is_noticed(tmp_path):
    dataset = tones(tmp_path)
    before = descriptors.extract(dataset, "mfcc120")
    paths = dataset.clips["path"]
    Path(paths[0]).write_bytes(Path(paths[1]).read_bytes())
    after = descriptors.extract(dataset, "mfcc120")
    assert not np.array_equal(before[0], after[0])
    assert np.array_equal(after[0], after[1])
