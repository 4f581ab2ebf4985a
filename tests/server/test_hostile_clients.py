"""Clients that break rules, on raw sockets: they get an answer, nobody else notices, and no provider is led astray."""

import asyncio
import contextlib
import io
import json
import re
import resource
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.server.canned import PIECES_BEFORE_THE_END, STREAMS, WHOLE
from tests.serving import (
    CALLS,
    END,
    HANG,
    KEY,
    STREAM_HEAD,
    Act,
    Gateway,
    Upstream,
    chunk,
    replaying,
    serving,
    stream,
    whole,
)

pytestmark = pytest.mark.anyio

AUTHORIZED = f"Authorization: Bearer {KEY}\r\n".encode()
MIB = 2**20


@contextlib.asynccontextmanager
async def lab(*acts: Act, protocol: str = "openai-chat") -> AsyncIterator[tuple[Gateway, Upstream]]:
    async with replaying(acts) as upstream, serving(lab=upstream.provider(protocol)) as gateway:
        yield gateway, upstream


async def connected(gateway: Gateway) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, _, port = gateway.address.removeprefix("http://").rpartition(":")
    return await asyncio.open_connection(host, int(port))


def chat(model: str = "lab/m", **fields: object) -> bytes:
    return json.dumps({"model": model, "messages": [{"role": "user", "content": "hi"}]} | fields).encode()


def request(
    body: bytes,
    *,
    path: str = "/v1/chat/completions",
    headers: bytes = AUTHORIZED,
    version: str = "1.1",
    method: str = "POST",
) -> bytes:
    head = f"{method} {path} HTTP/{version}\r\nHost: gateway\r\nContent-Length: {len(body)}\r\n".encode()
    return head + headers + b"\r\n" + body


async def response(reader: asyncio.StreamReader) -> tuple[int, bytes, bytes]:
    """Read one response whose length is announced."""
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
    length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
    return int(head.split()[1]), head, await reader.readexactly(int(length[1]) if length else 0)


async def rest(reader: asyncio.StreamReader) -> bytes:
    """Read to the end of the connection, however it ends."""
    pieces: list[bytes] = []
    with contextlib.suppress(ConnectionError):
        async with asyncio.timeout(5):
            while piece := await reader.read(65536):
                pieces.append(piece)
    return b"".join(pieces)


async def asked(gateway: Gateway, data: bytes) -> tuple[int, bytes, bytes]:
    reader, writer = await connected(gateway)
    writer.write(data)
    answer = await response(reader)
    writer.close()
    return answer


# ---- keys ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [b"Authorization: Bearer ", b"x-api-key: ", b"x-goog-api-key: "])
@pytest.mark.parametrize(
    "key", [b"\xff\xfe", b"pen_" + b"\xff" * 46, "ключ".encode(), b"pen_" + "é".encode() * 46, b"a b", b"%00"]
)
async def test_any_bytes_where_a_key_should_be_are_a_401(name: bytes, key: bytes) -> None:
    async with lab() as (gateway, upstream):
        status, _, body = await asked(gateway, request(chat(), headers=name + key + b"\r\n"))
        assert (status, upstream.requests) == (401, [])
        assert json.loads(body)


@pytest.mark.parametrize("query", ["key=%ff", "key=%", "key=%ed%a0%80", "key=a&key=b"])
async def test_any_key_in_the_query_beside_another_is_a_400(query: str) -> None:
    async with lab() as (gateway, _):
        status, _, _ = await asked(gateway, request(chat(), path=f"/v1/chat/completions?{query}"))
        assert status == 400


async def test_what_the_http_parser_refuses_is_not_logged_for_there_is_a_key_in_it(
    library_log: io.StringIO,
) -> None:
    async with lab() as (gateway, _):
        for data in (
            b"POST /v1?key=SECRET HTTP/9.9\r\nHost: x\r\n\r\n",
            request(b"", headers=b"Authorization: Bearer SECRET\x01\r\n"),
        ):
            assert (await asked(gateway, data))[0] == 400
    assert "SECRET" not in library_log.getvalue()


# ---- names and paths -------------------------------------------------------------------------------------------------

ASTRAY = ("../x", "a/../../x", "./x", "a/..", "a\r\nb", "a\x00b", "a\x1b[31m", "a\u2028b", "a" * 10_000)


