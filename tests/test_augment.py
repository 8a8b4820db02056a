"""Augmentation: what each transform does to the sound, and that training with it is repeatable."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from test_training import equal, network, run
from tones import tones

from mirdl import models
from mirdl.augment import (
    RECIPE,
    ByRatio,
    Chain,
    Equalize,
    Gain,
    Mixup,
    Noise,
    Reverb,
    Sometimes,
    change_speed,
    mask_spectrograms,
    stretch,
    transpose,
)
from mirdl.errors import CheckpointError, MirdlError

RATE = 16_000
OF_SOUND = [Gain(), Noise(), Noise(slope=0), Equalize(), Reverb(), ByRatio(), ByRatio(stretch),
            ByRatio(transpose), Sometimes(Gain()), RECIPE]  # fmt: skip


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def sines(*hertz, seconds=1.0):
    time = torch.arange(round(seconds * RATE)) / RATE
    return torch.stack([0.5 * torch.sin(2 * torch.pi * f * time) for f in hertz])


def loudest(audio):
    """Return the frequency in Hz of each clip's strongest partial."""
    spectrum = torch.fft.rfft(audio * torch.hann_window(audio.shape[1]))
    return spectrum.abs().argmax(dim=1) * RATE / audio.shape[1]


def energy(audio):
    return audio.square().sum(dim=-1)


@pytest.mark.parametrize("transform", OF_SOUND, ids=lambda t: type(t).__name__)
def test_same_generator_same_batch_of_the_same_shape(transform):
    audio, targets = sines(220, 440, 880, 1760), torch.eye(4)
    before = audio.clone()
    made, labels = transform(audio, targets, generator())
    again, _ = transform(audio, targets, generator())
    other, _ = transform(audio, targets, generator(1))
    assert made.shape == audio.shape
    assert made.dtype == torch.float32
    assert torch.isfinite(made).all()
    assert torch.equal(labels, targets)
    assert torch.equal(made, again)
    assert not torch.equal(made, other)
    assert torch.equal(audio, before)  # the pack's own samples stay as they are


@pytest.mark.parametrize("transform", [*OF_SOUND, Mixup()], ids=lambda t: type(t).__name__)
def test_silence_stays_silent(transform):
    made, _ = transform(torch.zeros(3, 4000), torch.ones(3, 2), generator())
    assert torch.equal(made, torch.zeros(3, 4000))


@settings(deadline=None, max_examples=30)
@given(st.floats(-20, 20))
def test_gain_is_in_decibels(decibels):
    audio = sines(440)
    made, _ = Gain((decibels, decibels))(audio, None, generator())
    assert 10 * torch.log10(energy(made) / energy(audio)) == pytest.approx(decibels, abs=1e-3)


@pytest.mark.parametrize("slope", [0, 1, 2])
def test_noise_has_its_level_and_slope(slope):
    audio = sines(440, seconds=4)
    made, _ = Noise((10, 10), slope)(audio, None, generator())
    noise = made - audio
    assert 10 * torch.log10(energy(audio) / energy(noise)) == pytest.approx(10, abs=0.01)
    power = torch.fft.rfft(noise)[0].abs().square()
    octaves = [power[4 * f : 8 * f].mean() for f in (250, 2000)]  # three octaves apart
    assert 10 * torch.log10(octaves[0] / octaves[1]) == pytest.approx(9.03 * slope, abs=0.7)


def test_equalizer_keeps_within_its_range_and_differs_between_octaves():
    audio = torch.cat([sines(31.25, 250, 1000, 4000, 7990)] * 20)
    made, _ = Equalize(6)(audio, None, generator())
    gain = 10 * torch.log10(energy(made) / energy(audio)).reshape(20, 5)
    assert gain.abs().max() <= 6.01
    assert gain.std(dim=0).min() > 2
    still, _ = Equalize(0)(audio, None, generator())
    torch.testing.assert_close(still, audio, atol=1e-5, rtol=0)


