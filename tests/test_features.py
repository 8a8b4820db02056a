"""mirdl.features: torchaudio against librosa, formulas, precision, normalisation."""

import librosa
import numpy as np
import pytest
import torch
import torchaudio
from hypothesis import given, settings
from hypothesis import strategies as st

from mirdl import features
from mirdl.audio import resample

RATE = 16_000


@pytest.fixture
def audio(rng):
    """Two seconds of decaying harmonic tones with noise, a batch of two."""
    t = np.arange(2 * RATE) / RATE
    notes = [sum(np.sin(2 * np.pi * f * k * t) / k for k in range(1, 6)) for f in (220, 330)]
    return torch.tensor(
        np.stack([0.2 * note * np.exp(-t) + 0.01 * rng.standard_normal(len(t)) for note in notes]),
        dtype=torch.float32,
    )


def librosa_mel(waveform, front, **options):
    return librosa.feature.melspectrogram(
        y=waveform.numpy(),
        sr=front.sample_rate,
        n_fft=front.n_fft,
        hop_length=front.hop_length,
        n_mels=front.n_mels,
        pad_mode="reflect",
        **options,
    )


@pytest.mark.parametrize(
    ("scale", "norm"), [("htk", None), ("slaney", "slaney"), ("htk", "slaney")]
)
@pytest.mark.parametrize("n_mels", [40, 96])
def test_mel_agrees_with_librosa(audio, scale, norm, n_mels):
    front = features.FrontEnd(n_mels=n_mels, mel_scale=scale, norm=norm, compression=None)
    theirs = librosa_mel(audio[0], front, htk=scale == "htk", norm=norm)
    np.testing.assert_allclose(front(audio)[0].numpy(), theirs, rtol=2e-3, atol=1e-5)
    front = features.FrontEnd(n_mels=n_mels, mel_scale=scale, norm=norm)
    theirs = librosa.power_to_db(theirs, top_db=None)
    np.testing.assert_allclose(front(audio)[0].numpy(), theirs, atol=0.01)  # dB


def test_htk_and_slaney_differ(audio):
    htk = features.FrontEnd(mel_scale="htk")(audio)
    slaney = features.FrontEnd(mel_scale="slaney")(audio)
    assert (htk - slaney).abs().max() > 10  # dB


@settings(deadline=None)
@given(st.floats(0, 22_050))
def test_mel_formulas(f):
    htk = 2595 * np.log10(1 + f / 700)  # [tutorial Eq. 3]
    slaney = 3 * f / 200 if f < 1000 else 15 + 27 * np.log(f / 1000) / np.log(6.4)
    assert librosa.hz_to_mel(f, htk=True) == pytest.approx(htk)
    assert librosa.hz_to_mel(f) == pytest.approx(slaney)
    assert librosa.mel_to_hz(htk, htk=True) == pytest.approx(f, abs=1e-6)
    assert librosa.mel_to_hz(slaney) == pytest.approx(f, abs=1e-6)


def test_bands_peak_where_the_htk_formula_says():
    bank = features.FrontEnd(n_fft=4096, n_mels=40, compression=None).mel_bank
    peaks = bank.argmax(dim=0).numpy() * RATE / 4096
    steps = np.linspace(0, 2595 * np.log10(1 + 8000 / 700), 42)[1:-1]
    np.testing.assert_allclose(peaks, 700 * (10 ** (steps / 2595) - 1), atol=RATE / 4096)


@pytest.mark.parametrize("name", features.PRESETS)
@pytest.mark.parametrize("n_samples", [16_000, 44_100, 48_000])
def test_presets_give_the_shape_they_say(name, n_samples, recwarn):
    front = features.front_end(name)
    values = front(torch.randn(2, n_samples))
    assert values.shape == (2, front.n_mels, front.n_frames(n_samples))
    assert values.dtype == torch.float32
    assert torch.isfinite(values).all()
    assert not list(front.parameters()) or name == "mel128_44k_learned"
    assert not recwarn.list


@settings(deadline=None, max_examples=30)
@given(
    st.integers(2048, 9000), st.sampled_from([256, 743, 1024]), st.integers(100, 600), st.booleans()
)
def test_n_frames(n_samples, n_fft, hop_length, center):
    front = features.FrontEnd(n_fft=n_fft, hop_length=hop_length, n_mels=8, center=center)
    assert front(torch.zeros(1, n_samples)).shape[2] == front.n_frames(n_samples)


