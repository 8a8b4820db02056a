"""What a network has learned and what it hears, to look at and to listen to (lesson 19).

`taggrams` says what a network says second by second, `filters` what its first filters have become
(lessons 12 and 13), `attribution` which cells of a spectrogram moved an output, `auralisation` what
these sound like. `page` puts it together for any recording: ``mirdl explain``.
"""

from mirdl.explain.attribution import (
    behind_front_end,
    integrated_gradients,
    randomised,
    saliency,
    silence,
    spectrogram,
)
from mirdl.explain.auralisation import as_mask, auralise, deconvolution, heard_through
from mirdl.explain.filters import exciting_inputs, half_power_bands, likeness, power_spectra
from mirdl.explain.taggrams import taggram, top_tags, window_at

__all__ = [
    "as_mask",
    "auralise",
    "behind_front_end",
    "deconvolution",
    "exciting_inputs",
    "half_power_bands",
    "heard_through",
    "integrated_gradients",
    "likeness",
    "power_spectra",
    "randomised",
    "saliency",
    "silence",
    "spectrogram",
    "taggram",
    "top_tags",
    "window_at",
]
