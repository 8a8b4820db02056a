"""The store of results, the runner, and that every planned run is well formed."""

import json
from dataclasses import replace

import fake_minitag
import numpy as np
import pytest
from toy_results import RUNS, guess, small_dataset

from mirdl.errors import DataError, MirdlError
from mirdl.evaluation import score, verdict
from mirdl.experiments import (
    augmentation,
    baselines,
    decisions_in_time,
    dense_layers,
    emotify,
    features_without_labels,
    first_filters,
    how_much_data,
    learned_front_ends,
    listening_inside,
    mistakes,
    networks,
    one_dimension,
    plan,
    raw_waveforms,
    recurrence,
    rhythm,
    runner,
    sample_level,
    settings,
    shortcuts,
    splits,
    store,
    timbre,
    training_choices,
    two_dimensions,
)

pytestmark = pytest.mark.usefixtures("own_results")


@pytest.fixture
def planned(monkeypatch):
    monkeypatch.setattr(plan, "runs", lambda: RUNS)


def test_a_row_comes_back_as_it_was_saved():
    made = guess(0, None)
    path = store.save(made, "toy", "noisy", "dance", 4, minutes=1.5, command="by hand")
    assert path.name == "noisy__dance__seed4.json"
    (row,) = store.load("toy")
    assert (row["system"], row["variant"], row["seed"]) == ("noisy", "dance", 4)
    assert row["minutes"] == 1.5
    assert row["metrics"] == pytest.approx(made.metrics, abs=1e-5)
    np.testing.assert_allclose(row["replicates"]["roc_auc"], made.replicates["roc_auc"], atol=1e-5)
    assert row["per_tag"].loc["b", "positives"] == made.table.loc["b", "positives"]
    assert path.stat().st_size < 8000  # 200 replicates: results are committed, keep them small


def test_rows_are_strict_json_even_where_a_tag_cannot_be_scored():
    dataset = small_dataset()
    dataset.targets[:, 1] = 0
    made = score(np.random.default_rng(0).random((60, 3)), dataset, 50)
    path = store.save(made, "toy", "half")

    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    json.loads(path.read_text(), parse_constant=refuse)
    (row,) = store.load("toy")
    assert row["per_tag"]["roc_auc"].isna().tolist() == [False, True, False]


def test_a_damaged_row_is_named(planned):
    path = store.path_of("toy", "noisy")
    path.parent.mkdir(parents=True)
    path.write_text("{")
    with pytest.raises(DataError, match="noisy__seed0"):
        store.load("toy")


def test_verdicts_from_stored_rows_are_those_of_live_evaluations(planned):
    assert runner.main(["toy"]) == 0
    live = verdict([guess(s, None, 0.2) for s in range(3)], [guess(s, None) for s in range(3)])
    stored = verdict(store.load("toy", "clean"), store.load("toy", "noisy"))
    assert stored.text == live.text == "holds"
    assert stored.low == pytest.approx(live.low, abs=1e-3)
    assert stored.n_seeds == (3, 3)


def test_missing_rows_show_as_missing(planned, capsys):
    assert runner.main(["toy/noisy__seed[01]"]) == 0
    table = store.table("toy")
    assert table.index.get_level_values("system").tolist() == ["noisy", "clean"]  # plan's order
    assert table["seeds"].tolist() == ["2 of 3", "missing"]
    assert np.isnan(table["mean"].iloc[1])
    values = [row["metrics"]["roc_auc"] for row in store.load("toy", "noisy")]
    assert table["mean"].iloc[0] == pytest.approx(np.mean(values))
    assert store.table("toy", metric="pr_auc")["metric"].iloc[0] == "pr_auc"


def test_finished_runs_are_skipped(planned, capsys):
    assert runner.main([]) == 0
    before = {path: path.stat().st_mtime_ns for path in store.path_of("toy", "x").parent.glob("*")}
    store.path_of("toy", "noisy", seed=1).unlink()
    capsys.readouterr()
    assert runner.main([]) == 0
    assert capsys.readouterr().out.count("about") == 1
    after = {path: path.stat().st_mtime_ns for path in before}
    assert [path.name for path in before if before[path] != after[path]] == ["noisy__seed1.json"]


def test_a_row_says_how_it_came_about(planned):
    runner.main(["toy/clean*"])
    row = store.load("toy", "clean")[0]
    assert row["command"] == "python -m mirdl.experiments toy/clean*"
    assert row["options"] == {"noise": 0.2}
    assert row["settings"]["budget"] == "course"
    assert row["machine"]["cores"] >= 1
    assert row["versions"]["torch"][0].isdigit()
    assert row["commit"]


def test_one_call_may_make_several_rows(planned, capsys):
    runner.main(["pair"])
    assert store.load("pair", variant="sharp")[0]["metrics"]["roc_auc"] > 0.9
    assert runner.is_finished(RUNS[-1])
    store.path_of("pair", "both", "blunt").unlink()
    assert not runner.is_finished(RUNS[-1])


def test_the_dry_run_prints_hours_and_runs_nothing(planned, capsys):
    assert runner.main(["--dry-run"]) == 0
    printed = capsys.readouterr().out
    assert "7 runs, 4.0 core-hours, 4.0 of them missing" in printed
    assert "toy/noisy__seed2" in printed
    assert store.load("toy") == []
    runner.main(["--list"])
    assert "pair: 0 of 1 runs finished" in capsys.readouterr().out


