"""An HTTP server with a handler of the test's own, and a client that sends what it is told, byte by byte."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator

from msgspec import Struct

from penstock.config import Limits
from penstock.core.errors import Fault
from penstock.server.client import StreamClient
from penstock.server.http import Handler, HttpFault, Request, Response
from penstock.server.listener import Listener, listen


class Answer(Struct):
    """A response as it came over the wire."""

    status: int
    headers: dict[str, str]
    body: bytes


class RawClient:
    """A connection on which nothing is sent but what the test says."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def answer(self, *, bodiless: bool = False) -> Answer:
        """Read one response whose length is announced, or that is chunked."""
        head = (await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 5)).decode("latin-1")
        first, *lines = head.strip().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        body = b""
        if bodiless or first.split()[1] == "100":
            pass
        elif "chunked" in headers.get("transfer-encoding", ""):
            while piece := await self._chunk():
                body += piece
        else:
            body = await self.reader.readexactly(int(headers.get("content-length", 0)))
        return Answer(int(first.split()[1]), headers, body)

    async def _chunk(self) -> bytes:
        size = int(await self.reader.readuntil(b"\r\n"), 16)
        return (await self.reader.readexactly(size + 2))[:-2]

    async def rest(self) -> tuple[bytes, bool]:
        """Read to the end of the connection; return what came, and whether it ended in a reset."""
        pieces: list[bytes] = []
        try:
            async with asyncio.timeout(5):
                while piece := await self.reader.read(65536):
                    pieces.append(piece)
        except ConnectionError:
            return b"".join(pieces), True
        return b"".join(pieces), False

    def leave(self) -> None:
        self.writer.transport.abort()


class Site:
    """A listening server."""

    def __init__(self, listener: Listener) -> None:
        self.listener = listener
        self.clients: list[RawClient] = []

    async def client(self) -> RawClient:
        client = RawClient(*await asyncio.open_connection(*self.listener.addresses[0]))
        self.clients.append(client)
        return client

    @property
    def open(self) -> int:
        """Return how many connections are open, or still have a handler that runs."""
        return len(self.listener._shared.connections)

    async def turn(self) -> None:
        """Let the server read what was sent."""
        for _ in range(3):
            await asyncio.sleep(0)

    async def asked(self, data: bytes) -> bytes:
        """Return all that is answered to some bytes before the connection ends."""
        client = await self.client()
        client.send(data)
        return (await client.rest())[0]


@contextlib.asynccontextmanager
async def site(handler: Handler, limits: Limits | None = None) -> AsyncIterator[Site]:
    """Run a server."""
    running = Site(await listen(handler, "127.0.0.1", 0, limits))
    try:
        yield running
    finally:
        for client in running.clients:
            client.leave()
        running.listener.abort()
        await asyncio.wait_for(running.listener.close(), 5)


async def echo(request: Request) -> Response:
    """Answer with the method, the path and the body; or with what is wrong."""
    try:
        body = await request.read()
    except Fault as fault:
        return refusal(fault)
    return Response(f"{request.method} {request.raw_path} ".encode() + body)


async def refuse(request: Request) -> Response:
    """Answer without reading the body."""
    return refusal(request.fault) if request.fault else Response(b"no", 401)


async def drip(request: Request) -> None:
    """Stream the body back, a byte at a time."""
    body = await request.read()
    client = StreamClient(request, {})
    await client.start({}, body[:1])
    for position in range(1, len(body)):
        client.push(body[position : position + 1])
    await client.end(b"")


def refusal(fault: Fault) -> Response:
    return Response(fault.info.message.encode(), fault.status if isinstance(fault, HttpFault) else 400)


def statuses(answers: bytes) -> list[int]:
    """Return the status of each response in some bytes."""
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d+) ", answers)]
