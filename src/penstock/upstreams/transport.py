"""The way to providers over HTTP. With `connection.py`, the only module that knows the HTTP client.

    response = await transport.open(provider, outbound)
    while chunk := await response.read(): ...       or: await response.pour(into)
    await response.close()

A chunk is handed on as it arrived. Whatever goes wrong is an UpstreamFault that names the provider, and never an
address, a credential or the words of a library.
"""

import asyncio
import functools
import socket
import ssl
from collections import deque
from collections.abc import Callable, Mapping
from types import MappingProxyType
from urllib.parse import urlsplit

from aiohappyeyeballs import start_connection  # pyright: ignore[reportUnknownVariableType]
from msgspec import Struct

from penstock.core.errors import ErrorInfo, ErrorKind, UpstreamFault, bad_request
from penstock.protocols.base import Outbound
from penstock.upstreams.auth import credential_headers
from penstock.upstreams.catalog import Provider
from penstock.upstreams.connection import BadResponseError, ClosedError, Connection, CutError
from penstock.upstreams.slots import NoSlotError, Slots

CONNECT_TIMEOUT = 10.0
"""Seconds to resolve, connect and shake hands."""

IDLE_TIMEOUT = 3600.0
"""Seconds without a byte, before the status and between chunks: a last resort, behind the limits of each attempt."""

DRAIN_TIMEOUT = 0.2
"""Seconds to wait, after the answer is over, for the end of the body. A new connection costs about as much."""

KEEPALIVE = 4.0
"""Seconds to keep an unused connection: less than the 5 after which uvicorn and Node, the usual servers, close it."""

MAX_IDLE = 256
"""Unused connections to keep for each address."""

MAX_CONNECTIONS = 1000
"""Connections to have open to each address."""

SLOT_TIMEOUT = 5.0
"""Seconds to wait for one of them to become free."""

HAPPY_EYEBALLS_DELAY = 0.25
"""Seconds to wait for one address of a host before the next is tried beside it (RFC 8305)."""

# What differs between providers goes on top of these. Identity, because a compressed stream is a delayed one.
_HEADERS = {"accept-encoding": "identity", "content-type": "application/json", "user-agent": "penstock"}


_BROKEN = (ClosedError, CutError, BadResponseError, TimeoutError)


class _Address(Struct, frozen=True):
    """Where connections to a provider go; connections to equal addresses are interchangeable."""

    host: str
    port: int
    tls: bool


class _Door(Struct, frozen=True):
    """What is the same in all requests to one provider: address, path of the base URL, and the lines of the head."""

    provider: Provider
    address: _Address
    path: str
    lines: bytes


class _CrossedError(Exception):
    """The provider closed a connection that had rested while the request was on its way; it may be sent again."""


