"""The ``mirdl`` command: its arguments and its exit status."""

import argparse
import ast
import os
import shlex
import sys

from mirdl import paths, processes
from mirdl.commands import (
    data,
    explaining,
    installation,
    ledger,
    pipeline,
    tagging,
    training,
    zoo,
)
from mirdl.errors import MirdlError


def _pair(text):
    """Read KEY=VALUE; the value is a Python literal where it looks like one, else text."""
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY=VALUE")
    try:
        return key, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return key, value


def _add(group, name, run, summary, **options):
    command = group.add_parser(name, help=summary, description=run.__doc__, **options)
    command.set_defaults(run=run)
    return command


def _add_dataset(command, positional=False):
    if positional:
        command.add_argument("dataset", help="name of a data set (see `mirdl data list`)")
    else:
        command.add_argument("--dataset", default="minitag", help="default: minitag")
    command.add_argument("--target", help="what to predict, such as tags, dance, genre")
    command.add_argument("--split", help="artist, random, or one of the set's own")
    command.add_argument("--root", help="its folder, where that is not the usual one")
    command.add_argument("--fold", type=int, help="which fold is the test set")
    command.add_argument("--n-folds", type=int, help="number of folds")
    command.add_argument(
        "--load", type=_pair, nargs="+", metavar="KEY=VALUE", help="other options of the data set"
    )


