"""What the ledger is told, and the rows that it becomes. Usage is in tokens, money in nano-dollars."""

from typing import Any, Literal

from msgspec import Struct

from penstock.accounts.budgets import Cover, period_of
from penstock.accounts.keys import Key
from penstock.accounts.prices import Price
from penstock.core.outcome import End, Gaps, UsageSource
from penstock.core.usage import UNKNOWN, Usage
from penstock.store.ledger_rows import NotedRow, OpenedRow, SettledRow

Row = dict[str, Any]
"""A row of the table of attempts, as it is read."""


class Intent(Struct, frozen=True, gc=False):
    """A request, by its id and the key that makes it. `model` is as the client asked for it."""

    request: str
    key: Key
    model: str
    client_protocol: str
    stream: bool
    created_ms: int


class Try(Struct, frozen=True, gc=False):
    """One attempt. `input_tokens` is an estimate; `max_output` is None where nobody said how long the answer may be.

    `service_tier` is the one that is asked for, in the words of Usage.
    """

    provider: str
    upstream_model: str
    upstream_protocol: str
    input_tokens: int
    max_output: int | None
    price: Price | None
    service_tier: str | None = None


class Outcome(Struct, frozen=True, gc=False):
    """What one attempt came to. Times are counted from its beginning."""

    end: End
    error: str | None
    usage: Usage
    source: UsageSource
    first_output_ms: int | None
    duration_ms: int
    gaps: Gaps | None = None


class Single(Struct, frozen=True, gc=False):
    """What one run of an answer that was continued would have come to: nobody is charged for more.

    `source` is who counted its input.
    """

    usage: Usage
    price: Price | None
    source: UsageSource = "provider"


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
    unpriced: bool = False

    def plus(self, usage: Usage, cost: int | None, unpriced: str | None) -> "Totals":
        """Return them with one more attempt."""
        if self is NOTHING:
            return Totals(usage, cost, unpriced is not None)
        mine = self.usage
        usages = Usage(
            uncached=_sum(mine.uncached, usage.uncached),
            cache_read=_sum(mine.cache_read, usage.cache_read),
            cache_write=_sum(mine.cache_write, usage.cache_write),
            cache_write_1h=_sum(mine.cache_write_1h, usage.cache_write_1h),
            output=_sum(mine.output, usage.output),
            reasoning=_sum(mine.reasoning, usage.reasoning),
        )
        return Totals(usages, _sum(self.cost, cost), self.unpriced or unpriced is not None)

    def capped(self, single: Single) -> "Totals":
        """Return what of them is charged for an answer that was continued."""
        cost = cost_of(single.price, single.usage)
        charged = self.cost if cost is None or self.cost is None else min(cost, self.cost)
        return Totals(single.usage, charged, self.unpriced)


NOTHING = Totals()


def _sum(one: int | None, other: int | None) -> int | None:
    if one is None or other is None:
        return one if other is None else other
    return one + other


def cost_of(price: Price | None, usage: Usage) -> int | None:
    """Return what an attempt cost; None if no price is known."""
    return None if price is None else price.cost(usage)


def unpriced_of(price: Price | None, usage: Usage) -> str | None:
    """Return what of an attempt has no known price although its tokens have one; None if nothing."""
    return None if price is None else price.unpriced(usage)


def opened_row(intent: Intent, attempt: Attempt, process: str, slot: bool, expected: int) -> OpenedRow:
    """Return the row of an attempt that is opened. `slot` is whether it gives one back to the store at its end.

    `expected` is for how many tokens a rate has let its request through, less what attempts before it have used.
    """
    tried, key, cover = attempt.tried, intent.key, attempt.cover
    budget, price = key.budget, tried.price
    return OpenedRow(
        intent.request,
        attempt.number,
        process,
        "open",
        key.id,
        key.name,
        intent.model,
        tried.provider,
        tried.upstream_model,
        intent.client_protocol,
        tried.upstream_protocol,
        intent.stream,
        intent.created_ms,
        attempt.started_ms,
        tried.input_tokens,
        0 if cover is None else cover.amount,
        None if budget is None else budget.unit,
        None if budget is None else period_of(budget, intent.created_ms),
        slot,
        None if key.limits.tokens_per_minute is None else expected,
        key.limits.tokens_per_minute,
        None if price is None else price.written,
        None if price is None else price.version,
    )


def noted_row(request: str, number: int, progress: Progress, now_ms: int) -> NotedRow:
    """Return what is noted of an open attempt."""
    usage = progress.usage
    output = max(usage.output or 0, progress.output_tokens)
    return NotedRow(
        now_ms,
        usage.uncached,
        usage.cache_read,
        usage.cache_write,
        usage.cache_write_1h,
        output,
        usage.reasoning,
        usage.input_audio,
        usage.input_image,
        usage.cached_audio,
        usage.output_audio,
        usage.output_image,
        usage.web_searches,
        usage.service_tier,
        request,
        number,
    )


def settled_row(  # noqa: PLR0917
    request: str,
    number: int,
    outcome: Outcome,
    cost: int | None,
    state: Literal["settled", "retried"] = "settled",
    borne: int | None = None,
    unpriced: str | None = None,
) -> SettledRow:
    """Return what is written of an attempt at its end. `unpriced` is what `cost` does not hold."""
    usage, gaps = outcome.usage, outcome.gaps
    return SettledRow(
        state,
        outcome.end,
        outcome.error,
        usage.uncached,
        usage.cache_read,
        usage.cache_write,
        usage.cache_write_1h,
        usage.output,
        usage.reasoning,
        usage.input_audio,
        usage.input_image,
        usage.cached_audio,
        usage.output_audio,
        usage.output_image,
        usage.web_searches,
        usage.service_tier,
        outcome.source,
        cost,
        unpriced,
        borne,
        outcome.first_output_ms,
        outcome.duration_ms,
        None if gaps is None else round(gaps.median * 1000),
        None if gaps is None else round(gaps.longest * 1000),
        request,
        number,
    )
