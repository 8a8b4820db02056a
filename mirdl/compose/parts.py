"""What each player plays: melody, comping, pads, bass and drums over given chords.

A part is a list of `Note`; time is counted in beats (quarter notes) from the start of the piece.
"""

import itertools
from dataclasses import dataclass

import numpy as np

from mirdl.compose import theory
from mirdl.compose.styles import DRUMS


@dataclass(frozen=True)
class Note:
    """A note: start and length in beats, MIDI pitch and velocity."""

    start: float
    length: float
    pitch: int
    velocity: int


@dataclass(frozen=True)
class Bar:
    """One bar of the form: where it starts, its chord, its section and who plays."""

    start: float
    chord: theory.Chord
    following: theory.Chord
    section: str
    position: int
    last: bool
    playing: frozenset


def swung(position, swing):
    """Move a position in beats so that the off-beat eighth falls at `swing` of its beat."""
    beat, fraction = divmod(position, 1.0)
    if fraction < 0.5:
        return beat + 2 * fraction * swing
    return beat + swing + (2 * fraction - 1) * (1 - swing)


def hits(pattern, bar_index, steps):
    """``(step, symbol, steps to the next symbol)`` of one bar of a text pattern."""
    n_bars = len(pattern) // steps
    bar = pattern[(bar_index % n_bars) * steps :][:steps]
    onsets = [step for step, symbol in enumerate(bar) if symbol != "."]
    return [(s, bar[s], e - s) for s, e in zip(onsets, [*onsets[1:], steps], strict=False)]


def _clip(velocity):
    return int(np.clip(velocity, 15, 127))


def melody(rng, artist, style, bars, family, mode, tonic):
    """A lead line: motifs stated, repeated over new chords, varied, and closed by a cadence.

    Each section letter owns three one-bar motifs (a rhythm and a contour in scale steps); bars of a
    four-bar phrase take them in the order 1 2 1 3. A motif starts on the chord tone nearest to
    where the line was, and the fourth bar of every second phrase rests on a long chord tone.
    """
    low, high = family.low + artist.register, family.high + artist.register
    steps, motifs, notes = 4 * style.meter, {}, []
    line = (low + high) // 2
    for bar in bars:
        if "lead" not in bar.playing:
            continue
        if bar.section not in motifs:
            motifs[bar.section] = [_motif(rng, artist, style) for _ in range(3)]
            if not motifs[bar.section][0][0]:
                motifs[bar.section][0] = [0], [0]
        rhythm, contour = motifs[bar.section][(0, 1, 0, 2)[bar.position % 4]]
        tones = theory.pitches(bar.chord.tones, low, high)
        ladder = theory.pitches(theory.scale_under(bar.chord, mode, tonic), low, high)
        line = theory.nearest(0.7 * line + 0.3 * (low + high) / 2, tones)
        if bar.last or bar.position % 8 == 7:
            ending = theory.nearest(line, tones)
            length = style.meter * (1.0 if bar.last else 0.6)
            notes.append(Note(bar.start, length, ending, _clip(82 + artist.touch)))
            continue
        for step, move, space in zip(rhythm, contour, [*rhythm[1:], steps], strict=False):
            place = ladder.index(theory.nearest(line, ladder)) + move
            pitch = ladder[min(max(place, 0), len(ladder) - 1)]
            if step % steps == 0:
                pitch = theory.nearest(pitch, tones)
            length = (space - step) / 4 * style.gate * artist.gate
            accent = 8 if step % 8 == 0 else 0
            velocity = _clip(rng.normal(80 + artist.touch + accent, artist.dynamics))
            start = bar.start + swung(step / 4, style.swing)
            if rng.random() < artist.ornament and place + 1 < len(ladder) and space - step > 2:
                notes.append(Note(start, 0.12, ladder[max(place + 1, 0)], velocity - 10))
                start, length = start + 0.12, length - 0.12
            notes.append(Note(start, max(length, 0.1), pitch, velocity))
            if rng.random() < artist.thirds and pitch in ladder and ladder.index(pitch) >= 2:
                below = ladder[ladder.index(pitch) - 2]
                notes.append(Note(start, max(length, 0.1), below, _clip(velocity - 8)))
            line = pitch
    return notes


def _motif(rng, artist, style):
    """A rhythm cell, thinned or filled to the artist's taste, and a contour in scale steps."""
    cell = str(rng.choice(style.melody))
    rhythm = [step for step, symbol in enumerate(cell) if symbol == "x"]
    if artist.busyness > 0.3 and len(rhythm) > 1:
        gaps = [a for a, b in itertools.pairwise(rhythm) if b - a >= 4]
        rhythm = sorted({*rhythm, *(gap + 2 for gap in gaps if rng.random() < artist.busyness)})
    elif artist.busyness < -0.3:
        rhythm = [s for s in rhythm if s % 4 == 0 or rng.random() > -0.5 * artist.busyness]
    moves = rng.choice([-2, -1, -1, 0, 1, 1, 2, 4, -3], size=max(len(rhythm), 1))
    if len(moves):
        moves[0] = 0
    return rhythm, [int(move) for move in moves]