@pytest.mark.parametrize("protocol", CALLS)
@pytest.mark.parametrize("model", ASTRAY, ids=[ascii(name)[:20] for name in ASTRAY])
async def test_a_name_that_no_model_has_reaches_no_provider(protocol: str, model: str) -> None:
    async with lab(protocol=protocol) as (gateway, upstream):
        status, _, body = await asked(gateway, request(chat(f"lab/{model}")))
        assert (status, upstream.requests) == (404, [])
        assert len(body) < 1000


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1beta/models/lab/%00:generateContent", 404),
        ("/v1beta/models/lab/a%0d%0ab:generateContent", 404),
        ("/v1beta/models/lab/%2e%2e/x:generateContent", 404),
        ("/v1beta/models/lab/..%2fx:generateContent", 404),
        ("//v1/chat/completions", 404),
        ("/v1/chat/completions/../x", 404),
        ("/" + "a" * 8000, 404),
        ("/" + "a" * 20_000, 414),
        ("*", 400),
    ],
)
async def test_a_strange_path_is_refused(path: str, status: int) -> None:
    async with lab() as (gateway, upstream):
        assert (await asked(gateway, request(b'{"contents":[]}', path=path)))[0] == status
        assert upstream.requests == []


@pytest.mark.parametrize("value", [b"\xff", "中".encode(), b"a\xc2\xa0"])
async def test_a_header_for_the_provider_with_odd_bytes_is_a_400(value: bytes) -> None:
    async with lab(protocol="anthropic") as (gateway, upstream):
        body = chat(max_tokens=3)
        headers = AUTHORIZED + b"anthropic-beta: " + value + b"\r\n"
        status, _, _ = await asked(gateway, request(body, path="/v1/messages", headers=headers))
        assert (status, upstream.requests) == (400, [])


async def test_names_of_dropped_fields_stay_within_their_header() -> None:
    fields = {"a\r\nset-cookie: b=c": 1, "n\x00": 1, "ü": 1, "x" * 100_000: 1}
    async with lab(*whole(WHOLE["gemini"]), protocol="gemini") as (gateway, _):
        status, head, _ = await asked(gateway, request(chat(**fields)))
        assert status == 200
        assert b"set-cookie" not in head.lower().replace(b"a%0d%0aset-cookie:", b"")
        assert len(head) < 2000


# ---- bodies ----------------------------------------------------------------------------------------------------------


async def test_a_client_that_asks_before_it_sends_is_told_to_go_on() -> None:
    async with lab(*whole(WHOLE["openai-chat"])) as (gateway, _):
        reader, writer = await connected(gateway)
        data = request(chat(), headers=AUTHORIZED + b"Expect: 100-continue\r\n")
        head, _, body = data.partition(b"\r\n\r\n")
        writer.write(head + b"\r\n\r\n")
        assert await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 0.5) == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(body)
        assert (await response(reader))[0] == 200
        writer.write(request(chat()))
        assert (await response(reader))[0] == 200
        writer.close()


@pytest.mark.parametrize("version", ["1.1", "1.0"])
async def test_a_client_that_asks_and_does_not_wait_is_served(version: str) -> None:
    async with lab(*whole(WHOLE["openai-chat"])) as (gateway, _):
        reader, writer = await connected(gateway)
        writer.write(request(chat(), headers=AUTHORIZED + b"Expect: 100-continue\r\n", version=version))
        if version == "1.1":
            await reader.readuntil(b"\r\n\r\n")
        assert (await response(reader))[0] == 200
        writer.close()


async def test_a_client_that_asks_with_too_much_or_without_a_key_is_refused_before_it_sends() -> None:
    async with lab() as (gateway, _):
        head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: %d\r\n"
        for sent, status in ((head % (33 * MIB) + AUTHORIZED, 413), (head % 100, 401)):
            assert (await asked(gateway, sent + b"\r\n"))[0] == status


@pytest.mark.parametrize("chunked", [False, True])
async def test_who_sends_too_much_hears_of_it_and_is_not_read_as_a_second_request(chunked: bool) -> None:
    length = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % (33 * MIB)
    smuggled = request(chat())
    async with lab() as (gateway, upstream):
        reader, writer = await connected(gateway)
        writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n" + AUTHORIZED + length + b"\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            for _ in range(33):
                piece = smuggled + bytes(MIB - len(smuggled))
                writer.write(chunk(piece) if chunked else piece)
                await writer.drain()
            writer.write(END if chunked else b"")
        answer = await rest(reader)
        assert answer.startswith(b"HTTP/1.1 413 ")
        assert answer.count(b"HTTP/1.1") == 1
        assert upstream.requests == []
        writer.close()


@pytest.mark.parametrize(
    "framing",
    [
        b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nzz\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\nabc",
        b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
        b"Content-Length: +3\r\n\r\nabc",
    ],
)
async def test_a_body_framed_in_two_ways_or_none_is_a_400_and_the_end_of_the_connection(framing: bytes) -> None:
    async with lab() as (gateway, upstream):
        reader, writer = await connected(gateway)
        writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n" + AUTHORIZED + framing)
        assert b" 400 " in (await rest(reader)).partition(b"\r\n")[0]
        assert upstream.requests == []
        writer.close()