def test_a_failing_run_does_not_stop_the_others(monkeypatch, capsys):
    def fail(seed, chosen):
        raise MirdlError("Emotify is not here")

    monkeypatch.setattr(plan, "runs", lambda: [plan.Run("toy", "absent", fail), RUNS[0]])
    assert runner.main([]) == 1
    assert "Emotify is not here" in capsys.readouterr().err
    assert len(store.load("toy")) == 1


def test_an_unplanned_variant_is_refused(planned):
    with pytest.raises(MirdlError, match="planned"):
        runner.execute(replace(RUNS[-1], variants=("sharp",)), settings.choose())


def test_unknown_names_are_refused(planned, capsys):
    assert runner.main(["tou"]) == 2
    assert "there are toy, pair" in capsys.readouterr().err
    with pytest.raises(MirdlError, match="no budget"):
        settings.choose(budget="endless")


def test_settings_of_a_lesson_come_from_the_environment(monkeypatch):
    monkeypatch.delenv("MIRDL_DATASET", raising=False)
    monkeypatch.delenv("MIRDL_BUDGET", raising=False)
    assert (settings.lesson().dataset_name, settings.lesson().budget) == ("minitag", "lesson")
    monkeypatch.setenv("MIRDL_DATASET", "magnatagatune")
    monkeypatch.setenv("MIRDL_BUDGET", "full")
    assert settings.lesson().dataset_name == "magnatagatune"
    assert settings.lesson().width == 1


def test_every_planned_run_has_a_file_of_its_own():
    runs = plan.runs()
    files = [store.path_of(*runner.row(run, v)) for run in runs for v in run.variants]
    assert len(set(files)) == len(files)
    assert sum(run.minutes for run in runs) < 16 * 60  # core-minutes: eight hours on two cores


# ------------------------------------------------------------- the functions, on tiny data


def first_seeds(*modules):
    """One run for every line on the embedded data, and the target or split that comes first."""
    planned = [run for m in modules for run in m.RUNS if run.dataset == "minitag"]
    lines = {(run.experiment, run.system): run for run in reversed(planned)}
    return [pytest.param(run, id=f"{run.experiment}-{run.system}") for run in lines.values()]


@pytest.mark.filterwarnings("ignore:Number of distinct clusters")
@pytest.mark.parametrize(
    "run",
    first_seeds(
        splits,
        baselines,
        networks,
        dense_layers,
        features_without_labels,
        learned_front_ends,
        one_dimension,
        raw_waveforms,
        recurrence,
        rhythm,
        sample_level,
        timbre,
        training_choices,
        two_dimensions,
        augmentation,
        decisions_in_time,
        first_filters,
        listening_inside,
        mistakes,
        shortcuts,
        how_much_data,
    ),
)
def test_every_line_of_the_tables_runs(run, tmp_path, monkeypatch):
    fake_minitag.make(tmp_path / "minitag")
    monkeypatch.setenv("MIRDL_DATA", str(tmp_path))
    for variant, made in runner.execute(run, settings.choose(budget="smoke")).items():
        assert variant in run.variants
        assert made.n_artists >= 1
    table = store.table(run.experiment, run.variants[0], planned=[run])
    assert table["seeds"].tolist() == ["1 of 1"]


def test_folds_of_tracks_and_of_artists_score_the_same_clips(tmp_path, monkeypatch):
    fake_minitag.make(tmp_path / "minitag")
    monkeypatch.setenv("MIRDL_DATA", str(tmp_path))
    sides = [
        splits.split_leak(0, settings.choose(), "knn", "tags", split)
        for split in ("random", "artist")
    ]
    assert sides[0].scores.shape == sides[1].scores.shape == (30, 4)
    assert verdict(*sides).text in ("holds", "does not hold", "cannot be told")


@pytest.mark.real_data
@pytest.mark.slow
def test_real_music_is_scored_out_of_fold(shared):
    chosen = settings.choose("emotify", "smoke")
    made = emotify.out_of_fold(0, chosen, "majority", "genre")
    assert made.metrics["accuracy"] == pytest.approx(0.25, abs=0.1)
    network = emotify.out_of_fold(0, chosen, "dieleman_spectrogram", "mtt_tags")
    assert network.scores.shape == (181, 20)
    assert network.parameters > 60_000


def test_frequencies_alone_rank_nothing_across_folds():
    dataset = small_dataset()
    folds = np.random.default_rng(3).integers(5, size=len(dataset))
    as_they_are, poolable = np.empty((2, *dataset.targets.shape))
    for fold in range(5):
        heard = dataset.select(folds != fold)
        frequencies = np.tile(heard.targets.mean(axis=0), (np.sum(folds == fold), 1))
        as_they_are[folds == fold] = frequencies
        poolable[folds == fold] = splits.poolable(frequencies, heard)
    assert score(as_they_are, dataset).metrics["roc_auc"] < 0.45
    assert score(poolable, dataset).metrics["roc_auc"] == 0.5


def test_poolable_scores_keep_the_order_within_a_fold():
    scores = np.random.default_rng(4).uniform(0.01, 0.99, (20, 3)).round(2)
    made = splits.poolable(scores, small_dataset())
    for before, after in zip(scores.T, made.T, strict=True):
        np.testing.assert_array_equal(after.argsort(kind="stable"), before.argsort(kind="stable"))
