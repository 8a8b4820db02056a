"""Lesson 20's experiments: labels that are drawn, networks that are kept, neighbours that count."""

from dataclasses import replace

import fake_minitag
import numpy as np
import pytest
import torch
from tones import tones

from mirdl import datasets
from mirdl.datasets.pack import pack
from mirdl.evaluation import score, verdict
from mirdl.experiments import (
    claims,
    how_much_data,
    neighbours,
    runner,
    settings,
    store,
    without_tags,
    without_tags_systems,
)

pytestmark = pytest.mark.usefixtures("own_results")
SMOKE = settings.choose(budget="smoke")


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """The embedded set, and a larger one of other artists, both tiny."""
    fake_minitag.make(tmp_path / "minitag")
    monkeypatch.setenv("MIRDL_DATA", str(tmp_path))

    def rendered(target="tags", unit="clip"):
        dataset = datasets.load("minitag", target, unit)
        clips = dataset.clips.assign(artist="new " + dataset.clips["artist"])
        clips["clip_id"] = "new " + clips["clip_id"]
        return replace(dataset, clips=clips)

    monkeypatch.setattr(how_much_data, "rendered", rendered)
    monkeypatch.setenv("MIRDL_CACHE", str(tmp_path / "cache"))


def test_few_labels_are_of_many_tracks_and_nested():
    dataset = datasets.load("minitag")
    drawn = {s: without_tags.labelled(dataset, s, [3, 1]) for s in (0.01, 0.1, 0.4, 1.0)}
    clips = {s: part.subset("train").clips for s, part in drawn.items()}
    assert [len(part) for part in clips.values()] == [5, 54, 216, 540]
    assert [part["path"].nunique() for part in clips.values()] == [5, 54, 180, 180]
    ids = [set(part["clip_id"]) for part in clips.values()]
    assert ids[0] < ids[1] < ids[2] < ids[3]
    assert ids[0] != set(without_tags.labelled(dataset, 0.01, [3, 2]).subset("train").clips.clip_id)
    for split in ("valid", "test"):
        assert len(drawn[0.01].subset(split)) == len(dataset.subset(split))


def test_the_mean_of_evaluations(tmp_path):
    dataset = tones(tmp_path)
    rng = np.random.default_rng(0)
    made = [score(rng.random((24, 3)), dataset, 50) for _ in range(3)]
    mean = without_tags.averaged(made)
    for metric in ("roc_auc", "pr_auc"):
        points = [each.metrics[metric] for each in made]
        assert mean.metrics[metric] == pytest.approx(np.mean(points))
        assert mean.table[metric].mean() == pytest.approx(np.mean(points))
        assert mean.interval[metric][0] < mean.metrics[metric] < mean.interval[metric][1]
    assert verdict(mean, made[0]).n_seeds == (1, 1)
    alone = without_tags.averaged(made[:1])
    assert alone.interval["roc_auc"] == pytest.approx(made[0].interval["roc_auc"], abs=1e-9)


def test_pre_training_sees_tracks_of_training_artists_without_labels(fake):
    tracks = without_tags_systems.unlabelled("train")
    assert len(tracks) == tracks.clips["path"].nunique() == 6
    more = without_tags_systems.unlabelled("train", more=True)
    assert len(more) == 12
    assert set(more.clips["split"]) == {"train"}
    assert not more.targets.any()


