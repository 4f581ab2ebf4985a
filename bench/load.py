"""The load: an HTTP/1.1 client on a bare `asyncio.Protocol` that keeps what it reads and looks at it afterwards.

connection = await connect(port)
stream = connection.send(request)
await stream.begun          the first word came
await stream.done           the body ended, or the connection did; `stream.complete` says which
"""

import asyncio
import re
import time
from typing import cast

from bench.streams import FIRST_WORD

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)


class Stream:
    """One answer as it comes in.

    Attributes:
        sent: when the request was written, in seconds.
        first: when the first word was there; 0 if it never came.
        pieces: the body as it came, chunk by chunk.
        complete: whether the body came to its HTTP end.
    """

    __slots__ = ("begun", "complete", "done", "first", "pieces", "sent", "status")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.status = 0
        self.first = 0.0
        self.pieces: list[bytes] = []
        self.complete = False
        self.begun: asyncio.Future[None] = loop.create_future()
        self.done: asyncio.Future[None] = loop.create_future()
        self.sent = time.perf_counter()

    @property
    def body(self) -> bytes:
        """What came in so far."""
        return b"".join(self.pieces)

    def complaint(self) -> str:
        """Return what is wrong with the answer as HTTP, or nothing."""
        if self.status != 200:
            return f"status {self.status}: {self.body[:300].decode(errors='replace')}"
        return "" if self.complete else f"the connection ended in the middle, after {len(self.body)} bytes"

    def take(self, piece: bytes) -> None:
        """Keep a piece of the body."""
        self.pieces.append(piece)
        if not self.first and FIRST_WORD in piece:
            self.first = time.perf_counter()
            self.begun.set_result(None)

    def end(self, complete: bool) -> None:  # the HTTP end came, or will never come
        """Wake those who wait."""
        self.complete = complete
        for future in (self.begun, self.done):
            if not future.done():
                future.set_result(None)


class Connection(asyncio.Protocol):
    """A keep-alive connection with at most one request under way."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._stream: Stream | None = None
        self._rest = b""
        self._left = -1  # bytes left of a body with a length; -1: the body is chunked
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(complete=False)

    def send(self, request: bytes) -> Stream:
        """Write a request and return its answer to be."""
        stream = self._stream = Stream(self._loop)
        if self._transport.is_closing():
            self._end(complete=False)
        else:
            self._transport.write(request)
        return stream

    def close(self) -> None:
        """Leave at once, also in the middle of an answer."""
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        stream = self._stream
        if stream is None:
            self._transport.abort()  # nobody asked
            return
        if self._rest:
            data = self._rest + data
            self._rest = b""
        if not stream.status:
            head, blank, body = data.partition(b"\r\n\r\n")
            if not blank:
                self._rest = data
                return
            stream.status = int(head[9:12])
            length = _LENGTH.search(head)
            self._left = -1 if _CHUNKED.search(head) else int(length[1]) if length else 0
            data = body
        if self._left < 0:
            self._chunks(stream, data)
        else:
            self._counted(stream, data)

    def _counted(self, stream: Stream, data: bytes) -> None:
        self._left -= len(data)
        stream.take(data)
        if self._left <= 0:
            self._end(complete=self._left == 0)

    def _chunks(self, stream: Stream, data: bytes) -> None:
        start = 0
        while (line := data.find(b"\r\n", start)) >= 0:
            size = int(data[start:line], 16)
            end = line + 2 + size
            if len(data) < end + 2:
                break
            if not size:
                self._end(complete=len(data) == end + 2)
                return
            stream.take(data[line + 2 : end])
            start = end + 2
        self._rest = data[start:]

    def _end(self, complete: bool) -> None:
        stream, self._stream, self._rest = self._stream, None, b""
        if stream is not None:
            stream.end(complete)


async def connect(port: int) -> Connection:
    """Open a connection to a local port."""
    loop = asyncio.get_running_loop()
    _, connection = await loop.create_connection(lambda: Connection(loop), "127.0.0.1", port)
    return connection


async def connect_many(port: int, count: int) -> list[Connection]:
    """Open connections, a few at a time, so that no accept queue overflows."""
    connections: list[Connection] = []
    while len(connections) < count:
        connections += await asyncio.gather(*(connect(port) for _ in range(min(50, count - len(connections)))))
    return connections