def comping(rng, artist, style, bars, centre):
    """Chords in the style's pattern, each voiced close to the one before."""
    patterns = rng.permutation(list(style.comp))[:2]
    steps, notes, voices = 4 * style.meter, [], None
    for index, bar in enumerate(bars):
        voices = theory.voicing(
            bar.chord, voices, centre, n_voices=4 if style.harmony == "jazz" else 3
        )
        if "comp" not in bar.playing:
            continue
        pattern = str(patterns[0] if bar.section != "B" else patterns[-1])
        for step, symbol, space in hits(pattern, index, steps):
            chosen = {"x": voices, "o": voices[:1], "u": voices[1:]}.get(symbol)
            if chosen is None:
                rank = int(symbol) - 1
                chosen = [voices[rank] if rank < len(voices) else voices[0] + 12]
            length = max(space / 4 * style.comp_gate * artist.gate, 0.12)
            velocity = _clip(rng.normal(66 + artist.touch + 6 * (step == 0), artist.dynamics))
            start = bar.start + swung(step / 4, style.swing)
            notes += [Note(start, length, pitch, velocity) for pitch in chosen]
    return notes


def pad(rng, artist, bars, centre):
    """Held chords, one voicing for as long as the chord stays."""
    notes, voices, held = [], None, None
    for bar in bars:
        if "pad" not in bar.playing:
            held = None
            continue
        length = bar_length(bars)
        if held is not None and held == bar.chord:
            notes[-3:] = [Note(n.start, n.length + length, n.pitch, n.velocity) for n in notes[-3:]]
            continue
        held, voices = bar.chord, theory.voicing(bar.chord, voices, centre)
        velocity = _clip(rng.normal(58 + artist.touch, artist.dynamics / 2))
        notes += [Note(bar.start, length, pitch, velocity) for pitch in voices]
    return notes


def bar_length(bars):
    """Beats in a bar."""
    return bars[1].start - bars[0].start


def bass(rng, artist, style, bars):
    """The style's bass figure on the chord of each bar; sections may differ in figure."""
    steps, notes = 4 * style.meter, []
    figures = {section: str(rng.choice(style.bass)) for section in ("A", "B", "intro", "break")}
    for index, bar in enumerate(bars):
        if "bass" not in bar.playing:
            continue
        root = 29 + (bar.chord.root - 29) % 12
        third = (bar.chord.tones[1] - bar.chord.root) % 12
        seventh = (bar.chord.tones[3] - bar.chord.root) % 12 if len(bar.chord.tones) > 3 else 10
        approach = 28 + (bar.following.root - 28) % 12 + int(rng.choice([-1, 1]))
        steps_up = {"R": 0, "3": third, "5": 7, "6": 9, "7": seventh, "8": 12}
        for step, symbol, space in hits(figures[bar.section], index, steps):
            pitch = approach if symbol == "a" else root + steps_up[symbol]
            velocity = _clip(rng.normal(84 + artist.touch + 6 * (step == 0), artist.dynamics / 2))
            start = bar.start + swung(step / 4, style.swing)
            notes.append(Note(start, space / 4 * min(style.gate + 0.05, 0.95), pitch, velocity))
    return notes


def drums(rng, artist, style, bars):
    """A groove per section, a crash where a section starts and a fill where one ends."""
    steps, notes = 4 * style.meter, []
    grooves = rng.permutation(len(style.drums))
    for index, bar in enumerate(bars):
        if "drums" not in bar.playing:
            continue
        groove = style.drums[grooves[-1 if bar.section == "B" else 0]]
        fill_from = (
            steps - 4 if bar.last or (bar.position % 4 == 3 and rng.random() < 0.3) else steps
        )
        struck = []
        for name, pattern in groove.items():
            for step, symbol, _ in hits(pattern, index, steps):
                if step < fill_from or name in ("kick", "ride", "hat", "shaker", "maracas"):
                    struck.append((step, name, int(symbol)))
        if fill_from < steps:
            toms = rng.choice(["snare", "high_tom", "mid_tom", "low_tom"], size=4)
            struck += [
                (fill_from + k, str(tom), 5 + k)
                for k, tom in enumerate(toms)
                if k % 2 == 0 or rng.random() < 0.6
            ]
        if bar.position == 0 and bar.section in "AB" and style.energy > 0.1:
            struck.append((0, "crash", 6))
        for step, name, strength in struck:
            velocity = _clip(rng.normal(28 + 10 * strength + artist.touch, artist.dynamics / 2))
            notes.append(Note(bar.start + swung(step / 4, style.swing), 0.2, DRUMS[name], velocity))
    return notes
