"""What the ledger is told, and the rows that it becomes. Usage is in tokens, money in nano-dollars."""

from typing import Any

import msgspec
from msgspec import Struct

from penstock.accounts.budgets import Cover, period_of
from penstock.accounts.keys import Key
from penstock.accounts.prices import Price
from penstock.core.outcome import End, Gaps, UsageSource
from penstock.core.usage import UNKNOWN, Usage

Row = dict[str, Any]


class Intent(Struct, frozen=True, gc=False):
    """A request, by its id and the key that makes it. `model` is as the client asked for it."""

    request: str
    key: Key
    model: str
    client_protocol: str
    stream: bool
    created_ms: int


class Try(Struct, frozen=True, gc=False):
    """One attempt. `input_tokens` is an estimate; `max_output` is None where nobody said how long the answer may be."""

    provider: str
    upstream_model: str
    upstream_protocol: str
    input_tokens: int
    max_output: int | None
    price: Price | None


class Outcome(Struct, frozen=True, gc=False):
    """What one attempt came to. Times are counted from its beginning."""

    end: End
    error: str | None
    usage: Usage
    source: UsageSource
    first_output_ms: int | None
    duration_ms: int
    gaps: Gaps | None = None


class Progress(Struct, frozen=True, gc=False):
    """What was seen of an attempt so far: the provider's count, and an estimate of the output."""

    usage: Usage
    output_tokens: int


class Attempt(Struct, frozen=True, gc=False):
    """An attempt under way. `cover` is what it holds at first; None if the key has no budget."""

    number: int
    started_ms: int
    tried: Try
    cover: Cover | None


class Totals(Struct, frozen=True, gc=False):
    """What all attempts of a request came to."""

    usage: Usage = UNKNOWN
    cost: int | None = None

    def plus(self, usage: Usage, cost: int | None) -> "Totals":
        """Return them with one more attempt."""
        if self is NOTHING:
            return Totals(usage, cost)
        mine = self.usage
        usages = Usage(
            uncached=_sum(mine.uncached, usage.uncached),
            cache_read=_sum(mine.cache_read, usage.cache_read),
            cache_write=_sum(mine.cache_write, usage.cache_write),
            cache_write_1h=_sum(mine.cache_write_1h, usage.cache_write_1h),
            output=_sum(mine.output, usage.output),
            reasoning=_sum(mine.reasoning, usage.reasoning),
        )
        return Totals(usages, _sum(self.cost, cost))


NOTHING = Totals()


def _sum(one: int | None, other: int | None) -> int | None:
    if one is None or other is None:
        return one if other is None else other
    return one + other


def cost_of(price: Price | None, usage: Usage) -> int | None:
    """Return what an attempt cost; None if no price is known."""
    return None if price is None else price.cost(usage)


def opened_row(intent: Intent, attempt: Attempt, process: str, slot: bool) -> Row:
    """Return the row of an attempt that is opened. `slot` is whether it gives one back to the store at its end."""
    tried = attempt.tried
    key, price = intent.key, tried.price
    budget = key.budget
    return {
        "request": intent.request,
        "number": attempt.number,
        "process": process,
        "state": "open",
        "key": key.id,
        "key_name": key.name,
        "model": intent.model,
        "provider": tried.provider,
        "upstream_model": tried.upstream_model,
        "client_protocol": intent.client_protocol,
        "upstream_protocol": tried.upstream_protocol,
        "stream": intent.stream,
        "created_ms": intent.created_ms,
        "started_ms": attempt.started_ms,
        "input_estimate": tried.input_tokens,
        "hold": 0 if attempt.cover is None else attempt.cover.amount,
        "budget_unit": None if budget is None else budget.unit,
        "budget_period": None if budget is None else period_of(budget, intent.created_ms),
        "slot": slot,
        "price": None if price is None else msgspec.json.encode(price).decode(),
        "price_version": None if price is None else price.version,
    }


def progress_row(request: str, number: int, progress: Progress, now_ms: int) -> Row:
    """Return what is noted of an open attempt."""
    usage = progress.usage
    return {
        "of_request": request,
        "of_number": number,
        "progressed_ms": now_ms,
        **_counters(usage),
        "output": max(usage.output or 0, progress.output_tokens),
    }


def settled_row(request: str, number: int, outcome: Outcome, cost: int | None) -> Row:
    """Return what is written of an attempt that is settled."""
    return {
        "of_request": request,
        "of_number": number,
        "end": outcome.end,
        "error": outcome.error,
        **_counters(outcome.usage),
        "usage_source": outcome.source,
        "cost": cost,
        "first_output_ms": outcome.first_output_ms,
        "duration_ms": outcome.duration_ms,
    }


def request_row(intent: Intent, last: Attempt, outcome: Outcome, totals: Totals) -> Row:
    """Return the row of a request that is over; `outcome` is that of its last attempt."""
    tried = last.tried
    before = last.started_ms - intent.created_ms
    gaps = outcome.gaps
    return {
        "id": intent.request,
        "key": intent.key.id,
        "key_name": intent.key.name,
        "model": intent.model,
        "provider": tried.provider,
        "upstream_model": tried.upstream_model,
        "upstream_protocol": tried.upstream_protocol,
        "client_protocol": intent.client_protocol,
        "stream": intent.stream,
        "created_ms": intent.created_ms,
        "attempts": last.number,
        "end": outcome.end,
        "error": outcome.error,
        **_counters(totals.usage),
        "usage_source": outcome.source,
        "cost": totals.cost,
        "first_output_ms": None if outcome.first_output_ms is None else before + outcome.first_output_ms,
        "duration_ms": before + outcome.duration_ms,
        "gap_median_ms": None if gaps is None else round(gaps.median * 1000),
        "gap_longest_ms": None if gaps is None else round(gaps.longest * 1000),
    }


def _counters(usage: Usage) -> Row:
    return {
        "uncached": usage.uncached,
        "cache_read": usage.cache_read,
        "cache_write": usage.cache_write,
        "cache_write_1h": usage.cache_write_1h,
        "output": usage.output,
        "reasoning": usage.reasoning,
    }