async def test_a_client_that_leaves_in_the_middle_of_its_body_is_forgotten() -> None:
    async with lab() as (gateway, upstream):
        before = len(asyncio.all_tasks())
        _, writer = await connected(gateway)
        writer.write(request(chat())[:-5])
        await asyncio.sleep(0.02)
        writer.transport.abort()
        await asyncio.sleep(0.05)
        assert len(asyncio.all_tasks()) == before
        assert upstream.requests == []


# ---- connections -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong",
    [
        request(chat(), headers=b""),
        request(b"{"),
        request(chat("lab/../x")),
        request(chat(), path="/nothing"),
        request(b"", method="GET"),
        request(chat(), headers=AUTHORIZED + b"Content-Encoding: gzip\r\n"),
        request(b"", method="HEAD", path="/v1"),
    ],
)
async def test_the_connection_goes_on_after_a_refusal(wrong: bytes) -> None:
    async with lab(*whole(WHOLE["openai-chat"])) as (gateway, _):
        reader, writer = await connected(gateway)
        writer.write(wrong)
        await reader.readuntil(b"\r\n\r\n") if wrong.startswith(b"HEAD") else await response(reader)
        writer.write(request(chat()))
        assert (await response(reader))[0] == 200
        writer.close()


async def test_pipelined_requests_are_answered_in_their_order() -> None:
    async with lab(*stream(*STREAMS["openai-chat"])) as (gateway, upstream):
        reader, writer = await connected(gateway)
        writer.write(request(chat(stream=True)) * 2 + request(b"", method="GET", path="/healthz"))
        answer = b""
        while not answer.endswith(b'{"status":"ok"}'):
            answer += await asyncio.wait_for(reader.read(65536), 2)
        assert answer.count(b"data: [DONE]") == answer.count(b"\r\n0\r\n\r\n") == len(upstream.requests) == 2
        writer.close()


@pytest.mark.parametrize("protocol", CALLS)
@pytest.mark.parametrize(("version", "headers"), [("1.0", b""), ("1.1", b"Connection: close\r\n")])
async def test_a_client_that_wants_one_answer_gets_a_stream_to_its_end(
    protocol: str, version: str, headers: bytes
) -> None:
    path, body = CALLS[protocol]
    async with lab(*stream(*STREAMS[protocol]), protocol=protocol) as (gateway, _):
        reader, writer = await connected(gateway)
        writer.write(request(json.dumps(body).encode(), path=path, headers=AUTHORIZED + headers, version=version))
        answer = await rest(reader)
        chunked = b"chunked" in answer.partition(b"\r\n\r\n")[0]
        assert chunked is (version == "1.1")
        assert answer.endswith(END) is chunked
        assert STREAMS[protocol][0] in answer
        writer.close()


@pytest.mark.parametrize("protocol", CALLS)
@pytest.mark.parametrize(("version", "headers"), [("1.0", b""), ("1.1", b"Connection: close\r\n")])
async def test_a_client_that_wants_one_answer_sees_its_break(protocol: str, version: str, headers: bytes) -> None:
    path, body = CALLS[protocol]
    begun = [chunk(piece) for piece in STREAMS[protocol][: PIECES_BEFORE_THE_END[protocol]]]
    async with lab(STREAM_HEAD, *begun, "close", protocol=protocol) as (gateway, _):
        reader, writer = await connected(gateway)
        writer.write(request(json.dumps(body).encode(), path=path, headers=AUTHORIZED + headers, version=version))
        answer = await rest(reader)
        assert b'"error"' in answer
        assert not answer.endswith(END)
        writer.close()


async def test_comments_without_end_before_the_first_output_are_not_held() -> None:
    comments = [chunk(b": waiting\n\n" * 1000)] * 20
    async with lab(STREAM_HEAD, *comments, HANG) as (gateway, _):
        reader, writer = await connected(gateway)
        writer.write(request(chat(stream=True)))
        assert b" 200 " in await asyncio.wait_for(reader.readuntil(b"\r\n"), 1)
        writer.close()


async def test_clients_that_never_read_hold_their_providers_back_and_not_our_memory() -> None:
    piece = b'data: {"choices":[{"index":0,"delta":{"content":"' + b"x" * 100_000 + b'"}}]}\n\n'
    async with lab(STREAM_HEAD, *[chunk(piece)] * 500, END) as (gateway, _):
        before = resident()
        clients = [await connected(gateway) for _ in range(10)]
        for _, writer in clients:
            writer.transport.pause_reading()  # type: ignore[attr-defined]
            writer.write(request(chat(stream=True)))
        await asyncio.sleep(0.5)
        grown = resident() - before
        for _, writer in clients:
            writer.transport.abort()
        await asyncio.sleep(0.02)
    assert grown < 30 * MIB, "10 streams of 50 MB, with both ends of each in this process"


def resident() -> int:
    """Return the resident memory of this process in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
