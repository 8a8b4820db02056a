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


@pytest.fixture(autouse=True)
def seed():
    """Draw the same weights and noise in every run, whatever tests came before."""
    torch.manual_seed(0)


@pytest.fixture
def rng():
    return np.random.default_rng(0)
