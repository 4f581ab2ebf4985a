"""Nothing is admitted while the store is down, and nothing is forgotten; whoever leaves too early leaves nothing open."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event

from penstock.accounts import account as account_module
from penstock.accounts.entries import Attempt, Progress, opened_row
from penstock.accounts.keys import Budget, Key, Limits
from penstock.accounts.ledger import Ledger
from penstock.core.errors import Fault
from penstock.core.usage import UNKNOWN
from penstock.store import upkeep
from penstock.store.database import Database
from penstock.store.ledger import LedgerStore, Opening
from tests.accounts.books import FREE, Books, Clock, attempt, intent, money, nothing_seen, outcome

pytestmark = pytest.mark.anyio

BOTH = Key("both", "both", limits=Limits(streams=5, tokens_per_minute=10**6), budget=Budget(10**9, "usd", "month"))


class Store:
    """A database whose transactions can be made to fail, or to wait."""

    def __init__(self, database: Database) -> None:
        self.down = False
        self.database = database
        self.reading, self.changing, self.dialect = database.reading, database.changing, database.dialect

    def connect(self) -> sa.Connection:
        self._fail_if_down(None)
        connection = self.database.connect()
        if not event.contains(connection.engine, "begin", self._fail_if_down):
            event.listen(connection.engine, "begin", self._fail_if_down)
        return connection

    def _fail_if_down(self, connection: Any) -> None:
        if self.down:
            raise sa.exc.OperationalError("BEGIN", None, Exception("the disk is full"))


@pytest.fixture
def store(database: Database) -> Store:
    return Store(database)


@pytest.fixture
async def ledger(store: Store, tmp_path: Path, clock: Clock) -> AsyncIterator[Ledger]:
    opened = Ledger(store, tmp_path / "processes", now=clock)  # pyright: ignore[reportArgumentType]
    await opened.start()
    yield opened
    await opened.close()


@pytest.mark.promise("3.3")
@pytest.mark.parametrize("key", [FREE, BOTH])
async def test_nobody_is_admitted_while_the_store_is_down(ledger: Ledger, store: Store, books: Books, key: Key) -> None:
    """Fail closed: with a budget or without."""
    store.down = True

    with pytest.raises(Fault) as refused:
        await ledger.open(intent(key), attempt(), nothing_seen)

    assert (refused.value.info.kind, refused.value.info.retry_after) == ("overloaded", 1.0)
    store.down = False
    await ledger.open(intent(key), attempt(), nothing_seen)
    assert len(await books.attempts()) == 1


@pytest.mark.promise("3.1")
@pytest.mark.parametrize("key", [FREE, BOTH])
async def test_what_ends_meanwhile_is_settled_when_it_is_up_again(
    ledger: Ledger, store: Store, books: Books, key: Key, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(account_module, "SETTLEMENT_PATIENCE", 0.05)
    account = await ledger.open(intent(key), attempt(), nothing_seen)
    store.down = True

    assert await account.settle(outcome()) == 600_000  # nobody waits longer than that
    assert [row.state for row in await books.attempts()] == ["open"]
    store.down = False
    await ledger.close()

    assert [row.state for row in await books.attempts()] == ["settled"]
    assert [row.cost for row in await books.requests()] == [600_000]
    assert (await books.budget())[1] == 0
    assert await books.streams() == 0


async def test_a_stream_cannot_be_extended_while_the_store_is_down(ledger: Ledger, store: Store) -> None:
    account = await ledger.open(intent(money(10**12)), attempt(max_output=9000), nothing_seen)
    store.down = True

    with pytest.raises(Fault) as refused:
        await account.extend(4096)

    assert refused.value.info.kind == "overloaded"
    assert account.covered == 2048
    store.down = False


@pytest.mark.parametrize("key", [FREE, BOTH])
async def test_whoever_leaves_while_he_waits_to_be_admitted_leaves_nothing_open(
    ledger: Ledger, books: Books, key: Key
) -> None:
    """Each released exactly once on every way out, also if open() is cancelled after its job was submitted."""
    opening = asyncio.create_task(ledger.open(intent(key), attempt(), nothing_seen))
    await asyncio.sleep(0)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening

    await settled(books, 1)
    [row] = await books.attempts()
    assert (row.end, row.output, row.cost) == ("client_gone", None, 0)
    assert await books.budget() == (0, 0)
    assert await books.streams() == 0


async def test_whoever_leaves_between_two_attempts_pays_for_the_first_alone(ledger: Ledger, books: Books) -> None:
    account = await ledger.open(intent(BOTH), attempt(), nothing_seen)
    retrying = asyncio.create_task(account.retry(outcome(output=1, end="failed"), attempt()))
    await asyncio.sleep(0)
    retrying.cancel()
    await asyncio.sleep(0)
    await account.settle(outcome(output=1, end="client_gone"))

    assert [row.cost for row in await books.attempts()] == [105_000, 0]
    assert [row.cost for row in await books.requests()] == [105_000]
    assert await books.budget() == (105_000, 0)
    assert await books.streams() == 0


async def test_whoever_leaves_while_a_hold_grows_gives_back_all_of_it(ledger: Ledger, books: Books) -> None:
    account = await ledger.open(intent(BOTH), attempt(max_output=9000), nothing_seen)
    extending = asyncio.create_task(account.extend(4096))
    await asyncio.sleep(0)
    extending.cancel()
    await account.settle(outcome(output=1, end="client_gone"))

    assert await books.budget() == (105_000, 0)


async def test_an_attempt_that_nobody_knows_of_is_settled(ledger: Ledger, database: Database, books: Books) -> None:
    """A commit whose answer was lost: the request was refused, but its attempt is there."""
    mine = (await books.processes())[0]
    other = LedgerStore(database)
    row = opened_row(intent(FREE, "lost"), Attempt(1, 0, attempt(), None), mine, slot=False, expected=0)
    await other.submit(Opening(row, None))
    await other.close()
    kept = await ledger.open(intent(), attempt(), nothing_seen)

    [recovered] = await ledger.sweep()

    assert (recovered.request, recovered.usage, recovered.cost) == ("lost", UNKNOWN, 0)
    assert {row.request: row.state for row in await books.attempts()} == {
        "lost": "settled",
        kept.intent.request: "open",
    }


async def settled(books: Books, number: int) -> None:
    async with asyncio.timeout(5):
        while [row.state for row in await books.attempts()] != ["settled"] * number:
            await asyncio.sleep(0.01)


async def test_a_defect_in_one_request_does_not_end_the_signs_of_life_of_the_process(
    ledger: Ledger, books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "PAUSE", 0.0)
    asked = asyncio.Event()

    def defect() -> Progress:
        if not asked.is_set():
            asked.set()
            raise ZeroDivisionError
        return Progress(UNKNOWN, 7)

    account = await ledger.open(intent(FREE), attempt(), defect)
    async with asyncio.timeout(10):
        await asked.wait()
        while (await books.attempts())[0].output != 7:
            await asyncio.sleep(0.05)

    await account.settle(outcome())
