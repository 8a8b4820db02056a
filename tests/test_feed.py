"""mirdl.datasets.feed: on every path the same batches; what goes wrong is said once."""

import shutil
import threading
import time
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from test_training import AnyLength, equal, run
from tones import RATE, tones

from mirdl import training
from mirdl.datasets.feed import Feed
from mirdl.datasets.pack import AUDIO, pack
from mirdl.errors import MirdlError
from mirdl.paths import cache_folder

SEED, BATCH = 3, 4


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("tones")


@pytest.fixture
def dataset(folder):
    return tones(folder)


@pytest.fixture
def audio(dataset):
    return pack(dataset, progress=False)


def expected(audio, dataset, step, n_samples, rank=0, n_processes=1):
    """The batch of a step, drawn from the pack as is written down in `mirdl.datasets.feed`."""
    usable = np.flatnonzero(audio.usable)
    lap, position = divmod(step, len(usable) // BATCH)
    order = np.random.default_rng([SEED, lap]).permutation(usable)
    clips = order[position * BATCH :][:BATCH][rank::n_processes]
    return audio.crops(clips, n_samples, SEED, lap), torch.from_numpy(dataset.targets)[clips]


def same(batches, others):
    return all(
        torch.equal(a, b) for pair in zip(batches, others, strict=True)
        for a, b in zip(*pair, strict=True)
    )  # fmt: skip


@pytest.mark.parametrize("ahead", [None, 1, 3])
@pytest.mark.parametrize("n_samples", [6_000, 30_000])  # shorter and longer than the clips
@pytest.mark.parametrize("where", ["mapped", "moved"])
def test_every_path_gives_the_same_batches(audio, dataset, ahead, n_samples, where):
    source = audio.to("cpu") if where == "moved" else audio
    batches = Feed(source, dataset.targets, BATCH, n_samples, SEED, ahead=ahead).batches(0, 14)
    assert same(batches, [expected(audio, dataset, step, n_samples) for step in range(14)])


def test_a_run_goes_on_anywhere(audio, dataset):
    source = Feed(audio, dataset.targets, BATCH, 6_000, SEED)
    assert source.steps_per_lap == 6
    whole = list(source.batches(0, 14))
    for first, last in ((3, 5), (5, 14), (6, 6), (11, 13)):
        assert same(source.batches(first, last), whole[first:last])


def test_processes_share_every_batch(audio, dataset):
    for rank in range(2):
        mine = Feed(audio, dataset.targets, BATCH, 6_000, SEED, rank=rank, n_processes=2, ahead=2)
        theirs = [expected(audio, dataset, step, 6_000, rank, 2) for step in range(8)]
        assert same(mine.batches(0, 8), theirs)


def test_clips_that_cannot_be_read_are_never_drawn(tmp_path):
    dataset = tones(tmp_path)
    (tmp_path / "5.wav").write_bytes(b"")
    audio = pack(dataset, progress=False)
    marked = np.arange(len(dataset))
    drawn = torch.cat([clips for _, clips in Feed(audio, marked, 4, 100, SEED).batches(0, 5)])
    assert len(set(drawn.tolist())) == 20
    assert 5 not in drawn


def broken(audio, n_good, error, monkeypatch):
    """Let the pack raise an error after some crops."""
    calls, gather = [], audio.gather

    def gather_or_fail(*arguments):
        calls.append(1)
        if len(calls) > n_good:
            raise error
        return gather(*arguments)

    monkeypatch.setattr(audio, "gather", gather_or_fail)
    return audio


@pytest.mark.parametrize("n_samples", [6_000, 30_000])  # shorter and longer than the clips
@pytest.mark.parametrize("rank", [0, 1])
def test_two_views_are_two_epochs_of_the_same_clips(audio, dataset, n_samples, rank):
    places = {"rank": rank, "n_processes": 2, "views": 2}
    batches = list(Feed(audio, dataset.targets, BATCH, n_samples, SEED, **places).batches(0, 8))
    for step in (0, 7):
        lap, position = divmod(step, len(dataset) // BATCH)
        order = np.random.default_rng([SEED, lap]).permutation(len(dataset))
        clips = order[position * BATCH :][:BATCH][rank::2]
        views = [audio.crops(clips, n_samples, SEED, epoch) for epoch in (2 * lap, 2 * lap + 1)]
        crops, targets = batches[step]
        assert torch.equal(crops, torch.cat(views))
        assert torch.equal(targets, torch.from_numpy(dataset.targets)[np.tile(clips, 2)])


def test_the_error_of_the_thread_arrives_at_its_step(audio, dataset, monkeypatch):
    audio = broken(audio, 5, OSError("disk gone"), monkeypatch)
    batches, before = Feed(audio, dataset.targets, 4, 100, SEED, ahead=2).batches(0, 9), threads()
    for _ in range(5):
        next(batches)
    with pytest.raises(OSError, match="disk gone"):
        next(batches)
    assert threads() == before


def threads():
    return {thread.name for thread in threading.enumerate()}


def test_closing_ends_the_thread(audio, dataset):
    before = threads()
    batches = Feed(audio, dataset.targets, 4, 100, SEED, ahead=2).batches(0, 10**6)
    next(batches)
    assert threads() != before
    batches.close()
    assert threads() == before


def test_the_thread_is_ahead_and_not_too_far(audio, dataset, monkeypatch):
    done, gather = [], audio.gather
    monkeypatch.setattr(audio, "gather", lambda *a: done.append(1) or gather(*a))
    batches = Feed(audio, dataset.targets, 4, 100, SEED, ahead=3).batches(0, 100)
    next(batches)
    deadline = time.monotonic() + 30
    while len(done) < 4 and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.05)
    assert len(done) == 4
    batches.close()


def test_training_is_the_same_with_a_thread(dataset, monkeypatch):
    alone = run(dataset, n_epochs=2)
    monkeypatch.setattr(training, "Feed", partial(Feed, ahead=2))
    assert equal(alone, run(dataset, n_epochs=2))


@pytest.mark.parametrize("error", [OSError("disk gone"), KeyboardInterrupt()])
def test_training_stops_with_one_error(dataset, monkeypatch, error):
    monkeypatch.setattr(training, "Feed", partial(Feed, ahead=2))
    monkeypatch.setattr(
        training, "to_device", lambda audio, _: broken(audio, 3, error, monkeypatch)
    )
    before = threads()
    with pytest.raises(type(error)):
        run(dataset)
    assert threads() == before


# Large packs


def test_more_samples_than_32_bits_count(tmp_path):
    """Three clips 2 s long, the last behind 2^31 samples of a file that is mostly a hole."""
    dataset = tones(tmp_path / "tones").select([0, 1, 2])
    store = tmp_path / "store"
    packed = pack(dataset, store, progress=False)
    clips = [packed.clip(i) for i in range(3)]
    packed._end += 2**31 + 12_345  # as if so much lay between the second and the third
    with open(store / AUDIO, "r+b") as file:
        file.seek(2 * int(packed._starts[2]))
        third = file.read()
        file.seek(2 * (packed._end - len(third) // 2))
        file.write(third)
    if (store / AUDIO).stat().st_blocks * 512 > 2**30:
        pytest.skip("this file system knows no holes")
    packed._starts[2] = packed._end - len(third) // 2
    packed._open()
    assert packed._starts[2] > 2**31
    for i in range(3):
        assert torch.equal(packed.clip(i), clips[i])
    crops = packed.crops([2, 0], 6_000, SEED, 0)
    assert torch.equal(crops, packed.to("cpu").crops([2, 0], 6_000, SEED, 0))
    padded = packed.crops([2, 0], 30_000, SEED, 0)
    assert torch.equal(padded[0, : len(clips[2])], clips[2])
    ((fed, _),) = Feed(packed, dataset.targets, 3, 6_000, SEED, ahead=1).batches(0, 1)
    order = np.random.default_rng([SEED, 0]).permutation(3)
    assert torch.equal(fed[order == 2], crops[:1])


# Other rates


@pytest.mark.parametrize("rate", [8_000, 12_000, 22_050])
def test_one_pack_serves_other_rates(dataset, rate):
    """Against soxr on whole files the error is far below the music (benchmarks/resampling.py)."""
    dataset = replace(dataset, sample_rate=rate)
    exact, ours = pack(dataset, progress=False), pack(dataset, progress=False, rate=RATE)
    assert ours.folder.name == f"tones-{RATE}"
    assert (ours.sample_rate, ours.packed_rate) == (rate, RATE)
    for i in np.flatnonzero(dataset.targets.any(axis=1))[:3]:  # the others are noise alone
        a, b = exact.clip(i), ours.clip(i)
        assert abs(len(a) - len(b)) <= 1
        middle = slice(rate // 4, rate)
        error = (a[middle] - b[middle]).square().mean() / a[middle].square().mean()
        assert 10 * error.log10() < -30
    for n_samples in (rate // 3, 2 * rate):
        crops = ours.crops([0, 3], n_samples, SEED, 0)
        assert crops.shape == (2, n_samples)
        assert crops.dtype == torch.float32


def test_crops_of_other_rates_are_parts_of_the_clip(dataset):
    ours = pack(replace(dataset, sample_rate=8_000), progress=False, rate=RATE)
    crop, clip = ours.crops([1], 4_000, SEED, 0)[0], ours.clip(1)
    inside = slice(100, -100)  # at its ends a crop does not know what is beyond
    distance = (clip.unfold(0, 4_000, 1)[:, inside] - crop[inside]).abs().amax(dim=1)
    start = ours.spans([1], 4_000, SEED, 0)[0][0] - ours._at[1]
    if start % 2 == 0:  # else it lies between two samples of the clip
        assert distance.min() < 1e-3
        assert distance.argmin() == start // 2
    assert ours.to("cpu").crops([1], 4_000, SEED, 0)[0].equal(crop)


def test_training_from_packs_of_another_rate(dataset):
    dataset, model = replace(dataset, sample_rate=8_000), AnyLength(3)
    model.sample_rate = model.front_end.sample_rate = 8_000
    _, history = run(dataset, model, n_epochs=30, crop_seconds=0.5, learning_rate=0.05,
                     pack_rate=RATE)  # fmt: skip
    assert history["valid_roc_auc"].max() > 0.9
    assert [folder.name for folder in (cache_folder() / "packs").iterdir()] == [f"tones-{RATE}"]


# Compilation


@pytest.mark.slow
def test_compiled_training(dataset):
    if shutil.which("g++") is None:
        pytest.skip("torch.compile needs g++")
    torch.manual_seed(0)
    plain = run(dataset, AnyLength(3), n_epochs=2, crop_seconds=0.5)
    torch.manual_seed(0)
    model, history = run(dataset, AnyLength(3), n_epochs=2, crop_seconds=0.5, compile=True)
    pd.testing.assert_frame_equal(
        history.drop(columns="seconds"), plain[1].drop(columns="seconds"), rtol=1e-4
    )
    assert list(model.state_dict()) == list(plain[0].state_dict())
    for part in (model, model.front_end):
        assert "forward" not in vars(part)


def test_compiling_needs_a_compiler(dataset, monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(MirdlError, match=r"needs a C\+\+ compiler.*no-such-compiler"):
        run(dataset, compile=True)
    model, _ = run(dataset, n_epochs=1)
    assert "forward" not in vars(model.front_end)
