"""Streams that outlive their process: written down as they come, and read again after a restart or by another worker.

The database is never waited for while an answer streams. A call that has an `Idempotency-Key` is claimed before it is
made, so that of all processes one makes it. What a dead process left is read up to its last event that was written
down, and then ends in the error `interrupted`.
"""

import asyncio
import contextlib
import hashlib
import time
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec
import structlog
from msgspec import Struct
from sqlalchemy.exc import SQLAlchemyError

from penstock.accounts.keys import Key
from penstock.config import StreamsSettings
from penstock.core.errors import ErrorInfo, Fault
from penstock.core.events import Failure
from penstock.gateway.call import Call
from penstock.gateway.detached import Detached
from penstock.gateway.journal import End, Journal, expired
from penstock.protocols.base import Inbound
from penstock.protocols.registry import PROTOCOLS
from penstock.store.database import Database
from penstock.store.errors import StoreUnavailableError
from penstock.store.journals import (
    Began,
    Change,
    Claimed,
    Died,
    Dropped,
    Ended,
    Event,
    JournalStore,
    Pruned,
    StreamRow,
    Unwanted,
)
from penstock.store.processes import Processes

POLL = 0.1
"""Seconds between two looks at a stream that another process writes."""

TICK = 1.0
"""Seconds between two looks at whose end others have asked for."""

PRUNE_EVERY = 10
"""Ticks between two looks for what must make way."""

LINGER = 10.0
"""Seconds for which a stream that was read again stays in memory after its end."""

INTERRUPTED = ErrorInfo(
    "stream_incomplete", "The gateway was stopped in the middle of this answer.", code="interrupted"
)

_GONE = ErrorInfo("stream_incomplete", "The rest of this stream is no longer kept.", code="stream_expired")

_UNAVAILABLE = (StoreUnavailableError, SQLAlchemyError)

_log = structlog.get_logger("penstock.gateway")


class _CallFacts(Struct, frozen=True):
    """What is written down of a call, so that its answer can be told in its protocol. Nothing that was said."""

    id: str
    token: str
    protocol: str
    model: str
    stream: bool
    array: bool
    include_usage: bool
    created_ms: int


