"""Several processes, on one machine here, end with the numbers of one; each launch tests a lot."""

import io
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from test_cli import tones as register_tones  # noqa: F401 (a fixture)
from test_training import run
from tones import tones
from torch import nn

from mirdl import cli, models, processes, training
from mirdl.datasets.pack import pack
from mirdl.errors import MirdlError
from mirdl.evaluation import window_scores

TESTS = Path(__file__).parent
TORCHRUN = "-m torch.distributed.run --standalone --nproc_per_node 2"
# On a machine with GPUs `accelerate launch` alone; --multi_gpu starts processes on any machine.
ACCELERATE = "-m accelerate.commands.launch --multi_gpu --num_processes 2 --num_machines 1"
ACCELERATE += " --mixed_precision no --dynamo_backend no --main_process_port 0"


def launch(launcher, *command):
    """Start two processes; one thread each, as here, since sums depend on their number."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(TESTS.parent)}
    return subprocess.Popen(
        [sys.executable, *launcher.split(), *map(str, command)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finished(process, seconds=600):
    out, err = process.communicate(timeout=seconds)
    assert process.returncode == 0, err
    return out


def interrupt_after(epochs, monkeypatch):
    """Make the next fit stop as by Ctrl-C in the validation after some epochs."""
    validate, calls = training._validate, []

    def validate_or_stop(*arguments):
        calls.append(None)
        if len(calls) > epochs:
            raise KeyboardInterrupt
        return validate(*arguments)

    monkeypatch.setattr(training, "_validate", validate_or_stop)


class Normalised(models.network("dieleman_spectrogram")):
    """With a batch normalisation of the logits, whose running means differ between processes."""

    def __init__(self):
        super().__init__(3, width=0.1, for_seconds=1)
        self.normalise = nn.BatchNorm1d(3)

    def forward(self, audio):
        return self.normalise(super().forward(audio))


# torchrun: fit, resume, evaluate

SCRIPT = """
import sys
sys.path.insert(0, {tests!r})
import torch
from test_many_processes import Normalised, hop, pack, run, tones, window_scores
from mirdl import cli, processes

