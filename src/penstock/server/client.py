"""The client's end of a streamed answer, on aiohttp."""

from aiohttp import hdrs, web

# No proxy may hold a stream back or change it (section 9 of docs/protocols.md).
STREAM_HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-cache, no-transform",
    "X-Accel-Buffering": "no",
}

HIGH_WATER = 64 * 1024
"""Bytes that wait to be sent before the client counts as slow: as many as the event loop itself takes for that."""


class StreamClient:
    """Writes a stream to the connection of one request.

    Attributes:
        response: what the server is to hand back; its status and headers leave with `start`.
    """

    def __init__(self, request: web.BaseRequest, headers: dict[str, str]) -> None:
        self._request = request
        self.response = web.StreamResponse(headers=headers)
        self._chunked = False

    async def start(self, headers: dict[str, str], data: bytes) -> None:
        """Send status 200, the headers, and the first bytes, which may be none only if `end` comes next."""
        self.response.headers.update(headers)
        await self.response.prepare(self._request)
        self._chunked = hdrs.TRANSFER_ENCODING in self.response.headers
        if data:
            await self.response.write(data)

    def push(self, data: bytes) -> bool:
        """Send bytes at once; return whether the client keeps up.

        It writes to the transport what `StreamResponse.write` would, without a coroutine for each chunk. That is the
        order of things as long as the headers have left, which `start` has seen to.
        """
        transport = self._request.transport
        if transport is None or transport.is_closing():
            return False
        transport.write(b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data)
        return transport.get_write_buffer_size() <= HIGH_WATER

    async def drained(self) -> None:
        """Return when the connection can take more.

        Raises:
            ConnectionError: the client has left.
        """
        transport = self._request.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the client has left")
        await self._request.writer.drain()

    async def end(self, data: bytes) -> None:
        """Send the last bytes, and end the body as a complete one."""
        await self.response.write_eof(data)

    async def abort(self, data: bytes = b"") -> None:
        """Send the last bytes, and close the connection without the end of the body.

        A chunked body without its last chunk is a transport error in every HTTP client, so those that overlook the
        error event still notice.
        """
        if data:
            await self.response.write(data)
        if self._request.transport is not None:
            self._request.transport.close()
