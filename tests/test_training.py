"""The training loop: it learns, repeats itself, and goes on where it was interrupted."""

from pathlib import Path

import numpy as np
import pytest
import torch
from killing import kill_once_there
from tones import tones
from torch import nn

from mirdl import models, training
from mirdl.errors import CheckpointError, MirdlError
from mirdl.models.blocks import Tagger
from mirdl.optimisation import make_optimizer


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("tones")


def network(seed=0):
    torch.manual_seed(seed)
    return models.build("dieleman_spectrogram", n_outputs=3, width=0.25, for_seconds=1)


def run(dataset, model=None, **options):
    """Fit briefly; return (model, history)."""
    model = network() if model is None else model
    options = {"n_epochs": 3, "batch_size": 8, "progress": False, "device": "cpu"} | options
    return model, training.fit(model, dataset.subset("train"), dataset.subset("valid"), **options)


def equal(a, b):
    """Whether two runs, (model, history), ended with the same numbers to the last bit."""
    weights = zip(a[0].state_dict().values(), b[0].state_dict().values(), strict=True)
    without_time = [history.drop(columns="seconds") for _, history in (a, b)]
    return without_time[0].equals(without_time[1]) and all(torch.equal(x, y) for x, y in weights)


@pytest.mark.parametrize("task", ["multilabel", "multiclass", "regression"])
def test_learns_every_task(folder, task):
    dataset = tones(folder / task, task)
    _, history = run(dataset, n_epochs=25, learning_rate=3e-3)
    metric = {"multilabel": "roc_auc", "multiclass": "accuracy", "regression": "r2"}[task]
    assert list(history) == [
        "epoch", "step", "train_loss", "valid_loss", f"valid_{metric}", "learning_rate", "seconds",
    ]  # fmt: skip
    assert history["train_loss"].iloc[-1] < 0.5 * history["train_loss"].iloc[0]
    assert history[f"valid_{metric}"].max() > (0.5 if task == "regression" else 0.9)


def test_same_seed_same_numbers(folder):
    dataset = tones(folder)
    assert equal(run(dataset), run(dataset))
    assert not equal(run(dataset), run(dataset, seed=1))


def test_defaults_are_a_plain_loop_to_the_last_bit(folder):
    """Crops are a function of (seed, lap, clip), their order of (seed, lap); Adam at 1e-3."""
    dataset = tones(folder)
    model, _ = run(dataset, n_steps=4, steps_per_epoch=4, seed=5)  # 16 clips: two laps
    train, plain = dataset.subset("train"), network()
    audio, clips = training.pack(train, progress=False), np.arange(16)
    plain.front_end.fit_normalisation([audio.crops(clips, plain.n_samples, 5, 0)])
    updates = torch.optim.Adam(plain.parameters(), lr=1e-3)
    for lap in range(2):
        order = np.random.default_rng([5, lap]).permutation(clips)
        for batch in (order[:8], order[8:]):
            logits = plain(audio.crops(batch, plain.n_samples, 5, lap))
            targets = torch.from_numpy(train.targets[batch])
            loss = nn.functional.binary_cross_entropy_with_logits(logits, targets)
            updates.zero_grad()
            loss.backward()
            updates.step()
    for ours, theirs in zip(model.state_dict().values(), plain.state_dict().values(), strict=True):
        assert torch.equal(ours, theirs)


def test_normalisation_is_fitted_on_training_clips(folder):
    dataset = tones(folder)
    valid = dataset.subset("valid")
    louder = dataset.subset("train").select(np.arange(8))
    a, b = network(), network()
    training.fit(a, louder, valid, n_steps=1, progress=False, device="cpu")
    training.fit(b, louder, valid.select([0, 1]), n_steps=1, progress=False, device="cpu")
    assert a.front_end.mean.abs().max() > 0
    assert torch.equal(a.front_end.mean, b.front_end.mean)
    training.fit(a, valid, valid, n_steps=1, normalise=False, progress=False, device="cpu")
    assert torch.equal(a.front_end.mean, b.front_end.mean)  # trained before: left as it was


def test_best_weights_are_kept(folder):
    dataset = tones(folder)
    # A rate that soon ruins the network: the last epoch is not the best.
    model, history = run(dataset, n_epochs=12, learning_rate=0.1, optimizer="sgd")
    best = history["valid_roc_auc"].max()
    loss, metric, score = training._validate(
        model, dataset.subset("valid"), training.pack(dataset.subset("valid"), progress=False)
    )
    assert (metric, score) == ("roc_auc", pytest.approx(best))
    assert loss == pytest.approx(history["valid_loss"][history["valid_roc_auc"] == best].min())


