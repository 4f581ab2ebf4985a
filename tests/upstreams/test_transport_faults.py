"""Whatever goes wrong on the way to a provider has a name, and names the provider alone."""

import asyncio
import socket

import pytest

from penstock.core.errors import ErrorInfo, UpstreamFault
from penstock.upstreams.catalog import Provider
from penstock.upstreams.transport import Transport, UpstreamResponse
from tests.upstreams.servers import ASK, CHUNKED, LAST, Peer, body_of, chunk, serving

pytestmark = pytest.mark.anyio


async def opening_fault(transport: Transport, provider: Provider) -> ErrorInfo:
    with pytest.raises(UpstreamFault) as caught:
        await transport.open(provider, ASK)
    return told(caught.value)


async def reading_fault(response: UpstreamResponse) -> ErrorInfo:
    with pytest.raises(UpstreamFault) as caught:
        await body_of(response)
    return told(caught.value)


def told(fault: UpstreamFault) -> ErrorInfo:
    assert '"lab"' in fault.info.message
    assert not any(word in fault.info.message for word in ("127.0.0.1", "http", "secret", "aiohttp", "Errno"))
    assert fault.__suppress_context__
    return fault.info


@pytest.mark.covers("T26")
@pytest.mark.parametrize(
    ("name", "body"), [(b"br", b"\x0b\x02\x80abc"), (b"zstd", b"\x28\xb5\x2f\xfd"), (b"gzip", b"not gzip at all")]
)
async def test_what_cannot_be_decoded_is_an_error_and_not_garbage(transport: Transport, name: bytes, body: bytes):
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(CHUNKED.replace(b"\r\n\r\n", b"\r\nContent-Encoding: " + name + b"\r\n\r\n"))
        await peer.send(chunk(body), LAST)

    async with serving(script) as server:
        with pytest.raises(UpstreamFault) as caught:
            await body_of(await transport.open(server.provider, ASK))
        assert told(caught.value).kind == "upstream_error"


@pytest.mark.covers("P114", "T7")
async def test_who_is_cancelled_while_reading_leaves_the_provider_at_once(transport: Transport):
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(CHUNKED, chunk(b"data: 1\n\n"))
        await peer.reader.readexactly(1)

    async with serving(script) as server:
        response = await transport.open(server.provider, ASK)
        await response.read()
        reading = asyncio.create_task(response.read())
        await asyncio.sleep(0)
        reading.cancel()
        await asyncio.wait_for(server.left.wait(), 0.2)
        with pytest.raises(asyncio.CancelledError):
            await reading


@pytest.mark.covers("T8")
async def test_who_is_cancelled_while_waiting_for_the_answer_leaves_the_provider_at_once(transport: Transport):
    asked = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        asked.set()
        await peer.reader.readexactly(1)

    async with serving(script) as server:
        opening = asyncio.create_task(transport.open(server.provider, ASK))
        await asked.wait()
        opening.cancel()
        await asyncio.wait_for(server.left.wait(), 0.2)


@pytest.mark.covers("P111")
async def test_a_reset_in_the_middle_is_an_incomplete_stream(transport: Transport):
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(CHUNKED, chunk(b"data: 1\n\n"))
        await asyncio.sleep(0.02)
        peer.reset()

    async with serving(script) as server:
        response = await transport.open(server.provider, ASK)
        assert await response.read() == b"data: 1\n\n"
        assert (await reading_fault(response)).kind == "stream_incomplete"


@pytest.mark.covers("P110")
@pytest.mark.parametrize(
    "sent", [CHUNKED + chunk(b"data: 1\n\n"), b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\ndata: 1\n\n"]
)
async def test_a_body_shorter_than_announced_is_an_incomplete_stream(transport: Transport, sent: bytes):
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(sent)

    async with serving(script) as server:
        response = await transport.open(server.provider, ASK)
        assert (await reading_fault(response)).kind == "stream_incomplete"


async def test_what_arrived_before_the_connection_broke_is_not_lost(transport: Transport):
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(CHUNKED + chunk(b"data: 1\n\n"))

    async with serving(script) as server:
        response = await transport.open(server.provider, ASK)
        await asyncio.sleep(0.05)
        assert await response.read() == b"data: 1\n\n"


@pytest.mark.covers("P113")
async def test_silence_in_the_middle_is_a_timeout(transport: Transport):
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(CHUNKED, chunk(b"data: 1\n\n"))
        await peer.reader.readexactly(1)

    async with serving(script) as server:
        response = await transport.open(server.provider, ASK)
        await response.read()
        assert (await reading_fault(response)).kind == "timeout"
        await asyncio.wait_for(server.left.wait(), 1)


async def test_a_slow_provider_that_keeps_sending_is_not_a_silent_one(transport: Transport):
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(CHUNKED)
        for _ in range(6):
            await asyncio.sleep(0.1)
            await peer.send(chunk(b"."))
        await peer.send(LAST)

    async with serving(script) as server:
        assert await body_of(await transport.open(server.provider, ASK)) == b"......"


async def test_a_client_that_reads_slowly_does_not_make_the_provider_silent(transport: Transport):
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(CHUNKED, chunk(b"data: 1\n\n"), LAST)

    async with serving(script) as server:
        response = await transport.open(server.provider, ASK)
        await asyncio.sleep(0.7)
        assert await body_of(response) == b"data: 1\n\n"


async def test_a_provider_that_never_answers_is_a_timeout():
    transport = Transport(connect_timeout=0.05, idle_timeout=0.05)

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.reader.readexactly(1)

    async with serving(script) as server:
        info = await opening_fault(transport, server.provider)
        assert (info.kind, info.code) == ("timeout", "idle_timeout")
    await transport.close()


async def test_a_host_that_drops_packets_is_a_timeout():
    transport = Transport(connect_timeout=0.1, idle_timeout=5)
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        waiting = [socket.socket() for _ in range(3)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", port))
        info = await opening_fault(transport, Provider("lab", "", "openai-chat", f"http://127.0.0.1:{port}"))
        for one in waiting:
            one.close()
    assert (info.kind, info.code) == ("timeout", "connect_timeout")
    await transport.close()


async def test_a_refused_connection_is_named_as_one(transport: Transport, unused_port: int):
    info = await opening_fault(transport, Provider("lab", "", "openai-chat", f"http://127.0.0.1:{unused_port}"))
    assert (info.kind, info.code) == ("upstream_error", "connect_failed")


async def test_a_host_that_nobody_knows_is_named_as_one(transport: Transport):
    info = await opening_fault(transport, Provider("lab", "", "openai-chat", "http://nowhere.invalid/v1"))
    assert (info.kind, info.code) == ("upstream_error", "connect_failed")


@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 200"])
async def test_a_connection_closed_without_an_answer_is_named_as_one(transport: Transport, sent: bytes):
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(sent)

    async with serving(script) as server:
        info = await opening_fault(transport, server.provider)
        assert (info.kind, info.code) == ("upstream_error", "disconnected")


@pytest.mark.parametrize(
    "sent", [b"SSH-2.0-OpenSSH_9.6\r\n\r\n", b"\x15\x03\x01\x00\x02\x02\x16", b"HTTP/1.1 abc\r\n\r\n"]
)
async def test_a_server_that_does_not_speak_http_is_named_as_one(transport: Transport, sent: bytes):
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(sent)

    async with serving(script) as server:
        assert (await opening_fault(transport, server.provider)).kind == "upstream_error"
