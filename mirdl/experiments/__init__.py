"""The experiments behind the tables and claims of the lessons, and the store of their results.

One function makes one row: ``function(seed, settings, **options) -> Evaluation``. Lessons import
these functions to run a cell of a table live; ``make results`` (``python -m mirdl.experiments``)
runs all of them and keeps what they return under ``results/``, from where `store` reads it.
"""

from mirdl.experiments import settings, store

__all__ = ["settings", "store"]
