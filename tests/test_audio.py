"""mirdl.audio: what comes out of good files, and one clear error for each bad one."""

import subprocess
import sys

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mirdl import audio
from mirdl.errors import AudioError

RATE = 16_000


def tone(seconds=2.0, rate=RATE, frequency=440.0, level=0.5):
    return (level * np.sin(2 * np.pi * frequency * np.arange(int(seconds * rate)) / rate)).astype(
        np.float32
    )


@pytest.mark.parametrize(
    ("suffix", "tolerance"), [("wav", 1e-4), ("flac", 1e-4), ("ogg", 0.06), ("mp3", 0.06)]
)
def test_write_then_load(tmp_path, suffix, tolerance):
    path = tmp_path / f"tone.{suffix}"
    audio.write(path, tone(), RATE)
    back = audio.load(path)
    assert back.dtype == np.float32
    assert back.shape == (2 * RATE,)
    assert np.abs(back - tone())[1000:-1000].max() < tolerance
    header = audio.info(path)
    assert header == audio.AudioInfo(RATE, 1, 2 * RATE, 2.0, suffix.upper())


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3"])
def test_part_equals_slice_of_whole(tmp_path, suffix, rng):
    path = tmp_path / f"noise.{suffix}"
    audio.write(path, 0.1 * rng.standard_normal(3 * RATE), RATE)
    whole = audio.load(path)
    part = audio.load(path, start=0.75, end=2.0)
    np.testing.assert_allclose(part, whole[12_000:32_000], atol=1e-6)
    np.testing.assert_allclose(audio.load(path, start=2.5), whole[40_000:], atol=1e-6)


def test_part_seeks_instead_of_decoding_all(tmp_path, monkeypatch):
    path = tmp_path / "long.wav"
    audio.write(path, tone(20), RATE)
    lengths = []
    read = soundfile.SoundFile.read

    def counting(self, *arguments, **options):
        block = read(self, *arguments, **options)
        lengths.append(len(block))
        return block

    monkeypatch.setattr(soundfile.SoundFile, "read", counting)
    audio.load(path, start=15, end=16)
    assert lengths == [RATE]


def test_stereo_is_averaged(tmp_path):
    path = tmp_path / "stereo.wav"
    audio.write(path, np.stack([tone(), np.zeros_like(tone())], axis=1), RATE)
    np.testing.assert_allclose(audio.load(path), tone() / 2, atol=1e-4)
    assert audio.info(path).n_channels == 2


def test_resampling_keeps_the_tone(tmp_path):
    path = tmp_path / "tone.wav"
    audio.write(path, tone(rate=44_100), 44_100)
    low = audio.load(path, sample_rate=RATE)
    assert low.shape == (2 * RATE,)
    np.testing.assert_allclose(low[2000:-2000], tone()[2000:-2000], atol=1e-3)
    assert len(audio.load(path, sample_rate=None)) == 88_200
    same = tone()
    assert audio.resample(same, RATE, RATE) is same


@given(
    arrays.arrays(
        np.float32, st.integers(1, 50), elements=st.floats(-4, 4, width=32, allow_subnormal=False)
    )
)
def test_int16_round_trip_is_bounded_and_never_wraps(x):
    back = audio.from_int16(audio.to_int16(x))
    inside = (x >= -1) & (x <= 32767 / 32768)
    assert np.all(np.abs(back - x)[inside] <= 2**-16)
    assert np.all(back[x > 32767 / 32768] == np.float32(32767 / 32768))
    assert np.all(back[x < -1] == -1)


def write_bytes(path, content):
    path.write_bytes(content)
    return path


def cut(path, keep):
    content = path.read_bytes()
    return write_bytes(path.with_name("cut" + path.suffix), content[: int(len(content) * keep)])