def test_best_is_by_metric_or_by_loss(folder, monkeypatch):
    """Three epochs: the second has the best metric, the third the lowest loss."""
    dataset, numbers = tones(folder), [(0.6, "roc_auc", 0.7), (0.5, "roc_auc", 0.9)]
    numbers.append((0.4, "roc_auc", 0.8))
    kept = {}
    for best_by in ("metric", "loss"):
        weights, answers = [], iter(numbers)

        def validate(model, *_, weights=weights, answers=answers):
            weights.append(model.conv1.conv.weight.detach().clone())
            return next(answers)

        monkeypatch.setattr(training, "_validate", validate)
        model, _ = run(dataset, best_by=best_by)
        kept[best_by] = [torch.equal(model.conv1.conv.weight, each) for each in weights]
    assert kept == {"metric": [False, True, False], "loss": [False, False, True]}


def test_patience_stops_early(folder):
    _, history = run(tones(folder), n_epochs=50, learning_rate=1e-12, patience=2)
    assert len(history) == 3


def test_steps_and_epochs(folder):
    dataset = tones(folder)  # 16 training clips
    assert run(dataset, n_steps=5)[1]["step"].tolist() == [2, 4, 5]
    assert run(dataset, n_steps=5, steps_per_epoch=4)[1]["step"].tolist() == [4, 5]
    assert run(dataset, n_epochs=2, batch_size=100)[1]["step"].tolist() == [1, 2]


@pytest.mark.parametrize(
    ("schedule", "last"),
    [(None, 1.0), ("cosine", 0.0245), ("exponential", 0.0158), ("step", 0.01), ("plateau", 0.25)],
)
def test_schedules(folder, schedule, last):
    rate = 1e-6
    _, history = run(tones(folder), n_steps=10, steps_per_epoch=1, schedule=schedule,
                     learning_rate=rate)  # fmt: skip
    rates = history["learning_rate"] / rate
    assert rates.iloc[0] == pytest.approx(1)
    assert rates.iloc[-1] == pytest.approx(last, rel=0.01)
    assert rates.is_monotonic_decreasing


def test_a_schedule_may_be_a_function_of_the_step(folder):
    options = {"n_steps": 4, "steps_per_epoch": 2, "learning_rate": 1e-3}
    _, history = run(tones(folder), schedule=lambda step: 1 / (1 + step), **options)
    assert history["learning_rate"].tolist() == pytest.approx([1e-3, 1e-3 / 3])


def test_a_plateau_is_as_long_as_it_is_said_to_be(folder):
    options = {"n_steps": 7, "steps_per_epoch": 1, "learning_rate": 1e-6, "schedule": "plateau"}
    _, history = run(tones(folder), plateau_epochs=2, **options)
    assert (history["learning_rate"] / 1e-6).tolist() == pytest.approx(
        [1, 1, 1, 0.5, 0.5, 0.25, 0.25]
    )


def moved(model):
    """How far each weight is from where `network` starts it."""
    after, before = model.state_dict(), network().state_dict()
    return [(after[name] - before[name]).norm() for name in before if name.startswith("conv")]


@pytest.mark.parametrize("optimizer", training.OPTIMIZERS)
def test_optimizers(folder, optimizer):
    model, _ = run(tones(folder), n_steps=1, optimizer=optimizer)
    assert all(distance > 0 for distance in moved(model))


def test_momentum_is_that_of_sgd(folder):
    options = {"n_steps": 2, "steps_per_epoch": 2, "optimizer": "sgd", "learning_rate": 0.1}
    usual, _ = run(tones(folder), **options)
    same, _ = run(tones(folder), momentum=0.9, **options)
    without, _ = run(tones(folder), momentum=0.0, **options)
    assert moved(usual) == moved(same)
    assert all(a < b for a, b in zip(moved(without), moved(usual), strict=True))


def test_decay_may_spare_all_but_kernels():
    model = network()
    for parameter in model.parameters():
        nn.init.ones_(parameter)
        parameter.grad = torch.zeros_like(parameter)
    updates = make_optimizer(
        "sgd", list(model.parameters()), 0.1, weight_decay=0.5, decay_kernels_only=True
    )
    updates.step()
    for name, parameter in model.named_parameters():
        assert bool((parameter < 1).all()) == name.endswith("weight"), name


def test_gradient_is_clipped(folder):
    options = {"n_steps": 1, "optimizer": "sgd", "learning_rate": 1.0}
    free, _ = run(tones(folder), **options)
    clipped, _ = run(tones(folder), clip_gradient=1e-3, **options)
    assert 0 < max(moved(clipped)) <= 1.9e-3 < max(moved(free))  # 1 + momentum at the first step


def test_two_precisions_in_one_process(folder):
    dataset = tones(folder)
    alone = run(dataset)
    half, history = run(dataset, precision="bf16")
    assert all(p.dtype == torch.float32 for p in half.parameters())
    assert half(torch.zeros(1, half.n_samples)).dtype == torch.float32
    assert "forward" not in vars(half)
    assert not equal(alone, (half, history))  # bf16 did take part …
    assert history["train_loss"].iloc[0] == pytest.approx(alone[1]["train_loss"].iloc[0], rel=0.05)
    assert equal(alone, run(dataset))  # … and left nothing behind


