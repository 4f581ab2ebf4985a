"""One HTTP/1.1 connection to a provider: a request out, a response in, chunk by chunk.

The parser is llhttp (httptools). What it calls back ends up in a list that the reader empties, so a chunk costs one
wake-up and no queue. docs/decisions/0005 says why this is not a library: the relay spends most of its time here.

    connection.send(head + body)
    await connection.head()            status and headers are there
    while chunk := await connection.read(): ...     or: await connection.pour(into)
    connection.reusable                whether another request may follow
"""

import asyncio
import threading
import zlib
from collections.abc import Callable
from typing import cast

import httptools

from penstock.wire.headers import decoded

MAX_CROSSING = 1.0
"""Seconds after a request in which its end still can be that of an unused connection, not of a provider at work."""

MAX_HEAD = 64 * 1024
"""Bytes of status line and headers."""

READ_SIZE = 64 * 1024
"""Bytes to take from the system at once."""

HIGH_WATER = 32 * 1024
"""Bytes of body that wait to be read, before the provider is kept from sending more. With what is taken at once, with
what waits to be sent to the client, and with the last piece sent, that is less than 256 KiB a stream."""

_CODINGS = {"gzip": 16 + zlib.MAX_WBITS, "x-gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}


_of_thread = threading.local()


class ClosedError(Exception):
    """The provider closed or reset the connection before the response was complete."""


class CutError(Exception):
    """The gateway broke off the response: it is being stopped."""


class BadResponseError(Exception):
    """What the provider sent is not HTTP, or not encoded in a way known here."""


class Connection(asyncio.BufferedProtocol):
    """State of one connection. One request at a time; whoever sends it reads the response or calls `abort`.

    Attributes:
        status: of the response, once `head` has returned.
        headers: of the response: names in lower case, values of repeated ones joined by commas.
    """

    __slots__ = (
        "_body_size", "_buffer", "_clock", "_decoder", "_ends_with_connection", "_error", "_fields",
        "_head_size", "_headers_done", "_into", "_keep", "_loop", "_over", "_parser", "_patience", "_paused", "_pieces",
        "_resting_since", "_sent_at", "_stopped", "_transport", "_waiter", "_waiting_since", "headers", "status",
    )  # fmt: skip

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._buffer = _buffer()
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._into: Callable[[bytes], bool] | None = None
        self._stopped = False  # `_into` wants no more
        self._error: Exception | None = None
        self._over = True  # the response is complete, or none is awaited
        self._paused = False
        self._clock: asyncio.TimerHandle | None = None
        self._patience = 0.0
        self._waiting_since = 0.0  # 0: nobody waits
        self._resting_since = 0.0  # 0: it is new
        self._sent_at = 0.0
        self._parser = httptools.HttpResponseParser(self)
        self._reset()

    # ---- for the transport -------------------------------------------------------------------------------------------

    @property
    def usable(self) -> bool:
        """Whether a request can be sent."""
        return self._over and self._error is None and self._transport is not None and not self._transport.is_closing()

    @property
    def reusable(self) -> bool:
        """Whether the response was read to its end, and the provider keeps the connection open."""
        written = self._transport is not None and self._transport.get_write_buffer_size() == 0
        return self._keep and written and not self._pieces and self.usable

    @property
    def crossed(self) -> bool:
        """Whether the provider closed it as an unused one at the moment the request was sent: nobody read that."""
        soon = self._loop.time() - self._sent_at < MAX_CROSSING
        return soon and isinstance(self._error, ClosedError) and self._resting_since > 0 and self._head_size == 0

    def send(self, request: bytes, patience: float) -> None:
        """Send a request. A wait for the response of more than `patience` seconds is a TimeoutError."""
        self._reset()
        self._over = False
        self._sent_at = self._loop.time()
        if self._clock is None or patience != self._patience:
            self._stop_clock()
            self._patience = patience
            self._clock = self._loop.call_at(self._sent_at + patience, self._look_at_clock)
        if self._transport is not None:
            self._transport.write(request)

    async def head(self) -> None:
        """Wait for status and headers.

        Raises:
            ClosedError: the connection ended before.
            BadResponseError: they are not HTTP.
            TimeoutError: they did not come in time.
        """
        while not self._headers_done:
            if self._error is not None:
                raise self._error
            await self._more()

    async def read(self) -> bytes:
        """Return the bytes of the body that have come, as soon as there are any; empty at its end.

        Raises:
            ClosedError: the connection ended before the body did.
            BadResponseError: the body is not what the headers say.
            TimeoutError: nothing came in time.
        """
        while True:
            if self._pieces:
                if data := self._take():
                    return data
                continue
            if self._over:
                return b""
            if self._error is not None:
                raise self._error
            await self._more()

    async def pour(self, into: Callable[[bytes], bool]) -> bool:
        """Hand the body to `into` as it comes, in the very callback that brings it, which spares a wake-up a chunk.

        Returns:
            Whether there may be more: `into` has returned False, and the rest is still to be read.

        Raises:
            ClosedError, BadResponseError, TimeoutError: as `read`.
        """
        while True:
            if not self._hand_on(into):
                return True
            if self._over:
                return False
            if self._error is not None:
                raise self._error
            self._into, self._stopped = into, False
            try:
                await self._more()
            finally:
                self._into = None
            if self._stopped:
                return True

    def rest(self) -> None:
        """Be put aside until the next request. The clock goes on: to start one for each request costs it 3 us."""
        self._resting_since = self._loop.time()

    def age(self) -> float:
        """Return for how many seconds it has been put aside."""
        return self._loop.time() - self._resting_since

    def cut(self) -> None:
        """Close the connection at once because the gateway is being stopped; whoever reads the response learns that."""
        if not self._over and self._error is None:
            self._error = CutError()
        self.abort()

    def abort(self) -> None:
        """Close the connection at once. Whoever reads the response learns that it is not complete."""
        self._stop_clock()
        if not self._over and self._error is None:
            self._error = ClosedError()
        if self._transport is not None:
            self._transport.abort()

    # ---- from the event loop -----------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return where to put what comes."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Parse what came, and wake whoever waits for it."""
        if self._over:
            self.abort()  # nobody asked for anything
            return
        try:
            self._parser.feed_data(self._buffer[:nbytes])
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._fail(self._error or BadResponseError("not HTTP"))
            return
        if not self._headers_done:
            self._head_size += nbytes
            if self._head_size > MAX_HEAD:
                self._fail(BadResponseError("head too large"))
                return
        if self._into is None or self._over:
            self._wake()
        else:
            self._hand_on_at_once(self._into)
        if self._body_size > HIGH_WATER and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """Note the end: that of the body, if nothing else was to say where it ends."""
        if not self._over and self._error is None:
            if self._ends_with_connection and self._headers_done and exc is None:
                self._over = True
            else:
                self._error = ClosedError()
        self._keep = False
        self._stop_clock()
        self._wake()

    # ---- from the parser ---------------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """Refuse a response that nobody asked for, behind the one that somebody did."""
        if self._headers_done:
            raise BadResponseError("more than one response")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Note a header. Trailers come here, too, and are nobody's concern."""
        if not self._headers_done:
            self._fields.append((name, value))

    def on_headers_complete(self) -> None:
        """Note the status, and how the body will end."""
        self.status = self._parser.get_status_code()
        if self.status < 200:
            return  # an interim response; the real one follows
        self._headers_done = True
        self.headers = headers = decoded(self._fields, "latin-1")
        self._keep = self._parser.should_keep_alive()
        self._ends_with_connection = "content-length" not in headers and "transfer-encoding" not in headers
        coding = headers.get("content-encoding", "identity").strip().lower()
        if coding in _CODINGS:
            self._decoder = zlib.decompressobj(_CODINGS[coding])
        elif coding not in {"", "identity"}:
            self._error = BadResponseError(f"content-encoding {coding!r}")
            raise self._error

    def on_body(self, body: bytes) -> None:
        """Keep a piece of the body."""
        self._pieces.append(body)
        self._body_size += len(body)

    def on_message_complete(self) -> None:
        """Note the end of the response."""
        if self._headers_done:
            self._over = True
        else:
            self._fields = []

    # ---- inside ------------------------------------------------------------------------------------------------------

    def _reset(self) -> None:
        self._decoder: zlib._Decompress | None = None  # pyright: ignore[reportPrivateUsage] - its only name
        self._headers_done = False
        self._ends_with_connection = False
        self._keep = False
        self._head_size = 0
        self._pieces: list[bytes] = []
        self._body_size = 0
        self.status = 0
        self._fields: list[tuple[bytes, bytes]] = []
        self.headers: dict[str, str] = {}

    def _take(self) -> bytes:
        pieces = self._pieces
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        self._pieces = []
        self._body_size = 0
        if self._decoder is not None:
            data = self._decode(self._decoder, data)
        if self._paused and not self._pieces and self._transport is not None:
            self._paused = False
            if not self._transport.is_closing():
                self._transport.resume_reading()
        return data

    def _decode(self, decoder: "zlib._Decompress", data: bytes) -> bytes:  # pyright: ignore[reportPrivateUsage]
        """Return as much of a compressed piece as may be held, and put back the rest: a few bytes can be gigabytes."""
        if decoder.eof:
            return b""  # zlib would keep what stands behind the end
        try:
            decoded = decoder.decompress(data, HIGH_WATER)
        except zlib.error:
            self._fail(BadResponseError("damaged compression"))
            raise BadResponseError("damaged compression") from None
        if decoder.unconsumed_tail or len(decoded) == HIGH_WATER:
            self._pieces = [decoder.unconsumed_tail]
            self._body_size = len(decoder.unconsumed_tail)
        return decoded

    def _hand_on(self, into: Callable[[bytes], bool]) -> bool:
        """Hand on all that has come; return whether all of it was wanted."""
        while self._pieces:
            if (data := self._take()) and not into(data):
                return False
        return True

    def _hand_on_at_once(self, into: Callable[[bytes], bool]) -> None:
        self._waiting_since = self._loop.time()
        try:
            if self._hand_on(into):
                return
        except Exception as error:  # whatever it is concerns the task that waits
            if self._waiter is not None and not self._waiter.done():
                self._waiter.set_exception(error)
        self._into = None
        self._stopped = True
        self._wake()

    def _more(self) -> asyncio.Future[None]:
        """Return what is done when something has come. Who waits for it no longer, aborts the connection."""
        self._waiting_since = self._loop.time()
        self._waiter = waiter = self._loop.create_future()
        return waiter

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        self._waiting_since = 0.0
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _fail(self, error: Exception) -> None:
        self._error = error
        self._wake()
        self.abort()

    def _look_at_clock(self) -> None:
        """Break a wait that has lasted too long; look again when the present one will have."""
        waited = self._loop.time() - self._waiting_since if self._waiting_since else 0.0
        if waited >= self._patience:
            self._fail(TimeoutError())
        else:
            self._clock = self._loop.call_later(self._patience - waited, self._look_at_clock)

    def _stop_clock(self) -> None:
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None


def _buffer() -> memoryview:
    """Return what all connections of a thread read into: each parses what it has read before another reads."""
    if not hasattr(_of_thread, "buffer"):
        _of_thread.buffer = memoryview(bytearray(READ_SIZE))
    return _of_thread.buffer
