"""mirdl.datasets.pack: same samples, same crops for everybody, no loss when killed."""

import pickle
import subprocess
import sys
import textwrap
import time
import warnings
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch
from hypothesis import given
from hypothesis import strategies as st

from mirdl import audio
from mirdl.datasets import draws
from mirdl.datasets.pack import AUDIO, JOURNAL, Pack, pack
from mirdl.errors import AudioError, DataError
from mirdl.features import front_end

RATE = 16_000


def dataset_of(rows, name="small", sample_rate=RATE):
    clips = pd.DataFrame(rows, columns=["clip_id", "path", "start", "end"])
    return SimpleNamespace(name=name, sample_rate=sample_rate, clips=clips)


@pytest.fixture
def small(tmp_path, rng):
    """Six clips of three FLAC files of 4, 5 and 6 s."""
    rows = []
    for k in range(3):
        path = tmp_path / f"{k}.flac"
        audio.write(path, np.clip(0.2 * rng.standard_normal((4 + k) * RATE), -0.99, 0.99), RATE)
        rows += [(f"{k}-0", str(path), 0.0, 2.0), (f"{k}-1", str(path), 1.5, 4.0)]
    return dataset_of(rows)


@pytest.fixture
def store(tmp_path):
    return tmp_path / "store"


def test_clips_equal_float_audio_to_half_a_step(small, store):
    packed = pack(small, store, progress=False)
    assert packed.usable.all()
    assert packed.skipped == {}
    assert len(packed) == 6
    for i, row in small.clips.iterrows():
        float_audio = audio.load(row["path"], RATE, row["start"], row["end"])
        clip = packed.clip(i)
        assert clip.dtype == torch.float32
        assert clip.shape == float_audio.shape
        assert np.abs(clip.numpy() - float_audio).max() <= 2**-16


def test_each_file_is_decoded_once_and_never_again(small, store, monkeypatch):
    decoded = []
    load = audio.load
    monkeypatch.setattr(audio, "load", lambda path, rate: decoded.append(path) or load(path, rate))
    pack(small, store, progress=False)
    assert sorted(decoded) == sorted(small.clips["path"].unique())
    pack(small, store, progress=False)
    assert len(decoded) == 3
    audio.write(small.clips["path"][0], 0.3 * np.ones(5 * RATE), RATE)  # a file that changed
    packed = pack(small, store, progress=False)
    assert len(decoded) == 4
    assert packed.clip(1).numpy() == pytest.approx(0.3, abs=1e-4)
    packed.verify()


def test_default_folder_is_in_the_cache_and_folds_share_it(small):
    first = dataset_of(small.clips.iloc[:4].to_numpy())
    rest = dataset_of(small.clips.iloc[2:].to_numpy())
    a, b = pack(first, progress=False), pack(rest, progress=False)
    assert a.folder == b.folder
    assert "small-16000" in str(a.folder)
    assert torch.equal(a.clip(2), b.clip(0))
    samples = [4, 5, 6]  # seconds: the 5 s file, common to both, lies there once
    assert (a.folder / AUDIO).stat().st_size == 2 * RATE * sum(samples)


def test_same_bytes_whatever_the_number_of_workers(small, tmp_path):
    contents = []
    for workers in (1, 2, 5):
        folder = tmp_path / f"workers{workers}"
        pack(small, folder, workers=workers, progress=False)
        contents.append(((folder / AUDIO).read_bytes(), (folder / JOURNAL).read_bytes()))
    assert contents[0] == contents[1] == contents[2]


def test_resampled(small, store):
    small.sample_rate = 8_000
    packed = pack(small, store, progress=False)
    assert packed.clip(0).shape == (16_000,)
    small.sample_rate = 16_000
    with pytest.raises(DataError, match="wrong rate: 8000 Hz, not 16000 Hz"):
        pack(small, store, progress=False)
    with pytest.raises(DataError, match="wrong rate"):
        Pack(store, small)


def test_loud_samples_are_clipped_not_wrapped(tmp_path, store):
    path = tmp_path / "loud.wav"
    loud = np.tile(np.array([1.5, -1.5, 0.25], dtype=np.float32), RATE)
    soundfile.write(path, loud, RATE, subtype="FLOAT")
    packed = pack(dataset_of([("loud", str(path), 0, None)]), store, progress=False)
    assert packed.clip(0)[:3].tolist() == [32767 / 32768, -1.0, 0.25]


