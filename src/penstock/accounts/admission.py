"""What a request must have before a provider is called, and what it is told if it cannot have it."""

import math
from collections.abc import Sequence
from typing import Protocol

from penstock.accounts import budgets, rates
from penstock.accounts.budgets import Cover
from penstock.accounts.entries import Intent, Try
from penstock.core.errors import ClientFault, ErrorInfo, Fault
from penstock.store.ledger import Claims, Hold, RateClaim, Refusal, Return

USUAL_OUTPUT = 500
"""Tokens of output for which a request is let through a limit on tokens; what it really was is put right at its end."""

NEVER = 2**62
"""Microseconds: an arrival time that no rate reaches."""

STREAMS_RETRY = 1.0
"""Seconds after which it makes sense to look whether another request of the key has ended."""


class SharedLimits(Protocol):
    """Rates and slots that many machines hold in common, instead of the store. All raise StoreUnavailableError."""

    async def admit(self, request: str, claims: Claims) -> Refusal | None:
        """Take the slot and the rates that are claimed, or nothing. The slot is leased for a minute."""
        ...

    async def give_back(self, returns: Sequence[Return]) -> None:
        """Give back what these requests have, or will have: to do it again changes nothing."""
        ...

    async def renew(self, slots: Sequence[tuple[str, str]]) -> None:
        """Renew the leases of these slots, each a key and a request."""
        ...


def expected_tokens(tried: Try) -> int:
    """Return the tokens for which a request is let through a limit on tokens."""
    return tried.input_tokens + (USUAL_OUTPUT if tried.max_output is None else min(tried.max_output, USUAL_OUTPUT))


def cover_of(intent: Intent, tried: Try) -> Cover | None:
    """Return what an attempt holds at first; None if the key has no budget.

    Raises:
        ClientFault: the budget counts money and no price is known.
    """
    budget = intent.key.budget
    if budget is None:
        return None
    output = budgets.first_output(intent.stream, tried.max_output)
    return budgets.cover(budget, tried.price, tried.input_tokens, output, tried.service_tier)


def hold_of(intent: Intent, amount: int) -> Hold | None:
    """Return an amount as the store is asked for it; None if the key has no budget."""
    budget = intent.key.budget
    if budget is None:
        return None
    return Hold(budget.unit, budgets.period_of(budget, intent.created_ms), amount, budget.limit)


def claims_of(intent: Intent, tried: Try, hold: Hold | None, now: int) -> Claims | None:
    """Return what a request must have at a moment, in microseconds; None if the key is neither limited nor budgeted."""
    limits = intent.key.limits
    claimed: list[RateClaim] = []
    if limits.requests_per_minute is not None:
        charged = rates.charge(1, limits.requests_per_minute)
        claimed.append(RateClaim("requests", charged, rates.latest(now, charged)))
    if limits.tokens_per_minute is not None:
        charged = rates.charge(expected_tokens(tried), limits.tokens_per_minute)
        claimed.append(RateClaim("tokens", charged, rates.latest(now, charged)))
    if hold is None and limits.streams is None and not claimed:
        return None
    return Claims(intent.key.id, now, limits.streams, tuple(claimed), hold)


def request_claim(intent: Intent, now: int) -> Claims | None:
    """Return what a request must have at a moment, in microseconds, that calls no provider; None if nothing."""
    per_minute = intent.key.limits.requests_per_minute
    if per_minute is None:
        return None
    charged = rates.charge(1, per_minute)
    return Claims(intent.key.id, now, None, (RateClaim("requests", charged, rates.latest(now, charged)),), None)


def given_back(claims: Claims) -> Claims:
    """Return claims whose admission undoes that of these rates; it is never refused."""
    undone = tuple(RateClaim(claim.kind, -claim.charge, NEVER) for claim in claims.rates)
    return Claims(claims.key, claims.now, None, undone, None)


def fault_of(refusal: Refusal, intent: Intent, claims: Claims) -> Fault:
    """Return what a client is told that was refused."""
    limits = intent.key.limits
    match refusal.limit:
        case "budget" if intent.key.budget is not None:
            return budgets.exceeded(intent.key.budget, intent.created_ms)
        case "streams" | "budget":
            told = f"have no more than {limits.streams:,} requests under way at once; another has to end first"
            return _limited(told, STREAMS_RETRY)
        case "requests":
            told = f"make no more than {limits.requests_per_minute:,} requests per minute"
        case "tokens":
            told = f"use no more than {limits.tokens_per_minute:,} tokens per minute"
    charged = next(claim.charge for claim in claims.rates if claim.kind == refusal.limit)
    seconds = rates.wait(refusal.arrival, claims.now, charged)
    return _limited(f"{told}; try again in {max(1, math.ceil(seconds))} s", seconds)


def unavailable() -> Fault:
    """Return what a client is told while the ledger cannot be written."""
    message = "The gateway cannot write its ledger at the moment, and calls no provider without it. Try again soon."
    return Fault(ErrorInfo("overloaded", message, code="ledger_unavailable", retry_after=1.0))


def _limited(told: str, seconds: float) -> ClientFault:
    return ClientFault(
        ErrorInfo("rate_limited", f"This key may {told}.", code="rate_limit_exceeded", retry_after=seconds)
    )
