"""Features learnt without labels: what each learner minimises, and that clips can be told by it."""

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score
from tones import tones

from mirdl import models
from mirdl.errors import MirdlError
from mirdl.models import learned_features
from mirdl.models.dictionary import RBM, DeepBelief, KMeans, SparseAutoencoder, SparseCoding
from mirdl.models.learned_features import LEARNERS, REPRESENTATIONS, OnCodes

N_PARTS, D = 4, 12


@pytest.fixture
def parts():
    """Four blocks of three values, of which each frame has one or two."""
    return np.kron(np.eye(N_PARTS), np.ones(3)).astype(np.float32)


@pytest.fixture
def frames(rng, parts):
    weights = rng.random((1500, N_PARTS)) * (rng.random((1500, N_PARTS)) < 0.35)
    return (weights @ parts + 0.02 * rng.standard_normal((1500, D))).astype(np.float32)


@pytest.mark.parametrize("name", LEARNERS)
def test_protocol(name, frames):
    codes = []
    for seed in (0, 0, 1):
        learner = LEARNERS[name](n_units=8, seed=seed)
        assert learner.fit(frames) is learner
        codes.append(learner.encode(frames[:50]))
        assert learner.bases.shape == (8, D)
    assert codes[0].shape == (50, 8)
    assert codes[0].dtype == np.float32
    assert (codes[0] >= 0).all()
    assert np.array_equal(codes[0], codes[1])
    assert not np.array_equal(codes[0], codes[2])
    np.testing.assert_allclose(learner.encode(frames[7:8]), codes[2][7:8], atol=1e-4)


def test_vectors_are_white(frames):
    learner = KMeans(4)
    white = learner.whiten(frames)
    np.testing.assert_allclose(np.cov(white.T), np.eye(white.shape[1]), atol=1e-3)
    assert white.shape[1] < D  # four parts and little noise


def test_kmeans_is_one_hot_at_the_nearest_basis(frames, parts):
    learner = KMeans(10).fit(frames)
    codes = learner.encode(frames)
    assert set(np.unique(codes)) == {0, 1}
    assert (codes.sum(axis=1) == 1).all()
    white, centres = learner.whitening.transform(frames), learner.filters
    distances = np.linalg.norm(white[:, None] - centres, axis=2)
    assert np.array_equal(codes.argmax(axis=1), distances.argmin(axis=1))
    soft = KMeans(10, soft=True).fit(frames).encode(frames)
    assert np.array_equal(soft.argmax(axis=1), codes.argmax(axis=1))
    assert 0.2 < (soft == 0).mean() < 0.8


def test_bases_are_frames(frames):
    learner = KMeans(10, variance=0.99).fit(frames)
    chosen = learner.encode(frames).argmax(axis=1) == 3
    expected = frames[chosen].mean(axis=0) - frames.mean(axis=0)
    assert np.corrcoef(learner.bases[3], expected)[0, 1] > 0.95


def test_a_sparse_code_minimises_its_objective(frames, rng):
    learner = SparseCoding(8, alpha=0.5).fit(frames)
    white = learner.whitening.transform(frames[:100])
    atoms = learner.filters
    assert np.linalg.norm(atoms, axis=1).max() < 1 + 1e-5

    def objective(h):
        return 0.5 * ((white - h @ atoms) ** 2).sum(axis=1) + 0.5 * h.sum(axis=1)

    codes = learner.encode(frames[:100])
    for _ in range(20):
        other = np.maximum(codes + 0.05 * rng.standard_normal(codes.shape), 0)
        assert (objective(other) > objective(codes) - 1e-3).all()
    assert (codes == 0).mean() > 0.4
    sparser = SparseCoding(8, alpha=2.0).fit(frames).encode(frames[:100])
    assert (sparser == 0).mean() > (codes == 0).mean()


def test_the_autoencoder_reconstructs_with_few_units(frames):
    learner = SparseAutoencoder(16, sparsity=0.1, n_epochs=60).fit(frames)
    assert np.mean(learner.losses[-12:]) < 0.6 * np.mean(learner.losses[:12])
    activity = [
        SparseAutoencoder(16, sparsity=0.1, weight=weight, n_epochs=60).fit(frames).encode(frames)
        for weight in (0, 30)
    ]
    assert activity[1].mean() == pytest.approx(0.1, abs=0.03)
    assert activity[0].mean() > 2 * activity[1].mean()


