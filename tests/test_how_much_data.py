"""Lesson 22: training sets that hold one another, costs, and what the thesis' table says."""

import fake_minitag
import numpy as np
import pytest
from toy_results import guess

from mirdl import compose, datasets
from mirdl.compose.artists import cast, placing
from mirdl.experiments import how_much_data, settings, store

SHARES = how_much_data.SHARES


def artists(dataset, split="train"):
    return set(dataset.subset(split).clips["artist"])


def small_render(folder, n_tracks, **options):
    """Stand in for the synthesiser: the tiny set once more, with one test and two new artists."""
    made = fake_minitag.make(folder)
    for name in ("tracks.csv", "clips.csv"):
        text = (made / name).read_text()
        (made / name).write_text(text.replace(",bob,", ",fay,").replace(",cid,valid", ",gus,train"))


@pytest.fixture
def embedded(tmp_path, monkeypatch):
    fake_minitag.make(tmp_path / "minitag")
    monkeypatch.setenv("MIRDL_DATA", str(tmp_path))
    monkeypatch.setattr(compose, "render", small_render)
    return datasets.load("minitag")


def test_up_to_the_embedded_set_every_set_is_part_of_the_next():
    dataset = datasets.load("minitag")
    for seed in range(3):
        sets = {n: how_much_data.of_size(dataset, SHARES[n], seed) for n in (15, 30, 60)}
        assert [len(artists(sets[n])) for n in sets] == [15, 30, 60]
        assert artists(sets[15]) < artists(sets[30]) < artists(sets[60])
        assert {len(sets[n].subset("train")) / how_much_data.CLIPS for n in sets} == {15, 30, 60}
        for split in ("valid", "test"):
            ids = [set(each.subset(split).clips["clip_id"]) for each in sets.values()]
            assert ids[0] == ids[1] == ids[2]
    assert artists(how_much_data.of_size(dataset, 0.25, 0)) != artists(sets[15])


def test_beyond_it_rendered_artists_join(embedded):
    larger = {share: how_much_data.of_size(embedded, share, 0) for share in (1, 1.5, 2)}
    assert artists(larger[1]) == {"ann", "bob"}
    assert artists(larger[1.5]) - {"ann", "bob"} < {"fay", "gus"}
    assert artists(larger[2]) == {"ann", "bob", "fay", "gus"}
    for split in ("valid", "test"):
        assert artists(larger[2], split) == artists(embedded, split)
    assert larger[2].targets.shape == (len(larger[2]), 4)
    new = larger[2].clips["artist"].isin(["fay", "gus"])
    assert larger[2].clips["path"][new].str.contains("render-1272").all()


def test_the_render_is_made_once(embedded, monkeypatch):
    how_much_data.rendered()
    monkeypatch.setattr(compose, "render", None)
    assert len(how_much_data.rendered()) == 30


def test_the_rendered_set_has_the_artists_that_the_sizes_need():
    n_artists = how_much_data.N_TRACKS // 3
    splits = [placing(index)[0] for index in range(n_artists)]
    embedded = datasets.load("minitag").clips
    n_embedded = embedded["artist"].nunique()
    assert splits.count("train") == max(SHARES)
    assert splits[:n_embedded].count("train") == 60
    later = {cast(i, 2026).name for i in range(n_embedded, n_artists)}
    assert not later & set(embedded["artist"])


def test_a_point_beyond_the_embedded_set_runs_and_counts_its_tags(embedded):
    chosen = settings.choose(budget="smoke")
    made = how_much_data.point(0, chosen, "majority", 2)
    assert made.n_artists == 2
    counts = made.table[["train_clips", "train_artists"]]
    assert (counts["train_artists"] <= 4).all()
    assert counts["train_clips"].sum() > 0
    expected = how_much_data.of_size(embedded, 2, 0).subset("train").targets.sum(axis=0)
    np.testing.assert_array_equal(counts["train_clips"], expected)


def test_a_curve_needs_three_sizes_with_all_their_seeds(own_results):
    for n, noise, n_seeds in ((15, 3.0, 3), (30, 2.0, 3), (60, 1.0, 2)):
        for seed in range(n_seeds):
            made = guess(seed, None, noise)
            store.save(made, "how_much_data", "waveform", f"{n}_artists", seed)
    assert how_much_data.learned("waveform") is how_much_data.learned("trees") is None
    store.save(guess(2, None, 1.0), "how_much_data", "waveform", "60_artists", 2)
    store.save(guess(2, None, 9.0), "how_much_data", "waveform", "240_artists_twice", 0)
    curve = how_much_data.learned("waveform", "pr_auc")
    assert list(curve.sizes) == [15, 30, 60]
    assert curve.law.b > 0


def test_costs_count_clips_since_the_row_above(own_results):
    assert how_much_data.costs().empty
    for n, noise in ((15, 3.0), (60, 1.0), (120, 2.0)):
        for seed in range(2):
            made = guess(seed, None, noise)
            store.save(made, "how_much_data", "trees", f"{n}_artists", seed, core_minutes=0.5)
    table = how_much_data.costs()
    assert set(table["system"]) == {"trees"}
    assert list(table["artists"]) == [15, 60, 120]
    small, middle, large = (line for _, line in table.iterrows())
    gained = (middle["roc_auc"] - small["roc_auc"]) / 0.01
    assert middle["clips_a_point"] == pytest.approx(9 * 45 / gained)
    assert np.isnan(small["clips_a_point"])
    assert large["clips_a_point"] == np.inf
    assert middle["minutes_a_point"] == pytest.approx(0.5 / (100 * (middle["roc_auc"] - 0.5)))


@pytest.mark.parametrize("metric", ["roc_auc", "pr_auc"])
def test_the_table_and_its_trend_lines_disagree_at_100k(metric):
    leads = how_much_data.leads(metric)
    assert leads.loc[100_000, "table"] > 0 > leads.loc[100_000, "lines"]
    assert leads.loc[500_000, "table"] < 0 < leads.loc[1_000_000, "table"]


def test_the_error_of_the_table_goes_with_the_text():
    leads = how_much_data.leads("rmse")["table"]
    assert (leads.loc[[100_000, 500_000]] < 0).all()
    assert leads[1_000_000] > 0
