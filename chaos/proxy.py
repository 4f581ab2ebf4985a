"""A TCP proxy that does to an answer what networks do, as a plan says. Pure asyncio; needs no rights.

    async with proxied(upstream_port, lambda request: Plan(ending="reset", at=1234)) as port: ...

A plan is a value: drawn from a seed, printed in words, and carried out in the same way each time. It concerns the bytes
of one connection on the way to whoever connected; what goes the other way is handed on untouched.
"""

import asyncio
import contextlib
import random
import socket
import struct
from collections.abc import AsyncIterator, Callable
from typing import Literal

from msgspec import Struct

Ending = Literal[
    "none",  # as the server ends it
    "reset",  # RST
    "fin",  # both directions closed
    "half-close",  # FIN to the client, whose bytes are still read
    "stall",  # a black hole: nothing more comes, and nothing is closed
]

ENDINGS: tuple[Ending, ...] = ("reset", "fin", "half-close", "stall")

MIN_JITTERED = 32
"""Bytes of the smallest pieces that are drawn with jitter: thousands of sleeps prove no more than a hundred."""

_READ = 64 * 1024
_NO_LINGER = struct.pack("ii", 1, 0)  # SO_LINGER with no time: close(2) sends RST


class Plan(Struct, frozen=True):
    """What is done to the bytes of one answer, its head included. Offsets count them as the server wrote them.

    Attributes:
        ending: what ends it at byte `at`.
        at: bytes that are handed on before the end.
        delay: seconds before the first byte.
        jitter: at most so many seconds before each piece.
        slice: bytes of a piece; 0 hands on what comes as it comes.
        corrupt: the byte that is changed, or None.
        duplicate: first and last byte (exclusive) of a segment that comes twice, or None.
        seed: of the jitter.
    """

    ending: Ending = "none"
    at: int = 0
    delay: float = 0.0
    jitter: float = 0.0
    slice: int = 0
    corrupt: int | None = None
    duplicate: tuple[int, int] | None = None
    seed: int = 0

    def __str__(self) -> str:
        """Return the plan in words."""
        words = [f"{self.ending}@{self.at}"] if self.ending != "none" else []
        words += [f"{name}={getattr(self, name):.4g}" for name in ("delay", "jitter", "slice") if getattr(self, name)]
        words += [f"corrupt@{self.corrupt}"] if self.corrupt is not None else []
        words += [f"duplicate@{self.duplicate[0]}-{self.duplicate[1]}"] if self.duplicate else []
        return ",".join(words) or "untouched"


def draw_harmless(seed: int, patience: float = 0.02) -> Plan:
    """Return a plan that changes when bytes come and in what pieces, and nothing else.

    Args:
        seed: what it is drawn from.
        patience: seconds that the delay may be; jitter is a fifth of it at most.
    """
    drawn = random.Random(seed)
    size = drawn.choice((1, 2, 3, 7, drawn.randrange(4, 64), drawn.randrange(64, 2048)))
    return Plan(
        delay=drawn.choice((0.0, drawn.uniform(0, patience))),
        jitter=drawn.choice((0.0, drawn.uniform(0, patience / 5))) if size >= MIN_JITTERED else 0.0,
        slice=size,
        seed=seed,
    )


def draw_damage(seed: int, size: int) -> Plan:
    """Return a plan that changes one byte of an answer of `size` bytes, or sends a segment of it twice."""
    drawn = random.Random(seed)
    at = drawn.randrange(size)
    if drawn.random() < 0.5:
        return Plan(corrupt=at, seed=seed)
    return Plan(duplicate=(at, min(size, at + drawn.randrange(1, 256))), seed=seed)


Choose = Callable[[bytes], Plan | None]
"""Returns the plan for a connection from the first bytes of its request; None while there are too few to tell."""


class Proxy:
    """One listening proxy. `port` is where to connect."""

    def __init__(self, target: int, choose: Choose) -> None:
        """Hand connections on to the local port `target`."""
        self.port = 0
        self._target = target
        self._choose = choose
        self._serving: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve a connection to its end, whatever that is."""
        task = asyncio.current_task()
        if task is not None:
            self._serving.add(task)
            task.add_done_callback(self._serving.discard)
        with contextlib.suppress(OSError):  # one of the two has left
            await self._serve(reader, writer)
        writer.close()

    async def close(self) -> None:
        """Leave all connections alone."""
        for task in tuple(self._serving):
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = b""
        while (plan := self._choose(request)) is None:
            piece = await reader.read(_READ)
            if not piece:
                return
            request += piece
        from_server, to_server = await asyncio.open_connection("127.0.0.1", self._target)
        to_server.write(request)
        asking = asyncio.create_task(_copy(reader, to_server))
        try:
            await _Answer(plan, from_server, writer, asking).play()
        finally:
            asking.cancel()
            to_server.transport.abort()


class _Answer:
    """The way of one answer to its client."""

    def __init__(
        self, plan: Plan, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, asking: asyncio.Task[None]
    ) -> None:
        self._plan = plan
        self._reader = reader
        self._writer = writer
        self._asking = asking  # is over when the client has left
        self._random = random.Random(plan.seed)
        self._position = 0

    async def play(self) -> None:
        """Hand on the answer, and end it as the plan says."""
        await asyncio.sleep(self._plan.delay)
        left = self._plan.at
        while self._plan.ending == "none" or left:
            data = await self._reader.read(_READ if self._plan.ending == "none" else min(left, _READ))
            if not data:
                return
            left -= len(data)
            await self._send(self._damaged(data))
        await self._end()

    def _damaged(self, data: bytes) -> bytes:
        begin, end = self._position, self._position + len(data)
        self._position = end
        corrupt, duplicate = self._plan.corrupt, self._plan.duplicate
        if corrupt is not None and begin <= corrupt < end:
            at = corrupt - begin
            data = data[:at] + bytes([data[at] ^ (1 << self._random.randrange(8))]) + data[at + 1 :]
        if duplicate is not None and begin < duplicate[1] <= end:
            at = duplicate[1] - begin
            data = data[:at] + data[max(0, duplicate[0] - begin) :]
        return data

    async def _send(self, data: bytes) -> None:
        size = self._plan.slice or len(data)
        for at in range(0, len(data), size):
            await asyncio.sleep(self._random.uniform(0, self._plan.jitter) if self._plan.jitter else 0)
            self._writer.write(data[at : at + size])
            await self._writer.drain()

    async def _end(self) -> None:
        match self._plan.ending:
            case "reset":
                sock: socket.socket = self._writer.get_extra_info("socket")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
                self._writer.transport.abort()
            case "half-close":
                self._writer.write_eof()
                await self._asking
            case "stall":
                await self._asking
            case _:
                pass


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(_READ):
            writer.write(data)
            await writer.drain()


@contextlib.asynccontextmanager
async def proxied(target: int, choose: Choose) -> AsyncIterator[int]:
    """Run a proxy in front of the local port `target`; yield its own."""
    proxy = Proxy(target, choose)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0, backlog=1024)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy.port
    finally:
        server.close()
        await proxy.close()
