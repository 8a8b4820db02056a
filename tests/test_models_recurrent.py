"""Recurrent networks: layers as the papers have them, equal sizes, memory of the past."""

import pytest
import torch

from mirdl import models
from mirdl.errors import MirdlError
from mirdl.models.recurrent import RecurrentBackEnd, width_for

#: Channels (and units) with which the networks of Choi et al., ICASSP 2017, have these sizes.
CHOI_SIZES = [
    *(
        ("crnn", size, {"version": "keras", "channels": (a, b, b, b), "hidden": a})
        for size, a, b in (
            (100_000, 30, 60),
            (250_000, 48, 96),
            (500_000, 68, 137),
            (1_000_000, 96, 195),
            (3_000_000, 169, 339),
        )
    ),
    *(
        ("k2c1", size, {"channels": (x, x, x, y, y), "hidden": y})
        for size, x, y in (
            (250_000, 72, 145),
            (500_000, 106, 212),
            (1_000_000, 152, 304),
            (3_000_000, 265, 535),
        )
    ),
    *(
        ("k2c2", size, {"channels": channels})
        for size, channels in (
            (250_000, (33, 66, 66, 100, 133)),
            (500_000, (47, 95, 95, 142, 190)),
            (1_000_000, (67, 135, 135, 203, 271)),
            (3_000_000, (118, 236, 236, 355, 473)),
        )
    ),
]


def shapes(model, layers):
    found = []
    for layer in layers:
        layer.register_forward_hook(lambda *call: found.append(tuple(call[-1].shape[1:])))
    model.eval()(torch.zeros(1, model.n_samples))
    return found


def test_crnn_has_the_published_sizes():
    model = models.build("crnn")
    assert (model.n_samples, model.sample_rate, model.n_frames) == (464_000, 16_000, 1813)
    assert shapes(model, [*model.blocks, model.back_end]) == [
        (64, 48, 906), (128, 16, 302), (128, 4, 75), (128, 1, 18), (32,),
    ]  # fmt: skip


def test_crnn_of_the_authors_code():
    model = models.build("crnn", version="keras", width=0.25)
    assert (model.sample_rate, model.n_frames, model.any_length) == (12_000, 1366, False)
    assert shapes(model, [model.norm, *model.blocks]) == [
        (1, 96, 1440), (16, 48, 720), (32, 16, 240), (32, 4, 60), (32, 1, 15),
    ]  # fmt: skip
    padding, norm = model.norm
    assert padding.padding == (37, 37, 0, 0)
    assert norm.num_features == 1440


def test_second_bias_of_keras_never_moves():
    model = models.build("crnn", version="keras", width=0.25, for_seconds=6)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    model(0.1 * torch.randn(2, model.n_samples)).sum().backward()
    optimizer.step()
    biases = {k: p for k, p in model.named_parameters() if "bias_hh" in k}
    assert len(biases) == 2
    assert all((p == 0).all() for p in biases.values())


@pytest.mark.parametrize(("seconds", "steps"), [(29, 18), (10, 6), (3, 1), (1, 1)])
def test_crnn_on_shorter_audio(seconds, steps):
    model = models.build("crnn", for_seconds=seconds)
    assert models.n_parameters(model) == 394_100
    assert shapes(model, [model.blocks]) == [(128, 1, steps)]


def test_shorter_pools_keep_more_steps():
    model = models.build("crnn", for_seconds=10, pools=[[2, 2], [3, 2], [4, 3], [4, 3]])
    assert models.n_parameters(model) == 394_100
    assert shapes(model, [model.blocks]) == [(128, 1, 17)]


def test_choi_networks_have_the_published_shapes():
    kwargs = {"width": 0.125}
    model = models.build("k1c2", **kwargs)
    assert shapes(model, model.blocks) == [(6, 96, 341), (6, 96, 68), (12, 96, 8), (12, 96, 1)]
    model = models.build("k2c1", **kwargs)
    assert shapes(model, model.blocks) == [(19, 341), (19, 85), (19, 21), (38, 5), (38, 1)]
    model = models.build("k2c2", **kwargs)
    assert [shape[1:] for shape in shapes(model, model.blocks)] == [
        (48, 341), (24, 85), (12, 21), (4, 4), (1, 1),
    ]  # fmt: skip


@pytest.mark.parametrize(("name", "size", "overrides"), CHOI_SIZES)
def test_sizes_of_the_paper_within_its_two_percent(name, size, overrides):
    with torch.device("meta"):
        count = models.n_parameters(models.build(name, **overrides))
    assert count == pytest.approx(size, rel=0.02)


@pytest.mark.parametrize("name", ["k1c2", "k2c1", "k2c2", "crnn"])
@pytest.mark.parametrize("size", [100_000, 3_000_000])
def test_networks_of_equal_size(name, size):
    width = width_for(name, size, n_outputs=24, front_end="mel96", for_seconds=10)
    with torch.device("meta"):
        model = models.build(name, 24, width=width, front_end="mel96", for_seconds=10)
    assert models.n_parameters(model) == pytest.approx(size, rel=0.02)


def test_a_size_that_no_width_gives():
    with pytest.raises(MirdlError, match="no width gives fcn 100 parameters"):
        width_for("fcn", 100)


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_one_direction_hears_the_past_only(cell):
    torch.manual_seed(0)
    x = torch.randn(2, 4, 9)
    forward = RecurrentBackEnd(4, 3, layers=1, cell=cell)
    both = RecurrentBackEnd(4, 3, layers=1, cell=cell, bidirectional=True)
    theirs, ours = both.rnn.state_dict(), forward.rnn.state_dict()
    both.rnn.load_state_dict({**theirs, **ours})
    assert both(x).shape == (2, 6)
    torch.testing.assert_close(both(x)[:, :3], forward(x))
    # the backward direction is a forward one on the reversed audio, with weights of its own
    forward.rnn.load_state_dict({k: theirs[f"{k}_reverse"] for k in ours})
    torch.testing.assert_close(both(x)[:, 3:], forward(x.flip(2)))


def test_the_plain_cell_is_equation_2_12():
    torch.manual_seed(0)
    back_end = RecurrentBackEnd(4, 3, layers=1, cell="rnn")
    w, w_rec, b, b_rec = back_end.rnn.parameters()
    x, h = torch.randn(1, 4, 5), torch.zeros(1, 3)
    for t in range(5):
        h = torch.tanh(x[:, :, t] @ w.T + h @ w_rec.T + b + b_rec)
    torch.testing.assert_close(back_end(x), h)


def test_wrong_names_are_errors():
    with pytest.raises(MirdlError, match="'gnu'"):
        models.build("rnn", cell="gnu")
    with pytest.raises(MirdlError, match="'theano'"):
        models.build("crnn", version="theano")
