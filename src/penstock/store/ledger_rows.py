"""What the ledger writes of an attempt: parameters of its statements, in their order, which is that of the columns.

Tuples, because the driver takes a row half as fast by name as by place, and every request has two of them.
"""

from collections.abc import Iterator
from typing import Literal, NamedTuple


class OpenedRow(NamedTuple):
    """An attempt that is opened. `slot` is whether it gives one back to the store at its end."""

    request: str
    number: int
    process: str
    state: Literal["open"]
    key: str
    key_name: str
    model: str
    provider: str
    upstream_model: str
    client_protocol: str
    upstream_protocol: str
    stream: bool
    created_ms: int
    started_ms: int
    input_estimate: int
    hold: int
    budget_unit: str | None
    budget_period: str | None
    slot: bool
    expected_tokens: int | None
    tokens_per_minute: int | None
    price: str | None
    price_version: str | None


class NotedRow(NamedTuple):
    """What was seen so far of an open attempt."""

    progressed_ms: int
    uncached: int | None
    cache_read: int | None
    cache_write: int | None
    cache_write_1h: int | None
    output: int | None
    reasoning: int | None
    input_audio: int | None
    input_image: int | None
    cached_audio: int | None
    output_audio: int | None
    output_image: int | None
    web_searches: int | None
    service_tier: str | None
    of_request: str
    of_number: int


class SettledRow(NamedTuple):
    """What an open attempt came to. `retried` is one that another follows; `borne` is what nobody is charged.

    `unpriced` is what has no known price, so that `cost` does not hold it.
    """

    state: Literal["settled", "retried"]
    end: str
    error: str | None
    uncached: int | None
    cache_read: int | None
    cache_write: int | None
    cache_write_1h: int | None
    output: int | None
    reasoning: int | None
    input_audio: int | None
    input_image: int | None
    cached_audio: int | None
    output_audio: int | None
    output_image: int | None
    web_searches: int | None
    service_tier: str | None
    usage_source: str
    cost: int | None
    unpriced: str | None
    borne: int | None
    first_output_ms: int | None
    duration_ms: int
    gap_median_ms: int | None
    gap_longest_ms: int | None
    of_request: str
    of_number: int


AttemptRow = OpenedRow | NotedRow | SettledRow


def columns_of(row: type[AttemptRow]) -> Iterator[str]:
    """Return the columns that a row gives values to; what begins with `of_` tells which attempt."""
    return (name for name in row._fields if not name.startswith("of_"))
