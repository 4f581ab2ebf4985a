"""Scenario: clients that ask for much and read nothing, beside others that read."""

import asyncio
import socket

from msgspec import Struct

from tests.server.hostile.process import Process, Provider, ask, percentile, question


class Unread(Struct, frozen=True):
    """What came of it.

    Attributes:
        risen: bytes of memory that the gateway took more than before.
        taken: the most bytes that a provider could send of one stream.
        calm: seconds between two events of streams that are read, before.
        beside: likewise, while others are not read.
        cut: seconds after which all unread streams were cut, at the provider too; infinite if they were not.
    """

    risen: int
    taken: int
    calm: list[float]
    beside: list[float]
    cut: float

    def figures(self) -> str:
        """Return the result in one line."""
        calm, beside = percentile(self.calm, 0.99) * 1000, percentile(self.beside, 0.99) * 1000
        return (
            f"memory {self.risen / 2**20:+.1f} MiB, at most {self.taken / 2**20:.2f} MiB taken of a stream, p99 between "
            f"events {calm:.1f} -> {beside:.1f} ms, all cut after {self.cut:.1f} s"
        )


async def leave_unread(gateway: Process, upstream: Provider, *, clients: int, readers: int, patience: float) -> Unread:
    """Let clients ask without reading, and others read beside them; wait for `patience` seconds until all are cut."""
    calm = await _read(gateway.port, readers)
    asked, before = len(upstream.sent), gateway.resident
    loop = asyncio.get_running_loop()
    sockets = [await _asking(gateway.port) for _ in range(clients)]
    begun = loop.time()
    beside = await _read(gateway.port, readers)
    risen = gateway.resident - before
    cut = float("inf")
    while loop.time() - begun < patience:
        risen = max(risen, gateway.resident - before)
        if upstream.busy == 0:
            cut = loop.time() - begun
            break
        await asyncio.sleep(0.1)
    for one in sockets:
        one.close()
    return Unread(risen, max(upstream.sent[asked:]), calm, beside, cut)


async def _read(port: int, readers: int) -> list[float]:
    answers = await asyncio.gather(*[ask(port) for _ in range(readers)])
    return [gap for _, gaps in answers for gap in gaps]


async def _asking(port: int) -> socket.socket:
    """Return a connection that has asked for much, and does not read. Its buffer is small, so that ours is seen."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)
    client.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(client, ("127.0.0.1", port))
    await loop.sock_sendall(client, question("much"))
    return client
