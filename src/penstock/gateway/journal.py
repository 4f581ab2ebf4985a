"""The journal of one answer: its events as the client gets them, numbered from 0, for any number of readers.

    journal = Journal(room, heartbeat)          is written to as if it were the client
    reader = journal.read(after=41)
    await reader.pour(client)                   events 42 and on, to the end

An event is one block of the event stream that has data, or one piece of an answer that is no event stream. Signs of
life are none: whoever reads makes its own.

Memory is bounded. When a journal has no room left it forgets what its readers have taken, and nobody else can begin
to read: what is under way goes on, what could have been done later is given up.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from itertools import islice
from typing import Literal, Protocol

from penstock.core.errors import ClientFault, ErrorInfo, Fault
from penstock.gateway.call import CallCancelledError, Client, OnGone
from penstock.wire.sse import SseReader

HIGH_WATER = 256 * 1024
"""Bytes of a forgetful journal that its slowest reader has not taken; above, no more is read of the provider."""

FIRST = 4 * 1024
"""Bytes that a reader takes at first, so that of many who come at once all have something soon."""

BATCH = 64 * 1024
"""Bytes that a reader takes at a time from then on."""

End = Literal["complete", "broken"]


def expired() -> ClientFault:
    """Return the fault of a stream that was there."""
    told = "This stream has expired, or was too large to be kept; ask again."
    return ClientFault(ErrorInfo("gone", told, code="stream_expired"))


class Copy(Protocol):
    """Where a journal is written down, so that it outlives the process. Must not block."""

    def begun(self, headers: dict[str, str]) -> None:
        """Take the headers."""
        ...

    def event(self, number: int, event: bytes) -> None:
        """Take an event."""
        ...

    def ended(self, end: End) -> None:
        """Take the end."""
        ...

    def failed(self, fault: Fault) -> None:
        """Take note of why there is no answer."""
        ...

    def forgotten(self) -> None:
        """Take note that the journal has no longer all of it."""
        ...


class Room:
    """Memory that the journals of a process share. The oldest of those that are complete make way for others."""

    def __init__(self, size: int, each: int) -> None:
        """Allow `size` bytes for all journals, and `each` for one."""
        self.each = each
        self.used = 0
        self._size = size
        self._complete: dict[Journal, None] = {}

    def take(self, size: int) -> bool:
        """Return whether there is room for some more bytes, which are counted."""
        self.used += size
        while self.used > self._size and self._complete:
            next(iter(self._complete)).forget()
        return self.used <= self._size

    def give_back(self, size: int) -> None:
        """Count bytes that are no longer kept."""
        self.used -= size

    def complete(self, journal: "Journal") -> None:
        """Take note of a journal that has ended."""
        self._complete[journal] = None

    def discard(self, journal: "Journal") -> None:
        """Take note of a journal that has forgotten what could be forgotten."""
        self._complete.pop(journal, None)


class Journal:
    """The journal of one answer. Towards the gateway it is a client that takes everything.

    Attributes:
        headers: of the answer, once it has begun.
        ended: how, once it has.
        fault: why it never began.
        last: the bytes that ended it.
        forgetful: whether nobody else can begin to read.
        lonely: called when it is forgetful and nobody reads it.
        copy: where else it is written down.
    """

    def __init__(self, room: Room, heartbeat: bytes, *, framed: bool = True, copy: Copy | None = None) -> None:
        """Begin a journal.

        Args:
            room: what it may take up.
            heartbeat: what is no event.
            framed: whether the answer is an event stream.
            copy: where else it is written down.
        """
        self.headers: dict[str, str] | None = None
        self.ended: End | None = None
        self.fault: Fault | None = None
        self.last = b""
        self.forgetful = False
        self.lonely: Callable[[], None] | None = None
        self._room = room
        self._heartbeat = heartbeat
        self._split = events_of if framed else _one
        self.copy = copy
        self._events: deque[bytes] = deque()
        self._first = 0  # the number of the first event that is kept
        self._size = 0
        self._readers: set[Reader] = set()
        self._waiting: list[asyncio.Future[None]] = []  # readers
        self._full: asyncio.Future[None] | None = None  # the writer
        self._on_gone: OnGone | None = None
        self._gone: ConnectionError | CallCancelledError | None = None

    @property
    def count(self) -> int:
        """How many events there were so far."""
        return self._first + len(self._events)

    @property
    def over(self) -> bool:
        """Whether nothing more will come."""
        return self.ended is not None or self.fault is not None

    # ---- for whoever writes it ---------------------------------------------------------------------------------------

    async def start(self, headers: dict[str, str], data: bytes) -> None:
        """Take the headers and the first events."""
        self.headers = headers
        if self.copy is not None:
            self.copy.begun(headers)
        self.push(data)
        self._wake()

    def push(self, data: bytes) -> bool:
        """Take events; return whether the readers keep up, where that matters."""
        if data != self._heartbeat:
            for event in self._split(data):
                self._append(event)
            self._wake()
        return not self.forgetful or self._size <= HIGH_WATER

    async def drained(self) -> None:
        """Return when the readers have taken enough, where that matters."""
        while self.forgetful and self._size > HIGH_WATER:
            self._full = asyncio.get_running_loop().create_future()
            await self._full

    async def end(self, data: bytes) -> None:
        """Take the last events of a complete answer."""
        self._end(data, "complete")

    async def abort(self, data: bytes) -> None:
        """Take the last events of an answer that broke."""
        self._end(data, "broken")

    def on_gone(self, callback: OnGone) -> None:
        """Call back when the call is cancelled, or nobody is left to read it and nobody can come."""
        self._on_gone = callback
        if self._gone is not None:
            callback(self._gone)

    def fail(self, fault: Fault) -> None:
        """Take note of why there is no answer."""
        self.fault = fault.with_traceback(None)
        self._on_gone = None
        if self.copy is not None:
            self.copy.failed(fault)
        self._wake()

    # ---- for whoever reads it ----------------------------------------------------------------------------------------

    def leave(self, why: ConnectionError | CallCancelledError) -> None:
        """Tell the writer that nobody wants the rest."""
        if self._gone is None and not self.over:
            self._gone = why
            if self._on_gone is not None:
                self._on_gone(why)

    def read(self, after: int = -1) -> "Reader":
        """Return a reader of the events behind a number.

        Raises:
            ClientFault: they are not there any more.
        """
        if self.forgetful:
            raise expired()
        reader = Reader(self, after + 1)
        self._readers.add(reader)
        return reader

    async def begun(self) -> dict[str, str]:
        """Return the headers, as soon as they are there.

        Raises:
            Fault: there is no answer.
        """
        while self.headers is None:
            if self.fault is not None:
                raise self.fault.with_traceback(None)
            await self.changed()
        return self.headers

    async def whole(self) -> bytes:
        """Return all events as one, when they are complete.

        Raises:
            Fault: they are not there, or will not be.
        """
        reader = self.read()
        try:
            await self.begun()
            while not self.over:
                await self.changed()
            return b"".join(self._events)
        finally:
            reader.close()

    async def changed(self) -> None:
        """Return when something has happened."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        await waiter

    def forget(self) -> None:
        """Keep no more than what the readers have not taken yet."""
        if not self.forgetful:
            self.forgetful = True
            self._room.discard(self)
            if self.copy is not None:
                self.copy.forgotten()
            self.trim()

    def numbered(self, sequence: Callable[[bytes], int | None], after: int) -> int:
        """Return the number of the last event that its own number says is not behind `after`; -1 if there is none.

        The error that ends a broken stream may be numbered from 0 again: it is behind all others.
        """
        last = highest = -1
        begin = after - self._first
        # Where each event has its place for a number, as nearly always, those before it need not be looked at.
        if not (0 < begin < len(self._events) and sequence(self._events[begin]) == after):
            begin = 0
        for number, event in enumerate(islice(self._events, begin, None), self._first + begin):
            own = sequence(event)
            if own is not None and (own > after or own < highest):
                break
            last, highest = number, highest if own is None else own
        return last

    def tail(self) -> bytes:
        """Return the last events, as one: those that tell how it ended."""
        return b"".join(list(self._events)[-2:])

    # ---- for readers -------------------------------------------------------------------------------------------------

    def from_(self, number: int, enough: int = BATCH) -> list[bytes]:
        """Return the next few events, from a number on: `enough` bytes of them, if there are."""
        begin = number - self._first
        taken: list[bytes] = []
        size = 0
        for index in range(begin, len(self._events)):
            event = self._events[index]
            taken.append(event)
            size += len(event)
            if size >= enough:
                break
        return taken

    def close(self, reader: "Reader") -> None:
        """Take note that a reader has left."""
        self._readers.discard(reader)
        self.trim()

    def trim(self) -> None:
        """Forget what all readers have taken, if that is how it is."""
        if not self.forgetful:
            return
        slowest = min((reader.next for reader in self._readers), default=self.count)
        while self._events and self._first < slowest:
            event = self._events.popleft()
            self._first += 1
            self._size -= len(event)
            self._room.give_back(len(event))
        if self._full is not None and self._size <= HIGH_WATER and not self._full.done():
            self._full.set_result(None)
        if not self._readers and not self.over and self.lonely is not None:
            self.lonely()

    def _append(self, event: bytes) -> None:
        if self.copy is not None and not self.forgetful:
            self.copy.event(self.count, event)
        self._events.append(event)
        self._size += len(event)
        room = self._room.take(len(event))
        if self.forgetful:
            if not self._readers:
                self.trim()
        elif not room or self._size > self._room.each:
            self.forget()

    def _end(self, data: bytes, end: End) -> None:
        self.last = data
        self.ended = end
        self.push(data)
        if self.copy is not None:
            self.copy.ended(end)
        if not self.forgetful:
            self._room.complete(self)
        self._on_gone = None  # it knows the request, and the journal is kept
        self._wake()

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            if not waiter.done():
                waiter.set_result(None)


