"""Every call of a provider is in the ledger exactly once. On SQLite and PostgreSQL."""

import asyncio

import pytest

from penstock.accounts.entries import Single
from penstock.accounts.ledger import Ledger
from penstock.core.outcome import GAP_BOUNDS, Gaps
from penstock.core.usage import Usage
from tests.accounts.books import Books, attempt, intent, money, nothing_seen, outcome

pytestmark = pytest.mark.anyio


async def test_an_attempt_is_durable_before_the_provider_is_called(ledger: Ledger, books: Books) -> None:
    await ledger.open(intent(request="r1"), attempt(), nothing_seen)

    [row] = await books.attempts()
    assert (row.request, row.number, row.state, row.provider, row.price_version) == ("r1", 1, "open", "demo", "test")
    assert await books.requests() == []


async def test_what_is_settled_has_its_usage_and_cost(ledger: Ledger, books: Books) -> None:
    account = await ledger.open(intent(request="r1"), attempt(), nothing_seen)

    assert await account.settle(outcome(uncached=10, output=20)) == 10 * 1000 + 20 * 5000

    [row] = await books.attempts()
    assert (row.state, row.end, row.uncached, row.output, row.cost) == ("settled", "completed", 10, 20, 110_000)
    [request] = await books.requests()
    assert (request.id, request.attempts, request.end, request.cost) == ("r1", 1, "completed", 110_000)
    assert (request.usage_source, request.first_output_ms, request.duration_ms) == ("provider", 50, 200)


async def test_what_has_no_price_has_no_cost(ledger: Ledger, books: Books) -> None:
    account = await ledger.open(intent(), attempt(price=None), nothing_seen)

    assert await account.settle(outcome()) is None

    [request] = await books.requests()
    assert request.cost is None


async def test_gaps_are_kept_in_milliseconds(ledger: Ledger, books: Books) -> None:
    account = await ledger.open(intent(), attempt(), nothing_seen)
    counts = tuple(1 if bound == 0.02 else 0 for bound in (*GAP_BOUNDS, 0.0))
    done = outcome()

    await account.settle(type(done)(*(done.end, None, done.usage, "provider", 1, 2), Gaps(counts, 0.016, 0.016)))

    [request] = await books.requests()
    assert (request.gap_median_ms, request.gap_longest_ms) == (13, 16)


async def test_each_attempt_has_a_row_and_the_request_their_sum(ledger: Ledger, books: Books) -> None:
    account = await ledger.open(intent(request="r1"), attempt(provider="one"), nothing_seen)
    await account.retry(outcome(uncached=10, output=0, end="failed"), attempt(provider="two"))

    assert await account.settle(outcome(uncached=20, output=5)) == 30_000 + 25_000

    first, second = await books.attempts()
    assert (first.provider, first.end, first.cost) == ("one", "failed", 10_000)
    assert (second.provider, second.end, second.cost) == ("two", "completed", 45_000)
    [request] = await books.requests()
    assert (request.provider, request.attempts, request.uncached, request.cost) == ("two", 2, 30, 55_000)


async def test_it_is_settled_once_whoever_ends_it(ledger: Ledger, books: Books) -> None:
    """At-most-once charge: finish, error, abort and timeout race."""
    account = await ledger.open(intent(money(10**9)), attempt(), nothing_seen)
    ends = ("completed", "failed", "client_gone", "timed_out")

    costs = await asyncio.gather(*(account.settle(outcome(output=n, end=end)) for n, end in enumerate(ends, 1)))

    assert set(costs) == {105_000}
    assert await books.budget() == (105_000, 0)
    assert [row.end for row in await books.requests()] == ["completed"]


async def test_explicit_zero_stays_zero(ledger: Ledger, books: Books) -> None:
    account = await ledger.open(intent(), attempt(), nothing_seen)

    assert await account.settle(outcome(uncached=0, output=0)) == 0

    [request] = await books.requests()
    assert (request.uncached, request.output, request.cache_read) == (0, 0, None)


async def test_an_answer_that_was_continued_is_charged_as_one_run_of_the_first_model(
    ledger: Ledger, books: Books
) -> None:
    key = money(1_000_000)
    first = attempt(provider="one")
    account = await ledger.open(intent(request="r1", key=key), first, nothing_seen)
    await account.retry(outcome(uncached=10, output=4, end="failed"), attempt(provider="two"))
    single = Single(Usage(uncached=10, output=9), first.price)

    assert await account.settle(outcome(uncached=20, output=6), single) == 10 * 1000 + 9 * 5000

    one, two = await books.attempts()
    assert (one.cost, two.cost) == (30_000, 50_000)
    assert (one.borne, two.borne) == (None, 25_000)
    [request] = await books.requests()
    assert request.cost == 55_000
    assert await books.budget() == (55_000, 0)
