"""The ledger: systems and claims from stored rows, and its three kinds of file."""

import csv
import io

import pytest
from toy_results import RUNS

from mirdl import cli
from mirdl.experiments import ledger, plan


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
    assert made["ledger.html"].count("<table") == 3
    assert "nan" not in made["ledger.md"]
