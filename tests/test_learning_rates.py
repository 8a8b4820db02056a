"""The learning rate that the validation clips choose."""

import pytest
from toy_results import guess, small_dataset

from mirdl.errors import MirdlError
from mirdl.experiments import learning_rates, store
from mirdl.experiments.learning_rates import RATES, VALID, train_at_chosen_rate

ROW = ("toy", "network")


@pytest.fixture
def rates(own_results, monkeypatch):
    """Training returns its rate, and the higher one is the better; return the rates tried."""
    tried = []

    def train(seed, settings, name, dataset, training):
        tried.append(training["learning_rate"])
        return training["learning_rate"]

    def evaluate(rate, dataset, audio):
        assert set(dataset.clips["split"]) == {"valid"}
        return guess(0, None, noise=0.001 / rate)

    monkeypatch.setattr(learning_rates, "train", train)
    monkeypatch.setattr(learning_rates, "evaluate", evaluate)
    monkeypatch.setattr(learning_rates, "pack", lambda dataset, progress: None)
    return tried


@pytest.fixture
def dataset():
    made = small_dataset()
    made.clips.loc[:30, "split"] = "valid"
    return made


def test_seed_0_chooses_and_the_others_follow(rates, dataset):
    model, heard = train_at_chosen_rate(0, None, ROW, "network", dataset)
    assert rates == list(RATES)
    assert model == max(RATES)
    assert tuple(heard) == VALID
    for variant, made in heard.items():
        store.save(made, *ROW, variant)
    assert train_at_chosen_rate(1, None, ROW, "network", dataset) == (max(RATES), {})
    assert len(rates) == 3


def test_where_nothing_is_chosen_the_rate_is_the_usual_one(rates, dataset):
    assert train_at_chosen_rate(1, None, None, "network", dataset) == (RATES[0], {})


def test_without_seed_0_the_others_say_so(rates, dataset):
    with pytest.raises(MirdlError, match="toy/network chooses"):
        train_at_chosen_rate(2, None, ROW, "network", dataset)