def test_a_pre_trained_network_is_trained_once(fake, monkeypatch):
    first = without_tags_systems.pretrained(0, SMOKE)
    monkeypatch.setattr(without_tags_systems, "fit", None)
    again = without_tags_systems.pretrained(0, SMOKE)
    for a, b in zip(first.state_dict().values(), again.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    with pytest.raises(TypeError):  # another network: it would have to be trained
        without_tags_systems.pretrained(0, SMOKE, temperature=0.1)


def test_the_untrained_network_has_its_first_weights_and_a_fitted_input(fake):
    made = without_tags_systems.untrained(0)
    torch.manual_seed(0)
    drawn = without_tags_systems.models.build(**without_tags_systems.NETWORK, n_outputs=4)
    assert all(map(torch.equal, drawn.parameters(), made.parameters()))
    audio = pack(without_tags_systems.unlabelled("train"), progress=False)
    seen = made.front_end(audio.crops(range(6), made.n_samples, 0, 0))
    assert made.norm.running_mean.item() == pytest.approx(seen.mean().item(), abs=0.5)


def test_fine_tuning_starts_where_pre_training_ended(fake, monkeypatch):
    seen = {}

    def fit(model, train, valid, **options):
        seen.update(options, weights=model.conv1.conv.weight.detach().clone())

    start = without_tags_systems.pretrained(0, SMOKE)
    monkeypatch.setattr("mirdl.experiments.networks.fit", fit)
    without_tags_systems.supervised(0, SMOKE, SMOKE.dataset(), start=start)
    assert torch.equal(seen["weights"], start.conv1.conv.weight)
    assert not seen["normalise"]
    without_tags_systems.supervised(0, SMOKE, SMOKE.dataset())
    assert not torch.equal(seen["weights"], start.conv1.conv.weight)
    assert seen["normalise"]
    assert seen["steps_per_epoch"] == seen["n_steps"]  # no label of the validation clips counts


def test_a_neighbour_of_the_same_artist_does_not_count():
    artists = np.array(["a", "a", "b", "b", "c"])
    vectors = np.array([[1.0, 0], [1, 0.01], [1, 0.1], [0, 1], [-1, 0]])
    order = neighbours.nearest(vectors, artists, np.array([[1.0, 1], [-1, -1]]))
    assert order[0, :3].tolist() == [2, 3, 4]
    assert order[3, 0] in (0, 1)
    labels = np.array(["x", "y", "x", "y", "x"])
    found, chance = neighbours.precision(order, labels, artists, k=2)
    assert found[0] == 0.5  # 2, and not 3
    assert chance[0] == pytest.approx(2 / 3)
    assert chance[4] == pytest.approx(2 / 4)


def _lines(*modules):
    """One run for every line on the embedded data; those of one kind once but for their names."""
    runs = [run for module in modules for run in module.RUNS if run.seed == 0]
    skipped = ("musicnn", "fcn", "speed", "equalizer", "noise")
    runs = [r for r in runs if r.dataset == "minitag" and not r.system.startswith(skipped)]
    return [pytest.param(run, id=str(run)) for run in runs]


@pytest.mark.parametrize("run", _lines(without_tags, neighbours))
def test_every_line_of_the_tables_runs(run, fake):
    for variant, made in runner.execute(run, SMOKE).items():
        assert variant in run.variants
        assert made.n_artists == (2 if variant == "tags" else 4)
    rows = store.load(run.experiment)
    assert len(rows) == len(run.variants)
    if run.experiment == "neighbours":
        assert set(rows[0]["per_tag"]["nearest_1"].dropna()) <= {"0009-1", "0010-1"}


@pytest.mark.parametrize("task", ["multilabel", "multiclass"])
def test_real_music_in_folds(task, tmp_path, monkeypatch):
    dataset = tones(tmp_path, task, n_clips=50)
    folds = np.arange(50) // 2 % 5

    class Chosen:
        def dataset(self, target, fold, n_folds, seed):
            kinds = np.where(folds == fold, "test", "train")
            kinds[folds == (fold + 1) % n_folds] = "valid"
            return replace(dataset, clips=dataset.clips.assign(split=kinds))

    made = without_tags.real_music(0, Chosen(), "mfcc", "genre")
    assert list(made) == [f"genre_{name}" for name in without_tags.SHARES]
    points = [next(iter(each.metrics.values())) for each in made.values()]
    assert points[2] > 0.6
    assert points[2] > points[0]


def test_claims_are_about_planned_rows():
    runs = [*without_tags.RUNS, *neighbours.RUNS]
    planned = {(run.experiment, run.system, variant) for run in runs for variant in run.variants}
    found = claims.claims(20, 20)
    assert len(found) == 22
    assert {side for claim in found for side in (claim.a, claim.b)} <= planned
    assert sum(run.minutes for run in runs) < 60.1


@pytest.mark.real_data
@pytest.mark.slow
@pytest.mark.parametrize("system", ["musicnn", "fcn"])
def test_vectors_of_published_networks(system, shared):
    dataset = datasets.load("minitag").select([0, 1])
    rows = without_tags_systems.described(system, dataset, 0, SMOKE)
    assert [row.shape[0] for row in rows.values()] == [1, 1]
