"""The repository keeps its promises: environment, lock, sizes, import directions, notebooks."""

import ast
import importlib.metadata
import json
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml
from nbval.plugin import get_sanitize_patterns
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from test_doctor import run_blocked

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
NEEDED = PROJECT["dependencies"] + EXTRAS["render"] + EXTRAS["shards"] + EXTRAS["test"]
NOTEBOOKS = sorted(
    path for path in ROOT.glob("notebooks/**/*.ipynb") if ".ipynb_checkpoints" not in path.parts
)

#: Where conda-forge has another name.
CONDA = {"torch": "pytorch", "soundfile": "pysoundfile", "soxr": "soxr-python"}

#: Design of the package: a module imports only from lines above its own, or from its own line.
ORDER = [
    {"errors"},
    {"paths", "processes"},
    {"audio", "doctor", "plotting"},
    {"features", "augment", "compose", "listen"},
    {"datasets"},
    {"models"},
    {"evaluation"},
    {"checkpoints", "optimisation"},
    {"training"},
    {"published", "published_scores", "recipes", "explain"},
    {"experiments"},
    {"commands"},
    {"cli"},
    {"__main__", "__init__"},
]
RANK = {name: rank for rank, names in enumerate(ORDER) for name in names}


def git(*arguments):
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        pytest.skip("not a git checkout")
    return done.stdout


def room(module):
    """Return "datasets" for "mirdl.datasets.pack", "__init__" for "mirdl"."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def imported(path):
    """Yield every mirdl module that a file imports, inside functions too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("mirdl"))
        elif isinstance(node, ast.ImportFrom) and node.module == "mirdl":
            yield from (f"mirdl.{alias.name}" for alias in node.names if alias.name in RANK)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("mirdl."):
            yield node.module


def test_conda_environment_is_in_step_with_the_project():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    by_pip = environment.pop()["pip"]
    environment.remove("pip")
    there = {Requirement(line).name: Requirement(line) for line in environment + by_pip}
    needed = {"python": f"python{PROJECT['requires-python']}"}
    for line in NEEDED:
        name = Requirement(line).name
        conda = name if line in by_pip else CONDA.get(name, name)
        needed[conda] = line.replace(name, conda, 1)
    assert {name: str(each) for name, each in there.items()} == {
        name: str(Requirement(line)) for name, line in needed.items()
    }


def test_lock_pins_everything_for_every_platform():
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    pins = [Requirement(line) for line in lines if line and not line.startswith("#")]
    for pin in pins:
        (specifier,) = pin.specifier
        assert specifier.operator == "==", pin
        assert "+" not in specifier.version, f"{pin} is a local version"
        assert not re.match(r"nvidia|cuda|triton", pin.name), pin
        assert pin.url is None
    versions = {canonicalize_name(pin.name): pin.specifier for pin in pins}
    for line in NEEDED:
        needed = Requirement(line)
        (pinned,) = versions[canonicalize_name(needed.name)]
        assert needed.specifier.contains(pinned.version), f"{pinned} is not {needed}"
    for system in ("linux", "darwin", "win32"):
        for python in ("3.11.9", "3.12.9", "3.13.9"):
            machine = default_environment() | {
                "sys_platform": system,
                "os_name": "nt" if system == "win32" else "posix",
                "python_full_version": python,
                "python_version": python.rpartition(".")[0],
            }
            used = [p.name for p in pins if p.marker is None or p.marker.evaluate(machine)]
            assert len(used) == len(set(used)), f"pinned twice on {system}, Python {python}"
            assert "torch" in used


def test_no_index_address_is_written_down():
    text = "".join((ROOT / name).read_text() for name in ("requirements.lock", "Makefile"))
    assert not re.search(r"https?:|file:", text)


def test_ci_runs_the_test_command_and_nothing_else():
    script = ROOT / ".ci" / "run"
    commands = [line for line in script.read_text().splitlines() if line[:1] not in ("", "#")]
    assert commands[0] == "set -euo pipefail"
    assert commands[-1] == "make test"
    assert script.stat().st_mode & 0o111


def test_readme_names_only_commands_that_exist():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"\bmake ([a-z]+)\b", " ".join(re.findall(r"`[^`]+`", readme))))
    assert {"lab", "test"} <= named <= targets


