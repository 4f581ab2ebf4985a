"""What gateways on many machines hold in common beside the database, in Redis or Valkey: rates, slots, news of keys.

    shared = await SharedStore.open("redis://...")
    shared.listen(keys.changed)
    refusal = await shared.admit(request, claims)
    await shared.release(request, key, tokens)
    await shared.tell_of_keys()

Each operation is one script, which Redis runs as a whole. Its time is Redis' own, as the clocks of machines differ:
with theirs, one that is a second ahead would have every other wait for a second. What is claimed is therefore told
relative to the caller's time, and so is what was found.

What a key has used is under three names with the same hash tag, so that they are in the same place of a cluster:
`penstock:{key}:requests` and `:tokens`, theoretical arrival times in microseconds (accounts/rates.py), and `:streams`,
a sorted set of the requests under way by when their leases end. A lease outlives the process that took it by a minute.

`penstock:{key}:request:...` of each request is what it was charged. It goes when that is given back, so that nothing is
given back twice, however often it is tried. What is taken back before it was admitted leaves an empty one: it comes
too late then, for whoever asked has been told that nobody knows.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import structlog

from penstock.core.errors import ConfigError
from penstock.store.errors import StoreUnavailableError
from penstock.store.ledger import Claims, Refusal, Return
from penstock.store.upkeep import keep_up

if TYPE_CHECKING:
    from redis.asyncio import Redis

LEASE = 60_000_000
"""Microseconds for which a slot is had, unless it is renewed."""

PATIENCE = 1.0
"""Seconds that Redis has to answer."""

CONNECTIONS = 32
"""Connections at most; one of them listens for news."""

FIRST_PAUSE = 0.05
LONGEST_PAUSE = 2.0
"""Seconds between two tries to listen for news; the pause doubles from the first to the longest."""

_CHANNEL = "penstock:keys"

_SCHEMES = ("redis", "rediss", "unix")

_NOW = """
local now = tonumber(ARGV[1])
if not now then
    local time = redis.call('TIME')
    now = time[1] * 1000000 + time[2]
end
"""

# A rate is kept for a day longer than it matters, for a request that takes as long to be put right at its end.
_ADMIT = (
    _NOW
    + """
local request, lease, cap = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
if redis.call('GET', KEYS[4]) == '' then
    return {'streams', 0}
end
if cap then
    redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now))
    if not redis.call('ZSCORE', KEYS[1], request) and redis.call('ZCARD', KEYS[1]) >= cap then
        return {'streams', 0}
    end
end
local arrivals = {}
for place, kind in ipairs({'requests', 'tokens'}) do
    local charge, room = tonumber(ARGV[3 + 2 * place]), tonumber(ARGV[4 + 2 * place])
    if charge then
        local arrival = tonumber(redis.call('GET', KEYS[1 + place]) or 0)
        if arrival > now + room then
            return {kind, arrival - now}
        end
        arrivals[KEYS[1 + place]] = math.max(arrival, now) + charge
    end
end
for rate, arrival in pairs(arrivals) do
    local kept = string.format('%.0f', (arrival - now) / 1000 + 86400000)
    redis.call('SET', rate, string.format('%.0f', arrival), 'PX', kept)
end
if cap then
    redis.call('ZADD', KEYS[1], string.format('%.0f', now + lease), request)
    redis.call('PEXPIRE', KEYS[1], string.format('%.0f', lease / 1000))
end
local matters = ARGV[7] == '' and lease / 1000 or 86400000
redis.call('SET', KEYS[4], ARGV[5] .. ' ' .. ARGV[7], 'PX', string.format('%.0f', matters))
return false
"""
)

_GIVE_BACK = """
local request, lease, tokens = ARGV[1], ARGV[2], tonumber(ARGV[3])
redis.call('ZREM', KEYS[1], request)
local charged = redis.call('GET', KEYS[4])
if not charged then
    if not tokens then
        redis.call('SET', KEYS[4], '', 'PX', string.format('%.0f', lease / 1000))
    end
    return
elseif charged == '' then
    return
