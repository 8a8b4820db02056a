"""Lesson 16: patches, draws, learning curves, and that every line of the table runs."""

import fake_minitag
import numpy as np
import pytest
import torch

from mirdl import datasets
from mirdl.evaluation import score, verdict
from mirdl.experiments import (
    claims,
    few_data,
    few_data_systems,
    how_much_data,
    patches,
    runner,
    settings,
    store,
)

pytestmark = pytest.mark.usefixtures("own_results")
SMOKE = settings.choose(budget="smoke")


def loud(n=24, n_classes=3, columns=40, length=8):
    """Spectrograms of three loudnesses, which any network tells apart."""
    labels = torch.arange(n) % n_classes
    rng = torch.Generator().manual_seed(0)
    values = [10.0 ** (-3 * label) * torch.rand(40, columns, generator=rng) for label in labels]
    return patches.Clips(values, labels, length)


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """The embedded set, and a larger one of other artists, both tiny."""
    fake_minitag.make(tmp_path / "minitag")
    monkeypatch.setenv("MIRDL_DATA", str(tmp_path))

    def rendered(target="tags"):
        dataset = datasets.load("minitag", target)
        dataset.clips["artist"] = "new " + dataset.clips["artist"]
        return dataset

    monkeypatch.setattr(how_much_data, "rendered", rendered)
    monkeypatch.setattr(few_data, "STYLES", ["ambient", "ballroom"])
    monkeypatch.setenv("MIRDL_CACHE", str(tmp_path / "cache"))


def test_windows_are_spread_evenly_and_cover_a_clip():
    clips = patches.Clips(
        [torch.arange(216.0).repeat(2, 1), torch.arange(1291.0).repeat(2, 1)], torch.zeros(2), 64
    )
    windows, owner = clips.windows()
    assert windows.shape == (4 + 8, 2, 64)
    starts = windows[:, 0, 0].int().tolist()
    assert starts[:5] == [0, 50, 101, 152, 0]
    assert windows[3, 0, -1] == 215
    assert windows[-1, 0, -1] == 1290
    assert owner.tolist() == [0] * 4 + [1] * 8


def test_patches_lie_inside_their_clips():
    clips = patches.Clips([torch.arange(10.0)[None], 100 + torch.arange(8.0)[None]], None, 8)
    drawn = clips.draw([0, 1] * 50, np.random.default_rng(0))
    assert drawn.shape == (100, 1, 8)
    assert set(drawn[::2, 0, 0].tolist()) == {0.0, 1.0, 2.0}
    assert drawn[1::2, 0, 0].unique().tolist() == [100.0]


def test_a_draw_of_few_is_part_of_a_draw_of_many():
    labels = torch.tensor([0, 1, 2, 1, 0, 2, 1, 1, 0, 2, 1])
    few, many = (set(patches.examples(labels, n, 3).tolist()) for n in (2, 4))
    assert few < many
    assert np.bincount(labels[sorted(few)]).tolist() == [2, 2, 2]
    assert np.bincount(labels[sorted(many)]).tolist() == [3, 4, 3]  # all where there are fewer
    assert few != set(patches.examples(labels, 2, 4).tolist())


def test_a_support_has_one_patch_of_a_clip():
    labels = torch.tensor([1, 0, 1, 0, 1, 0, 0, 0, 0, 0, 1, 1, 1])
    clips = patches.Clips([torch.full((2, 9), float(i)) for i in range(13)], labels, 4)
    drawn, classes = patches.support(clips, np.random.default_rng(0))
    assert drawn.shape == (10, 2, 4)
    assert classes.tolist() == [0] * 5 + [1] * 5
    source = drawn[:, 0, 0].long()
    assert labels[source].tolist() == classes.tolist()
    assert len(source.unique()) == 10
    alone = clips.select([0, 1])
    assert patches.support(alone, np.random.default_rng(0))[0].shape == (2, 2, 4)


def test_the_nearest_window_gives_its_class():
    values = [torch.tensor([[1.0, 1.0], [0.0, 0.2]]), torch.tensor([[0.0, 0.1], [1.0, 1.0]])]
    heard = patches.Clips(values, torch.tensor([1, 0]), 1)
    mixed = patches.Clips([torch.tensor([[1.0, 0.0, 0.9], [0.1, 1.0, 0.0]])], None, 1)
    np.testing.assert_allclose(patches.Nearest(heard).predict(mixed), [[1 / 3, 2 / 3]])


