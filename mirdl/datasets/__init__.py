"""Data sets behind one interface (lesson 02): ``load`` gives a ``Dataset`` whatever the source.

Adding one is a file with a function ``load`` (and ``get``, where it can be downloaded) and a line
in ``catalogue``. ``mirdl.datasets.pack`` is the module that decodes a data set once and for all:
``from mirdl.datasets.pack import pack``.
"""

import importlib

from mirdl.datasets import splits
from mirdl.datasets.base import Dataset
from mirdl.datasets.catalogue import available, catalogue, check, get, load

__all__ = ["Dataset", "Pack", "available", "catalogue", "check", "get", "load", "pack", "splits"]


def __getattr__(name):  # packing needs torch, which takes a second to import
    if name in ("Pack", "pack"):
        module = importlib.import_module("mirdl.datasets.pack")
        return module if name == "pack" else module.Pack
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