end
redis.call('DEL', KEYS[4])
local changes = {0, tokens}
if not tokens then
    local requests, of_tokens = charged:match('^(%d*) (%d*)$')
    changes = {-(tonumber(requests) or 0), -(tonumber(of_tokens) or 0)}
end
for place, amount in ipairs(changes) do
    local rate = KEYS[1 + place]
    local arrival = redis.call('GET', rate)
    if amount ~= 0 and arrival then
        local kept = redis.call('PTTL', rate) + math.max(0, math.ceil(amount / 1000))
        redis.call('SET', rate, string.format('%.0f', arrival + amount), 'PX', string.format('%.0f', kept))
    end
end
"""

_RENEW = (
    _NOW
    + """
local lease = tonumber(ARGV[2])
for place = 3, #ARGV do
    redis.call('ZADD', KEYS[1], string.format('%.0f', now + lease), ARGV[place])
end
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', lease / 1000))
"""
)

_log = structlog.get_logger("penstock.shared")


def check_url(url: str) -> None:
    """See whether it can be the address of a Redis.

    Raises:
        ConfigError: it cannot. What is wrong with it is not told: it has a password in it.
    """
    try:
        parts = urlsplit(url)
        usable = parts.scheme in _SCHEMES and (parts.path if parts.scheme == "unix" else parts.hostname)
        _ = parts.port
    except ValueError:
        usable = False
    if not usable:
        raise ConfigError(
            "not the address of a Redis: expected redis://:password@host:6379/0, rediss:// with TLS, or unix:///path"
        )


class SharedStore:
    """A Redis. It belongs to the event loop that runs when it is opened.

    All methods but `close` and `tell_of_keys` raise StoreUnavailableError if it does not do within a second what it is
    asked. It is connected again when it is back.
    """

    def __init__(self, client: "Redis", now: Callable[[], int] | None) -> None:
        self._client = client
        self._now = now
        self._admit = client.register_script(_ADMIT)
        self._give_back = client.register_script(_GIVE_BACK)
        self._renew = client.register_script(_RENEW)
        self._renewed = asyncio.Event()
        self._renewed.set()
        self._listening: asyncio.Task[None] | None = None

    @classmethod
    async def open(cls, url: str, now: Callable[[], int] | None = None) -> "SharedStore":
        """Connect. `now` returns microseconds; None: Redis has a clock of its own.

        Raises:
            ConfigError: the driver is not installed, or Redis cannot be used.
        """
        check_url(url)
        # To import the driver is to read many files.
        client = await asyncio.to_thread(make_client, url)
        shared = cls(client, now)
        try:
            async with bounded():
                await client.ping()
        except StoreUnavailableError as error:
            await shared.close()
            raise ConfigError(f"{_named(url)}: cannot be used: {error}") from None
        return shared

    def listen(self, changed: Callable[[], None]) -> None:
        """Call `changed` from now on whenever keys may have been changed; it may be called once too often."""
        self._listening = keep_up(partial(self._listen, changed))

    async def close(self) -> None:
        """Close all connections."""
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.wait([self._listening])
        with contextlib.suppress(OSError):
            await self._client.aclose()

    async def admit(self, request: str, claims: Claims) -> Refusal | None:
        """Take the slot and the rates that are claimed, or nothing. The slot is leased for a minute."""
        arguments: list[Any] = [self._time(), request, LEASE, _optional(claims.streams)]
        rates = {claim.kind: claim for claim in claims.rates}
        for kind in ("requests", "tokens"):
            claim = rates.get(kind)
            arguments += ["", ""] if claim is None else [claim.charge, claim.latest - claims.now]
        async with bounded():
            refused = await self._admit(_names(claims.key, request), arguments)
        if refused is None:
            return None
        limit = refused[0].decode()
        return Refusal(limit, 0 if limit == "streams" else claims.now + refused[1])

    async def give_back(self, returns: Sequence[Return]) -> None:
        """Give back what these requests have, if they have it: to do it again changes nothing."""
        async with bounded():
            await self._renewed.wait()  # or the slot could be renewed after it was given back
            pipeline = self._client.pipeline(transaction=False)
            for one in returns:
                arguments = [one.request, LEASE, _optional(one.tokens)]
                await self._give_back(_names(one.key, one.request), arguments, pipeline)
            await pipeline.execute()

    async def renew(self, slots: Sequence[tuple[str, str]]) -> None:
        """Renew the leases of these slots, each a key and a request; also those that Redis has lost."""
        of_keys: dict[str, list[str]] = {}
        for key, request in slots:
            of_keys.setdefault(key, []).append(request)
        if not of_keys:
            return
        self._renewed.clear()
        try:
            async with bounded():
                pipeline = self._client.pipeline(transaction=False)
                for key, requests in of_keys.items():
                    await self._renew(_names(key, "")[:1], [self._time(), LEASE, *requests], pipeline)
                await pipeline.execute()
        finally:
            self._renewed.set()

    async def tell_of_keys(self) -> None:
        """Tell all gateways that keys were changed. If it cannot be told now, they find out by themselves, later."""
        try:
            async with bounded():
                await self._client.publish(_CHANNEL, "")
        except StoreUnavailableError as error:
            _log.warning("shared.untold", error=str(error))

    def _time(self) -> int | str:
        return "" if self._now is None else self._now()

    async def _listen(self, changed: Callable[[], None]) -> None:
        """Call `changed` for all news, and whenever some may have been missed."""
        pause = FIRST_PAUSE
        while True:
            try:
                with told_as_ours():
                    async with self._client.pubsub() as news:
                        await news.subscribe(_CHANNEL)
                        async for _ in news.listen():  # the first says that it is subscribed
                            changed()
                            pause = FIRST_PAUSE
            except StoreUnavailableError as error:
                if pause == FIRST_PAUSE:
                    _log.warning("shared.listen", error=str(error))
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)


def make_client(url: str) -> "Redis":
    """Return a client of the Redis at an address, which has not been connected to yet.

    Raises:
        ConfigError: the driver is not installed, or the address cannot be used.
    """
    try:
        from redis.asyncio import BlockingConnectionPool, Redis  # noqa: PLC0415 - an extra
        from redis.asyncio.retry import Retry  # noqa: PLC0415
        from redis.backoff import NoBackoff  # noqa: PLC0415
    except ModuleNotFoundError:
        raise ConfigError('Redis needs its driver: pip install "penstock[redis]"') from None
    # Nothing is tried twice: what was not answered was perhaps done.
    once = {"retry": Retry(NoBackoff(), 0), "socket_connect_timeout": PATIENCE, "socket_keepalive": True}
    if urlsplit(url).scheme == "unix":
        del once["socket_keepalive"]
    try:
        pool = BlockingConnectionPool.from_url(url, max_connections=CONNECTIONS, timeout=PATIENCE, protocol=2, **once)
    except (ValueError, TypeError):
        raise ConfigError(f"{_named(url)}: what stands behind the ? of its address cannot be used") from None
    return Redis.from_pool(pool)


@contextlib.asynccontextmanager
async def bounded() -> AsyncGenerator[None]:
    """Give Redis `PATIENCE` seconds.

    Raises:
        StoreUnavailableError: it did not do what it was asked.
    """
    with told_as_ours():
        async with asyncio.timeout(PATIENCE):
            yield


@contextlib.contextmanager
def told_as_ours() -> Generator[None]:
    """Tell the errors of Redis as StoreUnavailableError."""
    from redis.exceptions import RedisError  # noqa: PLC0415 - an extra

    try:
        yield
    except (RedisError, OSError) as error:  # among which is TimeoutError, which says nothing
        told = " ".join(str(error).split())
        raise StoreUnavailableError(told or f"no answer within {PATIENCE:g} s") from error


def _names(key: str, request: str) -> list[str]:
    return [f"penstock:{{{key}}}:{kind}" for kind in ("streams", "requests", "tokens", f"request:{request}")]


def _optional(number: int | None) -> int | str:
    return "" if number is None else number


def _named(url: str) -> str:
    """Return what a Redis is called in messages."""
    parts = urlsplit(url)
    return f"the Redis at {parts.path if parts.scheme == 'unix' else parts.hostname}"
