"""One connection to a provider that misbehaves, or to one at an unusual address."""

import asyncio
import socket
import ssl
import zlib
from pathlib import Path

import pytest

from penstock.core.errors import ClientFault, UpstreamFault
from penstock.protocols.base import Outbound
from penstock.upstreams.catalog import Provider
from penstock.upstreams.connection import HIGH_WATER
from penstock.upstreams.transport import Transport
from tests.upstreams.servers import ASK, CHUNKED, LAST, Peer, body_of, chunk, serving

pytestmark = pytest.mark.anyio

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


# ---- where a response ends -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("behind", [OK, b"HTTP/1.1 2", b"garbage", b"\r\ngarbage"])
async def test_nothing_behind_a_response_is_taken_for_a_part_of_it_or_of_the_next(transport: Transport, behind: bytes):
    async def script(peer: Peer) -> None:
        while True:
            await peer.request()
            await peer.send(OK + behind)

    async with serving(script) as server:
        for _ in range(2):
            response = await transport.open(server.provider, ASK)
            assert await body_of(response) == b"ok"
            await response.close()
        assert server.connections == 2


async def test_what_comes_on_an_unused_connection_ends_it(transport: Transport):
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(OK)
        await asyncio.sleep(0.02)
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
        await peer.request()

    async with serving(script) as server:
        await body_of(first := await transport.open(server.provider, ASK))
        await first.close()
        await asyncio.sleep(0.05)
        assert await body_of(await transport.open(server.provider, ASK)) == b"ok"
        assert server.connections == 2


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
async def test_a_response_without_a_body_leaves_its_connection_usable(transport: Transport, status: bytes):
    async def script(peer: Peer) -> None:
        while True:
            await peer.request()
            await peer.send(b"HTTP/1.1 " + status + b"\r\n\r\n")

    async with serving(script) as server:
        for _ in range(2):
            response = await transport.open(server.provider, ASK)
            assert await body_of(response) == b""
            await response.close()
        assert server.connections == 1


async def test_interim_responses_are_skipped_with_their_headers(transport: Transport):
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nRetry-After: 9\r\n\r\n", OK)

    async with serving(script) as server:
        response = await transport.open(server.provider, ASK)
        assert (response.status, response.headers.get("retry-after")) == (200, None)
        assert await body_of(response) == b"ok"


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nX-Bad: a\x00b\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X-Long: " + b"x" * 200_000,
    ],
)
async def test_a_head_that_can_be_read_in_two_ways_or_never_ends_is_refused(transport: Transport, head: bytes):
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(head)
        await peer.reader.readexactly(1)

    async with serving(script) as server:
        with pytest.raises(UpstreamFault) as caught:
            await transport.open(server.provider, ASK)
        assert caught.value.info.code == "bad_response"
        await asyncio.wait_for(server.left.wait(), 1)


async def test_an_empty_header_does_not_spoil_the_next(transport: Transport):
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\nX-Empty:\r\nContent-Type: text/event-stream\r\nContent-Length: 0\r\n\r\n")

    async with serving(script) as server:
        assert (await transport.open(server.provider, ASK)).is_event_stream


async def test_a_body_that_ends_with_its_connection_does_not_end_with_an_error_of_ours(transport: Transport):
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\nnot gzip")
        await peer.reader.readexactly(1)

    async with serving(script) as server:
        response = await transport.open(server.provider, ASK)
        await asyncio.sleep(0.05)
        with pytest.raises(UpstreamFault) as caught:
            await response.read()
        assert caught.value.info.code == "bad_response"


async def test_a_response_that_is_cut_from_here_is_not_whole(transport: Transport):
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\n\r\ndata: 1\n\n")
        await peer.reader.readexactly(1)

    async with serving(script) as server:
        response = await transport.open(server.provider, ASK)
        assert await response.read() == b"data: 1\n\n"
        reading = asyncio.create_task(response.read())
        await asyncio.sleep(0.01)
        transport.cut()
        with pytest.raises(UpstreamFault) as caught:
            await reading
        assert caught.value.info.code == "shutting_down"


