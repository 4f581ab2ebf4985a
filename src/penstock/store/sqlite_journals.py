"""Journals of streams in a file of SQLite, for all processes that share its directory and those that come after."""

import asyncio
import contextlib
import time
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
import structlog
from msgspec import Struct

from penstock.core.errors import ConfigError
from penstock.store.database import Database
from penstock.store.dialect import insert
from penstock.store.errors import StoreUnavailableError
from penstock.store.group_commit import GroupCommit
from penstock.store.journals import (
    FLUSH_EVERY,
    MAX_PENDING,
    Began,
    By,
    Change,
    Dropped,
    Ended,
    Event,
    OfStream,
    StreamRow,
    tell_nobody,
)
from penstock.store.pending import Pending
from penstock.store.processes import Processes
from penstock.store.schema import STREAM_EVENTS, STREAMS
from penstock.store.upkeep import keep_up

POLL = 0.1
"""Seconds between two looks at a stream that another process writes."""

TICK = 1.0
"""Seconds between two looks at whose end others have asked for, and whether another process lives."""

PRUNE_EVERY = 10
"""Ticks between two looks for what must make way."""

_log = structlog.get_logger("penstock.store")


class _Claimed(Struct, frozen=True):
    """A stream begins, unless its key has another of that name that has not expired at `now`."""

    row: StreamRow
    now: int


class _Unwanted(Struct, frozen=True):
    """Somebody wants the stream to end."""

    stream: str


class _Died(Struct, frozen=True):
    """The process that wrote some streams is dead."""

    process: str


class _Pruned(Struct, frozen=True):
    """What has expired at `now` goes, and the oldest that have ended until no more than `limit` bytes are left."""

    now: int
    limit: int


_Job = Change | _Claimed | _Unwanted | _Died | _Pruned


