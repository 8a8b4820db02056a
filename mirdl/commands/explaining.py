"""``mirdl explain``: a page on what a network hears in a recording."""

from pathlib import Path

from mirdl.errors import MirdlError


def explain(options):
    """Write an HTML page: the tags of an audio file over time, and what in it speaks for them."""
    from mirdl import audio, models, paths
    from mirdl.explain.page import page

    if options.pictures < 0:
        raise MirdlError(f"--pictures must be 0 or more, not {options.pictures}")
    model = models.load(options.model)
    waveform = audio.load(options.file, model.sample_rate)
    audio.check(waveform, options.file, min_seconds=1.0, sample_rate=model.sample_rate)
    # as `mirdl tag`: training hears packed audio of 16 bits
    waveform = audio.from_int16(audio.to_int16(waveform))
    source = Path(options.file)
    target = Path(options.page or f"{source.stem}_explained.html")
    text = page(model, waveform, source.name, options.pictures, options.hop)
    try:
        paths.write_atomically(target, text)
    except OSError as error:
        raise MirdlError(f"{target}: cannot be written ({error.strerror})") from error
    print(target)