@pytest.mark.parametrize("learns", [few_data_systems.network, few_data_systems.prototypes])
def test_what_is_easy_is_learnt(learns):
    clips = loud(length=64, columns=80)
    model, training = learns(clips, 3, 0, settings.choose(budget="ladder").times(0.2))
    assert list(training)[-1] == {"network": 40, "prototypes": 28}[learns.__name__]
    probabilities = patches.predict(model, clips)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-4)
    assert (probabilities.argmax(axis=1) == clips.labels.numpy()).mean() > 0.9


def test_the_same_seed_gives_the_same_numbers():
    clips = loud(length=64, columns=80)
    made = []
    for _ in range(2):
        model, training = few_data_systems.prototypes(clips, 3, 5, SMOKE)
        list(training)
        made.append(patches.predict(model, clips))
    np.testing.assert_array_equal(*made)


def test_pretrained_layers_move_at_their_own_rate():
    model, clips = patches.Dense(3, 40), loud(length=1)
    model.body = torch.nn.Linear(40, 40)
    model.forward = lambda x: model.head(model.body(x.log10().flatten(1)))
    before = {name: weights.clone() for name, weights in model.named_parameters()}
    list(patches.steps(model, clips, 0, 3, pretrained_rate=1e-5))
    moved = {
        name: float((w - before[name]).detach().norm()) for name, w in model.named_parameters()
    }
    assert moved["body.weight"] <= 3 * 1e-5 * patches.CLIP
    assert moved["head.weight"] > 100 * moved["body.weight"]


def test_a_network_that_hears_spectrograms_is_the_one_that_hears_audio():
    network = few_data_systems.models.build(
        "vgg_small", 4, front_end=few_data_systems.FRONT_END, n_frames=64
    ).eval()
    audio = 0.1 * torch.randn(2, network.n_samples)
    with torch.no_grad():
        expected = network(audio)
        mel = network.front_end.mel(audio)
        network.front_end = few_data_systems.front_end()
        torch.testing.assert_close(network(mel), expected)


def test_a_curve_is_the_accuracies_and_their_means(tmp_path):
    fake_minitag.make(tmp_path)
    dataset = datasets.load("minitag", "lead", root=tmp_path)
    rng = np.random.default_rng(0)
    made = {n: score(rng.random((30, 2)), dataset, 50) for n in (5, 10, 20)}
    curve = few_data.joined(made)
    assert list(curve.metrics) == [
        "accuracy_5", "accuracy_10", "accuracy_20", "accuracy_5_to_20"
    ]  # fmt: skip
    points = [made[n].metrics["accuracy"] for n in (5, 10, 20)]
    assert curve.metrics["accuracy_5_to_20"] == pytest.approx(np.mean(points))
    together = [made[n].replicates["accuracy"] for n in (5, 10, 20)]
    np.testing.assert_allclose(curve.replicates["accuracy_5_to_20"], np.mean(together, axis=0))
    assert verdict(curve, curve, "accuracy_5_to_20", 0.01, "equal").text == "holds"


def _lines():
    runs = [run for run in few_data.RUNS if run.dataset == "minitag" and run.seed == 0]
    lines = {(run.experiment, run.system, run.variants): run for run in runs}
    return [pytest.param(run, id=str(run)) for run in lines.values() if "dance" not in str(run)]


@pytest.mark.parametrize("run", [line for line in _lines() if "published" not in line.id])
def test_every_line_of_the_table_runs(run, fake):
    for variant, made in runner.execute(run, SMOKE).items():
        assert variant in run.variants
        assert made.n_artists >= 1
    assert len(store.load(run.experiment)) == len(run.variants)


@pytest.mark.real_data
@pytest.mark.slow
def test_published_weights_and_real_music(shared):
    (run,) = [r for r in few_data.RUNS if str(r) == "few_data/fine_tuned_published__genre__seed0"]
    made = runner.execute(run, SMOKE)["genre"]
    assert len(made.scores) == 300
    assert made.n_artists == 89


def test_claims_are_about_metrics_that_their_rows_have():
    runs = {(r.experiment, r.system, v): r for r in few_data.RUNS for v in r.variants}
    for claim in claims.claims(16, 16):
        for side in (claim.a, claim.b):
            options = runs[side].options
            if "target" in options and side[0] == "few_data":
                counts = options.get("counts") or few_data.COUNTS[options["target"]]
                needed = few_data.SPANS.get(claim.metric) or [int(claim.metric.split("_")[1])]
                assert set(needed) <= set(counts), (claim.name, side)
