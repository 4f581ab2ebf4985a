"""The way to providers over HTTP. The only module that knows the HTTP client.

    response = await transport.open(provider, outbound)
    while chunk := await response.read(): ...
    await response.close()

A chunk is handed on as it arrived, in the same turn of the loop. Whatever goes wrong is an UpstreamFault that names the
provider, and never an address, a credential or the words of a library.
"""

import asyncio
from collections.abc import Mapping
from types import MappingProxyType

import aiohttp
from aiohttp.http_exceptions import ContentEncodingError
from yarl import URL

from penstock.core.errors import ErrorInfo, ErrorKind, UpstreamFault
from penstock.protocols.base import Outbound
from penstock.upstreams.auth import credential_headers
from penstock.upstreams.catalog import Provider

CONNECT_TIMEOUT = 10.0
"""Seconds to resolve, connect and shake hands."""

IDLE_TIMEOUT = 300.0
"""Seconds without a byte, before the status and between chunks. Reasoning models are silent for minutes."""

DRAIN_TIMEOUT = 0.2
"""Seconds to wait, after the answer is over, for the end of the body. A new connection costs about as much."""

MAX_CONNECTIONS = 10_000
"""Connections to all providers together. Limits are for whoever counts requests; this one is against a runaway."""

KEEPALIVE = 4.0
"""Seconds to keep an unused connection: less than the 5 after which uvicorn and Node, the usual servers, close it."""

# What differs between providers goes on top of these. Identity, because a compressed stream is a delayed one.
_HEADERS = {"accept-encoding": "identity", "content-type": "application/json", "user-agent": "penstock"}


class Transport:
    """The connections of one process. They are made in the loop that first calls `open`."""

    def __init__(self, connect_timeout: float = CONNECT_TIMEOUT, idle_timeout: float = IDLE_TIMEOUT) -> None:
        self._connect_timeout = connect_timeout
        self._idle_timeout = idle_timeout
        self._session: aiohttp.ClientSession | None = None

    async def open(self, provider: Provider, outbound: Outbound) -> "UpstreamResponse":
        """Send a request and return the response as soon as its status and headers are there.

        Raises:
            UpstreamFault: there is no response; `code` is `connect_failed`, `connect_timeout`, `disconnected`,
                `idle_timeout` or `bad_response`.
        """
        url = URL(provider.base_url + outbound.path, encoded=True)
        headers = _HEADERS | outbound.headers | credential_headers(provider.auth, provider.credential)
        headers |= {name: value.reveal() for name, value in provider.headers.items()}
        try:
            async with asyncio.timeout(self._connect_timeout + self._idle_timeout):
                response = await self._open_session().post(
                    url, data=outbound.body, headers=headers, allow_redirects=False
                )
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise _opening_fault(provider.name, error) from None
        return UpstreamResponse(provider.name, response, self._idle_timeout)

    async def close(self) -> None:
        """Close all connections. May be called more than once."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=MAX_CONNECTIONS, keepalive_timeout=KEEPALIVE),
                cookie_jar=aiohttp.DummyCookieJar(),
                # Reading has a timeout of its own, which costs nothing per chunk.
                timeout=aiohttp.ClientTimeout(total=None, connect=self._connect_timeout),
                # Some providers put a kilobyte of rate limits and policies into one header.
                max_field_size=32 * 1024,
            )
        return self._session


class UpstreamResponse:
    """A response whose body is still to be read.

    Attributes:
        status: the HTTP status.
        headers: names in lower case; values of repeated ones joined by commas.
    """

    __slots__ = ("_content", "_idle", "_loop", "_provider", "_response", "_timer", "_waiting", "status")

    def __init__(self, provider: str, response: aiohttp.ClientResponse, idle_timeout: float) -> None:
        self.status = response.status
        self._provider = provider
        self._response = response
        self._content = response.content
        self._idle = idle_timeout
        self._loop = asyncio.get_running_loop()
        self._waiting: float | None = None  # since when a read has been waiting, in the loop's time
        self._timer = self._loop.call_later(idle_timeout, self._look_at_clock)

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers: names in lower case, values of repeated ones joined by commas. Made anew each time."""
        return _joined(self._response)

    @property
    def content_type(self) -> str:
        """The media type the provider gave, without parameters, in lower case; empty if it gave none."""
        return self._response.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def is_event_stream(self) -> bool:
        """Whether the provider says that the body is an event stream."""
        return self.content_type == "text/event-stream"

    async def read(self) -> bytes:
        """Return the next bytes as they arrived; empty at the end of the body.

        Raises:
            UpstreamFault: the body broke off (`stream_incomplete`), nothing came for too long (`timeout`), or it is
                compressed and cannot be decoded (`upstream_error`).
        """
        self._waiting = self._loop.time()
        try:
            return await self._content.readany()
        except (aiohttp.ClientError, OSError, ValueError) as error:
            # The client throws away what arrived before the break; it may have been the end of the answer. No public
            # method gives it back.
            if arrived := self._content._read_nowait(-1):  # pyright: ignore[reportPrivateUsage]
                return arrived
            self.abort()
            raise _reading_fault(self._provider, error) from None
        except asyncio.CancelledError:
            self.abort()
            raise
        finally:
            self._waiting = None

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
        try:
            if not self._content.at_eof():
                async with asyncio.timeout(DRAIN_TIMEOUT):
                    while await self._content.readany():
                        pass
        except (aiohttp.ClientError, OSError, ValueError):
            pass  # the answer was complete: how the connection ends is nobody's concern (pitfall 112)
        finally:
            self.abort()

    def abort(self) -> None:
        """End it at once: the connection is closed, unless the body was read to its end. May be called again."""
        self._timer.cancel()
        self._response.close()

    def _look_at_clock(self) -> None:
        """Break a read that has waited too long; look again when the present one will have."""
        now = self._loop.time()
        waited = 0.0 if self._waiting is None else now - self._waiting
        if waited >= self._idle:
            self._content.set_exception(TimeoutError())
        else:
            self._timer = self._loop.call_later(self._idle - waited, self._look_at_clock)


