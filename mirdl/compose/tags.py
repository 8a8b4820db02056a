"""What a careful listener would write down, computed from the score and the mix."""

import numpy as np

from mirdl.compose.artists import FAMILIES
from mirdl.compose.synth import SAMPLE_RATE

INSTRUMENTS = tuple(dict.fromkeys(family.tag for family in FAMILIES.values() if family.tag))
GENRES = ("classical", "rock", "electronic", "ambient", "jazz", "pop", "metal", "dance")
MOODS = ("fast", "slow", "loud", "quiet", "sad")

#: A clip carries an instrument's tag where it plays for this many seconds ...
LEAST_SECONDS = 2.0
#: ... drums where they are struck this often ...
LEAST_HITS = 8
#: ... and where it is no more than this many dB below the whole mix.
LEAST_LEVEL = -13.0


def sounding(player, start, end):
    """Seconds of [start, end) in which at least one note of a player is held."""
    spans = sorted(
        (max(a, start), min(b, end)) for a, b, *_ in player.notes if a < end and b > start
    )
    total, reached = 0.0, start
    for a, b in spans:
        total += max(0.0, b - max(a, reached))
        reached = max(reached, b)
    return total


def players_heard(piece, parts, start, end):
    """Names of the parts that can be heard between two times of a piece.

    Parameters
    ----------
    piece : Piece
    parts : dict of str -> ndarray
        The parts as `effects.record` returns them.
    start, end : float
        Seconds.
    """
    window = slice(round(start * SAMPLE_RATE), round(end * SAMPLE_RATE))
    power = {part: float(np.mean(audio[window] ** 2)) for part, audio in parts.items()}
    whole = float(np.mean(sum(audio[window] for audio in parts.values()) ** 2))
    heard = []
    for part, player in piece.players.items():
        if part == "drums":
            enough = sum(start <= note[0] < end for note in player.notes) >= LEAST_HITS
        else:
            enough = sounding(player, start, end) >= LEAST_SECONDS
        if enough and power[part] > whole * 10 ** (LEAST_LEVEL / 10):
            heard.append(part)
    return heard


def track_tags(piece):
    """Tags of genre and mood; they belong to a track and all its clips."""
    chosen = list(piece.style.tags)
    if piece.style.dance:
        chosen.append("dance")
    rules = {
        "fast": piece.pace > 0.75,
        "slow": piece.pace < -0.2,
        "loud": piece.arousal > 0.62,
        "quiet": piece.arousal < -0.2,
        "sad": piece.valence < -0.45,
    }
    return chosen + [tag for tag, holds in rules.items() if holds]


def in_order(names):
    """Tags without repetition in the order of the instruments, genres and moods above."""
    return [tag for tag in (*INSTRUMENTS, *GENRES, *MOODS) if tag in set(names)]


def clip_tags(piece, parts, start, end):
    """All tags of one clip: instruments heard in it, the rest from the track."""
    heard = players_heard(piece, parts, start, end)
    names = [
        FAMILIES[piece.players[part].family].tag for part in heard if part not in ("bass", "drums")
    ]
    return in_order([*names, *(["drums"] if "drums" in heard else []), *track_tags(piece)])
