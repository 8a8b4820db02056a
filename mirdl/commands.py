"""What the subcommands of ``mirdl`` do; each imports what it needs when it runs."""

import contextlib
import csv
import sys
import time
from dataclasses import replace
from pathlib import Path

from mirdl.errors import AudioError, MirdlError


def train(options):
    """Train a network or baseline once a seed, evaluate it on the test clips, print a table."""
    import torch

    from mirdl import evaluation, models, training

    fit_options = _training_options(options.fit)
    dataset = _dataset(options)
    folder = Path(options.folder or _folder_name(options))
    print(dataset)
    evaluations = []
    for seed in options.seeds:
        started = time.perf_counter()
        torch.manual_seed(seed)
        model = _build(options, dataset, seed)
        run = folder / f"seed{seed}"
        if options.model in models.BASELINES:
            model.fit(dataset.subset("train"), dataset.subset("valid"))
        else:
            dataset = replace(dataset, sample_rate=model.sample_rate)
            history = training.fit(
                model,
                dataset.subset("train"),
                dataset.subset("valid"),
                seed=seed,
                n_steps=options.steps,
                folder=run,
                device=options.device,
                progress=not options.quiet,
                **fit_options,
            )
            models.save(model, run / "model.safetensors", dataset.tags, dataset.task)
            history.to_csv(run / "history.csv", index=False)
        result = evaluation.evaluate(model, dataset.subset("test"))
        minutes = (time.perf_counter() - started) / 60
        run.mkdir(parents=True, exist_ok=True)
        result.table.to_csv(run / "test.csv")
        print(f"seed {seed}, {minutes:.1f} min: {result}")
        evaluations.append(result)
        if options.save_results:
            _save_results(options, dataset, seed, minutes, result)
    _print_scores(evaluations)
    kept = "scores by tag" if options.model in models.BASELINES else "weights, history and scores"
    print(f"{kept} are in {folder}")


def evaluate(options):
    """Score saved weights on a data set; where tags differ, on those that both have."""
    from mirdl import evaluation, models

    model = models.load(options.weights)
    dataset = _dataset(options, model.sample_rate)
    if dataset.task != model.task:  # the names of the outputs may still be the same
        raise MirdlError(
            f"{options.weights} is for {model.task}, {dataset.name} with this target is"
            f" {dataset.task}: choose another --target"
        )
    if list(dataset.tags) != list(model.tags):
        model = evaluation.SharedTags(model, dataset)
        dataset = model.dataset
        print(f"tags in common: {', '.join(dataset.tags)}")
    part = dataset if options.part == "all" else dataset.subset(options.part)
    hop = None if options.hop is None else round(options.hop * model.sample_rate)
    result = evaluation.evaluate(model, part, hop, device=options.device)
    if options.csv:
        print(result.table.to_csv(lineterminator="\n"), end="")
    else:
        print(result.table.round(3).to_string())
        _print_scores([result])


def tag(options):
    """Print the likeliest tags of audio files; draw them over time with ``--plot``."""
    from mirdl import audio, explain, models

    if options.top < 1:
        raise MirdlError(f"--top must be at least 1, not {options.top}")
    model = models.load(options.model)
    table = csv.writer(sys.stdout, lineterminator="\n")
    if options.csv:
        table.writerow(["file", "tag", "score"])
    failed = False
    for path in options.files:
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
        if options.plot:
            picture = Path(options.plot)
            if len(options.files) > 1:
                picture = picture.with_stem(f"{picture.stem}_{Path(path).stem}")
            _draw_taggram(times, probabilities, model, Path(path).name, picture, options.top)
            print(f"  taggram: {picture}", file=sys.stderr)
    return 2 if failed else 0


def list_models(options):
    """Print every model that can be built, with its size and where it comes from."""
    import inspect

    from mirdl import models
    from mirdl.models import baselines

    print(f"{'name':<22} {'parameters':>12}  with 50 tags, as published")
    for name in models.available():
        if name in models.BASELINES:
            size, described = "", getattr(baselines, name)
        else:
            model = models.build(name)
            size, described = f"{models.n_parameters(model):,}", type(model)
        print(f"{name:<22} {size:>12}  {inspect.getdoc(described).splitlines()[0]}")


def data_list(options):
    """Print the table of data sets."""
    from mirdl import datasets

    for name, row in datasets.catalogue().iterrows():
        where = f"in {row['folder']}" if row["present"] else "not here"
        size = f"{row['gigabytes']:.2f} GB" if row["gigabytes"] else ""
        print(f"{name:<16} {size:>8}  {row['description']}; {row['licence']}; {where}")


def data_get(options):
    """Download a data set."""
    from mirdl import datasets

    print(datasets.get(options.dataset, options.root, progress=not options.quiet))


def data_check(options):
    """Decode every file of a data set; exit status 1 where some cannot be used."""
    from mirdl import datasets

    dataset = _dataset(options)
    print(dataset)
    faults = datasets.check(dataset, progress=not options.quiet)
    for path, reason in faults[["path", "reason"]].itertuples(index=False):
        print(f"{path}: {reason}")
    print(f"{dataset.clips['path'].nunique()} files, {len(faults)} of them cannot be used")
    return 1 if len(faults) else 0


