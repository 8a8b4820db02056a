"""``mirdl models`` and ``mirdl published``: the networks, their sizes, weights from papers."""

import csv
import shlex
import sys

from mirdl.errors import MirdlError


def list_models(options):
    """Print the networks with their sizes, ours and published, and the baselines."""
    import inspect

    from mirdl import models
    from mirdl.models import table

    names = options.names or models.available()
    for name in names:
        if name not in models.available():
            raise MirdlError(f"no model is called {name!r}; `mirdl models` lists them")
    networks = [name for name in names if name in models.NETWORKS]
    if networks:
        _print_table(table.described(networks), options.csv)
    for name in names:
        if name in models.BASELINES and not options.csv:
            print(f"{name:<22} {inspect.getdoc(models.baseline(name)).splitlines()[0]}")


def published(options):
    """Convert the published weights of a network for --model of `mirdl tag`; download them first.

    These are FCN, CRNN and musicnn of Won et al. (SMC 2020), which know MagnaTagATune's 50 tags.
    """
    from mirdl import published

    path = published.convert(options.name, options.source, options.target)
    print(f"{path}\nmirdl tag --model {shlex.quote(str(path))} FILE")


def _print_table(rows, as_csv):
    if as_csv:
        table = csv.DictWriter(sys.stdout, list(rows[0]), lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
        return
    widths = {name: max(len(name), *(len(row[name]) for row in rows)) for name in rows[0]}
    for row in [{name: name for name in widths}, *rows]:
        print("  ".join(row[name].ljust(width) for name, width in widths.items()).rstrip())
