"""Servers that answer with exactly the bytes a test gives them, and what a provider at their address looks like."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from penstock.core.secret import Secret
from penstock.protocols.base import Outbound
from penstock.upstreams.catalog import Provider
from penstock.upstreams.transport import UpstreamResponse

CHUNKED = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n"
LAST = b"0\r\n\r\n"

ASK = Outbound("/chat/completions", b'{"stream":true}')

Script = Callable[["Peer"], Awaitable[None]]


class Peer:
    """The server's side of one connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def request(self) -> tuple[str, dict[str, str], bytes]:
        """Read one request: its first line, headers (lower case) and body."""
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
        raw = dict(line.split(": ", 1) for line in head[1:] if line)
        headers |= {name.lower(): value for name, value in raw.items()}
        body = await self.reader.readexactly(int(headers.get("content-length", "0")))
        return head[0], headers, body

    async def send(self, *pieces: bytes) -> None:
        for piece in pieces:
            self.writer.write(piece)
            await self.writer.drain()

    def reset(self) -> None:
        """Drop the connection without a FIN."""
        self.writer.transport.abort()


@asynccontextmanager
async def serving(script: Script) -> AsyncIterator["Server"]:
    """Run `script` for every connection."""
    served = Server()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.connections += 1
        try:
            await script(Peer(reader, writer))
        except (ConnectionError, asyncio.IncompleteReadError):
            served.left.set()
        finally:
            writer.close()

    listener = await asyncio.start_server(handle, "127.0.0.1", 0)
    served.port = listener.sockets[0].getsockname()[1]
    try:
        yield served
    finally:
        listener.close()


class Server:
    """A running server. `left` is set when a client went away before it had everything."""

    def __init__(self) -> None:
        self.port = 0
        self.connections = 0
        self.left = asyncio.Event()

    @property
    def provider(self) -> Provider:
        return Provider("lab", "Lab", "openai-chat", f"http://127.0.0.1:{self.port}/v1", Secret("sk-very-secret"))


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


async def body_of(response: UpstreamResponse) -> bytes:
    pieces = []
    while piece := await response.read():
        pieces.append(piece)
    return b"".join(pieces)
