"""Eleven undanced styles and eight ballroom dances: tempo, groove, harmony, colour.

A groove is written as text, one character a sixteenth note: 16 in a 4/4 bar, 12 in a 3/4 bar; a
pattern of two bars is twice as long. Drums: a digit is the strength of a hit. Bass: R root,
5 fifth, 3 third, 8 octave, 6 sixth, 7 seventh, a a chromatic step to the next root. Comping:
x the chord, o its lowest note, u the rest, 1 to 4 single voices (an arpeggio). Melody cells: x an
onset.
"""

from dataclasses import dataclass

#: Drum name -> General MIDI percussion key.
DRUMS = {
    "kick": 36, "rim": 37, "snare": 38, "clap": 39, "hat": 42, "pedal": 44, "open": 46,
    "ride": 51, "crash": 49, "low_tom": 45, "mid_tom": 47, "high_tom": 50, "tambourine": 54,
    "cowbell": 56, "high_bongo": 60, "low_bongo": 61, "slap": 62, "conga": 63, "low_conga": 64,
    "timbale": 65, "agogo": 67, "low_agogo": 68, "maracas": 70, "guiro": 73, "scrape": 74,
    "claves": 75, "shaker": 82, "mute_surdo": 86, "surdo": 87,
}  # fmt: skip


@dataclass(frozen=True)
class Style:
    """How a style goes.

    Attributes
    ----------
    tempo : tuple
        Mean, deviation, lowest and highest quarter notes a minute. For the dances the bounds lie
        within those of the Ballroom data set (Gouyon et al. 2006); samba is counted in quarters.
    swing : float
        Where the off-beat eighth falls in its beat: 0.5 is straight, 0.66 a shuffle.
    energy, cheer : float
        What the style alone adds to arousal and valence, about -1 to 1.
    """

    name: str
    tempo: tuple
    modes: dict
    harmony: str
    bass: tuple
    comp: tuple
    melody: tuple
    drums: tuple = ()
    drum_chance: float = 1.0
    meter: int = 4
    swing: float = 0.5
    harmony_bars: int = 1
    gate: float = 0.9
    comp_gate: float = 0.8
    energy: float = 0.0
    cheer: float = 0.0
    comps: tuple = ("piano", "guitar", "organ")
    pads: tuple = ("strings", "pad", "vocal")
    pad_chance: float = 0.4
    tags: tuple = ()
    dance: bool = False


_EVEN = {"major": 5, "minor": 4, "mixolydian": 1, "dorian": 1}

