"""The client's end of a streamed answer."""

from collections.abc import Callable

from penstock.gateway.call import CallCancelledError, ClientStalledError
from penstock.server.http import Request

# No proxy may hold a stream back or change it (section 9 of docs/protocols.md).
STREAM_HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-cache, no-transform",
    "X-Accel-Buffering": "no",
}


class StreamClient:
    """Writes a streamed answer to the connection of its request.

    Attributes:
        begun: whether status and headers are on their way, so that nothing can become an HTTP error any more.
    """

    def __init__(self, request: Request, headers: dict[str, str]) -> None:
        self._connection = request.connection
        self._request = request
        self._chunked = request.version != "1.0"
        self._headers = headers
        self._head = b""  # waits for the first bytes of the body, to leave with them
        self.begun = False

    async def start(self, headers: dict[str, str], data: bytes) -> None:
        """Send status 200, the headers, and the first bytes, which may be none only if `end` or `abort` comes next."""
        self.begun = True
        opening = self._connection.open_stream(self._request, self._headers | headers)
        if data:
            self._connection.begin_stream(self._request, opening + self._framed(data))
        else:
            self._head = opening

    def push(self, data: bytes) -> bool:
        """Send bytes at once; return whether the client keeps up."""
        return self._connection.write(b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data)

    async def drained(self) -> None:
        """Return when the connection can take more. A client that takes nothing for too long counts as gone.

        Raises:
            ConnectionError: the client has left.
        """
        await self._connection.drained()

    async def end(self, data: bytes) -> None:
        """Send the last bytes, and end the body as a complete one."""
        end = b"0\r\n\r\n" if self._chunked else b""
        self._connection.end_stream(self._head + self._framed(data) + end)

    async def abort(self, data: bytes = b"") -> None:
        """Send the last bytes, and break the connection before the end of the body.

        That is a transport error in every HTTP client, so those that overlook the error event still notice.
        """
        self._connection.break_stream(self._head + self._framed(data))

    def on_gone(self, callback: Callable[[ConnectionError | CallCancelledError], object]) -> None:
        """Call back when the connection is lost, instead of ending the task that serves it."""

        def lost() -> None:
            callback(ClientStalledError() if self._connection.stalled else ConnectionResetError("the client has left"))

        self._connection.on_lost(lost)

    def _framed(self, data: bytes) -> bytes:
        return b"%x\r\n%b\r\n" % (len(data), data) if self._chunked and data else data
