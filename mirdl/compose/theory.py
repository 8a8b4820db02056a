"""Scales, chords, progressions and voice leading: the grammar of the pieces in minitag."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

NAMES = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")

#: Semitones above the tonic.
MODES = {
    "major": (0, 2, 4, 5, 7, 9, 11),
    "minor": (0, 2, 3, 5, 7, 8, 10),
    "dorian": (0, 2, 3, 5, 7, 9, 10),
    "mixolydian": (0, 2, 4, 5, 7, 9, 10),
    "phrygian": (0, 1, 3, 5, 7, 8, 10),
}
#: How bright a mode sounds, from -1 to 1; it enters the valence of a piece.
BRIGHTNESS = {"major": 1.0, "mixolydian": 0.5, "dorian": -0.5, "minor": -0.9, "phrygian": -1.0}

#: Semitones above the root; the names are those of Harte's chord syntax.
QUALITIES = {
    "maj": (0, 4, 7),
    "min": (0, 3, 7),
    "dim": (0, 3, 6),
    "sus4": (0, 5, 7),
    "5": (0, 7, 12),
    "7": (0, 4, 7, 10),
    "maj7": (0, 4, 7, 11),
    "min7": (0, 3, 7, 10),
    "hdim7": (0, 3, 6, 10),
}
_NUMERALS = {"i": 0, "ii": 2, "iii": 4, "iv": 5, "v": 7, "vi": 9, "vii": 11}
_SUFFIXES = {"": None, "7": "7", "^": "maj7", "o": "dim", "%": "hdim7", "4": "sus4", "5": "5"}

#: Progressions, separated by commas, by harmonic language and family of modes.
#: One symbol is one unit of harmonic rhythm (a bar, unless the style says otherwise).
PROGRESSIONS = {
    "classical": {
        "major": "I IV V I vi ii V7 I, I V vi iii IV I IV V7, I I V7 V7 V7 V7 I I,"
        " I vi ii V7 I IV V7 I, vi II V V7 IV iv I V7, I V7 I IV ii V4 V7 I",
        "minor": "i iv V7 i bVI iv V7 i, i V i bVII bIII bVII iv V, i ii% V7 i bVI ii% V7 i,"
        " i iv bVII bIII bVI ii% V7 i, bIII bVII i V7 bVI bIII iv V7, i i V7 V7 V7 V7 i i",
    },
    "pop": {
        "major": "I V vi IV I V vi IV, vi IV I V vi IV I V, I vi IV V I vi IV V,"
        " I IV vi V I IV V V4, IV V iii vi IV V I I, I iii IV iv I iii IV V",
        "minor": "i bVI bIII bVII i bVI bIII bVII, i bVII bVI bVII i bVII bVI V,"
        " i iv bVI V i iv bVI bVII, bVI bVII i i bVI bVII i V",
    },
    "blues": {
        "major": "I7 IV7 I7 I7 IV7 IV7 I7 I7 V7 IV7 I7 V7, I7 I7 I7 I7 IV7 IV7 I7 I7 V7 V7 I7 I7,"
        " I VI7 II7 V7 I VI7 II7 V7",
        "minor": "i7 iv7 i7 i7 iv7 iv7 i7 i7 bVI7 V7 i7 V7, i i i i iv iv i i bVI V7 i V7",
    },
    "jazz": {
        "major": "I^ vi7 ii7 V7 iii7 VI7 ii7 V7, ii7 V7 I^ IV^ ii7 V7 I^ VI7,"
        " I^ IV7 iii7 VI7 ii7 V7 I^ V7, III7 III7 VI7 VI7 II7 II7 V7 V7, I I7 IV iv I VI7 ii7 V7",
        "minor": "i7 iv7 bVII7 bIII^ bVI^ ii% V7 i7, i7 i7 ii% V7 i7 i7 ii% V7,"
        " iv7 bVII7 bIII^ bVI^ ii% V7 i7 V7",
    },
    "latin": {
        "major": "I IV V7 IV I IV V7 IV, I vi ii7 V7 I vi ii7 V7, I^ ii7 V7 I^ vi7 ii7 V7 I^,"
        " I I7 IV iv I V7 I V7",
        "minor": "i iv V7 i i iv V7 i, i bVII bVI V7 i bVII bVI V7, i i7 iv7 bVII7 bIII bVI V7 i,"
        " i V7 V7 i i7 iv V7 i",
    },
    "modal": {
        "major": "I bVII IV I I bVII IV I, I I bVII bVII IV IV I I, I ii I ii IV ii V I",
        "minor": "i IV i IV bVII IV i i, i bII i bII bIII bII i i, i i bVII i i v7 bVII i",
    },
    "drift": {
        "major": "I^ IV^ I^ vi7 IV^ iii7 ii7 V4, I4 I IV^ IV^ vi7 V4 I I, I^ ii7 I^ IV^",
        "minor": "i7 bVI^ i7 bVII4 iv7 bVI^ v7 i7, i7 i7 bIII^ bIII^ bVI^ bVI^ v7 v7, i iv7 i v7",
    },
    "power": {
        "major": "I5 bVII5 IV5 I5 I5 bVII5 IV5 V5, I5 IV5 V5 IV5, I5 I5 bIII5 IV5",
        "minor": "i5 bII5 i5 bVI5 i5 bII5 bIII5 bII5, i5 bVI5 bVII5 i5 i5 bVI5 iv5 V5,"
        " i5 i5 bV5 bVI5 i5 i5 bII5 i5",
    },
}


@dataclass(frozen=True)
class Chord:
    """A chord: pitch class of its root and a quality of `QUALITIES`."""

    root: int
    quality: str

    @property
    def tones(self):
        """Pitch classes, root first."""
        return tuple((self.root + step) % 12 for step in QUALITIES[self.quality])

    @property
    def label(self):
        """Harte's notation, e.g. ``C:min7``."""
        return f"{NAMES[self.root]}:{self.quality}"


