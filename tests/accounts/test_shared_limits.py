"""Rates and slots that many machines hold in common are not the store's, and are given back as those of the store are."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import pytest

from penstock.accounts.entries import Progress
from penstock.accounts.keys import Budget, Key, Limits
from penstock.accounts.ledger import Ledger
from penstock.accounts.rates import charge
from penstock.core.errors import ClientFault, Fault
from penstock.core.usage import Usage
from penstock.store import shared as shared_module
from penstock.store.database import Database
from penstock.store.errors import StoreUnavailableError
from penstock.store.ledger import Claims, Refusal, Return
from penstock.store.shared import SharedStore
from tests.accounts.books import FREE, NOW, Books, Clock, attempt, intent, nothing_seen, outcome
from tests.accounts.test_ledger_outages import Store
from tests.accounts.test_recovery import die, noted
from tests.store.servers import RedisServer

pytestmark = pytest.mark.anyio

RETRACTED = [Return("r1", "k", None)]

KEY = Key("k", "k", limits=Limits(10, 1000, 5), budget=Budget(10**9, "usd", "month"))


class Shared:
    """What a server in common would be told."""

    def __init__(self) -> None:
        self.admitted: list[tuple[str, Claims]] = []
        self.returned: list[Return] = []
        self.refusal: Refusal | None = None
        self.down = False
        self.slow: asyncio.Event | None = None

    async def admit(self, request: str, claims: Claims) -> Refusal | None:
        if self.down:
            raise StoreUnavailableError("refused")
        self.admitted.append((request, claims))
        if self.slow is not None:
            await self.slow.wait()
        return self.refusal

    async def give_back(self, returns: Sequence[Return]) -> None:
        if self.down:
            raise StoreUnavailableError("refused")
        self.returned += returns

    async def renew(self, slots: Sequence[tuple[str, str]]) -> None:
        pass


@pytest.fixture
def shared() -> Shared:
    return Shared()


@pytest.fixture
async def ledger(database: Database, tmp_path: Path, clock: Clock, shared: Shared) -> AsyncIterator[Ledger]:
    opened = Ledger(database, tmp_path / "processes", shared, clock)
    await opened.start()
    yield opened
    await opened.close()


async def test_they_are_claimed_there_and_budgets_in_the_store(ledger: Ledger, shared: Shared, books: Books) -> None:
    await ledger.open(intent(KEY, "r1"), attempt(), nothing_seen)

    [(request, claims)] = shared.admitted
    assert (request, claims.key, claims.streams) == ("r1", "k", 5)
    assert [claim.kind for claim in claims.rates] == ["requests", "tokens"]
    assert await books.streams() == 0
    assert (await books.budget())[1] > 0


async def test_they_are_given_back_once_and_tokens_put_right(ledger: Ledger, shared: Shared) -> None:
    account = await ledger.open(intent(KEY, "r1"), attempt(), nothing_seen)

    await asyncio.gather(account.settle(outcome(output=300)), account.settle(outcome()))
    await ledger.close()

    assert shared.returned == [Return("r1", "k", charge(400, 1000) - charge(200, 1000))]


async def test_what_the_budget_refuses_has_used_nothing(ledger: Ledger, shared: Shared) -> None:
    poor = Key("k", "k", limits=KEY.limits, budget=Budget(1, "usd", "month"))
    with pytest.raises(ClientFault, match="budget"):
        await ledger.open(intent(poor, "r1"), attempt(), nothing_seen)

    assert shared.returned == RETRACTED


async def test_a_refusal_says_which_limit_and_how_long(ledger: Ledger, shared: Shared, books: Books) -> None:
    shared.refusal = Refusal("requests", int(NOW * 1_000_000) + 66_000_000)

    with pytest.raises(ClientFault) as refused:
        await ledger.open(intent(KEY), attempt(), nothing_seen)

    assert "10 requests per minute" in refused.value.info.message
    assert refused.value.info.retry_after == 12.0
    assert await books.attempts() == []


async def test_while_they_are_down_limited_keys_are_refused_and_others_go_on(ledger: Ledger, shared: Shared) -> None:
    shared.down = True

    with pytest.raises(Fault) as refused:
        await ledger.open(intent(KEY), attempt(), nothing_seen)

    assert refused.value.info.kind == "overloaded"
    await ledger.open(intent(FREE), attempt(), nothing_seen)


async def test_a_request_that_calls_no_provider_claims_its_rate_there_and_is_not_written_down(
    ledger: Ledger, shared: Shared, books: Books
) -> None:
    await ledger.admit(intent(KEY, "r1"))

    [(request, claims)] = shared.admitted
    assert (request, claims.streams, claims.hold) == ("r1", None, None)
    assert [claim.kind for claim in claims.rates] == ["requests"]
    assert await books.attempts() == []


async def test_such_a_request_of_a_key_without_a_rate_needs_nobody(ledger: Ledger, shared: Shared) -> None:
    shared.down = True

    await ledger.admit(intent(FREE))
    with pytest.raises(Fault, match="ledger"):
        await ledger.admit(intent(KEY))


async def test_what_the_store_cannot_write_down_has_used_nothing(
    shared: Shared, database: Database, tmp_path: Path, clock: Clock
) -> None:
    store = Store(database)
    ledger = Ledger(store, tmp_path / "processes", shared, clock)  # pyright: ignore[reportArgumentType]
    await ledger.start()
    store.down = True

    with pytest.raises(Fault, match="ledger"):
        await ledger.open(intent(KEY, "r1"), attempt(), nothing_seen)
    store.down = False
    await ledger.close()

    assert shared.returned == RETRACTED


async def test_what_the_store_refuses_after_somebody_has_left_has_used_nothing(ledger: Ledger, shared: Shared) -> None:
    poor = Key("k", "k", limits=KEY.limits, budget=Budget(1, "usd", "month"))
    opening = asyncio.create_task(ledger.open(intent(poor, "r1"), attempt(), nothing_seen))
    while not shared.admitted:
        await asyncio.sleep(0)
    for _ in range(3):  # until he waits for the store
        await asyncio.sleep(0)
    opening.cancel()
    await asyncio.wait([opening])
    await ledger.close()

    assert shared.returned == RETRACTED


async def test_what_the_store_opens_after_somebody_has_left_is_given_back_once(ledger: Ledger, shared: Shared) -> None:
    opening = asyncio.create_task(ledger.open(intent(KEY, "r1"), attempt(), nothing_seen))
    while not shared.admitted:
        await asyncio.sleep(0)
    for _ in range(3):  # until he waits for the store
        await asyncio.sleep(0)
    opening.cancel()
    await asyncio.wait([opening])
    async with asyncio.timeout(10):
        while not shared.returned:
            await asyncio.sleep(0.01)

    assert shared.returned == [Return("r1", "k", -charge(200, 1000))]


async def test_who_leaves_while_he_is_admitted_has_used_nothing(ledger: Ledger, shared: Shared) -> None:
    shared.slow = asyncio.Event()
    opening = asyncio.create_task(ledger.open(intent(KEY, "r1"), attempt(), nothing_seen))
    while not shared.admitted:
        await asyncio.sleep(0)
    opening.cancel()
    await asyncio.wait([opening])
    await ledger.close()

    assert shared.returned == RETRACTED


async def test_who_was_told_that_they_are_down_has_used_nothing_once_they_are_back(
    ledger: Ledger, shared: Shared
) -> None:
    """It may have been admitted: only the answer was not heard."""
    shared.down = True
    with pytest.raises(Fault, match="ledger"):
        await ledger.open(intent(KEY, "r1"), attempt(), nothing_seen)
    await asyncio.sleep(0.01)

    shared.down = False

    await until(lambda: shared.returned == RETRACTED)


async def test_what_ends_while_they_are_down_is_given_back_once_they_are_back(ledger: Ledger, shared: Shared) -> None:
    account = await ledger.open(intent(KEY, "r1"), attempt(), nothing_seen)
    shared.down = True
    await account.settle(outcome())
    await asyncio.sleep(0.01)

    shared.down = False

    await until(lambda: shared.returned == [Return("r1", "k", 0)])


async def test_what_a_dead_process_had_in_common_is_given_back(
    ledger: Ledger, database: Database, tmp_path: Path, clock: Clock
) -> None:
    shared = Shared()
    account = await ledger.open(intent(KEY, "r1"), attempt(), lambda: Progress(Usage(uncached=90), 10))
    await account.beside(attempt(provider="other"))
    await noted(ledger)
    await die(ledger)

    heir = Ledger(database, tmp_path / "processes", shared, clock)
    await heir.start()
    await heir.close()

    assert shared.returned == [Return("r1", "k", charge(0, 1000) - charge(200, 1000))]


async def test_what_redis_did_after_nobody_waited_any_more_is_undone(
    database: Database, tmp_path: Path, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Redis that hangs goes on with what it was asked; its clients were told that nobody knows."""
    monkeypatch.setattr(shared_module, "PATIENCE", 0.1)
    key = Key("k", "k", limits=Limits(requests_per_minute=3, tokens_per_minute=600, streams=3))
    redis = await SharedStore.open(redis_server.url)
    ledger = Ledger(database, tmp_path / "processes", redis)
    await ledger.start()
    account = await ledger.open(intent(key, "r0"), attempt(), nothing_seen)
    with redis_server.frozen():
        refused = await asyncio.gather(
            *(ledger.open(intent(key, f"r{n}"), attempt(), nothing_seen) for n in range(1, 4)), return_exceptions=True
        )
        await account.settle(outcome())
    assert ledger._returning is not None
    await ledger._returning.done(10)

    assert [type(error) for error in refused] == [Fault] * 3
    for n in range(4, 6):  # of three requests a minute one was made
        await ledger.open(intent(key, f"r{n}"), attempt(), nothing_seen)
    with pytest.raises(ClientFault, match="3 requests per minute"):
        await ledger.open(intent(key, "r6"), attempt(), nothing_seen)
    await ledger.close()
    await redis.close()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)
