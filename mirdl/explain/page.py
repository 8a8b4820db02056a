"""One HTML page about one recording: players, tags over time, what speaks for them (lesson 19)."""

import base64
import html
from string import Template

import numpy as np
import torch
from matplotlib import rc_context
from matplotlib.figure import Figure

from mirdl import plotting
from mirdl.errors import AudioError, MirdlError
from mirdl.explain.attribution import integrated_gradients, spectrogram
from mirdl.explain.auralisation import as_mask, heard_through
from mirdl.explain.taggrams import taggram, top_tags, window_at
from mirdl.features import FrontEnd
from mirdl.listen import listen

#: The player holds so many seconds, a megabyte for every four minutes.
PLAYER_SECONDS = 1200
#: Tags of the taggram.
N_LINES = 12

PAGE = Template("""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>$name, explained</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 58rem; padding: 0 1rem; }
h1 { overflow-wrap: anywhere; } h2 { margin-top: 2.5rem; }
audio { width: 100%; max-width: 30rem; display: block; } img { max-width: 100%; }
table { border-collapse: collapse; } th { text-align: left; } td.number { text-align: right; }
td, th { padding: .15rem .8rem .15rem 0; border-bottom: 1px solid #ddd; }
.bar { background: #0072B2; height: .7rem; } .note { color: #555; max-width: 46rem; }
.players { display: flex; flex-wrap: wrap; gap: 1rem; } .players > div { width: 17rem; }
</style>
<h1>$name</h1>
<p>$about</p>
$player
<h2>What the network says</h2>
<p class="note">Mean score over the recording, one window of $window every $hop; and the window in
which the tag scores highest. A score is the network's opinion, no measurement: a tag that is common
in the training data is named easily, and a sound that was never in it has to be called something.
</p>
<table><tr><th>tag<th>mean<th><th>highest<th>where</tr>
$tags
</table>
<h2>Over time</h2>
$taggram
$pictures
<script>
const whole = document.querySelector("audio");
let stop = null;
document.querySelectorAll("button").forEach(button => button.addEventListener("click", () => {
  whole.currentTime = button.dataset.start;
  stop = button.dataset.end;
  whole.play();
}));
whole.addEventListener("timeupdate", () => {
  if (stop !== null && whole.currentTime > stop) { whole.pause(); stop = null; }
});
</script>
</html>
""")

SECTION = Template("""<h2>What speaks for <em>$tag</em></h2>
<p class="note">The window in which it scores highest, $where. Red cells raise its logit, blue cells
lower it, on the way from silence to the music (integrated gradients). All cells add up to $total;
the logit is $heard for this window and $silent for silence, a difference of $difference. Below, the
window, and what is left of it through the red cells and through the blue ones.</p>
$picture
<div class="players">$players</div>
""")


def page(model, waveform, name, n_pictures=3, hop_seconds=1.0):
    """Explain what a network says about a recording.

    Parameters
    ----------
    model : Tagger
        As `mirdl.models.load` returns it: with ``tags`` and ``task``.
    waveform : float32 array (n_samples,)
        Mono, at the network's sample rate.
    name : str
        Of the recording; any characters.
    n_pictures : int
        Tags of which it is shown what speaks for them, the likeliest first. None where the network
        has no mel spectrogram.
    hop_seconds : float
        Between windows.

    Returns
    -------
    str
        HTML that needs no other file and no network.

    Raises
    ------
    MirdlError
        If the outputs have no names or are no probabilities, or windows have no length.
    """
    kind = type(model).__name__
    if len(model.tags) != model.n_outputs:
        raise MirdlError(f"{kind}: saved without the names of its outputs")
    if model.task not in ("multilabel", "multiclass"):
        raise MirdlError(f"{kind} gives numbers, not tags: there is no score to explain")
    if model.n_samples is None:
        raise MirdlError(f"{kind} hears recordings as a whole: it has no windows to compare")
    times, probabilities = taggram(model, waveform, hop_seconds)
    starts = np.maximum(times - model.n_samples / model.sample_rate / 2, 0)
    best = [name for name, _ in top_tags(probabilities, model.tags, n_pictures)]
    has_picture = isinstance(model.front_end, FrontEnd)
    sections = [
        _section(model, waveform, model.tags.index(tag), starts, probabilities)
        for tag in (best if has_picture else [])
    ]
    seconds = len(waveform) / model.sample_rate
    about = f"{_clock(seconds)} · heard by {kind} with {model.n_outputs} outputs"
    if seconds > PLAYER_SECONDS:
        about += f" · the player holds the first {_clock(PLAYER_SECONDS)}"
    if not has_picture:
        about += " · it reads the waveform, so no cell of a spectrogram gets the credit"
    whole = listen(waveform, model.sample_rate, seconds=PLAYER_SECONDS)
    return PAGE.substitute(
        name=_escaped(name),
        about=html.escape(about),
        player=whole._repr_html_(),
        window=f"{model.n_samples / model.sample_rate:.2g} s",
        hop=f"{hop_seconds:g} s",
        tags=_table(model, starts, probabilities),
        taggram=_taggram(times, probabilities, model.tags),
        pictures="".join(sections),
    )


