"""``mirdl data``: list, fetch, check, pack, shard and render data sets."""

from pathlib import Path

from mirdl.commands.common import load_dataset
from mirdl.errors import MirdlError

SHOWN = 50  # bad files that a check prints


def list_sets(options):
    """Print the table of data sets."""
    from mirdl import datasets

    for name, row in datasets.catalogue().iterrows():
        where = f"in {row['folder']}" if row["present"] else "not here"
        size = f"{row['gigabytes']:.2f} GB" if row["gigabytes"] else ""
        print(f"{name:<16} {size:>8}  {row['description']}; {row['licence']}; {where}")


def get(options):
    """Download a data set."""
    from mirdl import datasets

    given = {} if options.source is None else {"source": options.source}
    print(datasets.get(options.dataset, options.root, progress=not options.quiet, **given))


def check(options):
    """Decode every file of a data set; exit status 1 where some cannot be used."""
    from mirdl import datasets, paths

    dataset = load_dataset(options)
    print(dataset)
    faults = datasets.check(dataset, progress=not options.quiet)
    for path, reason in faults[["path", "reason"]].head(SHOWN).itertuples(index=False):
        print(f"{path}: {reason}")
    if len(faults) > SHOWN:
        print(f"… and {len(faults) - SHOWN} more; --report FILE lists them all")
    bad = faults["kind"][faults["kind"] != "table"]
    kinds = ", ".join(f"{n} {kind}" for kind, n in bad.value_counts().items())
    print(
        f"{dataset.clips['path'].nunique()} files, {len(bad)} of them cannot be used"
        + (f": {kinds}" if kinds else "")
    )
    if options.report:
        paths.write_atomically(options.report, faults.to_csv(index=False, lineterminator="\n"))
        print(f"report: {options.report}")
    return 1 if len(faults) else 0


def pack_set(options):
    """Decode a data set once into the cache."""
    from mirdl.datasets.pack import pack

    packed = pack(load_dataset(options), workers=options.workers, progress=not options.quiet)
    for path, reason in packed.skipped.items():
        print(f"{path}: {reason}")
    print(
        f"{packed.folder}: {packed.usable.sum()} of {len(packed)} clips, {packed.n_bytes:,} bytes"
    )


def shards(options):
    """Write one part of a data set as tar files for object storage, for `ShardReader`."""
    from mirdl.datasets import shards
    from mirdl.paths import cache_folder

    dataset = load_dataset(options).subset(options.part)
    name = f"{dataset.name}-{dataset.sample_rate}-{options.part}"
    folder = Path(options.folder or cache_folder() / "shards" / name)
    skipped = shards.write(dataset, folder, options.clips_per_shard, progress=not options.quiet)
    for path, reason in skipped.items():
        print(f"{path}: {reason}")
    written = shards.ShardReader(folder, n_samples=1, batch_size=1)
    print(f"{folder}: {written.about['clips']} clips in {len(written.shards)} shards")


def render(options):
    """Render the embedded data, or a larger set of its kind, and compare with what is committed."""
    from mirdl import compose, paths

    folder = Path(options.folder or paths.cache_folder() / "datasets" / f"render-{options.tracks}")
    compose.render(folder, options.tracks, workers=options.workers, progress=not options.quiet)
    print(f'{folder}: {options.tracks} tracks; datasets.load("minitag", root="{folder}")')
    if options.verify:
        compose.verify(folder)
        ours, theirs = (_digests(each) for each in (folder, paths.data_folder() / "minitag"))
        common = sorted(ours.keys() & theirs.keys())
        different = [track for track in common if ours[track] != theirs[track]]
        if different:
            raise MirdlError(
                f"{len(different)} of {len(common)} tracks sound different from the committed "
                f"ones, first {different[0]}: is it another FluidSynth or sound font?"
            )
        print(f"all {len(common)} tracks that both hold are equal to the committed ones")


def rehearse(options):
    """Write music of our own in the layout of MagnaTagATune: archive in parts, tables."""
    from mirdl import paths
    from mirdl.compose.rehearsal import rehearse

    source = paths.data_folder() / "minitag" if options.from_minitag else None
    folder = rehearse(
        options.folder,
        options.clips,
        source=source,
        workers=options.workers,
        progress=not options.quiet,
    )
    print(f"{folder}: {options.clips} clips; mirdl data get magnatagatune --source {folder}")


def _digests(folder):
    from mirdl.compose.collection import read_tracks

    return {row["track_id"]: row["sha256"] for row in read_tracks(folder)}
