"""Journals of streams, written down so that they outlive their process, and can be read by others on the machine.

    store.write(Event(id, 0, b"data: ..."))     at once; committed with others a moment later
    row, events = await store.read(id, 0)

Nobody who streams waits for the database. What cannot be written in time makes its stream one that nobody can come
back to, and all that was written of it goes. A reader can tell whether all events up to the end are there: they are
numbered without a gap, and the end says how many there were.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import sqlalchemy as sa
import structlog
from msgspec import Struct

from penstock.store.database import Database
from penstock.store.dialect import insert
from penstock.store.group_commit import GroupCommit
from penstock.store.schema import STREAM_EVENTS, STREAMS

FLUSH_EVERY = 0.05
"""Seconds for which changes gather before they are committed together."""

MAX_PENDING = 16 * 2**20
"""Bytes of events that wait to be written. Above, streams are given up."""

_log = structlog.get_logger("penstock.store")


class StreamRow(Struct, frozen=True):
    """A stream.

    Attributes:
        id: of it.
        key: the id of the key that it belongs to.
        name: the digest of its `Idempotency-Key`, if it has one.
        print: the digest of the request.
        process: that writes it.
        state: running, complete, broken, cancelled or interrupted.
        call: what an answer needs to know of its request, as JSON.
        headers: of the answer, as JSON, once it has begun.
        count: how many events there are, once it has ended.
        expires: when it may go, once it has ended; Unix time in seconds.
        unwanted: whether somebody has asked for its end.
    """

    id: str
    key: str
    name: str | None
    print: bytes
    process: str
    call: bytes
    state: str = "running"
    headers: bytes | None = None
    count: int | None = None
    expires: int | None = None
    unwanted: bool = False


class Claimed(Struct, frozen=True):
    """A stream begins, unless its key has another of that name that has not expired at `now`."""

    row: StreamRow
    now: int


class Began(Struct, frozen=True):
    """The answer has headers."""

    stream: str
    headers: bytes


class Event(Struct, frozen=True):
    """An event."""

    stream: str
    number: int
    data: bytes


class Ended(Struct, frozen=True):
    """Nothing more comes."""

    stream: str
    state: str
    count: int
    size: int
    expires: int


class Dropped(Struct, frozen=True):
    """The stream is kept no longer."""

    stream: str


class Unwanted(Struct, frozen=True):
    """Somebody wants the stream to end."""

    stream: str


class Died(Struct, frozen=True):
    """The process that wrote some streams is dead; they are kept until `expires`."""

    process: str
    expires: int


class Pruned(Struct, frozen=True):
    """What has expired at `now` goes, and the oldest that have ended until no more than `limit` bytes are left."""

    now: int
    limit: int


Change = Claimed | Began | Event | Ended | Dropped | Unwanted | Died | Pruned


class JournalStore:
    """The tables of streams and their events. It belongs to the event loop that runs when it is made."""

    def __init__(self, database: Database, lost: Callable[[str], object]) -> None:
        """Begin to write; `lost` is told of each stream that could not be written down."""
        self._engine = database.engine
        self._lost = lost
        self._writer: GroupCommit[list[Change], bool] = GroupCommit(database.connect, _Applying(database.dialect).apply)
        self._gathered: list[Change] = []
        self._pending = 0

    async def close(self) -> None:
        """Commit what waits, and end."""
        self._flush()
        await self._writer.close()

    async def commit(self, change: Change) -> bool:
        """Make a change and return when it is committed; for Claimed, whether the stream may begin.

        Raises:
            StoreUnavailableError: it cannot be made.
        """
        self._flush()  # what was written before is to be there before
        return await self._writer.submit([change])

    def write(self, change: Change) -> bool:
        """Make a change soon; return whether there is room for it to wait."""
        size = len(change.data) if isinstance(change, Event) else 0
        if size and self._pending + size > MAX_PENDING:
            return False
        self._pending += size
        self._gathered.append(change)
        if len(self._gathered) == 1:
            asyncio.get_running_loop().call_later(FLUSH_EVERY, self._flush)
        return True

    def _flush(self) -> None:
        changes, self._gathered = self._gathered, []
        if changes:
            self._writer.submit(changes).add_done_callback(lambda future: self._flushed(changes, future))

    def _flushed(self, changes: list[Change], future: asyncio.Future[bool]) -> None:
        self._pending -= sum(len(change.data) for change in changes if isinstance(change, Event))
        error = None if future.cancelled() else future.exception()
        if error is not None:
            lost = {change.stream for change in changes if isinstance(change, Began | Event | Ended)}
            _log.warning("journals_not_written", streams=len(lost), why=str(error))
            for stream in lost:
                self._lost(stream)

    async def find(self, key: str, *, id_: str | None = None, name: str | None = None, now: int) -> StreamRow | None:
        """Return a stream of a key, by its id or its name; None if there is none, or it has expired at `now`."""
        wanted = STREAMS.c.id == id_ if id_ is not None else STREAMS.c.name == name
        alive = sa.or_(STREAMS.c.expires.is_(None), STREAMS.c.expires > now)
        async with self._engine.connect() as connection:
            row = (
                await connection.execute(sa.select(STREAMS).where(STREAMS.c.key == key, wanted, alive))
            ).one_or_none()
        return None if row is None else _row(row)

    async def read(self, id_: str, number: int) -> tuple[StreamRow | None, list[bytes] | None]:
        """Return a stream as it stands and its events from a number on; None for events that are not all there.

        The stream is read first: what has ended by then has all its events.
        """
        events = STREAM_EVENTS.c
        query = sa.select(events.number, events.data).where(events.stream == id_, events.number >= number)
        async with self._engine.connect() as connection:
            row = (await connection.execute(sa.select(STREAMS).where(STREAMS.c.id == id_))).one_or_none()
            found = (await connection.execute(query.order_by(events.number))).all()
        if row is None:
            return None, []
        stream = _row(row)
        whole = [event.number for event in found] == list(range(number, number + len(found)))
        if not whole or (stream.count is not None and number + len(found) != stream.count):
            return stream, None
        return stream, [event.data for event in found]

    async def unwanted(self, process: str) -> list[str]:
        """Return the ids of streams of a process whose end others have asked for."""
        query = sa.select(STREAMS.c.id).where(
            STREAMS.c.process == process, STREAMS.c.state == "running", STREAMS.c.unwanted
        )
        async with self._engine.connect() as connection:
            return list((await connection.scalars(query)).all())


def _row(row: sa.Row[Any]) -> StreamRow:
    return StreamRow(**{name: getattr(row, name) for name in StreamRow.__struct_fields__})


class _Applying:
    """Makes changes, in the writer's thread."""

    def __init__(self, dialect: sa.Dialect) -> None:
        self._dialect = dialect

    def apply(self, connection: sa.Connection, jobs: list[list[Change]]) -> Sequence[bool]:
        """Make some changes after the other; those that only add events between two others at once."""
        return [self._job(connection, changes) for changes in jobs]

    def _job(self, connection: sa.Connection, changes: list[Change]) -> bool:
        events = [
            {"stream": change.stream, "number": change.number, "data": change.data}
            for change in changes
            if isinstance(change, Event)
        ]
        if events:
            connection.execute(sa.insert(STREAM_EVENTS), events)
        done = True
        for change in changes:
            if not isinstance(change, Event):
                done = self._change(connection, change)
        return done

    def _change(self, connection: sa.Connection, change: Change) -> bool:
        match change:
            case Claimed():
                return self._claim(connection, change)
            case Began():
                _update(connection, change.stream, headers=change.headers)
            case Ended():
                values = {"state": change.state, "count": change.count, "size": change.size, "expires": change.expires}
                _update(connection, change.stream, **values)
            case Dropped():
                _delete(connection, STREAMS.c.id == change.stream)
            case Unwanted():
                _update(connection, change.stream, unwanted=True)
            case Died():
                _bury(connection, change)
            case Pruned():
                _prune(connection, change)
            case Event():
                raise AssertionError("events are written together")
        return True

    def _claim(self, connection: sa.Connection, claimed: Claimed) -> bool:
        row = claimed.row
        if row.name is not None:
            _delete(connection, STREAMS.c.key == row.key, STREAMS.c.name == row.name, STREAMS.c.expires <= claimed.now)
        values = {name: getattr(row, name) for name in row.__struct_fields__}
        made = insert(STREAMS, self._dialect).values(**values, size=0).on_conflict_do_nothing()
        return connection.execute(made).rowcount == 1


