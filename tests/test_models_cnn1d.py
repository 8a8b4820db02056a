"""1D networks: layers as printed, statistics over time, features of several levels and scales."""

import pytest
import torch

from mirdl import models
from mirdl.models.cnn1d import Levels, LocalCNN, MultiLevelMultiScale


def shapes(model, names):
    """Return the shape, without the batch, of what each part gives for silence."""
    found = []
    for name in names:
        model.get_submodule(name).register_forward_hook(
            lambda *call: found.append(tuple(call[-1].shape[1:]))
        )
    model.eval()(torch.zeros(1, model.n_samples))
    return found


def test_dieleman_pools_187_and_188_frames_alike():
    for seconds in (187 * 256 / 16_000 - 0.016, 3):
        model = models.build("dieleman_spectrogram", for_seconds=seconds)
        assert shapes(model, ["conv1", "conv2"]) == [(32, 45), (32, 9)]
        assert models.n_parameters(model) == 74_974


def test_strides_of_4_frames_in_place_of_pools():
    model = models.build("dieleman_spectrogram", strided=True)
    assert shapes(model, ["conv1", "conv2"]) == [(32, 46), (32, 10)]
    assert models.n_parameters(model) == 74_974 + 32 * 100  # one frame more


def test_the_last_pool_takes_what_long_hops_leave():
    for hop_length, n_frames in ((256, 9), (512, 3), (1024, 1)):
        front_end = {"preset": "mel128_log", "n_fft": 1024, "hop_length": hop_length}
        model = models.build("dieleman_spectrogram", front_end=front_end)
        assert shapes(model, ["conv2"]) == [(32, n_frames)]


def test_input_norm_makes_the_level_irrelevant_in_training():
    model = models.build("dieleman_spectrogram", front_end="mel96", input_norm=True).train()
    audio = 0.1 * torch.randn(4, model.n_samples)
    torch.testing.assert_close(model(audio), model(0.1 * audio), rtol=1e-3, atol=1e-3)


def test_spotify_layers():
    model = models.build("spotify_cnn")
    assert (model.front_end.n_mels, model.n_frames) == (128, 599)
    assert model.n_samples == pytest.approx(30 * model.sample_rate, rel=0.01)
    names = [f"blocks.{i}" for i in range(4)]
    assert shapes(model, [*names, "summary"]) == [
        (256, 149),
        (256, 73),
        (256, 35),
        (512, 32),
        (1536,),
    ]
    assert [layer.out_features for layer in model.head if hasattr(layer, "out_features")] == [
        2048, 2048, 50,
    ]  # fmt: skip


@pytest.mark.parametrize("poolings", [["mean"], ["max", "l2"], ["mean", "max", "l2"]])
def test_poolings_side_by_side(poolings):
    model = models.build("spotify_cnn", width=0.125, poolings=poolings, for_seconds=7).eval()
    assert model.head[0].in_features == len(poolings) * 64
    features = []
    model.summary.register_forward_hook(lambda *call: features.append((call[1][0], call[2])))
    model(0.1 * torch.randn(2, model.n_samples))
    maps, summary = features[0]
    expected = {
        "mean": maps.mean(2),
        "max": maps.max(2).values,
        "l2": (maps**2).mean(2).sqrt(),
    }
    torch.testing.assert_close(summary, torch.cat([expected[kind] for kind in poolings], 1))


@pytest.mark.parametrize(
    ("n_frames", "n_blocks", "left"),
    [(18, 2, 2), (27, 3, 1), (54, 3, 2), (108, 4, 1), (216, 4, 2), (1813, 5, 7)],
)
def test_longer_local_networks_are_deeper(n_frames, n_blocks, left):
    model = LocalCNN(n_frames=n_frames, width=0.125)
    assert len(model.blocks) == n_blocks
    assert shapes(model, ["blocks"])[0][1] == left


# Levels of one network


def test_levels_are_summaries_of_each_layer_averaged_over_pieces():
    network = LocalCNN(5, width=0.125).eval()
    levels = Levels(network, ["blocks.0", "blocks.2"])
    audio = 0.1 * torch.randn(2, 3 * network.n_samples + 100)  # three pieces, and too little
    expected = []
    for piece in audio[:, : 3 * network.n_samples].split(network.n_samples, dim=1):
        x = network.front_end(piece)
        first = network.blocks[0](x)
        last = network.blocks[1:](first)
        expected.append(torch.cat([first.amax(2), last.amax(2)], dim=1))
    features = levels(audio)
    assert features.shape == (2, levels.n_features) == (2, 16 + 32)
    torch.testing.assert_close(features, torch.stack(expected).mean(0))


def test_levels_take_two_dimensional_networks():
    network = models.build("compact_cnn", for_seconds=3, width=0.25)
    levels = Levels(network, [f"blocks.{i}" for i in range(5)], summary="mean")
    assert levels.n_features == 5 * 8
    assert levels(torch.zeros(2, 2 * network.n_samples)).shape == (2, 40)
    full = Levels(models.build("compact_cnn"), [f"blocks.{i}" for i in range(5)], summary="mean")
    assert full.n_features == 160


def test_frozen_levels_stay_as_they_are():
    network = LocalCNN(5, width=0.125)
    levels = Levels(network, ["blocks.0", "blocks.1", "blocks.2"])
    model = MultiLevelMultiScale(5, hidden=16, for_seconds=2, levels=[levels])
    before = {name: value.clone() for name, value in levels.state_dict().items()}
    model.train()
    assert not network.training
    optimizer = torch.optim.SGD((p for p in model.parameters() if p.requires_grad), lr=0.1)
    model(0.1 * torch.randn(4, model.n_samples)).square().sum().backward()
    optimizer.step()
    assert all(torch.equal(value, before[name]) for name, value in levels.state_dict().items())
    assert models.n_parameters(model) == sum(p.numel() for p in model.head.parameters())


def test_frozen_levels_let_gradients_reach_the_audio():
    levels = Levels(LocalCNN(5, width=0.125), ["blocks.2"])
    audio = (0.1 * torch.randn(1, 2 * levels.length)).requires_grad_()
    levels(audio).sum().backward()
    assert audio.grad.abs().sum() > 0


# Several networks


def test_scales_of_the_network_by_name():
    model = models.build("multi_level_multi_scale")
    assert [level.length for level in model.levels] == [18, 27, 54, 108, 216]
    assert [level.n_features for level in model.levels] == [256, 512, 512, 768, 768]
    assert model.head[0].in_features == 2816
    short = models.build("multi_level_multi_scale", for_seconds=3, width=0.125)
    assert [level.length for level in short.levels] == [18, 27, 54, 108, 188]


def test_networks_of_other_lengths_and_kinds_in_one_model():
    parts = [
        Levels(LocalCNN(5, front_end="mel40", n_frames=54, width=0.125), ["blocks.0", "blocks.1"]),
        Levels(
            models.build("dieleman_spectrogram", 5, for_seconds=1, width=0.5), ["conv1", "conv2"]
        ),
    ]
    model = MultiLevelMultiScale(5, for_seconds=3, levels=parts).eval()
    assert (model.sample_rate, model.n_samples) == (16_000, 48_000)
    assert model(torch.zeros(2, 48_000)).shape == model(torch.zeros(2, 60_000)).shape == (2, 5)


def test_networks_must_share_a_sample_rate():
    parts = [
        Levels(LocalCNN(5, front_end=name, width=0.125), ["blocks.0"])
        for name in ("mel96", "mel96_12k")
    ]
    with pytest.raises(ValueError, match="one sample rate"):
        MultiLevelMultiScale(5, levels=parts)
