"""Contrastive learning: the loss by hand, the embedding, the probe."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score
from tones import tones
from torch import nn

from mirdl import models
from mirdl.augment import Gain
from mirdl.datasets.pack import pack
from mirdl.errors import CheckpointError, MirdlError
from mirdl.models.contrastive import (
    Contrastive,
    Embedding,
    Pairs,
    embeddings,
    linear_probe,
    nt_xent,
)
from mirdl.training import fit

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


def pre_train(dataset, model, seed=0, **options):
    """Learn pairs briefly; return the history."""
    parts = dataset.subset("train"), dataset.subset("valid")
    options = {"objective": Pairs(), "batch_size": 8, "best_by": "loss", "device": "cpu"} | options
    return fit(model, *parts, seed=seed, progress=False, **options)


def equal(histories, models):
    a, b = (history.drop(columns="seconds") for history in histories)
    a_weights, b_weights = (model.state_dict().values() for model in models)
    same = all(torch.equal(x, y) for x, y in zip(a_weights, b_weights, strict=True))
    return a.equals(b) and same


def test_pairs_are_learnt_and_the_last_layer_is_left(tmp_path):
    dataset = tones(tmp_path, n_clips=60)
    model = Contrastive(network(), projection=8)
    before = {name: p.clone() for name, p in model.named_parameters()}
    history = pre_train(dataset, model, n_epochs=6, augment=Gain(), learning_rate=3e-3)
    assert list(history)[2:5] == ["train_loss", "valid_loss", "valid_pair_accuracy"]
    assert history["train_loss"].iloc[-1] < history["train_loss"].iloc[0] - 0.1
    assert history["valid_loss"].min() < history["valid_loss"].iloc[0]
    unmoved = [name for name, p in model.named_parameters() if torch.equal(p, before[name])]
    assert unmoved == [f"embedding.network.head.2.{kind}" for kind in ("weight", "bias")]


def test_labels_are_not_looked_at(tmp_path):
    dataset = tones(tmp_path)
    blind = replace(dataset, targets=np.zeros_like(dataset.targets))
    made = [Contrastive(network()) for _ in range(2)]
    histories = [
        pre_train(part, model, n_epochs=2, augment=Gain())
        for part, model in zip((dataset, blind), made, strict=True)
    ]
    assert equal(histories, made)


def test_a_run_of_pairs_goes_on_where_it_was_interrupted(tmp_path, monkeypatch):
    dataset, state = tones(tmp_path / "tones"), tmp_path / "run"
    options = {"n_epochs": 4, "augment": Gain(), "schedule": "cosine"}
    unbroken = network(), network()
    models_ = [Contrastive(each) for each in unbroken]
    whole = pre_train(dataset, models_[0], **options)
    validate, calls = Pairs.validate, []

    def interrupted(self, *arguments):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return validate(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Pairs, "validate", interrupted)
        with pytest.raises(KeyboardInterrupt):
            pre_train(dataset, Contrastive(network()), folder=state, **options)
    resumed = pre_train(dataset, models_[1], folder=state, **options)
    assert equal([whole, resumed], models_)
    with pytest.raises(CheckpointError, match="objective"):
        pre_train(dataset, models_[1], folder=state, **{**options, "objective": Pairs(0.1)})


def test_validation_by_hand(tmp_path):
    dataset = tones(tmp_path)
    audio, model = pack(dataset, progress=False), Contrastive(network()).eval()
    crops = [audio.crops(range(24), model.n_samples, 0, view) for view in (0, 1)]
    a, b = (nn.functional.normalize(model(view).detach()) for view in crops)
    cosines = (torch.cat([a, b]) @ torch.cat([a, b]).T).fill_diagonal_(-2)
    right = np.mean([int(row.argmax()) == (i + 24) % 48 for i, row in enumerate(cosines)])
    loss, name, accuracy = Pairs(0.2).validate(model, dataset, audio)
    assert (name, accuracy) == ("pair_accuracy", pytest.approx(right))
    assert loss == pytest.approx(nt_xent(a, b, 0.2).item(), rel=1e-4)


def test_a_network_of_any_length_is_told():
    model = network()
    model.n_samples = None
    with pytest.raises(MirdlError, match="for_seconds"):
        Contrastive(model)


def test_vectors_of_clips_are_means_over_windows(tmp_path):
    dataset = tones(tmp_path, n_clips=3)
    model = network("fcn", for_seconds=0.7)  # two windows in 1.5 s
    rows = embeddings(dataset, model)
    assert [row.shape for row in rows] == [(1, Embedding(model).n_values)] * 3
    windows = torch.from_numpy(dataset.waveform(1))[: 2 * model.n_samples].reshape(2, -1)
    expected = Embedding(model.eval())(windows).mean(dim=0).detach().numpy()
    np.testing.assert_allclose(rows[1][0], expected, rtol=1e-4, atol=1e-5)
    longer = network("fcn", for_seconds=2).eval()  # the clip is repeated
    waveform = torch.from_numpy(dataset.waveform(0)).repeat(2)[None, : longer.n_samples]
    expected = Embedding(longer)(waveform).detach().numpy()
    np.testing.assert_allclose(embeddings(dataset, longer)[0], expected, rtol=1e-4, atol=1e-5)


def test_packed_clips_have_about_the_same_vectors(tmp_path):
    dataset = tones(tmp_path, n_clips=4)
    model, audio = network(), pack(dataset, progress=False)
    rows, packed = (np.concatenate(embeddings(dataset, model, a)) for a in (None, audio))
    np.testing.assert_allclose(rows, packed, atol=0.01 * np.abs(rows).max())
    assert model.training
    Path(dataset.clips["path"][2]).write_bytes(b"")
    with pytest.warns(UserWarning, match="1 clips skipped"):
        found = embeddings(dataset, model, pack(dataset, progress=False))
    assert [len(row) for row in found] == [1, 1, 0, 1]


def test_a_probe_learns_tags_and_leaves_the_network_alone(tmp_path):
    dataset = tones(tmp_path, n_clips=60)
    model = network(width=0.5)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    valid = dataset.subset("valid")
    probe = linear_probe(model, C=1.0).fit(dataset.subset("train"), valid)
    assert roc_auc_score(valid.targets, probe.predict(valid)) > 0.8
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert model.training
