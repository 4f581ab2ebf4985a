"""The journal of an answer: numbered events, any number of readers, bounded memory."""

import asyncio
import contextlib

import pytest

from penstock.core.errors import ClientFault
from penstock.gateway.journal import FIRST, HIGH_WATER, Journal, Room, events_of

pytestmark = pytest.mark.anyio

ROOM = 2**20


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Taken:
    """A client that remembers what it got."""

    def __init__(self) -> None:
        self.body = b""
        self.ended = ""

    async def start(self, headers: dict[str, str], data: bytes) -> None:
        self.body += data

    def push(self, data: bytes) -> bool:
        self.body += data
        return True

    async def drained(self) -> None: ...

    async def end(self, data: bytes) -> None:
        self.body += data
        self.ended = "complete"

    async def abort(self, data: bytes) -> None:
        self.body += data
        self.ended = "broken"

    def on_gone(self, callback: object) -> None: ...


def event(number: int, size: int = 0) -> bytes:
    return b"data: %d%b\n\n" % (number, b"x" * size)


async def read(journal: Journal, after: int = -1, interval: float = 0.0) -> Taken:
    client, reader = Taken(), journal.read(after)
    try:
        await reader.pour(client, {}, b"\n", interval)
    finally:
        reader.close()
    return client


async def test_a_reader_gets_what_was_and_what_comes() -> None:
    journal = Journal(Room(ROOM, ROOM), b"\n")
    await journal.start({}, event(0) + event(1))
    late = asyncio.create_task(read(journal, after=0))
    await asyncio.sleep(0)
    journal.push(event(2))
    await journal.end(event(3))
    assert (await late).body == event(1) + event(2) + event(3)
    assert (await read(journal, after=2)).body == event(3)
    assert (await read(journal, after=3)).body == b""


async def test_signs_of_life_are_no_events_and_readers_get_their_own() -> None:
    journal = Journal(Room(ROOM, ROOM), b"\n")
    await journal.start({}, event(0))
    journal.push(b"\n")
    waiting = asyncio.create_task(read(journal, interval=0.01))
    await asyncio.sleep(0.05)
    await journal.end(b"")
    assert journal.count == 1
    assert (await waiting).body.startswith(event(0) + b"\n\n")


@pytest.mark.promise("1.5")
async def test_of_many_who_come_back_at_once_all_have_something_before_any_has_more() -> None:
    order: list[int] = []

    class Noting(Taken):
        def __init__(self, number: int) -> None:
            super().__init__()
            self._number = number

        async def start(self, headers: dict[str, str], data: bytes) -> None:
            order.append(self._number)
            assert len(data) < 2 * FIRST
            await super().start(headers, data)

        def push(self, data: bytes) -> bool:
            order.append(self._number)
            return super().push(data)

    journal = Journal(Room(ROOM, ROOM), b"\n")
    await journal.start({}, b"".join(event(number, 1024) for number in range(256)))
    await journal.end(event(256))
    clients = [Noting(number) for number in range(20)]
    await asyncio.gather(*(journal.read().pour(client, {}, b"\n", 0) for client in clients))
    turns = len(order) // 20
    assert turns > 3
    assert order == list(range(20)) * turns
    assert len({client.body for client in clients}) == 1


def test_the_event_behind_which_a_reader_goes_on_is_found_without_looking_at_those_before_it() -> None:
    journal, looked = Journal(Room(ROOM, ROOM), b"\n"), 0

    def sequence(event: bytes) -> int:
        nonlocal looked
        looked += 1
        return int(event[6:])

    for number in range(1000):
        journal.push(event(number))
    assert journal.numbered(sequence, 900) == 900
    assert looked < 5


def test_events_whose_numbers_are_not_their_places_are_found_all_the_same() -> None:
    journal = Journal(Room(ROOM, ROOM), b"\n")
    for number in (0, 3, 5, 7, 8):
        journal.push(event(number))
    assert [journal.numbered(lambda event: int(event[6:]), after) for after in (0, 1, 3, 4, 6, 8, 99)] == [
        *(0, 0, 1, 1, 2, 4, 4)
    ]


@pytest.mark.parametrize("end", ["\n\n", "\r\n\r\n", "\r\r"])
def test_events_are_told_apart_however_lines_end(end: str) -> None:
    data = "".join(f"{text}{end}" for text in ("data: 1", ": nothing", "event: a\ndata: 2"))
    assert [
        event.strip().endswith(number) for event, number in zip(events_of(data.encode()), (b"1", b"2"), strict=True)
    ]


async def test_a_journal_that_is_full_goes_on_for_its_readers_and_for_nobody_else() -> None:
    journal = Journal(Room(ROOM, 100), b"\n")
    first = asyncio.create_task(read(journal))
    await journal.start({}, event(0))
    await asyncio.sleep(0)
    for number in range(1, 20):
        journal.push(event(number, 20))
        await asyncio.sleep(0)
    assert journal.forgetful
    with pytest.raises(ClientFault) as refused:
        journal.read()
    assert refused.value.info.code == "stream_expired"
    await journal.end(b"")
    assert (await first).body == event(0) + b"".join(event(number, 20) for number in range(1, 20))


async def test_a_full_journal_waits_for_its_slowest_reader_and_for_nobody_who_left() -> None:
    room = Room(ROOM, 100)
    journal = Journal(room, b"\n")
    await journal.start({}, event(0))
    reader = journal.read()
    assert not journal.push(event(1, HIGH_WATER))
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(journal.drained(), 0.01)
        pytest.fail("there was no room")
    reader.close()
    await asyncio.wait_for(journal.drained(), 1)
    assert room.used == 0


async def test_a_full_journal_that_nobody_reads_lets_know() -> None:
    journal = Journal(Room(ROOM, 10), b"\n")
    told: list[bool] = []
    journal.lonely = lambda: told.append(True)
    await journal.start({}, event(0, 20))
    assert told


async def test_the_oldest_complete_journals_make_way_for_what_runs() -> None:
    room = Room(300, 200)
    old, new, running = (Journal(room, b"\n") for _ in range(3))
    for journal in (old, new):
        await journal.start({}, event(0, 100))
        await journal.end(b"")
    await running.start({}, event(0, 100))
    assert [journal.forgetful for journal in (old, new, running)] == [True, False, False]
    assert room.used <= 300
