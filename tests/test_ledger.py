"""The ledger: systems and claims from stored rows, and its three kinds of file."""

import csv
import io

import numpy as np
import pandas as pd
import pytest
from toy_results import RUNS

from mirdl import cli
from mirdl.experiments import claims, ledger, plan

CLAIMED = claims.claims()  # before a fixture puts others in their place


@pytest.fixture(autouse=True)
def planned(monkeypatch, toy_results):
    monkeypatch.setattr(plan, "runs", lambda: RUNS)


def test_every_planned_system_has_a_line_or_is_missing():
    table = ledger.systems()
    assert table.index.tolist() == [
        ("toy", "noisy", ""),
        ("toy", "clean", ""),
        ("pair", "both", "sharp"),
        ("pair", "both", "blunt"),
    ]
    assert table["seeds"].tolist() == ["3 of 3", "3 of 3", "missing", "missing"]
    noisy, clean = (float(table.loc[("toy", s, ""), "score"][:5]) for s in ("noisy", "clean"))
    assert noisy < clean
    assert (table.loc[("pair", "both", "sharp"), ["score", "interval", "parameters"]] == "").all()


def test_scores_are_numbers_and_nan_where_missing():
    table = ledger.scores()
    assert table.index.names == ["experiment", "system", "variant"]
    assert table.loc[("toy", "clean", ""), "mean"] > table.loc[("toy", "noisy", ""), "mean"]
    assert np.isnan(table.loc[("pair", "both", "blunt"), "mean"])
    assert table["dataset"].unique().tolist() == ["minitag"]


def test_unfinished_runs_are_counted_with_their_minutes():
    assert ledger.unfinished().to_dict("index") == {
        "pair": {"missing": 1, "planned": 1, "minutes": 60.0}
    }


def test_claims_as_numbers(monkeypatch):
    index = pd.MultiIndex.from_tuples([(1, "1"), (1, "2")])
    effects = ledger.printed().iloc[:2].set_axis(index)
    known = effects.assign(effect=[0.1, 0.2], metric=["roc_auc", "accuracy"])
    monkeypatch.setattr(ledger, "printed", lambda: known)
    table = ledger.verdicts()
    holds, fails, missing = (table.loc[key] for key in ((1, "1"), (1, "2"), (2, "1")))
    assert holds["verdict"] == "holds"
    assert holds["p"] < 0.025 < fails["p"]
    assert holds["artists"] == 12
    assert 1 < holds["needed"] < 12  # it holds with room to spare
    assert np.isinf(fails["needed"])
    assert (holds["printed"], holds["power"] > 0) == (0.1, True)
    assert np.isnan(fails["printed"])  # in another metric
    assert missing["verdict"] == "missing"
    assert np.isnan(missing["effect"])


def test_printed_effects_are_of_claims_and_no_slips_of_the_pen():
    found = ledger.printed()
    assert found.index.is_unique
    assert set(found.index) <= {(claim.lesson, claim.name) for claim in CLAIMED}
    assert found[["a", "b"]].stack().between(0.1, 1).all()
    assert found["metric"].isin(["roc_auc", "pr_auc", "accuracy"]).all()
    assert found["effect"].abs().max() < 0.5


def test_every_source_is_of_a_paper():
    assert ledger.paper("thesis Table 3.1") == "thesis"
    assert ledger.paper("ours, after thesis §4.5.1") == "ours, after a paper"
    assert ledger.paper("Dieleman & Schrauwen §4.2") == ledger.paper("dieleman Table 1")
    assert ledger.paper("Goyal et al. 2017 §2.1") == "others"
    counts = ledger.counts("paper")
    assert counts.index.tolist() == ["ours", "all"]
    assert counts.loc["ours"].tolist() == counts.loc["all"].tolist() == [1, 1, 0, 1]


def test_verdicts_are_counted_by_lesson():
    counts = ledger.counts()
    assert counts.loc[1].tolist() == [1, 1, 0, 0]
    assert counts.loc[2].tolist() == [0, 0, 0, 1]
    assert counts.loc["all"].tolist() == [1, 1, 0, 1]


def test_export(tmp_path, capsys):
    assert cli.main(["ledger", "--folder", str(tmp_path / "new" / "ledger")]) == 0
    made = {path.name: path.read_text() for path in (tmp_path / "new" / "ledger").iterdir()}
    assert sorted(made) == ["claims.csv", "ledger.html", "ledger.md", "systems.csv"]
    printed = capsys.readouterr().out
    assert all(name in printed for name in made)
    claims = list(csv.DictReader(io.StringIO(made["claims.csv"])))
    assert [line["verdict"] for line in claims] == ["holds", "does not hold", "missing"]
    assert len(list(csv.DictReader(io.StringIO(made["systems.csv"])))) == 4
    for text in (made["ledger.md"], made["ledger.html"]):
        assert "Clean beats noisy" in text
        assert "cannot be told" in text
    assert made["ledger.html"].count("<table") == 4
    assert "nan" not in made["ledger.md"]