def data_pack(options):
    """Decode a data set once into the cache."""
    from mirdl.datasets.pack import pack

    packed = pack(_dataset(options), workers=options.workers, progress=not options.quiet)
    for path, reason in packed.skipped.items():
        print(f"{path}: {reason}")
    print(
        f"{packed.folder}: {packed.usable.sum()} of {len(packed)} clips, {packed.n_bytes:,} bytes"
    )


def data_render(options):
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


def doctor(options):
    """Check this installation, or mend its torchaudio."""
    from mirdl import doctor

    if options.mend:
        mended, line = doctor.mend()
        print(line)
        return 0 if mended else 1
    if options.unmend:
        print(doctor.unmend())
        return 0
    return doctor.report()


def _dataset(options, sample_rate=16000):
    from mirdl import datasets

    given = dict(options.load or [])
    for name in ("fold", "n_folds"):
        if getattr(options, name, None) is not None:
            given[name] = getattr(options, name)
    return datasets.load(
        options.dataset,
        target=options.target,
        split=options.split,
        root=options.root,
        sample_rate=sample_rate,
        **given,
    )


def _folder_name(options):
    parts = [options.dataset, options.target, options.model]
    parts += [] if options.fold is None else [f"fold{options.fold}"]
    return Path("runs") / "-".join(part for part in parts if part)


def _build(options, dataset, seed):
    """Build the model; a network that is longer than the clips is shortened to them."""
    from mirdl import models

    overrides, seconds = dict(options.set or []), _typical_seconds(dataset)
    if options.model in models.BASELINES:
        overrides.setdefault("seed", seed)
    try:
        model = models.build(options.model, dataset.n_outputs, **overrides)
        n_samples = getattr(model, "n_samples", None)  # none in baselines, None for any length
        too_long = n_samples and n_samples > seconds * model.sample_rate
        if too_long and "for_seconds" not in overrides:
            overrides["for_seconds"] = seconds
            model = models.build(options.model, dataset.n_outputs, **overrides)
    except (TypeError, ValueError, RuntimeError) as error:
        raise MirdlError(f"{options.model}: {error}") from error
    return model


def _typical_seconds(dataset):
    """Return the median length of the first clips, NaN where none of them can be read."""
    import numpy as np

    from mirdl import audio

    lengths = []
    for clip in dataset.clips.head(50).itertuples():
        with contextlib.suppress(AudioError):  # reported when the clips are decoded
            end = audio.info(clip.path).seconds if np.isnan(clip.end) else clip.end
            lengths.append(end - clip.start)
    return float(np.median(lengths)) if lengths else float("nan")


def _training_options(pairs):
    """Return KEY=VALUE pairs as keyword arguments of `fit`, without those that have a flag."""
    import inspect

    from mirdl.training import fit

    taken = {"seed", "n_steps", "n_epochs", "folder", "device", "progress"}
    allowed = [
        name
        for name, parameter in inspect.signature(fit).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY and name not in taken
    ]
    given = dict(pairs or [])
    for name in given:
        if name not in allowed:
            raise MirdlError(f"no training option {name!r}; choose from {', '.join(allowed)}")
    return given


def _print_scores(evaluations):
    from mirdl.evaluation import over_seeds

    print(f"{'':<10} {'score':>7} {'seeds':>8} {'95 % interval':>16} {'chance':>7}")
    for metric, row in over_seeds(evaluations).iterrows():
        spread = f"±{row['deviation']:.3f}" if len(evaluations) > 1 else "one"
        interval = f"[{row['low']:.3f}, {row['high']:.3f}]"
        print(f"{metric:<10} {row['mean']:7.3f} {spread:>8} {interval:>16} {row['chance']:7.3f}")
    print(f"{len(evaluations[0].scores)} clips by {evaluations[0].n_artists} artists")


def _save_results(options, dataset, seed, minutes, result):
    from mirdl.experiments import runner, store

    variant = "_".join(
        [options.dataset, options.target or "default"]
        + ([options.split] if options.split else [])
        + ([] if options.fold is None else [f"fold{options.fold}"])
    )
    path = store.save(
        result,
        options.save_results,
        options.model,
        variant,
        seed,
        dataset=dataset.name,
        target=options.target,
        split=options.split,
        minutes=minutes,
        command=options.command_line,
        commit=runner.commit(),
        machine=runner.machine(),
        versions=runner.versions(),
        settings={"n_steps": options.steps, **dict(options.set or []), **dict(options.fit or [])},
    )
    print(f"saved {path}")


def _draw_taggram(times, probabilities, model, title, picture, n_tags):
    import matplotlib.pyplot as plt

    from mirdl import plotting

    plt.switch_backend("agg")  # draw to the file, whatever the screen
    figure = plotting.plot_taggram(times, probabilities, model.tags, n_tags, title=title).figure
    picture.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(picture, format="png", dpi=150, bbox_inches="tight")
    plt.close(figure)


def _digests(folder):
    try:
        with open(folder / "tracks.csv", newline="", encoding="utf-8") as table:
            return {row["track_id"]: row["sha256"] for row in csv.DictReader(table)}
    except OSError as error:
        raise MirdlError(f"{folder}: no tracks.csv to compare with") from error
