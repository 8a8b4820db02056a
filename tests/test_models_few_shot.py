"""Small networks and prototypes."""

import pytest
import torch
from torch.nn import functional as F

from mirdl import models
from mirdl.errors import MirdlError
from mirdl.models.few_shot import DISTANCES, Prototypical

SMALL = {"width": 0.0625, "front_end": "mel40", "for_seconds": 1}


@pytest.fixture
def prototypical():
    torch.manual_seed(0)
    return models.build("prototypical", 3, **SMALL)


@pytest.fixture
def examples():
    """Nine clips, three of each of three classes of loudness, mixed: (audio, labels)."""
    torch.manual_seed(1)
    labels = torch.tensor([2, 0, 1, 1, 0, 2, 0, 1, 2])
    return torch.randn(9, 16_000) * torch.tensor([0.01, 0.05, 0.25])[labels, None], labels


@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("vgg_small", [(32, 64, 64), (32, 32, 32), (32, 16, 16), (32, 8, 8), (32, 4, 4)]),
        ("timbre_small", [(10, 21, 122)]),
        ("sb_cnn", [(24, 62, 31), (48, 29, 6), (48, 25, 2)]),
    ],
)
def test_maps_have_the_authors_sizes(name, sizes):
    model = models.build(name, 10).eval()
    assert (model.n_frames, model.front_end.n_mels, model.sample_rate) == (128, 128, 44_100)
    seen = []
    for module in model.modules():
        if isinstance(module, models.blocks.ConvBlock):
            module.register_forward_hook(lambda *call: seen.append(tuple(call[-1].shape[1:])))
    assert model(torch.zeros(1, model.n_samples)).shape == (1, 10)
    assert seen == sizes


@pytest.mark.parametrize("name", ["vgg_small", "timbre_small", "sb_cnn", "prototypical"])
@pytest.mark.parametrize(
    ("front_end", "seconds"),
    [("mel96", 3), ("mel96", 0.5), ("mel40", 1), ({"preset": "mel96", "n_mels": 20}, 10)],
)
def test_other_front_ends_and_lengths(name, front_end, seconds):
    options = {"front_end": front_end, "for_seconds": seconds, "width": 0.1}
    model = models.build(name, 4, **options).eval()
    audio = torch.zeros(1, round(16_000 * seconds))
    assert model(audio).shape == (1, 4)


def test_sb_cnn_says_what_does_not_fit():
    with pytest.raises(MirdlError, match="13"):
        models.build("sb_cnn", front_end={"preset": "mel96", "n_mels": 12})


def test_timbre_small_is_the_maximum_of_each_map():
    model = models.build("timbre_small", 4, front_end="mel40", for_seconds=1).eval()
    assert model.conv.conv.kernel_size == (34, 7)
    audio = 0.1 * torch.randn(2, 16_000)
    x = model.norm(model.front_end(audio).unsqueeze(1))
    torch.testing.assert_close(model(audio), model.conv(x).flatten(2).max(dim=2).values)


# Prototypes


def test_distances_against_loops():
    torch.manual_seed(0)
    x, y = torch.randn(4, 10), torch.randn(3, 10)
    for i in range(4):
        for j in range(3):
            squared = torch.dist(x[i], y[j]) ** 2
            cosine = 1 - torch.cosine_similarity(x[i], y[j], dim=0)
            torch.testing.assert_close(DISTANCES["euclidean"](x, y)[i, j], squared)
            torch.testing.assert_close(DISTANCES["cosine"](x, y)[i, j], cosine)


def test_published_embedding():
    with torch.device("meta"):
        model = models.build("prototypical", 10)
    assert models.n_parameters(model) == 613_388
    assert model.prototypes.shape == (10, 10)


def test_prototypes_are_mean_embeddings(prototypical, examples):
    audio, labels = examples
    prototypical.train()
    assert prototypical.fit_prototypes(audio, labels, batch_size=4) is prototypical
    assert prototypical.training
    prototypical.eval()
    x = prototypical.embedding(audio)
    means = torch.stack([x[labels == k].mean(dim=0) for k in range(3)])
    torch.testing.assert_close(prototypical.prototypes, means)
    distances = (x[:, None] - means).square().sum(dim=2)
    torch.testing.assert_close(prototypical(audio), -distances)
    assert not prototypical.prototypes.requires_grad


