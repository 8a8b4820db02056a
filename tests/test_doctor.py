"""The doctor: what it finds, what it mends, and that it needs neither torch nor torchaudio."""

import hashlib
import subprocess
import sys

import pytest

from mirdl import doctor

BLOCK = """
import importlib.abc, sys
class Block(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked}:
            raise {error}("blocked: " + name)
sys.meta_path.insert(0, Block())
"""


def run_blocked(blocked, code, error="OSError"):
    """Run code in a fresh process where the named packages cannot be imported."""
    program = BLOCK.format(blocked=set(blocked), error=error) + code
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )


@pytest.fixture
def library(tmp_path):
    """A folder like torchaudio/lib."""
    for name in ("_torchaudio.abi3.so", "libtorchaudio.abi3.so"):
        (tmp_path / name).write_text(name)
    return tmp_path


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def linked_against_cuda(folder):
    """Fail as torchaudio does for as long as its extension lies where it looks for it."""
    found = (folder / "_torchaudio.abi3.so").exists()
    return lambda: "OSError: Could not load" if found and names(folder)[0][-3:] == ".so" else None


def test_mend_moves_the_extension_aside_and_unmend_puts_it_back(library):
    before = names(library)
    mended, line = doctor.mend(library, error=linked_against_cuda(library))
    assert mended
    assert "moved aside" in line
    assert names(library) == ["_torchaudio.abi3.so.aside", "libtorchaudio.abi3.so"]
    assert "_torchaudio.abi3.so" in doctor.unmend(library)
    assert names(library) == before
    assert doctor.unmend(library) == "nothing was moved aside"


def test_mend_touches_nothing_where_torchaudio_imports(library):
    before = names(library)
    assert doctor.mend(library, error=lambda: None)[0]
    assert names(library) == before


@pytest.mark.parametrize("reason", ["OSError: still broken", "ModuleNotFoundError: torch"])
def test_mend_leaves_what_it_cannot_mend_as_it_was(library, reason):
    before = names(library)
    mended, line = doctor.mend(library, error=lambda: reason)
    assert not mended
    assert reason in line
    assert names(library) == before


def test_report_counts_failures_only(capsys):
    good = doctor.Check("good", "OK", "fine")
    weak = doctor.Check("weak", "WARN", "slow", "buy memory")
    bad = doctor.Check("bad", "FAIL", "broken", "mend it")
    assert doctor.report([good, weak]) == 0
    assert doctor.report([good, weak, bad]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert "failing: bad" in lines[-1]
    assert any("to mend: mend it" in line for line in lines)


def test_every_failing_check_says_how_to_mend_it():
    def broken():
        raise RuntimeError("cannot even look")

    (check,) = doctor.examine({"broken": broken})
    assert check.verdict == "FAIL"
    assert "cannot even look" in check.found
    assert check.remedy


def test_this_installation_can_run_the_course():
    verdicts = {check.name: check for check in doctor.examine()}
    for name in ("Python", "libraries", "torch", "torchaudio", "MP3", "cache", "kernel"):
        assert verdicts[name].verdict == "OK", verdicts[name]


def test_data_check_finds_a_changed_table_and_a_missing_track(tmp_path, monkeypatch):
    monkeypatch.setenv("MIRDL_DATA", str(tmp_path))
    folder = tmp_path / "minitag"
    (folder / "audio").mkdir(parents=True)
    assert doctor.CHECKS["data"]()[0] == "FAIL"
    table = b"track_id,path\n0001,audio/0001.ogg\n"
    (folder / "tracks.csv").write_bytes(table)
    (folder / "audio/0001.ogg").write_bytes(b"music")
    frozen = f"{hashlib.sha256(table).hexdigest()}  tracks.csv\n"
    (folder / "FROZEN.sha256").write_text(frozen)
    assert doctor.CHECKS["data"]() == ("OK", "minitag, 1 tracks, tables as frozen")
    (folder / "audio/0001.ogg").unlink()
    assert "audio/0001.ogg" in doctor.CHECKS["data"]()[1]
    (folder / "tracks.csv").write_bytes(b"track_id,path\n")
    assert "tracks.csv" in doctor.CHECKS["data"]()[1]


def test_old_python_fails(monkeypatch):
    monkeypatch.setattr("platform.python_version_tuple", lambda: ("3", "10", "14"))
    assert doctor.CHECKS["Python"]()[0] == "FAIL"


def test_unwritable_cache_names_the_variable(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("MIRDL_CACHE", str(tmp_path / "file" / "cache"))
    verdict, _, remedy = doctor.CHECKS["cache"]()
    assert verdict == "FAIL"
    assert "MIRDL_CACHE" in remedy


@pytest.mark.parametrize(
    ("blocked", "error"), [(["torchaudio"], "OSError"), (["torch", "torchaudio"], "ImportError")]
)
def test_doctor_reports_without_torch(blocked, error):
    done = run_blocked(blocked, "from mirdl.cli import main; sys.exit(main(['doctor']))", error)
    assert "Traceback" not in done.stderr
    assert "FluidSynth" in done.stdout
    assert ("FAIL  torch " in done.stdout) == ("torch" in blocked)
    assert done.returncode == int("FAIL" in done.stdout)
