"""What a process leaves open when it dies is settled by the next. On SQLite and PostgreSQL, and with a real SIGKILL."""

import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from penstock.accounts.entries import Progress
from penstock.accounts.keys import Budget, Key, Limits
from penstock.accounts.ledger import Ledger
from penstock.core.usage import UNKNOWN, Usage
from penstock.store.database import Database
from penstock.store.processes import SILENCE
from tests.accounts.books import Books, Clock, attempt, intent, nothing_seen, outcome

pytestmark = pytest.mark.anyio

KEY = Key("k", "k", limits=Limits(streams=100), budget=Budget(10**12, "usd", "month"))


@pytest.fixture
async def dying(database: Database, tmp_path: Path, clock: Clock) -> AsyncIterator[Ledger]:
    """A ledger whose process will die, as far as others can see."""
    opened = Ledger(database, tmp_path / "processes", now=clock)
    await opened.start()
    yield opened
    await die(opened)


async def die(ledger: Ledger) -> None:
    """Do what a kill does: the lock is released, and nobody does anything any more."""
    if ledger._ticking is not None:
        ledger._ticking.cancel()
    await ledger._store.close()
    ledger._processes.release()


@pytest.fixture
async def heir(database: Database, tmp_path: Path, clock: Clock) -> AsyncIterator[Ledger]:
    opened = Ledger(database, tmp_path / "processes", now=clock)
    yield opened
    await opened.close()


async def noted(ledger: Ledger) -> None:
    ledger.note_progress()
    assert ledger._noting is not None
    await ledger._noting


async def test_it_is_settled_from_what_was_noted_last(dying: Ledger, heir: Ledger, books: Books, clock: Clock) -> None:
    await dying.open(intent(KEY, "r1"), attempt(), lambda: Progress(Usage(uncached=90, cache_read=7), 40))
    clock.seconds += 2
    await noted(dying)
    await die(dying)

    await heir.start()

    [recovered] = heir.recovered
    assert (recovered.request, recovered.cost) == ("r1", 97_000 + 40 * 5000)
    [row] = await books.attempts()
    assert (row.end, row.usage_source, row.uncached, row.cache_read, row.output) == ("crashed", "checkpoint", 90, 7, 40)
    [request] = await books.requests()
    assert (request.end, request.cost, request.duration_ms) == ("crashed", 297_000, 2000)
    assert await books.budget() == (297_000, 0)
    assert await books.streams() == 0


async def test_where_the_provider_counted_nothing_the_input_is_estimated(
    dying: Ledger, heir: Ledger, books: Books
) -> None:
    await dying.open(intent(KEY), attempt(123), lambda: Progress(UNKNOWN, 40))
    await noted(dying)
    await die(dying)

    await heir.start()

    [row] = await books.attempts()
    assert (row.uncached, row.output) == (123, 40)


async def test_what_was_never_noted_costs_nothing(dying: Ledger, heir: Ledger, books: Books) -> None:
    await dying.open(intent(KEY), attempt(), nothing_seen)
    await die(dying)

    await heir.start()

    assert await books.budget() == (0, 0)
    assert [row.cost for row in await books.requests()] == [0]


async def test_a_request_that_was_retried_has_the_sum_of_its_attempts(
    dying: Ledger, heir: Ledger, books: Books
) -> None:
    account = await dying.open(intent(KEY), attempt(), lambda: Progress(UNKNOWN, 10))
    await account.retry(outcome(uncached=10, output=0, end="failed"), attempt(20))
    await noted(dying)
    await die(dying)

    await heir.start()

    [request] = await books.requests()
    assert (request.attempts, request.uncached, request.output, request.cost) == (2, 30, 10, 80_000)
    assert await books.budget() == (80_000, 0)


@pytest.mark.promise("3.7")
async def test_it_is_settled_once_if_several_recover_it(
    dying: Ledger, heir: Ledger, books: Books, database: Database, tmp_path: Path, clock: Clock
) -> None:
    for _ in range(20):
        await dying.open(intent(KEY), attempt(), lambda: Progress(UNKNOWN, 10))
    await noted(dying)
    await die(dying)
    rival = Ledger(database, tmp_path / "processes", now=clock)
    rows = await heir._store.open_attempts([dying._processes.id], 100)

    ours, theirs = await heir._recover(rows), await rival._recover(rows)

    assert (len(ours), len(theirs)) == (20, 0)
    assert await books.budget() == (20 * 150_000, 0)
    await rival._store.close()