class SqliteJournals:
    """The tables of streams and their events; see `Journals`."""

    def __init__(self, database: Database, processes: Processes, *, keep: float, limit: int) -> None:
        """Write as one of some processes, whose rows are in the same database.

        Args:
            database: that has the tables.
            processes: this one and the others.
            keep: seconds for which a stream is kept after its end.
            limit: bytes of all streams that have ended.
        """
        self.process = processes.id
        self._reading = database.reading
        self._processes = processes
        self._limit = limit
        self._writer: GroupCommit[list[_Job], bool] = GroupCommit(
            database.connect, _Applying(database.dialect, keep).apply
        )
        self._gathered: list[_Job] = []
        self._pending = 0
        self._running: set[str] = set()  # streams of this process that have not ended
        self._doomed: set[str] = set()  # those that are to go, and could not be removed
        self._seen: dict[str, float] = {}  # when other processes were seen to live, on the monotonic clock
        self._lost: OfStream = tell_nobody
        self._unwanted: OfStream = tell_nobody
        self._looking_after: asyncio.Task[None] | None = None

    async def start(self, lost: OfStream, unwanted: OfStream) -> None:
        """As `Journals`. Take note of what dead processes left."""
        self._lost, self._unwanted = lost, unwanted
        try:
            await self._processes.enter(_now())
            for process in await self._processes.dead(_now()):
                await self._submit(_Died(process))
                await self._processes.forget(process)
        except StoreUnavailableError as error:
            raise ConfigError(f"the journals of streams cannot be used: {error}") from None
        self._looking_after = keep_up(self._look_after)

    async def close(self) -> None:
        """As `Journals`."""
        if self._looking_after is not None:
            self._looking_after.cancel()
            await asyncio.wait([self._looking_after])
        self._flush()
        await self._writer.close()
        with contextlib.suppress(StoreUnavailableError):
            await self._processes.forget(self.process)
        self._processes.release()

    # ---- for the process that serves a call --------------------------------------------------------------------------

    async def claim(self, row: StreamRow) -> bool:
        """As `Journals`."""
        claimed = await self._submit(_Claimed(row, _now()))
        if claimed:
            self._running.add(row.id)
        return claimed

    def write(self, change: Change) -> bool:
        """As `Journals`."""
        size = len(change.data) if isinstance(change, Event) else 0
        if size and self._pending + size > MAX_PENDING:
            return False
        if isinstance(change, Ended | Dropped):
            self._running.discard(change.stream)
        self._pending += size
        self._gathered.append(change)
        if len(self._gathered) == 1:
            asyncio.get_running_loop().call_later(FLUSH_EVERY, self._flush)
        return True

    def _submit(self, job: _Job) -> Pending[bool]:
        self._flush()  # what was written before is to be there before
        return self._writer.submit([job])

    def _flush(self) -> None:
        jobs, self._gathered = self._gathered, []
        if jobs:
            self._writer.submit(jobs).add_done_callback(lambda pending: self._flushed(jobs, pending))

    def _flushed(self, jobs: list[_Job], pending: Pending[bool]) -> None:
        self._pending -= sum(len(job.data) for job in jobs if isinstance(job, Event))
        error = pending.exception()
        if error is None:
            return
        self._doomed |= {job.stream for job in jobs if isinstance(job, Dropped)}
        lost = {job.stream for job in jobs if isinstance(job, Began | Event | Ended)}
        if lost:
            _log.warning("journals_not_written", streams=len(lost), why=str(error))
        for stream in lost:
            self._lost(stream)

    # ---- for readers -------------------------------------------------------------------------------------------------

    async def find(self, key: str, by: By, text: str) -> StreamRow | None:
        """As `Journals`."""
        row = await self._find(key, by, text)
        if row is not None and await self._bury(row):
            return await self._find(key, "id", row.id)
        return row

    async def read(self, row: StreamRow, number: int) -> tuple[StreamRow | None, list[bytes] | None]:
        """As `Journals`. The stream is read first: what has ended by then has all its events."""
        await self._bury(row)
        events = STREAM_EVENTS.c
        query = sa.select(events.number, events.data).where(events.stream == row.id, events.number >= number)
        async with self._reading() as connection:
            found = (await connection.execute(sa.select(STREAMS).where(STREAMS.c.id == row.id))).one_or_none()
            rest = (await connection.execute(query.order_by(events.number))).all()
        if found is None:
            return None, None
        now = _row(found)
        whole = [event.number for event in rest] == list(range(number, number + len(rest)))
        if not whole or (now.count is not None and number + len(rest) != now.count):
            return now, None
        return now, [event.data for event in rest]

    async def changed(self, row: StreamRow, number: int) -> None:
        """As `Journals`: the file tells nobody that it was written."""
        await asyncio.sleep(POLL)

    async def cancel(self, row: StreamRow) -> None:
        """As `Journals`."""
        await self._submit(_Unwanted(row.id))

    async def remove(self, row: StreamRow) -> None:
        """As `Journals`."""
        await self._submit(Dropped(row.id))

    async def _find(self, key: str, by: By, text: str) -> StreamRow | None:
        alive = sa.or_(STREAMS.c.expires.is_(None), STREAMS.c.expires > _now())
        query = sa.select(STREAMS).where(STREAMS.c.key == key, STREAMS.c[by] == text, alive)
        async with self._reading() as connection:
            found = (await connection.execute(query)).one_or_none()
        return None if found is None else _row(found)

    async def _bury(self, row: StreamRow) -> bool:
        """Note the death of the process that wrote a stream; return whether it had died, and nobody had noted it."""
        if row.state != "running" or row.process == self.process:
            return False
        if self._seen.get(row.process, 0.0) > time.monotonic() - TICK:
            return False
        if await self._processes.lives(row.process):
            self._seen[row.process] = time.monotonic()
            return False
        self._seen.pop(row.process, None)
        return await self._submit(_Died(row.process))

    # ---- housekeeping ------------------------------------------------------------------------------------------------

    async def _look_after(self) -> None:
        ticks = 0
        while True:
            await asyncio.sleep(TICK)
            ticks += 1
            doomed, self._doomed = self._doomed, set()
            for stream in doomed:
                self.write(Dropped(stream))
            try:
                if self._running:
                    for stream in await self._asked_to_end():
                        self._unwanted(stream)
                if ticks % PRUNE_EVERY == 0:
                    await self._processes.renew(_now())
                    await self._submit(_Pruned(_now(), self._limit))
            except StoreUnavailableError as error:
                _log.warning("streams_not_looked_after", why=str(error))

    async def _asked_to_end(self) -> Sequence[str]:
        query = sa.select(STREAMS.c.id).where(
            STREAMS.c.process == self.process, STREAMS.c.state == "running", STREAMS.c.unwanted
        )
        async with self._reading() as connection:
            return (await connection.scalars(query)).all()


