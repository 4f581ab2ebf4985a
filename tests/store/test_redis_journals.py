"""Journals of streams in Redis: read by others as they are written, never with a hole, and nothing for ever."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import redis

from penstock.store import redis_journals
from penstock.store.errors import StoreUnavailableError
from penstock.store.journals import MAX_PENDING, Began, By, Dropped, Ended, Event, StreamRow
from penstock.store.redis_journals import MAX_EVENTS, RedisJournals
from tests.store.servers import RedisServer

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Process:
    """One of the processes that share a Redis."""

    def __init__(self, journals: RedisJournals) -> None:
        self.journals = journals
        self.lost: list[str] = []
        self.unwanted: list[str] = []

    async def begin(self, id_: str, *, name: str | None = None, answer: str | None = None) -> StreamRow:
        row = StreamRow(id_, "k", b"p\xff", self.journals.process, b"{}", name, answer)
        assert await self.journals.claim(row)
        return row

    def write(self, id_: str, *events: bytes, first: int = 0) -> None:
        if first == 0:
            self.journals.write(Began(id_, b"{}"))
        for number, event in enumerate(events, first):
            self.journals.write(Event(id_, number, event))

    async def die(self) -> None:
        """Be as a process that was killed."""
        for task in self.journals._tasks:
            task.cancel()
        await asyncio.gather(*self.journals._tasks, return_exceptions=True)


Open = Callable[[], Awaitable[Process]]


@pytest.fixture
async def opened(redis_url: str) -> AsyncIterator[Open]:
    processes: list[Process] = []

    async def open_() -> Process:
        process = Process(await RedisJournals.open(redis_url, secrets.token_hex(8), 60.0))
        processes.append(process)
        await process.journals.start(process.lost.append, process.unwanted.append)
        return process

    yield open_
    for process in processes:
        await process.journals.close()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


async def events_of(process: Process, row: StreamRow, number: int = 0) -> list[bytes] | None:
    return (await process.journals.read(row, number))[1]


async def state_of(process: Process, row: StreamRow) -> str | None:
    found = await process.journals.find("k", "id", row.id)
    return None if found is None else found.state


async def test_a_name_is_claimed_once_by_each_key(opened: Open) -> None:
    first, second = await opened(), await opened()
    await first.begin("s1", name="n")

    assert not await second.journals.claim(StreamRow("s2", "k", b"p", second.journals.process, b"{}", "n"))

    assert await second.journals.claim(StreamRow("s3", "other", b"p", second.journals.process, b"{}", "n"))
    assert await second.journals.claim(StreamRow("s4", "k", b"p", second.journals.process, b"{}", "m"))


@pytest.mark.parametrize(("by", "text"), [("id", "s"), ("name", "n"), ("answer", "resp_1")])
async def test_a_stream_is_found_by_its_key_alone(opened: Open, by: By, text: str) -> None:
    first, second = await opened(), await opened()
    row = await first.begin("s", name="n", answer="resp_1")

    assert await second.journals.find("k", by, text) == row
    assert await second.journals.find("other", by, text) is None


async def test_what_is_written_is_read_from_the_number_on_at_which_a_write_began(opened: Open) -> None:
    first, second = await opened(), await opened()
    row = await first.begin("s")
    first.write("s", b"a", b"b")
    await first.journals._flush()
    first.write("s", b"c", first=2)
    first.journals.write(Ended("s", "complete", 3, 3))
    await first.journals._flush()

    assert await events_of(second, row) == [b"a", b"b", b"c"]
    assert await events_of(second, row, 2) == [b"c"]
    found = await second.journals.find("k", "id", "s")
    assert found is not None
    assert (found.state, found.headers, found.count, found.print) == ("complete", b"{}", 3, b"p\xff")


async def test_more_events_than_fit_in_one_write_are_all_there(opened: Open) -> None:
    first = await opened()
    row = await first.begin("s")
    events = [b"%d" % number for number in range(2 * MAX_EVENTS + 1)]
    first.write("s", *events)
    first.journals.write(Ended("s", "complete", len(events), 0))
    await first.journals._flush()

    assert await events_of(first, row) == events
    assert await state_of(first, row) == "complete"


async def test_whoever_follows_is_told_at_once(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_journals, "TICK", 30.0)
    first, second = await opened(), await opened()
    row = await first.begin("s")
    for number in range(3):
        following = asyncio.ensure_future(second.journals.changed(row, number))
        await asyncio.sleep(0.2)
        assert not following.done()
        first.write("s", b"x", first=number)
        await asyncio.wait_for(following, 2)
    following = asyncio.ensure_future(second.journals.changed(row, 3))
    first.journals.write(Ended("s", "complete", 3, 3))
    await asyncio.wait_for(following, 2)


@pytest.mark.promise("1.7")
async def test_after_the_death_of_its_process_a_stream_is_interrupted_and_cannot_be_written(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_journals, "LEASE", 0.3)
    monkeypatch.setattr(redis_journals, "TICK", 0.1)
    first, second = await opened(), await opened()
    row = await first.begin("begun", name="n")
    never, asked = await first.begin("not begun", name="m"), await first.begin("asked", answer="resp_1")
    first.write("begun", b"a", b"b")
    await first.journals._flush()
    await first.die()
    assert await state_of(second, row) == "running"
    await asyncio.sleep(0.5)

    assert await state_of(second, row) == "interrupted"
    assert await events_of(second, row) == [b"a", b"b"]
    assert await state_of(second, never) is None
    assert await second.begin("again", name="m")
    assert await state_of(second, asked) == "interrupted"
    first.write("begun", b"c", first=2)  # it was not dead at all
    await first.journals._flush()
    assert first.lost == ["begun"]
    assert await events_of(second, row) == [b"a", b"b"]


@pytest.mark.promise("1.7")
async def test_what_redis_has_forgotten_is_no_shorter_stream(opened: Open, redis_server: RedisServer) -> None:
    first, second = await opened(), await opened()
    row = await first.begin("s")
    first.write("s", b"a")
    await first.journals._flush()
    redis_server.flush()
    first.write("s", b"b", first=1)
    await first.journals._flush()

    assert first.lost == ["s"]
    assert await second.journals.find("k", "id", "s") is None
    assert await second.journals.read(row, 0) == (None, None)


@pytest.mark.promise("1.7")
async def test_a_lost_entry_is_a_hole_and_not_told(opened: Open, redis_url: str) -> None:
    first = await opened()
    row = await first.begin("s")
    for number in range(3):
        first.write("s", b"x", first=number)
        await first.journals._flush()
    with redis.Redis.from_url(redis_url) as client:
        client.xdel("penstock:{k}:events:s", "2-0")

    assert await events_of(first, row) is None


async def test_while_redis_is_down_nothing_is_claimed_and_what_was_is_given_up(
    opened: Open, redis_server: RedisServer
) -> None:
    first = await opened()
    row = await first.begin("s", name="n")
    redis_server.stop()
    first.write("s", b"a")
    await until(lambda: first.lost == ["s"])
    first.journals.write(Dropped("s"))  # as whoever is told does
    with pytest.raises(StoreUnavailableError):
        await first.begin("t")
    for call in (first.journals.find("k", "id", "s"), first.journals.read(row, 0), first.journals.cancel(row)):
        with pytest.raises(StoreUnavailableError):
            await call
    await asyncio.sleep(0.2)
    redis_server.start()
    assert await first.begin("u", name="n")


async def test_what_could_not_be_removed_is_when_redis_is_back(
    opened: Open, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_journals, "TICK", 0.05)
    first = await opened()
    row = await first.begin("s", name="n")

    async def down(*_: object) -> set[str]:
        raise StoreUnavailableError("down")

    with monkeypatch.context() as outage:
        outage.setattr(first.journals, "_send", down)
        first.journals.write(Dropped("s"))
        await asyncio.sleep(0.2)
        assert await state_of(first, row) == "running"
    with redis.Redis.from_url(redis_url) as client:
        await until(lambda: not list(client.scan_iter("penstock:{k}*")))


async def test_a_name_is_free_again_while_its_stream_is_being_removed(opened: Open) -> None:
    first = await opened()
    for number in range(20):
        await first.begin(f"s{number}", name="n")
        first.journals.write(Dropped(f"s{number}"))
        await asyncio.sleep(0.003 * (number % 5))


async def test_what_redis_refuses_to_write_or_remove_is_given_up_and_removed_later(
    opened: Open, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_journals, "TICK", 0.05)
    first = await opened()
    row = await first.begin("s")
    with redis.Redis.from_url(redis_url) as client:
        client.set("penstock:{k}:events:s", "no stream")
        first.write("s", b"a")
        await until(lambda: first.lost == ["s"])
        client.config_set("min-replicas-to-write", 1)
        try:
            first.journals.write(Dropped("s"))
            await asyncio.sleep(0.2)
            assert client.exists("penstock:{k}:stream:s")
        finally:
            client.config_set("min-replicas-to-write", 0)
    async with asyncio.timeout(10):
        while await state_of(first, row) is not None:
            await asyncio.sleep(0.02)


async def test_above_a_limit_of_what_waits_an_event_is_not_taken(opened: Open) -> None:
    first = await opened()
    await first.begin("s")
    assert first.journals.write(Event("s", 0, bytes(MAX_PENDING)))
    assert not first.journals.write(Event("s", 1, b"a"))
    await until(lambda: first.journals._pending == 0)
    assert first.journals.write(Event("s", 1, b"a"))


async def test_whoever_serves_a_stream_is_told_at_once_that_it_is_not_wanted(opened: Open) -> None:
    first, second = await opened(), await opened()
    row = await first.begin("s")
    await second.journals.cancel(row)
    async with asyncio.timeout(1):
        await until(lambda: first.unwanted == ["s"])
    assert not second.unwanted


async def test_a_stream_is_removed_with_all_that_leads_to_it_but_not_its_names_next_owner(opened: Open) -> None:
    first, second = await opened(), await opened()
    row = await first.begin("s", name="n", answer="resp_1")
    first.write("s", b"a")
    await first.journals._flush()
    await second.journals.remove(row)
    assert await second.journals.find("k", "answer", "resp_1") is None
    await second.begin("t", name="n")
    first.journals.write(Dropped("s"))
    await first.journals._flush()
    assert (await first.journals.find("k", "name", "n") or row).id == "t"


async def test_nothing_stays_in_redis_for_ever_and_what_runs_is_kept(opened: Open, redis_url: str) -> None:
    first, second = await opened(), await opened()
    row = await first.begin("s", name="n", answer="resp_1")
    await first.begin("t")
    first.write("s", b"a")
    await first.journals._flush()
    await second.journals.cancel(row)
    with redis.Redis.from_url(redis_url) as client:
        names = list(client.scan_iter("penstock:*"))
        assert len(names) == 8  # two processes, a wish, two rows, and events, a name and an answer
        assert all(0 < client.ttl(name) <= 60 + redis_journals.RUNNING for name in names)
        for name in client.scan_iter("penstock:{k}*"):
            client.expire(name, 5)
        await first.journals._renew()
        assert all(client.ttl(name) > 60 for name in client.scan_iter("penstock:{k}*"))
        first.journals.write(Ended("s", "complete", 1, 1))
        await first.journals._flush()
        await first.journals._renew()
        assert all(client.ttl(name) <= 60 for name in client.scan_iter("penstock:{k}:*:[snr]*"))
