"""Rates and slots hold wherever they are kept: in SQLite, in PostgreSQL, or beside PostgreSQL in Redis."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import redis

from penstock.accounts.account import Account
from penstock.accounts.entries import Progress
from penstock.accounts.keys import Budget, Key, Limits
from penstock.accounts.ledger import Ledger
from penstock.core.errors import ClientFault
from penstock.core.usage import Usage
from penstock.store.database import Database
from penstock.store.shared import SharedStore
from tests.accounts.books import Books, Clock, attempt, intent, limited, nothing_seen, outcome
from tests.accounts.test_recovery import die, noted

pytestmark = pytest.mark.anyio


class Store:
    """Where limits are kept."""

    def __init__(self, ledger: Ledger, books: Books, redis_url: str | None) -> None:
        self._ledger = ledger
        self._books = books
        self._redis_url = redis_url

    async def streams(self) -> int:
        """Return how many slots are taken, once all is given back that has to be."""
        await self.quiet()
        if self._redis_url is None:
            return await self._books.streams()
        with redis.Redis.from_url(self._redis_url) as client:
            return client.zcard("penstock:{limited}:streams")

    async def quiet(self) -> None:
        """Wait until all is given back that has to be: an answer does not wait for Redis."""
        if self._ledger._returning is not None:
            await self._ledger._returning.done(5)


@pytest.fixture(params=["sqlite", "postgresql", "redis"])
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def location(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    return tmp_path / "penstock.db" if kind == "sqlite" else request.getfixturevalue("postgres_url")


@pytest.fixture
def shared_url(kind: str, request: pytest.FixtureRequest) -> str | None:
    return request.getfixturevalue("redis_url") if kind == "redis" else None


@pytest.fixture
async def ledger(database: Database, tmp_path: Path, clock: Clock, shared_url: str | None) -> AsyncIterator[Ledger]:
    shared = None if shared_url is None else await SharedStore.open(shared_url, now=lambda: int(clock() * 1_000_000))
    opened = Ledger(database, tmp_path / "processes", shared, clock)
    await opened.start()
    yield opened
    await opened.close()
    if shared is not None:
        await shared.close()


@pytest.fixture
def store(ledger: Ledger, books: Books, shared_url: str | None) -> Store:
    return Store(ledger, books, shared_url)


async def refusal(ledger: Ledger, key: Key, input_tokens: int = 100) -> ClientFault:
    with pytest.raises(ClientFault) as refused:
        await ledger.open(intent(key), attempt(input_tokens), nothing_seen)
    assert (refused.value.info.kind, refused.value.info.code) == ("rate_limited", "rate_limit_exceeded")
    return refused.value


async def test_requests_per_minute(ledger: Ledger, clock: Clock) -> None:
    key = limited(Limits(requests_per_minute=2))
    for _ in range(2):
        await ledger.open(intent(key), attempt(), nothing_seen)

    fault = await refusal(ledger, key)

    assert "make no more than 2 requests per minute; try again in " in fault.info.message
    assert fault.info.retry_after == 30.0
    clock.seconds += 30
    await ledger.open(intent(key), attempt(), nothing_seen)


async def test_tokens_per_minute_are_put_right_at_the_end(ledger: Ledger, store: Store) -> None:
    key = limited(Limits(tokens_per_minute=1000))
    account = await ledger.open(intent(key), attempt(700), nothing_seen)  # and 100 of output
    fault = await refusal(ledger, key, 200)
    assert "use no more than 1,000 tokens per minute; try again in " in fault.info.message
    assert fault.info.retry_after == 6.0

    await account.settle(outcome(uncached=300, output=100))
    await store.quiet()

    await ledger.open(intent(key), attempt(500), nothing_seen)


@pytest.mark.promise("3.1")
async def test_tokens_per_minute_are_put_right_after_a_crash(
    ledger: Ledger, database: Database, tmp_path: Path, clock: Clock
) -> None:
    """By whoever settles what was open: of 900 tokens 600 were used, 250 of them by an attempt before."""
    key = limited(Limits(tokens_per_minute=1000))
    account = await ledger.open(intent(key), attempt(800), lambda: Progress(Usage(uncached=300), 50))
    await account.retry(outcome(uncached=250, output=0, end="failed"), attempt(800))
    await noted(ledger)
    await die(ledger)

    heir = Ledger(database, tmp_path / "processes", ledger._shared, clock)
    await heir.start()
    if heir._returning is not None:
        await heir._returning.done(5)

    assert (await refusal(heir, key, 301)).info.retry_after == pytest.approx(0.06, abs=1e-5)
    await heir.open(intent(key), attempt(300), nothing_seen)
    await heir.close()


async def test_what_was_used_beyond_the_estimate_counts(ledger: Ledger, store: Store) -> None:
    key = limited(Limits(tokens_per_minute=1000))
    account = await ledger.open(intent(key), attempt(100), nothing_seen)
    await account.settle(outcome(uncached=100, output=1900))
    await store.quiet()

    fault = await refusal(ledger, key, 100)

    assert fault.info.retry_after == (2000 + 200 - 1000) / 1000 * 60


async def test_of_many_at_once_as_many_are_admitted_as_there_are_slots(ledger: Ledger, store: Store) -> None:
    key = limited(Limits(streams=10))

    opened = await asyncio.gather(
        *(ledger.open(intent(key), attempt(), nothing_seen) for _ in range(100)), return_exceptions=True
    )

    accounts = [account for account in opened if isinstance(account, Account)]
    assert len(accounts) == 10
    assert await store.streams() == 10
    assert "10 requests under way at once" in (await refusal(ledger, key)).info.message
    await asyncio.gather(*(account.settle(outcome()) for account in accounts))
    assert await store.streams() == 0


async def test_who_is_refused_has_taken_nothing(ledger: Ledger, store: Store) -> None:
    """Each released exactly once on every way out: a slot and a rate are not lost where the budget refuses."""
    limits = Limits(requests_per_minute=1, tokens_per_minute=200, streams=5)
    poor = Key("limited", "limited", limits=limits, budget=Budget(1, "usd", "day"))
    with pytest.raises(ClientFault, match="budget"):
        await ledger.open(intent(poor), attempt(), nothing_seen)
    assert await store.streams() == 0

    await ledger.open(intent(limited(limits)), attempt(), nothing_seen)
    await refusal(ledger, limited(limits))
    assert await store.streams() == 1


async def test_the_next_attempt_keeps_the_slot(ledger: Ledger, store: Store) -> None:
    account = await ledger.open(intent(limited(Limits(streams=1))), attempt(), nothing_seen)
    await account.retry(outcome(end="failed"), attempt())
    assert await store.streams() == 1

    await account.settle(outcome())

    assert await store.streams() == 0
