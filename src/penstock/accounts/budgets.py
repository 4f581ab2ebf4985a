"""Budgets: which row one counts in, how much an attempt holds of it, and what somebody is told whose budget is used up.

An attempt holds what it may cost before it is made, so that the cap is kept whatever happens at the same time. To hold
the longest answer that a model can give would refuse most of what a budget could pay for; so a stream holds a part, and
more while it goes on.
"""

from datetime import UTC, datetime, timedelta

from msgspec import Struct

from penstock.accounts.keys import Budget
from penstock.accounts.moments import midnight
from penstock.accounts.prices import Price
from penstock.core.errors import ClientFault, ErrorInfo
from penstock.core.money import format_dollars
from penstock.core.usage import Usage

STREAM_OUTPUT = 2048
"""Tokens of output that a stream holds at first. It holds more before it has produced them."""

WHOLE_OUTPUT = 8192
"""Tokens of output that are held for a whole answer whose longest nobody said: it cannot hold more later."""

NO_BUDGET = 2**62
"""Tokens of output that are covered where nothing bounds them."""


class Cover(Struct, frozen=True):
    """What an attempt costs at most, in the unit of its budget, if it puts out no more than `output` tokens."""

    amount: int
    output: int


def period_of(budget: Budget, now_ms: int) -> str:
    """Return the name of the period that a moment, Unix time in milliseconds, is in."""
    moment = datetime.fromtimestamp(now_ms / 1000, UTC)
    match budget.period:
        case "day":
            return f"{moment:%Y-%m-%d}"
        case "month":
            return f"{moment:%Y-%m}"
        case "total":
            return "total"


def cover(
    budget: Budget, price: Price | None, input_tokens: int, output_tokens: int, service_tier: str | None = None
) -> Cover:
    """Return what this much input, as estimated, and output may cost. The input may be a quarter more than estimated.

    Raises:
        ClientFault: the budget counts money and no price is known, or none for the service tier.
    """
    length = -(-input_tokens * 5 // 4)
    if budget.unit == "tokens":
        return Cover(length + output_tokens, output_tokens)
    if price is None or price.unpriced(Usage(service_tier=service_tier)):
        raise _price_unknown()
    # Nobody knows what part of the input will be written to a cache, which costs more than to read it once, nor what
    # the output will be where a model makes sounds or images.
    ways = (
        Usage(uncached=length, output=output_tokens, service_tier=service_tier),
        Usage(cache_write=length, output=output_tokens, service_tier=service_tier),
        Usage(cache_write_1h=length, output=output_tokens, service_tier=service_tier),
        Usage(uncached=length, output=output_tokens, output_audio=output_tokens, service_tier=service_tier),
        Usage(uncached=length, output=output_tokens, output_image=output_tokens, service_tier=service_tier),
    )
    return Cover(max(price.cost(usage) for usage in ways), output_tokens)


def first_output(stream: bool, max_output: int | None) -> int:
    """Return for how many tokens of output an attempt holds budget before it is made."""
    if max_output is None:
        return STREAM_OUTPUT if stream else WHOLE_OUTPUT
    return min(max_output, STREAM_OUTPUT) if stream else max_output


def exceeded(budget: Budget, now_ms: int) -> ClientFault:
    """Return what somebody is told whose budget does not allow it."""
    kind = {"day": "daily", "month": "monthly", "total": "whole"}[budget.period]
    amount = f"${format_dollars(budget.limit)}" if budget.unit == "usd" else f"{budget.limit:,} tokens"
    message = f"The {kind} budget of this key, {amount}, does not allow this request; {_reset(budget, now_ms)}."
    return ClientFault(ErrorInfo("billing", message, code="budget_exceeded"))


def resets_at(budget: Budget, now_ms: int) -> datetime | None:
    """Return when the period ends that a moment, Unix time in milliseconds, is in; None if it never does."""
    today = midnight(now_ms / 1000)
    match budget.period:
        case "day":
            return today + timedelta(days=1)
        case "month":
            return (today.replace(day=1) + timedelta(days=32)).replace(day=1)
        case "total":
            return None


def _reset(budget: Budget, now_ms: int) -> str:
    then = resets_at(budget, now_ms)
    return f"it resets at {then:%Y-%m-%d} 00:00 UTC" if then else "it does not reset"


def _price_unknown() -> ClientFault:
    message = "This key has a budget in money, and no price is known for this model, or for this service tier."
    return ClientFault(ErrorInfo("billing", message, code="price_unknown"))
