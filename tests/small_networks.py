"""Cheap settings of every network, for tests that run all of them."""

#: Overrides of `mirdl.models.build` with which a forward and backward pass takes well under 1 s.
SMALL = {
    # 1D (lesson 07)
    "dieleman_spectrogram": {"n_outputs": 5, "width": 0.25, "for_seconds": 1.5},
    "spotify_cnn": {"n_outputs": 5, "width": 0.125, "for_seconds": 7},
    "local_cnn": {"n_outputs": 5, "width": 0.25, "n_frames": 40},
    "multi_level_multi_scale": {
        "n_outputs": 5,
        "width": 0.125,
        "for_seconds": 2,
        "frames": [27, 81],
    },
    # 2D (lesson 08)
    "fcn": {"n_outputs": 5, "width": 0.125, "for_seconds": 3},
    "fcn4": {"n_outputs": 5, "width": 0.0625, "for_seconds": 3},
    "fcn5": {"n_outputs": 5, "width": 0.0625, "for_seconds": 3},
    "choi_cnn": {"n_outputs": 5, "width": 0.25, "for_seconds": 3},
    "compact_cnn": {"n_outputs": 5, "width": 0.5, "for_seconds": 3},
    "vgg": {"n_outputs": 5, "width": 0.125, "for_seconds": 1.5},
    "short_chunk_cnn": {"n_outputs": 5, "width": 0.125, "for_seconds": 2.6},
    "short_chunk_res": {"n_outputs": 5, "width": 0.125, "for_seconds": 2},
    # Rhythm (lesson 09)
    "black_box": {"n_outputs": 5, "width": 0.25, "front_end": "mel40"},
    "time": {"n_outputs": 5, "width": 0.25, "front_end": "mel40"},
    "frequency": {"n_outputs": 5, "width": 0.25, "front_end": "mel40"},
    "time_frequency": {"n_outputs": 5, "width": 0.25, "front_end": "mel40"},
    "o_net": {"n_outputs": 5, "width": 0.25, "front_end": "mel40"},
    "p_net": {"n_outputs": 5, "front_end": "mel40", "for_seconds": 7},
    "o_net_p_net": {"n_outputs": 5, "front_end": "mel40", "for_seconds": 7},
    # Timbre (lesson 10)
    "timbre_cnn": {"n_outputs": 5, "width": 0.25, "for_seconds": 1},
    "small_rectangular": {"n_outputs": 5, "width": 0.5, "for_seconds": 1.5},
    "irmas_single": {"n_outputs": 5, "width": 0.125},
    "irmas_multi": {"n_outputs": 5, "width": 0.125},
    "han2016": {"n_outputs": 5, "width": 0.125},
    "jingju_phoneme": {"n_outputs": 5, "width": 0.125},
    "musicnn_timbre": {"n_outputs": 5, "width": 0.25, "for_seconds": 1},
    "musicnn": {"n_outputs": 5, "width": 0.125, "for_seconds": 1},
    "spectrogram_at_scale": {"n_outputs": 5, "width": 0.125, "for_seconds": 2},
    # Recurrence and attention (lesson 11)
    "rnn": {"n_outputs": 5, "width": 0.125, "for_seconds": 1},
    "crnn": {"n_outputs": 5, "width": 0.125, "for_seconds": 4},
    "k1c2": {"n_outputs": 5, "width": 0.125, "for_seconds": 3},
    "k2c1": {"n_outputs": 5, "width": 0.125, "for_seconds": 3},
    "k2c2": {"n_outputs": 5, "width": 0.125, "for_seconds": 3},
    "self_attention": {"n_outputs": 5, "width": 0.125, "for_seconds": 2},
    # Waveforms (lessons 12 and 13)
    "dieleman_raw": {"n_outputs": 5, "width": 0.25, "for_seconds": 1.5},
    "frame_level_many_shapes": {"n_outputs": 5, "width": 0.125, "for_seconds": 0.5},
    "sample_cnn": {"n_outputs": 5, "width": 0.125, "for_seconds": 1},
    "sample_cnn_se": {"n_outputs": 5, "width": 0.125, "for_seconds": 1},
    "waveform_at_scale": {"n_outputs": 5, "width": 0.125},
    # Learned front ends (lesson 14)
    "harmonic_cnn": {"n_outputs": 5, "width": 0.125, "for_seconds": 2},
    "sinc_net": {"n_outputs": 5, "width": 0.25, "for_seconds": 1.5},
    # Few data (lesson 16)
    "vgg_small": {"n_outputs": 5, "width": 0.25},
    "timbre_small": {"n_outputs": 5, "width": 0.25},
    "sb_cnn": {"n_outputs": 5, "width": 0.25},
    "prototypical": {"n_outputs": 5, "width": 0.125},
    # Framewise (lesson 18)
    "context_dnn": {"n_outputs": 5, "width": 0.125, "for_seconds": 2},
    "frame_cnn": {"n_outputs": 5, "width": 0.125, "for_seconds": 2},
    "onset_cnn": {"n_outputs": 5, "width": 0.125, "for_seconds": 2},
    "frame_blstm": {"n_outputs": 5, "width": 0.125, "for_seconds": 2},
}