class AnyLength(Tagger):
    """The mean of every mel band over any time, then a dense layer."""

    def __init__(self, n_outputs):
        super().__init__(n_outputs, "mel96")
        self.head = nn.Linear(96, n_outputs)

    def forward(self, audio):
        return self.head(self.front_end(audio).mean(dim=2) / 50)


def test_networks_of_any_length(folder):
    torch.manual_seed(0)
    model, history = run(tones(folder), AnyLength(3), n_epochs=30, crop_seconds=0.5,
                         learning_rate=0.05)  # fmt: skip
    assert model.n_samples is None
    assert history["valid_roc_auc"].max() > 0.9
    with pytest.raises(MirdlError, match="crop_seconds"):
        run(tones(folder), AnyLength(3))
    with pytest.raises(MirdlError, match="crop_seconds"):
        run(tones(folder), crop_seconds=0.5)


def test_unreadable_clips_are_left_out(tmp_path):
    dataset = tones(tmp_path)
    Path(dataset.clips["path"][3]).write_bytes(b"")
    whole = dataset.select(np.delete(np.arange(len(dataset)), 3))
    with_gap, without = run(dataset, n_epochs=1), run(whole, n_epochs=1)
    assert np.isfinite(with_gap[1]["train_loss"]).all()
    torch.testing.assert_close(
        with_gap[0].front_end.mean, without[0].front_end.mean, atol=0.2, rtol=0
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"optimizer": "magic"}, "optimizer 'magic'.*adam"),
        ({"schedule": "magic"}, "schedule 'magic'.*cosine"),
        ({"precision": "fp8"}, "precision 'fp8'.*bf16"),
        ({"best_by": "luck"}, "best_by 'luck'.*metric, loss"),
        ({"n_steps": 0}, "n_steps must be at least 1"),
        ({"batch_size": 0}, "batch_size must be at least 1"),
        ({"learning_rate": 1e30}, "training loss is .*learning rate"),
    ],
)
def test_bad_options(folder, options, message):
    with pytest.raises(MirdlError, match=message):
        run(tones(folder), **options)


def test_model_and_data_must_fit(folder):
    dataset = tones(folder)
    with pytest.raises(MirdlError, match=r"3 tags.*50 outputs"):
        run(dataset, models.build("dieleman_spectrogram", width=0.1))
    dataset.sample_rate = 22_050
    with pytest.raises(MirdlError, match="22050 Hz"):
        run(dataset)


# Interruption

LONG = {"n_epochs": 40, "batch_size": 4, "schedule": "cosine"}
SCRIPT = """
import sys
sys.path.insert(0, {tests!r})
from test_training import LONG, run
from tones import tones
run(tones({data!r}), folder={folder!r}, **LONG)
"""


def test_kill_9_and_resume_equals_an_unbroken_run(folder, tmp_path):
    dataset, state = tones(folder), tmp_path / "state.pt"
    script = SCRIPT.format(tests=str(Path(__file__).parent), data=str(folder), folder=str(tmp_path))
    kill_once_there(script, state)
    done = torch.load(state, weights_only=True)["history"]
    assert 0 < len(done) < 40

    # Other weights to start from: they must not matter.
    resumed = run(dataset, network(seed=1), folder=tmp_path, **LONG)
    assert resumed[1]["seconds"].iloc[0] == done[0]["seconds"]  # not trained again
    assert equal(resumed, run(dataset, **LONG))
    finished = run(dataset, network(seed=2), folder=tmp_path, **LONG)  # nothing left to do
    assert equal(resumed, finished)


def test_damaged_and_foreign_states_are_refused(folder, tmp_path):
    dataset, state = tones(folder), tmp_path / "state.pt"
    model, _ = run(dataset, n_epochs=1, folder=tmp_path)
    with pytest.raises(CheckpointError, match=r"state\.pt: .*another run \(n_steps 2 → 4\)"):
        run(dataset, n_epochs=2, folder=tmp_path)
    with pytest.raises(CheckpointError, match=r"another run \(seed 0 → 1\)"):
        run(dataset, n_epochs=1, folder=tmp_path, seed=1)
    good = state.read_bytes()
    flipped = bytearray(good)
    flipped[good.index(model.conv1.conv.weight.numpy(force=True).tobytes()[:64])] ^= 1
    for bad in (b"", good[: len(good) // 2], bytes(flipped), b"text"):
        state.write_bytes(bad)
        with pytest.raises(CheckpointError, match=r"state\.pt: damaged"):
            run(dataset, n_epochs=1, folder=tmp_path)
