"""A cast of artists. An artist is a habit: instruments, touch, mix, keys, room, noise and codec."""

from dataclasses import dataclass

import numpy as np

from mirdl.compose.styles import DANCES, STYLES

#: Decibels of each part in a mix before the artist's taste.
BALANCE = {"lead": 0.0, "comp": -3.5, "pad": -6.0, "bass": -4.0, "drums": -3.0}
#: Artists come in blocks of 53; in every block 30 train, 8 validate and 15 test.
BLOCK = {"train": 30, "valid": 8, "test": 15}
TRACKS_PER_ARTIST = 3


@dataclass(frozen=True)
class Family:
    """Sounds that answer to one tag.

    Attributes
    ----------
    tag : str
        The tag that a listener would write down.
    seen, held : tuple of (bank, program)
        Presets of FluidR3 GM. Training and validation artists and half of the test artists play
        `seen` ones only, the other half of the test artists `held` ones only.
    low, high : int
        Register of a lead, MIDI pitches.
    """

    tag: str
    seen: tuple
    held: tuple
    low: int = 60
    high: int = 84


def _presets(text):
    """``"73 8:40"`` -> ``((0, 73), (8, 40))``."""
    pairs = (name.split(":") for name in text.split())
    return tuple((int(pair[0]) if len(pair) == 2 else 0, int(pair[-1])) for pair in pairs)


FAMILIES = {
    "piano": Family("piano", _presets("0 1 3 4"), _presets("2 5 8:4"), 58, 86),
    "guitar": Family("guitar", _presets("24 25 26 27"), _presets("8:24 8:25 8:28"), 52, 78),
    "distorted": Family("guitar", _presets("29 30"), _presets("8:30"), 48, 76),
    "violin": Family("violin", _presets("40 110 8:40"), _presets("41"), 58, 88),
    "strings": Family("strings", _presets("48 49 50"), _presets("44 51 8:48"), 55, 84),
    "flute": Family("flute", _presets("72 73 74 75"), _presets("77 78 79"), 62, 90),
    "brass": Family("brass", _presets("56 57 61 60"), _presets("59 8:61"), 50, 78),
    "sax": Family("sax", _presets("64 65 66"), _presets("67"), 50, 78),
    "vocal": Family("vocal", _presets("52 53 85"), _presets("54"), 55, 79),
    "synth": Family("synth", _presets("80 81 84 87 62 90"), _presets("82 86 8:62 8:80"), 55, 84),
    "pad": Family("synth", _presets("88 89 90 95 99"), _presets("94 93 97"), 55, 79),
    "organ": Family("organ", _presets("16 17 19 20 21"), _presets("18 23 8:16"), 55, 84),
    "harpsichord": Family("harpsichord", _presets("6 7"), _presets("8:6"), 55, 84),
    "sitar": Family("sitar", _presets("104 107"), _presets("106 8:107"), 52, 80),
    "bass": Family("", _presets("32 33 34 35 38"), _presets("36 37 39"), 28, 50),
    "drums": Family(
        "drums", _presets("128:0 128:8 128:16 128:25 128:32"), _presets("128:24 128:40")
    ),
}  # fmt: skip

#: What eight undanced artists play, a track each; dealt like cards so that every split has each.
_REPERTOIRES = (
    "rock metal metal", "metal rock electronic", "pop electronic ambient", "electronic pop rock",
    "ambient newage classical", "classical baroque newage", "jazz folk pop", "raga jazz baroque",
)  # fmt: skip
#: Lead families, common ones more often: the tags get a long tail.
LEADS = (
    "piano", "piano", "guitar", "guitar", "violin", "violin", "flute", "flute", "brass", "sax",
    "vocal", "synth", "organ", "harpsichord", "sitar",
)  # fmt: skip


@dataclass(frozen=True)
class Artist:
    """Everything that the tracks of one artist share; see `cast` for how it is drawn."""

    index: int
    split: str
    styles: tuple
    leads: tuple
    programs: dict
    comp: str
    pad: str
    key_centre: int
    register: int
    tempo_bias: float
    looseness: float
    touch: float
    dynamics: float
    busyness: float
    gate: float
    ornament: float
    thirds: float
    part_gain: dict
    cents: float
    attack: float
    release: float
    brightness: float
    equaliser: tuple
    low_cut: float
    high_cut: float
    room_seconds: float
    room_gain: float
    drive: float
    noise: str
    noise_level: float
    loudness: float
    codec: float

    @property
    def name(self):
        """``a001`` for the first artist."""
        return f"a{self.index + 1:03d}"