def test_known_preset_settings():
    assert features.front_end("mel96").n_frames(464_000) == 1813  # FCN of Won et al.
    assert features.front_end("mel128").n_frames(59_049) == 231  # Short-chunk CNN
    assert features.front_end("mel96_12k").n_frames(350_000) == 1368
    odd = features.front_end("mel40")  # window 743
    for n_samples in (79 * 372, 79 * 372 + 1):
        assert odd(torch.zeros(1, n_samples)).shape[2] == odd.n_frames(n_samples)
    front = features.front_end("mel40_44k")
    assert front.n_frames(44_100 * 6) >= 250
    stand_in = features.front_end("mel40")
    ratio = (stand_in.hop_length / stand_in.sample_rate) / (front.hop_length / front.sample_rate)
    assert ratio == pytest.approx(1, abs=2e-3)
    assert (front.mel_bank.sum(0) > 0).all()
    assert (stand_in.mel_bank.sum(0) > 0).all()


def test_44k_front_end_leaves_bands_empty_on_16k_audio():
    front = features.front_end("mel40_44k", normalise="none")
    frequencies = torch.arange(1025) * 44_100 / 2048
    assert (front.mel_bank[frequencies < 8000].sum(0) == 0).sum() == 10  # wholly above 8 kHz
    noise = 0.1 * np.random.default_rng(0).standard_normal(RATE).astype(np.float32)
    peaks = front(torch.tensor(resample(noise, RATE, 44_100))[None]).amax(dim=(0, 2))
    assert (peaks < 0.05 * peaks[28]).sum() == 11  # the 30th straddles 8 kHz and is near empty
    stand_in = features.front_end("mel40", normalise="none")(torch.tensor(noise)[None])
    assert stand_in.amax(dim=(0, 2)).min() > 0.1


def test_essentia_window_keeps_amplitudes():
    """Area 2 and unit sums: a full-scale sine gives at most 1, so log10(1 + 10000 x) at most 4."""
    front = features.front_end("mel40", normalise="none")
    np.testing.assert_allclose(front.window.sum().item(), 2, rtol=1e-6)
    np.testing.assert_allclose(front.mel_bank.sum(0).numpy(), 1, rtol=1e-5)
    sine = torch.sin(2 * torch.pi * 1000 * torch.arange(RATE) / RATE)[None]
    assert 3.0 < front(sine).max() < 4.0


@pytest.mark.parametrize(
    ("compression", "formula"),
    [
        ("db", lambda x: 10 * np.log10(np.maximum(x, 1e-10))),
        ("log1p", lambda x: np.log10(1 + 10_000 * x)),
        ("ln1p", lambda x: np.log(1 + 10_000 * x)),
        ("log_eps", lambda x: np.log10(x + 1e-7)),
    ],
)
def test_compressions(audio, compression, formula):
    plain = features.FrontEnd(compression=None)(audio).numpy()
    values = features.FrontEnd(compression=compression)(audio).numpy()
    np.testing.assert_allclose(values, formula(plain.astype(np.float64)), rtol=1e-4, atol=1e-4)


def test_stays_float32_under_autocast(audio):
    front = features.front_end("mel96")
    outside = front(audio)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = front(audio)
        low = front(audio.bfloat16())
    assert inside.dtype == low.dtype == torch.float32
    assert torch.equal(inside, outside)


def test_gradients_reach_the_waveform(audio):
    audio.requires_grad_()
    features.front_end("mel96_log")(audio).sum().backward()
    assert audio.grad.abs().sum() > 0


def test_state_dict_holds_normalisation_only(audio):
    assert not features.front_end("mel96").state_dict()
    for normalise, n_values in [("global", 1), ("per_bin", 96)]:
        front = features.front_end("mel96_log", normalise=normalise)
        state = front.state_dict()
        assert {name: value.shape for name, value in state.items()} == {
            "mean": (n_values, 1),
            "std": (n_values, 1),
        }
        front.fit_normalisation([audio])
        again = features.front_end("mel96_log", normalise=normalise)
        again.load_state_dict(front.state_dict())
        assert torch.equal(again(audio), front(audio))


