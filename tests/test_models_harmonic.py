"""Learned front ends: harmonic filters, sinc filters, learned compression."""

import numpy as np
import pytest
import torch

from mirdl import features, models
from mirdl.errors import MirdlError
from mirdl.models.harmonic import HarmonicFilters, SincFilters

RATE = 16_000


def tone(frequency, seconds=0.5):
    return torch.sin(2 * torch.pi * frequency * torch.arange(int(seconds * RATE)) / RATE)


# Harmonic filters


def test_fundamentals_climb_from_c1_by_half_semitones():
    centres = HarmonicFilters().centres[..., 0]
    assert centres.shape == (6, 128)
    torch.testing.assert_close(centres[0, 0].item(), 32.703, rtol=1e-4, atol=0)
    torch.testing.assert_close(
        centres[0, 1:] / centres[0, :-1], torch.tensor(2 ** (1 / 24)).expand(127)
    )
    torch.testing.assert_close(centres, centres[:1] * torch.arange(1, 7)[:, None])
    assert centres.max() < RATE / 2


def test_triangles_follow_the_formula_of_the_slides():
    front_end = HarmonicFilters()
    front_end.q.data.fill_(0.5)
    bank = front_end.filter_bank().detach()
    for harmonic, band in ((1, 20), (3, 90), (6, 127)):
        centre = front_end.centres[harmonic - 1, band].item()
        width = (harmonic * 0.1079 * centre / harmonic + 24.7) / 0.5
        bins = np.linspace(0, 8000, 257)
        expected = np.maximum(0, 1 - 2 * np.abs(bins - centre) / width)
        np.testing.assert_allclose(bank[harmonic - 1, band], expected, atol=1e-5)


def test_narrow_triangles_in_the_bass_hold_no_bin():
    front_end = HarmonicFilters()

    def n_empty(q):
        front_end.q.data.fill_(q)
        return (front_end.filter_bank().sum(dim=2) == 0).sum(dim=1).tolist()

    assert n_empty(0.5) == [0, 0, 0, 0, 0, 0]
    assert n_empty(1) == [1, 0, 0, 0, 0, 0]
    assert sum(n_empty(2)) > 20


def test_a_tone_is_the_harmonic_of_lower_fundamentals():
    front_end = HarmonicFilters()
    loudest = front_end(tone(1320)[None])[0].mean(dim=2).argmax(dim=1)  # (n_harmonics,)
    fundamentals = front_end.centres[0, :, 0]
    for harmonic in (2, 3, 4, 5, 6):
        ratio = fundamentals[loudest[harmonic - 1]] * harmonic / 1320
        assert abs(12 * torch.log2(ratio)) < 1


@pytest.mark.parametrize(("learn", "n_trained"), [("q", 1), ("all", 3), (None, 0)])
def test_what_is_trained(learn, n_trained):
    front_end = HarmonicFilters(learn=learn)
    assert models.n_parameters(front_end) == n_trained
    audio = torch.randn(1, 4000, requires_grad=True)
    front_end(audio).sum().backward()
    assert all(p.grad.abs() > 0 for p in front_end.parameters())
    assert audio.grad.abs().sum() > 0
    with pytest.raises(MirdlError, match="learn"):
        HarmonicFilters(learn="bandwidth")


@pytest.mark.parametrize("make", [HarmonicFilters, SincFilters])
def test_learned_front_ends_stay_out_of_autocast(make):
    front_end = make().eval()
    audio = 0.1 * torch.randn(2, 8000)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = front_end(audio)
    assert inside.dtype == torch.float32
    torch.testing.assert_close(inside, front_end(audio), rtol=0, atol=0)
    assert inside.shape[-2:] == (front_end.n_mels, front_end.n_frames(8000))


def test_harmonic_cnn_has_the_published_sizes():
    model = models.build("harmonic_cnn").eval()
    assert (model.n_samples, model.n_frames) == (80_000, 313)
    sizes = []
    for layer in (model.front_end, *model.blocks):
        layer.register_forward_hook(lambda *call: sizes.append(tuple(call[-1].shape[1:])))
    with torch.no_grad():
        model(torch.zeros(1, 80_000))
    assert sizes == [
        (6, 128, 313), (128, 64, 156), (128, 32, 78), (128, 16, 39), (128, 8, 19), (256, 4, 9),
        (256, 2, 3), (256, 1, 1),
    ]  # fmt: skip


@pytest.mark.parametrize("front_end", [None, "mel40", {"preset": "mel96", "hop_length": 512}])
@pytest.mark.parametrize("seconds", [1, 10])
def test_harmonic_cnn_on_other_front_ends_and_lengths(front_end, seconds):
    model = models.build("harmonic_cnn", 5, front_end=front_end, for_seconds=seconds, width=0.0625)
    assert model.norm.num_features == (1 if front_end else 6)
    assert model.eval()(torch.zeros(1, model.n_samples)).shape == (1, 5)