# ---- a connection that is used again ---------------------------------------------------------------------------------


async def test_a_request_that_meets_the_end_of_an_unused_connection_is_sent_again(transport: Transport):
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(OK)
        await peer.request()  # the second comes, but the connection was to be closed: it is not looked at

    async with serving(script) as server:
        for _ in range(3):
            response = await transport.open(server.provider, ASK)
            assert await body_of(response) == b"ok"
            await response.close()
        assert server.connections == 3


async def test_a_request_is_sent_once_over_a_new_connection(transport: Transport):
    async def script(peer: Peer) -> None:
        await peer.request()

    async with serving(script) as server:
        with pytest.raises(UpstreamFault):
            await transport.open(server.provider, ASK)
        assert server.connections == 1


async def test_a_request_whose_answer_had_begun_is_not_sent_again(transport: Transport):
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(OK)
        await peer.request()
        await peer.send(b"HTTP/1.1 200")

    async with serving(script) as server:
        first = await transport.open(server.provider, ASK)
        await body_of(first)
        await first.close()
        with pytest.raises(UpstreamFault):
            await transport.open(server.provider, ASK)
        assert server.connections == 1


async def test_a_connection_that_the_provider_closed_is_not_tried(transport: Transport):
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(OK)

    async with serving(script) as server:
        for _ in range(2):
            response = await transport.open(server.provider, ASK)
            await body_of(response)
            await response.close()
            await asyncio.sleep(0.02)
        assert server.connections == 2


# ---- while the request is still being written ------------------------------------------------------------------------


