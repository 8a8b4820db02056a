"""The ``mirdl`` command; each subcommand imports what it needs when it runs."""

import argparse
import sys

from mirdl.errors import MirdlError


def doctor(options):
    from mirdl import doctor

    if options.mend:
        mended, line = doctor.mend()
        print(line)
        return 0 if mended else 1
    if options.unmend:
        print(doctor.unmend())
        return 0
    return doctor.report()


def parser():
    """Return the argument parser of the whole command."""
    top = argparse.ArgumentParser(prog="mirdl", description="Deep learning for music tagging.")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True)

    command = commands.add_parser("doctor", help="check this installation")
    command.set_defaults(run=doctor)
    command.add_argument(
        "--mend", action="store_true", help="move torchaudio's CUDA-linked extension aside"
    )
    command.add_argument("--unmend", action="store_true", help="put it back")
    return top


def main(arguments=None):
    """Run the command line and return its exit status: 0 done, 1 failed check, 2 error."""
    options = parser().parse_args(arguments)
    try:
        return options.run(options) or 0
    except MirdlError as error:
        print(f"mirdl: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("mirdl: interrupted; run the same command again to go on", file=sys.stderr)
        return 130
