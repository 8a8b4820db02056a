"""Rhythm networks: shapes of the papers, any number of bands, pre-initialisation."""

import pytest
import torch

from mirdl import models
from mirdl.errors import MirdlError


def map_sizes(name, **overrides):
    """Return the sizes of a network's feature maps before pooling, at its own input."""
    model = models.build(name, 8, **overrides).eval()
    sizes = []
    for block in model.shapes:
        block.register_forward_hook(lambda *call: sizes.append(tuple(call[-1].shape[1:])))
    assert model(torch.zeros(1, model.n_samples)).shape == (1, 8)
    return sizes


@pytest.mark.parametrize(
    ("name", "overrides", "sizes"),
    [
        ("black_box", {}, [(32, 29, 73)]),
        ("black_box", {"kernel": [12, 200], "n_frames": 250}, [(32, 29, 51)]),
        ("time", {}, [(32, 40, 21)]),
        ("frequency", {}, [(32, 9, 80)]),
        ("time_frequency", {}, [(32, 40, 21), (32, 9, 80)]),
    ],
)
def test_maps_have_the_papers_sizes(name, overrides, sizes):
    assert map_sizes(name, **overrides) == sizes


def test_filters_of_onsets_and_patterns():
    onsets = map_sizes("o_net", multiple=2)
    patterns = map_sizes("p_net")
    assert onsets == [(10, 40, 250 - n + 1) for n in (6, 11, 16, 21, 26, 31, 36, 41)]
    assert len(patterns) == 35
    assert patterns[0] == (1, 40, 205)
    assert patterns[-1] == (1, 40, 35)  # 216 frames: the thesis' "n < 216" is a slip
    assert map_sizes("o_net_p_net") == [(5, *size[1:]) for size in onsets] + patterns


@pytest.mark.parametrize("preset", ["mel40_44k", "mel40"])
def test_input_has_the_papers_frames(preset):
    for name, n_frames in (("time", 80), ("p_net", 250)):
        model = models.build(name, 8, front_end=preset)
        frames = model.front_end(torch.zeros(1, model.n_samples)).shape[2]
        assert frames == model.n_frames == n_frames


@pytest.mark.parametrize("name", ["black_box", "time", "frequency", "time_frequency", "o_net"])
@pytest.mark.parametrize("front_end", ["mel96", {"preset": "mel40", "n_mels": 33}])
def test_other_front_ends_and_lengths(name, front_end):
    model = models.build(name, 3, front_end=front_end, for_seconds=3, width=0.1).eval()
    assert model.n_samples == 48_000
    assert model(torch.zeros(1, 48_000)).shape == (1, 3)


def test_too_short_for_the_longest_filter():
    with pytest.raises(MirdlError, match=r"216 frames.*input of 130 frames.*5\.0 s"):
        models.build("p_net", front_end="mel40", for_seconds=3)
    with pytest.raises(MirdlError, match=r"32 bands do not fit.* 20 bands"):
        models.build("frequency", front_end={"preset": "mel40", "n_mels": 20})
    model = models.build("o_net_p_net", front_end="mel40")
    with pytest.raises(MirdlError, match="216 frames"):
        model(torch.zeros(1, 3 * 16_000))
    assert model.eval()(torch.zeros(1, 8 * 16_000)).shape == (1, 50)


def test_pools_keep_the_strongest_value():
    torch.manual_seed(0)
    model = models.build("o_net", 8, front_end="mel40").eval()
    x = torch.randn(1, 40, model.n_frames)
    model.front_end.forward = lambda audio: x
    heard = []
    model.head.register_forward_pre_hook(lambda module, inputs: heard.append(inputs[0]))
    model(torch.zeros(1, 1))
    conv = model.shapes[3].conv  # five filters of 21 frames, after fifteen shorter ones
    windows = x.unfold(2, 21, 1)  # (1, 40, 230, 21)
    maps = torch.einsum("nbtk,fk->nfbt", windows, conv.weight[:, 0, 0]).relu()
    expected = maps.reshape(1, 5, 10, 4, 230).amax(dim=(3, 4))
    torch.testing.assert_close(heard[0].reshape(1, 40, 10)[:, 15:20], expected)


def test_time_frequency_starts_from_trained_branches():
    torch.manual_seed(0)
    time, frequency = (models.build(n, 8, front_end="mel40") for n in ("time", "frequency"))
    both = models.build("time_frequency", 8, front_end="mel40")
    dense = both.head[1].weight.clone()
    assert both.start_from(time, frequency) is both
    assert torch.equal(both.shapes[0].conv.weight, time.shapes[0].conv.weight)
    assert torch.equal(both.shapes[1].conv.weight, frequency.shapes[0].conv.weight)
    assert torch.equal(both.head[1].weight, dense)
    assert all(p.requires_grad for p in both.parameters())
    both.shapes[0].conv.weight.data.zero_()  # copies: the trained network keeps its own
    assert time.shapes[0].conv.weight.abs().sum() > 0
    with pytest.raises(MirdlError, match="cannot start"):
        both.start_from(frequency, time)


def test_weights_are_drawn_as_in_the_authors_code():
    torch.manual_seed(0)
    glorot = models.build("black_box", 8).shapes[0].conv.weight
    bound = (6 / (12 * 8 * (1 + 32))) ** 0.5
    assert 0.98 * bound < glorot.abs().max() <= bound
    he = models.build("o_net", 8, multiple=40).shapes[0].conv.weight
    bound = (3 / 6) ** 0.5
    assert 0.98 * bound < he.abs().max() <= bound
