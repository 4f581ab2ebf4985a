"""Requests and responses as the endpoints see them. Sockets, framing and time limits are below, in `connection.py`.

A handler takes a Request and returns a Response, or None after it has streamed one with `StreamClient`.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from msgspec import Struct

from penstock.core.errors import ClientFault, ErrorInfo, ErrorKind
from penstock.wire.headers import joined

if TYPE_CHECKING:
    from penstock.server.connection import Connection

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
"""May be sent any number of times before a response (RFC 9110, 15.2)."""

ZERO = b"0"
"""May stand any number of times before the size of a chunk (RFC 9112, 7.1)."""

START = b"H"
"""Of every response: HTTP/1.0 knows nothing that could be sent before, but it may come long before the rest."""

LINE = b"\n"
"""May stand any number of times between the frames of a stream, be they events or the elements of an array."""

_STATUS_LINES = {
    status.value: b"HTTP/1.1 %d %b\r\n" % (status.value, status.phrase.encode("ascii")) for status in HTTPStatus
}


class HttpFault(ClientFault):
    """The HTTP of a request cannot be served. The connection ends with the answer, which says so with `status`."""

    def __init__(
        self,
        status: int,
        message: str,
        kind: ErrorKind = "invalid_request",
        code: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(ErrorInfo(kind, message, code=code, retry_after=retry_after))
        self.status = status


class Response(Struct, frozen=True):
    """A whole response, ready to be sent."""

    body: bytes
    status: int = 200
    headers: Mapping[str, str] = {}
    content_type: str = "application/json"


class Request:
    """A request whose body may still be on its way.

    Attributes:
        method: in capitals.
        raw_path: the path as it came, without the query, not decoded; empty if the target is no path.
        headers: names in lower case; different values of a repeated one joined by commas (RFC 9110, 5.3).
        version: `1.1` or `1.0`.
        fault: what is wrong with its HTTP, if anything is.
        complete: whether all of it has come.
        keep_alive: whether its client wants to send another on the same connection.
        expects: whether its client waits to be told to send the body.
        connection: that it came on.
    """

    __slots__ = (
        "_pieces", "_query", "_raw_query", "_waiter", "complete", "connection", "expects", "fault", "headers",
        "keep_alive", "method", "raw_path", "size", "version",
    )  # fmt: skip

    def __init__(
        self, connection: "Connection", method: str, target: str, headers: dict[str, str], version: str = "1.1"
    ) -> None:
        self.connection = connection
        self.method = method
        self.raw_path, _, self._raw_query = target.partition("?")
        self.headers = headers
        self.version = version
        self.fault: HttpFault | None = None
        self.complete = False
        self.keep_alive = False
        self.expects = False
        self.size = 0
        self._pieces: list[bytes] | None = []  # None: nobody wants the body
        self._query: dict[str, str] | None = None
        self._waiter: asyncio.Future[None] | None = None

    @property
    def query(self) -> dict[str, str]:
        """The query parameters, decoded; different values of a repeated one joined by commas."""
        if self._query is None:
            self._query = joined(parse_qsl(self._raw_query, keep_blank_values=True)) if self._raw_query else {}
        return self._query

    async def read(self) -> bytes:
        """Return the body, as soon as all of it has come. May be called once.

        Raises:
            HttpFault: it is too large, takes too long, or is not framed as HTTP demands.
        """
        if self.expects:
            # curl asks before it sends more than a megabyte, and otherwise waits for a second (RFC 9110, "Expect").
            self.expects = False
            self.connection.go_on()
        while not self.complete and self.fault is None:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        if self.fault is not None:
            raise self.fault
        pieces, self._pieces = self._pieces or [], None
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    # ---- for the connection ------------------------------------------------------------------------------------------

    def take(self, piece: bytes) -> None:
        """Take a piece of the body."""
        self.size += len(piece)
        if self._pieces is not None:
            self._pieces.append(piece)

    def discard(self) -> None:
        """Keep nothing of the body: the request has been answered without it."""
        self._pieces = None

    def finish(self) -> None:
        """Note that all of it has come."""
        self.complete = True
        self._wake()

    def fail(self, fault: HttpFault) -> None:
        """Note that the rest of it will not come."""
        self.fault = fault
        self.keep_alive = False
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


Handler = Callable[[Request], Coroutine[Any, Any, Response | None]]


def head(status: int, headers: Mapping[str, str], own: bytes) -> bytes:
    """Return the head of a response. `own` are the lines that the connection adds.

    Raises:
        ValueError: a header would break out of its line.
    """
    text = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    if text.count("\n") != len(headers) or text.count("\r") != len(headers) or "\0" in text:
        raise ValueError("a header of a response holds a line end")
    line = _STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status
    return b"%b%b%b\r\n" % (line, text.encode("latin-1", "replace"), own)
