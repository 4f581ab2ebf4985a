"""Scenario: thousands of connections that send next to nothing, beside traffic that is as it should be.

The slow ones are a process of their own (`python -m tests.server.hostile.slow`), so that they do not slow down what is
measured.
"""

import asyncio
import contextlib
import json
import random
import sys
from pathlib import Path

from msgspec import Struct

from tests.server.hostile.process import Process, Provider, ask, percentile, question

_ROOT = Path(__file__).parents[3]

RATE = 50.0
"""Good requests a second."""


class Siege(Struct, frozen=True):
    """What came of it.

    Attributes:
        calm: seconds to the first event, of good requests before it.
        besieged: likewise, during it.
        closed: seconds after which the last of the slow connections was closed; infinite if one was not.
        told: how many of them were answered with a 408 before.
        files: how many more files than before the gateway had open afterwards, but for connections to its provider.
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


async def besiege(
    gateway: Process, upstream: Provider, *, dripping: int, silent: int, bodies: int, patience: float, calm: float
) -> Siege:
    """Open slow connections, and measure good requests before and during that.

    Args:
        gateway: what to besiege.
        upstream: its provider, whose connections rest afterwards and are not counted.
        dripping: connections that send a byte of a head each second.
        silent: connections that send nothing.
        bodies: connections that send ten bytes of a body each second.
        patience: seconds in which all should be closed.
        calm: seconds to measure before.
    """
    await ask(gateway.port)
    before = await _traffic(gateway.port, calm)
    files, resident = gateway.files - upstream.open, gateway.resident
    traffic = asyncio.create_task(_traffic(gateway.port, patience))
    command = [sys.executable, "-m", "tests.server.hostile.slow", *map(str, (gateway.port, dripping, silent, bodies))]
    slow = await asyncio.create_subprocess_exec(*command, str(patience), stdout=asyncio.subprocess.PIPE, cwd=_ROOT)
    assert slow.stdout is not None
    await slow.stdout.readline()
    memory = (gateway.resident - resident) / (dripping + silent + bodies)
    closed, told = json.loads(await slow.stdout.readline())
    await slow.wait()
    besieged = await traffic
    await asyncio.sleep(1.2)
    return Siege(before, besieged, closed, told, gateway.files - upstream.open - files, memory)


async def _be_slow(port: int, dripping: int, silent: int, bodies: int, patience: float) -> None:
    """Open slow connections, and say so; wait for their ends, and tell when the last came and how many got a 408."""
    loop = asyncio.get_running_loop()
    kinds = [_drip] * dripping + [_silent] * silent + [_body] * bodies
    random.Random(1).shuffle(kinds)
    tasks: list[asyncio.Task[tuple[float, bytes]]] = []
    for kind in kinds:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        tasks.append(asyncio.create_task(_until_closed(kind, reader, writer, loop.time())))
    print("open", flush=True)
    done, pending = await asyncio.wait(tasks, timeout=patience + 5)
    for task in pending:
        task.cancel()
    ended = [task.result() for task in done]
    closed = max(seconds for seconds, _ in ended) if not pending else float("inf")
    print(json.dumps([closed, sum(b" 408 " in answer for _, answer in ended)]), flush=True)


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


if __name__ == "__main__":
    asyncio.run(_be_slow(*map(int, sys.argv[1:5]), patience=float(sys.argv[5])))
