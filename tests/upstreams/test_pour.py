"""A body poured into a callback: the same bytes as reading it, without a wake-up for each chunk."""

import asyncio

import pytest

from penstock.core.errors import UpstreamFault
from penstock.upstreams.transport import Transport
from tests.upstreams.servers import ASK, CHUNKED, LAST, Peer, chunk, serving

pytestmark = pytest.mark.anyio


async def test_every_chunk_is_handed_on_in_order_as_it_comes(transport: Transport):
    seen: list[bytes] = []
    arrived = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(CHUNKED, chunk(b"1"))
        for piece in (b"2", b"3"):
            await arrived.wait()
            arrived.clear()
            await peer.send(chunk(piece))
        await arrived.wait()
        await peer.send(LAST)

    def into(data: bytes) -> bool:
        seen.append(data)
        arrived.set()
        return True

    async with serving(script) as server:
        response = await transport.open(server.provider, ASK)
        assert await response.pour(into) is False
        assert seen == [b"1", b"2", b"3"]
        await response.close()


async def test_what_is_not_wanted_waits_for_the_next_time(transport: Transport):
    seen: list[bytes] = []

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(CHUNKED)
        for piece in (b"1", b"2", b"3"):
            await peer.send(chunk(piece))
            await asyncio.sleep(0.01)
        await peer.send(LAST)

    def into(data: bytes) -> bool:
        seen.append(data)
        return len(seen) > 1  # one at first, then the rest

    async with serving(script) as server:
        response = await transport.open(server.provider, ASK)
        assert await response.pour(into) is True
        await asyncio.sleep(0.1)
        assert seen == [b"1"]
        assert await response.pour(into) is False
        assert b"".join(seen) == b"123"


async def test_what_came_before_a_break_is_handed_on_first(transport: Transport):
    seen: list[bytes] = []

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(CHUNKED, chunk(b"1"))
        await asyncio.sleep(0.02)
        peer.reset()

    async with serving(script) as server:
        response = await transport.open(server.provider, ASK)
        with pytest.raises(UpstreamFault) as caught:
            await response.pour(lambda data: seen.append(data) is None)
        assert (seen, caught.value.info.kind) == ([b"1"], "stream_incomplete")


async def test_silence_ends_it_in_time_however_much_came_before():
    transport = Transport(idle_timeout=0.15)

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(CHUNKED)
        for _ in range(5):
            await peer.send(chunk(b"."))
            await asyncio.sleep(0.06)
        await asyncio.sleep(5)

    async with serving(script) as server:
        response = await transport.open(server.provider, ASK)
        seen: list[bytes] = []
        with pytest.raises(UpstreamFault) as caught:
            await response.pour(lambda data: seen.append(data) is None)
        assert (len(seen), caught.value.info.kind) == (5, "timeout")
    await transport.close()


async def test_a_defect_of_the_callback_is_raised_as_it_is(transport: Transport):
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(CHUNKED)
        await asyncio.sleep(0.02)
        await peer.send(chunk(b"1"))
        await peer.request()

    def into(data: bytes) -> bool:
        raise ZeroDivisionError(data)

    async with serving(script) as server:
        response = await transport.open(server.provider, ASK)
        with pytest.raises(ZeroDivisionError):
            await response.pour(into)