class _Applying:
    """Makes changes, in the writer's thread."""

    def __init__(self, dialect: sa.Dialect, keep: float) -> None:
        self._dialect = dialect
        self._keep = keep

    def apply(self, connection: sa.Connection, jobs: list[list[_Job]]) -> Sequence[bool]:
        """Make changes, those of a list together: its events first, for what comes behind them looks at them."""
        return [self._job(connection, changes) for changes in jobs]

    def _job(self, connection: sa.Connection, changes: list[_Job]) -> bool:
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

    def _change(
        self, connection: sa.Connection, change: Began | Ended | Dropped | _Claimed | _Unwanted | _Died | _Pruned
    ) -> bool:
        match change:
            case _Claimed():
                return self._claim(connection, change)
            case Began():
                _update(connection, change.stream, headers=change.headers)
            case Ended():
                values = {name: getattr(change, name) for name in ("state", "count", "size", "fault")}
                _update(connection, change.stream, **values, expires=self._until())
            case Dropped():
                _delete(connection, STREAMS.c.id == change.stream)
            case _Unwanted():
                _update(connection, change.stream, unwanted=True)
            case _Died():
                return _interrupt(connection, change.process, self._until())
            case _Pruned():
                _prune(connection, change)
        return True

    def _claim(self, connection: sa.Connection, claimed: _Claimed) -> bool:
        row = claimed.row
        if row.name is not None:
            _delete(connection, STREAMS.c.key == row.key, STREAMS.c.name == row.name, STREAMS.c.expires <= claimed.now)
        values = {name: getattr(row, name) for name in row.__struct_fields__}
        made = insert(STREAMS, self._dialect).values(**values, size=0, unwanted=False).on_conflict_do_nothing()
        return connection.execute(made).rowcount == 1

    def _until(self) -> int:
        return _now() + round(self._keep)


def _row(row: sa.Row[Any]) -> StreamRow:
    return StreamRow(**{name: getattr(row, name) for name in StreamRow.__struct_fields__})


def _update(connection: sa.Connection, stream: str, **values: object) -> None:
    connection.execute(sa.update(STREAMS).where(STREAMS.c.id == stream).values(**values))


def _delete(connection: sa.Connection, *which: sa.ColumnElement[bool]) -> None:
    ids = sa.select(STREAMS.c.id).where(*which)
    connection.execute(sa.delete(STREAM_EVENTS).where(STREAM_EVENTS.c.stream.in_(ids)))
    connection.execute(sa.delete(STREAMS).where(*which))


def _interrupt(connection: sa.Connection, process: str, until: int) -> bool:
    """End the streams of a dead process; return whether there were any.

    Those that had not begun are as if they had never been, unless somebody was given the id of the answer.
    """
    its = (STREAMS.c.process == process, STREAMS.c.state == "running")
    there = connection.scalar(sa.select(sa.exists().where(*its)))
    _delete(connection, *its, STREAMS.c.headers.is_(None), STREAMS.c.answer.is_(None))
    written = sa.select(STREAM_EVENTS).where(STREAM_EVENTS.c.stream == STREAMS.c.id)
    count = written.with_only_columns(sa.func.count()).scalar_subquery()
    size = sa.func.coalesce(sa.func.sum(sa.func.length(STREAM_EVENTS.c.data)), 0)
    total = written.with_only_columns(size).scalar_subquery()
    ended = sa.update(STREAMS).where(*its).values(state="interrupted", expires=until, count=count, size=total)
    connection.execute(ended)
    return bool(there)


def _prune(connection: sa.Connection, pruned: _Pruned) -> None:
    _delete(connection, STREAMS.c.expires <= pruned.now)
    ended = sa.select(STREAMS.c.id, STREAMS.c.size).where(STREAMS.c.expires.is_not(None))
    room = pruned.limit
    for id_, size in connection.execute(ended.order_by(STREAMS.c.expires.desc())).all():
        room -= size
        if room < 0:
            _delete(connection, STREAMS.c.id == id_)


def _now() -> int:
    return int(time.time())
