"""What a large collection takes, worked out from the rates in results/benchmarks/.

    python benchmarks/scale.py                        # prints the table of docs/scale.md
    python benchmarks/scale.py --fill                 # writes it there
    python benchmarks/scale.py --rate 20000 --price 2 # hours and cost at your GPU's rate and price

Nothing is measured here. A rate that no benchmark has saved yet is "not measured" in the table,
never a guess; --rate puts your own in its place.
"""

import argparse
import json
import re

from mirdl import paths

#: Name, clips, seconds of each: MagnaTagATune, the Million Song Dataset's tagged previews and the
#: 1.2 million songs of the thesis' last chapter.
COLLECTIONS = [
    ("MagnaTagATune", 25_863, 29.1),
    ("Million Song", 240_000, 30.0),
    ("1.2 million", 1_200_000, 30.0),
]
SAMPLE_RATE, BYTES_PER_SAMPLE, CLIPS_PER_SHARD = 16_000, 2, 128
KBIT, MBIT = 32, 100  # of the MP3s, as MagnaTagATune has; of the line that fetches them
CORES, EPOCHS = 16, 100
NETWORK = "musicnn"
#: What benchmarks/pipeline.py calls its stages, measured on clips of so many seconds.
STAGES = {
    "render": "render",
    "unpack": "unpack",
    "check": "check",
    "pack, 1 worker": "pack",
}
MEASURED_SECONDS = 29.1
BLOCK = re.compile(r"(<!-- benchmarks/scale.py -->\n).*?(<!-- end -->)", re.DOTALL)


def rates(folder=None):
    """Return the rates that were measured.

    Returns
    -------
    dict of str to float
        Seconds of music that one core gets through in a second: "unpack" (with checksums),
        "check", "pack" (MP3s; Ogg files where benchmarks/pipeline.py has not run), "render"
        (rendered in place of fetched). Training crops of `NETWORK` a second: "cpu" (two cores,
        bf16), "gpu" (the fastest GPU, the fastest way). What was not measured is absent.
    """
    folder = folder or paths.results_folder() / "benchmarks"

    def rows(name):
        path = folder / f"{name}.json"
        return json.loads(path.read_text(encoding="utf-8"))["rows"] if path.exists() else []

    found = {}
    for row in rows("packing"):
        if row["what"] == "decode and pack":
            found["pack"] = row["value"]
    for row in rows("pipeline"):
        if row["stage"] in STAGES:
            found[STAGES[row["stage"]]] = MEASURED_SECONDS / row["seconds_a_unit"]
    for row in rows("models"):
        if (row["network"], row["task"]) == (NETWORK, "training"):
            found["cpu"] = row["bf16"]
    for path in folder.glob("gpu-*.json"):  # one of each device
        for row in rows(path.stem):
            if row["network"] == NETWORK and row["system"] != "plain":
                found["gpu"] = max(found.get("gpu", 0), row["clips_per_second"])
    return found


def project(clips, seconds, rates, price=None):
    """Work out what a collection takes.

    Parameters
    ----------
    clips : int
    seconds : float
        Length of each.
    rates : dict of str to float
        As `rates` gives them; "gpu" is the reader's rate r in training crops a second.
    price : float, optional
        Of one GPU for an hour, in any currency.

    Returns
    -------
    dict of str to (float or None)
        Gigabytes, hours, shards and cost; None where a rate was not measured.
    """
    music = clips * seconds
    gigabytes = music * SAMPLE_RATE * BYTES_PER_SAMPLE / 1e9

    def hours(n, rate, times=1):
        return n / rates[rate] / 3600 / times if rate in rates else None

    gpu = hours(clips * EPOCHS, "gpu")
    return {
        "music, hours": music / 3600,
        f"MP3s at {KBIT} kbit/s, GB": music * KBIT / 8e6,
        f"fetched at {MBIT} Mbit/s, hours": music * KBIT / (1000 * MBIT) / 3600,
        "rendered instead, on one core, hours": hours(music, "render"),
        "unpacked on one core, hours": hours(music, "unpack"),
        "checked on one core, hours": hours(music, "check"),
        "packed, GB": gigabytes,
        "packed on one core, hours": hours(music, "pack"),
        f"packed on {CORES} cores, hours": hours(music, "pack", CORES),
        f"shards of {CLIPS_PER_SHARD} clips": -(-clips // CLIPS_PER_SHARD),
        f"one epoch of {NETWORK} on two cores, hours": hours(clips, "cpu"),
        f"crops of {NETWORK} a second on one GPU": rates.get("gpu"),
        f"one epoch of {NETWORK} on one GPU, hours": hours(clips, "gpu"),
        f"{EPOCHS} epochs on one GPU, hours": gpu,
        f"{EPOCHS} epochs on one GPU, cost": None if price is None or gpu is None else gpu * price,
    }


def table(rates, price=None):
    """Return the table of all collections in Markdown."""
    columns = [project(clips, seconds, rates, price) for _, clips, seconds in COLLECTIONS]
    heads = [f"{name}, {clips:,} clips" for name, clips, _ in COLLECTIONS]
    lines = [["", *heads], ["---", *["---:"] * len(heads)]]
    lines += [
        [what.removesuffix(", hours"), *(_shown(what, column[what]) for column in columns)]
        for what in columns[0]
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _shown(what, value):
    if value is None:
        return "not measured"
    if not what.endswith(", hours"):
        return f"{value:,.0f}"
    return f"{value:,.1f} h" if value >= 1 else f"{60 * value:.1f} min"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rate", type=float, help="training crops a second of your GPU")
    parser.add_argument("--price", type=float, help="of one GPU for an hour")
    parser.add_argument("--fill", action="store_true", help="update docs/scale.md")
    arguments = parser.parse_args()
    measured = rates()
    if arguments.fill:
        target = paths.ROOT / "docs" / "scale.md"
        text = target.read_text(encoding="utf-8")
        filled = BLOCK.sub(lambda found: found[1] + table(measured) + found[2], text)
        target.write_text(filled, encoding="utf-8")
    if arguments.rate:
        measured["gpu"] = arguments.rate
    print(table(measured, arguments.price), end="")


if __name__ == "__main__":
    main()