dataset, folder = tones({data!r}), {folder!r}
model, history = run(dataset)
rank, n = processes.place()
_, resumed = run(dataset, folder=folder + "/one")
torch.manual_seed(0)
normalised, _ = run(dataset, Normalised())
valid = dataset.subset("valid")
windows = window_scores(model, valid, hop, 3, audio=pack(valid))
from_files = window_scores(model, valid, hop, 3)
kept = dict(rank=rank, n=n, weights=model.state_dict(), resumed=resumed["train_loss"].tolist())
kept |= dict(history=history.drop(columns="seconds").to_dict("list"), clip=windows.clip.tolist())
kept |= dict(scores=torch.from_numpy(windows.scores), means=normalised.normalise.running_mean)
kept |= dict(from_files=torch.from_numpy(from_files.scores), gathered=processes.gather(rank))
torch.save(kept, folder + f"/kept{{rank}}.pt")
sys.exit(cli.main(["evaluate", *{evaluate!r}.split()]))
"""
hop = 4000


def test_two_processes_equal_one(tmp_path, register_tones, monkeypatch, capsys):  # noqa: F811
    dataset = tones(tmp_path / "tones")
    network = models.build("fcn", 2, width=0.05, for_seconds=2.0)
    models.save(network, tmp_path / "fcn.safetensors", ["high", "low"], "multiclass")
    evaluate = f"{tmp_path}/fcn.safetensors --dataset folder --root {register_tones}"
    evaluate += " --target register --part all --csv"
    with monkeypatch.context() as patch:
        interrupt_after(1, patch)
        with pytest.raises(KeyboardInterrupt):
            run(dataset, folder=tmp_path / "one")
    script = tmp_path / "two.py"
    names = {"tests": TESTS, "data": tmp_path / "tones", "folder": tmp_path, "evaluate": evaluate}
    script.write_text(SCRIPT.format(**{name: str(value) for name, value in names.items()}))
    two = launch(TORCHRUN, script)
    model, history = run(dataset)  # one process, while the two run
    assert cli.main(["evaluate", *evaluate.split()]) == 0
    printed_by_one = capsys.readouterr().out
    printed = finished(two)
    first, second = (torch.load(tmp_path / f"kept{rank}.pt") for rank in (0, 1))
    assert (first["rank"], second["rank"], first["n"]) == (0, 1, 2)
    assert first["gathered"] == second["gathered"] == [0, 1]

    # The loss curve, also where a state of one process is gone on with by two.
    for name in ("step", "train_loss", "valid_loss", "valid_roc_auc", "learning_rate"):
        assert first["history"][name] == second["history"][name]
        assert first["history"][name] == pytest.approx(history[name].tolist(), abs=1e-5)
    assert first["resumed"] == pytest.approx(history["train_loss"].tolist(), abs=1e-5)
    for name, value in model.state_dict().items():
        torch.testing.assert_close(first["weights"][name], value, rtol=0, atol=1e-5)
    # What no gradient keeps equal: running means are those of the first process everywhere.
    assert torch.equal(first["means"], second["means"])

    # Scores: the same windows in the same order with the same bits, in every process.
    model.load_state_dict(first["weights"])
    valid = dataset.subset("valid")
    alone = window_scores(model, valid, hop, 3, audio=pack(valid))
    files = window_scores(model, valid, hop, 3)
    for kept in (first, second):
        assert kept["clip"] == alone.clip.tolist()
        assert np.array_equal(kept["scores"], alone.scores)
        assert np.array_equal(kept["from_files"], files.scores)
    assert printed == printed_by_one  # by `mirdl evaluate`, once


# The command line

OPTIONS = "--target register --model dieleman_spectrogram --set width=0.1 for_seconds=1"
OPTIONS += " --fit batch_size=8 --quiet --device cpu"


def packed_paths():
    (journal,) = Path(os.environ["MIRDL_CACHE"]).glob("packs/*/journal.jsonl")
    return [json.loads(line).get("path") for line in journal.read_text().splitlines()[1:]]


def test_a_worker_that_dies_ends_all_and_another_layout_goes_on(register_tones, tmp_path):  # noqa: F811
    arguments = f"train --dataset folder --root {register_tones} {OPTIONS} --steps 24".split()
    state = tmp_path / "broken" / "seed0" / "state.pt"
    two = launch(ACCELERATE, "-m", "mirdl", *arguments, "--folder", tmp_path / "broken")
    while not state.exists() and two.poll() is None:
        time.sleep(0.01)
    assert two.poll() is None, two.communicate()
    workers = psutil.Process(two.pid).children(recursive=True)
    (worker,) = [each for each in workers if each.environ().get("RANK") == "1"]
    worker.kill()
    killed = time.monotonic()
    _, errors = two.communicate(timeout=60)
    assert two.returncode != 0
    assert time.monotonic() - killed < 45, errors  # the launcher gives the others 30 s to end
    done = torch.load(state, weights_only=True)["history"]
    assert 0 < len(done) < 24

    # What two processes began one ends, as if it had been alone all the time.
    assert cli.main([*arguments, "--folder", str(tmp_path / "whole")]) == 0
    assert cli.main([*arguments, "--folder", str(tmp_path / "broken")]) == 0
    whole, broken = (
        np.genfromtxt(tmp_path / name / "seed0/history.csv", delimiter=",", names=True)
        for name in ("whole", "broken")
    )
    assert broken["seconds"][: len(done)].tolist() == [row["seconds"] for row in done]
    np.testing.assert_allclose(broken["train_loss"], whole["train_loss"], rtol=0, atol=1e-5)


def test_slurm_script(register_tones, tmp_path):  # noqa: F811
    """Its launch line, on one node with two processes, and its way back into the queue."""
    script = TESTS.parent / "docs/slurm/train.sbatch"
    subprocess.run(["bash", "-n", script], check=True)
    commands = {"srun": 'shift; exec "$@"', "scontrol": 'echo "$@" >> asked; echo localhost'}
    for name, text in commands.items():
        (tmp_path / name).write_text(f"#!/bin/bash\n{text}\n")
        (tmp_path / name).chmod(0o755)
    job = {"SLURM_JOB_ID": "7", "SLURM_JOB_NUM_NODES": "1", "SLURM_JOB_NODELIST": "localhost"}
    job |= {"MIRDL_PROCESSES_PER_NODE": "2", "PYTHON": sys.executable, "OMP_NUM_THREADS": "1"}
    job |= {"PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHONPATH": str(TESTS.parent)}
    arguments = f"--dataset folder --root {register_tones} {OPTIONS} --steps 8 --folder out".split()
    done = subprocess.run(
        ["bash", script, *arguments, "--save-results", "tones"],
        cwd=tmp_path,
        env=os.environ | job | {"MIRDL_RESULTS": str(tmp_path / "results")},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == len(set(lines)), "printed twice"
    assert sum(line.startswith("seed 0, ") for line in lines) == 1
    files = {path.name for path in (tmp_path / "out/seed0").iterdir()}
    assert files == {"model.safetensors", "history.csv", "test.csv", "state.pt"}
    assert len(list(tmp_path.glob("results/tones/*.json"))) == 1
    paths = packed_paths()
    assert len(paths) == len(set(paths)) == 24, "decoded twice"
    assert models.load(tmp_path / "out/seed0/model.safetensors").n_outputs == 2

    # With a launch that lasts, Slurm's warning: the job asks to be put back into the queue.
    (tmp_path / "srun").write_text("#!/bin/bash\nexec sleep 2\n")
    waiting = subprocess.Popen(["bash", script], cwd=tmp_path, env=os.environ | job)
    asked = tmp_path / "asked"
    while "sleep" not in [p.name() for p in psutil.Process(waiting.pid).children()]:
        time.sleep(0.01)
    waiting.send_signal(10)
    waiting.wait()
    assert asked.read_text().splitlines()[-1] == "requeue 7"


# One process


def test_norms_are_shared_and_given_back():
    network = models.build("fcn", 3, width=0.05, for_seconds=2.0).eval()
    audio = torch.randn(2, network.n_samples)
    before, logits = network.state_dict(), network(audio)
    layers = dict(network.named_modules())
    parameters = list(network.parameters())
    norms = processes.share_norms(network)
    kinds = {type(layer) for layer in network.modules() if "Norm" in type(layer).__name__}
    assert kinds == {nn.SyncBatchNorm}
    assert list(network.state_dict()) == list(before)
    for name, value in network.state_dict().items():
        assert value.data_ptr() == before[name].data_ptr()  # the same memory: optimisers may stay
    assert all(a is b for a, b in zip(network.parameters(), parameters, strict=True))
    torch.testing.assert_close(network(audio), logits, rtol=1e-4, atol=1e-5)  # layer by layer
    network.train()(audio)  # running means move …
    processes.restore(norms)
    assert all(layer is layers[name] for name, layer in network.named_modules())
    moved = network.state_dict()
    assert all(value.data_ptr() == before[name].data_ptr() for name, value in moved.items())
    counts = [value for name, value in moved.items() if name.endswith("num_batches_tracked")]
    assert all(counts)  # … in the layers that are given back


def test_only_an_error_of_the_others_is_called_that():
    lost = RuntimeError("[gloo/transport/tcp/pair.cc:547] Connection closed by peer")
    with pytest.raises(MirdlError, match=r"ended.*start all of them again"), processes.together():
        raise lost
    with pytest.raises(RuntimeError, match="out of memory"), processes.together():
        raise RuntimeError("out of memory")


def test_alone_nothing_changes(monkeypatch):
    assert processes.place() == (0, 1)
    assert processes.gather("a") == ["a"]
    assert processes.rank() == 0
    assert processes.use_cpu("cpu")
    assert not processes.use_cpu(None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert processes.use_cpu(None)
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert cli.main(["pipeline", "magnatagatune", "--recipe", "won2020"]) == 2
    assert "mirdl pipeline is one process" in sys.stderr.getvalue()


def test_other_processes_keep_quiet(monkeypatch, capsys):
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setattr(sys, "stdout", sys.stdout)
    assert cli.main(["models", "fcn"]) == 0
    assert cli.main(["evaluate", "nowhere.safetensors"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err == "mirdl, process 1: nowhere.safetensors: no such file\n"