def roman(symbol, tonic):
    """Read a Roman numeral: ``b`` lowers, lower case is minor, then 7, ^ (maj7), o, %, 4 or 5.

    Parameters
    ----------
    symbol : str
        For example ``"V7"``, ``"bVI"``, ``"ii%"``.
    tonic : int
        Pitch class of the tonic, 0 is C.
    """
    flat = symbol.startswith("b")
    numeral = symbol[flat:].rstrip("7^o%45")
    suffix = symbol[flat + len(numeral) :]
    quality = _SUFFIXES[suffix]
    minor = numeral.islower()
    if quality is None or (quality == "7" and minor):
        quality = ("min" if minor else "maj") + ("" if quality is None else "7")
    return Chord((tonic + _NUMERALS[numeral.lower()] - flat) % 12, quality)


def progression(rng, language, mode, tonic):
    """Draw one progression, a list of `Chord`, that suits the language and the mode."""
    family = "major" if BRIGHTNESS[mode] > 0 else "minor"
    symbols = str(rng.choice(PROGRESSIONS[language][family].split(",")))
    return [roman(symbol, tonic) for symbol in symbols.split()]


def scale_under(chord, mode, tonic):
    """Pitch classes to sing over a chord: the mode, bent where the chord leaves it.

    A minor key's dominant brings its own leading tone; the scale tone that it
    replaces is dropped, so that a melody never clashes by a semitone by accident.
    """
    scale = {(tonic + step) % 12 for step in MODES[mode]}
    for tone in set(chord.tones) - scale:
        scale -= {(tone + 1) % 12, (tone - 1) % 12} - set(chord.tones)
        scale.add(tone)
    return tuple(sorted(scale))


def pitches(classes, low, high):
    """All MIDI pitches in [low, high] whose pitch class is among `classes`."""
    return [pitch for pitch in range(int(low), int(high) + 1) if pitch % 12 in classes]


def nearest(pitch, candidates):
    """The candidate closest to a pitch; the lower one of two."""
    return min(candidates, key=lambda other: (abs(other - pitch), other))


def voicing(chord, previous, centre, n_voices=3):
    """Close-position voicing that moves least from the previous one.

    Parameters
    ----------
    chord : Chord
    previous : sequence of int or None
        The voicing before, low to high.
    centre : float
        Middle of the register where a first chord is put and that later ones lean to.
    n_voices : int
        3 or 4; a chord of four tones loses its fifth in three voices.

    Returns
    -------
    list of int
        MIDI pitches, low to high.
    """
    tones = list(chord.tones)
    if len(tones) > n_voices:
        tones.remove(tones[2])
    ladder = pitches(set(tones), centre - 16, centre + 16)
    choices = [ladder[i : i + n_voices] for i in range(len(ladder) - n_voices + 1)]

    def cost(choice):
        lean = 0.5 * abs(np.mean(choice) - centre)
        if previous is None:
            return lean
        return lean + sum(abs(a - b) for a, b in zip(choice, previous, strict=False))

    return min(choices, key=cost)


def merge_labels(spans):
    """Join neighbouring ``[start, end, label]`` spans that carry one label."""
    merged = [list(spans[0])]
    for _, span in pairwise(spans):
        if span[2] == merged[-1][2]:
            merged[-1][1] = span[1]
        else:
            merged.append(list(span))
    return merged
