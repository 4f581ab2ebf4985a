"""What a programme is asked and what it found, and how that is printed."""

import sys

from msgspec import Struct
from rich.console import Console
from rich.table import Table

MAX_SHOWN = 12
"""Broken promises that are printed of one programme; their number is always printed."""


class Options(Struct, frozen=True):
    """What all programmes are told.

    Attributes:
        seed: everything that is drawn comes from it: the same seed breaks the same things.
        quick: whether a small part of the work is enough.
        jobs: processes to use at most.
        minutes: how long a programme goes on that has no other end.
    """

    seed: int
    quick: bool = False
    jobs: int = 1
    minutes: float = 10.0


class Figure(Struct, frozen=True):
    """One figure.

    Attributes:
        name: what was counted or measured.
        value: what came out.
        target: what it must be, in words; empty if it is only told.
        held: whether it is.
    """

    name: str
    value: int | float | str
    target: str = ""
    held: bool = True


class Report(Struct, frozen=True):
    """What a programme found.

    Attributes:
        figures: in the order to print them.
        failures: each broken promise in a line that says where, so that it can be looked at alone.
        notes: what a reader should know about the figures.
    """

    figures: list[Figure]
    failures: list[str] = []
    notes: list[str] = []

    @property
    def held(self) -> bool:
        """Whether every promise was kept."""
        return not self.failures and all(figure.held for figure in self.figures)


def count(name: str, number: int, target: int = 0) -> Figure:
    """Return the figure of something that must happen exactly so often."""
    return Figure(name, number, str(target), number == target)


def at_most(name: str, value: float, target: float, unit: str) -> Figure:
    """Return the figure of something that may not be larger than its target."""
    return Figure(f"{name}, {unit}", round(value, 3), f"at most {target:g}", value <= target)


def say(what: str) -> None:
    """Tell whoever waits how far it is."""
    print(f"chaos: {what}", file=sys.stderr)


def show(name: str, report: Report, seconds: float) -> None:
    """Print a report for people."""
    console = Console(width=118, highlight=False, markup=False)
    table = Table(title=f"\n{name}, {seconds:.0f} s", title_justify="left", title_style="bold")
    table.add_column("figure", min_width=50)
    table.add_column("value", justify="right")
    table.add_column("must be")
    table.add_column("", width=6)
    for figure in report.figures:
        verdict = "" if not figure.target else "ok" if figure.held else "BROKEN"
        table.add_row(figure.name, str(figure.value), figure.target, verdict)
    console.print(table)
    for note in report.notes:
        console.print(f"note: {note}")
    for failure in report.failures[:MAX_SHOWN]:
        console.print(f"broken: {failure}")
    if len(report.failures) > MAX_SHOWN:
        console.print(f"... and {len(report.failures) - MAX_SHOWN} more")
