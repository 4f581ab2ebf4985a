"""`penstock usage --request`: one request and its attempts, as tables for people or JSON for programs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from penstock.accounts.usage import attempt_record, request_record
from penstock.cli.pricing import WIDTH
from penstock.cli.reporting import Format, Question, reading
from penstock.cli.running import readable
from penstock.core.errors import ConfigError
from penstock.store.usage import Filter

_UNKNOWN = "-"
_INPUT = ("uncached_tokens", "cache_read_tokens", "cache_write_tokens", "cache_write_1h_tokens")


async def show(id_: str, question: Question, format_: Format, path: Path | None, environ: Mapping[str, str]) -> None:
    """Print a request and its attempts. One that is under way has attempts only.

    Raises:
        ConfigError: the configuration, or the database that it names, cannot be used; or sums are asked for as well.
        Exit: there is no such request; status 1.
    """
    if question != Question() or format_ == "csv":
        raise ConfigError("--request: stands alone, or with --json")
    async with reading(path, environ) as store:
        over = (await store.page(Filter(id=id_), 1)).requests
        attempts = [attempt_record(row) for row in await store.attempts(id_)]
    if not attempts:
        typer.echo(f"penstock: There is no request {id_[:100]!r}. One that reached no provider is not kept.", err=True)
        raise typer.Exit(1)
    request = request_record(over[0]) if over else None
    if format_ == "json":
        content = {"request": request, "attempts": attempts}
        print(msgspec.json.format(msgspec.json.encode(content), indent=2).decode())
        return
    console = Console(width=WIDTH, highlight=False)
    console.print(_request_table(id_, request, attempts[-1]))
    console.print()
    console.print(_attempts_table(attempts))


def _request_table(id_: str, request: Mapping[str, Any] | None, last: Mapping[str, Any]) -> Table:
    table = Table.grid(padding=(0, 3))
    answer = "stream" if last["stream"] else "whole answer"
    rows = [
        ("request", id_),
        ("key", f"{last['key_name']} ({last['key']})"),
        ("model", last["model"]),
        ("asked for", f"{answer}, {last['client_protocol']}"),
        ("end", _end(request)),
    ]
    if request is not None:
        rows += [
            ("began", readable(request["created"])),
            ("took", _milliseconds(request["duration_ms"])),
            ("cost", _cost(request)),
        ]
    for name, value in rows:
        table.add_row(name, escape(value))
    return table


def _attempts_table(attempts: Sequence[Mapping[str, Any]]) -> Table:
    table = Table("attempt", "upstream", "end", "began", box=None, pad_edge=False)
    for name in ("first output", "took", "input", "of it cached", "output"):
        table.add_column(name, justify="right")
    table.add_column("counted by")
    table.add_column("cost", justify="right")
    for one in attempts:
        cells = (
            str(one["number"]),
            f"{one['provider']}/{one['upstream_model']}",
            _end(None if one["state"] == "open" else one),
            readable(one["started"]),
            _milliseconds(one["first_output_ms"]),
            _milliseconds(one["duration_ms"]),
            _tokens(one, *_INPUT),
            _tokens(one, "cache_read_tokens"),
            _tokens(one, "output_tokens"),
            one["usage_source"] or _UNKNOWN,
            _cost(one),
        )
        table.add_row(*(escape(cell) for cell in cells))
    return table


def _end(told: Mapping[str, Any] | None) -> str:
    if told is None:
        return "under way"
    return f"{told['end']}: {told['error']}" if told["error"] else told["end"]


def _tokens(told: Mapping[str, Any], *names: str) -> str:
    known = [told[name] for name in names if told[name] is not None]
    return f"{sum(known):,}" if known else _UNKNOWN


def _milliseconds(duration: int | None) -> str:
    return _UNKNOWN if duration is None else f"{duration:,} ms"


def _cost(told: Mapping[str, Any]) -> str:
    if told["cost_usd"] is None:
        return _UNKNOWN
    beside = f" + ? ({told['unpriced'].replace(',', ', ')})" if told["unpriced"] else ""
    return f"${told['cost_usd']}{beside}"