async def test_of_two_attempts_side_by_side_one_is_the_end_of_the_request(
    dying: Ledger, heir: Ledger, books: Books
) -> None:
    account = await dying.open(intent(KEY, "r1"), attempt(), lambda: Progress(Usage(uncached=90), 4))
    await account.beside(attempt(provider="other"))
    await noted(dying)
    await die(dying)

    await heir.start()

    assert [(row.state, row.end) for row in await books.attempts()] == [("retried", "crashed"), ("settled", "crashed")]
    [request] = await books.requests()
    assert (request.attempts, request.cost) == (2, 0)
    assert await books.budget() == (0, 0)
    assert await books.streams() == 0


async def test_what_lives_is_left_alone(dying: Ledger, heir: Ledger, books: Books, clock: Clock) -> None:
    """A process that was stopped for long on this machine still has its lock."""
    await dying.open(intent(KEY), attempt(), nothing_seen)
    clock.seconds += 10 * SILENCE

    await heir.start()

    assert heir.recovered == ()
    assert [row.state for row in await books.attempts()] == ["open"]


async def test_a_process_of_another_machine_is_dead_when_it_is_silent(
    dying: Ledger, database: Database, books: Books, clock: Clock, tmp_path: Path
) -> None:
    await dying.open(intent(KEY), attempt(), nothing_seen)
    elsewhere = Ledger(database, tmp_path / "of another machine", now=clock)
    clock.seconds += SILENCE - 1
    await elsewhere.start()
    assert elsewhere.recovered == ()

    clock.seconds += 1

    assert len(await elsewhere.sweep()) == 1
    assert [row.state for row in await books.attempts()] == ["settled"]
    await elsewhere.close()


async def test_the_dead_are_forgotten_when_nothing_of_them_is_open(
    dying: Ledger, heir: Ledger, books: Books, tmp_path: Path
) -> None:
    await dying.open(intent(KEY), attempt(), nothing_seen)
    await die(dying)

    await heir.start()

    assert await books.processes() == [heir._processes.id]
    assert [path.stem for path in (tmp_path / "processes").iterdir()] == [heir._processes.id]


async def test_a_ledger_that_is_closed_leaves_nothing_behind(
    database: Database, books: Books, tmp_path: Path, clock: Clock
) -> None:
    ledger = Ledger(database, tmp_path / "processes", now=clock)
    await ledger.start()
    await ledger.close()

    assert await books.processes() == []
    assert list((tmp_path / "processes").iterdir()) == []


VICTIM = """
import asyncio, os, signal, sys
from pathlib import Path
from penstock.accounts.entries import Progress
from penstock.accounts.ledger import Ledger
from penstock.core.usage import UNKNOWN
from penstock.store.database import Database
from tests.accounts.books import attempt, intent, outcome
from tests.accounts.test_recovery import KEY, noted

async def main(location, directory):
    ledger = Ledger(await Database.open(location), directory)
    await ledger.start()
    accounts = [
        await ledger.open(intent(KEY, f"{os.getpid()}_{n}"), attempt(), lambda: Progress(UNKNOWN, 10))
        for n in range(30)
    ]
    await noted(ledger)
    for account in accounts[:10]:
        await account.settle(outcome())
    settling = [asyncio.create_task(account.settle(outcome())) for account in accounts[10:20]]
    await asyncio.sleep(0)
    os.kill(os.getpid(), signal.SIGKILL)

location = sys.argv[1]
asyncio.run(main(location if "://" in location else Path(location), Path(sys.argv[2])))
"""


@pytest.mark.promise("3.1")
async def test_after_a_kill_everything_is_settled_exactly_once(location: Path | str, tmp_path: Path) -> None:
    """Every upstream call is in the ledger exactly once, after `kill -9` at the worst moment, twice."""
    for _ in range(2):
        command = [sys.executable, "-c", VICTIM, str(location), str(tmp_path / "processes")]
        killed = subprocess.run(command, check=False, capture_output=True)
        assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()

    database = await Database.open(location)
    books = Books(database)
    heir = Ledger(database, tmp_path / "processes")
    await heir.start()

    attempts, requests = await books.attempts(), await books.requests()
    assert len(attempts) == len(requests) == 60
    assert {row.state for row in attempts} == {"settled"}
    assert sum(row.end == "completed" for row in attempts) >= 20
    assert sum(row.end == "crashed" for row in attempts) >= 20
    spent, held = await books.budget()
    assert (spent, held) == (sum(row.cost for row in requests), 0)
    assert await books.streams() == 0
    await heir.close()
    await database.close()
