"""Many clients that ask at once, in a process of their own.

    python -m tests.cli.clients_at_once HOST PORT 0 < requests      prints what each of them saw, as JSON

Each has a connection that was used before. They take no turns: one loop sends all requests and then takes whatever
comes, so what is measured is the gateway, and as little as can be of its clients. With a process id as the third
argument, that process is stopped while they ask: it finds all requests at once.
"""

import asyncio
import json
import os
import selectors
import signal
import socket
import sys
import time

import msgspec
from msgspec import Struct

PIECE = 64 * 1024
"""Bytes that a client takes at a time."""

_WARM = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"


class Seen(Struct, frozen=True):
    """What each client saw: seconds from when it asked to the first byte and to the last, and how many bytes."""

    first: list[float]
    last: list[float]
    sizes: list[int]


async def all_at_once(address: str, requests: list[str], stopped: int = 0) -> Seen:
    """Have each request made by a client of its own, all in one process that is not this one."""
    host, port = address.removeprefix("http://").split(":")
    command = (sys.executable, "-m", "tests.cli.clients_at_once", host, port, str(stopped))
    process = await asyncio.create_subprocess_exec(*command, stdin=-1, stdout=-1)
    printed, _ = await process.communicate(json.dumps(requests).encode())
    return msgspec.json.decode(printed, type=Seen)


def _asked(address: tuple[str, int], requests: list[str], stopped: int) -> Seen:
    """Make all requests, and return what came; keep a process stopped meanwhile, unless its id is 0."""
    sockets = [_used(socket.create_connection(address)) for _ in requests]
    selector = selectors.DefaultSelector()
    for number, one in enumerate(sockets):
        selector.register(one, selectors.EVENT_READ, number)
    if stopped:
        os.kill(stopped, signal.SIGSTOP)
    asked: list[float] = []
    for one, request in zip(sockets, requests, strict=True):
        asked.append(time.monotonic())
        one.send(request.encode())
    if stopped:
        os.kill(stopped, signal.SIGCONT)
        asked = [time.monotonic()] * len(asked)
    first, last, sizes = [0.0] * len(asked), [0.0] * len(asked), [0] * len(asked)
    while selector.get_map():
        for key, _ in selector.select():
            number, one = key.data, sockets[key.data]
            data = one.recv(PIECE)
            last[number] = time.monotonic() - asked[number]
            first[number] = first[number] or last[number]
            sizes[number] += len(data)
            if not data:
                selector.unregister(one)
                one.close()
    return Seen(first, last, sizes)


def _used(one: socket.socket) -> socket.socket:
    """Return a connection that has had an answer: the gateway knows it."""
    one.send(_WARM)
    while not one.recv(PIECE).endswith(b"}"):
        pass
    one.setblocking(False)
    return one


if __name__ == "__main__":
    seen = _asked((sys.argv[1], int(sys.argv[2])), json.load(sys.stdin), int(sys.argv[3]))
    print(msgspec.json.encode(seen).decode())
