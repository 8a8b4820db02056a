"""``mirdl train`` and ``mirdl evaluate``."""

import contextlib
import time
from dataclasses import replace
from pathlib import Path

from mirdl.commands.common import load_dataset
from mirdl.errors import AudioError, MirdlError


def train(options):
    """Train a network or baseline once a seed, evaluate it on the test clips, print a table."""
    import torch

    from mirdl import models, training

    fit_options = _training_options(options.fit)
    dataset = load_dataset(options)
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
        result = _evaluate(model, dataset.subset("test"))
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
    dataset = load_dataset(options, model.sample_rate)
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
    result = _evaluate(model, part, hop, options.device)
    if options.csv:
        print(result.table.to_csv(lineterminator="\n"), end="")
    else:
        print(result.table.round(3).to_string())
        _print_scores([result])


def _evaluate(model, dataset, hop=None, device=None):
    """Score what training heard: networks read the pack, 16 bits, as `fit` does."""
    import torch

    from mirdl import evaluation
    from mirdl.datasets.pack import pack

    audio = pack(dataset, progress=False) if isinstance(model, torch.nn.Module) else None
    return evaluation.evaluate(model, dataset, hop, device=device, audio=audio)


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
