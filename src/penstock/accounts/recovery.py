"""What becomes of attempts that nobody will settle: those of a process that died, and those that nobody knows of.

They are settled from what was noted of them last. What was never noted is charged nothing: it was open for a second at
most, or a provider had not begun to answer.
"""

import msgspec
from msgspec import Struct

from penstock.accounts import rates
from penstock.accounts.entries import Outcome, Row, cost_of, settled_row, unpriced_of
from penstock.accounts.prices import Price
from penstock.core.outcome import End
from penstock.core.usage import COUNTERS, UNKNOWN, Usage
from penstock.store.ledger import Release, Settlement


class Recovered(Struct, frozen=True):
    """An attempt that was settled for a process that did not. `cost` is in nano-dollars; None: no price is known."""

    request: str
    number: int
    process: str
    key: str
    usage: Usage
    cost: int | None


def recover(row: Row, end: End) -> tuple[Recovered, Settlement]:
    """Return how an open attempt is settled."""
    usage = _seen(row)
    price = None if row["price"] is None else msgspec.json.decode(row["price"], type=Price)
    cost = cost_of(price, usage)
    duration = (row["progressed_ms"] or row["started_ms"]) - row["started_ms"]
    error = "gateway_crashed" if end == "crashed" else "ledger_unavailable"
    outcome = Outcome(end, error, usage, "checkpoint", None, duration)
    used = usage.total if row["budget_unit"] == "tokens" else cost or 0
    settlement = Settlement(
        settled_row(row["request"], row["number"], outcome, cost, unpriced=unpriced_of(price, usage)),
        Release(row["key"], row["budget_unit"], row["budget_period"], used, row["slot"], _correction(row, usage)),
    )
    return Recovered(row["request"], row["number"], row["process"], row["key"], usage, cost), settlement


def called_off(settlement: Settlement) -> Settlement:
    """Return how an open attempt is settled beside which another one is: a request has one end, and one slot."""
    row = settlement.row._replace(state="retried", borne=settlement.row.cost)
    release = settlement.release and msgspec.structs.replace(settlement.release, used=0, slot=False, tokens=0)
    return Settlement(row, release)


def limited_elsewhere(settlement: Settlement) -> Settlement:
    """Return how it is settled where not the store has the key's rates."""
    return Settlement(settlement.row, settlement.release and msgspec.structs.replace(settlement.release, tokens=0))


def _correction(row: Row, usage: Usage) -> int:
    """Return by how many microseconds the key's rate of tokens has to be put right."""
    per_minute = row["tokens_per_minute"]
    if per_minute is None:
        return 0
    return rates.charge(usage.total, per_minute) - rates.charge(row["expected_tokens"], per_minute)


def _seen(row: Row) -> Usage:
    """Return what was noted of an attempt. A provider that began to answer has read the input."""
    if row["progressed_ms"] is None:
        return UNKNOWN
    usage = Usage(**{name: row[name] for name in COUNTERS}, service_tier=row["service_tier"])
    inputs = (usage.uncached, usage.cache_read, usage.cache_write, usage.cache_write_1h)
    if any(count is not None for count in inputs):
        return usage
    return usage.updated(Usage(uncached=row["input_estimate"], estimated=True))
