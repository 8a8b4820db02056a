"""From a track number to a score: style, key, tempo, form, players, and 30 seconds cut from it."""

from dataclasses import dataclass

import numpy as np

from mirdl.compose import parts, theory
from mirdl.compose.artists import FAMILIES, LEADS, TRACKS_PER_ARTIST, Artist, cast
from mirdl.compose.styles import STYLES, Style

#: Seconds composed before the excerpt begins, so that its first notes are already ringing.
PRE_ROLL = 3.0
_WITH_BASS = {"classical": 0.5, "baroque": 0.7, "newage": 0.4, "viennese": 0.9, "raga": 0.6}
_RUBATO = {"classical": 0.02, "ambient": 0.01, "newage": 0.02, "electronic": 0.0, "raga": 0.008}


@dataclass(frozen=True)
class Player:
    """One part of the arrangement: its family, preset (bank, program) and performed notes.

    `notes` are ``(start, end, pitch, velocity)`` with times in seconds from the excerpt's start;
    a start may be negative, at most `PRE_ROLL` before it.
    """

    family: str
    preset: tuple
    seen: bool
    notes: tuple


@dataclass(frozen=True)
class Piece:
    """The score of one excerpt and what is known about it."""

    index: int
    artist: Artist
    style: Style
    seconds: float
    tonic: int
    mode: str
    tempo: float
    players: dict
    beats: tuple
    downbeats: tuple
    chords: tuple
    sections: tuple
    arousal: float
    valence: float
    pace: float

    @property
    def track_id(self):
        """``0001`` for the first track."""
        return f"{self.index + 1:04d}"

    @property
    def key(self):
        """Tonic and major or minor third, e.g. ``Eb minor``; `mode` says more."""
        return (
            f"{theory.NAMES[self.tonic]} {'major' if theory.BRIGHTNESS[self.mode] > 0 else 'minor'}"
        )