def test_reverb_rings_on_and_fades():
    click = torch.zeros(1, RATE)
    click[0, 100] = 1
    made, _ = Reverb((0.5, 0.5), (-6, -6))(click, None, generator())
    assert made[0, :100].abs().max() < 1e-4  # nothing before its cause
    assert made[0, 100] == pytest.approx(1, abs=1e-4)
    tail = made[0, 101 : 101 + RATE // 2]
    assert 10 * torch.log10(energy(tail)) == pytest.approx(-6, abs=0.1)
    early, late = energy(tail[:1600]), energy(tail[3200:4800])  # 0.2 s apart: 24 of 60 dB
    assert 10 * torch.log10(early / late) == pytest.approx(24, abs=1.5)


@pytest.mark.parametrize(("up", "down"), [(9, 8), (17, 18)])
def test_speed_changes_pitch_and_length_and_the_others_one_of_them(up, down):
    audio, ratio = sines(440, 1000, seconds=2), up / down
    pitch = loudest(audio)
    for change, of_pitch, of_length in (
        (change_speed, ratio, 1 / ratio),
        (stretch, 1, 1 / ratio),
        (transpose, ratio, 1),
    ):
        made = change(audio, up, down)
        assert made.shape[1] == pytest.approx(of_length * audio.shape[1], abs=2)
        assert (loudest(made) / pitch - of_pitch).abs().max() < 0.004


def test_short_clips_go_on_with_their_mirror_image():
    audio = sines(440)
    made, _ = ByRatio(ratios=((9, 8),))(audio, torch.zeros(1), generator())
    end = -(-len(audio[0]) * 8 // 9)
    torch.testing.assert_close(made[0, end : end + 500], made[0, end - 501 : end - 1].flip(0))


def test_targets_follow_where_the_change_affects_them():
    tempo = torch.tensor([[60.0], [120.0], [180.0]])
    change = ByRatio(ratios=((3, 2),), relabel=lambda targets, ratio: targets * ratio)
    _, faster = change(sines(440, 440, 440), tempo, generator())
    assert faster.flatten().tolist() == [90, 180, 270]
    assert tempo[0] == 60
    key = torch.arange(12)
    up = Sometimes(ByRatio(ratios=((18, 17),), relabel=lambda k, _: (k + 1) % 12), share=0.5)
    _, keys = up(torch.zeros(12, 1000), key, generator())
    assert set(((keys - key) % 12).tolist()) == {0, 1}


def test_sometimes_leaves_the_others_alone():
    audio = sines(*[440] * 200, seconds=0.01)
    made, _ = Sometimes(Gain((6, 6)), share=0.3)(audio, torch.zeros(200), generator())
    changed = (made != audio).any(dim=1)
    assert 0.2 < changed.float().mean() < 0.4
    never, _ = Sometimes(Gain(), share=0)(audio, torch.zeros(200), generator())
    assert torch.equal(never, audio)


def test_chain_is_one_after_the_other():
    audio = sines(440)
    made, _ = Chain((Gain((6, 6)), Gain((-6, -6))))(audio, None, generator())
    torch.testing.assert_close(made, audio)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 1000), st.sampled_from([0.1, 0.4, 1.0, 5.0]))
def test_mixup_mixes_targets_as_it_mixes_audio(seed, alpha):
    targets = torch.rand(8, 5, generator=generator(seed))
    audio = torch.cat([targets, targets], dim=1)  # so that the shares can be compared
    made, labels = Mixup(alpha)(audio, targets, generator(seed))
    torch.testing.assert_close(made, torch.cat([labels, labels], dim=1))
    assert labels.min() >= targets.min() - 1e-6  # between the two, but for rounding
    torch.testing.assert_close(
        Mixup(alpha)(audio, targets, generator(seed)), (made, labels), atol=0, rtol=0
    )


