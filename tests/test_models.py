"""The model zoo: sizes as published, sound behaviour, save and load."""

import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from small_networks import SMALL

from mirdl import models
from mirdl.errors import CheckpointError, MirdlError
from mirdl.models.blocks import ConvBlock, Head, scaled, shrink_pools

#: Networks whose export to a graph with a free batch size is tested, at their small settings.
MAIN = [
    "dieleman_spectrogram",
    "fcn",
    "short_chunk_cnn",
    "short_chunk_res",
    "musicnn",
    "crnn",
    "self_attention",
    "sample_cnn",
    "harmonic_cnn",
    "spectrogram_at_scale",
    "waveform_at_scale",
]


@pytest.fixture(params=SMALL)
def network(request):
    torch.manual_seed(0)
    return models.build(request.param, **SMALL[request.param])


def test_every_network_is_tested():
    assert list(SMALL) == list(models.NETWORKS)


def test_layers_have_the_published_sizes():
    model = models.build("fcn").eval()
    assert (model.n_samples, model.sample_rate, model.n_frames) == (464_000, 16_000, 1813)
    sizes = []
    for block in model.blocks:
        block.register_forward_hook(lambda *call: sizes.append(tuple(call[-1].shape[1:])))
    model(torch.zeros(1, model.n_samples))
    assert sizes == [(64, 48, 453), (128, 24, 113), (128, 12, 28), (128, 4, 5), (64, 1, 1)]


@pytest.mark.parametrize("seconds", [1, 3, 10, 29])
def test_fcn_keeps_its_parameters_on_shorter_audio(seconds):
    model = models.build("fcn", for_seconds=seconds)
    assert models.n_parameters(model) == 447_732
    assert model.n_samples == seconds * 16_000
    assert model.eval()(torch.zeros(1, model.n_samples)).shape == (1, 50)


def test_width_scales_the_channels():
    wide, narrow = models.build("fcn", width=2), models.build("fcn", width=0.5)
    assert [block.conv.out_channels for block in wide.blocks] == [128, 256, 256, 256, 128]
    assert [block.conv.out_channels for block in narrow.blocks] == [32, 64, 64, 64, 32]
    assert scaled([32, 3], 0.1) == [3, 1]


def test_front_end_can_be_replaced():
    model = models.build("fcn", for_seconds=3, front_end="mel40", width=0.125)
    assert model.eval()(torch.zeros(1, model.n_samples)).shape == (1, 50)


def test_pools_shrink_only_where_they_must():
    assert shrink_pools([4, 4, 4, 5, 4], 1813) == [4, 4, 4, 5, 4]
    assert shrink_pools([4, 4, 4, 5, 4], 626) == [3, 3, 4, 4, 4]
    assert shrink_pools([2, 2], 1) == [1, 1]


def test_blocks_follow_their_order():
    block = ConvBlock(3, 8, (3, 3), (2, 2), order="DCABP", bias=False)
    assert list(block._modules) == ["dropout", "conv", "activation", "norm", "pool"]
    assert block(torch.zeros(2, 3, 8, 10)).shape == (2, 8, 4, 5)
    assert block.conv.bias is None
    first = ConvBlock(3, 8, 5, order="BAC", padding="valid")
    assert first.norm.num_features == 3
    assert first(torch.zeros(2, 3, 12)).shape == (2, 8, 8)
    head = Head(6, 4, order="BDHABD", hidden=5)
    kinds = [type(layer).__name__ for layer in head]
    assert kinds == [
        "BatchNorm1d", "Dropout", "Linear", "ReLU", "BatchNorm1d", "Dropout", "Linear",
    ]  # fmt: skip
    assert head[4].num_features == 5


def test_one_step_lowers_the_loss(network):
    audio = 0.1 * torch.randn(8, network.n_samples)
    network.eval()  # the same function before and after, without dropout
    targets = (torch.rand_like(network(audio)) > 0.5).float()
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-3)
    losses = []
    for _ in range(2):
        loss = torch.nn.functional.binary_cross_entropy_with_logits(network(audio), targets)
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert losses[1] < losses[0]
    trained = [p for p in network.parameters() if p.requires_grad]
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in trained)
    assert sum(p.grad.abs().sum() > 0 for p in trained) > len(trained) / 2


