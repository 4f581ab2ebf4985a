"""Scenario: thousands of connections that send next to nothing, beside traffic that is as it should be."""

import asyncio
import contextlib
import random

from msgspec import Struct

from tests.server.hostile.process import Process, ask, percentile, question

RATE = 50.0
"""Good requests a second."""


class Siege(Struct, frozen=True):
    """What came of it.

    Attributes:
        calm: seconds to the first event, of good requests before it.
        besieged: likewise, during it.
        closed: seconds after which the last of the slow connections was closed; infinite if one was not.
        told: how many of them were answered with a 408 before.
        files: how many more files than before the gateway had open afterwards.
        memory: bytes that it took for each open connection.
    """

    calm: list[float]
    besieged: list[float]
    closed: float
    told: int
    files: int
    memory: float

    def figures(self) -> str:
        """Return the result in one line."""
        calm, besieged = percentile(self.calm, 0.99) * 1000, percentile(self.besieged, 0.99) * 1000
        return (
            f"p99 time to first event {calm:.1f} -> {besieged:.1f} ms (p50 {percentile(self.calm, 0.5) * 1000:.1f} -> "
            f"{percentile(self.besieged, 0.5) * 1000:.1f}), last closed after {self.closed:.1f} s, {self.told} told, "
            f"{self.files:+d} files, {self.memory / 1024:.1f} KiB a connection"
        )


async def besiege(gateway: Process, *, dripping: int, silent: int, bodies: int, patience: float, calm: float) -> Siege:
    """Open slow connections, and measure good requests before and during that.

    Args:
        gateway: what to besiege.
        dripping: connections that send a byte of a head each second.
        silent: connections that send nothing.
        bodies: connections that send ten bytes of a body each second.
        patience: seconds in which all should be closed.
        calm: seconds to measure before.
    """
    await ask(gateway.port)
    before = await _traffic(gateway.port, calm)
    files, resident = gateway.files, gateway.resident
    loop = asyncio.get_running_loop()
    traffic = asyncio.create_task(_traffic(gateway.port, patience))
    slow = [_drip, *[_drip] * (dripping - 1), *[_silent] * silent, *[_body] * bodies][: dripping + silent + bodies]
    random.Random(1).shuffle(slow)
    tasks: list[asyncio.Task[tuple[float, bytes]]] = []
    for kind in slow:
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        tasks.append(asyncio.create_task(_until_closed(kind, reader, writer, loop.time())))
    memory = (gateway.resident - resident) / len(slow)
    done, pending = await asyncio.wait(tasks, timeout=patience + 5)
    for task in pending:
        task.cancel()
    ended = [task.result() for task in done]
    closed = max(seconds for seconds, _ in ended) if not pending else float("inf")
    besieged = await traffic
    await asyncio.sleep(1.2)
    told = sum(b" 408 " in answer for _, answer in ended)
    return Siege(before, besieged, closed, told, gateway.files - files, memory)


async def idle(gateway: Process, count: int) -> float:
    """Open connections that ask once and then rest; return the bytes of memory that each takes."""
    await ask(gateway.port)
    before = gateway.resident
    writers: list[asyncio.StreamWriter] = []
    for _ in range(count):
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port, limit=1024)
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        await reader.readuntil(b"}")
        writers.append(writer)
    taken = (gateway.resident - before) / count
    for writer in writers:
        writer.transport.abort()
    return taken


async def _traffic(port: int, seconds: float) -> list[float]:
    tasks: list[asyncio.Task[tuple[float, list[float]]]] = []
    for _ in range(int(seconds * RATE)):
        tasks.append(asyncio.create_task(ask(port)))
        await asyncio.sleep(1 / RATE)
    return [(await task)[0] for task in tasks]


async def _until_closed(kind, reader, writer, begun):  # type: ignore[no-untyped-def]
    """Return the seconds until a slow connection was closed, and what it was told before."""
    sending = asyncio.create_task(kind(writer))
    answer = b""
    with contextlib.suppress(ConnectionError):
        while piece := await reader.read(65536):
            answer += piece
    sending.cancel()
    writer.transport.abort()
    return asyncio.get_running_loop().time() - begun, answer


async def _drip(writer: asyncio.StreamWriter) -> None:
    for position in range(len(question("m"))):
        writer.write(question("m")[position : position + 1])
        await asyncio.sleep(1)


async def _silent(writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(0)


async def _body(writer: asyncio.StreamWriter) -> None:
    head = question("m").partition(b"\r\n\r\n")[0].rpartition(b"\r\n")[0]
    writer.write(head + b"\r\nContent-Length: 1000000\r\n\r\n")
    while True:
        writer.write(b" " * 10)
        await asyncio.sleep(1)
