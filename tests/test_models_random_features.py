"""Networks that were never trained: lengths as published, no trap unless asked for."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score
from tones import tones
from torch import nn

from mirdl import models
from mirdl.errors import MirdlError
from mirdl.evaluation import evaluate
from mirdl.models import random_features
from mirdl.models.random_features import EXTRACTORS, Extractor, ExtremeLearningMachine, extract

#: Thesis section 4.3 and the authors' code.
LENGTHS = {
    "sample_level": (161, 3584),
    "frame_level": (160, 3584),
    "frame_level_many": (160, 3584),
    "vgg": (160, 3585),
    "cnn_7x96": (160, 3585),
    "cnn_7x86": (160, 3585),
    "timbral": (112, 3584),
    "temporal": (112, 3584),
    "timbral_temporal": (112, 3584),
    "timbral_time": (112, 3584),
}


@pytest.fixture
def audio():
    return 0.1 * torch.randn(4, 18_000, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", EXTRACTORS)
@pytest.mark.parametrize("size", ["small", "large"])
def test_features_have_the_published_lengths(name, size, audio):
    length = LENGTHS[name][size == "large"]
    found = Extractor(name, size)(audio[:1, :6000])
    assert found.shape == (1, length)
    assert torch.isfinite(found).all()


@pytest.mark.parametrize("name", EXTRACTORS)
def test_batch_statistics_are_a_trap_and_off_by_default(name, audio):
    plain, trap = Extractor(name), Extractor(name, batch_norm=True)
    alone = torch.cat([plain(clip[None]) for clip in audio])
    torch.testing.assert_close(plain(audio), alone, rtol=1e-3, atol=1e-4)
    quiet = audio * torch.tensor([[1.0], [0.1], [0.1], [0.1]])
    with_loud, with_quiet = trap(audio)[0], trap(quiet)[0]
    assert (with_loud - with_quiet).abs().mean() > 0.05 * with_loud.abs().mean()
    assert not any(isinstance(layer, nn.modules.batchnorm._BatchNorm) for layer in plain.modules())


def test_the_seed_draws_the_weights(audio):
    same = [Extractor("timbral_temporal", seed=seed)(audio) for seed in (0, 0, 1)]
    assert torch.equal(same[0], same[1])
    assert not torch.allclose(same[0], same[2])


def test_weights_after_he():
    network = Extractor("sample_level", "large").network
    deviation = network.blocks[0].conv.weight.std().item()
    assert deviation == pytest.approx((2 / (512 * 3)) ** 0.5, rel=0.01)
    assert network.blocks[0].conv.bias.abs().max() == 0
    assert not any(p.requires_grad for p in network.parameters())


def test_layers_have_the_sizes_of_the_thesis():
    wave = torch.zeros(1, 1, 350_000)
    assert [x.shape[2] for x in Extractor("sample_level").network(wave)] == [
        116_666, 38_888, 12_962, 4_320, 1_440, 480, 160,
    ]  # fmt: skip
    frames = [x.shape[2] for x in Extractor("frame_level").network(wave)]
    assert frames == [10_922, 10_916, 10_916, 5_458]
    frames = [x.shape[2] for x in Extractor("frame_level_many").network(wave)]
    assert frames == [10_938] * 5 + [10_932, 10_932, 5_466]
    image = torch.zeros(1, 1, 96, 1376)
    assert [x.shape[2:] for x in Extractor("vgg").network(image)] == [
        (48, 344), (16, 86), (8, 17), (4, 4), (1, 1),
    ]  # fmt: skip
    (tall,) = Extractor("cnn_7x86").network(image)
    assert tall.shape == (1, 160, 1370)
    both = Extractor("timbral_temporal").network(image)
    assert [x.shape[1:] for x in both] == [(56, 1376), (3, 1376), (7, 1376), (15, 1376), (31, 1376)]


def test_pitch_moves_the_7x86_less_than_the_7x96():
    image = torch.zeros(2, 1, 96, 60)
    image[0, 0, 20:60:7], image[1, 0, 24:64:7] = 1, 1  # four bands higher
    moved = {}
    for name in ("cnn_7x96", "cnn_7x86"):
        low, high = Extractor(name).network(image)[0].mean(dim=2)
        moved[name] = (low - high).norm() / low.norm()
    assert moved["cnn_7x86"] < 0.7 * moved["cnn_7x96"]


def test_least_squares(rng):
    x, y = rng.standard_normal((40, 8)), rng.integers(0, 2, (40, 3)).astype(np.float32)
    machine = ExtremeLearningMachine(n_hidden=(20,))
    machine.fit(x, y, "multilabel", None)
    hidden = machine.hidden(x, machine.w1)
    expected, *_ = np.linalg.lstsq(hidden, y - y.mean(axis=0), rcond=None)
    np.testing.assert_allclose(machine.w2, expected, atol=1e-8)
    np.testing.assert_allclose(machine.scores(x), hidden @ expected + y.mean(axis=0))
    wide = ExtremeLearningMachine(n_hidden=(200,))
    wide.fit(x, y, "multilabel", None)
    np.testing.assert_allclose(wide.scores(x), y, atol=1e-6)  # more units than clips


def test_hidden_units_are_chosen_on_validation_clips(rng):
    x, y = rng.standard_normal((60, 5)), rng.integers(0, 2, (60, 2)).astype(np.float32)
    machine = ExtremeLearningMachine(n_hidden=(5, 40))
    for n_hidden, target in ((5, 0), (40, 1)):
        single = ExtremeLearningMachine(n_hidden=(n_hidden,))
        single.fit(x[:40], y[:40], "multilabel", None)
        wanted = (single.scores(x[40:]) > single.scores(x[40:]).mean(axis=0)).astype(np.float32)
        machine.fit(x[:40], y[:40], "multilabel", (x[40:], wanted))
        assert machine.chosen == n_hidden, target
    with pytest.raises(MirdlError, match="validation"):
        machine.fit(x, y, "multilabel", None)


@pytest.mark.parametrize("classifier", ["svm", "elm", "logistic_regression"])
@pytest.mark.parametrize("task", ["multilabel", "multiclass"])
def test_learns(tmp_path, classifier, task):
    dataset = tones(tmp_path, task, n_clips=60)
    valid = dataset.subset("valid")
    model = models.build("random_features", extractor="timbral_temporal", classifier=classifier)
    scores = model.fit(dataset.subset("train"), valid).predict(valid)
    if task == "multiclass":
        assert np.mean(scores.argmax(axis=1) == valid.targets) > 0.8
    else:
        assert roc_auc_score(valid.targets, scores) > 0.8
    assert 0.5 < next(iter(evaluate(model, valid, n_bootstrap=5).metrics.values())) <= 1


def test_features_are_kept_by_extractor_size_and_seed(tmp_path, monkeypatch):
    dataset = tones(tmp_path, n_clips=6)
    first = [extract(dataset, "temporal", seed=seed) for seed in (0, 1)]
    assert all(rows.shape == (1, 112) for rows in first[0])
    monkeypatch.setattr(Extractor, "rows", lambda *_: pytest.fail("computed again"))
    again = [extract(dataset, "temporal", seed=seed) for seed in (0, 1)]
    assert np.array_equal(first, again)
    assert not np.allclose(first[0], first[1])


def test_audio_reaches_the_network_at_12_khz(tmp_path, monkeypatch):
    lengths = []
    monkeypatch.setattr(
        Extractor, "rows", lambda self, x, rate: lengths.append((len(x), rate)) or np.zeros(3)
    )
    extract(tones(tmp_path, n_clips=2), "temporal")
    assert lengths == [(18_000, 12_000)] * 2


def test_the_trap_follows_the_order_of_the_clips(tmp_path):
    dataset = tones(tmp_path, "multiclass", n_clips=6)
    trapped = partial(extract, extractor="vgg", batch_norm=True)
    mixed = np.concatenate(trapped(dataset, batch_size=3))
    by_class = np.argsort(dataset.targets, kind="stable")
    sorted_by_class = np.concatenate(trapped(dataset.select(by_class), batch_size=2))
    assert not np.allclose(mixed[by_class], sorted_by_class, rtol=0.05)
    assert np.array_equal(mixed, np.concatenate(trapped(dataset, batch_size=3)))


def test_unreadable_clips_are_left_out_of_their_batch(tmp_path):
    dataset = tones(tmp_path, n_clips=4)
    whole = np.concatenate(extract(dataset.select([0, 2, 3]), "vgg", batch_norm=True))
    Path(dataset.clips["path"][1]).write_bytes(b"")
    with pytest.warns(UserWarning, match=r"1 clips skipped.*1\.wav: empty"):
        rows = extract(dataset, "vgg", batch_norm=True)
    assert [len(r) for r in rows] == [1, 0, 1, 1]
    np.testing.assert_allclose(np.concatenate([r for r in rows if len(r)]), whole, rtol=1e-5)


@pytest.mark.parametrize("options", [{"extractor": "fcn"}, {"size": "huge"}, {"classifier": "knn"}])
def test_wrong_names_are_told(options):
    with pytest.raises(MirdlError, match=next(iter(options.values()))):
        random_features.random_features(**options)
