"""Several processes on one database, and processes that die: nothing is lost, nothing is half done."""

import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg
import pytest

from penstock.store.database import upgrade

pytestmark = pytest.mark.anyio

WRITER = """
import asyncio, sys
from pathlib import Path
import sqlalchemy as sa
from penstock.store.database import Database
from penstock.store.group_commit import GroupCommit
from penstock.store.schema import BUDGETS, RATES

location, name, count = sys.argv[1], sys.argv[2], int(sys.argv[3])

def apply(connection, jobs):
    # Reads before it writes, as admission does: nobody may write in between.
    spent = connection.scalar(sa.select(BUDGETS.c.spent))
    connection.execute(sa.insert(RATES), [{"key": job, "kind": "tokens", "value": 1} for job in jobs])
    connection.execute(sa.update(BUDGETS).values(spent=spent + len(jobs)))
    return jobs

async def main():
    database = await Database.open(location if "://" in location else Path(location))
    commits = GroupCommit(database.connect, apply)
    async def client(number):
        for turn in range(count):
            print("done", await commits.submit(f"{name}-{number}-{turn}"), flush=True)
    await asyncio.gather(*(client(number) for number in range(8)))
    await commits.close()
    await database.close()

asyncio.run(main())
"""


@contextmanager
def writing(location: Path | str, name: str, count: int) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", WRITER, str(location), name, str(count)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with process:
        yield process
        process.kill()


def run(location: Path | str, statement: str) -> list[tuple[object, ...]]:
    """Run a statement on a connection that is not ours."""
    if isinstance(location, str):
        with psycopg.connect(location) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []
    with closing(sqlite3.connect(location)) as connection, connection:
        return connection.execute(statement).fetchall()


@pytest.fixture
async def shared(location: Path | str) -> Path | str:
    await upgrade(location)
    run(location, "INSERT INTO budgets VALUES ('team', 'tokens', 'total', 0, 0)")
    return location


async def test_two_processes_on_one_file_neither_fail_nor_lose_anything(tmp_path: Path) -> None:
    path = tmp_path / "penstock.db"
    await upgrade(path)
    run(path, "INSERT INTO budgets VALUES ('team', 'tokens', 'total', 0, 0)")

    with writing(path, "one", 60) as first, writing(path, "two", 60) as second:
        outputs = [process.communicate(timeout=60) for process in (first, second)]

    assert [errors for _, errors in outputs] == ["", ""]
    assert run(path, "SELECT count(*) FROM rates") == [(960,)]
    assert run(path, "SELECT spent FROM budgets") == [(960,)]


async def test_a_process_that_is_killed_leaves_what_it_said_was_done_and_nothing_half_done(shared: Path | str) -> None:
    with writing(shared, "one", 100_000) as process:
        assert process.stdout is not None
        said = [process.stdout.readline() for _ in range(100)]
        process.kill()
        said += process.stdout.readlines()

    done = {line.split()[1] for line in said if line.endswith("\n")}
    end = time.monotonic() + 5
    while True:  # the server may still be busy with the last transaction of the one that died
        rows = {str(key) for (key,) in run(shared, "SELECT key FROM rates")}
        counted = run(shared, "SELECT spent FROM budgets")
        if counted == [(len(rows),)] or time.monotonic() > end:
            break
    assert len(done) >= 100
    assert done <= rows
    assert counted == [(len(rows),)]
    if isinstance(shared, Path):
        assert run(shared, "PRAGMA integrity_check") == [("ok",)]
