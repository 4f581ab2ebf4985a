"""The way to providers, against real sockets."""

import asyncio
import gzip
import socket
import time
import zlib
from collections.abc import AsyncIterator

import pytest

from penstock.core.errors import ErrorInfo, UpstreamFault
from penstock.core.secret import Secret
from penstock.protocols.base import Outbound
from penstock.upstreams.catalog import Provider
from penstock.upstreams.transport import Transport, UpstreamResponse
from tests.upstreams.conftest import Peer, serving

pytestmark = pytest.mark.anyio

ASK = Outbound("/chat/completions", b'{"stream":true}')
CHUNKED = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n"
LAST = b"0\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


@pytest.fixture
async def transport() -> AsyncIterator[Transport]:
    transport = Transport(connect_timeout=0.5, idle_timeout=0.3)
    yield transport
    await transport.close()


async def body_of(response: UpstreamResponse) -> bytes:
    pieces = []
    while piece := await response.read():
        pieces.append(piece)
    return b"".join(pieces)


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


async def test_the_request_is_what_the_protocol_wrote_and_what_the_provider_wants(transport: Transport):
    seen = []

    async def script(peer: Peer) -> None:
        seen.append(await peer.request())
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    async with serving(script) as server:
        outbound = Outbound("/chat/completions?a=%2Fb", b'{"stream":true}', {"x-protocol": "1"})
        response = await transport.open(server.provider, outbound)
        assert await body_of(response) == b"ok"
    line, headers, body = seen[0]
    assert line == "POST /v1/chat/completions?a=%2Fb HTTP/1.1"
    assert body == b'{"stream":true}'
    assert headers["authorization"] == "Bearer sk-very-secret"
    assert headers["content-type"] == "application/json"
    assert headers["x-protocol"] == "1"


@pytest.mark.parametrize(
    ("auth", "name", "value"),
    [
        ("bearer", "authorization", "Bearer k"),
        ("x-api-key", "x-api-key", "k"),
        ("x-goog-api-key", "x-goog-api-key", "k"),
        ("api-key", "api-key", "k"),
        ("none", None, None),
    ],
)
async def test_the_credential_goes_where_the_provider_looks_for_it(transport: Transport, auth, name, value):
    seen = []

    async def script(peer: Peer) -> None:
        seen.append((await peer.request())[1])
        await peer.send(b"HTTP/1.1 204 No Content\r\n\r\n")

    async with serving(script) as server:
        provider = Provider("lab", "", "anthropic", server.provider.base_url, Secret("k"), auth)
        await (await transport.open(provider, ASK)).close()
    carried = {
        header: seen[0][header]
        for header in ("authorization", "x-api-key", "x-goog-api-key", "api-key")
        if header in seen[0]
    }
    assert carried == ({name: value} if name else {})


async def test_headers_of_the_config_go_on_top(transport: Transport):
    seen = []

    async def script(peer: Peer) -> None:
        seen.append((await peer.request())[1])
        await peer.send(b"HTTP/1.1 204 No Content\r\n\r\n")

    async with serving(script) as server:
        headers = {"x-team": Secret("lab"), "authorization": Secret("Custom abc")}
        provider = Provider("lab", "", "openai-chat", server.provider.base_url, Secret("k"), headers=headers)
        await (await transport.open(provider, ASK)).close()
    assert seen[0]["x-team"] == "lab"
    assert seen[0]["authorization"] == "Custom abc"


async def test_status_headers_and_type_come_as_they_are(transport: Transport):
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(
            b"HTTP/1.1 429 Too Many\r\nRetry-After: 7\r\nX-Two: a\r\nX-Two: b\r\n"
            b"Content-Type: Application/JSON; charset=utf-8\r\nContent-Length: 2\r\n\r\n{}"
        )

    async with serving(script) as server:
        response = await transport.open(server.provider, ASK)
        assert response.status == 429
        assert response.headers["retry-after"] == "7"
        assert response.headers["x-two"] == "a, b"
        assert response.content_type == "application/json"
        assert not response.is_event_stream
        assert await response.read_all(100) == b"{}"


async def test_each_chunk_is_handed_on_while_the_provider_is_still_writing(transport: Transport):
    go_on = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(CHUNKED, chunk(b"data: 1\n\n"))
        await go_on.wait()
        await peer.send(chunk(b"data: 2\n\n"), LAST)

    async with serving(script) as server:
        response = await transport.open(server.provider, ASK)
        assert response.is_event_stream
        assert await response.read() == b"data: 1\n\n"
        go_on.set()
        assert await response.read() == b"data: 2\n\n"
        assert await response.read() == b""


async def test_the_body_of_an_http_1_0_server_ends_with_its_connection(transport: Transport):
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.0 200 OK\r\nContent-Type: text/event-stream\r\n\r\n", b"data: 1\n\n")

    async with serving(script) as server:
        assert await body_of(await transport.open(server.provider, ASK)) == b"data: 1\n\n"


