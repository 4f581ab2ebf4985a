"""Streams that outlive their process: written down as they come, and read again after a restart or by another process.

    Durable     what this process writes of its own streams, and which of others' it reads
    _Copy       writes one journal down
    _restored   a stream of another process, read as it is written: a journal like any other

What is written to is never waited for while an answer streams. A call that has an `Idempotency-Key` is claimed before
it is made, so that of all processes one makes it. What a dead process left is read up to its last event that was
written down, and then ends in the error `interrupted`.
"""

import asyncio
import contextlib
import hashlib
import time
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec
import structlog
from msgspec import Raw, Struct

from penstock.accounts.keys import Key
from penstock.core.errors import ErrorInfo, Fault
from penstock.gateway.background import Running
from penstock.gateway.call import Call
from penstock.gateway.detached import Detached
from penstock.gateway.journal import End, Journal, expired
from penstock.protocols.base import Inbound
from penstock.protocols.registry import PROTOCOLS
from penstock.store.errors import StoreUnavailableError
from penstock.store.journals import Began, By, Change, Dropped, Ended, Event, Journals, State, StreamRow

LINGER = 10.0
"""Seconds for which a stream that was read again stays in memory after its end."""

INTERRUPTED = ErrorInfo(
    "stream_incomplete", "The gateway was stopped in the middle of this answer.", code="interrupted"
)

_GONE = ErrorInfo("stream_incomplete", "The rest of this stream is no longer kept.", code="stream_expired")

_UNREADABLE = ErrorInfo(
    "overloaded", "Streams cannot be read at the moment.", code="streams_unavailable", retry_after=1.0
)

_MAKE_JOURNAL = Callable[[Call], Journal]

_log = structlog.get_logger("penstock.gateway")


class _CallFacts(Struct, frozen=True):
    """What is written down of a call, so that its answer can be told in its protocol. Nothing that was said in it.

    Attributes:
        echo: of one in the background, what its answer repeats.
        waited: of one in the background, whether its client wants the events.
    """

    id: str
    token: str
    protocol: str
    model: str
    stream: bool
    array: bool
    include_usage: bool
    created_ms: int
    echo: dict[str, Raw] = {}
    waited: bool = True


