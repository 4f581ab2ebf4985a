"""What becomes of attempts that nobody will settle: those of a process that died, and those that nobody knows of.

They are settled from what was noted of them last. What was never noted is charged nothing: it was open for a second at
most, or a provider had not begun to answer.
"""

from collections.abc import Sequence

import msgspec
from msgspec import Struct

from penstock.accounts.entries import NOTHING, Outcome, Row, Totals, cost_of, settled_row
from penstock.accounts.prices import Price
from penstock.core.outcome import End
from penstock.core.usage import UNKNOWN, Usage
from penstock.store.ledger import Release, Settlement
from penstock.store.ledger_sql import COUNTERS

_SAME = (
    *("key", "key_name", "model", "provider", "upstream_model", "upstream_protocol", "client_protocol", "stream"),
    "created_ms",
)


class Recovered(Struct, frozen=True):
    """An attempt that was settled for a process that did not. `cost` is in nano-dollars; None: no price is known."""

    request: str
    number: int
    process: str
    key: str
    usage: Usage
    cost: int | None


def recover(row: Row, earlier: Sequence[Row], end: End) -> tuple[Recovered, Settlement]:
    """Return how an open attempt is settled. `earlier` are the settled attempts of its request."""
    usage = _seen(row)
    price = None if row["price"] is None else msgspec.json.decode(row["price"], type=Price)
    cost = cost_of(price, usage)
    duration = (row["progressed_ms"] or row["started_ms"]) - row["started_ms"]
    error = "gateway_crashed" if end == "crashed" else "ledger_unavailable"
    outcome = Outcome(end, error, usage, "checkpoint", None, duration)
    totals = NOTHING
    for attempt in earlier:
        totals = totals.plus(_counted(attempt), attempt["cost"])
    used = usage.total if row["budget_unit"] == "tokens" else cost or 0
    settlement = Settlement(
        settled_row(row["request"], row["number"], outcome, cost),
        _request_row(row, outcome, totals.plus(usage, cost)),
        Release(row["key"], row["budget_unit"], row["budget_period"], used, row["slot"], 0),
    )
    return Recovered(row["request"], row["number"], row["process"], row["key"], usage, cost), settlement


def _seen(row: Row) -> Usage:
    """Return what was noted of an attempt. A provider that began to answer has read the input."""
    if row["progressed_ms"] is None:
        return UNKNOWN
    usage = _counted(row)
    inputs = (usage.uncached, usage.cache_read, usage.cache_write, usage.cache_write_1h)
    if any(count is not None for count in inputs):
        return usage
    return usage.updated(Usage(uncached=row["input_estimate"], estimated=True))


def _counted(row: Row) -> Usage:
    return Usage(**{name: row[name] for name in COUNTERS})


def _request_row(row: Row, outcome: Outcome, totals: Totals) -> Row:
    return {
        "id": row["request"],
        **{name: row[name] for name in _SAME},
        "attempts": row["number"],
        "end": outcome.end,
        "error": outcome.error,
        **{name: getattr(totals.usage, name) for name in COUNTERS},
        "usage_source": outcome.source,
        "cost": totals.cost,
        "first_output_ms": None,
        "duration_ms": row["started_ms"] - row["created_ms"] + outcome.duration_ms,
        "gap_median_ms": None,
        "gap_longest_ms": None,
    }