class Durable:
    """The streams of all processes that share a data directory. It belongs to the event loop that runs when it is made.

    Attributes:
        cancel: ends a stream of this process that somebody has asked another process to end; takes its id.
    """

    def __init__(self, database: Database, processes: Processes, settings: StreamsSettings) -> None:
        self.cancel: Callable[[str], Coroutine[Any, Any, None]] | None = None
        self._processes = processes
        self._settings = settings
        self._store = JournalStore(database, self._lose)
        self._copies: dict[str, _Copy] = {}
        self._restored: dict[str, Detached] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Take note of what dead processes left, and begin to look after the tables.

        Raises:
            ConfigError: the lock of this process cannot be taken.
            StoreUnavailableError, SQLAlchemyError: the database is down.
        """
        await self._processes.enter(_now())
        for process in await self._processes.dead(_now()):
            await self._store.commit(Died(process, self._until()))
            await self._processes.forget(process)
        self._begin(self._tick())

    async def close(self) -> None:
        """Write what waits, and end."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._store.close()
        with contextlib.suppress(SQLAlchemyError):
            await self._processes.forget(self._processes.id)
        self._processes.release()

    # ---- for the process that serves a call --------------------------------------------------------------------------

    async def claim(self, detached: Detached, name: str | None) -> bool:
        """Begin to write a stream down; return False if another process has one of that name.

        If the database is down the stream is kept in memory only.
        """
        facts = msgspec.json.encode(_facts(detached.call))
        named = None if name is None else _digest(name)
        row = StreamRow(detached.id, detached.owner, named, detached.print, self._processes.id, facts)
        try:
            claimed = await self._store.commit(Claimed(row, _now()))
        except asyncio.CancelledError:
            self.drop(detached.id)
            raise
        except _UNAVAILABLE as error:
            _log.warning("stream_not_durable", request_id=detached.call.id, why=str(error))
            return True
        if claimed:
            self._copies[detached.id] = detached.journal.copy = _Copy(self, detached)
        return claimed

    def write(self, change: Change) -> bool:
        """Write something down soon; return whether there is room for it to wait."""
        return self._store.write(change)

    def ended(self, copy: "_Copy", state: str, size: int) -> None:
        """Write the end of a stream down."""
        stream = copy.detached.id
        self.write(Ended(stream, state, copy.detached.journal.count, size, self._until()))

    def drop(self, stream: str) -> None:
        """Keep a stream no longer."""
        self._copies.pop(stream, None)
        self.write(Dropped(stream))

    def _lose(self, stream: str) -> None:
        copy = self._copies.get(stream)
        if copy is not None:
            copy.forgotten()

    # ---- for readers -------------------------------------------------------------------------------------------------

    async def named(self, key: Key, name: str, journal: Callable[[Call], Journal]) -> Detached | None:
        """Return the stream of a key and `Idempotency-Key`, if another process has or had it."""
        return await self._find(key, journal, name=_digest(name))

    async def found(self, key: Key, id_: str, journal: Callable[[Call], Journal]) -> Detached | None:
        """Return the stream of an id, if another process has or had it."""
        return await self._find(key, journal, id_=id_)

    async def unwanted(self, detached: Detached) -> None:
        """Ask for the end of a stream that another process serves, and return when it is over."""
        if detached.journal.over:
            return
        await self._store.commit(Unwanted(detached.id))
        while not detached.journal.over:
            await detached.journal.changed()

    async def _find(
        self, key: Key, journal: Callable[[Call], Journal], *, id_: str | None = None, name: str | None = None
    ) -> Detached | None:
        try:
            row = await self._store.find(key.id, id_=id_, name=name, now=_now())
            if row is not None and not await self._buried(row):
                row = await self._store.find(key.id, id_=row.id, now=_now())
            if row is None or row.process == self._processes.id:
                return None  # what this process has written it has in memory, or has let go
            known = self._restored.get(row.id)
            if known is not None and not known.journal.forgetful:
                return known
            return await self._restore(row, key, journal)
        except _UNAVAILABLE as error:
            _log.warning("streams_not_read", why=str(error))
            return None

    async def _buried(self, row: StreamRow) -> bool:
        """Return whether a stream is as its row says; if its process died meanwhile, say so in the database."""
        if row.state != "running" or await self._processes.lives(row.process):
            return True
        await self._store.commit(Died(row.process, self._until()))
        return False

    async def _restore(self, row: StreamRow, key: Key, journal: Callable[[Call], Journal]) -> Detached | None:
        call = _call(msgspec.json.decode(row.call, type=_CallFacts), key)
        detached = Detached(row.id, call, row.print, journal(call))
        if not await self._step(detached):
            return None
        self._restored[row.id] = detached
        self._begin(self._follow(detached))
        return detached

    async def _follow(self, detached: Detached) -> None:
        """Read what another process writes, to the end."""
        journal = detached.journal
        try:
            while not journal.over:
                await asyncio.sleep(POLL)
                try:
                    there = await self._step(detached)
                except _UNAVAILABLE:
                    there = False
                if not there and not journal.over:
                    await self._break(detached, _GONE)
            await asyncio.sleep(LINGER)
        finally:
            if self._restored.get(detached.id) is detached:
                del self._restored[detached.id]
            journal.forget()

    async def _step(self, detached: Detached) -> bool:
        """Read what is new of a stream; return False if it is not all there any more."""
        journal = detached.journal
        row, events = await self._store.read(detached.id, journal.count)
        if row is None or events is None:
            return False
        if row.headers is not None and journal.headers is None:
            await journal.start(msgspec.json.decode(row.headers, type=dict[str, str]), b"")
        for event in events:
            if not journal.push(event):
                await journal.drained()
        match row.state:
            case "running":
                await self._buried(row)  # if it is dead, the next step reads to the end
            case "complete":
                await journal.end(b"")
            case "interrupted":
                await self._break(detached, INTERRUPTED)
            case _:
                detached.cancelled = row.state == "cancelled"
                await journal.abort(b"")
        return True

    async def _break(self, detached: Detached, info: ErrorInfo) -> None:
        journal, call = detached.journal, detached.call
        if journal.headers is None:
            journal.fail(expired())
        else:
            await journal.abort(call.protocol.encoder(call.reply()).encode(Failure(info)))

    # ---- housekeeping ------------------------------------------------------------------------------------------------

    async def _tick(self) -> None:
        """Look, again and again, for what others want of this process, and for what must make way."""
        ticks = 0
        while True:
            await asyncio.sleep(TICK)
            ticks += 1
            try:
                if self._copies and self.cancel is not None:
                    for stream in await self._store.unwanted(self._processes.id):
                        self._begin(self._cancelled(stream))
                if ticks % PRUNE_EVERY == 0:
                    await self._processes.renew(_now())
                    await self._store.commit(Pruned(_now(), self._settings.journal_megabytes * 2**20))
            except _UNAVAILABLE as error:
                _log.warning("streams_not_looked_after", why=str(error))

    async def _cancelled(self, stream: str) -> None:
        if self.cancel is not None:
            with contextlib.suppress(Fault):  # it has gone meanwhile
                await self.cancel(stream)

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _until(self) -> int:
        return _now() + round(self._settings.keep_seconds)


class _Copy:
    """Writes one journal down."""

    def __init__(self, durable: Durable, detached: Detached) -> None:
        self.detached = detached
        self._durable = durable
        self._size = 0
        self._given_up = False

    def begun(self, headers: dict[str, str]) -> None:
        """Write the headers down."""
        if not self._given_up:
            self._durable.write(Began(self.detached.id, msgspec.json.encode(headers)))

    def event(self, number: int, event: bytes) -> None:
        """Write an event down; if it cannot wait, nobody but the readers of this process gets the stream."""
        self._size += len(event)
        if not self._given_up and not self._durable.write(Event(self.detached.id, number, event)):
            self.forgotten()

    def ended(self, end: End) -> None:
        """Write the end down."""
        if not self._given_up:
            self._durable.ended(self, "cancelled" if self.detached.cancelled else end, self._size)

    def forgotten(self) -> None:
        """Let go of all that was written."""
        if not self._given_up:
            self._given_up = True
            self._durable.drop(self.detached.id)


def _facts(call: Call) -> _CallFacts:
    inbound = call.inbound
    return _CallFacts(
        call.id,
        call.token,
        call.protocol.name,
        inbound.model,
        inbound.stream,
        inbound.array,
        inbound.include_usage,
        call.created_ms,
    )


def _call(facts: _CallFacts, key: Key) -> Call:
    inbound = Inbound(b"", {}, facts.model, facts.stream, facts.array, facts.include_usage)
    return Call(facts.id, key, PROTOCOLS[facts.protocol], inbound, facts.token, facts.created_ms, time.monotonic())


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def _now() -> int:
    return int(time.time())