@pytest.mark.parametrize(("normalise", "dims"), [("global", (0, 1, 2)), ("per_bin", (0, 2))])
def test_normalised_values(audio, normalise, dims):
    front = features.front_end("mel96", normalise=normalise)
    assert front.fit_normalisation([audio[:1], audio[1:]]) is front
    values = front(audio)
    np.testing.assert_allclose(values.mean(dims).numpy(), 0, atol=1e-4)
    np.testing.assert_allclose(values.std(dims, correction=0).numpy(), 1, atol=1e-4)
    plain = features.front_end("mel96").fit_normalisation([audio])
    assert torch.equal(plain(audio), features.front_end("mel96")(audio))


def test_empty_band_stays_at_zero(audio):
    front = features.front_end("mel128_log").fit_normalisation([audio])
    empty = front.mel_bank.sum(0) == 0
    assert empty.sum() == 1
    assert torch.isfinite(front(audio)).all()
    assert (front(audio)[:, empty] == 0).all()


def test_front_end_refuses():
    with pytest.raises(ValueError, match="no front end 'mel97'"):
        features.front_end("mel97")
    built = features.front_end("mel96", n_mels=64)
    assert built.n_mels == 64
    assert features.front_end(built) is built
    with pytest.raises(ValueError, match="built already"):
        features.front_end(built, n_mels=32)
    for bad in ({"compression": "sqrt"}, {"normalise": "yes"}, {"norm": "l2"}, {"window": "box"}):
        with pytest.raises(ValueError, match=next(iter(bad.values()))):
            features.FrontEnd(**bad)
    with pytest.raises(ValueError, match="no audio"):
        features.front_end("mel40").fit_normalisation([])


def test_mfcc_agrees_with_torchaudio(audio):
    ours = torchaudio.transforms.MFCC(
        RATE,
        n_mfcc=20,
        melkwargs={
            "n_fft": 2048,
            "hop_length": 512,
            "n_mels": 128,
            "mel_scale": "slaney",
            "norm": "slaney",
            "pad_mode": "constant",
        },
    )(audio[0]).numpy()
    theirs = librosa.feature.mfcc(y=audio[0].numpy(), sr=RATE, n_mfcc=20)
    np.testing.assert_allclose(ours, theirs, atol=0.05)  # of values up to some hundred


def test_mfcc120(audio):
    values = features.mfcc120(audio[0].numpy())
    assert values.shape == (120,)
    assert values.dtype == np.float32
    mfcc = librosa.feature.mfcc(y=audio[0].numpy(), sr=RATE, n_mfcc=20)
    np.testing.assert_allclose(values[:20], mfcc.mean(axis=1), rtol=1e-5)
    np.testing.assert_allclose(values[20:40], mfcc.std(axis=1), rtol=1e-4)
    step = mfcc[:, 1:] - mfcc[:, :-1]
    np.testing.assert_allclose(values[60:80], step.std(axis=1), rtol=1e-4)
    louder = features.mfcc120(2 * audio[0].numpy())
    np.testing.assert_allclose(louder[1:], values[1:], atol=0.1)  # gain moves coefficient 0 only
    assert louder[0] - values[0] > 10


@pytest.mark.parametrize(("note", "frequency"), [(9, 440.0), (0, 261.63), (4, 659.26)])
def test_chroma_finds_the_pitch_class(note, frequency):
    t = np.arange(2 * RATE) / RATE
    tone = np.sin(2 * np.pi * frequency * t).astype(np.float32)
    values = features.chroma(tone)
    assert values.shape == (12, 126)
    assert values.dtype == np.float32
    assert (values.argmax(axis=0) == note).all()
    np.testing.assert_allclose(values.max(axis=0), 1)


def test_chroma_agrees_with_librosa(audio):
    theirs = librosa.feature.chroma_cqt(
        y=audio[0].numpy(), sr=RATE, hop_length=256, tuning=0, bins_per_octave=12, threshold=0
    )
    np.testing.assert_allclose(features.chroma(audio[0].numpy()), theirs, atol=0.02)


def test_cqt_bins_are_a_semitone_apart():
    t = np.arange(2 * RATE) / RATE
    low, high = (
        features.cqt(np.sin(2 * np.pi * f * t).astype(np.float32)).mean(axis=1).argmax()
        for f in (220.0, 220.0 * 2 ** (1 / 12))
    )
    assert (low, high) == (33, 34)  # A3 is 33 semitones above C1
