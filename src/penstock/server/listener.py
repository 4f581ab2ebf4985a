"""Accepting connections, looking at their clocks, and closing them all."""

import asyncio
import contextlib
import socket
import time
from email.utils import formatdate

from penstock.config import Limits
from penstock.server.connection import Connection
from penstock.server.http import Handler
from penstock.server.sharing import Shared

BACKLOG = 4096
"""Connections that the system may hold until they are accepted."""

MAX_UNSENT = 64 * 1024
"""Bytes per connection that the system holds because the client does not take them. By default it holds megabytes, and
takes no more before a third of them is gone: a slow client would look like one that takes nothing."""

TICK = 0.5
"""Seconds between two looks at the clock of a connection: one timer for all, instead of one for each request."""

AT_ONCE = 32
"""Connections whose clocks are looked at without a break. There is one, too, after each that is told that its time is
over: that costs as much as the answer to any request, and thousands can expire at once."""


class Listener:
    """A listening HTTP server.

    Attributes:
        addresses: host and port of each socket it listens on.
    """

    def __init__(self, server: asyncio.Server, shared: Shared) -> None:
        self.addresses: list[tuple[str, int]] = [listening.getsockname()[:2] for listening in server.sockets]
        self._server = server
        self._shared = shared
        self._tick()

    async def close(self) -> None:
        """Stop listening, close the connections that rest, and return when the others have sent their answers."""
        self._server.close()
        self._shared.stopping = True
        for connection in tuple(self._shared.connections):
            connection.retire()
        try:
            await self._shared.empty.wait()
        finally:
            self._timer.cancel()

    def abort(self) -> None:
        """Close all connections at once."""
        for connection in tuple(self._shared.connections):
            connection.abort()

    def _tick(self) -> None:
        """Begin a round."""
        self._shared.date = f"Date: {formatdate(time.time(), usegmt=True)}\r\n".encode("ascii")
        self._look(tuple(self._shared.connections), 0, self._shared.loop.time())

    def _look(self, connections: tuple[Connection, ...], begin: int, round_began: float) -> None:
        """Look at the next few clocks; spread the others over the rest of the round."""
        now = self._shared.loop.time()
        end = begin
        for connection in connections[begin : begin + AT_ONCE]:
            end += 1
            if connection.look_at_clock(now):
                break
        if end < len(connections):
            when = round_began + TICK * end / len(connections)
            self._timer = self._shared.loop.call_at(when, self._look, connections, end, round_began)
        else:
            self._timer = self._shared.loop.call_at(round_began + TICK, self._tick)


async def listen(
    handler: Handler, host: str, port: int, limits: Limits | None = None, listening: socket.socket | None = None
) -> Listener:
    """Serve HTTP at an address, where port 0 takes a free one; or on a socket that is bound already.

    Raises:
        OSError: the address cannot be listened on.
    """
    loop = asyncio.get_running_loop()
    shared = Shared(loop, handler, limits or Limits())
    if listening is None:
        server = await loop.create_server(lambda: Connection(shared), host, port, backlog=BACKLOG, reuse_address=True)
    else:
        server = await loop.create_server(lambda: Connection(shared), sock=listening, backlog=BACKLOG)
    with contextlib.suppress(AttributeError, OSError):  # not every system has it
        for bound in server.sockets:
            bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, MAX_UNSENT)  # connections inherit it
    return Listener(server, shared)