DANCES = {
    "chacha": Style(
        "chacha", (121, 5, 100, 137), {"major": 4, "minor": 5, "dorian": 2}, "latin",
        bass=("R.....5.....8...", "R.....R.....5...", "R.......5...5.8."),
        comp=("x.x..x.x..x.x.x.", "..x...x...x.x.x.", "o.u.o.u.ou.uo.u."),
        melody=("x.x.x.x.....x.x.", "x...x.....x.x.x.", "..x.x.x.x...x.x.", "x...........x.x."),
        drums=(
            {"cowbell": "7...5...7...5...", "guiro": "....4.4.....4.4.",
             "scrape": "6.......6.......",
             "conga": "............7.7.", "slap": "....7...3.......", "kick": "6.....4.........",
             "snare": "............5.5."},
            {"cowbell": "6...6...6...6...", "maracas": "6.4.6.4.6.4.6.4.",
             "timbale": "5...........6.6.",
             "claves": "....7...7.......7.....7.....7...", "low_conga": "..............6.",
             "conga": "............7...", "slap": "....6...........", "kick": "7.............5."},
        ),
        gate=0.6, comp_gate=0.45, energy=0.25, cheer=0.4, dance=True,
    ),
    "jive": Style(
        "jive", (166, 7, 128, 182), {"major": 7, "mixolydian": 3, "minor": 2}, "blues", swing=0.64,
        bass=("R...3...5...6...", "R...8...7...5...", "R...3...5...6...7...6...5...3..."),
        comp=("x...x...x...x...", "....x.......x...", "x.u.x.u.x.u.x.u."),
        melody=("x.x.x...x.x.x...", "x...x.x.....x.x.", "..x.x.x.x.......", "x.x...x.x...x..."),
        drums=(
            {"ride": "7...7..57...7..5", "snare": "....7.......7...", "kick": "7.......7......."},
            {"hat": "7...5..67...5..6", "snare": "....8.......8...", "kick": "7.....5.7......."},
            {"ride": "6...8..46...8..4", "snare": "....6..3....6..3", "kick": "6...6...6...6...",
             "tambourine": "....4.......4..."},
        ),
        comp_gate=0.5, energy=0.5, cheer=0.5, tags=("rock",), dance=True,
    ),
    "quickstep": Style(
        "quickstep", (203, 5, 189, 216), {"major": 8, "minor": 3}, "jazz", swing=0.62,
        bass=("R.......5.......", "R...3...5...a...", "R.......5...a..."),
        comp=("....x.......x...", "x.....x.........", "o...u...o...u..."),
        melody=("x...x...x.......", "x.......x...x...", "..x...x...x.x...", "x.....x.....x..."),
        drums=(
            {"ride": "6...7..46...7..4", "pedal": "....6.......6...", "kick": "5.......5.......",
             "snare": "....3.......3..4"},
            {"hat": "....7.......7...", "snare": "3...5..33...5..3", "kick": "6.......6......."},
        ),
        comp_gate=0.35, energy=0.35, cheer=0.5, tags=("jazz",), dance=True,
    ),
    "rumba": Style(
        "rumba", (101, 6, 80, 130), {"major": 4, "minor": 6}, "latin",
        bass=("R.......5...8...", "R.....5.8.......", "R...........5..."),
        comp=("x.....x.x...x...", "1.2.3.2.4.3.2.3.", "..x...x...x...x.", "x...u.u.x...u.u."),
        melody=("x.......x.x.x...", "x.....x.x.......", "..x.x.x.x.......", "x.........x.x.x."),
        drums=(
            {"high_bongo": "6.3.4.3.6.3.4...", "low_bongo": "..............6.",
             "maracas": "5.4.5.4.5.4.5.4.",
             "claves": "6.....6.....6.......6...6.......", "low_conga": "............6.6."},
            {"rim": "6.....6.....6.......6...6.......", "maracas": "5.3.5.3.5.3.5.3.",
             "kick": "6.....4.........",
             "conga": "............6.6.", "slap": "....5..........."},
        ),
        gate=0.95, energy=-0.2, cheer=0.0, dance=True,
    ),
    "samba": Style(
        "samba", (101, 6, 88, 116), {"major": 7, "minor": 3, "mixolydian": 2}, "latin",
        bass=("R..55..5R..55..5", "R..R5..5R..R5..5", "R.....5.5.....R."),
        comp=("x.x..x.x.x..x.x.", "x..x..x.x..x.x..", ".x.x..x..x.x..x."),
        melody=("x.xx.x.x........", "..xx.xx.x..x....", "x..x..x.x.x.....", "x.x.x..x..x.x.x."),
        drums=(
            {"surdo": "....8.......8..4", "mute_surdo": "5.......5.......",
             "shaker": "6335633563356335",
             "agogo": "6.6...6.....6.6.", "low_agogo": "....6..6.6......",
             "snare": "5..53.5.3..53.5."},
            {"kick": "6..47..46..47..4", "surdo": "....7.......7...",
             "tambourine": "6346634663466346",
             "rim": "6.6.66.6.6.66.6.", "hat": "4.4.4.4.4.4.4.4."},
        ),
        gate=0.6, comp_gate=0.5, energy=0.4, cheer=0.6, dance=True,
    ),
    "tango": Style(
        "tango", (127, 4, 112, 135), {"minor": 8, "major": 3}, "classical",
        bass=("R...5...R...5...", "R.....5.R...5..a", "R...R...R...R..."),
        comp=("x...x...x...x...", "x..x..x.x...x...", "x..x..x.x..x..x.", "x...u...x...u.x."),
        melody=("x.xxx.x.x...x...", "x...x.x.x.xxx...", "x.......x.x.x.x.", "x..x..x.x......."),
        drums=({"snare": "6...5...6...5.56", "kick": "6.......6......."},
               {"snare": "5..5..5.5...4...", "kick": "7.......7.......",
                "tambourine": "....4.......4..."}),
        drum_chance=0.4, gate=0.55, comp_gate=0.3, energy=0.1, cheer=-0.2, dance=True,
        comps=("organ", "piano", "guitar", "strings"),
    ),
    "viennese": Style(
        "viennese", (178, 5, 161, 185), {"major": 8, "minor": 3}, "classical", meter=3,
        bass=("R...........", "R...........5..........."),
        comp=("....x...x...", "o...u...u...", "....x..x...."),
        melody=("x...........", "x...x...x...", "x.......x...", "x.x.x.x.x.x."),
        drums=({"kick": "7...........", "snare": "....4...4..."},
               {"kick": "6...........", "ride": "4...5...5...", "tambourine": "....3...3..."}),
        drum_chance=0.55, comp_gate=0.4, energy=0.15, cheer=0.3, tags=("classical",), dance=True,
    ),
    "waltz": Style(
        "waltz", (87, 5, 78, 106), {"major": 7, "minor": 5}, "pop", meter=3,
        bass=("R...........", "R.......5...", "R.....5.8..."),
        comp=("....x...x...", "1.2.3.4.3.2.", "x...u.u.u.u.", "o...u...u..."),
        melody=("x...........", "x.......x...", "x.....x.x.x.", "x.x.x.x....."),
        drums=({"kick": "5...........", "hat": "....5...5.3.", "ride": "5...4...4..."},
               {"kick": "6.........3.", "rim": "....5...5...", "hat": "5.3.5.3.5.3."}),
        drum_chance=0.7, gate=1.0, comp_gate=0.9, energy=-0.3, cheer=0.1, dance=True,
        pad_chance=0.6,
    ),
}  # fmt: skip