class Reader:
    """One reader of a journal. `next` is the number of the event that it takes next."""

    __slots__ = ("_journal", "begun", "next")

    def __init__(self, journal: Journal, next_: int) -> None:
        self._journal = journal
        self.next = next_
        self.begun = False

    def close(self) -> None:
        """Leave."""
        self._journal.close(self)

    async def pour(
        self,
        client: Client,
        headers: dict[str, str],
        beat: bytes,
        interval: float,
        mark: Callable[[int], bytes] | None = None,
    ) -> None:
        """Write the events to a client, to the end.

        Args:
            client: that reads.
            headers: to send beside those of the answer.
            beat: what to send when there has been nothing for `interval` seconds; 0 for never.
            interval: likewise.
            mark: what to write before each event.

        Raises:
            Fault: there is no answer.
            ConnectionError: the client has left.
        """
        journal = self._journal
        headers = await journal.begun() | headers
        while True:
            events = journal.from_(self.next, BATCH if self.begun else FIRST)
            if mark is not None:
                events = [mark(self.next + index) + event for index, event in enumerate(events)]
            self.next += len(events)
            journal.trim()
            at_end = journal.ended if self.next >= journal.count else None
            if at_end is not None:
                return await self._end(client, headers, b"".join(events), at_end)
            if events:
                await self._write(client, headers, b"".join(events))
                if self.next < journal.count:
                    await asyncio.sleep(0)  # it is the others' turn: nobody waits for more than a piece of each
            elif not await _changed(journal, interval):
                await self._write(client, headers, beat)

    async def _write(self, client: Client, headers: dict[str, str], data: bytes) -> None:
        if not self.begun:
            self.begun = True
            await client.start(headers, data)
        elif not client.push(data):
            await client.drained()

    async def _end(self, client: Client, headers: dict[str, str], data: bytes, end: End) -> None:
        if not self.begun:
            self.begun = True
            await client.start(headers, b"")
        await (client.end(data) if end == "complete" else client.abort(data))


async def _changed(journal: Journal, interval: float) -> bool:
    """Wait for something to happen; return whether it did in time."""
    if not interval:
        await journal.changed()
        return True
    try:
        async with asyncio.timeout(interval):
            await journal.changed()
    except TimeoutError:
        return False
    return True


def events_of(data: bytes) -> list[bytes]:
    """Return the events in some whole blocks of an event stream; blocks without data are none."""
    if data.startswith((b"data:", b"event:")) and data.find(b"\n\n") == len(data) - 2:
        return [data]
    reader = SseReader()
    return [frame.raw for frame in (*reader.feed(data), *reader.close()) if frame.data is not None]


def _one(data: bytes) -> list[bytes]:
    return [data] if data else []
