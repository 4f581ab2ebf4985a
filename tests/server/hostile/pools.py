"""Scenarios of connections to a provider: more requests than connections, cancels at any moment, and idle gaps."""

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from unittest import mock

import aiohttp
import msgspec
from msgspec import Struct

from penstock.config import Limits
from penstock.core.errors import UpstreamFault
from penstock.core.secret import Secret
from penstock.protocols.base import Outbound
from penstock.server import listener
from penstock.upstreams import transport as upstream_transport
from penstock.upstreams.catalog import Provider as Settings
from penstock.upstreams.transport import Transport
from tests.server.hostile.process import Provider
from tests.server.listening import echo, site
from tests.upstreams.servers import ASK, Peer, body_of, serving


class Leaks(Struct, frozen=True):
    """What is left after cancels: connections and tasks that were not there before, and requests served at the end."""

    sockets: int
    tasks: int
    served: int


def settings(port: int) -> Settings:
    """Return a provider at a port of this machine."""
    return Settings("lab", "Lab", "openai-chat", f"http://127.0.0.1:{port}/v1", Secret("sk-test"))


async def answer(transport: Transport, provider: Settings, model: str = "m") -> str:
    """Ask, and read the answer; return how it ended."""
    try:
        response = await transport.open(provider, Outbound("/chat/completions", b'{"model":"%b"}' % model.encode()))
    except UpstreamFault as fault:
        return fault.info.code or ""
    try:
        return "served" if b"[DONE]" in await response.read_all(2**20) else "cut"
    finally:
        await response.close()


async def crowd(transport: Transport, upstream: Provider, requests: int) -> Counter[str]:
    """Ask all at once; return how many ended in which way."""
    provider = settings(upstream.port)
    return Counter(await asyncio.gather(*[answer(transport, provider) for _ in range(requests)]))


async def cancel_at_random(transport: Transport, upstream: Provider, count: int, seed: int, slots: int) -> Leaks:
    """Cancel requests at random moments of their life; then ask once for each connection that may be open."""
    dice = random.Random(seed)
    provider = settings(upstream.port)
    tasks_before = len(asyncio.all_tasks())
    for begin in range(0, count, 50):
        tasks = [asyncio.create_task(answer(transport, provider)) for _ in range(min(50, count - begin))]
        for task in tasks:
            asyncio.get_running_loop().call_later(dice.random() ** 3 * 0.12, task.cancel)
        await asyncio.gather(*tasks, return_exceptions=True)
    served = sum([await answer(transport, provider) == "served" for _ in range(2)])
    all_at_once = await crowd(transport, upstream, slots)
    await transport.close()
    async with asyncio.timeout(5):
        while upstream.open:
            await asyncio.sleep(0.02)
    return Leaks(upstream.open, len(asyncio.all_tasks()) - tasks_before, served + all_at_once["served"])


Ask = Callable[[], Awaitable[int]]
"""Asks once, and returns the status of the answer."""


async def _with_gaps(
    pair: Callable[[], AbstractAsyncContextManager[Ask]], pairs: int, count: int, around: tuple[float, ...], seed: int
) -> int:
    """Ask again and again, resting about as long as the limits; return how many were errors.

    Many do so at once, each with a connection of its own, so that the gap between requests is that of a connection.
    """
    dice = random.Random(seed)

    async def one(times: int) -> int:
        errors = 0
        async with pair() as ask:
            for _ in range(times):
                await asyncio.sleep(max(0.0, dice.choice(around) + dice.uniform(-0.02, 0.02)))
                errors += await ask() != 200
        return errors

    return sum(await asyncio.gather(*[one(count // pairs) for _ in range(pairs)]))


async def gaps_of_a_client(count: int, seed: int, pairs: int) -> int:
    """Ask a listener that keeps connections for 0.3 s, as clients that keep them for 0.1 s; return the errors."""
    with mock.patch.object(listener, "TICK", 0.01):
        async with site(echo, msgspec.structs.replace(Limits(), keep_alive=0.3)) as server:
            host, port = server.listener.addresses[0]

            @contextlib.asynccontextmanager
            async def client() -> AsyncIterator[Ask]:
                connector = aiohttp.TCPConnector(keepalive_timeout=0.1)
                async with aiohttp.ClientSession(f"http://{host}:{port}", connector=connector) as session:

                    async def ask() -> int:
                        async with session.get("/a") as response:
                            await response.read()
                            return response.status

                    yield ask

            return await _with_gaps(client, pairs, count, (0.1, 0.3, 0.32), seed)


async def gaps_of_a_provider(count: int, seed: int, pairs: int) -> int:
    """Ask a provider that closes connections about when we would no longer use them; return the errors."""

    async def closing(peer: Peer) -> None:
        patience = None  # with a connection that has not been used yet
        with contextlib.suppress(TimeoutError):
            while True:
                async with asyncio.timeout(patience):
                    await peer.request()
                patience = 0.1
                await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    with mock.patch.object(upstream_transport, "KEEPALIVE", 0.11):
        async with serving(closing) as server:

            @contextlib.asynccontextmanager
            async def gateway() -> AsyncIterator[Ask]:
                transport = Transport()

                async def ask() -> int:
                    response = await transport.open(server.provider, ASK)
                    assert await body_of(response) == b"ok"
                    await response.close()
                    return response.status

                try:
                    yield ask
                finally:
                    await transport.close()

            return await _with_gaps(gateway, pairs, count, (0.1, 0.1, 0.08), seed)