def raises(path, reason, **options):
    with pytest.raises(AudioError, match=reason) as caught:
        audio.load(path, **options)
    assert caught.value.path == str(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_missing(tmp_path):
    raises(tmp_path / "nowhere.mp3", "missing")


def test_folder(tmp_path):
    raises(tmp_path, "a folder")


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3"])
def test_zero_bytes(tmp_path, suffix):
    raises(write_bytes(tmp_path / f"empty.{suffix}", b""), "0 bytes")


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3"])
def test_unreadable_header(tmp_path, suffix):
    raises(
        write_bytes(tmp_path / f"text.{suffix}", b"not audio at all " * 300), "unreadable header"
    )


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3"])
@pytest.mark.parametrize("keep", [0.3, 0.5, 0.95, 0.999])
def test_truncated(tmp_path, suffix, keep, rng):
    path = tmp_path / f"whole.{suffix}"
    audio.write(path, 0.1 * rng.standard_normal(4 * RATE), RATE)
    raises(cut(path, keep), "truncated")


def test_no_samples(tmp_path):
    path = tmp_path / "none.wav"
    audio.write(path, np.zeros(0), RATE)
    raises(path, "empty: no samples")


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3"])
def test_silent(tmp_path, suffix):
    path = tmp_path / f"silent.{suffix}"
    audio.write(path, np.zeros(RATE), RATE)
    raises(path, "silent")


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_not_finite(tmp_path, bad):
    path = tmp_path / "nan.wav"
    samples = tone()
    samples[100] = bad
    soundfile.write(path, samples, RATE, subtype="FLOAT")
    raises(path, "NaN or infinite")


def test_too_short(tmp_path):
    path = tmp_path / "short.wav"
    audio.write(path, tone(), RATE)
    raises(path, "too short: 2.00 s, the part ends at 3.00 s", end=3.0)
    raises(path, "too short: 2.00 s, the part begins at 5.00 s", start=5.0)
    raises(path, "no such part", start=1.0, end=1.0)
    assert len(audio.load(path, end=2.05)) == 2 * RATE  # tables round


def test_check_min_seconds():
    with pytest.raises(AudioError, match=r"too short: 0\.50 s, at least 1\.00 s"):
        audio.check(tone(0.5), "half.wav", min_seconds=1.0)
    with pytest.raises(AudioError, match="no samples"):
        audio.check(tone(0), "none.wav")
    audio.check(tone(1), "one.wav", min_seconds=1.0)


def test_wrong_rate(tmp_path):
    path = tmp_path / "rate.wav"
    audio.write(path, tone(), RATE)
    content = bytearray(path.read_bytes())
    content[24:28] = (7).to_bytes(4, "little")
    raises(write_bytes(path, bytes(content)), "wrong rate: the header says 7 Hz")


def test_write_refuses(tmp_path):
    with pytest.raises(AudioError, match=r"cannot write \.aiff"):
        audio.write(tmp_path / "a.aiff", tone(), RATE)
    with pytest.raises(AudioError, match="cannot write at 17 Hz"):
        audio.write(tmp_path / "a.mp3", tone(), 17)


def test_needs_neither_torch_nor_librosa():
    code = "import sys, mirdl.audio; print({'torch', 'torchaudio', 'librosa'} & set(sys.modules))"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "set()"


@pytest.mark.real_data
def test_original_mp3(shared):
    paths = sorted((shared / "emotify" / "original").glob("*.mp3"))
    assert len(paths) == 4
    for path in paths:
        header = audio.info(path)
        assert (header.sample_rate, header.n_channels, header.format) == (44_100, 2, "MP3")
        whole = audio.load(path)
        assert abs(len(whole) / RATE - header.seconds) < 0.3
        part = audio.load(path, start=20.0, end=30.0)
        assert part.shape == (10 * RATE,)
        # only the resampler's first and last milliseconds differ
        np.testing.assert_allclose(part[800:-800], whole[320_800:479_200], atol=2e-3)


@pytest.mark.real_data
def test_magnatagatune_clip(shared, tmp_path):
    [path] = (shared / "magnatagatune").glob("joram*.mp3")
    waveform = audio.load(path)
    assert waveform.shape == (465_984,)
    assert 0.1 < np.abs(waveform).max() < 1.1
    half = cut(write_bytes(tmp_path / "clip.mp3", path.read_bytes()), 0.5)
    raises(half, "too short", end=29.0)