UNDANCED = {
    "classical": Style(
        "classical", (96, 26, 54, 160), {"major": 6, "minor": 5}, "classical",
        bass=("R...............", "R.......5.......", "R...3...5...3..."),
        comp=("1.3.2.3.1.3.2.3.", "x.......x.......", "1.2.3.4.3.2.3.2.", "x...x...x...x..."),
        melody=("x...x...x...x...", "x.....x.x.......", "x.x.x.x.x.......", "x...x.x.x.x.x.x."),
        gate=0.95, energy=-0.3, tags=("classical",), comps=("piano", "strings", "guitar"),
        pads=("strings",), pad_chance=0.5,
    ),
    "baroque": Style(
        "baroque", (104, 16, 72, 138), {"major": 5, "minor": 6}, "classical",
        bass=("R...3...5...3...", "R.3.5.3.8.5.3.5.", "R.......5......."),
        comp=("x...x...x...x...", "1.2.3.2.1.2.3.2.", "x.......x......."),
        melody=("x.xxx.xxx.xxx.x.", "xxxxx.x.xxxxx.x.", "x...x.x.x.xxx...", "x.x.x.x.x.x.x.x."),
        gate=0.7, comp_gate=0.6, energy=0.0, cheer=0.1, tags=("classical",),
        comps=("harpsichord", "organ", "harpsichord"), pads=("strings",),
    ),
    "ambient": Style(
        "ambient", (72, 10, 52, 96), {"major": 4, "minor": 4, "dorian": 3}, "drift", harmony_bars=2,
        bass=("R...............", "................"),
        comp=("1...3...2...4...", "x...............", "1.....2.....3..."),
        melody=("x...............", "x.......x.......", "........x.......", "................"),
        drums=({"shaker": "3...3...3...3...", "kick": "4..............."},), drum_chance=0.2,
        gate=1.1, comp_gate=1.4, energy=-0.7, tags=("electronic", "ambient"),
        comps=("pad", "synth", "piano"), pads=("pad", "vocal", "pad", "strings"), pad_chance=1.0,
    ),
    "newage": Style(
        "newage", (82, 14, 58, 116), {"major": 6, "dorian": 3, "minor": 3}, "drift",
        bass=("R...............", "R.......5......."),
        comp=("1.2.3.4.3.2.3.2.", "1.2.3.2.4.2.3.2.", "1...2...3...4..."),
        melody=("x.......x.......", "x...x...x.......", "x.....x.x.......", "..x.x.x.x......."),
        drums=({"shaker": "4.3.4.3.4.3.4.3.", "low_conga": "5.....4.5......."},), drum_chance=0.2,
        gate=1.05, comp_gate=1.6, energy=-0.5, cheer=0.2, tags=("ambient",),
        comps=("piano", "guitar", "sitar"), pads=("pad", "strings", "vocal"), pad_chance=0.8,
    ),
    "rock": Style(
        "rock", (122, 16, 88, 164), {"major": 3, "mixolydian": 4, "minor": 4}, "pop",
        bass=("R.R.R.R.R.R.R.R.", "R.....R.R.R.....", "R...R.R.8.5.R..."),
        comp=("x.x.x.x.x.x.x.x.", "x.....x.x...x.x.", "x..x..x.x..x..x."),
        melody=("x.x.x.x.x.......", "..x.x.x.x.x.....", "x...x.x...x.x...", "x.......x.x.x.x."),
        drums=({"hat": "7.5.7.5.7.5.7.5.", "snare": "....9.......9...", "kick": "8.....6.8......."},
               {"ride": "7...7...7...7...", "snare": "....9.......9..4",
                "kick": "8..5..6.8.6....."},
               {"open": "6...6...6...6...", "snare": "....9.......9...",
                "kick": "8.8...6...8....."}),
        energy=0.6, tags=("rock",), comps=("distorted", "distorted", "guitar", "organ"),
        pad_chance=0.15,
    ),
    "metal": Style(
        "metal", (148, 24, 100, 200), {"minor": 5, "phrygian": 5}, "power",
        bass=("R.RRR.RRR.RRR.RR", "RRRRRRRRRRRRRRRR", "R..R..R.R..R..R."),
        comp=("x.ooo.oox.ooo.oo", "xoooxoooxoooxooo", "x..x..x.x..x..x.", "x.......x...x..."),
        melody=("xxxxxxxxxxxxxxxx", "x...x...x.x.x...", "x.xxx.xxx.xxx.xx", "x.......x......."),
        drums=({"kick": "8888888888888888", "snare": "....9.......9...",
        "ride": "7...7...7...7..."},
               {"kick": "8.88..8.8.88..8.", "snare": "....9.......9...",
                "open": "7...7...7...7..."},
               {"kick": "8...8...8...8...", "snare": "..9...9...9...9.",
                "hat": "7.7.7.7.7.7.7.7."}),
        comp_gate=0.7, energy=1.0, cheer=-0.5, tags=("rock", "metal"), comps=("distorted",),
        pads=("vocal", "pad"), pad_chance=0.2,
    ),
    "pop": Style(
        "pop", (108, 14, 78, 138), {"major": 7, "minor": 4}, "pop",
        bass=("R.....R.R.......", "R...R...R...R...", "R..R....R..5...."),
        comp=("x...x...x...x...", "x..x..x...x.x...", "1.2.3.2.1.2.3.2.", "x.......x......."),
        melody=("x.x.x...x.x.....", "..x.x.x.x...x...", "x..x..x.x.......", "x.x.x.x.....x.x."),
        drums=({"hat": "6.4.6.4.6.4.6.4.", "snare": "....7.......7...", "kick": "8.....5.8......."},
               {"hat": "6363636363636363", "clap": "....7.......7...", "kick": "8..5....8.5....."},
               {"shaker": "5353535353535353", "rim": "....6.......6...",
                "kick": "7.....4.7......."}),
        energy=0.2, cheer=0.4, tags=("pop",), comps=("piano", "guitar", "guitar", "synth"),
        pad_chance=0.5,
    ),
    "electronic": Style(
        "electronic", (128, 12, 96, 174), {"minor": 7, "major": 2, "dorian": 3}, "pop",
        harmony_bars=2,
        bass=("..R...R...R...R.", "R.R.RR.RR.R.RR.R", "RRRRRRRRRRRRRRRR", "R..R..R.R..R..R."),
        comp=("1234123412341234", "x..x..x...x..x..", "..x...x...x...x.", "1.2.4.3.1.2.4.3."),
        melody=("x..x..x.x..x..x.", "x.......x.......", "x.xx.x.xx.xx.x.x", "................"),
        drums=({"kick": "9...9...9...9...", "open": "..6...6...6...6.", "clap": "....7.......7..."},
               {"kick": "9.....6...9.....", "snare": "....8..4.4..8...", "hat": "6463646364636463"},
               {"kick": "9...9...9...9...", "hat": "3363336333633363", "rim": "...5..5....5..5."}),
        gate=0.6, comp_gate=0.5, energy=0.5, tags=("electronic",), comps=("synth", "synth", "pad",
        "piano"),
        pads=("pad",), pad_chance=0.6,
    ),
    "folk": Style(
        "folk", (112, 18, 80, 152), {"major": 6, "mixolydian": 3, "dorian": 3}, "modal",
        bass=("R.......5.......", "R...5...R...5...", "................"),
        comp=("o...u.u.o...u.u.", "1.3.2.3.1.4.2.3.", "o.u.o.u.o.u.o.u."),
        melody=("x.x.x.x.x.x.x...", "x...x.x.x...x.x.", "x.x.x...x.x.x...", "x.......x.x.x.x."),
        drums=({"tambourine": "....5.......5...", "kick": "6.......6......."},
               {"snare": "..4.5.4...4.5.4.", "kick": "6.......6......."}), drum_chance=0.45,
        energy=0.0, cheer=0.3, comps=("guitar", "guitar", "sitar", "organ"), pad_chance=0.2,
    ),
    "jazz": Style(
        "jazz", (134, 30, 72, 208), {"major": 6, "minor": 4, "dorian": 2}, "jazz", swing=0.64,
        bass=("R...3...5...a...", "R...5...3...a...", "R...3...5...8...7...5...3...a..."),
        comp=("x.....x.........", "......x.......x.", "..x.......x.....", "x.........x..x.."),
        melody=("x.x.x.x.x.......", "..x.x.x...x.x.x.", "x.....x.x.x.....", "x..x..x.x.x.x.x."),
        drums=({"ride": "6...7..56...7..5", "pedal": "....5.......5...",
        "kick": "3.......3......."},
               {"ride": "6...7..56...7..5", "pedal": "....5.......5...",
                "snare": "......3.....4..3"}),
        drum_chance=0.8, comp_gate=0.5, energy=0.0, cheer=0.1, tags=("jazz",),
        comps=("piano", "guitar", "organ"), pad_chance=0.1,
    ),
    "raga": Style(
        "raga", (98, 18, 64, 140), {"phrygian": 4, "mixolydian": 3, "dorian": 4}, "modal",
        harmony_bars=4,
        bass=("R.......5.......", "................"),
        comp=("1.......3...1...", "o...u...o...u...", "1..2..3.1..2..3."),
        melody=("x.xxx...x.xxx...", "x...x.xxx.......", "x.x.x.x.xxxxx...", "x.......x.xxx.x."),
        drums=({"low_conga": "6.....5.6...5...", "high_bongo": "..5.5...5.5.5.55"},
               {"low_bongo": "6...4.4.6...4.4.", "conga": "......6.......6."}), drum_chance=0.7,
        gate=1.0, comp_gate=1.5, energy=-0.1, cheer=-0.1, comps=("sitar", "sitar", "guitar"),
        pads=("organ", "pad"), pad_chance=0.5,
    ),
}  # fmt: skip

STYLES = DANCES | UNDANCED
