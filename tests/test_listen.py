"""mirdl.listen: something is heard, it is small, and it is the same twice."""

import base64
import io
import re

import numpy as np
import pytest
import soundfile
import torch

from mirdl.errors import AudioError
from mirdl.listen import listen

RATE = 16_000


def tone(seconds=3.0, rate=RATE, level=0.5):
    return level * np.sin(2 * np.pi * 440 * np.arange(int(seconds * rate)) / rate)


def heard(player):
    data = re.search(r"base64,([A-Za-z0-9+/=]+)", player._repr_html_()).group(1)
    return soundfile.read(io.BytesIO(base64.b64decode(data)))


@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050, 44_100, 17_123])
def test_the_player_holds_the_sound(rate):
    decoded, decoded_rate = heard(listen(tone(rate=rate), rate))
    assert decoded_rate == (44_100 if rate == 17_123 else rate)
    assert len(decoded) / decoded_rate == pytest.approx(3.0, abs=0.05)
    spectrum = np.abs(np.fft.rfft(decoded * np.hanning(len(decoded))))
    assert spectrum.argmax() * decoded_rate / len(decoded) == pytest.approx(440, abs=1)
    assert np.abs(decoded[rate // 2 : -rate // 2]).max() == pytest.approx(0.5, abs=0.05)


def test_at_most_ten_seconds_and_small(rng):
    player = listen(0.2 * rng.standard_normal(25 * RATE))
    decoded, _ = heard(player)
    assert len(decoded) == 10 * RATE
    assert listen(tone(12), seconds=11).seconds == 11
    assert len(player._repr_html_()) < 90_000  # white noise is the worst; a WAV has 430,000


def test_same_bytes_twice(rng):
    x = 0.1 * rng.standard_normal(2 * RATE)
    assert listen(x, title="noise")._repr_html_() == listen(x, title="noise")._repr_html_()


def test_loudness_changes_only_where_asked_or_needed():
    assert np.abs(heard(listen(tone(level=0.05)))[0]).max() < 0.1
    assert np.abs(heard(listen(tone(level=0.05), normalise=True))[0]).max() > 0.8
    assert np.abs(heard(listen(tone(level=3.0)))[0]).max() < 1.0


def test_input_is_left_alone_and_tensors_are_heard():
    x = torch.tensor(tone(level=3.0), requires_grad=True)
    listen(x.detach())
    assert x.max() > 2.9
    array = tone(level=3.0).astype(np.float32)
    listen(array)
    assert array.max() > 2.9


def test_text_is_stable_and_title_escaped():
    player = listen(tone(), title="bass & <drums>")
    assert repr(player) == "<3.0 s of audio: bass & <drums>>"
    assert repr(listen(tone())) == "<3.0 s of audio>"
    assert "bass &amp; &lt;drums&gt;" in player._repr_html_()
    assert "<div" not in listen(tone())._repr_html_()


@pytest.mark.parametrize(
    ("x", "reason"),
    [
        (np.zeros(RATE), "silent"),
        (np.zeros(0), "no samples"),
        (np.full(RATE, np.nan), "NaN"),
        (np.zeros((2, RATE)), "one channel"),
    ],
)
def test_refuses_what_cannot_be_heard(x, reason):
    with pytest.raises(AudioError, match=reason):
        listen(x, title="nothing")
