"""The table of claims: each is about rows that are planned, and is judged from stored ones."""

from mirdl.experiments import claims, plan


def test_both_sides_of_every_claim_are_planned():
    planned = {(r.experiment, r.system, variant) for r in plan.runs() for variant in r.variants}
    for claim in claims.claims():
        assert {claim.a, claim.b} <= planned, claim
        assert claim.a != claim.b, claim


def test_every_claim_says_what_who_and_by_how_much():
    found = claims.claims()
    names = [(claim.lesson, claim.name) for claim in found]
    assert len(set(names)) == len(names)
    assert [claim.lesson for claim in found] == sorted(claim.lesson for claim in found)
    for claim in found:
        assert all((claim.text, claim.source)), claim
        assert claim.kind in ("greater", "equal"), claim
        lowest = 0.001 if claim.kind == "equal" else -1
        assert lowest <= claim.margin < 1, claim


def test_table_shows_effect_interval_and_power_or_missing(toy_results):
    table = claims.table()
    assert table["verdict"].tolist() == ["holds", "does not hold", "missing"]
    assert table.loc[(1, "1"), "effect"].startswith("+")
    assert table.loc[(1, "2"), "effect"].startswith("-")
    assert float(table.loc[(1, "1"), "detectable"]) > 0
    assert table.loc[(2, "1"), "interval"] == ""


def test_report_of_one_lesson(toy_results):
    text = claims.report(1)
    assert text.splitlines()[0] == "1. Clean beats noisy [ours]"
    assert "does not hold: roc_auc difference -" in text
    assert claims.report(2).endswith(claims.MISSING)


def test_printed_whole(toy_results, capsys):
    claims.main()
    assert capsys.readouterr().out.endswith("holds: 1, does not hold: 1, missing: 1\n")