async def test_a_whole_body_is_read_up_to_a_limit(transport: Transport):
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 500 No\r\nContent-Length: 1000\r\n\r\n" + b"x" * 1000)

    async with serving(script) as server:
        response = await transport.open(server.provider, ASK)
        assert await response.read_all(10) == b"x" * 10
        await response.close()


@pytest.mark.covers("T25")
async def test_an_event_of_five_megabytes_passes(transport: Transport):
    event = b"data: " + b"x" * 5_000_000 + b"\n\n"

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(CHUNKED, chunk(event), LAST)

    async with serving(script) as server:
        assert await body_of(await transport.open(server.provider, ASK)) == event


@pytest.mark.covers("P16", "T26")
async def test_no_compression_is_asked_for(transport: Transport):
    seen = []

    async def script(peer: Peer) -> None:
        seen.append((await peer.request())[1])
        await peer.send(b"HTTP/1.1 204 No Content\r\n\r\n")

    async with serving(script) as server:
        await (await transport.open(server.provider, ASK)).close()
    assert seen[0]["accept-encoding"] == "identity"


@pytest.mark.covers("P16", "T26")
@pytest.mark.parametrize(("name", "window"), [(b"gzip", 31), (b"deflate", 15)])
async def test_a_compressed_stream_is_decoded_event_by_event(transport: Transport, name: bytes, window: int):
    go_on = asyncio.Event()
    packer = zlib.compressobj(wbits=window)

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(CHUNKED.replace(b"\r\n\r\n", b"\r\nContent-Encoding: " + name + b"\r\n\r\n"))
        await peer.send(chunk(packer.compress(b"data: 1\n\n") + packer.flush(zlib.Z_SYNC_FLUSH)))
        await go_on.wait()
        await peer.send(chunk(packer.compress(b"data: 2\n\n") + packer.flush()), LAST)

    async with serving(script) as server:
        response = await transport.open(server.provider, ASK)
        assert await response.read() == b"data: 1\n\n"
        go_on.set()
        assert await body_of(response) == b"data: 2\n\n"


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


async def test_a_redirect_is_not_followed_because_the_credential_would_follow_it(transport: Transport):
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 307 Go\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n")

    async with serving(script) as server:
        assert (await transport.open(server.provider, ASK)).status == 307


async def test_cookies_are_not_kept(transport: Transport):
    seen = []

    async def script(peer: Peer) -> None:
        while True:
            seen.append((await peer.request())[1])
            await peer.send(b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nContent-Length: 0\r\n\r\n")

    async with serving(script) as server:
        for _ in range(2):
            await (await transport.open(server.provider, ASK)).close()
    assert "cookie" not in seen[1]


async def test_a_connection_is_used_again_after_an_answer_that_was_read_to_its_end(transport: Transport):
    async def script(peer: Peer) -> None:
        while True:
            await peer.request()
            await peer.send(CHUNKED, chunk(b"data: [DONE]\n\n"), LAST)

    async with serving(script) as server:
        for _ in range(3):
            response = await transport.open(server.provider, ASK)
            await body_of(response)
            await response.close()
        assert server.connections == 1


async def test_a_connection_is_used_again_when_only_the_end_of_the_body_is_left(transport: Transport):
    async def script(peer: Peer) -> None:
        while True:
            await peer.request()
            await peer.send(CHUNKED, chunk(b"data: [DONE]\n\n"))
            await asyncio.sleep(0.05)
            await peer.send(LAST)

    async with serving(script) as server:
        for _ in range(2):
            response = await transport.open(server.provider, ASK)
            assert await response.read() == b"data: [DONE]\n\n"
            await response.close()
        assert server.connections == 1


async def test_a_provider_that_does_not_end_its_body_is_left_soon(transport: Transport):
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(CHUNKED, chunk(b"data: [DONE]\n\n"))
        await peer.reader.readexactly(1)

    async with serving(script) as server:
        response = await transport.open(server.provider, ASK)
        await response.read()
        begun = time.monotonic()
        await response.close()
        assert time.monotonic() - begun < 0.4
        await asyncio.wait_for(server.left.wait(), 1)


@pytest.mark.covers("P112")
async def test_a_reset_after_the_last_event_is_nobodys_concern(transport: Transport):
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(CHUNKED, chunk(b"data: [DONE]\n\n"))
        await asyncio.sleep(0.02)
        peer.reset()

    async with serving(script) as server:
        response = await transport.open(server.provider, ASK)
        assert await response.read() == b"data: [DONE]\n\n"
        await response.close()


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


async def test_a_transport_that_was_never_used_can_be_closed_twice():
    transport = Transport()
    await transport.close()
    await transport.close()


def test_gzip_is_what_the_tests_say_it_is():
    packer = zlib.compressobj(wbits=31)
    assert gzip.decompress(packer.compress(b"x") + packer.flush()) == b"x"