def _update(connection: sa.Connection, stream: str, **values: object) -> None:
    connection.execute(sa.update(STREAMS).where(STREAMS.c.id == stream).values(**values))


def _delete(connection: sa.Connection, *which: sa.ColumnElement[bool]) -> None:
    ids = sa.select(STREAMS.c.id).where(*which)
    connection.execute(sa.delete(STREAM_EVENTS).where(STREAM_EVENTS.c.stream.in_(ids)))
    connection.execute(sa.delete(STREAMS).where(*which))


def _bury(connection: sa.Connection, died: Died) -> None:
    """End the streams of a dead process. Those that had not begun are as if they had never been."""
    its = (STREAMS.c.process == died.process, STREAMS.c.state == "running")
    _delete(connection, *its, STREAMS.c.headers.is_(None))
    connection.execute(sa.update(STREAMS).where(*its).values(state="interrupted", expires=died.expires))


def _prune(connection: sa.Connection, pruned: Pruned) -> None:
    _delete(connection, STREAMS.c.expires <= pruned.now)
    ended = sa.select(STREAMS.c.id, STREAMS.c.size).where(STREAMS.c.expires.is_not(None))
    room = pruned.limit
    for id_, size in connection.execute(ended.order_by(STREAMS.c.expires.desc())).all():
        room -= size
        if room < 0:
            _delete(connection, STREAMS.c.id == id_)
