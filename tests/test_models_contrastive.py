"""Contrastive learning: the loss by hand, the embedding, the probe."""

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score
from tones import tones
from torch import nn

from mirdl import models
from mirdl.errors import MirdlError
from mirdl.models.contrastive import Contrastive, Embedding, embeddings, linear_probe, nt_xent

SMALL = {"n_outputs": 3, "front_end": "mel40", "width": 0.125, "for_seconds": 1}


def network(name="dieleman_spectrogram", **options):
    torch.manual_seed(0)
    return models.build(name, **{**SMALL, **options})


def test_loss_by_hand():
    a, b = torch.tensor([[2.0, 0.0], [0.0, 1.0]]), torch.tensor([[1.0, 0.0], [0.0, 3.0]])
    # cosines: 1 with the partner, 0 with the two others
    expected = -np.log(np.exp(2) / (np.exp(2) + 2))
    assert nt_xent(a, b).item() == pytest.approx(expected, rel=1e-6)
    # all four alike: one of three others is right
    assert nt_xent(torch.ones(2, 3), torch.ones(2, 3)).item() == pytest.approx(np.log(3), rel=1e-6)
    # partners opposite, strangers (and their partners) at right angles
    expected = -np.log(np.exp(-10) / (np.exp(-10) + 2))
    assert nt_xent(a, -b, temperature=0.1).item() == pytest.approx(expected, rel=1e-5)


def test_loss_of_every_pair_in_a_loop():
    generator = torch.Generator().manual_seed(0)
    a, b = torch.randn(5, 4, generator=generator), torch.randn(5, 4, generator=generator)
    both, terms = torch.cat([a, b]), []
    for i in range(10):
        cosines = torch.cosine_similarity(both[i], both) / 0.2
        others = [j for j in range(10) if j != i]
        terms.append(torch.logsumexp(cosines[others], 0) - cosines[(i + 5) % 10])
    torch.testing.assert_close(nt_xent(a, b, 0.2), torch.stack(terms).mean())
    torch.testing.assert_close(nt_xent(a, b, 0.2), nt_xent(b, a, 0.2))
    order = torch.tensor([1, 2, 3, 4, 0])  # nothing stays in its place
    torch.testing.assert_close(nt_xent(a[order], b[order], 0.2), nt_xent(a, b, 0.2))
    assert not torch.isclose(nt_xent(a[order], b, 0.2), nt_xent(a, b, 0.2))


@pytest.mark.parametrize("name", ["dieleman_spectrogram", "fcn"])
def test_embedding_is_what_the_last_layer_sees(name):
    model = network(name).eval()
    embedding = Embedding(model)
    audio = 0.1 * torch.randn(4, model.n_samples)
    vectors = embedding(audio)
    last = [m for m in model.modules() if isinstance(m, nn.Linear)][-1]
    assert vectors.shape == (4, embedding.n_values)
    assert embedding.n_values > 3
    torch.testing.assert_close(last(vectors), model(audio))
    assert not last._forward_pre_hooks


def test_networks_without_a_last_dense_layer_are_told():
    class Maximum(nn.Module):
        n_outputs = 3

    with pytest.raises(MirdlError, match="Maximum does not end"):
        Embedding(Maximum())
    framewise = network("dieleman_spectrogram")
    framewise.head = nn.Sequential(nn.Unflatten(1, (2, 2)), nn.Linear(2, 3))
    with pytest.raises(MirdlError, match="on frames"):
        Embedding(framewise)(torch.zeros(2, framewise.n_samples))


def test_training_brings_pairs_together():
    model = Contrastive(network(), projection=8)
    generator = torch.Generator().manual_seed(0)
    seconds = torch.arange(model.n_samples) / model.sample_rate
    pitches = 200 * 2 ** torch.arange(0, 4, 0.5)
    tracks = 0.3 * torch.sin(2 * torch.pi * pitches[:, None] * seconds)

    def view():
        return tracks + 0.02 * torch.randn(tracks.shape, generator=generator)

    before = {name: p.clone() for name, p in model.named_parameters()}
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    losses = []
    for _ in range(20):
        loss = model(view(), view())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[0] > losses[-1] + 0.1
    unmoved = [name for name, p in model.named_parameters() if torch.equal(p, before[name])]
    assert unmoved == [f"embedding.network.head.2.{kind}" for kind in ("weight", "bias")]


def test_augmentation_is_for_training():
    heard = []

    def louder(audio):
        heard.append(audio.shape)
        return 2 * audio

    model = Contrastive(network(), projection=nn.Identity(), augment=louder)
    crops = 0.1 * torch.randn(3, model.n_samples)
    model.eval()(crops, crops)
    assert heard == []
    model.train()(crops, crops)
    assert heard == [crops.shape] * 2


def test_embed_keeps_the_mode_and_leaves_dropout_out():
    model = Contrastive(network("fcn")).train()
    audio = 0.1 * torch.randn(3, model.n_samples)
    first = model.embed(audio)
    assert torch.equal(first, model.embed(audio))
    assert model.training
    assert not first.requires_grad
    torch.testing.assert_close(first[:1], model.embed(audio[:1]), rtol=1e-4, atol=1e-5)


def test_vectors_of_clips_are_means_over_windows(tmp_path):
    dataset = tones(tmp_path, n_clips=3)
    model = network("fcn", for_seconds=0.7)  # two windows in 1.5 s
    rows = embeddings(dataset, model)
    assert [row.shape for row in rows] == [(1, Embedding(model).n_values)] * 3
    windows = torch.from_numpy(dataset.waveform(1))[: 2 * model.n_samples].reshape(2, -1)
    expected = Embedding(model.eval())(windows).mean(dim=0).detach().numpy()
    np.testing.assert_allclose(rows[1][0], expected, rtol=1e-4, atol=1e-5)
    longer = network("fcn", for_seconds=2)  # padded
    assert embeddings(dataset, longer)[0].shape == (1, Embedding(longer).n_values)


def test_a_probe_learns_tags_and_leaves_the_network_alone(tmp_path):
    dataset = tones(tmp_path, n_clips=60)
    model = network(width=0.5)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    valid = dataset.subset("valid")
    probe = linear_probe(model, C=1.0).fit(dataset.subset("train"), valid)
    assert roc_auc_score(valid.targets, probe.predict(valid)) > 0.8
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert model.training