def test_bad_files_and_clips_are_reported_and_skipped(small, tmp_path, store):
    empty, cut, half = (tmp_path / name for name in ("empty.mp3", "cut.flac", "half.wav"))
    empty.write_bytes(b"")
    cut.write_bytes((tmp_path / "0.flac").read_bytes()[:20_000])
    signal_then_silence = np.r_[0.5 * np.ones(2 * RATE), np.zeros(2 * RATE)]
    audio.write(half, signal_then_silence, RATE)
    rows = [
        ("empty", str(empty), 0.0, 10.0),
        ("cut", str(cut), 0.0, 1.0),
        ("gone", str(tmp_path / "gone.ogg"), 0.0, 1.0),
        ("loud", str(half), 0.0, 2.0),
        ("quiet", str(half), 2.0, 4.0),
        ("long", str(half), 0.0, 9.0),
        ("beyond", str(half), 7.0, None),
        ("nearly", str(half), 1.0, 4.05),
        ("reversed", str(half), 1.0, 0.5),
    ]
    dataset = dataset_of([*small.clips.to_numpy(), *rows])
    packed = pack(dataset, store, progress=False)
    assert packed.usable.tolist() == [True] * 6 + [row[0] in {"loud", "nearly"} for row in rows]
    assert "0 bytes" in packed.skipped[str(empty)]
    assert "truncated" in packed.skipped[str(cut)]
    assert "missing" in packed.skipped[rows[2][1]]
    assert packed.skipped[str(half)] == (
        "clip quiet: silent; clip long: too short: 4.00 s, the clip ends at 9.00 s; "
        "clip beyond: too short: 4.00 s, the clip ends at 4.00 s; "
        "clip reversed: no such part: 1.0 s to 0.5 s"
    )
    assert packed.clip(13).shape == (3 * RATE,)
    with pytest.raises(AudioError, match=r"empty\.mp3: empty: 0 bytes"):
        packed.clip(6)
    with pytest.raises(AudioError, match="clip quiet: silent"):
        packed.crops([0, 10], 1000, seed=0, epoch=0)
    # a file that is mended is taken up the next time
    audio.write(tmp_path / "gone.ogg", 0.5 * np.ones(RATE), RATE)
    assert pack(dataset, store, progress=False).usable[8]


def test_all_files_bad(tmp_path, store):
    packed = pack(dataset_of([("a", str(tmp_path / "a.wav"), 0, 1)]), store, progress=False)
    assert not packed.usable.any()
    packed.verify()


def test_crops_lie_in_their_clip_and_depend_on_seed_epoch_and_clip(small, store):
    packed = pack(small, store, progress=False)
    n = 8_000
    crops = packed.crops([0, 3, 3, 5], n, seed=1, epoch=2)
    assert crops.shape == (4, n)
    assert crops.dtype == torch.float32
    assert torch.equal(crops[1], crops[2])
    for crop, i in zip(crops, [0, 3, 3, 5], strict=True):
        windows = packed.clip(i).unfold(0, n, 1)
        assert (windows[:, :50] == crop[:50]).all(dim=1).sum() == 1
    assert torch.equal(crops, packed.crops([0, 3, 3, 5], n, seed=1, epoch=2))
    assert not torch.equal(crops, packed.crops([0, 3, 3, 5], n, seed=1, epoch=3))
    assert not torch.equal(crops, packed.crops([0, 3, 3, 5], n, seed=2, epoch=2))
    # another subset, in another order, in another batch: the same crop of the same clip
    other = pack(dataset_of(small.clips.iloc[[5, 3]].to_numpy()), store, progress=False)
    assert torch.equal(other.crops([1, 0], n, seed=1, epoch=2), crops[[1, 3]])


def test_whole_clip_and_short_clips(small, store):
    packed = pack(small, store, progress=False)
    assert torch.equal(packed.crops([0], 2 * RATE, 0, 0)[0], packed.clip(0))
    last = int(np.argmax(packed._starts + packed._lengths))  # padding may not run off the file
    for i in (0, last):
        padded = packed.crops([i, 1], 7 * RATE, seed=0, epoch=0)
        n = len(packed.clip(i))
        assert torch.equal(padded[0, :n], packed.clip(i))
        assert (padded[0, n:] == 0).all()
    mixed = packed.crops([0, 1], 36_000, seed=0, epoch=0)  # 32,000 and 40,000 samples
    assert (mixed[0, 32_000:] == 0).all()
    assert (mixed[1, 32_000:] != 0).any()