def test_mixup_of_classes_gives_shares_of_classes():
    _, shares = Mixup(1.0, n_classes=3)(torch.zeros(6, 9), torch.arange(6) % 3, generator())
    torch.testing.assert_close(shares.sum(dim=1), torch.ones(6))
    assert ((shares > 0.01) & (shares < 0.99)).any()
    with pytest.raises(MirdlError, match="n_classes"):
        Mixup()(torch.zeros(6, 9), torch.arange(6), generator())


def test_masks_hide_bands_and_frames_in_training_only():
    model, audio = network(), torch.randn(4, 16_000, generator=generator())
    plain = model.front_end(audio)
    handle = mask_spectrograms(model, n_masks=1, bands=20, frames=10)
    assert torch.equal(model.eval().front_end(audio), plain)
    model.train()
    torch.manual_seed(0)
    hidden = model.front_end(audio) != plain
    n_bands, n_frames = hidden.all(dim=2).sum(dim=1), hidden.all(dim=1).sum(dim=1)
    assert 0 < n_bands.max() <= 20
    assert 0 < n_frames.max() <= 10
    assert len(n_bands.unique()) > 1  # every clip has masks of its own
    handle.remove()
    assert torch.equal(model.front_end(audio), plain)
    with pytest.raises(MirdlError, match="waveform"):
        mask_spectrograms(models.build("sample_cnn", width=0.05, for_seconds=1))


# In training


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return tones(tmp_path_factory.mktemp("tones"))


def test_training_with_augmentation_repeats_itself(dataset):
    augmented = run(dataset, augment=RECIPE)
    assert equal(augmented, run(dataset, augment=RECIPE))
    assert not equal(augmented, run(dataset))
    assert not equal(augmented, run(dataset, augment=Gain()))


def test_training_hears_what_augment_returns(dataset):
    seeds = []

    def opposite(audio, targets, generator):
        assert audio.shape == (8, 16_000)
        assert targets.shape == (8, 3)
        seeds.append(generator.initial_seed())
        return audio, 1 - targets

    learned, _ = run(dataset, n_epochs=15, learning_rate=3e-3)
    contrary, _ = run(dataset, n_epochs=15, learning_rate=3e-3, augment=opposite)
    assert len(set(seeds)) == 30  # one of its own for every step
    clips = torch.from_numpy(np.stack([dataset.waveform(i)[:16_000] for i in range(16)]))
    with torch.no_grad():
        agreement = np.corrcoef(learned(clips).flatten(), contrary(clips).flatten())[0, 1]
    assert agreement < -0.3


class Stopped(Exception):
    """What ends a run in the middle."""


class StoppedRecipe:
    """The recipe, until it is called for the tenth time: in the third epoch of four steps."""

    n_calls = 0

    def __call__(self, *batch):
        self.n_calls += 1
        if self.n_calls == 10:
            raise Stopped
        return RECIPE(*batch)

    def __repr__(self):
        return repr(RECIPE)


@pytest.mark.parametrize("masked", [False, True])
def test_an_interrupted_run_goes_on_to_the_numbers_of_an_unbroken_one(dataset, tmp_path, masked):
    def fresh(seed=0):
        model = network(seed)
        if masked:
            mask_spectrograms(model, frames=10)
        return model

    options = {"n_epochs": 4, "batch_size": 4}
    unbroken = run(dataset, fresh(), augment=RECIPE, **options)
    with pytest.raises(Stopped):
        run(dataset, fresh(), augment=StoppedRecipe(), folder=tmp_path, **options)
    resumed = run(dataset, fresh(seed=1), augment=RECIPE, folder=tmp_path, **options)
    assert resumed[1]["epoch"].tolist() == [1, 2, 3, 4]
    assert equal(resumed, unbroken)


def test_a_state_made_with_other_augmentation_is_refused(dataset, tmp_path):
    run(dataset, n_epochs=1, augment=RECIPE, folder=tmp_path)
    with pytest.raises(CheckpointError, match=r"augment .*Chain"):
        run(dataset, n_epochs=1, augment=Gain(), folder=tmp_path)
    with pytest.raises(CheckpointError, match="augment"):
        run(dataset, n_epochs=1, folder=tmp_path)
