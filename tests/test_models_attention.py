"""Self-attention: shapes as published, BERT's layers, and maps of who looks at whom."""

import pytest
import torch
from torch.nn import functional as F

from mirdl import models
from mirdl.models.attention import bert_layer


@pytest.fixture
def small():
    torch.manual_seed(0)
    return models.build("self_attention", n_outputs=3, width=0.125, for_seconds=2).eval()


def test_published_shapes():
    with torch.device("meta"):
        model = models.build("self_attention")
    assert (model.n_samples, model.n_frames) == (240_000, 938)
    x, shapes = torch.zeros(1, 1, 128, 938, device="meta"), []
    for block in model.eval().blocks:
        x = block(x)
        shapes.append(tuple(x.shape[1:]))
    assert shapes == [
        (128, 64, 469), (128, 32, 235), (256, 16, 118),
        (256, 8, 118), (256, 4, 118), (256, 2, 118), (256, 1, 118),
    ]  # fmt: skip


def test_first_token_is_fixed(small):
    audio = 0.1 * torch.randn(2, small.n_samples)
    tokens = small.tokens(audio)
    assert tokens.shape == (2, 1 + 16, 32)
    first = torch.tensor([0.5488135, 0.71518937, 0.60276338])  # numpy's seed 0
    torch.testing.assert_close(tokens[:, 0, :3], first.expand(2, -1))
    assert torch.equal(tokens[0, 0], tokens[1, 0])
    assert not any("cls" in name for name, _ in small.named_parameters())


def test_layer_is_berts():
    """The layer against its formulas: attention, sum and norm, dense layers, sum and norm."""
    torch.manual_seed(0)
    layer, x = bert_layer(8, 2).eval(), torch.randn(1, 5, 8)
    q, k, v = F.linear(x, layer.self_attn.in_proj_weight, layer.self_attn.in_proj_bias).chunk(3, 2)
    heads = []
    for i in (slice(0, 4), slice(4, 8)):
        alpha = (q[..., i] @ k[..., i].transpose(1, 2) / 4**0.5).softmax(dim=2)
        heads.append(alpha @ v[..., i])
    x = layer.norm1(x + layer.self_attn.out_proj(torch.cat(heads, dim=2)))
    x = layer.norm2(x + layer.linear2(F.gelu(layer.linear1(x))))
    torch.manual_seed(0)
    layer, audio = bert_layer(8, 2).eval(), torch.randn(1, 5, 8)
    torch.testing.assert_close(layer(audio), x)
    assert (layer.norm1.eps, layer.norm2.eps) == (1e-12, 1e-12)
    assert (layer.self_attn.dropout, layer.dropout1.p, layer.dropout2.p) == (0.5, 0.4, 0.4)


def test_maps_are_weights_of_an_average(small):
    audio = 0.1 * torch.randn(2, small.n_samples)
    maps = small.attention_maps(audio)
    assert maps.shape == (2, 2, 8, 17, 17)
    assert (maps >= 0).all()
    torch.testing.assert_close(maps.sum(dim=-1), torch.ones(2, 2, 8, 17))


def test_encoder_does_not_know_the_order(small):
    """No positional encoding: shuffled tokens give the same logits and shuffled maps."""
    tokens = torch.randn(1, 17, 32)
    order = torch.cat([torch.tensor([0]), 1 + torch.randperm(16)])
    x, y = tokens, tokens[:, order]
    for layer in small.encoder:
        x, y = layer(x), layer(y)
    torch.testing.assert_close(x[:, order], y, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("width", [0.1, 0.3, 1.5])
def test_a_token_stays_a_multiple_of_the_heads(width):
    with torch.device("meta"):
        model = models.build("self_attention", width=width)
    assert model.cls.shape[2] % 8 == 0
    assert model.dense.in_features == model.cls.shape[2]


@pytest.mark.parametrize("front_end", ["mel40", "mel96", "mel128"])
def test_any_number_of_bands(front_end):
    model = models.build("self_attention", width=0.125, for_seconds=1, front_end=front_end)
    assert model.eval()(torch.zeros(1, model.n_samples)).shape == (1, 50)