@pytest.mark.parametrize(
    "command", ["train", "evaluate", "pipeline", "tag", "explain", "models", "data", "doctor"]
)
def test_readme_shows_every_command_of_the_command_line(command):
    assert f"mirdl {command}" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_files_are_small():
    for name in git("ls-files").splitlines():
        path = ROOT / name
        if path.is_file() and not name.startswith(("data/", "mirdl/weights/")):
            assert path.stat().st_size < 1e6, f"{name} is {path.stat().st_size} bytes"


def test_history_is_small():
    sizes = dict(line.split(": ") for line in git("count-objects", "-v").splitlines())
    assert int(sizes["size-pack"]) + int(sizes["size"]) < 120_000, "kilobytes in .git"


def test_modules_are_short_and_import_one_way():
    for path in sorted((ROOT / "mirdl").rglob("*.py")):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 400, f"{name} is too long"
        here = room(name)
        assert here in RANK, f"{name} has no place in ORDER"
        for module in imported(path):
            there = room(module)
            allowed = there == here or RANK[there] < RANK[here] or module == "mirdl"
            assert allowed, f"{name} imports {module}, which stands to its right"


def test_audio_datasets_and_doctor_work_without_torchaudio():
    modules = ["mirdl", "mirdl.audio", "mirdl.cli", "mirdl.doctor"]
    modules += [f"mirdl.datasets.{path.stem}" for path in (ROOT / "mirdl/datasets").glob("[a-z]*")]
    done = run_blocked(["torchaudio"], f"import {', '.join(modules)}")
    assert done.returncode == 0, done.stderr


def test_import_mirdl_is_light():
    done = run_blocked(["torch", "pandas", "librosa", "matplotlib"], "import mirdl.cli")
    assert done.returncode == 0, done.stderr


def test_versions_agree():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == importlib.metadata.version("mirdl")


def sanitized(text):
    for regex, replacement in get_sanitize_patterns((ROOT / "tests/nbval.cfg").read_text()):
        text = re.sub(regex, replacement, text)
    return text


@pytest.mark.parametrize(
    ("once", "again"),
    [
        ("trained in ≈ 12.3 s", "trained in ≈ 8 s"),
        ("valid ROC-AUC ≈ 0.7312, loss ≈ 1.2e-03", "valid ROC-AUC ≈ 0.73, loss ≈ 2e-3"),
        ("≈ 1,240 MB of memory", "≈ 980 MB of memory"),
        ("Wall time: 3.1 s", "Wall time: 900 ms"),
        ("1.2 ms ± 3 µs per loop", "3 s ± 20 ms per loop"),
        (" 45%|####      | 4/10 [00:01<00:02]", "100%|##########| 10/10 [00:03<00:00]"),
        ("<f at 0x7f00aa>", "<f at 0x10ff00bb>"),
        ('src="data:audio/mpeg;base64,AAAA+/="', 'src="data:audio/mpeg;base64,BBBB"'),
    ],
)
def test_nbval_hides_what_differs_between_machines(once, again):
    assert sanitized(once) == sanitized(again)


@pytest.mark.parametrize(
    "text",
    [
        "torch.Size([16, 50])",
        "447,732 parameters",
        "ROC-AUC 0.713 [0.680, 0.752], chance 0.500",
        "holds: +0.031 [0.012, 0.050]",
        "10 s, 160,000 samples, 25 artists",
    ],
)
def test_nbval_compares_shapes_counts_and_verdicts(text):
    assert sanitized(text) == text


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_executed_small_and_portable(path):
    assert path.stat().st_size < 1e6
    notebook = json.loads(path.read_text(encoding="utf-8"))
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"
    for cell in notebook["cells"]:
        if cell["cell_type"] != "code" or not "".join(cell["source"]).strip():
            continue
        assert cell["execution_count"], f"never executed: {''.join(cell['source'])[:80]}"
        outputs = json.dumps(cell["outputs"])
        assert '"output_type": "error"' not in outputs
        assert '"name": "stderr"' not in outputs, f"a warning: {outputs[:300]}"
        assert not re.search(r"/(home|Users|root)/|[A-Z]:\\\\+Users|/work/", outputs)