# Sinc filters


def test_sinc_filters_start_on_the_mel_scale():
    low, high = SincFilters().edges()
    assert low.shape == high.shape == (80,)
    assert low[0].item() == pytest.approx(80, abs=0.1)
    assert high[-1].item() == pytest.approx(8000, abs=1)
    assert (low.diff() > 0).all()
    assert (high > low).all()
    starts = 2595 * torch.log10(1 + (low - 50) / 700)
    torch.testing.assert_close(starts.diff(), starts.diff().mean().expand(79), rtol=0.01, atol=0)


def test_sinc_filters_pass_their_band():
    front_end = SincFilters()
    low, high = (edge.detach() for edge in front_end.edges())
    spectrum = torch.fft.rfft(front_end.filter_bank().detach(), 16_000).abs()  # 1 Hz a bin
    for band in (40, 60, 75):  # wide enough for filters of 251 samples
        inside = spectrum[band, int(low[band]) : int(high[band])].mean()
        outside = spectrum[band, int(high[band]) + 300 :].max()
        assert inside > 20 * outside
        peak = spectrum[band].argmax()
        assert low[band] - 100 < peak < high[band] + 100


def test_edges_stay_in_order_wherever_training_takes_them():
    front_end = SincFilters()
    with torch.no_grad():
        front_end.low.uniform_(-1, 1)
        front_end.band.uniform_(-1, 1)
    low, high = front_end.edges()
    assert (low >= 50).all()
    assert (high <= RATE / 2).all()
    assert torch.isfinite(front_end.filter_bank()).all()


def test_every_cut_off_gets_a_gradient():
    front_end = SincFilters()
    front_end(torch.randn(2, 16_000)).square().sum().backward()
    assert (front_end.low.grad != 0).all()
    assert (front_end.band.grad[:-1] != 0).all()
    assert models.n_parameters(front_end) == 2 * 80 + 2 * 80  # and the normalisation


def test_sinc_net_differs_from_dieleman_raw_in_the_front_end_only():
    sinc, raw = models.build("sinc_net"), models.build("dieleman_raw", filters=80)
    assert (sinc.n_frames, raw.n_frames) == (186, 187)
    shapes = [
        {key: value.shape for key, value in model.state_dict().items() if key[:5] != "front"}
        for model in (sinc, raw)
    ]
    assert shapes[0] == shapes[1]


# Learned compression (thesis Appendix A)


def test_learned_compression_starts_where_the_thesis_says():
    front_end = features.front_end("mel128_44k_learned")
    values = {name: p.item() for name, p in front_end.named_parameters()}
    assert values == {"alpha": 7, "beta": 1}
    assert np.exp(7) == pytest.approx(1096.63, abs=0.01)
    assert np.log1p(np.e) == pytest.approx(1.31, abs=0.01)
    audio = torch.randn(1, 8192)
    power = features.front_end("mel128_44k", compression=None)(audio)
    expected = torch.log10(np.exp(7) * power + np.log1p(np.e))
    torch.testing.assert_close(front_end(audio), expected.float(), rtol=1e-5, atol=1e-6)
    silence = front_end(torch.zeros(1, 8192))
    torch.testing.assert_close(silence, torch.full_like(silence, np.log10(np.log1p(np.e))))


def test_learned_compression_learns_and_stays_out_of_autocast():
    front_end = features.front_end({"preset": "mel96", "compression": "log_learned"})
    audio = torch.randn(2, 8000, requires_grad=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        values = front_end(audio)
    assert values.dtype == torch.float32
    torch.testing.assert_close(values, front_end(audio), rtol=0, atol=0)
    values.mean().backward()
    assert front_end.alpha.grad > 0
    assert front_end.beta.grad > 0
    assert audio.grad.abs().sum() > 0
    with pytest.raises(ValueError, match="log_learned"):
        features.front_end("mel96", compression="learned")


def test_learned_compression_is_saved_with_its_network(tmp_path):
    front_end = {"preset": "mel96", "compression": "log_learned"}
    model = models.build("fcn", 5, front_end=front_end, for_seconds=2, width=0.0625)
    plain = models.build("fcn", 5, for_seconds=2, width=0.0625)
    assert models.n_parameters(model) == models.n_parameters(plain) + 2
    model.front_end.alpha.data.fill_(5)
    models.save(model, tmp_path / "model.safetensors", tags=list("abcde"))
    assert models.load(tmp_path / "model.safetensors").front_end.alpha.item() == 5