@pytest.mark.parametrize("visible", ["gaussian", "bernoulli"])
def test_a_boltzmann_machine_comes_to_expect_its_data(visible, frames, rng):
    if visible == "bernoulli":
        frames = (frames > 0.2).astype(np.float32)
        x = torch.from_numpy(frames)
    else:
        x = torch.from_numpy(KMeans(1).whiten(frames))
    shuffled = torch.stack([column[torch.randperm(len(x))] for column in x.T], dim=1)
    margins, errors = [], []
    for n_epochs in (0, 5, 200):
        machine = RBM(
            16, visible=visible, n_epochs=n_epochs, learning_rate=0.05, sparsity=None
        )  # fmt: skip
        machine.learn(x)
        # the unknown constant of -log p falls out of the difference
        margins.append((machine.free_energy(shuffled) - machine.free_energy(x)).mean().item())
        errors.append((machine.reconstruct(machine.hidden(x)) - x).square().mean().item())
    assert errors[2] < errors[1] < errors[0]
    assert errors[2] < 0.6 * errors[0]
    assert margins[2] > max(margins[:2]) + 0.1


def test_free_energy_sums_over_the_hidden_units(frames):
    machine = RBM(3, visible="bernoulli", n_epochs=3)
    machine.learn((frames > 0.2).astype(np.float32))
    v = torch.from_numpy((frames[:5] > 0.2).astype(np.float32))
    states = torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * 3)  # all 8
    energies = -(
        (v @ machine.visible_bias)[:, None]
        + v @ machine.weights @ states.T
        + states @ machine.hidden_bias
    )
    expected = -torch.logsumexp(-energies, dim=1)
    torch.testing.assert_close(machine.free_energy(v), expected, rtol=1e-4, atol=1e-4)


def test_sparsity_quietens_hidden_units(frames):
    activity = [
        RBM(16, sparsity=sparsity, learning_rate=0.05).fit(frames).encode(frames).mean()
        for sparsity in (None, 0.02)
    ]
    assert activity[1] < 0.5 * activity[0]


@pytest.mark.parametrize("pretrain", [True, False])
def test_deep_belief_network_learns_labels(frames, pretrain):
    labels = (frames.reshape(-1, N_PARTS, 3).mean(axis=2) > 0.2).astype(np.float32)
    network = DeepBelief((16, 12), pretrain=pretrain, n_epochs=150)
    scores = network.fit(frames[:1200], labels[:1200], "multilabel").encode(frames[1200:])
    assert roc_auc_score(labels[1200:], scores) > 0.9
    assert network.bases.shape == (16, D)
    for layer, n_units in ((1, 16), (2, 12), ("all", 28)):
        network.layer = layer
        assert network.encode(frames[:5]).shape == (5, n_units)


def test_pretraining_is_that_of_the_machines(frames):
    network = DeepBelief((16, 12), n_epochs=3)
    x = torch.from_numpy(network.whiten(frames))
    (w1, b1), (w2, _) = network.start(x)
    options = {"sparsity": None, "n_epochs": 3, "momentum": 0.9}
    first = RBM(16, 0, **options)
    first.learn(x)
    assert torch.equal(w1, first.weights)
    second = RBM(12, 1, visible="bernoulli", learning_rate=0.1, **options)
    second.learn(torch.sigmoid(x @ w1 + b1))
    assert torch.equal(w2, second.weights)


def test_pretraining_leaves_no_layer_behind(frames):
    network = DeepBelief((16, 12, 12), n_epochs=100)
    x = torch.from_numpy(network.whiten(frames))
    for w, b in network.start(x):
        x = torch.sigmoid(x @ w + b)
        assert x.std(dim=0).mean() > 0.05  # 0.01 at random weights


# From clips to tags


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("tones")


def fitted(dataset, name="learned_features", **options):
    model = models.build(name, **options)
    return model.fit(dataset.subset("train"), dataset.subset("valid"))


@pytest.mark.filterwarnings("ignore:n_fft")  # the clips are shorter than the longest CQT filter
def test_representations(folder):
    shapes = {"cqt": (47, 1, 96), "cqt_octave": (47, 4, 24), "mel_frame": (47, 1, 96)}
    shapes["mel_patch"] = (22, 1, 384)
    assert list(shapes) == list(REPRESENTATIONS)
    dataset = tones(folder)
    for name, shape in shapes.items():
        representation = REPRESENTATIONS[name]
        frames = representation.feature.compute(dataset.waveform(0), 16_000)
        assert representation.vectors(frames).shape == shape
    patches = representation.vectors(frames)
    assert np.array_equal(patches[1, 0].reshape(96, 4).T, frames[2:6])
    octaves = REPRESENTATIONS["cqt_octave"].vectors(frames)
    assert np.array_equal(octaves[5, 1], frames[5, 24:48])


