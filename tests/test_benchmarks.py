"""The benchmarks measure what they say: the transcriptions are the same networks as ours."""

import importlib
import json
import sys
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from mirdl import models

FOLDER = Path(__file__).resolve().parents[1] / "benchmarks"


@pytest.fixture
def benchmarks(monkeypatch):
    """Import from benchmarks/, as its scripts do."""
    monkeypatch.syspath_prepend(str(FOLDER))
    yield importlib.import_module
    for name in ("models", "gpu", "pipeline", "resampling", "scale", "transcription"):
        sys.modules.pop(name, None)


@pytest.fixture(params=["fcn", "musicnn", "crnn", "sample_cnn", "short_chunk_cnn",
                        "short_chunk_res", "harmonic_cnn", "self_attention"])  # fmt: skip
def pair(request, benchmarks):
    """Our network and its transcription with the same weights."""
    transcription = benchmarks("transcription")
    torch.manual_seed(0)
    ours, plain = models.build(request.param), transcription.NETWORKS[request.param]()
    for norm in ours.modules():
        if isinstance(norm, torch.nn.modules.batchnorm._BatchNorm):
            torch.nn.init.normal_(norm.weight)  # of both signs
    transcription.copy_weights(ours, plain)
    return ours, plain


@pytest.mark.filterwarnings("ignore:At least one mel filterbank")
def test_transcription_is_the_same_network(pair):
    ours, plain = pair
    assert models.n_parameters(ours) == models.n_parameters(plain)
    audio = 0.1 * torch.randn(4, ours.n_samples)
    for network in pair:
        for layer in network.modules():
            if isinstance(layer, torch.nn.Dropout | torch.nn.MultiheadAttention):
                layer.p = layer.dropout = 0.0
    targets = (torch.rand(4, 50) > 0.9).float()
    results = []
    for network in pair:  # by the statistics of the batch, of 4 values in the dense layers
        logits = network(audio)
        loss = F.binary_cross_entropy_with_logits(logits, targets)
        weights = list(network.parameters())[-2]  # of the last layer
        results.append((logits.detach(), torch.autograd.grad(loss, weights)[0]))
    for mine, theirs in zip(*results, strict=True):
        assert (mine - theirs).norm() < 1e-3 * theirs.norm()
    with torch.inference_mode():  # by the running statistics, which the step has moved
        mine, theirs = (network.eval()(audio) for network in pair)
    torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-4 * float(theirs.abs().max()))


def test_other_weights_are_refused(benchmarks):
    transcription = benchmarks("transcription")
    with pytest.raises(ValueError, match="other layers"):
        transcription.copy_weights(models.build("fcn", width=0.5), transcription.FCN())


@pytest.mark.filterwarnings("ignore:At least one mel filterbank")
def test_the_benchmark_of_networks_runs_and_saves(benchmarks, monkeypatch, tmp_path, capsys):
    script = benchmarks("models")
    monkeypatch.setenv("MIRDL_RESULTS", str(tmp_path))
    monkeypatch.setattr(script, "peak", lambda dtype: 1e11 if dtype == torch.float32 else 5e11)
    monkeypatch.setattr(sys, "argv", ["models.py", "--quick", "--save", "--networks", "fcn"])
    script.main()
    assert "fcn              training" in capsys.readouterr().out
    record = json.loads((tmp_path / "benchmarks" / "models.json").read_text())
    training, inference = record["rows"]
    assert (training["task"], inference["task"]) == ("training", "inference")
    assert training["fp32_ratio"] == pytest.approx(training["fp32"] / training["plain"], rel=0.01)
    assert inference["gigaflop_per_clip"] == pytest.approx(4.3, rel=0.05)
    assert training["gigaflop_per_clip"] == pytest.approx(13, rel=0.05)


