"""A MIDI synthesiser, one part at a time: FluidSynth with the FluidR3 General MIDI sound font."""

import ctypes
import os
from pathlib import Path

import numpy as np
import soxr

from mirdl.errors import MirdlError

#: Rendered at twice the rate of the set, so that what would alias is filtered away.
RENDER_RATE = 32000
SAMPLE_RATE = 16000
_BLOCK = 64  # FluidSynth computes 64 samples at a time; events fall on this grid of 2 ms
_SOUND_FONTS = (
    "/usr/share/sounds/sf2/FluidR3_GM.sf2",
    "/usr/share/soundfonts/FluidR3_GM.sf2",
    "/opt/homebrew/share/soundfonts/FluidR3_GM.sf2",
)
_ATTACK, _RELEASE, _CUTOFF = 34, 38, 8  # generator numbers of the SoundFont 2.01 specification


def sound_font():
    """Path of FluidR3 GM: ``$MIRDL_SOUNDFONT`` or where Debian, Fedora and Homebrew put it.

    Raises
    ------
    MirdlError
        Where it is not found; the message says how to install it.
    """
    for path in filter(None, [os.environ.get("MIRDL_SOUNDFONT"), *_SOUND_FONTS]):
        if Path(path).is_file():
            return path
    raise MirdlError(
        "FluidR3_GM.sf2 not found: apt-get install fluid-soundfont-gm, or set $MIRDL_SOUNDFONT"
    )


def library():
    """The pyfluidsynth module, or a `MirdlError` that says what to install."""
    try:
        import fluidsynth
    except ModuleNotFoundError as error:
        raise MirdlError("pyfluidsynth is missing: pip install 'mirdl[render]'") from error
    except ImportError as error:
        raise MirdlError("FluidSynth is missing: apt-get install fluidsynth") from error
    pointer, integer = ctypes.c_void_p, ctypes.c_int
    fluidsynth._fl.fluid_synth_write_float.argtypes = [
        pointer, integer, pointer, integer, integer, pointer, integer, integer
    ]  # fmt: skip
    fluidsynth._fl.fluid_synth_set_gen.argtypes = [pointer, integer, integer, ctypes.c_float]
    return fluidsynth


def version():
    """Version of the FluidSynth library, e.g. ``2.3.1``."""
    numbers = [ctypes.c_int() for _ in range(3)]
    library()._fl.fluid_version(*(ctypes.byref(number) for number in numbers))
    return ".".join(str(number.value) for number in numbers)


def play(notes, preset, seconds, pre_roll=0.0, cents=0.0, attack=0.0, release=0.0, brightness=0.0):
    """Play one part.

    Parameters
    ----------
    notes : sequence of (start, end, pitch, velocity)
        Times in seconds; starts may be negative down to ``-pre_roll``.
    preset : (int, int)
        Bank and program of the sound font; bank 128 holds the drum kits.
    seconds, pre_roll : float
        Length of the result, and what is played before it and thrown away.
    cents : float
        Detuning.
    attack, release : float
        Added to the envelope's times, in timecents (1,200 double the time).
    brightness : float
        Added to the low-pass filter's cut-off, in cents.

    Returns
    -------
    ndarray, float64, shape (16000 * seconds,)
        Mono at 16 kHz.
    """
    fluid = library()
    synth = fluid.Synth(
        gain=0.5,
        samplerate=float(RENDER_RATE),
        **{
            "synth.dynamic-sample-loading": 1,
            "synth.reverb.active": 0,
            "synth.chorus.active": 0,
            "synth.polyphony": 128,
        },
    )
    font = synth.sfload(sound_font())
    synth.program_select(0, font, *preset)
    synth.pitch_bend(0, round(cents / 200 * 8192))
    for generator, amount in ((_ATTACK, attack), (_RELEASE, release), (_CUTOFF, brightness)):
        fluid._fl.fluid_synth_set_gen(synth.synth, 0, generator, amount)

    def block(time):
        return round((time + pre_roll) * RENDER_RATE / _BLOCK)

    events = [(block(start), 1, pitch, velocity) for start, _, pitch, velocity in notes]
    events += [(max(block(end), block(start) + 1), 0, pitch, 0) for start, end, pitch, _ in notes]
    total = block(seconds)
    audio = np.zeros((2, total * _BLOCK), np.float32)
    position = 0
    for at, on, pitch, velocity in [
        *sorted(event for event in events if event[0] < total),
        (total, 0, 0, 0),
    ]:
        if at > position:
            _write(fluid, synth, audio, position * _BLOCK, (at - position) * _BLOCK)
            position = at
        if on:
            synth.noteon(0, pitch, velocity)
        else:
            synth.noteoff(0, pitch)
    synth.delete()
    mono = audio.astype(np.float64).mean(axis=0)[round(pre_roll * RENDER_RATE) :]
    return soxr.resample(mono, RENDER_RATE, SAMPLE_RATE, quality="VHQ")[
        : round(seconds * SAMPLE_RATE)
    ]


def _write(fluid, synth, audio, offset, n_samples):
    """Let the synthesiser fill ``audio[:, offset:offset + n_samples]`` with floats, unclipped."""
    left, right = (
        ctypes.c_void_p(channel.ctypes.data + 4 * offset) for channel in (audio[0], audio[1])
    )
    fluid._fl.fluid_synth_write_float(synth.synth, n_samples, left, 0, 1, right, 0, 1)
