"""Journals of streams in Redis or Valkey, for gateways on many machines.

All that is written of a stream is under names with the same hash tag, its key's id:

    penstock:{key}:stream:<id>       a hash: the row, and `next`, the number of the event that comes next
    penstock:{key}:events:<id>       a Redis stream: an entry has the events of one write, and is called after the
                                     number of the first of them, and one more; behind the last comes one that says so
    penstock:{key}:name:<digest>     the id of the stream, also under `answer:<id>`

and of a process, which is how the others know whether it lives and how it knows what they want of it:

    penstock:process:<id>            is there while it lives
    penstock:unwanted:<id>           a Redis stream of the ids of those of its streams that are to end

Everything expires. A write is one script, which refuses what does not go on where the last one stopped, and what is of
a stream that is over: so there are no holes, whatever Redis has forgotten, and whoever was taken for dead and is not.
"""

import asyncio
import contextlib
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import msgspec
import structlog

from penstock.core.errors import ConfigError
from penstock.store.errors import StoreUnavailableError
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
from penstock.store.shared import PATIENCE, bounded, make_client, told_as_ours
from penstock.store.upkeep import keep_up

if TYPE_CHECKING:
    from redis.asyncio import Redis

TICK = 1.0
"""Seconds between two signs of life of a process, and at most between two looks at a stream of another."""

LEASE = 5.0
"""Seconds after its last sign of life for which a process is taken to live."""

RENEW_EVERY = 30
"""Ticks between two renewals of what expires while its stream runs."""

RUNNING = 120.0
"""Seconds for which a stream that runs is kept beyond what one is that has ended: four renewals."""

MAX_EVENTS = 1000
"""Events in one write: Lua's stack holds a few thousand values."""

_NEWS = 0.05
"""Seconds that a look at many streams lasts: a stream that is followed from now on is in the next."""

_CLAIM = """
if KEYS[2] ~= KEYS[1] and not redis.call('SET', KEYS[2], ARGV[1], 'NX', 'PX', ARGV[2]) then
    return 0
end
if KEYS[3] ~= KEYS[1] then
    redis.call('SET', KEYS[3], ARGV[1], 'PX', ARGV[2])
end
redis.call('HSET', KEYS[1], unpack(ARGV, 3))
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
"""

# ARGV: the number of the first event, milliseconds to keep it, headers, state, fault, events.
_WRITE = """
local first = tonumber(ARGV[1])
local about = redis.call('HMGET', KEYS[1], 'state', 'next')
if about[1] ~= 'running' or tonumber(about[2]) ~= first then
    return 0
end
local next = first
if #ARGV > 5 then
    local entry = {}
    for place = 6, #ARGV do
        entry[#entry + 1] = place
        entry[#entry + 1] = ARGV[place]
    end
    next = first + #ARGV - 5
    redis.call('XADD', KEYS[2], string.format('%.0f-0', first + 1), unpack(entry))
end
redis.call('HSET', KEYS[1], 'next', string.format('%.0f', next))
for place, name in ipairs({'headers', 'state', 'fault'}) do
    if ARGV[2 + place] ~= '' then
        redis.call('HSET', KEYS[1], name, ARGV[2 + place])
    end
end
if ARGV[4] ~= '' then
    redis.call('XADD', KEYS[2], string.format('%.0f-1', next), 'end', ARGV[4])
end
for place = 1, (ARGV[4] ~= '' and #KEYS or 2) do
    redis.call('PEXPIRE', KEYS[place], ARGV[2])
end
return 1
"""

_DROP = """
for place = 3, #KEYS do
    if redis.call('GET', KEYS[place]) == ARGV[1] then
        redis.call('DEL', KEYS[place])
    end
end
redis.call('DEL', KEYS[1], KEYS[2])
"""

_INTERRUPT = (
    """
local about = redis.call('HMGET', KEYS[1], 'state', 'headers', 'answer', 'next')
if about[1] ~= 'running' then
    return
end
if about[2] or about[3] then
    redis.call('HSET', KEYS[1], 'state', 'interrupted')
    redis.call('XADD', KEYS[2], about[4] .. '-1', 'end', 'interrupted')
    for place = 1, #KEYS do
        redis.call('PEXPIRE', KEYS[place], ARGV[2])
    end
    return
end
"""
    + _DROP
)

_log = structlog.get_logger("penstock.store")