def test_scale_is_arithmetic_on_what_was_measured(benchmarks, tmp_path, capsys, monkeypatch):
    scale = benchmarks("scale")
    nothing = scale.project(1000, 36.0, {})
    assert nothing["music, hours"] == 10
    assert nothing["packed, GB"] == pytest.approx(1.152)  # 36,000 s of 32,000 bytes
    assert nothing["shards of 128 clips"] == 8
    assert nothing["packed on one core, hours"] is None
    found = scale.project(1000, 36.0, {"pack": 10.0, "gpu": 2.0}, price=3.0)
    assert found["packed on one core, hours"] == 1
    assert found["packed on 16 cores, hours"] == 1 / 16
    assert found["100 epochs on one GPU, hours"] == pytest.approx(1000 * 100 / 2 / 3600)
    assert found["100 epochs on one GPU, cost"] == pytest.approx(1000 * 100 / 2 / 3600 * 3)
    assert scale.rates(tmp_path) == {}
    stage = {"stage": "pack, 1 worker", "seconds_a_unit": 0.0291}
    (tmp_path / "pipeline.json").write_text(json.dumps({"rows": [stage]}))
    for gpu, rate in {"gpu-a": 900.0, "gpu-b": 500.0}.items():
        row = {"network": "musicnn", "system": "bf16", "clips_per_second": rate}
        (tmp_path / f"{gpu}.json").write_text(json.dumps({"rows": [row]}))
    assert scale.rates(tmp_path) == {"pack": pytest.approx(1000), "gpu": 900.0}
    assert scale.table({}).count("not measured") == 3 * sum(v is None for v in nothing.values())
    monkeypatch.setattr(sys, "argv", ["scale.py", "--rate", "1000", "--price", "2"])
    scale.main()
    assert "| 100 epochs on one GPU, cost | 1 |" in capsys.readouterr().out


def test_the_page_about_scale_shows_the_committed_rates(benchmarks):
    scale = benchmarks("scale")
    page = (FOLDER.parent / "docs" / "scale.md").read_text(encoding="utf-8")
    shown = scale.BLOCK.search(page)[0].splitlines()[1:-1]
    expected = scale.table(scale.rates()).splitlines()
    assert shown == expected, "run python benchmarks/scale.py --fill"


def test_the_benchmark_of_the_pipeline_runs_and_saves(benchmarks, monkeypatch, tmp_path, capsys):
    script = benchmarks("pipeline")
    monkeypatch.setenv("MIRDL_RESULTS", str(tmp_path))
    options = ["--no-render", "--clips", "12", "--steps", "1", "--network", "dieleman_spectrogram"]
    monkeypatch.setattr(sys, "argv", ["pipeline.py", "--save", *options])
    script.main()
    printed = capsys.readouterr().out
    assert "unpacked 3.01, pack 24.1" in printed  # as large as the original
    record = json.loads((tmp_path / "benchmarks" / "pipeline.json").read_text())
    stages = [row["stage"].split(",")[0].split(":")[0] for row in record["rows"]]
    assert list(dict.fromkeys(stages)) == [
        "write MP3", "archive and checksums", "unpack", "check", "pack", "train", "evaluate",
    ]  # fmt: skip
    for row in record["rows"]:
        hours = row["seconds_a_unit"] * row["units_of_the_full_set"] / 3600
        assert row["core_hours"] == pytest.approx(hours, abs=0.5, rel=0.1)


def test_the_benchmark_of_training_runs_and_saves(benchmarks, monkeypatch, tmp_path, capsys):
    script = benchmarks("gpu")
    monkeypatch.setenv("MIRDL_RESULTS", str(tmp_path))
    command = "gpu.py --device cpu --shrink --save --networks sample_cnn"
    monkeypatch.setattr(sys, "argv", command.split())
    script.main()
    record = json.loads((tmp_path / "benchmarks" / "gpu-cpu.json").read_text())
    plain, ours = record["rows"]
    assert (plain["system"], ours["system"]) == ("plain", "fp32")
    assert ours["ratio"] == pytest.approx(
        ours["clips_per_second"] / plain["clips_per_second"], rel=0.01
    )
    for row in record["rows"]:
        assert row["data"] + row["mel"] + row["step"] == pytest.approx(1, abs=1e-3)
        assert row["seconds_per_step"] * row["clips_per_second"] == pytest.approx(2, rel=0.01)
    capsys.readouterr()
    monkeypatch.setattr(sys, "argv", ["gpu.py", "--table"])
    script.main()
    table = capsys.readouterr().out
    assert table.count("not measured") == len(script.speed.DEVICES)
    assert script.speed.COMMAND in table
    assert "sample_cnn" in table


def test_the_benchmark_of_resampling_runs_and_saves(benchmarks, monkeypatch, tmp_path):
    script = benchmarks("resampling")
    monkeypatch.setenv("MIRDL_RESULTS", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["resampling.py", "--save", "--tracks", "2"])
    script.main()
    record = json.loads((tmp_path / "benchmarks" / "resampling.json").read_text())
    assert [row["rate"] for row in record["rows"]] == list(script.RATES)
    assert all(row["worst_db"] < -25 for row in record["rows"])
