"""Published recipes: their stages, resumption in any of them, the command; published scores."""

import fnmatch
import os
import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from killing import kill_once_there
from test_datasets_magnatagatune import PATHS, tables
from tones import tones

import mirdl
from mirdl import audio, cli, models, published_scores, recipes, training
from mirdl.datasets import pack
from mirdl.errors import CheckpointError, MirdlError
from mirdl.recipes import RECIPES, Recipe

STAGES = {name: recipe.stages for name, recipe in RECIPES.items()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("tones")


def network(seed=0, name="dieleman_spectrogram", **overrides):
    torch.manual_seed(seed)
    return models.build(name, n_outputs=3, width=0.25, **{"for_seconds": 1, **overrides})


def run(recipe, dataset, model=None, **options):
    """Train briefly; return (model, history)."""
    model = network() if model is None else model
    parts, common = [dataset.subset(part) for part in ("train", "valid")], {"device": "cpu"}
    return model, recipes.train(recipe, model, *parts, progress=False, **common, **options)


def equal(a, b):
    """Whether two runs, (model, history), ended with the same numbers to the last bit."""
    weights = zip(a[0].state_dict().values(), b[0].state_dict().values(), strict=True)
    without_time = [history.drop(columns="seconds") for _, history in (a, b)]
    return without_time[0].equals(without_time[1]) and all(torch.equal(x, y) for x, y in weights)


# What the papers say


def test_won2020_goes_from_adam_to_sgd_at_three_rates():
    stages = STAGES["won2020"]
    assert [s["n_epochs"] for s in stages] == [80, 20, 20, 80]  # 200 in all
    assert [s["optimizer"] for s in stages] == ["adam", "sgd", "sgd", "sgd"]
    assert [s["learning_rate"] for s in stages] == [1e-4, 1e-3, 1e-4, 1e-5]
    assert all((s["batch_size"], s["weight_decay"], s["best_by"]) == (16, 1e-4, "loss")
               for s in stages)  # fmt: skip
    assert RECIPES["won2020"].split == "clean"
    assert len(RECIPES["won2020"].networks) == 9


def test_lee2017_divides_the_rate_by_five_four_times():
    recipe = RECIPES["lee2017"]
    rates = [s["learning_rate"] for s in recipe.stages]
    assert rates == pytest.approx([0.01, 0.002, 0.0004, 0.00008, 0.000016])
    assert all((s["batch_size"], s["momentum"], s["patience"], s["best_by"]) == (23, 0.9, 3, "loss")
               for s in recipe.stages)  # fmt: skip
    assert recipe.every_segment
    assert recipe.split == "clean"
    assert recipes.inverse_decay(0) == 1
    assert recipes.inverse_decay(1_000_000) == pytest.approx(0.5)
    with torch.device("meta"):
        model = models.build("sample_cnn", **recipe.networks["sample_cnn"])
    assert (model.n_samples, model.sample_rate) == (59_049, 22_050)


def test_pons2018_halves_the_rate_on_a_plateau_of_75_epochs():
    (stage,) = STAGES["pons2018"]
    assert (stage["n_epochs"], stage["batch_size"], stage["learning_rate"]) == (600, 32, 1e-3)
    assert (stage["weight_decay"], stage["decay_kernels_only"]) == (1e-5, True)
    assert (stage["schedule"], stage["plateau_epochs"], stage["best_by"]) == ("plateau", 75, "loss")
    assert RECIPES["pons2018"].split == "folder"
    assert next(iter(RECIPES["pons2018"].networks)) == "musicnn"


def test_dieleman2014_makes_five_million_updates_of_ten_windows():
    (stage,) = STAGES["dieleman2014"]
    assert (stage["n_steps"], stage["batch_size"]) == (5_000_000, 10)
    assert (stage["optimizer"], stage["momentum"]) == ("sgd", 0)
    recipe = RECIPES["dieleman2014"]
    assert recipe.split == "folder"
    assert "In no text: learning rate" in " ".join(recipe.notes)
    with torch.device("meta"):
        seconds = {models.build(k, **o).n_samples / 16_000 for k, o in recipe.networks.items()}
    assert seconds == {3.0}


@pytest.mark.parametrize("name", RECIPES)
def test_recipes_name_networks_that_can_be_built(name):
    for network_name, overrides in RECIPES[name].networks.items():
        with torch.device("meta"):
            assert models.build(network_name, **overrides).n_outputs == 50


# Training


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_runs_from_end_to_end(folder, name):
    model = network(name="sample_cnn", for_seconds=0.5) if name == "lee2017" else network()
    start = {key: value.clone() for key, value in model.state_dict().items()}
    _, history = run(name, tones(folder), model, epochs=1)
    assert history["stage"].tolist() == list(range(1, len(STAGES[name]) + 1))
    assert history["epoch"].tolist() == history["stage"].tolist()
    assert history["step"].is_monotonic_increasing
    rates = [stage["learning_rate"] for stage in STAGES[name]]
    assert history["learning_rate"].tolist() == pytest.approx(rates)
    changed = [not torch.equal(start[key], value) for key, value in model.state_dict().items()]
    assert any(changed)
    # 16 clips of 1.5 s: three segments of 0.5 s each, two batches of 23
    assert history["step"].iloc[0] == {"lee2017": 2}.get(name, 1)


def test_unknown_recipes_and_bad_lengths_are_refused(folder):
    with pytest.raises(MirdlError, match=r"no recipe is called 'won'.*won2020, lee2017"):
        run("won", tones(folder))
    with pytest.raises(MirdlError, match="n_epochs must be at least 1"):
        run("won2020", tones(folder), epochs=0)


def test_a_recipe_of_one_stage_is_that_fit(folder):
    dataset = tones(folder)
    model = network()
    history = training.fit(
        model, dataset.subset("train"), dataset.subset("valid"), seed=4, device="cpu",
        progress=False, **{**STAGES["pons2018"][0], "n_epochs": 3},
    )  # fmt: skip
    history.insert(0, "stage", 1)
    assert equal(run("pons2018", dataset, seed=4, epochs=3), (model, history))


TWO = Recipe("two", "", {}, "", ({"n_epochs": 4, "learning_rate": 3e-3}, {"n_epochs": 4}))


def test_overrides_reach_every_stage(folder):
    _, history = run(TWO, tones(folder), batch_size=4, learning_rate=1e-4, epochs=2)
    assert history["learning_rate"].tolist() == [1e-4] * 4
    assert history["step"].tolist() == [4, 8, 12, 16]
    assert history["epoch"].tolist() == [1, 2, 3, 4]


def test_a_later_stage_changes_neither_normalisation_nor_better_weights(folder):
    dataset = tones(folder)
    good = {"n_epochs": 6, "learning_rate": 3e-3, "best_by": "loss"}
    bad = {**good, "augment": lambda crops, targets, _: (crops, 1 - targets)}  # all wrong
    first, _ = run(Recipe("one", "", {}, "", (good,)), dataset)
    both, history = run(Recipe("both", "", {}, "", (good, bad)), dataset)
    lowest = history.groupby("stage")["valid_loss"].min()
    assert lowest[2] > lowest[1]
    for ours, theirs in zip(both.state_dict().values(), first.state_dict().values(), strict=True):
        assert torch.equal(ours, theirs)
    better, _ = run(Recipe("better", "", {}, "", (good, good)), dataset)
    assert not torch.equal(better.conv1.conv.weight, first.conv1.conv.weight)
    assert torch.equal(better.front_end.mean, first.front_end.mean)
    assert torch.equal(better.front_end.std, first.front_end.std)


def test_segments_are_the_clip_without_its_rest(folder):
    dataset = tones(folder)
    cut = recipes.in_segments(dataset, 7_000, progress=False)
    assert len(cut) == 3 * len(dataset)  # 24,000 samples
    assert cut.clips["clip_id"][:4].tolist() == ["0:0", "0:1", "0:2", "1:0"]
    np.testing.assert_array_equal(cut.targets[::3], dataset.targets)
    whole, parts = (pack.pack(each, progress=False) for each in (dataset, cut))
    assert set(parts.seconds) == {7_000 / 16_000}
    joined = torch.cat([parts.clip(i) for i in (3, 4, 5)])
    assert torch.equal(joined, whole.clip(1)[:21_000])
    crops = parts.crops([3, 4, 5], 7_000, seed=0, epoch=9)  # the only crop that there is
    assert torch.equal(crops.flatten(), joined)


def test_segments_of_short_and_unreadable_clips(tmp_path):
    dataset = tones(tmp_path)
    Path(dataset.clips["path"][3]).write_bytes(b"")
    cut = recipes.in_segments(dataset, 30_000, progress=False)
    assert cut.clips["clip_id"].tolist() == [f"{i}:0" for i in range(24) if i != 3]
    assert pack.pack(cut, progress=False).seconds.tolist() == [1.5] * 23


# Interruption

SCRIPT = """
import sys
sys.path.insert(0, {tests!r})
from test_recipes import SLOW, run
from tones import tones
run(SLOW, tones({data!r}), folder={folder!r})
"""
SLOW = Recipe(
    "slow", "", {}, "",
    ({"n_epochs": 3, "batch_size": 4}, {"n_epochs": 20, "batch_size": 4, "best_by": "loss"}),
)  # fmt: skip


def test_kill_9_in_stage_two_and_resume_equals_an_unbroken_run(folder, tmp_path):
    dataset, state = tones(folder), tmp_path / "stage2" / "state.pt"
    script = SCRIPT.format(tests=str(Path(__file__).parent), data=str(folder), folder=str(tmp_path))
    kill_once_there(script, state)
    first, second = (torch.load(tmp_path / f"stage{i}" / "state.pt", weights_only=True)["history"]
                     for i in (1, 2))  # fmt: skip
    assert len(first) == 3
    assert 0 < len(second) < 20

    resumed = run(SLOW, dataset, network(seed=1), folder=tmp_path)  # other weights do not matter
    seconds = [row["seconds"] for row in [*first, *second]]
    assert resumed[1]["seconds"][: len(seconds)].tolist() == seconds  # not trained again
    assert equal(resumed, run(SLOW, dataset))
    finished = run(SLOW, dataset, network(seed=2), folder=tmp_path)
    assert finished[1]["seconds"].equals(resumed[1]["seconds"])
    assert equal(resumed, finished)
    with pytest.raises(CheckpointError, match=r"stage1.*another run"):
        run(SLOW, dataset, folder=tmp_path, epochs=1)


# Published scores


def test_published_scores_are_of_networks_that_there_are():
    rows = published_scores.read()
    assert set(rows["network"]) <= set(models.available())
    assert set(rows["split"]) == {"clean", "folder", "own"}
    assert rows["roc_auc"].between(0.8, 1).all()
    assert (rows["pr_auc"].isna() | rows["pr_auc"].between(0.2, 0.6)).all()
    best = published_scores.read("short_chunk_res", "clean")
    assert best[["roc_auc", "pr_auc"]].to_numpy().tolist() == [[0.9129, 0.4614]]
    for row in rows.to_dict("records"):
        if "unknown" not in row["overrides"].values():
            with torch.device("meta"):
                model = models.build(row["network"], **row["overrides"])
            assert published_scores.other_network(row["overrides"], model) == []


def test_every_network_of_a_recipe_has_a_published_score_on_its_split():
    for recipe in RECIPES.values():
        for name, overrides in recipe.networks.items():
            with torch.device("meta"):
                model = models.build(name, **overrides)
            rows = published_scores.read(name, recipe.split)["overrides"]
            assert any(published_scores.other_network(o, model) == [] for o in rows), name


def test_tables_are_in_the_wheel():
    root = Path(mirdl.__file__).parent
    settings = tomllib.loads((root.parent / "pyproject.toml").read_text())
    patterns = settings["tool"]["setuptools"]["package-data"]["mirdl"]
    for path in root.rglob("*.csv"):
        name = path.relative_to(root).as_posix()
        assert any(fnmatch.fnmatch(name, pattern) for pattern in patterns), name


def test_a_smaller_network_is_not_comparable():
    with torch.device("meta"):
        model = models.build("musicnn", width=0.1, version="ismir2019")
    scores = {"roc_auc": 0.7, "pr_auc": 0.2}
    lines = published_scores.beside(model, scores, "folder").splitlines()
    assert lines[2].split() == ["ours", "0.7000", "0.2000"]
    (line,) = (line for line in lines if "#11)" in line)
    assert "0.9069   0.3844  not comparable: width=0.1 (theirs 1)" in line
    with torch.device("meta"):
        model = models.build("musicnn", version="ismir2019")
    lines = published_scores.beside(model, scores, "folder").splitlines()
    (line,) = (line for line in lines if "#11)" in line)
    assert "0.3844  comparable" in line
    assert "back_end=temporal (theirs rnn)" in lines[-1]


# The command


@pytest.fixture(scope="module")
def small_copy(tmp_path_factory):
    """Twenty clips of 2 s in the layout of MagnaTagATune."""
    folder = tmp_path_factory.mktemp("mtt")
    tables(folder)
    rng = np.random.default_rng(0)
    for path in PATHS:
        (folder / path).parent.mkdir(exist_ok=True)
        audio.write(folder / path, 0.1 * rng.standard_normal(32_000), 16_000)
    return folder


def command(name, *more):
    return cli.main([name, "--device", "cpu", "--dataset", "magnatagatune", *more])


def test_a_recipe_gives_split_network_and_stages(small_copy, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    where = ["--root", str(small_copy)]
    options = [*where, "--quiet", "--recipe", "won2020", "--epochs", "1", "--set", "width=0.05"]
    options += ["--fit", "batch_size=4"]
    assert command("train", *options) == 0
    printed = capsys.readouterr().out
    assert "won2020: Won et al., SMC 2020 (sota-music-tagging-models), 4 stages" in printed
    run_folder = tmp_path / "runs/magnatagatune-won2020-fcn/seed0"
    assert {"stage1", "stage4", "model.safetensors", "history.csv"} <= set(os.listdir(run_folder))
    table = printed[printed.index("fcn on MagnaTagATune, clean split, published and ours:") :]
    won = next(line for line in table.splitlines() if line.startswith("Won et al."))
    assert "0.9005   0.4295  not comparable: " in won
    assert "of 15,247 train clips" in won
    assert "width=0.05 (theirs 1)" in won
    kept = (run_folder / "model.safetensors").read_bytes()
    assert command("train", *options) == 0  # goes on from the end: nothing changes
    assert (run_folder / "model.safetensors").read_bytes() == kept

    capsys.readouterr()
    saved = str(run_folder / "model.safetensors")
    assert command("evaluate", saved, *where, "--split", "folder") == 0
    assert "folder split: nothing is published for fcn" in capsys.readouterr().out
    assert command("evaluate", saved, *where, "--split", "clean", "--part", "all") == 0
    assert "not comparable: scored on all, not on test; " in capsys.readouterr().out


def test_the_command_explains_what_does_not_go_together(small_copy, capsys):
    where = ["--root", str(small_copy)]
    for options, message in [
        ([], "give a --model, or a --recipe"),
        (["--model", "fcn", "--epochs", "2"], "--epochs shortens the stages of a --recipe"),
        (["--recipe", "won"], "no recipe is called 'won'; there are: won2020"),
        (["--recipe", "won2020", "--model", "knn"], "knn is a baseline, won2020 trains networks"),
        (["--recipe", "won2020", "--fit", "n_epochs=2"], "no training option 'n_epochs'"),
    ]:
        assert command("train", *where, *options) == 2
        assert message in capsys.readouterr().err
    with pytest.raises(SystemExit):
        command("train", "--recipe", "won2020", "--steps", "5")
    assert "not allowed with argument" in capsys.readouterr().err


def test_a_recipe_may_train_another_network_on_another_data_set(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    lines = ["path,artist,split,tags"]
    for i, clip in enumerate(tones(tmp_path / "audio").clips.itertuples()):
        split = "test" if i % 3 == 0 else clip.split
        lines.append(f"{clip.path},{clip.artist},{split},{'low' if i % 2 else 'high'}")
    (tmp_path / "clips.csv").write_text("\n".join(lines) + "\n")
    options = f"--dataset folder --root {tmp_path} --quiet --device cpu --recipe pons2018"
    options += " --epochs 1 --model fcn --set width=0.05"
    assert cli.main(["train", *options.split()]) == 0
    printed = capsys.readouterr().out
    assert "it was published for musicnn, vgg" in printed
    assert "not for fcn" in printed
    assert "MagnaTagATune" not in printed
    assert (tmp_path / "runs/folder-pons2018-fcn/seed0/model.safetensors").is_file()


def test_scores_on_a_copy_are_not_comparable(folder):
    dataset = replace(tones(folder), name="magnatagatune")
    sizes = published_scores.SIZES["clean"]
    reasons = published_scores.other_data(dataset, "clean", n_skipped=2)
    assert reasons[0] == f"16 of {sizes['train']:,} train clips"
    assert reasons[-1] == "2 clips could not be read"
    assert published_scores.other_data(dataset, "artist") == ["no paper has the artist split"]
