"""The table of `mirdl models`: every published parameter count beside ours.

A row is a network as one paper describes it. The counts are trainable parameters; where a paper
prints "75k", rounding or cutting our count to the printed digits must give it.
"""

import inspect
from dataclasses import dataclass, field
from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal

import torch

from mirdl import models

CBMI = "Pons et al., CBMI 2016; thesis Table 3.1"
ICASSP = "Pons & Serra, ICASSP 2017, Table 1; thesis Table 3.2"
EUSIPCO = "Pons et al., EUSIPCO 2017; thesis Table 3.5"
IRMAS = "Pons et al., EUSIPCO 2017; thesis Table 3.4"
JINGJU = "Pons et al., EUSIPCO 2017; thesis Table 3.3"
SCALE_WAVE = "Pons et al., ISMIR 2018; thesis Table 5.2"
SCALE_SPEC = "Pons et al., ISMIR 2018; thesis Table 5.3"
SCALE_ALL = "Pons et al., ISMIR 2018; thesis section 5.4"
MUSICNN = "Pons & Serra, ISMIR 2019 (musicnn-training)"
KIM_2018 = "Kim et al., ICASSP 2018 (authors' code)"
KIM_2019 = "Kim et al., JSTSP 2019 (authors' code)"
SMC = "Won et al., SMC 2020"
FEW = "Pons et al., ICASSP 2019; thesis section 6.3"
CHOI = "Choi et al., ISMIR 2016"


@dataclass(frozen=True)
class Row:
    """A network of a paper and the number of parameters that the paper prints.

    Attributes
    ----------
    name : str
        As in `mirdl.models.build`.
    source : str
        Paper and table.
    published : int, str or None
        The exact number, the digits that are printed ("75k", "2.4M"), or None.
    overrides : dict
        Of `mirdl.models.build`.
    n_outputs : int
    note : str
        What the paper leaves open, or why the counts differ.
    """

    name: str
    source: str
    published: int | str | None = None
    overrides: dict = field(default_factory=dict)
    n_outputs: int = 50
    note: str = ""

    def build(self):
        """Build the network without memory for its weights, in no time."""
        with torch.device("meta"):
            return models.build(self.name, self.n_outputs, **self.overrides)

    def described(self):
        """Return the line of `mirdl models`: dict of str, its columns in order."""
        model = self.build()
        count = models.n_parameters(model)
        settings = " ".join(f"{name}={_short(value)}" for name, value in self.overrides.items())
        published = f"{self.published:,}" if isinstance(self.published, int) else self.published
        return {
            "name": " ".join([self.name, settings]).strip(),
            "input": _input(model),
            "outputs": str(self.n_outputs),
            "parameters": f"{count:,}",
            "published": published or "",
            "verdict": self.verdict(count),
            "source": self.source,
        }

    def verdict(self, count):
        """Return "exact", "rounds to it", "ambiguous: …", "no count published" or "differs".

        Parameters
        ----------
        count : int
            Our number of trainable parameters.
        """
        if self.published is None:
            return "no count published"
        if count == self.published:
            return "exact"
        if isinstance(self.published, str) and agrees(count, self.published):
            return "rounds to it"
        return f"ambiguous: {self.note}" if self.note else "differs"


def described(names=()):
    """Return the whole table, or the rows of some networks, as `mirdl models` prints it.

    Parameters
    ----------
    names : sequence of str
        Of `mirdl.models.NETWORKS`; none for all.

    Returns
    -------
    list of dict of str
        A network of which no paper prints a count has a row for its default.
    """
    known = {row.name for row in ROWS}
    others = [Row(name, _source(name)) for name in models.NETWORKS if name not in known]
    order = {name: i for i, name in enumerate(models.NETWORKS) if not names or name in names}
    rows = [row for row in [*ROWS, *others] if row.name in order]
    return [row.described() for row in sorted(rows, key=lambda row: order[row.name])]