async def test_a_refusal_is_heard_before_the_whole_request_was_read(transport: Transport):
    async def script(peer: Peer) -> None:
        await peer.reader.readuntil(b"\r\n\r\n")
        await peer.send(b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig")
        await peer.reader.readexactly(1_000_000)
        await asyncio.sleep(0.2)

    async with serving(script) as server:
        response = await transport.open(server.provider, Outbound("/x", b"x" * 20_000_000))
        assert response.status == 413
        assert await response.read_all(100) == b"big"
        await response.close()
        assert not transport._idle[next(iter(transport._idle))]


async def test_a_provider_that_keeps_sending_after_its_answer_is_left_soon(transport: Transport):
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(CHUNKED)
        while True:
            await peer.send(chunk(b": and on\n\n" * 1000))

    async with serving(script) as server:
        response = await transport.open(server.provider, ASK)
        await response.read()
        await asyncio.wait_for(response.close(), 0.5)
        await asyncio.wait_for(server.left.wait(), 1)


async def test_who_is_cancelled_while_connecting_leaves_nothing_behind():
    transport = Transport()
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        waiting = [socket.socket() for _ in range(3)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", port))
        before = asyncio.all_tasks()
        opening = asyncio.create_task(transport.open(Provider("lab", "", "x", f"http://127.0.0.1:{port}"), ASK))
        await asyncio.sleep(0.02)
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
        for one in waiting:
            one.close()
    assert asyncio.all_tasks() == before
    assert not transport._busy


async def test_who_is_cancelled_while_the_rest_is_drained_leaves_at_once(transport: Transport):
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(CHUNKED, chunk(b"data: [DONE]\n\n"))
        await peer.reader.readexactly(1)

    async with serving(script) as server:
        response = await transport.open(server.provider, ASK)
        await response.read()
        closing = asyncio.create_task(response.close())
        await asyncio.sleep(0.01)
        closing.cancel()
        await asyncio.wait_for(server.left.wait(), 0.1)


# ---- memory ----------------------------------------------------------------------------------------------------------


async def test_a_few_compressed_bytes_never_become_more_than_is_asked_for(transport: Transport):
    packer = zlib.compressobj(9, wbits=31)
    size = 50 * 1024 * 1024
    bomb = b"".join(packer.compress(bytes(2**20)) for _ in range(size // 2**20)) + packer.flush()

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(CHUNKED.replace(b"\r\n\r\n", b"\r\nContent-Encoding: gzip\r\n\r\n"), chunk(bomb), LAST)

    async with serving(script) as server:
        response = await transport.open(server.provider, ASK)
        total = 0
        while piece := await response.read():
            assert len(piece) <= HIGH_WATER
            total += len(piece)
        assert total == size


async def test_what_follows_the_end_of_a_compressed_body_is_not_kept(transport: Transport):
    packer = zlib.compressobj(wbits=31)
    packed = packer.compress(b"data: 1\n\n") + packer.flush()

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(CHUNKED.replace(b"\r\n\r\n", b"\r\nContent-Encoding: gzip\r\n\r\n"))
        await peer.send(chunk(packed), *[chunk(b"x" * 1000)] * 10, LAST)

    async with serving(script) as server:
        assert await body_of(await transport.open(server.provider, ASK)) == b"data: 1\n\n"


async def test_a_provider_is_held_back_while_nobody_reads(transport: Transport):
    sent = 0

    async def script(peer: Peer) -> None:
        nonlocal sent
        await peer.request()
        await peer.send(CHUNKED)
        while True:
            await peer.send(chunk(b"x" * 100_000))
            sent += 100_000

    async with serving(script) as server:
        response = await transport.open(server.provider, ASK)
        await asyncio.sleep(0.3)
        held, connection = sent, response._connection
        assert connection is not None
        assert connection._body_size < 2 * HIGH_WATER
        await asyncio.sleep(0.1)
        assert sent == held
        assert len(await response.read()) >= HIGH_WATER
        response.abort()


# ---- addresses -------------------------------------------------------------------------------------------------------


async def test_an_address_of_ipv6_is_reached_and_named_in_brackets(transport: Transport):
    seen = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append((await reader.readuntil(b"\r\n\r\n")).decode())
        writer.write(OK)

    try:
        listener = await asyncio.start_server(handle, "::1", 0)
    except OSError:
        return  # a machine without IPv6
    port = listener.sockets[0].getsockname()[1]
    provider = Provider("lab", "", "openai-chat", f"http://[::1]:{port}/v1")
    assert await body_of(await transport.open(provider, ASK)) == b"ok"
    assert f"host: [::1]:{port}\r\n" in seen[0]
    listener.close()


async def test_a_host_in_capitals_and_a_path_with_escapes_are_kept(transport: Transport):
    seen = []

    async def script(peer: Peer) -> None:
        seen.append(await peer.request())
        await peer.send(OK)

    async with serving(script) as server:
        provider = Provider("lab", "", "openai-chat", f"http://LocalHost:{server.port}/a%20b/v1")
        await transport.open(provider, Outbound("/x?alt=sse", b"{}"))
    assert seen[0][0] == "POST /a%20b/v1/x?alt=sse HTTP/1.1"
    assert seen[0][1]["host"] == f"LocalHost:{server.port}"


@pytest.mark.parametrize("value", ["a\r\nx-evil: 1", "a\x00", "\udcff", "中", "é", "\x7f"])
async def test_a_header_that_would_break_out_of_its_line_is_the_clients_fault(transport: Transport, value: str):
    async def script(peer: Peer) -> None:
        await peer.request()

    async with serving(script) as server:
        with pytest.raises(ClientFault) as caught:
            await transport.open(server.provider, Outbound("/x", b"{}", {"x-beta": value}))
        assert "x-beta" in caught.value.info.message
        assert server.connections == 0


async def test_a_provider_whose_certificate_is_not_trusted_is_sent_nothing(transport: Transport):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(Path(__file__).with_name("self_signed.pem"))
    heard = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.read(1))
        writer.close()

    listener = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=context)
    port = listener.sockets[0].getsockname()[1]
    with pytest.raises(UpstreamFault) as caught:
        await transport.open(Provider("lab", "", "openai-chat", f"https://localhost:{port}"), ASK)
    assert caught.value.info.code == "connect_failed"
    assert "certificate" in caught.value.info.message
    assert not any(heard)
    listener.close()
