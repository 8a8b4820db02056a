"""How the embedded data set is made: composed from rules, played by FluidSynth, recorded badly.

Read it in this order: `theory` (chords and scales), `styles` (grooves as text), `artists`
(habits), `parts` (what each player plays), `pieces` (a whole score), `synth` (sound), `effects`
(rooms, noise, codecs), `tags` (labels), `collection` (a folder full of it) and `datasheet`.
"""

from mirdl.compose.collection import SEED, pcm_digest, record_track, render, verify
from mirdl.compose.pieces import compose

__all__ = ["SEED", "compose", "pcm_digest", "record_track", "render", "verify"]
