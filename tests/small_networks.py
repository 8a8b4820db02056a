"""Cheap settings of every network, for tests that run all of them."""

#: Overrides of `mirdl.models.build` with which a forward and backward pass takes well under 1 s.
SMALL = {
    # 1D (lesson 07)
    "dieleman_spectrogram": {"n_outputs": 5, "width": 0.25, "for_seconds": 1.5},
    # 2D (lesson 08)
    "fcn": {"n_outputs": 5, "width": 0.125, "for_seconds": 3},
}