def _table(model, starts, probabilities):
    length = model.n_samples / model.sample_rate
    rows = []
    for tag, mean in top_tags(probabilities, model.tags, len(model.tags)):
        column = probabilities[:, model.tags.index(tag)]
        start = starts[column.argmax()]
        where = _clock(start)
        if start < PLAYER_SECONDS:
            end = start + length
            where = (
                f'<button data-start="{start:.2f}" data-end="{end:.2f}">&#9654; {where}</button>'
            )
        rows.append(
            f'<tr><td>{_escaped(tag)}<td class="number">{mean:.2f}'
            f'<td><div class="bar" style="width: {200 * mean:.0f}px"></div>'
            f'<td class="number">{column.max():.2f}<td>{where}</tr>'
        )
    return "\n".join(rows)


def _section(model, waveform, output, starts, probabilities):
    start = starts[probabilities[:, output].argmax()]
    window = window_at(model, waveform, start)
    credit = integrated_gradients(model, window, output)
    with torch.no_grad():
        heard, silent = (
            float(model(torch.as_tensor(x)[None])[0, output]) for x in (window, 0 * window)
        )
    through = {
        "The window": window,
        "Through the red cells": heard_through(model.front_end, window, as_mask(credit)),
        "Through the blue cells": heard_through(model.front_end, window, as_mask(-credit)),
    }
    return SECTION.substitute(
        tag=_escaped(model.tags[output]),
        where=f"{_clock(start)} to {_clock(start + model.n_samples / model.sample_rate)}",
        total=f"{credit.sum():.2f}",
        heard=f"{heard:.2f}",
        silent=f"{silent:.2f}",
        difference=f"{heard - silent:.2f}",
        picture=_attribution(model, window, credit),
        players="".join(_player(x, model.sample_rate, title) for title, x in through.items()),
    )


def _player(waveform, sample_rate, title):
    try:
        player = listen(waveform, sample_rate, title, normalise=True)
    except AudioError:
        return f"<div>{html.escape(title)}: nothing to hear</div>"
    return f"<div>{player._repr_html_()}</div>"


def _taggram(times, probabilities, tags):
    shown = min(N_LINES, len(tags))

    def draw(ax):
        plotting.plot_taggram(times, probabilities, tags, shown, ax=ax)

    return _image(f"Scores of {shown} tags over time", (9, 1.2 + 0.25 * shown), 1, draw)


def _attribution(model, window, credit):
    scale = (model.front_end.sample_rate, model.front_end.hop_length)

    def draw(axes):
        values = spectrogram(model, window)[0]
        plotting.plot_spectrogram(values, *scale, unit="level", ax=axes[0], title="The window")
        plotting.plot_attribution(credit, *scale, ax=axes[1], title="What speaks for and against")

    return _image("A spectrogram, and what its cells add to the logit", (9, 5.6), 2, draw)


def _image(words, size, rows, draw):
    """Draw into axes of a figure of our own, whatever the screen; return it as HTML."""
    with rc_context(plotting.STYLE):
        figure = Figure(figsize=size)
        draw(figure.subplots(rows))
        data = base64.b64encode(plotting.few_colours(figure)).decode()
    return f'<img alt="{html.escape(words)}" src="data:image/png;base64,{data}">'


def _clock(seconds):
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def _escaped(text):
    """Return text for HTML; bytes of a file name that are no UTF-8 become question marks."""
    return html.escape(text.encode("utf-8", "replace").decode("utf-8"))
