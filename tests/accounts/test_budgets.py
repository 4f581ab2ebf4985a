"""Budgets are never exceeded, and do not refuse what they can pay for. On SQLite and PostgreSQL."""

import asyncio

import pytest

from penstock.accounts.account import Account
from penstock.accounts.budgets import NO_BUDGET, cover, period_of
from penstock.accounts.keys import Budget, Key
from penstock.accounts.ledger import Ledger
from penstock.accounts.prices import Price
from penstock.core.errors import ClientFault
from tests.accounts.books import NOW, PRICE, Books, Clock, attempt, intent, money, nothing_seen, outcome

pytestmark = pytest.mark.anyio

COST = 100 * 1000 + 100 * 5000
"""Of `outcome()`, in nano-dollars."""

HOLD = 125 * 1000 + 100 * 5000
"""Of `attempt()`."""


@pytest.mark.promise("3.3")
async def test_of_500_at_once_a_budget_for_50_admits_50(ledger: Ledger, books: Books) -> None:
    """Budget never exceeded: one conditional UPDATE."""
    key = money(50 * HOLD)

    opened = await asyncio.gather(
        *(ledger.open(intent(key), attempt(), nothing_seen) for _ in range(500)), return_exceptions=True
    )

    accounts = [account for account in opened if isinstance(account, Account)]
    refused = [fault for fault in opened if isinstance(fault, ClientFault)]
    assert (len(accounts), len(refused)) == (50, 450)
    assert await books.budget() == (0, 50 * HOLD)
    await asyncio.gather(*(account.settle(outcome()) for account in accounts))
    assert await books.budget() == (50 * COST, 0)


@pytest.mark.promise("3.4")
async def test_twenty_agents_with_long_contexts_are_not_starved_by_what_they_hold(ledger: Ledger) -> None:
    """No starvation: 20 agents, 200k of context, max_tokens 64k, a budget of ten times what they really cost."""
    real = 200_000 * 1000 + 2000 * 5000
    key = money(10 * 20 * real)

    async def agent() -> None:
        for _ in range(9):
            account = await ledger.open(intent(key), attempt(200_000, 64_000), nothing_seen)
            assert account.covered >= 2000
            await account.settle(outcome(200_000, 2000))

    await asyncio.gather(*(agent() for _ in range(20)))


async def test_who_is_refused_is_told_when_it_resets(ledger: Ledger) -> None:
    with pytest.raises(ClientFault) as refused:
        await ledger.open(intent(money(HOLD - 1)), attempt(), nothing_seen)

    info = refused.value.info
    assert (info.kind, info.code) == ("billing", "budget_exceeded")
    assert "it resets at 2026-12-01 00:00 UTC" in info.message


async def test_a_budget_in_money_needs_a_price(ledger: Ledger, books: Books) -> None:
    with pytest.raises(ClientFault) as refused:
        await ledger.open(intent(money(10**12)), attempt(price=None), nothing_seen)

    assert (refused.value.info.kind, refused.value.info.code) == ("billing", "price_unknown")
    assert await books.attempts() == []


async def test_a_budget_in_tokens_needs_none(ledger: Ledger, books: Books) -> None:
    key = Key("k", "k", budget=Budget(1000, "tokens", "total"))
    account = await ledger.open(intent(key), attempt(price=None), nothing_seen)

    assert await books.budget() == (0, 125 + 100)
    await account.settle(outcome())
    assert await books.budget() == (200, 0)


async def test_a_stream_holds_more_while_it_goes_on(ledger: Ledger, books: Books) -> None:
    key = money(125_000 + 3000 * 5000)
    account = await ledger.open(intent(key), attempt(max_output=64_000), nothing_seen)

    assert account.covered == 2048
    assert await account.extend(3000)
    assert account.covered == 3000
    assert not await account.extend(3001)
    assert account.covered == 3000
    assert await books.budget() == (0, 125_000 + 3000 * 5000)
    await account.settle(outcome(output=2900))
    assert await books.budget() == (100_000 + 2900 * 5000, 0)


async def test_a_whole_answer_holds_all_that_it_may_be(ledger: Ledger) -> None:
    account = await ledger.open(intent(money(10**12), stream=False), attempt(max_output=64_000), nothing_seen)

    assert account.covered == 64_000


async def test_without_a_budget_everything_is_covered(ledger: Ledger) -> None:
    account = await ledger.open(intent(), attempt(), nothing_seen)

    assert account.covered == NO_BUDGET
    assert await account.extend(10**9)


async def test_the_next_attempt_holds_instead_of_the_one_before(ledger: Ledger, books: Books) -> None:
    dearer = Price(uncached=2_000_000, output=10_000_000, version="dearer")
    account = await ledger.open(intent(money(10**9)), attempt(), nothing_seen)

    await account.retry(outcome(end="failed"), attempt(price=dearer))

    assert await books.budget() == (COST, 2 * HOLD)
    await account.settle(outcome())
    assert await books.budget() == (COST + 2 * COST, 0)


async def test_where_the_next_attempt_is_refused_the_one_before_is_still_to_be_settled(
    ledger: Ledger, books: Books
) -> None:
    account = await ledger.open(intent(money(HOLD)), attempt(), nothing_seen)

    with pytest.raises(ClientFault, match="monthly budget"):
        await account.retry(outcome(uncached=1, output=0, end="failed"), attempt())

    assert await books.budget() == (0, HOLD)
    await account.settle(outcome(uncached=1, output=0, end="failed"))
    assert await books.budget() == (1000, 0)
    assert [row.state for row in await books.attempts()] == ["settled"]


async def test_a_period_ends_and_the_next_begins_with_nothing_spent(ledger: Ledger, clock: Clock) -> None:
    key = Key("k", "k", budget=Budget(HOLD, "usd", "day"))
    first = await ledger.open(intent(key), attempt(), nothing_seen)
    await first.settle(outcome())
    with pytest.raises(ClientFault, match="daily budget"):
        await ledger.open(intent(key), attempt(), nothing_seen)

    tomorrow = intent(key)
    tomorrow = type(tomorrow)("later", key, "demo/m", "anthropic", True, int((NOW + 86_400) * 1000))
    await ledger.open(tomorrow, attempt(), nothing_seen)


@pytest.mark.parametrize(("period", "name"), [("day", "2026-11-18"), ("month", "2026-11"), ("total", "total")])
def test_periods_are_those_of_utc(period: str, name: str) -> None:
    assert period_of(Budget(1, "usd", period), int(NOW * 1000)) == name  # pyright: ignore[reportArgumentType]


def test_a_hold_pays_for_what_may_be_written_to_a_cache() -> None:
    price = Price(uncached=1_000_000, cache_write=1_250_000, cache_write_1h=2_000_000, output=5_000_000, version="t")

    assert cover(Budget(1, "usd", "day"), price, 100, 0).amount == 125 * 2000
    assert cover(Budget(1, "usd", "day"), PRICE, 100, 0).amount == 125 * 1000