def test_one_example_a_class_is_its_own_prototype(prototypical, examples):
    audio = examples[0][:3]
    logits = prototypical.fit_prototypes(audio, torch.arange(3)).eval()(audio)
    torch.testing.assert_close(logits.diagonal(), torch.zeros(3), atol=1e-6, rtol=0)
    assert logits.argmax(dim=1).tolist() == [0, 1, 2]


def test_without_prototypes_all_classes_are_as_likely(prototypical, examples):
    probabilities = prototypical.eval()(examples[0]).softmax(dim=1)
    torch.testing.assert_close(probabilities, torch.full((9, 3), 1 / 3))


def test_classes_can_change_and_are_saved(prototypical, examples, tmp_path):
    audio = examples[0]
    prototypical.fit_prototypes(audio, torch.tensor([0, 1, 2, 3, 4, 0, 1, 2, 3]))
    logits = prototypical.eval()(audio)
    assert logits.shape == (9, 5)
    models.save(prototypical, tmp_path / "model.safetensors", tags=list("abcde"))
    loaded = models.load(tmp_path / "model.safetensors")
    assert loaded.n_outputs == 5
    torch.testing.assert_close(loaded(audio), logits, rtol=0, atol=0)


def test_a_class_without_example_is_named(prototypical, examples):
    with pytest.raises(MirdlError, match="no example of class 1"):
        prototypical.fit_prototypes(examples[0][:2], torch.tensor([0, 2]))


@pytest.mark.parametrize("distance", ["euclidean", "cosine"])
def test_episode_loss(distance, examples):
    torch.manual_seed(0)
    model = models.build("prototypical", 3, distance=distance, **SMALL).eval()
    audio, labels = examples
    support = torch.stack([audio[labels == k][:2] for k in range(3)])  # (3, 2, n_samples)
    query, classes = audio[-3:], labels[-3:]
    loss = model.episode_loss(support, query, classes)
    model.fit_prototypes(support.flatten(0, 1), torch.arange(3).repeat_interleave(2))
    torch.testing.assert_close(loss, F.cross_entropy(model(query), classes))


@pytest.mark.parametrize("distance", ["euclidean", "cosine"])
def test_an_update_lowers_the_episode_loss(distance, examples):
    torch.manual_seed(0)
    model = models.build("prototypical", 3, distance=distance, **SMALL).eval()
    audio, labels = examples
    support = torch.stack([audio[labels == k][:2] for k in range(3)]).requires_grad_()
    query = audio.clone().requires_grad_()
    loss = model.episode_loss(support, query, labels)
    loss.backward()
    assert support.grad.abs().sum() > 0  # prototypes move with the embedding
    assert query.grad.abs().sum() > 0
    with torch.no_grad():
        for p in model.parameters():
            p -= 1e-3 * p.grad
    assert model.episode_loss(support, query, labels) < loss


def test_any_network_can_embed(tmp_path):
    torch.manual_seed(0)
    pretrained = models.build("fcn", 6, width=0.0625, for_seconds=1)
    model = models.build("prototypical", 2, embedding=pretrained)
    assert (model.sample_rate, model.n_samples, model.n_frames) == (16_000, 16_000, 63)
    assert model.prototypes.shape == (2, 6)
    assert model.eval()(torch.zeros(1, 16_000)).shape == (1, 2)
    with pytest.raises(MirdlError, match="override"):
        models.save(model, tmp_path / "model.safetensors")


def test_front_end_with_statistics_is_saved_once(prototypical, examples, tmp_path):
    """The front end "mel40" has buffers; model and embedding share one front end."""
    prototypical.front_end.fit_normalisation([examples[0]])
    models.save(prototypical, tmp_path / "model.safetensors")
    loaded = models.load(tmp_path / "model.safetensors")
    assert loaded.front_end is loaded.embedding.front_end
    assert torch.equal(loaded.front_end.mean, prototypical.front_end.mean)


def test_unknown_distance_is_named():
    with pytest.raises(MirdlError, match="euclidean, cosine"):
        Prototypical(distance="manhattan")