class _Waiting:
    """What waits to be written of one stream."""

    def __init__(self) -> None:
        self.headers = b""
        self.first = 0  # the number of the first event
        self.events: list[bytes] = []
        self.end: Ended | None = None
        self.dropped = False

    @property
    def size(self) -> int:
        """Bytes of the events."""
        return sum(map(len, self.events))

    def take(self, change: Change) -> None:
        """Take a change; they come in order."""
        match change:
            case Began():
                self.headers = change.headers
            case Event():
                if not self.events:
                    self.first = change.number
                self.events.append(change.data)
            case Ended():
                if not self.events:
                    self.first = change.count
                self.end = change
            case Dropped():
                self.dropped = True

    def writes(self, running: int, ended: int) -> Iterator[list[Any]]:
        """Return what the scripts are told that write it; it is kept so many milliseconds while it runs, and then."""
        batches = [self.events[start : start + MAX_EVENTS] for start in range(0, len(self.events), MAX_EVENTS)] or [[]]
        headers, first = self.headers, self.first
        for batch in batches[:-1]:
            yield [first, running, headers, "", "", *batch]
            headers, first = b"", first + len(batch)
        state, fault = ("", b"") if self.end is None else (self.end.state, self.end.fault or b"")
        yield [first, running if self.end is None else ended, headers, state, fault, *batches[-1]]


