"""What a network has learned and what it hears, to look at and to listen to (lesson 19).

`taggrams` says what a network says second by second, `filters` what its first filters have become
(lessons 12 and 13), `attribution` which cells of a spectrogram moved an output.
"""

from mirdl.explain.attribution import (
    behind_front_end,
    integrated_gradients,
    randomised,
    saliency,
    silence,
    spectrogram,
)
from mirdl.explain.filters import exciting_inputs, half_power_bands, likeness, power_spectra
from mirdl.explain.taggrams import taggram, top_tags

__all__ = [
    "behind_front_end",
    "exciting_inputs",
    "half_power_bands",
    "integrated_gradients",
    "likeness",
    "power_spectra",
    "randomised",
    "saliency",
    "silence",
    "spectrogram",
    "taggram",
    "top_tags",
]