@given(st.integers(0, 2**32), st.integers(0, 10_000))
def test_hash_is_uniform_enough(seed, epoch):
    keys = draws.keys([f"{i:04d}" for i in range(1000)])
    u = draws.uniform(seed, epoch, keys)
    assert ((u >= 0) & (u < 1)).all()
    counts = np.histogram(u, bins=10, range=(0, 1))[0]
    assert ((counts - 100.0) ** 2 / 100).sum() < 60  # chi-square, 9 degrees: p < 1e-8
    assert abs(np.corrcoef(u, draws.uniform(seed, epoch + 1, keys))[0, 1]) < 0.25


def test_hash_is_fixed():
    """Resumed runs of another version must draw the same crops: these numbers may not change."""
    u = draws.uniform(7, 3, draws.keys(["0001-0", "0001-1", "abc"]))
    np.testing.assert_allclose(
        u, [0.3603175263313164, 0.49439795716014856, 0.01146584870662437], rtol=1e-12
    )


def test_splitmix_reference():
    """First outputs of the reference generator from seed 1234567."""
    golden = np.uint64(0x9E3779B97F4A7C15)
    states = np.uint64(1234567) + np.arange(3, dtype=np.uint64) * golden
    expected = [6457827717110365317, 3203168211198807973, 9817491932198370423]
    assert draws.scatter(states).tolist() == expected


def test_pickles_by_path(small, store):
    packed = pack(small, store, progress=False)
    content = pickle.dumps(packed)
    assert len(content) < 3_000  # the audio has 480,000 bytes
    again = pickle.loads(content)
    assert torch.equal(again.crops([0, 4], 1000, 0, 0), packed.crops([0, 4], 1000, 0, 0))


def test_worker_processes_draw_the_same(small, store):
    packed = pack(small, store, progress=False)
    loader = torch.utils.data.DataLoader(
        CropsOf(packed), batch_size=None, num_workers=1, multiprocessing_context="spawn"
    )
    for i, crop in enumerate(loader):
        assert torch.equal(crop, packed.crops([i], 1000, 0, 0))


class CropsOf(torch.utils.data.Dataset):
    def __init__(self, packed):
        self.packed = packed

    def __len__(self):
        return len(self.packed)

    def __getitem__(self, i):
        return self.packed.crops([i], 1000, 0, 0)


def test_no_warnings_and_the_file_stays_as_it_is(small, store):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        packed = pack(small, store, progress=False)
        before = (store / AUDIO).read_bytes()
        packed.clip(0).zero_()
        packed.crops([0, 1], 100, 0, 0).zero_()
    assert (store / AUDIO).read_bytes() == before


def test_to_device_holds_only_its_clips(small, store):
    packed = pack(small, store, progress=False)
    part = pack(dataset_of(small.clips.iloc[[4, 2, 3]].to_numpy()), store, progress=False)
    moved = part.to("cpu")
    # 0 to 4 s of file 1 (two clips that overlap), 0 to 2 s of file 2
    assert moved._audio.numel() == 6 * RATE
    for i in range(3):
        assert torch.equal(moved.clip(i), part.clip(i))
    assert torch.equal(moved.crops([0, 1, 2], 9_000, 5, 6), packed.crops([4, 2, 3], 9_000, 5, 6))
    assert torch.equal(pickle.loads(pickle.dumps(moved)).clip(0), part.clip(0))
    if torch.cuda.is_available():
        crops = part.to("cuda").crops([0, 1], 40_000, 5, 6)
        assert crops.is_cuda
        assert torch.equal(crops.cpu(), part.crops([0, 1], 40_000, 5, 6))


def test_verify_notices_damage(small, store):
    packed = pack(small, store, progress=False)
    packed.verify()
    content = bytearray((store / AUDIO).read_bytes())
    content[2 * (4 * RATE + 77)] ^= 1  # one bit in the second file
    (store / AUDIO).write_bytes(content)
    with pytest.raises(DataError, match=r"audio\.i16: damaged where .*1\.flac is"):
        Pack(store, small).verify()
    (store / AUDIO).write_bytes(content[:-2])
    with pytest.raises(DataError, match="truncated"):
        packed.verify()
    with pytest.raises(DataError, match="truncated"):
        pickle.loads(pickle.dumps(packed))
    assert pack(small, store, progress=False).usable.all()  # packs the last file again


def test_open_names_what_is_not_there(small, store, tmp_path):
    pack(dataset_of(small.clips.iloc[:2].to_numpy()), store, progress=False)
    with pytest.raises(DataError, match=r"does not hold .*1\.flac"):
        Pack(store, small)


