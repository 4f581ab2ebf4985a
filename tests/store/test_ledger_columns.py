"""`docs/ledger.md` explains the ledger's columns: all of them, and no others."""

import re
from pathlib import Path
from typing import get_args

from penstock.core.outcome import End, UsageSource
from penstock.store.schema import ATTEMPTS

PAGE = (Path(__file__).parents[2] / "docs" / "ledger.md").read_text("utf-8")


def first_cells(heading: str) -> list[str]:
    """Return the names in the first column of the tables under a heading."""
    section = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return [
        name for row in re.findall(r"^\| (`[^|]*) \|", section, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)
    ]


def test_every_column_is_explained_in_its_order():
    assert first_cells("Columns") == [column.name for column in ATTEMPTS.columns]


def test_every_source_of_usage_is_explained():
    assert first_cells("Who says what was used") == ["usage_source", *get_args(UsageSource)]


def test_every_end_is_named():
    section = PAGE.split("\n## Columns\n")[1].split("\n## ")[0]
    assert set(get_args(End)) <= set(re.findall(r"`(\w+)`", section.split("\n`end` is")[1]))
