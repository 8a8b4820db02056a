"""Shards hold what the pack holds, bit for bit, and give its crops to any number of processes."""

import json
import multiprocessing
import os
import signal

import numpy as np
import pytest
import torch
from tones import tones
from torch.utils.data import DataLoader

from mirdl import cli
from mirdl.datasets import shards
from mirdl.datasets.pack import pack
from mirdl.errors import DataError, MirdlError

webdataset = pytest.importorskip("webdataset")


@pytest.fixture
def dataset(tmp_path):
    return tones(tmp_path / "tones")  # 24 clips of 24,000 samples


@pytest.fixture
def folder(dataset, tmp_path):
    """Five shards: four of five clips and one of four."""
    assert shards.write(dataset, tmp_path / "shards", 5, progress=False) == {}
    return tmp_path / "shards"


def reader(folder, n_samples=8000, batch_size=4, **more):
    return shards.ShardReader(folder, n_samples, batch_size, **more)


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_clips_are_those_of_the_pack(dataset, folder):
    packed, read = pack(dataset), reader(folder)
    assert read.about["tags"] == dataset.tags
    clips = [clip for number in range(5) for clip in read.samples(number)]
    assert sorted(int(clip_id) for clip_id, _, _ in clips) == list(range(24))
    for clip_id, samples, targets in clips:
        i = int(clip_id)
        assert torch.equal(torch.from_numpy(samples / np.float32(32768)), packed.clip(i))
        assert np.array_equal(np.float32(targets), dataset.targets[i])
    # Any reader of webdataset reads them.
    urls = [str(folder / shard["name"]) for shard in read.shards]
    plain = list(webdataset.WebDataset(urls, shardshuffle=False))
    assert [json.loads(sample["json"])["clip_id"] for sample in plain] == [c[0] for c in clips]


@pytest.mark.parametrize("n_samples", [8000, 30_000])  # the second is longer than the clips
def test_crops_are_those_of_the_pack(dataset, folder, n_samples):
    read = reader(folder, n_samples, seed=3)
    read.epoch = 2
    for crops, targets, ids in read:
        clips = np.array(ids, dtype=int)
        assert torch.equal(crops, pack(dataset).crops(clips, n_samples, 3, 2))
        assert torch.equal(targets, torch.from_numpy(dataset.targets[clips]))


def test_classes_stay_numbers(tmp_path):
    dataset = tones(tmp_path / "tones", "multiclass")
    shards.write(dataset, tmp_path / "shards", progress=False)
    _, targets, ids = next(iter(reader(tmp_path / "shards")))
    assert targets.dtype == torch.int64
    assert targets.tolist() == [dataset.targets[int(i)] for i in ids]


def test_two_ranks_and_their_workers_hear_everything_once(folder):
    def heard(epoch, n_workers):
        parts = []
        for rank in range(2):
            read = reader(folder, batch_size=2, rank=rank, n_ranks=2)
            read.epoch = epoch
            loader = DataLoader(read, batch_size=None, num_workers=n_workers)
            parts.append([ids for _, _, ids in loader])
            assert len(parts[-1]) >= read.n_steps(max(n_workers, 1)) > 0
        assert min(map(len, parts)) == read.n_steps(max(n_workers, 1))
        return parts

    for n_workers in (0, 2):
        first = heard(0, n_workers)
        assert sorted(int(i) for part in first for ids in part for i in ids) == list(range(24))
        assert heard(0, n_workers) == first
        assert heard(1, n_workers) != first


def test_damage_is_named(folder, tmp_path):
    path = folder / "000002.tar"
    good = path.read_bytes()
    flipped = bytearray(good)
    flipped[len(good) // 2] ^= 1
    for bad in (bytes(flipped), good[:-100], b""):
        path.write_bytes(bad)
        with pytest.raises(DataError, match=r"000002\.tar: damaged: .* SHA-256"):
            list(reader(folder))
    path.unlink()
    with pytest.raises(DataError, match=r"000002\.tar: cannot be read: .*No such file"):
        list(reader(folder))
    with pytest.raises(DataError, match=r"nowhere/shards\.jsonl: cannot be read"):
        reader(tmp_path / "nowhere")
    with pytest.raises(DataError, match="5 shards for 6 processes"):
        reader(folder, n_ranks=6)
    lines = (folder / "shards.jsonl").read_text()
    (folder / "shards.jsonl").write_text(lines.replace("000003.tar", "a; rm -rf b"))
    with pytest.raises(DataError, match="names a shard 'a; rm -rf b'"):
        reader(folder)
    (folder / "shards.jsonl").write_text(lines[:-30])
    with pytest.raises(DataError, match=r"shards\.jsonl: damaged"):
        reader(folder)


def test_kill_9_and_resume_writes_the_same(dataset, folder, tmp_path, monkeypatch):
    whole, other = content(folder), tmp_path / "other"
    pack(dataset)

    def die_at_the_third():
        make, calls = shards._tar, []

        def tar(*arguments):
            calls.append(None)
            if len(calls) == 3:
                os.kill(os.getpid(), signal.SIGKILL)
            return make(*arguments)

        monkeypatch.setattr(shards, "_tar", tar)
        shards.write(dataset, other, 5, progress=False)

    torch.set_num_threads(1)  # a forked process has no others
    process = multiprocessing.get_context("fork").Process(target=die_at_the_third)
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert set(content(other)) == {"shards.jsonl", "000000.tar", "000001.tar"}
    with pytest.raises(DataError, match="lists 10 of 24 clips"):
        reader(other)
    with open(other / "shards.jsonl", "a") as file:
        file.write('{"name": "000002.tar", "cli')  # cut off in the middle of a line
    (other / "000001.tar").write_bytes(b"")
    shards.write(dataset, other, 5, progress=False)
    assert {name: data for name, data in content(other).items() if name != "shards.jsonl"} == {
        name: data for name, data in whole.items() if name != "shards.jsonl"
    }
    assert next(iter(reader(other)))[2] == next(iter(reader(folder)))[2]
    with pytest.raises(DataError, match=r"other shards \(clips_per_shard\)"):
        shards.write(dataset, other, 6, progress=False)


def test_addresses(folder, monkeypatch):
    piped = shards.ShardReader(f"pipe:cat {folder}/{{}}", 8000, 4)
    for ours, theirs in zip(piped, reader(folder), strict=True):
        assert torch.equal(ours[0], theirs[0])
    with pytest.raises(DataError, match="cannot be read"):
        shards.ShardReader(f"pipe:cat {folder}/no/{{}} 2> /dev/null", 8000, 4)
    monkeypatch.setitem(__import__("sys").modules, "webdataset.tariterators", None)
    with pytest.raises(MirdlError, match="pip install webdataset"):
        next(iter(reader(folder)))


def test_command(tmp_path, capsys):
    tones(tmp_path)
    lines = [f"{i}.wav,artist {i // 2},train,{'ab'[i % 2]}" for i in range(24)]
    (tmp_path / "clips.csv").write_text("\n".join(["path,artist,split,kind", *lines]))
    command = f"data shards folder --root {tmp_path} --target kind --clips-per-shard 10 --quiet"
    assert cli.main([*command.split(), "--folder", str(tmp_path / "to")]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'to'}: 24 clips in 3 shards\n"