def _source(name):
    """Return the first line of a network's docstring, which names its paper."""
    return inspect.getdoc(models.network(name)).splitlines()[0]


def _short(value):
    if isinstance(value, tuple | list):
        return "x".join(map(str, value))
    return str(value)


def _input(model):
    rate = f"{model.sample_rate / 1000:g} kHz"
    if model.n_samples is None:
        return f"any length, {rate}"
    text = f"{model.n_samples:,} at {rate}"
    n_mels = getattr(model.front_end, "n_mels", None)
    return f"{text}: {n_mels} x {model.n_frames:,}" if n_mels else text


def agrees(count, printed):
    """Say whether a count, rounded or cut to the printed digits, is the printed number.

    Parameters
    ----------
    count : int
    printed : str
        Such as "75k" or "2.4M".

    Examples
    --------
    >>> agrees(74_526, "75k"), agrees(5_377_082, "5.3M"), agrees(17_365_938, "22M")
    (True, True, False)
    """
    number, unit = Decimal(printed[:-1]), {"k": 1_000, "M": 1_000_000}[printed[-1]]
    ours = Decimal(count) / unit
    return any(
        ours.quantize(number, rounding) == number for rounding in (ROUND_DOWN, ROUND_HALF_UP)
    )


_GRID = "the length, stride and number of filters behind the printed 194k are in no text"
_LESS = "the text says that only the first layer grows; the count then differs from the printed one"
_BOTH = "the printed 22M is matched by none of the network's published forms"
_POOL = "the text's pools and shapes give other counts than the printed one"
_29 = "the text says 32 classes; only valid convolution and 29 classes give the printed count"
_KERNEL = "2.4M is the form whose last convolution has 3 samples"
_AXIS = "the printed count is that of other channels, its input normalised by frame"

