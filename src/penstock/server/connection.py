"""One HTTP/1.1 connection from a client: requests in, responses out, in the same order.

The parser is llhttp (httptools), with none of its leniencies; docs/decisions/0006 says why this is not a library. What
it calls back builds a `Request`; its handler runs as one task as soon as the head is there, and is cancelled when the
client leaves. Writes go straight to the transport.

A client may end its side while an answer is on its way, and read on (a "half-close"); but the end of its side is also
all that we hear of one that was killed, and its provider must not go on at its cost. So something is sent to it at once
that says nothing, or nothing yet: only who is gone answers that with a reset.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Mapping
from typing import Literal, cast

import httptools

from penstock.server.http import CONTINUE, LINE, START, ZERO, HttpFault, Request, Response, head
from penstock.server.rules import (
    HEAD_FRAMING,
    MAX_AHEAD,
    MAX_BEYOND,
    MAX_BODY,
    MAX_FRAMING,
    MAX_HEAD,
    MAX_HEADERS,
    MAX_TARGET,
    MAX_WAITING,
    body_too_large,
    check,
    head_too_large,
    not_http,
    too_many_connections,
)
from penstock.server.sharing import Shared
from penstock.server.sockets import RESET_DELAY, reset, was_reset
from penstock.wire.headers import decoded

HIGH_WATER = 64 * 1024
"""Bytes that wait to be sent before the client counts as slow."""

_UNLIMITED = float("inf")


class Connection(asyncio.Protocol):
    """State of one connection. `stalled`: its client took nothing for too long, and so it was closed."""

    __slots__ = (
        "_ahead", "_begun_now", "_body_since", "_current", "_deadline", "_deaf", "_drained", "_early", "_end", "_ended",
        "_fields", "_full", "_incoming", "_keep", "_lost", "_nothing", "_on_lost", "_open", "_parser", "_paused",
        "_received", "_served", "_shared", "_stalled_since", "_taken", "_target", "_task", "_transport", "_waiting",
        "_written", "stalled",
    )  # fmt: skip

    _transport: asyncio.Transport

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._parser = httptools.HttpRequestParser(self)
        # The request that is being read.
        self._open = False  # its first byte has come, its last has not
        self._begun_now = False  # its first byte came with what is being parsed
        self._received = 0  # bytes of it, not counting those that came with its first
        self._target = b""
        self._fields: list[tuple[bytes, bytes]] = []
        self._incoming: Request | None = None  # its head is complete
        self._deaf = False  # nothing is read any more
        # The request that is being answered, and those behind it.
        self._served = False  # whether there was one before
        self._current: Request | None = None
        self._body_since = 0.0  # its body is waited for
        self._task: asyncio.Task[None] | None = None
        self._end: Literal["missing", "complete", "broken"] = "missing"  # of the answer, as far as it has been sent
        self._nothing = b""  # what says nothing at this point of the answer
        self._early = 0  # bytes of its head that have been sent for that
        self._keep = False  # whether the connection outlives the answer
        self._waiting: deque[Request] = deque()
        self._ahead = 0
        self._paused = False
        # The way back.
        self._full = False
        self._drained: asyncio.Future[None] | None = None
        self._written = self._taken = 0  # bytes, by us and by the client
        self._stalled_since = 0.0
        self.stalled = False
        self._ended = False  # the client has ended its side
        self._lost = False
        self._on_lost: Callable[[], object] | None = None
        self._deadline = _UNLIMITED

    @property
    def peer(self) -> str | None:
        """The address at the other end; None if it has none, or has left."""
        name = cast("tuple[str, int] | str | None", self._transport.get_extra_info("peername"))
        return name[0] if isinstance(name, tuple) else None  # a text: the path of a socket in the file system

    # ---- for the client's end of an answer ---------------------------------------------------------------------------

    def go_on(self) -> None:
        """Tell the client to send the body."""
        self.write(CONTINUE)

    def open_stream(self, request: Request, headers: dict[str, str]) -> bytes:
        """Return the head of a response whose body ends when it ends; `begin_stream` sends it."""
        self._nothing = b""
        if request.version == "1.0":
            request.keep_alive = False
            return self._head(request, 200, headers, b"")
        return self._head(request, 200, headers, b"Transfer-Encoding: chunked\r\n")

    def begin_stream(self, request: Request, data: bytes) -> None:
        """Send the head of a response, and the beginning of its body."""
        self.write(data)
        self._nothing = LINE if request.version == "1.0" else ZERO

    def write(self, data: bytes) -> bool:
        """Send bytes; return whether the client keeps up."""
        transport = self._transport
        if transport.is_closing():
            return False
        transport.write(data)
        self._written += len(data)
        return transport.get_write_buffer_size() <= HIGH_WATER

    async def drained(self) -> None:
        """Return when there is room to write, or when whoever has asked for it was told that the client has left.

        Raises:
            ConnectionError: the client has left.
        """
        if self._lost or (self._on_lost is None and self._transport.is_closing()):
            raise ConnectionResetError("the client has left")
        if self._full or self._transport.is_closing():
            self._drained = self._shared.loop.create_future()
            await self._drained

    def on_lost(self, callback: Callable[[], object]) -> None:
        """Call back when the client leaves while the request is being served, instead of cancelling its handler."""
        self._on_lost = callback
        if self._lost:
            callback()

    def end_stream(self, data: bytes) -> None:
        """Send the end of a response."""
        self._end = "complete"
        self.write(data)

    def break_stream(self, data: bytes) -> None:
        """Send the last bytes of a response that is not complete, and close the connection."""
        self._end = "broken"
        self._deaf = True
        self.write(data)
        if self._current is not None and self._current.version == "1.0":
            # Here the end of the connection is the end of the body; only a reset tells that it is not.
            self._shared.loop.call_later(RESET_DELAY, reset, self._transport)
        else:
            self._transport.close()

    # ---- for the listener --------------------------------------------------------------------------------------------

    def retire(self) -> None:
        """Close the connection after the answer that is on its way, if one is."""
        self._keep = False
        self._waiting.clear()
        if self._task is None:
            self._transport.close()

    def abort(self) -> None:
        """Close the connection at once."""
        self._transport.abort()

    def look_at_clock(self, now: float) -> bool:
        """Act on what has taken too long; return whether something has."""
        if self._lost:
            return False  # its handler is about to end
        if self._ended and was_reset(self._transport):
            self._transport.abort()
            return True
        unsent = self._transport.get_write_buffer_size()
        taken = self._written - unsent
        if unsent == 0 or taken != self._taken:
            self._taken = taken
            self._stalled_since = now
        elif now - self._stalled_since > self._shared.limits.stall:
            self.stalled = True
            self._transport.abort()
            return True
        if now <= self._deadline:
            return False
        self._expire()
        return True

    # ---- from the event loop -----------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(HIGH_WATER)
        self._shared.enter(self)
        room = self._shared.room()
        if self._shared.stopping or room == "none":  # if stopping, nobody looks at its clock any more
            self._transport.abort()
        elif room == "to refuse":
            self._refuse(too_many_connections(self._shared.limits.connections))
        self._deadline = self._shared.loop.time() + self._shared.limits.head

    def data_received(self, data: bytes) -> None:
        """Parse what came."""
        if self._deaf:
            self._drop(len(data))
            return
        self._begun_now = False
        self._feed(data)
        if not self._begun_now:
            self._received += len(data)
        if self._open and not self._deaf:
            self._follow()
        if self._waiting:
            self._ahead += len(data)
            if self._ahead > MAX_AHEAD and not self._paused:
                self._paused = True
                self._transport.pause_reading()

    def eof_received(self) -> bool:
        """Find out whether the client only ended its side, or is gone. The transport closes if this returns False."""
        request = self._current
        if self._task is None or request is None:
            return False
        if not request.complete:
            if self._end == "missing":
                self._transport.abort()
            return False
        self._ended = True
        self._find_out(request)
        return True

    def pause_writing(self) -> None:
        """Note that the client is slow."""
        self._full = True

    def resume_writing(self) -> None:
        """Wake whoever waits for room."""
        self._full = False
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel the handler, since nobody waits for what it does; or let it know, if it has asked for that."""
        self._lost = True
        self._deaf = True
        self._waiting.clear()
        if self._task is None:
            self._shared.leave(self)
        else:
            (self._on_lost or self._task.cancel)()
            self.resume_writing()

    # ---- from the parser ---------------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """Begin a request."""
        if len(self._waiting) >= MAX_WAITING:
            raise HttpFault(400, f"More than {MAX_WAITING} requests were sent ahead of their answers.")
        self._open = self._begun_now = True
        self._received = 0
        self._target = b""
        self._fields = []

    def on_url(self, piece: bytes) -> None:
        """Take a piece of path and query."""
        self._target += piece
        if len(self._target) > MAX_TARGET:
            raise HttpFault(414, f"Path and query exceed {MAX_TARGET // 1024} KiB.")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header. Trailers come here, too; they are counted and dropped."""
        self._fields.append((name, value))
        if len(self._fields) > MAX_HEADERS:
            raise HttpFault(431, f"The request has more than {MAX_HEADERS} headers.")

    def on_headers_complete(self) -> None:
        """Begin to serve the request, or let it wait for its turn."""
        method = self._parser.get_method().decode("ascii")
        if self._parser.should_upgrade() and method != "CONNECT":  # a CONNECT is always one, to llhttp
            return  # it will be read again without the offer
        request = self._request(method)
        check(request, self._fields)
        request.keep_alive = self._parser.should_keep_alive()
        request.expects = request.version != "1.0" and request.headers.get("expect", "").lower() == "100-continue"
        self._incoming = request
        self._take_up(request)

    def on_body(self, piece: bytes) -> None:
        """Take a piece of a body."""
        request = cast("Request", self._incoming)
        request.take(piece)
        if request.size > MAX_BODY:
            raise body_too_large()

    def on_message_complete(self) -> None:
        """End a request."""
        request, self._incoming = self._incoming, None
        if request is None:
            return  # it will be read again without its offer to change the protocol
        self._open = False
        self._deaf = not request.keep_alive
        request.finish()
        if request is self._current:
            self._deadline = _UNLIMITED
            if self._task is None:
                self._next()

    # ---- requests ----------------------------------------------------------------------------------------------------

    def _feed(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
            return
        except httptools.HttpParserUpgrade as upgrade:
            rest = data[cast("int", upgrade.args[0]) :]
        except httptools.HttpParserError as error:
            if not self._deaf:  # what stands behind the last request concerns nobody
                known = error.__context__
                self._refuse(known if isinstance(known, HttpFault) else not_http(data, str(error)))
            return
        # Not within the handler: an error raised there would have the upgrade for its context, and not the fault.
        self._feed_without_offer(rest)

    def _feed_without_offer(self, rest: bytes) -> None:
        """Parse a request again without its offer to upgrade, for which llhttp has skipped the body.

        A server may ignore an offer (RFC 9110, 7.8). Java's client makes one with every first request.
        """
        fields = [b"%b: %b\r\n" % field for field in self._fields if field[0].lower() != b"upgrade"]
        version = self._parser.get_http_version().encode("ascii")
        line = b"%b %b HTTP/%b\r\n" % (self._parser.get_method(), self._target, version)
        self._parser = httptools.HttpRequestParser(self)
        self._feed(line + b"".join(fields) + b"\r\n" + rest)

    def _follow(self) -> None:
        """Hold a request that is not complete yet to its limits."""
        request = self._incoming
        if request is None:
            if self._received > MAX_HEAD + MAX_TARGET + HEAD_FRAMING:
                self._refuse(head_too_large())
            elif self._begun_now and self._served and self._current is None:
                self._deadline = self._shared.loop.time() + self._shared.limits.head
        elif self._received - request.size > MAX_FRAMING:
            self._refuse(HttpFault(400, f"The framing of the body exceeds {MAX_FRAMING // 2**20} MiB."))
        elif request is self._current and self._task is not None:
            self._deadline = self._body_deadline(request)

    def _body_deadline(self, request: Request) -> float:
        """Return when the body must be complete, or more of it have come."""
        limits = self._shared.limits
        return self._body_since + min(limits.body, limits.body_grace + request.size / limits.body_rate)

    def _drop(self, size: int) -> None:
        """Count bytes that nobody reads. A client that does not stop is kept from sending more."""
        self._received += size
        if self._received > MAX_BODY + MAX_BEYOND and not self._paused:
            self._paused = True
            self._transport.pause_reading()

    def _request(self, method: str) -> Request:
        """Return the request whose head has come so far."""
        # What is no path is refused, and its log must not repeat it: addresses can hold passwords.
        target = self._target.decode("latin-1") if self._target.startswith(b"/") else ""
        return Request(self, method, target, decoded(self._fields, "utf-8"), self._parser.get_http_version())

    def _refuse(self, fault: HttpFault) -> None:
        """Let the request that is being read fail; it is the last that is."""
        self._deaf = True
        self._open = False
        request = self._incoming
        if request is None:
            request = self._request("")
            request.fail(fault)
            self._take_up(request)
            return
        self._incoming = None
        request.fail(fault)
        if request is self._current:
            self._deadline = _UNLIMITED
            if self._task is None:
                self._linger()

    def _take_up(self, request: Request) -> None:
        if self._current is None:
            self._serve(request)
        else:
            self._waiting.append(request)

    def _serve(self, request: Request) -> None:
        self._served = True
        self._current = request
        self._nothing = START if request.version == "1.0" else CONTINUE
        self._early = 0
        self._body_since = self._shared.loop.time()
        self._deadline = _UNLIMITED if request.complete or request.fault else self._body_deadline(request)
        self._task = self._shared.loop.create_task(self._answer(request))
        if self._ended:
            self._find_out(request)

    async def _answer(self, request: Request) -> None:
        try:
            response = await self._shared.handler(request)
            if response is not None:
                self._send(request, response)
        finally:
            self._task = self._on_lost = None  # they know the request, and the connection may rest for long
            self._after(request)

    def _send(self, request: Request, response: Response) -> None:
        content_type, size = response.content_type.encode("ascii"), len(response.body)
        own = b"Content-Type: %b\r\nContent-Length: %d\r\n" % (content_type, size)
        body = b"" if request.method == "HEAD" else response.body
        self.end_stream(self._head(request, response.status, response.headers, own) + body)

    def _head(self, request: Request, status: int, headers: Mapping[str, str], own: bytes) -> bytes:
        """Return what is still to be sent of the head of a response, whose `own` lines are those of its body."""
        return head(status, headers, own + self._lines(request))[self._early :]

    def _lines(self, request: Request) -> bytes:
        """Return the lines that every response has, and settle whether the connection outlives it."""
        unasked = request.expects and not request.complete  # the body may come or not: the next byte means nothing
        self._keep = request.keep_alive and not unasked and not self._shared.stopping
        if not self._keep:
            return self._shared.date + b"Connection: close\r\n"
        if request.version == "1.0":
            return self._shared.date + b"Connection: keep-alive\r\n"
        return self._shared.date

    def _after(self, request: Request) -> None:
        """Go on to what follows an answer."""
        end, self._end = self._end, "missing"
        if self._lost:
            self._shared.leave(self)
        elif end == "missing":
            self._transport.abort()
        elif end == "broken" or self._transport.is_closing():
            pass
        elif request.complete:
            self._next() if self._keep else self._transport.close()
        elif self._keep:
            # The rest of what was refused is read and dropped, and the next request stands behind it.
            request.discard()
            self._deadline = self._shared.loop.time() + self._shared.limits.linger
        else:
            self._linger()

    def _next(self) -> None:
        """Serve the request that waits, or wait for one."""
        self._current = None
        now, limits = self._shared.loop.time(), self._shared.limits
        if not self._waiting and self._ended:
            self._transport.close()
        elif not self._waiting:
            self._deadline = now + (limits.head if self._open else limits.keep_alive)
        else:
            self._serve(self._waiting.popleft())
        if self._paused and not self._waiting:
            self._paused = False
            self._ahead = 0
            self._transport.resume_reading()

    def _linger(self) -> None:
        """End our side, and drop what still comes: to close now would be a reset, and that can outrun the answer."""
        self._deaf = True
        self._current = None
        self._deadline = self._shared.loop.time() + self._shared.limits.linger
        with contextlib.suppress(OSError):
            self._transport.write_eof()

    def _expire(self) -> None:
        limits = self._shared.limits
        self._deadline = _UNLIMITED
        if self._task is not None:
            long = self._shared.loop.time() - self._body_since >= limits.body
            slow = f"was not complete after {limits.body:g} s" if long else f"came at less than {limits.body_rate} B/s"
            self._refuse(HttpFault(408, f"The body {slow}.", "timeout"))
        elif self._open and self._current is None:
            self._refuse(HttpFault(408, f"The head was not complete after {limits.head:g} s.", "timeout"))
        elif self._deaf or self._current is not None:
            self._transport.abort()
        else:
            self._transport.close()

    def _find_out(self, request: Request) -> None:
        """Send something to a client that has ended its side, and count it as gone if it is not there to take it."""
        if self._end == "missing":
            self.write(self._nothing)
            if self._nothing is START:
                self._early = len(START)
            if was_reset(self._transport):
                self._transport.abort()