class RedisJournals:
    """See `Journals`. Who does not reach Redis for some seconds is as dead to the others, and finds that out."""

    def __init__(self, client: "Redis", process: str, keep: float) -> None:
        """Write as one of some processes; keep streams for `keep` seconds after their end."""
        self.process = process
        self._client = client
        self._ended = round(keep * 1000)
        self._running = round((keep + RUNNING) * 1000)
        self._claim, self._write, self._drop, self._interrupt = (
            client.register_script(script) for script in (_CLAIM, _WRITE, _DROP, _INTERRUPT)
        )
        self._lost: OfStream = tell_nobody
        self._unwanted: OfStream = tell_nobody
        self._rows: dict[str, StreamRow] = {}  # streams of this process that are kept
        self._over: set[str] = set()  # those of them that have ended
        self._waiting: dict[str, _Waiting] = {}
        self._pending = 0
        self._doomed: set[str] = set()  # those that are to go, and could not be removed
        self._following: dict[asyncio.Future[None], tuple[str, int]] = {}  # by who waits: events of which, from where
        self._idle = False
        self._written = asyncio.Event()
        self._flushing = asyncio.Lock()
        self._tasks: list[asyncio.Task[None]] = []

    @classmethod
    async def open(cls, url: str, process: str, keep: float) -> "RedisJournals":
        """Prepare to connect to a Redis; see `SharedStore.open`.

        Raises:
            ConfigError: the driver is not installed, or the address cannot be used.
        """
        return cls(await asyncio.to_thread(make_client, url), process, keep)

    async def start(self, lost: OfStream, unwanted: OfStream) -> None:
        """As `Journals`."""
        self._lost, self._unwanted = lost, unwanted
        try:
            await self._live()
        except StoreUnavailableError as error:
            raise ConfigError(f"the journals of streams cannot be used: {error}") from None
        self._tasks = [keep_up(work) for work in (self._write_on, self._look_after, self._listen)]

    async def close(self) -> None:
        """As `Journals`."""
        await self._flush()  # and first what is being written
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        with contextlib.suppress(StoreUnavailableError):
            async with bounded():
                await self._client.delete(_process(self.process))
        with contextlib.suppress(OSError):
            await self._client.aclose()

    # ---- for the process that serves a call --------------------------------------------------------------------------

    async def claim(self, row: StreamRow) -> bool:
        """As `Journals`."""
        about = _name(row.key, "stream", row.id)
        name = about if row.name is None else _name(row.key, "name", row.name)
        answer = about if row.answer is None else _name(row.key, "answer", row.answer)
        self._rows[row.id] = row
        if self._flushing.locked() or any(waits.dropped for waits in self._waiting.values()):
            await self._flush()  # one of them may have the name
        async with bounded():
            fields = [part for pair in _fields(row).items() for part in pair]
            claimed = await self._claim([about, name, answer], [row.id, self._running, *fields, "next", 0])
        if not claimed:
            self._rows.pop(row.id, None)
        return bool(claimed)

    def write(self, change: Change) -> bool:
        """As `Journals`."""
        size = len(change.data) if isinstance(change, Event) else 0
        if size and self._pending + size > MAX_PENDING:
            return False
        self._pending += size
        waits = self._waiting.get(change.stream)
        if waits is None:
            waits = self._waiting[change.stream] = _Waiting()
        waits.take(change)
        self._written.set()
        return True

    async def _write_on(self) -> None:
        while True:
            await self._written.wait()
            self._written.clear()
            await self._flush()
            await asyncio.sleep(FLUSH_EVERY)

    async def _flush(self) -> None:
        """Write what waits, in one go."""
        async with self._flushing:
            waiting, self._waiting = self._waiting, {}
            kept = {id_: waits for id_, waits in waiting.items() if not waits.dropped and id_ in self._rows}
            failed = set(kept)
            try:
                if waiting:
                    failed = await self._send(kept, [id_ for id_, waits in waiting.items() if waits.dropped])
            except StoreUnavailableError as error:
                self._doomed |= {id_ for id_, waits in waiting.items() if waits.dropped}
                if failed:
                    _log.warning("journals_not_written", streams=len(failed), why=str(error))
            finally:
                self._pending -= sum(waits.size for waits in waiting.values())
        self._over |= {id_ for id_, waits in kept.items() if waits.end is not None}
        for stream in failed:
            self._lost(stream)

    async def _send(self, waiting: Mapping[str, _Waiting], dropped: Iterable[str]) -> set[str]:
        """Write some streams, and remove others; return those that Redis would not have."""
        pipeline = self._client.pipeline(transaction=False)
        sent: list[str] = []
        for id_, waits in waiting.items():
            for arguments in waits.writes(self._running, self._ended):
                sent.append(id_)
                await self._write(_names(self._rows[id_]), arguments, pipeline)
        gone = [row for id_ in dropped if (row := self._rows.get(id_)) is not None]
        for row in gone:
            await self._drop(_names(row), [row.id], pipeline)
        async with bounded():
            answers = await pipeline.execute(raise_on_error=False)
        for row, answer in zip(gone, answers[len(sent) :], strict=True):
            if isinstance(answer, Exception):
                self._doomed.add(row.id)
                continue
            self._rows.pop(row.id, None)
            self._over.discard(row.id)
        return {id_ for id_, answer in zip(sent, answers, strict=False) if answer != 1}

    # ---- for readers -------------------------------------------------------------------------------------------------

    async def find(self, key: str, by: By, text: str) -> StreamRow | None:
        """As `Journals`."""
        async with bounded():
            id_ = text if by == "id" else await self._client.get(_name(key, by, text))
            found: Any = None if id_ is None else await self._client.hgetall(_name(key, "stream", _text(id_)))
        row = _row(found) if found else None
        if row is None or not await self._bury(row):
            return row
        return await self.find(key, "id", row.id)

    async def read(self, row: StreamRow, number: int) -> tuple[StreamRow | None, list[bytes] | None]:
        """As `Journals`."""
        found, entries = await self._read(row, number)
        if found and await self._bury(_row(found)):
            found, entries = await self._read(row, number)
        if not found:
            return None, None
        events: list[bytes] = []
        for place, fields in entries:
            if b"end" in fields:
                continue
            if int(place.partition(b"-")[0]) != number + len(events) + 1:
                return _row(found), None
            events += fields.values()
        whole = number + len(events) == int(found[b"next"])
        return _row(found), events if whole else None

    async def _read(self, row: StreamRow, number: int) -> tuple[dict[bytes, bytes], list[Any]]:
        about, log = _names(row)[:2]
        async with bounded():
            both = self._client.pipeline(transaction=True)
            both.hgetall(about)
            both.xrange(log, f"{number + 1}-0")
            found, entries = await both.execute()
        return found, entries

    async def changed(self, row: StreamRow, number: int) -> None:
        """As `Journals`."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._following[waiter] = (_names(row)[1], number)
        try:
            if self._idle:
                self._idle = False
                await self._tell(self.process, "")
            async with asyncio.timeout(TICK):
                await waiter
        except TimeoutError:
            pass  # it may be that nobody writes it any more
        finally:
            del self._following[waiter]

    async def cancel(self, row: StreamRow) -> None:
        """As `Journals`."""
        await self._tell(row.process, row.id)

    async def remove(self, row: StreamRow) -> None:
        """As `Journals`."""
        async with bounded():
            await self._drop(_names(row), [row.id])

    async def _tell(self, process: str, stream: str) -> None:
        """Tell a process that a stream is to end; this one is woken by being told of none."""
        async with bounded():
            both = self._client.pipeline(transaction=False)
            both.xadd(_inbox(process), {"stream": stream}, maxlen=1000)
            both.pexpire(_inbox(process), self._running)
            await both.execute()

    async def _bury(self, row: StreamRow) -> bool:
        """Note the death of the process that wrote a stream; return whether it is dead."""
        if row.state != "running" or row.process == self.process:
            return False
        async with bounded():
            if await self._client.exists(_process(row.process)):
                return False
            await self._interrupt(_names(row), [row.id, self._ended])
        return True

    # ---- housekeeping ------------------------------------------------------------------------------------------------

    async def _live(self) -> None:
        """Give a sign of life."""
        async with bounded():
            await self._client.set(_process(self.process), 1, px=round(LEASE * 1000))

    async def _look_after(self) -> None:
        ticks = 0
        while True:
            await asyncio.sleep(TICK)
            ticks += 1
            doomed, self._doomed = self._doomed, set()
            for stream in doomed:
                self.write(Dropped(stream))
            try:
                await self._live()
                if ticks % RENEW_EVERY == 0:
                    await self._renew()
            except StoreUnavailableError as error:
                _log.warning("streams_not_looked_after", why=str(error))

    async def _renew(self) -> None:
        """Keep what belongs to streams that run, however long they say nothing."""
        pipeline = self._client.pipeline(transaction=False)
        for id_, row in self._rows.items():
            if id_ not in self._over:
                for name in _names(row):
                    pipeline.pexpire(name, self._running)
        async with bounded():
            await pipeline.execute()

    async def _listen(self) -> None:
        """Hear what happens to the streams that are followed, and what others want of this process."""
        told = "0"
        while True:
            following = dict(self._following)
            wanted: dict[Any, Any] = {_inbox(self.process): told}
            for log, number in sorted(following.values(), reverse=True):
                wanted[log] = f"{number}-0"  # of several who follow one, the one that has least
            self._idle = not following
            try:
                news = await self._news(wanted, _NEWS if following else TICK)
            except StoreUnavailableError:
                await asyncio.sleep(TICK)
                continue
            heard = {name.decode(): entries for name, entries in news.items()}
            for place, fields in heard.pop(_inbox(self.process), []):
                told = place.decode()
                if stream := fields[b"stream"]:
                    self._unwanted(stream.decode())
            for waiter, (log, _) in following.items():
                if log in heard and not waiter.done():
                    waiter.set_result(None)

    async def _news(self, wanted: dict[Any, Any], patience: float) -> dict[bytes, list[Any]]:
        with told_as_ours():
            async with asyncio.timeout(patience + PATIENCE):
                found: Any = await self._client.xread(wanted, count=1, block=round(patience * 1000))
        return dict(found)


def _name(key: str, kind: str, id_: str) -> str:
    return f"penstock:{{{key}}}:{kind}:{id_}"


def _names(row: StreamRow) -> list[str]:
    """Return the names of all that there is of a stream: its row, its events, and what leads to them."""
    aliases = [_name(row.key, by, id_) for by, id_ in (("name", row.name), ("answer", row.answer)) if id_ is not None]
    return [_name(row.key, "stream", row.id), _name(row.key, "events", row.id), *aliases]


def _process(id_: str) -> str:
    return f"penstock:process:{id_}"


def _inbox(process: str) -> str:
    return f"penstock:unwanted:{process}"


def _text(id_: str | bytes) -> str:
    return id_ if isinstance(id_, str) else id_.decode()


def _fields(row: StreamRow) -> dict[str, str | bytes]:
    """Return a row as Redis keeps it."""
    return {name: value for name, value in msgspec.structs.asdict(row).items() if value is not None}


def _row(found: dict[bytes, bytes]) -> StreamRow:
    """Return a row that Redis has kept."""
    fields: dict[str, Any] = {name.decode(): value for name, value in found.items()}
    for name in ("id", "key", "process", "state", "name", "answer"):
        if name in fields:
            fields[name] = fields[name].decode()
    count = int(fields.pop("next"))
    return StreamRow(**fields, count=None if fields["state"] == "running" else count)