@pytest.mark.parametrize("debris", ["journal", "audio", "both", "half a line"])
def test_debris_of_a_kill_is_cut_off(small, store, debris):
    whole = pack(small, store, progress=False)
    expected = (store / AUDIO).read_bytes(), (store / JOURNAL).read_bytes()
    if debris in {"journal", "both"}:
        with open(store / JOURNAL, "ab") as file:
            file.write(b'{"path": "/somewhere/9.flac", "fil')
    if debris in {"audio", "both"}:
        with open(store / AUDIO, "ab") as file:
            file.write(b"\1\2\3")
    if debris == "half a line":
        (store / JOURNAL).write_bytes(expected[1][:-10])
    again = pack(small, store, progress=False)
    assert ((store / AUDIO).read_bytes(), (store / JOURNAL).read_bytes()) == expected
    assert torch.equal(again.clip(5), whole.clip(5))
    again.verify()


def test_kill_and_go_on(tmp_path, store, rng):
    rows = []
    for k in range(12):
        path = tmp_path / f"{k:02d}.flac"
        audio.write(path, 0.1 * rng.standard_normal(RATE), RATE)
        rows.append((f"{k:02d}", str(path), 0.0, 1.0))
    dataset = dataset_of(rows)
    dataset.clips.to_json(tmp_path / "clips.json")
    code = f"""
        import time, types, pandas as pd
        from mirdl import audio
        from mirdl.datasets.pack import pack
        load = audio.load
        audio.load = lambda path, rate: time.sleep(0.2) or load(path, rate)
        clips = pd.read_json({str(tmp_path / "clips.json")!r}, dtype={{"clip_id": str}})
        pack(types.SimpleNamespace(name="x", sample_rate={RATE}, clips=clips), {str(store)!r}, 1)
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)], stderr=subprocess.DEVNULL
    )
    journal = store / JOURNAL
    deadline = time.monotonic() + 60
    while not (journal.exists() and journal.read_bytes().count(b"\n") >= 4):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.kill()
    process.wait()
    done = journal.read_bytes().count(b"\n") - 1
    assert 3 <= done < 12
    before = (store / AUDIO).read_bytes()[: 2 * RATE * done]
    packed = pack(dataset, store, progress=False)
    assert (store / AUDIO).read_bytes()[: len(before)] == before
    unbroken = pack(dataset, tmp_path / "unbroken", progress=False)
    assert (store / AUDIO).read_bytes() == (unbroken.folder / AUDIO).read_bytes()
    assert packed.usable.all()
    packed.verify()


def test_progress_bar(small, store, capsys):
    pack(small, store)
    assert "pack small: 100%" in capsys.readouterr().err
    pack(small, store)  # nothing to do, nothing to show
    assert capsys.readouterr().err == ""


@pytest.mark.real_data
def test_real_mp3_and_ogg(shared, store):
    paths = sorted((shared / "emotify" / "original").glob("*.mp3"))
    paths += sorted((shared / "emotify" / "audio").rglob("*.ogg"))[:4]
    paths += list((shared / "magnatagatune").glob("joram*.mp3"))
    dataset = dataset_of([(path.stem, str(path), 0.0, None) for path in paths])
    packed = pack(dataset, store, progress=False)
    assert packed.usable.all(), packed.skipped
    for i, path in enumerate(paths):
        float_audio = np.clip(audio.load(path), -1, 32767 / 32768)
        assert np.abs(packed.clip(i).numpy() - float_audio).max() <= 2**-16


def test_what_quantisation_does_to_features(tmp_path, store, rng):
    """Log(1 + C x) hides it; dB shows it in bands that hold nothing but the last bit."""
    t = np.arange(2 * RATE) / RATE
    wave = 0.3 * sum(np.sin(2 * np.pi * 220 * k * t) / k**2 for k in range(1, 12)) * np.exp(-2 * t)
    soundfile.write(tmp_path / "float.wav", wave.astype(np.float32), RATE, subtype="FLOAT")
    dataset = dataset_of([("a", str(tmp_path / "float.wav"), 0, None)])
    packed = pack(dataset, store, progress=False).crops([0], len(wave), 0, 0)
    exact = torch.tensor(wave, dtype=torch.float32)[None]
    assert 0 < (packed - exact).abs().max() <= 2**-16
    log1p, db = front_end("mel96_log"), front_end("mel96")
    assert (log1p(packed) - log1p(exact)).abs().max() < 0.005  # of values up to 4
    difference = (db(packed) - db(exact)).abs()
    assert difference[db(exact) > -30].max() < 0.25
    assert difference[db(exact) < -90].max() > 5
