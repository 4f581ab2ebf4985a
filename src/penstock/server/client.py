"""The client's end of a streamed answer, on aiohttp."""

from aiohttp import web

# No proxy may hold a stream back or change it (section 9 of docs/protocols.md).
STREAM_HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-cache, no-transform",
    "X-Accel-Buffering": "no",
}


class StreamClient:
    """Writes a stream to the connection of one request.

    Attributes:
        response: what the server is to hand back; its status and headers leave with `start`.
    """

    def __init__(self, request: web.BaseRequest, headers: dict[str, str]) -> None:
        self._request = request
        self.response = web.StreamResponse(headers=headers)

    async def start(self, headers: dict[str, str]) -> None:
        """Prepare status 200 and the headers; they leave together with the first bytes."""
        self.response.headers.update(headers)
        await self.response.prepare(self._request)

    async def write(self, data: bytes) -> None:
        """Send bytes; returns when the connection can take more."""
        await self.response.write(data)

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
