"""The way to providers, against real sockets."""

import asyncio
import time
import zlib

import pytest

from penstock.core.secret import Secret
from penstock.protocols.base import Outbound
from penstock.upstreams.catalog import Provider
from penstock.upstreams.transport import Transport
from tests.upstreams.servers import ASK, CHUNKED, LAST, Peer, body_of, chunk, serving

pytestmark = pytest.mark.anyio


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


async def test_a_transport_that_was_never_used_can_be_closed_twice():
    transport = Transport()
    await transport.close()
    await transport.close()