@pytest.mark.parametrize("learner", LEARNERS)
@pytest.mark.parametrize("task", ["multilabel", "multiclass"])
def test_learns_tags_and_classes(folder, learner, task):
    dataset = tones(folder / task, task, n_clips=60)
    valid = dataset.subset("valid")
    scores = fitted(dataset, learner=learner, n_units=16, C=1.0).predict(valid)
    if task == "multiclass":
        assert np.mean(scores.argmax(axis=1) == valid.targets) > 0.85
    else:
        assert roc_auc_score(valid.targets, scores) > 0.85


@pytest.mark.parametrize("task", ["multilabel", "multiclass", "regression"])
@pytest.mark.parametrize("layer", [None, "all", 1])
def test_deep_belief_networks_of_clips(folder, task, layer):
    dataset = tones(folder / task, task, n_clips=60)
    valid = dataset.subset("valid")
    model = fitted(dataset, "deep_belief_network", layers=(20, 20), layer=layer, n_epochs=100)
    scores = model.predict(valid)
    if task == "multiclass":
        assert np.mean(scores.argmax(axis=1) == valid.targets) > 0.9
    elif task == "multilabel":
        assert roc_auc_score(valid.targets, scores) > 0.85
    else:
        assert ((scores - valid.targets) ** 2).mean() < 0.8 * valid.targets.var(axis=0).mean()


def test_seconds_cut_clips_into_pieces(folder):
    x = [np.random.default_rng(i).random((47, 96)).astype(np.float32) for i in range(3)]
    learner = KMeans(5).fit(np.concatenate(x))
    pieces = {}
    for seconds in (None, 0.5, 0):
        estimator = OnCodes(learner, REPRESENTATIONS["mel_frame"], "mean", seconds, None, 0)
        pieces[seconds] = estimator.pooled(x)[0]
    assert [len(rows) for rows in pieces.values()] == [1, 4, 47]  # 15, 15, 15 and 2 frames
    assert np.array_equal(pieces[0], learner.encode(x[0]))
    np.testing.assert_allclose(pieces[None][0], pieces[0].mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(pieces[0.5][1], pieces[0][15:30].mean(axis=0), rtol=1e-5)
    scores = fitted(tones(folder, n_clips=60), seconds=0, n_units=16).predict(tones(folder))
    assert scores.shape == (24, 3)


@pytest.mark.filterwarnings("ignore:n_fft")
def test_octaves_share_a_dictionary(folder):
    model = fitted(tones(folder), representation="cqt_octave", pooling="mean_std", n_units=8)
    frames = np.random.default_rng(0).random((47, 96)).astype(np.float32)
    (row,) = model.estimator._pooled(frames)
    assert row.shape == (2 * 4 * 8,)
    top = model.estimator.learner.encode(frames[:, 72:])
    np.testing.assert_allclose(row[24:32], top.mean(axis=0), rtol=1e-4)


def test_seeds(folder):
    dataset = tones(folder)
    for name in ("learned_features", "deep_belief_network"):
        options = {"n_epochs": 2} if name == "deep_belief_network" else {"n_units": 8}
        scores = [
            fitted(dataset, name, seed=seed, **options).predict(dataset) for seed in (0, 0, 1)
        ]
        assert np.array_equal(scores[0], scores[1])
        assert not np.array_equal(scores[0], scores[2])


@pytest.mark.parametrize(
    ("make", "options", "wrong"),
    [
        ("learned_features", {"learner": "gmm"}, "gmm"),
        ("learned_features", {"representation": "mfcc"}, "mfcc"),
        ("learned_features", {"pooling": "median"}, "median"),
        ("deep_belief_network", {"layer": 4}, "4"),
        ("deep_belief_network", {"representation": "cqt_octave"}, "octaves"),
    ],
)
def test_wrong_names_are_told(make, options, wrong):
    with pytest.raises(MirdlError, match=wrong):
        getattr(learned_features, make)(**options)
