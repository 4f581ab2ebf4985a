"""Journals of streams in SQLite: nobody waits for them, and what is not all there is not told."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from penstock.store import sqlite_journals
from penstock.store.database import Database
from penstock.store.journals import MAX_PENDING, Began, Dropped, Ended, Event, StreamRow
from penstock.store.processes import Processes
from penstock.store.schema import STREAM_EVENTS, STREAMS
from penstock.store.sqlite_journals import SqliteJournals

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Process:
    """One of the processes that share a file."""

    def __init__(self, database: Database, directory: Path, limit: int = 2**20, keep: float = 60.0) -> None:
        self.database = database
        self.processes = Processes(database, directory, secrets.token_hex(8))
        self.journals = SqliteJournals(database, self.processes, keep=keep, limit=limit)
        self.lost: list[str] = []
        self.unwanted: list[str] = []

    async def start(self) -> "Process":
        await self.journals.start(self.lost.append, self.unwanted.append)
        return self

    async def begin(self, id_: str, *, name: str | None = None, answer: str | None = None) -> StreamRow:
        row = StreamRow(id_, "k", b"p", self.journals.process, b"{}", name, answer)
        assert await self.journals.claim(row)
        return row

    async def write(self, id_: str, *events: bytes) -> None:
        self.journals.write(Began(id_, b"{}"))
        for number, event in enumerate(events):
            self.journals.write(Event(id_, number, event))

    async def die(self) -> None:
        """Be as a process that was killed: what waits is written, and the lock is given back."""
        journals = self.journals
        assert journals._looking_after is not None
        journals._looking_after.cancel()
        journals._flush()
        await journals._writer.close()
        self.processes.release()

    async def count(self, what: sa.Table) -> int:
        async with self.database.reading() as connection:
            return await connection.scalar(sa.select(sa.func.count()).select_from(what)) or 0


Start = Callable[..., "asyncio.Future[Process]"]


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Callable[..., object]]:
    started: list[Process] = []

    async def start(**settings: float) -> Process:
        database = await Database.open(tmp_path / "journals.db")
        process = Process(database, tmp_path, **settings)  # pyright: ignore[reportArgumentType]
        started.append(process)
        return await process.start()

    yield start
    for process in started:
        await process.journals.close()
        await process.database.close()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.02)


async def test_a_name_is_claimed_once(start: Start) -> None:
    first, second = await start(), await start()
    await first.begin("s1", name="n")
    row = StreamRow("s2", "k", b"p", second.journals.process, b"{}", "n")
    assert not await second.journals.claim(row)
    assert await second.journals.claim(StreamRow("s3", "other", b"p", second.journals.process, b"{}", "n"))


async def test_what_was_written_is_read_by_another_process_from_any_event_on(start: Start) -> None:
    first, second = await start(), await start()
    row = await first.begin("s", name="n", answer="resp_1")
    await first.write("s", b"a", b"b", b"c")
    first.journals.write(Ended("s", "complete", 3, 3))
    first.journals._flush()
    await until(lambda: first.journals._pending == 0)
    for by, text in (("id", "s"), ("name", "n"), ("answer", "resp_1")):
        found = await second.journals.find("k", by, text)  # pyright: ignore[reportArgumentType]
        assert found is not None
        assert (found.state, found.count) == ("complete", 3)
        assert await second.journals.find("other", by, text) is None  # pyright: ignore[reportArgumentType]
    assert (await second.journals.read(row, 1))[1] == [b"b", b"c"]


@pytest.mark.promise("1.7")
async def test_events_that_are_not_all_there_are_not_told(start: Start) -> None:
    first = await start()
    row = await first.begin("s")
    await first.write("s", b"a", b"b", b"c")
    first.journals.write(Ended("s", "complete", 3, 3))
    first.journals._flush()
    await until(lambda: first.journals._pending == 0)
    async with first.database.changing() as connection:
        await connection.execute(sa.delete(STREAM_EVENTS).where(STREAM_EVENTS.c.number == 1))
    assert (await first.journals.read(row, 0))[1] is None
    assert (await first.journals.read(row, 1))[1] is None


@pytest.mark.promise("1.7")
async def test_what_a_dead_process_left_is_interrupted_and_counted(start: Start) -> None:
    first = await start()
    row, never = await first.begin("begun"), await first.begin("not begun")
    asked = await first.begin("in the background", answer="resp_1")
    await first.write("begun", b"aaa", b"bb")
    await first.die()
    second = await start()
    found = await second.journals.find("k", "id", row.id)
    assert found is not None
    assert (found.state, found.count) == ("interrupted", 2)
    async with second.database.reading() as connection:
        assert await connection.scalar(sa.select(STREAMS.c.size).where(STREAMS.c.id == row.id)) == 5
    assert await second.journals.find("k", "id", never.id) is None
    kept = await second.journals.find("k", "id", asked.id)
    assert kept is not None
    assert (kept.state, kept.headers) == ("interrupted", None)


async def test_a_death_is_noted_by_whoever_looks(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_journals, "TICK", 0.0)
    first, second = await start(), await start()
    row = await first.begin("s")
    await first.write("s", b"a")
    await asyncio.sleep(0.2)
    alive, events = await second.journals.read(row, 0)
    assert alive is not None
    assert (alive.state, events) == ("running", [b"a"])
    await first.die()
    dead, events = await second.journals.read(row, 0)
    assert dead is not None
    assert (dead.state, events) == ("interrupted", [b"a"])


async def test_above_a_limit_of_what_waits_an_event_is_not_taken(start: Start) -> None:
    first = await start()
    await first.begin("s")
    assert first.journals.write(Event("s", 0, bytes(MAX_PENDING)))
    assert not first.journals.write(Event("s", 1, b"a"))
    assert first.journals.write(Dropped("s"))
    await until(lambda: first.journals._pending == 0)
    assert first.journals.write(Event("t", 0, b"a"))


async def test_a_stream_that_could_not_be_written_is_told_and_goes_when_it_can(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await start()
    await first.begin("s")
    await first.write("s", b"a")
    await until(lambda: first.journals._pending == 0)
    await _rename(first, "stream_events", "away")
    first.journals.write(Event("s", 1, b"b"))
    await until(lambda: first.lost == ["s"])
    first.journals.write(Dropped("s"))  # as whoever is told does; it fails, too
    await asyncio.sleep(0.3)
    assert await first.count(STREAMS) == 1
    await _rename(first, "away", "stream_events")
    async with asyncio.timeout(10):
        while await first.count(STREAMS) or await first.count(STREAM_EVENTS):
            await asyncio.sleep(0.05)


async def _rename(process: Process, old: str, new: str) -> None:
    async with process.database.changing() as connection:
        await connection.execute(sa.text(f"ALTER TABLE {old} RENAME TO {new}"))


async def test_the_oldest_that_have_ended_make_way(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_journals, "TICK", 0.02)
    first = await start(limit=25)
    for second, id_ in enumerate("abc"):
        await first.begin(id_)
        await first.write(id_, bytes(10))
        first.journals.write(Ended(id_, "complete", 1, 10))
        first.journals._flush()
        await until(lambda: first.journals._pending == 0)
        async with first.database.changing() as connection:
            by_age = sa.update(STREAMS).where(STREAMS.c.id == id_).values(expires=STREAMS.c.expires + second)
            await connection.execute(by_age)
    await first.begin("running")
    async with asyncio.timeout(10):
        while await first.journals.find("k", "id", "a"):
            await asyncio.sleep(0.05)
    assert await first.journals.find("k", "id", "b")
    assert await first.journals.find("k", "id", "running")


async def test_what_has_expired_is_not_found_and_its_name_is_free(start: Start) -> None:
    first = await start(keep=-1.0)
    await first.begin("s", name="n")
    first.journals.write(Ended("s", "complete", 0, 0))
    await asyncio.sleep(0.2)
    assert await first.journals.find("k", "id", "s") is None
    await first.begin("t", name="n")


async def test_whoever_serves_a_stream_is_told_that_it_is_not_wanted(start: Start) -> None:
    first, second = await start(), await start()
    row = await first.begin("s")
    await second.journals.cancel(row)
    await until(lambda: "s" in first.unwanted)
    assert not second.unwanted
