"""Many small writes in few transactions, on SQLite and on PostgreSQL."""

import asyncio
import contextlib
import sqlite3
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from penstock.store import dialect
from penstock.store.database import Database
from penstock.store.errors import StoreUnavailableError
from penstock.store.group_commit import GroupCommit
from penstock.store.schema import RATES
from tests.store.servers import PostgresServer

pytestmark = pytest.mark.anyio


class Writer:
    """Adds numbers to the table of rates; the result is the sum of all. A job below zero is a defect."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.go = threading.Event()
        self.go.set()

    def apply(self, connection: sa.Connection, jobs: list[int]) -> list[int]:
        self.go.wait(10)
        self.batches.append(jobs)
        results: list[int] = []
        for job in jobs:
            if job < 0:
                raise ValueError(f"no such job: {job}")
            connection.execute(sa.insert(RATES).values(key=str(job), kind="tokens", value=job))
            results.append(int(connection.scalar(sa.select(sa.func.sum(RATES.c.value))) or 0))
        return results


@pytest.fixture
def writer() -> Writer:
    return Writer()


@pytest.fixture
async def commits(database: Database, writer: Writer) -> AsyncIterator[GroupCommit[int, int]]:
    opened = GroupCommit(database.connect, writer.apply)
    yield opened
    await opened.close()


async def written(database: Database) -> list[int]:
    async with database.reading() as connection:
        return list(await connection.scalars(sa.select(RATES.c.value).order_by(RATES.c.value)))


async def test_a_result_is_there_when_its_job_is_committed(commits: GroupCommit[int, int], database: Database) -> None:
    assert await commits.submit(3) == 3
    assert await written(database) == [3]


async def test_jobs_that_wait_are_committed_together_in_their_order(
    commits: GroupCommit[int, int], writer: Writer
) -> None:
    writer.go.clear()
    futures = [commits.submit(number) for number in range(1, 51)]
    writer.go.set()

    assert await asyncio.gather(*futures) == [n * (n + 1) // 2 for n in range(1, 51)]
    assert [job for batch in writer.batches for job in batch] == list(range(1, 51))
    assert len(writer.batches) <= 2


async def test_a_job_that_fails_does_so_alone(
    commits: GroupCommit[int, int], writer: Writer, database: Database
) -> None:
    writer.go.clear()
    futures = [commits.submit(number) for number in (1, 2, -3, 2, 4)]
    writer.go.set()

    results = await asyncio.gather(*futures, return_exceptions=True)

    assert [type(result) for result in results] == [int, int, ValueError, StoreUnavailableError, int]
    assert await written(database) == [1, 2, 4]


async def test_a_job_is_done_though_nobody_waits_for_it_any_more(
    commits: GroupCommit[int, int], writer: Writer, database: Database
) -> None:
    writer.go.clear()
    waiting = [asyncio.ensure_future(commits.submit(number)) for number in (1, 2, 3)]
    await asyncio.sleep(0)
    waiting[1].cancel()
    writer.go.set()

    await asyncio.gather(waiting[0], waiting[2])
    assert await written(database) == [1, 2, 3]


async def test_closing_commits_what_waits(commits: GroupCommit[int, int], writer: Writer, database: Database) -> None:
    writer.go.clear()
    futures = [commits.submit(number) for number in range(1, 700)]
    closing = asyncio.create_task(commits.close())
    await asyncio.sleep(0)
    writer.go.set()
    await closing

    assert await written(database) == list(range(1, 700))
    await asyncio.gather(*futures)
    with pytest.raises(StoreUnavailableError):
        await commits.submit(5000)


async def test_while_the_server_is_away_jobs_fail_and_when_it_is_back_they_do_not(
    postgres: PostgresServer, postgres_url: str, writer: Writer
) -> None:
    database = await Database.open(postgres_url)
    commits = GroupCommit(database.connect, writer.apply)
    await commits.submit(1)
    with postgres.outage(postgres_url):
        for number in (2, 3):
            with pytest.raises(StoreUnavailableError) as failure:
                await commits.submit(number)
            assert "\n" not in str(failure.value)
    assert await commits.submit(4) == 5
    assert await written(database) == [1, 4]
    await commits.close()
    await database.close()


async def test_a_lock_is_not_waited_for_without_end(
    tmp_path: Path, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dialect, "_SQLITE_SETTINGS", ("PRAGMA busy_timeout = 50",))
    path = tmp_path / "penstock.db"
    database = await Database.open(path)
    commits = GroupCommit(database.connect, writer.apply)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    started = time.monotonic()

    with pytest.raises(StoreUnavailableError, match="locked"):
        await commits.submit(1)
    assert time.monotonic() - started < 2

    other.execute("ROLLBACK")
    other.close()
    assert await commits.submit(2) == 2
    await commits.close()
    await database.close()


async def test_two_that_lock_rows_in_different_order_both_succeed(postgres_url: str) -> None:
    """PostgreSQL notices a deadlock after a second, and lets one of the two try again."""
    database = await Database.open(postgres_url)
    async with database.changing() as connection:
        await connection.execute(sa.insert(RATES), [{"key": key, "kind": "tokens", "value": 0} for key in "ab"])
    both_began = threading.Barrier(2)

    def apply(connection: sa.Connection, jobs: list[str]) -> list[bool]:
        for key in jobs[0]:
            connection.execute(sa.update(RATES).where(RATES.c.key == key).values(value=RATES.c.value + 1))
            with contextlib.suppress(threading.BrokenBarrierError):  # passed once, then out of order
                both_began.wait(5)
                both_began.abort()
        return [True]

    writers = [GroupCommit(database.connect, apply) for _ in range(2)]
    await asyncio.gather(*(writer.submit(order) for writer, order in zip(writers, ("ab", "ba"), strict=True)))

    assert await written(database) == [2, 2]
    for writer in writers:
        await writer.close()
    await database.close()
