"""Every network has the number of parameters that its paper prints, or the table says why not."""

import pytest
import torch

from mirdl import models
from mirdl.models import table


def label(row):
    return "-".join([row.name, str(row.n_outputs), *map(str, row.overrides.values())])


@pytest.mark.parametrize("row", table.ROWS, ids=label)
def test_count_is_the_published_one(row):
    assert row.verdict(models.n_parameters(row.build())) != "differs"


#: Rows whose count is certain: what `mirdl models` must call exact or rounded.
@pytest.mark.parametrize("row", [row for row in table.ROWS if not row.note], ids=label)
def test_no_excuse_without_a_note(row):
    verdict = row.verdict(models.n_parameters(row.build()))
    assert verdict in {"exact", "rounds to it", "no count published"}


def test_every_network_is_in_the_table():
    assert {row.name for row in table.ROWS} <= set(models.NETWORKS)


def test_counting_needs_no_memory():
    model = table.ROWS[0].build()
    assert {p.device for p in model.parameters()} == {torch.device("meta")}


@pytest.mark.parametrize(
    ("count", "printed", "expected"),
    [
        (74_526, "75k", True),
        (74_526, "74k", True),
        (73_999, "75k", False),
        (5_377_082, "5.3M", True),
        (5_377_082, "5.4M", True),
        (5_377_082, "5.5M", False),
        (1_446_123, "1446k", True),
    ],
)
def test_printed_digits(count, printed, expected):
    assert table.agrees(count, printed) is expected
