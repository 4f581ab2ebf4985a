"""Scenario: thousands of connections that send next to nothing, beside traffic that is as it should be.

The slow ones are a process of their own (`python -m tests.server.hostile.slow`), so that they do not slow down what is
measured.
"""

import asyncio
import contextlib
import itertools
import json
import random
import selectors
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from tests.server.hostile.process import Process, Provider, ask, percentile, question

_ROOT = Path(__file__).parents[3]

RATE = 100.0
"""Good requests a second."""

OPENED = 1000
"""Slow connections that are opened each second."""

NAP = 0.001
"""Seconds between two looks at which of the slow connections have something to send."""


class Siege(Struct, frozen=True):
    """What came of it.

    Attributes:
        calm: seconds to the first event, of good requests before and after it.
        besieged: likewise, during it.
        closed: seconds after which the last of the slow connections was closed; infinite if one was not.
        told: how many of them were answered with a 408 before.
        files: how many more files than before the gateway had open afterwards, but for connections to its provider.
        memory: bytes that it took for each open connection.
        cost: seconds that it computed in each second, more than before.
    """

    calm: list[float]
    besieged: list[float]
    closed: float
    told: int
    files: int
    memory: float
    cost: float

    def figures(self) -> str:
        """Return the result in one line."""
        calm, besieged = percentile(self.calm, 0.99) * 1000, percentile(self.besieged, 0.99) * 1000
        return (
            f"p99 time to first event {calm:.1f} -> {besieged:.1f} ms (p50 {percentile(self.calm, 0.5) * 1000:.1f} -> "
            f"{percentile(self.besieged, 0.5) * 1000:.1f}), last closed after {self.closed:.1f} s, {self.told} told, "
            f"{self.files:+d} files, {self.memory / 1024:.1f} KiB a connection, {self.cost:.1%} of a core"
        )


async def besiege(
    gateway: Process, upstream: Provider, *, dripping: int, silent: int, bodies: int, patience: float, calm: float
) -> Siege:
    """Open slow connections, and measure good requests before, during and after that.

    As long before as after, because the machine has its moods, and they change slowly.

    Args:
        gateway: what to besiege.
        upstream: its provider, whose connections rest afterwards and are not counted.
        dripping: connections that send a byte of a head each second.
        silent: connections that send nothing.
        bodies: connections that send ten bytes of a body each second.
        patience: seconds in which all should be closed.
        calm: seconds to measure without them, one half before and one half after.
    """
    await ask(gateway.port)
    began, computed = time.monotonic(), gateway.cpu
    before = await _traffic(gateway.port, calm / 2)
    usual = (gateway.cpu - computed) / (time.monotonic() - began)
    files, resident = gateway.files - upstream.open, gateway.resident
    command = [sys.executable, "-m", "tests.server.hostile.slow", *map(str, (gateway.port, dripping, silent, bodies))]
    slow = await asyncio.create_subprocess_exec(*command, str(patience), stdout=asyncio.subprocess.PIPE, cwd=_ROOT)
    assert slow.stdout is not None
    await slow.stdout.readline()  # it has started
    began, computed = time.monotonic(), gateway.cpu
    traffic = asyncio.create_task(_traffic(gateway.port, patience))
    await slow.stdout.readline()  # all are open
    memory = (gateway.resident - resident) / (dripping + silent + bodies)
    closed, told = json.loads(await slow.stdout.readline())
    besieged = await traffic
    cost = (gateway.cpu - computed) / (time.monotonic() - began) - usual
    await slow.wait()
    after = await _traffic(gateway.port, calm / 2)
    await asyncio.sleep(1.2)
    return Siege(before + after, besieged, closed, told, gateway.files - upstream.open - files, memory, cost)


class _Slow:
    """A connection of a client that is slow. `pieces` are what it still sends, one each second."""

    def __init__(self, port: int, pieces: Iterator[bytes]) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setblocking(False)
        self.pieces = pieces
        self.begun = time.monotonic()
        self.ended = 0.0
        self.answer = b""

    def send(self) -> None:
        """Send the next piece. If it is too late for that, there is something to read."""
        if not self.ended and (piece := next(self.pieces, b"")):
            with contextlib.suppress(OSError):
                self.socket.send(piece)

    def receive(self) -> bool:
        """Take what came; return whether there will be more."""
        try:
            piece = self.socket.recv(65536)
        except OSError:
            piece = b""
        self.answer += piece
        if not piece:
            self.ended = time.monotonic() - self.begun
            self.socket.close()
        return bool(piece)


def _be_slow(port: int, dripping: int, silent: int, bodies: int, patience: float) -> None:
    """Say so, and open slow connections; say so, and wait for their ends; tell when the last came and how many got a 408.

    It is written to take next to no time of the processor, which the gateway needs: no event loop. And a crowd has no
    beat: they are opened one after the other, and they send one after the other, each once a second.
    """
    print("started", flush=True)
    selector = selectors.DefaultSelector()
    kinds = [_drip] * dripping + [_silent] * silent + [_body] * bodies
    random.Random(1).shuffle(kinds)
    slow: list[_Slow] = []
    turn, begun = 0, time.monotonic()
    while (passed := time.monotonic() - begun) < len(kinds) / OPENED + patience + 5:
        for kind in kinds[len(slow) : int(passed * OPENED)]:
            slow.append(_Slow(port, kind()))
            selector.register(slow[-1].socket, selectors.EVENT_READ, slow[-1])
            if len(slow) == len(kinds):
                print("open", flush=True)
        while turn < int(passed * len(kinds)):
            if (number := turn % len(kinds)) < len(slow):
                slow[number].send()
            turn += 1
        for key, _ in selector.select(NAP):
            if not key.data.receive():
                selector.unregister(key.fileobj)
        if len(slow) == len(kinds) and not selector.get_map():
            break
    closed = max(one.ended for one in slow) if all(one.ended for one in slow) else float("inf")
    print(json.dumps([closed, sum(b" 408 " in one.answer for one in slow)]), flush=True)


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
    """Ask at moments that are drawn, one in each part of the time; return the seconds to each first event."""
    loop, dice = asyncio.get_running_loop(), random.Random(2)
    begun = loop.time()
    tasks: list[asyncio.Task[tuple[float, list[float]]]] = []
    for number in range(int(seconds * RATE)):
        await asyncio.sleep(begun + (number + dice.random()) / RATE - loop.time())
        tasks.append(asyncio.create_task(ask(port)))
    return [(await task)[0] for task in tasks]


def _drip() -> Iterator[bytes]:
    return (question("m")[position : position + 1] for position in range(len(question("m"))))


def _silent() -> Iterator[bytes]:
    return iter(())


def _body() -> Iterator[bytes]:
    head = question("m").partition(b"\r\n\r\n")[0].rpartition(b"\r\n")[0]
    yield head + b"\r\nContent-Length: 1000000\r\n\r\n"
    yield from itertools.repeat(b" " * 10)


if __name__ == "__main__":
    _be_slow(*map(int, sys.argv[1:5]), patience=float(sys.argv[5]))