def test_other_lengths_where_the_network_takes_them(network):
    if not network.any_length:
        pytest.skip("has one length")
    network.eval()
    for factor in (0.8, 1.0, 1.7):
        n_samples = round(factor * network.n_samples)
        frames = [network.front_end.n_frames(n_samples)] if network.framewise else []
        assert network(0.1 * torch.randn(2, n_samples)).shape == (2, 5, *frames)


@pytest.mark.parametrize("name", MAIN)
def test_export_with_a_free_batch_size(name):
    torch.manual_seed(0)
    model = models.build(name, **SMALL[name]).eval()
    audio = 0.1 * torch.randn(3, model.n_samples)
    batch = torch.export.Dim("batch", min=1, max=64)
    program = torch.export.export(model, (audio[:2],), dynamic_shapes=({0: batch},))
    torch.testing.assert_close(program.module()(audio), model(audio), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("level", [0.0, 1.0])
def test_silence_and_full_scale_stay_finite(network, level):
    audio = level * torch.sign(torch.randn(2, network.n_samples))
    network.train()
    logits = network(audio)
    logits.sum().backward()
    assert torch.isfinite(logits).all()
    assert all(torch.isfinite(p.grad).all() for p in network.parameters())
    assert torch.isfinite(network.eval()(audio)).all()


def test_a_clip_scores_alike_in_every_batch(network):
    audio = 0.1 * torch.randn(4, network.n_samples)
    network.eval()
    with torch.inference_mode():
        together = network(audio)
        alone = torch.cat([network(clip[None]) for clip in audio])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)


def test_unknown_model_is_named():
    with pytest.raises(MirdlError, match=r"fnc.*fcn"):
        models.build("fnc")
    assert {"fcn", "majority"} <= set(models.available())


# Saving and loading


def test_save_and_load_round_trip(network, tmp_path):
    audio = 0.1 * torch.randn(2, network.n_samples)
    network(audio)  # moves the running statistics away from their start
    path = tmp_path / "model.safetensors"
    models.save(network, path, tags=list("abcde"), task="multiclass")
    loaded = models.load(path)
    assert (loaded.tags, loaded.task) == (list("abcde"), "multiclass")
    assert not loaded.training
    torch.testing.assert_close(loaded(audio), network.eval()(audio), rtol=0, atol=0)
    models.save(loaded, tmp_path / "again.safetensors", tags=loaded.tags, task=loaded.task)
    assert (tmp_path / "again.safetensors").read_bytes() == path.read_bytes()


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "model.safetensors"
    models.save(models.build("dieleman_spectrogram", n_outputs=2, width=0.1), path, tags=["a", "b"])
    return path


def _cut(path):
    path.write_bytes(path.read_bytes()[:-100])


def _flip(path):
    content = bytearray(path.read_bytes())
    content[-50] ^= 1
    path.write_bytes(bytes(content))


def _empty(path):
    path.write_bytes(b"")


def _plain_weights(path):
    save_file({"x": torch.zeros(3)}, path)


def _other_network(path):
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    recipe = json.loads(metadata["mirdl"]) | {"name": "fcn", "overrides": {}}
    save_file(load_file(path), path, metadata | {"mirdl": json.dumps(recipe)})


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (_cut, "damaged"),
        (_flip, "damaged"),
        (_empty, "damaged"),
        (_plain_weights, "not written by mirdl"),
        (_other_network, "does not fit"),
        (lambda path: path.unlink(), "no such file"),
    ],
)
def test_wrong_and_damaged_files_are_refused(saved, damage, reason):
    damage(saved)
    with pytest.raises(CheckpointError, match=rf"model\.safetensors: {reason}"):
        models.load(saved)


def test_only_what_can_be_rebuilt_is_saved(tmp_path):
    with pytest.raises(MirdlError, match="build"):
        models.save(torch.nn.Linear(1, 1), tmp_path / "x")
    front_end = models.build("fcn").front_end
    with pytest.raises(MirdlError, match="override"):
        models.save(models.build("fcn", front_end=front_end), tmp_path / "x")