def _dealt(deck, rank, *seed):
    """The card of a given rank from an endless deal: the deck is reshuffled each time it is out."""
    order = np.random.default_rng([*seed, rank // len(deck)]).permutation(len(deck))
    return deck[order[rank % len(deck)]]


def placing(index):
    """Split of an artist and its rank (0, 1, …) within that split.

    The three splits are spread evenly over each block, so that a small set has its share of each.
    """
    block, position = divmod(index, sum(BLOCK.values()))
    slots = sorted(
        ((k + 0.5) / size, split, k) for split, size in BLOCK.items() for k in range(size)
    )
    _, split, k = slots[position]
    return split, block * BLOCK[split] + k


def _styles(split, rank, seed):
    """Three styles: a repertoire for every other artist, three dances for the rest."""
    code = list(BLOCK).index(split)
    turn, danced = divmod(rank, 2)
    if not danced:
        return tuple(_dealt(_REPERTOIRES, turn, seed, 1, code).split())
    names = list(DANCES)
    return tuple(_dealt(names, TRACKS_PER_ARTIST * turn + k, seed, 2, code) for k in range(3))


def cast(index, seed):
    """Draw one artist.

    Parameters
    ----------
    index : int
        Number of the artist, from 0; it settles the split.
    seed : int
        Seed of the whole set.

    Returns
    -------
    Artist
        The same for the same arguments, whatever else is rendered.
    """
    split, rank = placing(index)
    code = list(BLOCK).index(split)
    rng = np.random.default_rng([seed, 3, index])
    styles = _styles(split, rank, seed)
    first = _dealt(LEADS, rank, seed, 4, code)
    second = _dealt(LEADS, rank, seed, 5, code)
    if second == first:
        second = str(rng.choice([lead for lead in LEADS if lead != first]))

    unheard = split == "test" and rank // 2 % 2 == 1
    programs = {}
    for name, family in FAMILIES.items():
        choices = family.held if unheard else family.seen
        programs[name] = choices[rng.integers(len(choices))]

    home = STYLES[styles[0]]
    bands = tuple(
        (float(np.exp(rng.uniform(np.log(low), np.log(high)))), float(rng.normal(0, 2.5)), 0.9)
        for low, high in ((80, 250), (250, 800), (800, 2200), (2200, 6000))
    )
    return Artist(
        index=index,
        split=split,
        styles=styles,
        leads=(first, second),
        programs=programs,
        comp=str(rng.choice(home.comps)),
        pad=str(rng.choice(home.pads)),
        key_centre=int(rng.integers(12)),
        register=int(rng.integers(-5, 6)),
        tempo_bias=float(rng.normal(0, 0.5)),
        looseness=float(rng.uniform(0.002, 0.012)),
        touch=float(rng.normal(0, 8)),
        dynamics=float(rng.uniform(4, 12)),
        busyness=float(rng.uniform(-1, 1)),
        gate=float(rng.uniform(0.75, 1.1)),
        ornament=float(rng.uniform(0, 0.2)),
        thirds=float(rng.choice([0, 0, 0.3, 0.8])),
        part_gain={part: float(rng.normal(0, 2)) for part in BALANCE},
        cents=float(rng.normal(0, 15)),
        attack=float(rng.choice([0, 0, 600, 1800])),
        release=float(rng.normal(0, 500)),
        brightness=float(rng.normal(-250, 450)),
        equaliser=bands,
        low_cut=float(np.exp(rng.uniform(np.log(25), np.log(160)))),
        high_cut=float(np.exp(rng.uniform(np.log(5000), np.log(7900)))),
        room_seconds=float(np.exp(rng.uniform(np.log(0.2), np.log(2.2)))),
        room_gain=float(rng.uniform(-22, -6)),
        drive=float(rng.choice([0, 0, 4, 10])),
        noise=str(rng.choice(["white", "pink", "hum", "crackle"])),
        noise_level=float(rng.uniform(-62, -38)),
        loudness=float(np.clip(rng.normal(-21, 4), -32, -13)),
        codec=float(rng.choice([0, 0, 0.7, 0.95])),
    )  # fmt: skip
