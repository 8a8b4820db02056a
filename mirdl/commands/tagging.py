"""``mirdl tag``: what a network hears in audio files."""

import csv
import sys
from pathlib import Path

from mirdl.errors import AudioError, MirdlError


def tag(options):
    """Print the likeliest tags of audio files; draw them over time with ``--plot``."""
    from mirdl import audio, explain, models

    if options.top < 1:
        raise MirdlError(f"--top must be at least 1, not {options.top}")
    model = models.load(options.model)
    if len(model.tags) != model.n_outputs:
        raise MirdlError(f"{options.model}: saved without the names of its outputs")
    table = csv.writer(sys.stdout, lineterminator="\n")
    if options.csv:
        table.writerow(["file", "tag", "score"])
    failed = False
    pictures = _pictures(options)
    for path, picture in zip(options.files, pictures, strict=True):
        try:
            waveform = audio.load(path, model.sample_rate)
            audio.check(waveform, path, min_seconds=1.0, sample_rate=model.sample_rate)
        except AudioError as error:  # the other files do not depend on this one
            print(f"mirdl: {error}", file=sys.stderr)
            failed = True
            continue
        # training hears packed audio of 16 bits: in dB, empty bands tell it from float
        waveform = audio.from_int16(audio.to_int16(waveform))
        times, probabilities = explain.taggram(model, waveform, options.hop)
        best = explain.top_tags(probabilities, model.tags, options.top)
        if options.csv:
            table.writerows([path, name, f"{score:.4f}"] for name, score in best)
        else:
            print(f"{path}, {len(waveform) / model.sample_rate:.0f} s")
            print("".join(f"  {score:.2f}  {name}\n" for name, score in best), end="")
        if picture:
            _draw_taggram(times, probabilities, model, Path(path).name, picture, options.top)
            print(f"  taggram: {picture}", file=sys.stderr)
    return 2 if failed else 0


def _pictures(options):
    """Return the picture of each file: files of one name in several folders get a number."""
    if not options.plot:
        return [None] * len(options.files)
    picture = Path(options.plot)
    if len(options.files) == 1:
        return [picture]
    stems = [Path(path).stem for path in options.files]
    names = [
        f"{picture.stem}_{stem}"
        + (f"_{stems[: i + 1].count(stem)}" if stems.count(stem) > 1 else "")
        for i, stem in enumerate(stems)
    ]
    return [picture.with_stem(name) for name in names]


def _draw_taggram(times, probabilities, model, title, picture, n_tags):
    import matplotlib.pyplot as plt

    from mirdl import plotting

    plt.switch_backend("agg")  # draw to the file, whatever the screen
    figure = plotting.plot_taggram(times, probabilities, model.tags, n_tags, title=title).figure
    picture.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(picture, format="png", dpi=150, bbox_inches="tight")
    plt.close(figure)