class Transport:
    """The connections of one process. They belong to the loop that first calls `open`."""

    def __init__(
        self,
        connect_timeout: float = CONNECT_TIMEOUT,
        idle_timeout: float = IDLE_TIMEOUT,
        max_connections: int = MAX_CONNECTIONS,
        slot_timeout: float = SLOT_TIMEOUT,
    ) -> None:
        """Make no connection yet. Times are in seconds; `max_connections` are for each address."""
        self._connect_timeout = connect_timeout
        self._idle_timeout = idle_timeout
        self._max_connections = max_connections
        self._slot_timeout = slot_timeout
        self._slots: dict[_Address, Slots] = {}
        self._doors: dict[tuple[str, str], _Door] = {}
        self._idle: dict[_Address, deque[Connection]] = {}
        self._busy: set[Connection] = set()

    async def open(
        self, provider: Provider, outbound: Outbound, connect_timeout: float | None = None
    ) -> "UpstreamResponse":
        """Send a request and return the response as soon as its status and headers are there.

        Args:
            provider: where to.
            outbound: what.
            connect_timeout: seconds, where they are not those of all providers.

        Raises:
            ClientFault: a header that the client gave for the provider cannot be sent.
            UpstreamFault: there is no response; `code` is `connect_failed`, `connect_timeout`, `disconnected`,
                `idle_timeout`, `bad_response` or `pool_exhausted`.
        """
        door = self._door(provider)
        request = _request(door, outbound)
        slots = self._slots.get(door.address) or self._new_slots(door.address)
        try:
            await slots.take()
        except NoSlotError:
            raise _fault("overloaded", "All connections to {} are in use", provider.name, "pool_exhausted") from None
        try:
            rested = self._rested(door.address)
            if rested is not None:
                try:
                    return await self._ask(door, rested, request)
                except _CrossedError:
                    pass
            fresh = await self._connect(door, connect_timeout or self._connect_timeout)
            return await self._ask(door, fresh, request)
        except BaseException:
            slots.give_back()
            raise

    def cut(self) -> None:
        """Break off all responses that are still being read: the gateway is being stopped."""
        for connection in tuple(self._busy):
            connection.cut()

    async def close(self) -> None:
        """Close all connections. May be called more than once."""
        for connection in (*self._busy, *(one for idle in self._idle.values() for one in idle)):
            connection.abort()
        self._busy.clear()
        self._idle.clear()
        await asyncio.sleep(0)  # the loop closes sockets in its next turn

    async def _ask(self, door: _Door, connection: Connection, request: bytes) -> "UpstreamResponse":
        self._busy.add(connection)
        try:
            connection.send(request, self._idle_timeout)
            await connection.head()
        except Exception as error:
            self._leave(connection)
            if connection.crossed:
                raise _CrossedError from None
            raise _opening_fault(door.provider.name, error) from None
        except asyncio.CancelledError:
            self._leave(connection)
            raise
        give_back = functools.partial(self._take_back, door.address, connection)
        return UpstreamResponse(door.provider.name, connection, give_back)

    def _door(self, provider: Provider) -> _Door:
        name = (provider.name, provider.protocol)
        door = self._doors.get(name)
        if door is None or door.provider is not provider:
            door = self._doors[name] = _make_door(provider)
        return door

    def _new_slots(self, address: _Address) -> Slots:
        slots = self._slots[address] = Slots(self._max_connections, self._slot_timeout)
        return slots

    def _rested(self, address: _Address) -> Connection | None:
        """Return the connection that was used last, if any is left that a provider will not just have closed."""
        idle = self._idle.get(address)
        while idle:
            connection = idle.pop()
            if connection.usable and connection.age() < KEEPALIVE:
                return connection
            connection.abort()
        return None

    async def _connect(self, door: _Door, patience: float) -> Connection:
        provider = door.provider.name
        try:
            async with asyncio.timeout(patience):
                return await _connect(door.address)
        except TimeoutError:
            raise _fault("timeout", "{} could not be reached in time", provider, "connect_timeout") from None
        except OSError as error:
            raise _connecting_fault(provider, error) from None

    def _take_back(self, address: _Address, connection: Connection) -> None:
        """Put a connection aside after its response, if another request may follow; else close it."""
        self._busy.discard(connection)
        self._slots[address].give_back()
        idle = self._idle.setdefault(address, deque())
        while idle and idle[0].age() >= KEEPALIVE:
            idle.popleft().abort()
        if connection.reusable and len(idle) < MAX_IDLE:
            connection.rest()
            idle.append(connection)
        else:
            connection.abort()

    def _leave(self, connection: Connection) -> None:
        self._busy.discard(connection)
        connection.abort()


class UpstreamResponse:
    """A response whose body is still to be read.

    Attributes:
        status: the HTTP status.
        headers: names in lower case; values of repeated ones joined by commas.
        content_type: the media type the provider gave, without parameters, in lower case; empty if it gave none.
        is_event_stream: whether the provider says that the body is an event stream.
    """

    __slots__ = ("_connection", "_give_back", "_provider", "content_type", "headers", "is_event_stream", "status")

    def __init__(self, provider: str, connection: Connection, give_back: functools.partial[None]) -> None:
        self.status = connection.status
        self.headers: Mapping[str, str] = MappingProxyType(connection.headers)
        self.content_type = connection.headers.get("content-type", "").partition(";")[0].strip().lower()
        self.is_event_stream = self.content_type == "text/event-stream"
        self._provider = provider
        self._connection: Connection | None = connection
        self._give_back = give_back

    async def read(self) -> bytes:
        """Return the next bytes as they arrived; empty at the end of the body.

        Raises:
            UpstreamFault: the body broke off (`stream_incomplete`), nothing came for too long (`timeout`), or it is
                compressed and cannot be decoded (`upstream_error`).
        """
        if self._connection is None:
            return b""
        try:
            return await self._connection.read()
        except _BROKEN as error:
            self.abort()
            raise _reading_fault(self._provider, error) from None
        except BaseException:
            self.abort()
            raise

    async def pour(self, into: Callable[[bytes], bool]) -> bool:
        """Hand the body to `into` as it arrives, without a wake-up of this task for each chunk.

        Returns:
            Whether there may be more: `into` has returned False. False at the end of the body.

        Raises:
            UpstreamFault: as `read`.
        """
        if self._connection is None:
            return False
        try:
            return await self._connection.pour(into)
        except _BROKEN as error:
            self.abort()
            raise _reading_fault(self._provider, error) from None
        except BaseException:
            self.abort()
            raise

    async def read_all(self, limit: int) -> bytes:
        """Return the rest of the body, up to `limit` bytes of it.

        Raises:
            UpstreamFault: as `read`.
        """
        pieces: list[bytes] = []
        size = 0
        while size < limit and (chunk := await self.read()):
            pieces.append(chunk)
            size += len(chunk)
        return b"".join(pieces)[:limit]

    async def close(self) -> None:
        """End it. The connection is kept if the body ends in a moment, as it should after the last event."""
        connection = self._connection
        if connection is not None and not connection.reusable:
            try:
                async with asyncio.timeout(DRAIN_TIMEOUT):
                    while await connection.read():
                        pass
            except Exception:  # noqa: S110 - the answer was complete: how its connection ends matters to nobody (P112)
                pass
            except asyncio.CancelledError:
                self.abort()
                raise
        self.abort()

    def abort(self) -> None:
        """End it at once: the connection is closed, unless the body was read to its end. May be called again."""
        if self._connection is not None:
            self._connection = None
            self._give_back()