def compose(index, seed, seconds=30.0):
    """Compose one track.

    Parameters
    ----------
    index : int
        Number of the track from 0; tracks 3 n to 3 n + 2 are by artist n.
    seed : int
        Seed of the whole set.
    seconds : float
        Length of the excerpt.

    Returns
    -------
    Piece
        A function of the arguments alone.
    """
    artist = cast(index // TRACKS_PER_ARTIST, seed)
    turn = index % TRACKS_PER_ARTIST
    style = STYLES[artist.styles[turn]]
    rng = np.random.default_rng([seed, 7, index])

    mode = str(
        rng.choice(
            list(style.modes), p=np.array([*style.modes.values()]) / sum(style.modes.values())
        )
    )
    tonic = int(artist.key_centre + rng.choice([0, 0, 5, 7, 2])) % 12
    mean, deviation, slowest, fastest = style.tempo
    drawn = mean + deviation * (artist.tempo_bias + 0.85 * rng.normal())
    tempo = float(np.clip(drawn, slowest, fastest))

    cast_list = _cast_list(rng, artist, style, turn)
    n_bars = int(np.ceil((seconds + 45) * tempo / 60 / style.meter))
    bars = _form(rng, style, mode, tonic, n_bars, set(cast_list))
    clock = _clock(rng, style, tempo, (n_bars + 1) * style.meter)
    start = float(rng.uniform(0, clock[n_bars * style.meter] - seconds - 1))

    written = {}
    for part, family in cast_list.items():
        centre = (
            57
            + artist.register // 2
            + {"pad": 5, "comp": -8 * (family == "distorted")}.get(part, 0)
        )
        written[part] = {
            "lead": lambda f=family: parts.melody(
                rng, artist, style, bars, FAMILIES[f], mode, tonic
            ),
            "comp": lambda c=centre: parts.comping(rng, artist, style, bars, c),
            "pad": lambda c=centre: parts.pad(rng, artist, bars, c),
            "bass": lambda: parts.bass(rng, artist, style, bars),
            "drums": lambda: parts.drums(rng, artist, style, bars),
        }[part]()
    players = {
        part: Player(
            family,
            artist.programs[family],
            artist.programs[family] in FAMILIES[family].seen,
            _perform(rng, artist, written[part], clock, start, seconds),
        )
        for part, family in cast_list.items()
    }
    players = {part: who for part, who in players.items() if who.notes or part == "lead"}
    inside = [(k, t - start) for k, t in enumerate(clock) if 0 <= t - start < seconds]
    at = [bar.start for bar in bars] + [bars[-1].start + style.meter]
    edges = np.clip(np.interp(at, np.arange(len(clock)), clock) - start, 0, seconds)
    spans = [
        (float(a), float(b), bar)
        for a, b, bar in zip(edges, edges[1:], bars, strict=False)
        if b > a
    ]
    played = 60 * (len(inside) - 1) / (inside[-1][1] - inside[0][1])
    mood = _mood(style, mode, played, players, seconds)
    return Piece(
        index=index,
        artist=artist,
        style=style,
        seconds=seconds,
        tonic=tonic,
        mode=mode,
        tempo=played,
        players=players,
        beats=tuple(t for _, t in inside),
        downbeats=tuple(t for k, t in inside if k % style.meter == 0),
        chords=tuple(
            map(tuple, theory.merge_labels([(a, b, bar.chord.label) for a, b, bar in spans]))
        ),
        sections=tuple(
            map(tuple, theory.merge_labels([(a, b, bar.section) for a, b, bar in spans]))
        ),
        **mood,
    )


def _cast_list(rng, artist, style, turn):
    """Part -> family for one track, from the artist's habits and what the style can do without."""
    lead = artist.leads[turn] if turn < 2 else min(artist.leads, key=LEADS.count)
    if lead == "guitar" and "distorted" in style.comps:
        lead = "distorted"
    comp = (
        artist.comp
        if artist.comp in style.comps or rng.random() < 0.4
        else str(rng.choice(style.comps))
    )
    if comp == "distorted" and "distorted" not in style.comps:
        comp = "guitar"
    chosen = {"lead": lead, "comp": comp}
    if rng.random() < style.pad_chance:
        chosen["pad"] = artist.pad if rng.random() < 0.7 else str(rng.choice(style.pads))
    if rng.random() < _WITH_BASS.get(style.name, 0.95):
        chosen["bass"] = "bass"
    if style.drums and rng.random() < style.drum_chance:
        chosen["drums"] = "drums"
    return chosen


def _form(rng, style, mode, tonic, n_bars, available):
    """Bars of a whole piece: intro, A A B A, a break, and round again."""
    harmony = {name: theory.progression(rng, style.harmony, mode, tonic) for name in ("A", "B")}
    harmony["intro"] = harmony["break"] = harmony["A"]
    resting = [part for part in ("drums", "pad", "bass", "comp") if part in available]
    without = {
        "intro": {"lead", *rng.permutation(resting[:-1])[: int(rng.integers(0, 2))]},
        "A": {"pad"} if style.pad_chance < 0.6 and rng.random() < 0.4 else set(),
        "B": set(rng.permutation(resting[:2])[: int(rng.integers(0, 2))]),
        "break": {str(rng.choice(["lead", "drums", "bass"]))},
    }
    order = [("intro", int(rng.choice([2, 4])))]
    while sum(length for _, length in order) < n_bars:
        order += [("A", 8), ("A", 8), ("B", 8), ("A", 8), ("break", int(rng.choice([2, 4])))]
    plan = [(name, k, length) for name, length in order for k in range(length)][: n_bars + 1]

    def chord(name, position):
        cycle = harmony[name]
        return cycle[(position // style.harmony_bars) % len(cycle)]

    bars = []
    for number, (name, position, length) in enumerate(plan[:n_bars]):
        following = plan[number + 1][:2] if number + 1 < len(plan) else (name, position)
        bars.append(
            parts.Bar(
                start=number * style.meter,
                chord=chord(name, position),
                following=chord(*following),
                section=name,
                position=position,
                last=position == length - 1,
                playing=frozenset(available - without[name]),
            )
        )
    return bars


def _clock(rng, style, tempo, n_beats):
    """Time of each beat in seconds: a steady pulse with the slow drift of human players."""
    drift = np.zeros(n_beats)
    wander = _RUBATO.get(style.name, 0.003) * rng.normal(size=n_beats)
    for k in range(1, n_beats):
        drift[k] = 0.9 * drift[k - 1] + wander[k]
    return np.concatenate([[0.0], np.cumsum(60 / tempo * (1 + drift))])


def _perform(rng, artist, notes, clock, start, seconds):
    """Notes as played: beats become seconds, nobody is exactly on time, no key is struck twice."""
    grid = np.arange(len(clock))
    played = []
    for note in notes:
        onset = np.interp(note.start, grid, clock) - start + rng.normal(0, artist.looseness)
        end = np.interp(note.start + note.length, grid, clock) - start
        end = max(end, onset + 0.06)
        if end > -PRE_ROLL + 0.1 and onset < seconds:
            played.append([max(onset, -PRE_ROLL), end, int(note.pitch), int(note.velocity)])
    played.sort()
    sounding = {}
    for note in played:
        before = sounding.get(note[2])
        if before is not None:
            before[1] = min(before[1], note[0] - 0.01)
        sounding[note[2]] = note
    return tuple(
        (round(a, 3), round(b, 3), pitch, velocity)
        for a, b, pitch, velocity in played
        if b > a + 0.02
    )


def _mood(style, mode, tempo, players, seconds):
    """Arousal and valence in [-1, 1] and the pace, all computed from the score.

    Arousal grows with pace, loud playing and the style's energy; valence with a bright mode, pace
    and register: the directions of the listening studies (e.g. Gabrielsson & Lindström 2010).
    """
    notes = [note for player in players.values() for note in player.notes if note[0] >= 0]
    onsets = len({round(note[0] / 0.05) for note in notes}) / seconds
    pace = 0.5 * np.log2(tempo / 110) + 0.7 * np.log2(max(onsets, 0.3) / 4.5)
    velocity = np.mean([note[3] for note in notes])
    sung = [note[2] for note in players["lead"].notes] or [66]
    arousal = 0.5 * pace + 0.7 * style.energy + (velocity - 72) / 40
    valence = (
        0.6 * theory.BRIGHTNESS[mode] + 0.6 * style.cheer + 0.25 * pace + (np.mean(sung) - 68) / 60
    )
    return {
        "arousal": round(float(np.tanh(arousal)), 3),
        "valence": round(float(np.tanh(valence)), 3),
        "pace": round(float(pace), 3),
    }