class Durable:
    """The streams of all processes that write to the same place.

    Attributes:
        cancel: ends a stream of this process that somebody has asked another process to end; takes its id.
    """

    def __init__(self, journals: Journals, journal: _MAKE_JOURNAL) -> None:
        """Write to some journals; `journal` makes a new one in memory."""
        self.cancel: Callable[[str], Coroutine[Any, Any, None]] | None = None
        self._journals = journals
        self._journal = journal
        self._copies: dict[str, _Copy] = {}
        self._restored: dict[str, tuple[Detached, StreamRow]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Take note of what dead processes left, and begin.

        Raises:
            ConfigError: the journals cannot be used.
        """
        await self._journals.start(self._lose, self._unwanted)

    async def close(self) -> None:
        """Write what waits, and end."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._journals.close()

    # ---- for the process that serves a call --------------------------------------------------------------------------

    async def claim(self, detached: Detached, name: str | None) -> bool:
        """Begin to write a stream down; return False if another process has one of that name.

        If it cannot be written the stream is kept in memory only.
        """
        facts = msgspec.json.encode(_facts(detached))
        named = None if name is None else _digest(name)
        answer = None if detached.running is None else detached.running.id
        row = StreamRow(detached.id, detached.owner, detached.print, self._journals.process, facts, named, answer)
        try:
            claimed = await self._journals.claim(row)
        except asyncio.CancelledError:
            self.drop(detached.id)
            raise
        except StoreUnavailableError as error:
            _log.warning("stream_not_durable", request_id=detached.call.id, why=str(error))
            self.drop(detached.id)  # nobody knows whether it was claimed
            return True
        if claimed:
            self._copies[detached.id] = detached.journal.copy = _Copy(self, detached)
        return claimed

    def write(self, change: Change) -> bool:
        """Write something down soon; return whether there is room for it to wait."""
        return self._journals.write(change)

    def drop(self, stream: str) -> None:
        """Keep a stream no longer."""
        self._copies.pop(stream, None)
        self.write(Dropped(stream))

    def keeps(self, stream: str) -> bool:
        """Whether a stream of this process is written down, all of it so far."""
        return stream in self._copies

    def _lose(self, stream: str) -> None:
        copy = self._copies.get(stream)
        if copy is not None:
            copy.forgotten()

    def _unwanted(self, stream: str) -> None:
        if self.cancel is not None:
            self._begin(self._cancelled(self.cancel(stream)))

    async def _cancelled(self, ending: Coroutine[Any, Any, None]) -> None:
        with contextlib.suppress(Fault):  # it has gone meanwhile
            await ending

    # ---- for readers -------------------------------------------------------------------------------------------------

    async def named(self, key: Key, name: str) -> Detached | None:
        """Return the stream of a key and `Idempotency-Key`, if another process has or had it, as far as is known."""
        try:
            return await self._find(key, "name", _digest(name))
        except StoreUnavailableError as error:
            _log.warning("streams_not_read", why=str(error))
            return None

    async def found(self, key: Key, by: By, text: str) -> Detached | None:
        """Return the stream of an id, or of an answer in the background, if another process has or had it.

        Raises:
            Fault: nobody can tell at the moment.
        """
        try:
            return await self._find(key, by, text)
        except StoreUnavailableError as error:
            _log.warning("streams_not_read", why=str(error))
            raise Fault(_UNREADABLE) from error

    async def end(self, detached: Detached) -> None:
        """Ask for the end of a stream that another process serves, and return when it is over.

        Raises:
            Fault: nobody can be asked at the moment.
        """
        restored = self._restored.get(detached.id)
        if detached.journal.over or restored is None:
            return
        try:
            await self._journals.cancel(restored[1])
        except StoreUnavailableError as error:
            raise Fault(_UNREADABLE) from error
        while not detached.journal.over:
            await detached.journal.changed()

    async def remove(self, detached: Detached) -> None:
        """Keep a stream of another process no longer, and return when it is gone.

        Raises:
            Fault: it cannot be removed at the moment.
        """
        restored = self._restored.pop(detached.id, None)
        if restored is None:
            return
        try:
            await self._journals.remove(restored[1])
        except StoreUnavailableError as error:
            raise Fault(_UNREADABLE) from error

    async def _find(self, key: Key, by: By, text: str) -> Detached | None:
        row = await self._journals.find(key.id, by, text)
        if row is None or row.process == self._journals.process:
            return None  # what this process has written it has in memory, or has let go
        known = self._restored.get(row.id)
        if known is not None and not known[0].journal.forgetful:
            return known[0]
        return await self._restore(row, key)

    async def _restore(self, row: StreamRow, key: Key) -> Detached | None:
        detached = _detached(row, key, self._journal)
        if not await self._step(detached, row):
            return None
        self._restored[row.id] = (detached, row)
        self._begin(self._follow(detached, row))
        return detached

    async def _follow(self, detached: Detached, row: StreamRow) -> None:
        """Read what another process writes, to the end."""
        journal = detached.journal
        try:
            while not journal.over:
                await self._journals.changed(row, journal.count)
                if not await self._step(detached, row):
                    return await self._break(detached, _GONE)
            await asyncio.sleep(LINGER)
        except StoreUnavailableError:
            await self._break(detached, _UNREADABLE)
        finally:
            if self._restored.get(detached.id) == (detached, row):
                del self._restored[detached.id]
            journal.forget()

    async def _step(self, detached: Detached, row: StreamRow) -> bool:
        """Read what is new of a stream; return False if it is not all there any more."""
        journal = detached.journal
        now, events = await self._journals.read(row, journal.count)
        if now is None or events is None:
            return False
        if now.headers is not None and journal.headers is None:
            await journal.start(msgspec.json.decode(now.headers, type=dict[str, str]), b"")
        for event in events:
            if not journal.push(event):
                await journal.drained()
        if now.state != "running":
            await self._end(detached, now)
        return True

    async def _end(self, detached: Detached, row: StreamRow) -> None:
        journal = detached.journal
        detached.cancelled = row.state == "cancelled"
        if journal.headers is None:
            info = INTERRUPTED if row.fault is None else msgspec.json.decode(row.fault, type=ErrorInfo)
            journal.fail(Fault(info))
        elif row.state == "interrupted":
            await journal.abort(detached.call.told(INTERRUPTED))
        elif row.state == "complete":
            await journal.end(b"")
        else:
            await journal.abort(b"")
        if detached.running is not None:
            detached.running.over(journal.tail(), journal.fault, detached.cancelled)

    async def _break(self, detached: Detached, info: ErrorInfo) -> None:
        journal = detached.journal
        if journal.headers is None:
            journal.fail(expired() if info is _GONE else Fault(info))
        else:
            await journal.abort(detached.call.told(info))
        if detached.running is not None:
            detached.running.over(b"", Fault(info), detached.cancelled)

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class _Copy:
    """Writes one journal down."""

    def __init__(self, durable: Durable, detached: Detached) -> None:
        self._durable = durable
        self._detached = detached
        self._size = 0
        self._given_up = False

    def begun(self, headers: dict[str, str]) -> None:
        """Write the headers down."""
        self._write(Began(self._detached.id, msgspec.json.encode(headers)))

    def event(self, number: int, event: bytes) -> None:
        """Write an event down; if it cannot wait, nobody but the readers of this process gets the stream."""
        self._size += len(event)
        self._write(Event(self._detached.id, number, event))

    def ended(self, end: End) -> None:
        """Write the end down."""
        self._end(end)

    def failed(self, fault: Fault) -> None:
        """Write down why there is no answer, if somebody was given its id; else the call has never been."""
        if self._detached.running is None:
            self.forgotten()
        else:
            self._end("failed", msgspec.json.encode(fault.info))

    def forgotten(self) -> None:
        """Let go of all that was written."""
        if not self._given_up:
            self._given_up = True
            self._durable.drop(self._detached.id)

    def _end(self, state: State, fault: bytes | None = None) -> None:
        stream, count = self._detached.id, self._detached.journal.count
        self._write(Ended(stream, "cancelled" if self._detached.cancelled else state, count, self._size, fault))

    def _write(self, change: Change) -> None:
        if not self._given_up and not self._durable.write(change):
            self.forgotten()


def _facts(detached: Detached) -> _CallFacts:
    call, running = detached.call, detached.running
    inbound = call.inbound
    echo = {} if running is None else {name: value for name, value in running.echo.items() if name != "input"}
    return _CallFacts(
        call.id,
        call.token,
        call.protocol.name,
        inbound.model,
        inbound.stream,
        inbound.array,
        inbound.include_usage,
        call.created_ms,
        echo,
        running is None or running.waited,
    )


def _detached(row: StreamRow, key: Key, journal: _MAKE_JOURNAL) -> Detached:
    """Return a stream of another process, of which nothing was read yet."""
    facts = msgspec.json.decode(row.call, type=_CallFacts)
    protocol = PROTOCOLS[facts.protocol]
    inbound = Inbound(b"", facts.echo, facts.model, facts.stream, facts.array, facts.include_usage)
    call = Call(facts.id, key, protocol, inbound, facts.token, facts.created_ms, time.monotonic())
    running = None
    if row.answer is not None and protocol.background is not None:
        asked = msgspec.structs.replace(inbound, stream=facts.waited)
        running = Running(msgspec.structs.replace(call, inbound=asked), protocol.background)
    return Detached(row.id, call, row.print, journal(call), running)


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()