async def _connect(address: _Address) -> Connection:
    """Return a connection to whichever address of the host answers first.

    Raises:
        OSError: none does, or it cannot be trusted.
    """
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    sock = await start_connection(found, happy_eyeballs_delay=HAPPY_EYEBALLS_DELAY, interleave=1)
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        context = _trust() if address.tls else None
        name = address.host if address.tls else None
        _, connection = await loop.create_connection(
            lambda: Connection(loop), sock=sock, ssl=context, server_hostname=name
        )
    except BaseException:
        sock.close()
        raise
    return connection


@functools.cache
def _trust() -> ssl.SSLContext:
    return ssl.create_default_context()


def _make_door(provider: Provider) -> _Door:
    url = urlsplit(provider.base_url)
    tls = url.scheme == "https"
    address = _Address(url.hostname or "", url.port or (443 if tls else 80), tls)
    host = url.netloc.rpartition("@")[2]
    headers = {"host": host} | _HEADERS | credential_headers(provider.auth, provider.credential)
    headers |= {name: value.reveal() for name, value in provider.headers.items()}
    return _Door(provider, address, url.path, _lines(headers))


def _request(door: _Door, outbound: Outbound) -> bytes:
    """Return the bytes of a request.

    Raises:
        ClientFault: a header of it, which came from the client, would break out of its line.
    """
    for name, value in outbound.headers.items():
        if not (value.isascii() and value.isprintable()):
            raise bad_request(f"The header {name} may hold only visible ASCII characters.")
    return b"POST %b HTTP/1.1\r\n%b%bcontent-length: %d\r\n\r\n%b" % (
        (door.path + outbound.path).encode("ascii"),
        door.lines,
        _lines(outbound.headers),
        len(outbound.body),
        outbound.body,
    )


def _lines(headers: Mapping[str, str]) -> bytes:
    """Return headers as the lines of a head. Their values have been checked to be printable ASCII."""
    return "".join([f"{name}: {value}\r\n" for name, value in headers.items()]).encode("ascii")


def _connecting_fault(provider: str, error: OSError) -> UpstreamFault:
    match error:
        case ssl.SSLError():
            return _fault("upstream_error", "{} shows no certificate that is trusted here", provider, "connect_failed")
        case socket.gaierror():
            return _fault("upstream_error", "The host of {} is not known", provider, "connect_failed")
        case _:
            return _fault("upstream_error", "{} cannot be reached", provider, "connect_failed")


def _opening_fault(provider: str, error: Exception) -> UpstreamFault:
    match error:
        case TimeoutError():
            return _fault("timeout", "{} did not answer in time", provider, "idle_timeout")
        case BadResponseError():
            return _fault("upstream_error", "{} did not answer in HTTP", provider, "bad_response")
        case CutError():
            return _fault("overloaded", "The gateway was stopped before {} answered", provider, "shutting_down")
        case _:
            return _fault("upstream_error", "{} closed the connection before it answered", provider, "disconnected")


def _reading_fault(provider: str, error: Exception) -> UpstreamFault:
    match error:
        case TimeoutError():
            return _fault("timeout", "{} went silent in the middle of its answer", provider, "idle_timeout")
        case BadResponseError():
            return _fault("upstream_error", "{} encoded its answer in a way not known here", provider, "bad_response")
        case CutError():
            text = "The gateway was stopped before the answer of {} was complete"
            return _fault("overloaded", text, provider, "shutting_down")
        case _:
            return _fault("stream_incomplete", "The answer of {} broke off", provider, "stream_incomplete")


def _fault(kind: ErrorKind, text: str, provider: str, code: str) -> UpstreamFault:
    message = text.replace("{}", f'the provider "{provider}"')
    return UpstreamFault(ErrorInfo(kind, f"{message[:1].upper()}{message[1:]}.", code=code))
