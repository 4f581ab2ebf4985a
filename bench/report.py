"""What a run found out, and how it is printed."""

from typing import Any

import msgspec
from msgspec import Struct
from rich.console import Console
from rich.table import Table

PER_REQUEST, PER_EVENT, TTFT, MEMORY = "per-request", "per-event", "ttft", "memory"
KINDS = (PER_REQUEST, PER_EVENT, TTFT, MEMORY)

LEDGER = "ledger"
"""Taken only when it is asked for: it says where time goes, not how much of it."""

PER_WHOLE_REQUEST = "per-whole-request"
"""Taken with PER_REQUEST, as the other end of the scale; it has no target."""

TARGETS = {PER_REQUEST: 8.0, PER_EVENT: 3.5, TTFT: 2.0, MEMORY: 40.0, LEDGER: 10.0}
"""At most: x nginx, x nginx, ms added to the median time to first token, kB, %."""

_TITLES = {
    PER_REQUEST: "CPU per request, one-event streams, x nginx",
    PER_WHOLE_REQUEST: "CPU per request, one-event streams in a single write, x nginx",
    PER_EVENT: "CPU per event, paced streams, x nginx",
    TTFT: "added time to first token, ms",
    MEMORY: "resident memory per open stream, kB",
    LEDGER: "CPU per request that the ledger adds, %",
}


class Figure(Struct, frozen=True):
    """One figure of the report.

    Attributes:
        kind: what was measured, a key of _TITLES.
        pair: for which client and upstream protocol.
        value: what the target is about; None where it could not be taken (ratios need nginx).
        details: the numbers behind it, unit in the name.
    """

    kind: str
    pair: str
    value: float | None
    details: dict[str, float]

    @property
    def target(self) -> float | None:
        """The most that `value` should be."""
        return TARGETS.get(self.kind)

    @property
    def reached(self) -> bool | None:
        """Whether the target is reached, None if there is no value or no target."""
        return None if self.value is None or self.target is None else self.value <= self.target


class Report(Struct, frozen=True):
    """A whole run."""

    conditions: dict[str, str]
    figures: list[Figure]
    notes: list[str]
    seconds: float


def as_json(report: Report) -> str:
    """Return the report for machines."""
    figures: list[dict[str, Any]] = [
        {**msgspec.to_builtins(figure), "target": figure.target, "reached": figure.reached} for figure in report.figures
    ]
    return msgspec.json.format(msgspec.json.encode({**msgspec.to_builtins(report), "figures": figures})).decode()


def show(report: Report) -> None:
    """Print the report for people."""
    console = Console(width=118, highlight=False)
    for name, value in report.conditions.items():
        console.print(f"[bold]{name}[/] {value}")
    for kind in _TITLES:
        figures = [figure for figure in report.figures if figure.kind == kind]
        if figures:
            console.print(_table(kind, figures))
    for note in report.notes:
        console.print(f"[yellow]note:[/] {note}")
    console.print(f"No event was lost. {report.seconds:.0f} s.")


def _table(kind: str, figures: list[Figure]) -> Table:
    target = f" (target: at most {TARGETS[kind]:g})" if kind in TARGETS else ""
    table = Table(title=f"\n{_TITLES[kind]}{target}", title_justify="left", title_style="bold")
    table.add_column("client -> upstream", min_width=26)
    table.add_column("value", justify="right")
    table.add_column("", width=6)
    for name in figures[0].details:
        table.add_column(name, justify="right")
    for figure in figures:
        value = "n/a" if figure.value is None else f"{figure.value:.2f}"
        verdict = {True: "[green]ok[/]", False: "[red]missed[/]", None: ""}[figure.reached]
        table.add_row(figure.pair, value, verdict, *(f"{detail:.2f}" for detail in figure.details.values()))
    return table