def _joined(response: aiohttp.ClientResponse) -> Mapping[str, str]:
    headers: dict[str, str] = {}
    for name, value in response.headers.items():
        lower = name.lower()
        headers[lower] = f"{headers[lower]}, {value}" if lower in headers else value
    return MappingProxyType(headers)


# The first entry that an error is an instance of counts; "{}" becomes the provider's name.
_OPENING_FAULTS: tuple[tuple[tuple[type[Exception], ...], ErrorKind, str, str], ...] = (
    ((aiohttp.ConnectionTimeoutError,), "timeout", "{} could not be reached in time", "connect_timeout"),
    ((TimeoutError,), "timeout", "{} did not answer in time", "idle_timeout"),
    (
        (aiohttp.ClientConnectorCertificateError, aiohttp.ClientConnectorSSLError),
        "upstream_error",
        "{} shows no certificate that is trusted here",
        "connect_failed",
    ),
    ((aiohttp.ClientConnectorDNSError,), "upstream_error", "The host of {} is not known", "connect_failed"),
    ((aiohttp.ClientConnectorError,), "upstream_error", "{} cannot be reached", "connect_failed"),
    ((aiohttp.ClientResponseError, ValueError), "upstream_error", "{} did not answer in HTTP", "bad_response"),
    ((Exception,), "upstream_error", "{} closed the connection before it answered", "disconnected"),
)


def _opening_fault(provider: str, error: Exception) -> UpstreamFault:
    return next(
        _fault(kind, text, provider, code) for types, kind, text, code in _OPENING_FAULTS if isinstance(error, types)
    )


def _reading_fault(provider: str, error: Exception) -> UpstreamFault:
    if isinstance(error, TimeoutError):
        return _fault("timeout", "{} went silent in the middle of its answer", provider, "idle_timeout")
    if isinstance(error.__cause__, ContentEncodingError):
        return _fault("upstream_error", "{} compressed its answer in a way not known here", provider, "bad_response")
    return _fault("stream_incomplete", "The answer of {} broke off", provider, "stream_incomplete")


def _fault(kind: ErrorKind, text: str, provider: str, code: str) -> UpstreamFault:
    message = text.replace("{}", f'the provider "{provider}"')
    return UpstreamFault(ErrorInfo(kind, f"{message[:1].upper()}{message[1:]}.", code=code))
