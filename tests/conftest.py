"""Fixtures that several test files share."""

import numpy as np
import pytest
import torch

from mirdl import paths


@pytest.fixture
def shared():
    """Real music outside the repository; the test is skipped where it is absent."""
    folder = paths.shared_folder()
    if folder is None:
        pytest.skip("no ../shared and no $MIRDL_SHARED")
    return folder


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    """Keep every test away from the reader's cache."""
    monkeypatch.setenv("MIRDL_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def own_results(tmp_path, monkeypatch):
    """Keep a test away from the stored results."""
    monkeypatch.setenv("MIRDL_RESULTS", str(tmp_path / "results"))


@pytest.fixture
def toy_results(own_results, monkeypatch):
    """Three seeds of two systems are stored, and three claims are about them."""
    import toy_results as toy

    from mirdl.experiments import claims, store

    monkeypatch.setattr(
        claims,
        "claims",
        lambda first=0, last=23: [c for c in toy.CLAIMS if first <= c.lesson <= last],
    )
    for run in toy.RUNS[:6]:
        made = run.function(run.seed, None, **run.options)
        store.save(made, run.experiment, run.system, "", run.seed, core_minutes=1.0)


@pytest.fixture(autouse=True)
def seed():
    """Draw the same weights and noise in every run, whatever tests came before."""
    torch.manual_seed(0)


@pytest.fixture
def rng():
    return np.random.default_rng(0)
