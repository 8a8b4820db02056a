"""``mirdl train`` and ``mirdl evaluate``."""

import contextlib
import time
from dataclasses import replace
from pathlib import Path

from mirdl import processes
from mirdl.commands.common import load_dataset
from mirdl.errors import AudioError, MirdlError

MAGNATAGATUNE = "magnatagatune"


def train(options):
    """Train a network or baseline once a seed, evaluate it on the test clips, print a table."""
    import torch

    from mirdl import models

    recipe = _recipe(options)
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
            history = _fit(options, recipe, model, dataset, seed, run, fit_options)
            if processes.rank() == 0:
                models.save(model, run / "model.safetensors", dataset.tags, dataset.task)
                history.to_csv(run / "history.csv", index=False)
        result = _evaluate(model, dataset.subset("test"))
        evaluations.append(result)
        if processes.rank() > 0:  # it has scored its share; the first process writes
            continue
        minutes = (time.perf_counter() - started) / 60
        run.mkdir(parents=True, exist_ok=True)
        result.table.to_csv(run / "test.csv")
        print(f"seed {seed}, {minutes:.1f} min: {result}")
        if options.save_results:
            _save_results(options, dataset, seed, minutes, result)
    _print_scores(evaluations)
    _print_published(options, model, dataset, evaluations)
    kept = "scores by tag" if options.model in models.BASELINES else "weights, history and scores"
    print(f"{kept} are in {folder}")


def evaluate(options):
    """Score saved weights on a data set; where tags differ, on those that both have."""
    from mirdl import evaluation, models

    model = models.load(options.weights)
    device = processes.join(options.device)
    dataset = load_dataset(options, model.sample_rate)
    if dataset.task != model.task:  # the names of the outputs may still be the same
        raise MirdlError(
            f"{options.weights} is for {model.task}, {dataset.name} with this target is"
            f" {dataset.task}: choose another --target"
        )
    saved, whole = model, dataset
    if list(dataset.tags) != list(model.tags):
        model = evaluation.SharedTags(model, dataset)
        dataset = model.dataset
        print(f"tags in common: {', '.join(dataset.tags)}")
    part = dataset if options.part == "all" else dataset.subset(options.part)
    hop = None if options.hop is None else round(options.hop * model.sample_rate)
    result = _evaluate(model, part, hop, device)
    if options.csv:
        print(result.table.to_csv(lineterminator="\n"), end="")
    else:
        if not options.brief:
            print(result.table.round(3).to_string())
        _print_scores([result])
        _print_published(options, saved, whole, [result], options.part)


def _recipe(options):
    """Return the recipe that is asked for, or None, after it has filled in what was left open."""
    from mirdl import models, recipes

    if options.recipe is None:
        if options.model is None:
            raise MirdlError("give a --model, or a --recipe, which has one")
        if options.epochs is not None:
            raise MirdlError("--epochs shortens the stages of a --recipe; without one give --steps")
        options.steps = 600 if options.steps is None else options.steps
        return None
    recipe = recipes.find(options.recipe)
    options.model = options.model or next(iter(recipe.networks))
    if options.model in models.BASELINES:
        raise MirdlError(f"{options.model} is a baseline, {recipe.name} trains networks")
    n_stages = len(recipe.stages)
    print(f"{recipe.name}: {recipe.source}, {n_stages} stage{'s' * (n_stages > 1)}")
    if options.model not in recipe.networks:
        print(f"it was published for {', '.join(recipe.networks)}, not for {options.model}")
    options.set = [*recipe.networks.get(options.model, {}).items(), *(options.set or [])]
    if options.dataset == MAGNATAGATUNE:
        options.split = options.split or recipe.split
    return recipe


def _fit(options, recipe, model, dataset, seed, folder, fit_options):
    """Train a network for a number of steps, or by a recipe; return its history."""
    from mirdl import recipes, training

    parts = dataset.subset("train"), dataset.subset("valid")
    common = {
        "seed": seed,
        "folder": folder,
        "device": options.device,
        "progress": not options.quiet,
        **fit_options,
    }
    if recipe is None:
        return training.fit(model, *parts, n_steps=options.steps, **common)
    return recipes.train(recipe, model, *parts, epochs=options.epochs, **common)


def _evaluate(model, dataset, hop=None, device=None):
    """Score what training heard: networks read the pack, 16 bits, as `fit` does."""
    import torch

    from mirdl import evaluation
    from mirdl.datasets.pack import pack

    audio = pack(dataset, progress=False) if isinstance(model, torch.nn.Module) else None
    return evaluation.evaluate(model, dataset, hop, device=device, audio=audio)


def _folder_name(options):
    parts = [options.dataset, options.target, options.recipe, options.model]
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

    taken = {"seed", "n_steps", "n_epochs", "normalise", "folder", "device", "progress"}
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


def _print_published(options, model, dataset, evaluations, part="test"):
    """Print what papers report for the network on this split of MagnaTagATune, if it is that."""
    import numpy as np
    import torch

    from mirdl import published_scores

    if dataset.name != MAGNATAGATUNE or not isinstance(model, torch.nn.Module):
        return
    split, n_skipped = options.split or "folder", len(evaluations[0].skipped)
    reasons = published_scores.other_data(dataset, split, part, n_skipped)
    tags = getattr(model, "tags", dataset.tags)  # a network that was just trained has all of them
    if set(tags) != set(dataset.tags):
        reasons.append(f"{len(set(tags) & set(dataset.tags))} of {dataset.n_outputs} tags")
    metrics = {
        name: float(np.mean([each.metrics[name] for each in evaluations]))
        for name in evaluations[0].metrics
    }
    print(published_scores.beside(model, metrics, split, reasons))


def _save_results(options, dataset, seed, minutes, result):
    from mirdl.experiments import runner, store

    variant = "_".join(
        [options.dataset, options.target or "default"]
        + ([options.split] if options.split else [])
        + ([] if options.fold is None else [f"fold{options.fold}"])
    )
    length = {"n_steps": options.steps}
    if options.recipe:
        length = {"recipe": options.recipe, "epochs": options.epochs}
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
        **runner.provenance(),
        settings={**length, **dict(options.set or []), **dict(options.fit or [])},
    )
    print(f"saved {path}")
