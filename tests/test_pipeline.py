"""``mirdl pipeline``: a small copy in the original layout, from archive parts to a score table."""

import csv
import json
import shutil

import original_layout
import pytest

from mirdl import cli
from mirdl.datasets import magnatagatune

#: A run of seconds: width 0.1 on tones of 2 s, one epoch.
SHORT = ["--recipe", "dieleman2014", "--epochs", "1", "--set", "width=0.1"]
STAGES = ["get", "check", "pack", "train", "evaluate folder", "evaluate clean"]


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return original_layout.copy(tmp_path_factory.mktemp("source"))


@pytest.fixture
def run(tmp_path, source, monkeypatch):
    """Call the pipeline; return its exit status."""
    monkeypatch.setattr(magnatagatune, "SECONDS", original_layout.SECONDS)
    where = ["--source", str(source), "--root", str(tmp_path / "mtt")]
    where += ["--folder", str(tmp_path / "run"), "--quiet", "--device", "cpu"]
    return lambda *more: cli.main(["pipeline", "magnatagatune", *where, *SHORT, *more])


def done_before(printed):
    """Return which stages the table at the end calls done before."""
    table = printed.rstrip().splitlines()[-len(STAGES) :]
    assert [line[:16].strip() for line in table] == STAGES
    return [line[:16].strip() for line in table if line.endswith("done before")]


def test_from_archive_parts_to_a_score_table(run, tmp_path, capsys):
    assert run() == 0
    printed = capsys.readouterr().out
    assert done_before(printed) == []
    for command in ("data get", "data check", "data pack", "train", "evaluate"):
        assert f"   mirdl {command} " in printed
    assert "24 files, 0 of them cannot be used" in printed
    assert "24 of 24 clips" in printed
    assert printed.count("roc_auc") >= 3  # after training, and once a split
    assert "Dieleman & Schrauwen" in printed.split("folder split, test clips")[1]
    assert (tmp_path / "run" / "check.csv").read_text() == "path,kind,reason\n"

    assert run() == 0  # nothing left to do
    printed = capsys.readouterr().out
    assert done_before(printed) == ["check", "train", "evaluate folder", "evaluate clean"]
    assert "roc_auc" in printed

    shutil.rmtree(tmp_path / "run" / "seed0")  # what is gone is made again, the same
    scores = (tmp_path / "run" / "scores-folder.txt").read_text()
    assert run() == 0
    assert done_before(capsys.readouterr().out)[0] == "check"
    assert (tmp_path / "run" / "scores-folder.txt").read_text() == scores


def test_bad_clips_are_reported_and_left_out(run, tmp_path, capsys):
    assert cli.main(["data", "get", "magnatagatune", "--root", str(tmp_path / "mtt"), "--quiet",
                     "--source", str(tmp_path / "no such folder")]) == 2  # fmt: skip
    assert "no such folder" in capsys.readouterr().err
    assert run() == 0
    clips = sorted((tmp_path / "mtt").glob("[0-9a-b]/*-0-29.mp3"))
    clips[0].write_bytes(b"")
    clips[1].write_bytes(clips[1].read_bytes()[:4000])
    clips[2].write_bytes(b"no music" * 100)
    capsys.readouterr()
    assert run() == 2  # a run that began with other clips is not continued in silence
    assert "another run (usable clips 19 → 17)" in capsys.readouterr().err
    assert run("--folder", str(tmp_path / "again")) == 0
    printed = capsys.readouterr().out
    assert done_before(printed) == []  # other data: every stage looks again
    assert "24 files, 3 of them cannot be used" in printed
    rows = csv.DictReader((tmp_path / "again" / "check.csv").read_text().splitlines())
    kinds = {row["path"]: row["kind"] for row in rows}
    assert kinds[str(clips[0])] == "empty"
    assert kinds[str(clips[1])] == "too short"
    assert kinds[str(clips[2])].startswith(("unreadable", "damaged", "missing", "too short"))


def test_what_stops_a_stage_is_one_line(run, tmp_path, capsys):
    assert run("--set", "width=none") == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("mirdl: ")
    assert captured.err.count("\n") == 1
    assert "stopped in train; run the same again" in captured.out
    (tmp_path / "run" / "pipeline.json").write_text("{")
    assert run() == 2
    assert "pipeline.json: damaged; delete it" in capsys.readouterr().err
    (tmp_path / "run" / "pipeline.json").unlink()
    assert run() == 0
    assert set(json.loads((tmp_path / "run" / "pipeline.json").read_text())) == set(STAGES)