ROWS = [
    # Rhythm (lesson 09)
    Row("black_box", CBMI, 3_275_312, {}, 8),
    Row("black_box", CBMI, 2_363_440, {"kernel": (12, 200), "n_frames": 250}, 8),
    Row("time", CBMI, 7_336, {}, 8),
    Row("time", CBMI, 19_496, {"length": 200, "n_frames": 250}, 8),
    *(
        Row("frequency", CBMI, count, {"bins": bins}, 8)
        for bins, count in zip(
            (30, 32, 34, 36, 38, 40), (3_816, 3_368, 2_920, 2_472, 2_024, 1_576), strict=True
        )
    ),
    Row("time_frequency", CBMI, 196_816, {}, 8),
    Row("o_net", ICASSP, 4_188, {}, 8),
    Row("p_net", ICASSP, 7_428, {}, 8),
    Row("o_net", ICASSP, 8_368, {"multiple": 2}, 8),
    Row("p_net", ICASSP, 14_848, {"multiple": 2}, 8),
    Row("o_net_p_net", ICASSP, 11_608, {}, 8),
    Row("o_net_p_net", ICASSP, 23_208, {"multiple": 2}, 8),
    Row("o_net_p_net", ICASSP, 46_408, {"multiple": 4}, 8),
    Row("o_net_p_net", ICASSP, 92_808, {"multiple": 8}, 8),
    # Dieleman & Schrauwen (lessons 07 and 12)
    Row("dieleman_spectrogram", "Dieleman & Schrauwen, ICASSP 2014; thesis Table 3.5", "75k"),
    Row(
        "dieleman_spectrogram",
        f"{MUSICNN} #0",
        "66k",
        {"front_end": "mel96_log", "input_norm": True},
    ),
    *(
        Row(
            "dieleman_raw",
            "Dieleman & Schrauwen, ICASSP 2014, Table 1; thesis Table 5.2",
            "194k",
            {"length": length, "stride": stride},
            note=_GRID,
        )
        for length, stride in ((1024, 512), (512, 512), (512, 256), (256, 256))
    ),
    # Timbre (lesson 10)
    Row("timbre_cnn", EUSIPCO, "75k"),
    Row("timbre_cnn", EUSIPCO, "191k", {"multiple": 2}),
    Row("timbre_cnn", EUSIPCO, "565k", {"multiple": 4}),
    Row("timbre_cnn", EUSIPCO, "191k", {"multiple": 2, "back_filters": 32}, note=_LESS),
    Row("timbre_cnn", EUSIPCO, "565k", {"multiple": 4, "back_filters": 32}, note=_LESS),
    Row("small_rectangular", EUSIPCO, "75k", note="the paper calls all three of its networks 75k"),
    Row("irmas_single", IRMAS, "62k", {}, 11),
    Row("irmas_single", IRMAS, "62k", {"bins": (50, 70)}, 11, note=_POOL),
    Row("irmas_single", IRMAS, "62k", {"pool": (96, 16)}, 11, note=_POOL),
    Row("irmas_single", IRMAS, "62k", {"bins": (50, 70), "pool": (96, 16)}, 11, note=_POOL),
    Row("irmas_multi", IRMAS, "743k", {}, 11, note="743k counts the running statistics too"),
    Row("irmas_multi", IRMAS, "743k", {"pool": (12, 16)}, 11, note=_POOL),
    Row("han2016", "Han et al., TASLP 2017; thesis Table 3.4", "1446k", {}, 11),
    Row("jingju_phoneme", JINGJU, "222k", {}, 29),
    Row("jingju_phoneme", JINGJU, "222k", {}, 32, note=_29),
    Row("jingju_phoneme", JINGJU, "222k", {"padding": "same"}, 29, note=_29),
    Row("jingju_phoneme", JINGJU, "222k", {"padding": "same"}, 32, note=_29),
    # 2D (lesson 08)
    Row("fcn", SMC, 447_732),
    Row("choi_cnn", f"{CHOI} (authors' code)", 865_950),
    Row(
        "choi_cnn",
        f"{CHOI} (authors' code)",
        865_950,
        {"channels": (64, 128, 128, 128, 64), "input_norm": "bins"},
        note=_AXIS,
    ),
    Row(
        "choi_cnn",
        f"{CHOI} (authors' code)",
        865_950,
        {"input_norm": "bins"},
        note=_AXIS,
    ),
    Row("fcn4", f"{CHOI}, Table 1; thesis Table 5.2", "22M", note=_BOTH),
    Row("fcn5", f"{CHOI}, Table 1; thesis Table 5.2", "22M", note=_BOTH),
    Row("compact_cnn", "Choi et al., ISMIR 2017 (transfer learning)"),
    Row("vgg", f"{MUSICNN} #1", "40k", {"filters": 32}),
    Row("vgg", f"{MUSICNN} #2", "605k"),
    Row("short_chunk_cnn", SMC, 3_687_348),
    Row("short_chunk_res", SMC, 12_104_244),
    # musicnn and its back ends (lessons 10 and 11)
    Row("musicnn", SMC, 784_300),
    Row("musicnn_timbre", f"{MUSICNN} #3", "185k"),
    Row(
        "musicnn_timbre",
        f"{MUSICNN}; thesis Table 5.3",
        "220k",
        {"multiple": 2},
        note="published is rounded to 220k; ours is 222,528",
    ),
    Row("musicnn", f"{MUSICNN} #11", "787k", {"version": "ismir2019"}),
    *(
        Row("musicnn", f"{MUSICNN} {number}", count, {"version": "ismir2019", "back_end": kind})
        for number, kind, count in (
            ("#10", "residual", "508k"),
            ("#12", "attention", "2.4M"),
            ("#13", "autopool", "636k"),
            ("#14", "rnn", "3.8M"),
        )
    ),
    Row("musicnn", f"{MUSICNN}, MSD_musicnn_big", None, {"version": "ismir2019_big"}),
    # At scale (lessons 10, 13 and 22)
    *(
        Row("waveform_at_scale", SCALE_WAVE, count, {"multiple": multiple})
        for multiple, count in ((4, "11.8M"), (2, "7M"), (1, "5.3M"), (0.5, "4.7M"), (0.25, "4.4M"))
    ),
    *(
        Row(
            "waveform_at_scale",
            SCALE_WAVE,
            count,
            {"multiple": 2, "back_filters": filters, "hidden": hidden},
        )
        for filters, hidden, count in (
            (64, 500, "1.3M"), (64, 200, "1.3M"), (128, 500, "1.8M"), (128, 200, "1.7M"),
            (256, 500, "3.1M"), (256, 200, "2.9M"), (512, 200, "6.7M"),
        )
    ),
    Row("waveform_at_scale", SCALE_ALL, "5.5M", {"stacks": 9, "for_seconds": 15}, 139),
    *(
        Row("spectrogram_at_scale", SCALE_SPEC, count, {"filters": filters})
        for filters, count in ((2, "4.4M"), (4, "4.6M"), (8, "5M"), (16, "5.9M"), (32, "7.6M"))
    ),
    *(
        Row(
            "spectrogram_at_scale",
            SCALE_SPEC,
            count,
            {"filters": 8, "back_filters": filters, "hidden": hidden},
        )
        for filters, hidden, count in (
            (64, 500, "277k"), (64, 200, "222k"), (128, 500, "617k"), (128, 200, "524k"),
            (256, 500, "1.6M"), (256, 200, "1.4M"), (512, 200, "4.7M"),
        )
    ),
    Row("spectrogram_at_scale", SCALE_ALL, "5.9M", {"for_seconds": 15}, 139),
    # Recurrence and attention (lesson 11)
    Row("crnn", SMC, 394_100),
    Row("crnn", "Choi et al., ICASSP 2017 (authors' code)", 396_786, {"version": "keras"}),
    Row("self_attention", SMC, 10_521_652),
    # SampleCNN (lesson 13)
    Row("sample_cnn", SMC, 1_869_874),
    Row("sample_cnn", "Lee et al., SMC 2017; thesis Table 5.2", "2.4M", {"last_kernel": 3}),
    Row("sample_cnn", "Lee et al., SMC 2017; thesis Table 5.2", "2.4M", note=_KERNEL),
    *(
        Row("sample_cnn", KIM_2018, None, {"block": block, "multi_level": multi_level})
        for block in ("basic", "se", "res", "rese")
        for multi_level in (False, True)
        if block != "basic" or multi_level
    ),
    *(
        Row("sample_cnn", KIM_2019, None, {"multi_level": True, "amplify": 1 / 8, **block})
        for block in ({"block": "se"}, {"block": "rese", "n_convs": 1}, {"block": "rese"})
    ),
    Row("sample_cnn_se", SMC, 6_951_858),
    # Learned front ends (lesson 14)
    Row("harmonic_cnn", SMC, 3_631_551),
    # Few data (lesson 16)
    Row("vgg_small", FEW, "50k", {}, 10, note="the paper prints about 50k"),
    Row("vgg_small", FEW, "50k", {}, 15, note="the paper prints about 50k"),
    Row("timbre_small", FEW, "10k", {}, 10, note="the paper prints about 10k"),
    Row("timbre_small", FEW, "10k", {}, 15, note="the paper prints about 10k"),
    Row("sb_cnn", FEW, "250k", {}, 10, note="the paper prints about 250k"),
    Row("sb_cnn", FEW, "250k", {}, 15, note="the paper prints about 250k"),
    Row("prototypical", FEW, None, {}, 10),
    # Framewise (lesson 18)
    Row("context_dnn", "Korzeniowski & Widmer, ISMIR 2016 (deep chroma)", None, {}, 12),
    Row("frame_cnn", "Schlüter & Grill, ISMIR 2015", None, {}, 1),
    Row("onset_cnn", "Schlüter & Böck, ICASSP 2014", None, {}, 1),
    Row("frame_blstm", "Leglaive et al., ICASSP 2015", None, {}, 1),
]  # fmt: skip
