"""`penstock usage`: what requests came to, as a table for people, JSON or CSV for programs."""

import contextlib
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, cast

import msgspec
from msgspec import Struct
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from penstock.accounts.usage import GROUPS, NONE, csv_table, group_names, period, record
from penstock.cli.pricing import WIDTH
from penstock.cli.stores import data_directory, database_location
from penstock.config import load
from penstock.core.errors import ConfigError
from penstock.store.database import Database
from penstock.store.errors import StoreUnavailableError
from penstock.store.usage import Filter, Group, Totals, UsageStore
from penstock.upstreams.settings import did_you_mean

Format = Literal["table", "json", "csv"]


class Question(Struct, frozen=True):
    """What somebody wants to know: sums in which groups (by day, if nothing is said), and of which requests."""

    by: Sequence[str] = ()
    since: str | None = None
    until: str | None = None
    key: str | None = None
    model: str | None = None
    provider: str | None = None


class Report(Struct, frozen=True):
    """The answer: the sums of all groups, and of them all together."""

    by: tuple[Group, ...]
    groups: Sequence[Totals]
    total: Totals


async def show(question: Question, format_: Format, path: Path | None, environ: Mapping[str, str]) -> None:
    """Print what requests came to.

    Raises:
        ConfigError: the configuration, or the database that it names, cannot be used; or there is no such group.
        ClientFault: the period is none.
    """
    by = _groups(question.by or ("day",))
    since, until = period(question.since, question.until, time.time())
    which = Filter(since, until, owner=question.key, model=question.model, provider=question.provider)
    async with reading(path, environ) as store:
        whole = await store.totals((), which)
        report = Report(by, await store.totals(by, which), whole[0] if whole else NONE)
    match format_:
        case "json":
            _print_json(report)
        case "csv":
            print(csv_table(report.by, report.groups), end="")
        case "table":
            _print_table(report, since)


@contextlib.asynccontextmanager
async def reading(path: Path | None, environ: Mapping[str, str]) -> AsyncGenerator[UsageStore]:
    """Open the database that the configuration names, to ask it what was used.

    Raises:
        ConfigError: one of them cannot be used.
    """
    config = load(path, environ)
    database = await Database.open(database_location(config, data_directory(environ)))
    try:
        yield UsageStore(database)
    except StoreUnavailableError as error:
        raise ConfigError(f"the database cannot be read: {error}") from None
    finally:
        await database.close()


def _groups(names: Sequence[str]) -> tuple[Group, ...]:
    found = dict.fromkeys(name.strip() for text in names for name in text.split(","))
    for name in found:
        if name not in GROUPS:
            known = ", ".join(GROUPS)
            raise ConfigError(f'--by: unknown group "{name}"{did_you_mean(name, GROUPS) or "."} Known: {known}.')
    return cast("tuple[Group, ...]", tuple(found))


def _print_json(report: Report) -> None:
    content = {"total": record(report.total), "data": [record(total) for total in report.groups]}
    print(msgspec.json.format(msgspec.json.encode(content), indent=2).decode())


def _print_table(report: Report, since: int) -> None:
    first = datetime.fromtimestamp(since / 1000, UTC)
    console = Console(width=WIDTH)
    console.print(f"Since {first:%Y-%m-%d %H:%M} UTC", highlight=False)
    if not report.groups:
        console.print("No requests.")
        return
    names = group_names(report.by)
    table = Table(*names, box=None, pad_edge=False)
    for name in ("requests", "not completed", "input", "of it cached", "output", "cost"):
        table.add_column(name, justify="right")
    for total in report.groups:
        table.add_row(*(escape(total.group[name]) for name in names), *_cells(total))
    if names:
        table.add_row("[bold]all[/bold]", *("" for _ in names[1:]), *_cells(report.total))
    console.print(table, highlight=False)
    for note in _notes(report.total):
        console.print(note, highlight=False)


def _cells(total: Totals) -> list[Any]:
    tokens = total.tokens
    unknown = " + ?" if total.unpriced else ""
    return [
        f"{total.requests:,}",
        f"{total.requests - total.ends.get('completed', 0):,}",
        f"{tokens.input:,}",
        f"{tokens.cache_read or 0:,}",
        f"{tokens.output or 0:,}",
        f"${total.cost / 1e9:,.4f}{unknown}",
    ]


def _notes(total: Totals) -> list[str]:
    notes: list[str] = []
    if total.unpriced:
        notes.append(f"? {total.unpriced:,} requests have no known price; see penstock prices.")
    if total.estimated:
        notes.append(f"{total.estimated:,} requests were cut or not counted by their provider; theirs are estimates.")
    return notes