def parser():
    """Return the argument parser of the whole command."""
    top = argparse.ArgumentParser(prog="mirdl", description="Deep learning for music tagging.")
    group = top.add_subparsers(title="commands", metavar="COMMAND", required=True)
    quiet = argparse.ArgumentParser(add_help=False)
    quiet.add_argument("--quiet", action="store_true", help="no progress bars")
    device = argparse.ArgumentParser(add_help=False)
    device.add_argument("--device", choices=["cpu"], help="cpu even where there is a GPU")

    command = _add(
        group, "train", training.train, "train and evaluate a model", parents=[quiet, device]
    )
    _add_dataset(command)
    command.add_argument("--model", help="a name of `mirdl models`")
    command.add_argument(
        "--set", type=_pair, nargs="+", metavar="KEY=VALUE", help="model options, as width=0.5"
    )
    command.add_argument(
        "--fit", type=_pair, nargs="+", metavar="KEY=VALUE", help="training options, as patience=5"
    )
    command.add_argument("--seeds", type=int, nargs="+", default=[0], metavar="SEED")
    length = command.add_mutually_exclusive_group()
    length.add_argument("--steps", type=int, help="optimiser steps (600)")
    length.add_argument(
        "--recipe",
        metavar="NAME",
        help="won2020, lee2017, pons2018 or dieleman2014: stages, split and network of a paper",
    )
    command.add_argument("--epochs", type=int, help="of a recipe: the longest a stage may be")
    command.add_argument(
        "--folder", help="where weights go (runs/<data set>-<target>-<recipe>-<model>)"
    )
    command.add_argument("--save-results", metavar="NAME", help="also write results/NAME/")

    command = _add(group, "evaluate", training.evaluate, "score saved weights", parents=[device])
    command.add_argument("weights", help="a model.safetensors of `mirdl train`")
    _add_dataset(command)
    command.add_argument("--part", default="test", choices=["train", "valid", "test", "all"])
    command.add_argument("--hop", type=float, help="seconds between windows (their length)")
    command.add_argument("--csv", action="store_true", help="print the table by tag as CSV")
    command.add_argument("--brief", action="store_true", help="print no table by tag")

    command = _add(
        group, "pipeline", pipeline.pipeline, "all of it, stage by stage", parents=[quiet, device]
    )
    command.set_defaults(main=main)
    command.add_argument("dataset", choices=["magnatagatune"])
    command.add_argument("--source", help="a folder or URL with its files (the published mirrors)")
    command.add_argument("--root", help="where to put it (a folder in the cache)")
    command.add_argument(
        "--recipe", default="won2020", metavar="NAME", help="as of train (won2020)"
    )
    command.add_argument("--model", help="another network than the recipe's first")
    command.add_argument("--epochs", type=int, help="the longest a stage may be, to rehearse")
    command.add_argument("--set", type=_pair, nargs="+", metavar="KEY=VALUE", help="as of train")
    command.add_argument("--fit", type=_pair, nargs="+", metavar="KEY=VALUE", help="as of train")
    command.add_argument("--seed", type=int, default=0)
    command.add_argument("--workers", type=int, help="threads that pack (one a core)")
    command.add_argument("--folder", help="for reports, weights, scores (runs/pipeline-...)")

    command = _add(group, "tag", tagging.tag, "tag audio files")
    command.add_argument("files", nargs="+", metavar="FILE", help="MP3, Ogg, FLAC or WAV")
    command.add_argument(
        "--model", default=paths.TAGGER, metavar="WEIGHTS", help="a model.safetensors"
    )
    command.add_argument("--top", type=int, default=10, help="how many tags (10)")
    command.add_argument("--hop", type=float, default=1.0, help="seconds between windows (1)")
    command.add_argument("--plot", metavar="PNG", help="draw the tags over time")
    command.add_argument("--csv", action="store_true", help="print CSV")

    command = _add(group, "explain", explaining.explain, "a page on what a network hears in a file")
    command.add_argument("file", metavar="FILE", help="MP3, Ogg, FLAC or WAV")
    command.add_argument("--page", metavar="HTML", help="where to (FILE_explained.html, here)")
    command.add_argument(
        "--model", default=paths.TAGGER, metavar="WEIGHTS", help="a model.safetensors"
    )
    command.add_argument("--pictures", type=int, default=3, help="tags that are looked into (3)")
    command.add_argument("--hop", type=float, default=1.0, help="seconds between windows (1)")

    command = _add(group, "models", zoo.list_models, "list the models and their sizes")
    command.add_argument("names", nargs="*", metavar="NAME", help="only these")
    command.add_argument("--csv", action="store_true", help="print CSV")

    command = _add(group, "published", zoo.published, "fetch and convert weights of a paper")
    command.add_argument("name", help="fcn, crnn or musicnn")
    command.add_argument(
        "--from", dest="source", metavar="FILE", help="a best_model.pth that is here already"
    )
    command.add_argument(
        "--to", dest="target", metavar="FILE", help="where to (a .safetensors in the cache)"
    )

    sets = group.add_parser("data", help="list, fetch, check, pack and render data sets")
    parts = sets.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add(parts, "list", data.list_sets, "what there is and where")
    command = _add(parts, "get", data.get, "download", parents=[quiet])
    command.add_argument("dataset")
    command.add_argument("--root", help="where to put it")
    command.add_argument("--source", help="a folder or URL with magnatagatune's files")
    command = _add(parts, "check", data.check, "decode all", parents=[quiet])
    _add_dataset(command, positional=True)
    command.add_argument("--report", metavar="CSV", help="also write path, kind and reason of each")
    command = _add(parts, "pack", data.pack_set, "decode once into the cache", parents=[quiet])
    _add_dataset(command, positional=True)
    command.add_argument("--workers", type=int, help="threads (one a core)")
    command = _add(parts, "shards", data.shards, "write for object storage", parents=[quiet])
    _add_dataset(command, positional=True)
    command.add_argument("--part", default="train", choices=["train", "valid", "test"])
    command.add_argument("--folder", help="where to (a folder in the cache)")
    command.add_argument("--clips-per-shard", type=int, default=128, help="how many (128)")
    command = _add(parts, "render", data.render, "compose music", parents=[quiet])
    command.add_argument("--tracks", type=int, default=318, help="how many (318, as embedded)")
    command.add_argument("--workers", type=int, help="processes (one a core)")
    command.add_argument("--folder", help="where to (a folder in the cache)")
    command.add_argument("--verify", action="store_true", help="compare with the committed audio")

    command = _add(
        parts, "rehearse", data.rehearse, "music of ours as MagnaTagATune", parents=[quiet]
    )
    command.add_argument("--clips", type=int, default=240, help="how many (240)")
    command.add_argument("--folder", required=True, help="where to")
    command.add_argument("--from-minitag", action="store_true", help="cut, do not render (318)")
    command.add_argument("--workers", type=int, help="processes (one a core)")

    command = _add(group, "ledger", ledger.ledger, "export every claim and every score")
    command.add_argument("--folder", default="ledger", help="where to (./ledger)")

    command = _add(group, "doctor", installation.doctor, "check this installation")
    command.add_argument(
        "--mend", action="store_true", help="move torchaudio's CUDA-linked extension aside"
    )
    command.add_argument("--unmend", action="store_true", help="put it back")
    return top


def main(arguments=None):
    """Run the command line.

    Parameters
    ----------
    arguments : list of str or None
        None takes those of the process.

    Returns
    -------
    int
        Exit status: 0 done, 1 a check failed, 2 an error that was explained in one line,
        130 interrupted.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    options = parser().parse_args(arguments)
    options.command_line = shlex.join(["mirdl", *arguments])
    number = processes.rank()
    if number > 0:  # of several processes the first one prints for all
        sys.stdout = None
    try:
        status = options.run(options) or 0
        processes.leave()
        return status
    except MirdlError as error:
        who = f"mirdl, process {number}" if number > 0 else "mirdl"
        print(f"{who}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        if number == 0:
            print("mirdl: interrupted; run the same command again to go on", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output has left, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
