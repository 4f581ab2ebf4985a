"""Many clients that ask at once, in a process of their own.

    python -m tests.cli.clients_at_once HOST PORT PID < requests      prints what they saw, as JSON

Each has a connection that was used before. They take no turns: one loop sends all requests and then takes whatever
comes, so what is measured is the gateway, whose process id is given, and as little as can be of its clients.
"""

import asyncio
import json
import selectors
import socket
import sys
import time
from pathlib import Path

import msgspec
from msgspec import Struct

PIECE = 64 * 1024
"""Bytes that a client takes at a time."""

_WARM = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"


class Seen(Struct, frozen=True):
    """What clients saw.

    Attributes:
        first: of each, seconds from when it asked to the first byte.
        last: likewise to the last.
        sizes: bytes that each got.
        worked: seconds of a core that the gateway used until 99 of 100 had their first byte.
    """

    first: list[float]
    last: list[float]
    sizes: list[int]
    worked: float


async def all_at_once(address: str, pid: int, requests: list[str]) -> Seen:
    """Have each request to a gateway made by a client of its own, all in one process that is not this one."""
    host, port = address.removeprefix("http://").split(":")
    command = (sys.executable, "-m", "tests.cli.clients_at_once", host, port, str(pid))
    process = await asyncio.create_subprocess_exec(*command, stdin=-1, stdout=-1)
    printed, _ = await process.communicate(json.dumps(requests).encode())
    return msgspec.json.decode(printed, type=Seen)


def _asked(address: tuple[str, int], pid: int, requests: list[str]) -> Seen:
    """Make all requests, and return what came."""
    sockets = [_used(socket.create_connection(address)) for _ in requests]
    selector = selectors.DefaultSelector()
    for number, one in enumerate(sockets):
        selector.register(one, selectors.EVENT_READ, number)
    asked, waiting, before, worked = list[float](), len(requests), _used_up(pid), 0.0
    for one, request in zip(sockets, requests, strict=True):
        asked.append(time.monotonic())
        one.send(request.encode())
    first, last, sizes = [0.0] * len(asked), [0.0] * len(asked), [0] * len(asked)
    while selector.get_map():
        for key, _ in selector.select():
            number, one = key.data, sockets[key.data]
            data = one.recv(PIECE)
            last[number] = time.monotonic() - asked[number]
            if not first[number]:
                first[number] = last[number]
                waiting -= 1
                if waiting == len(requests) // 100:
                    worked = _used_up(pid) - before
            sizes[number] += len(data)
            if not data:
                selector.unregister(one)
                one.close()
    return Seen(first, last, sizes, worked)


def _used_up(pid: int) -> float:
    """Return the seconds of a core that a process has used."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


def _used(one: socket.socket) -> socket.socket:
    """Return a connection that has had an answer: the gateway knows it."""
    one.send(_WARM)
    while not one.recv(PIECE).endswith(b"}"):
        pass
    one.setblocking(False)
    return one


if __name__ == "__main__":
    seen = _asked((sys.argv[1], int(sys.argv[2])), int(sys.argv[3]), json.load(sys.stdin))
    print(msgspec.json.encode(seen).decode())
