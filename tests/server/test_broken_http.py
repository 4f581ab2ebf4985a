"""What is not HTTP, or could be read by another server in another way: one clear answer, and no second request."""

import io
import json

import pytest
import structlog

from penstock.protocols.registry import PROTOCOLS
from penstock.server.rules import MAX_BODY, MAX_HEAD, MAX_HEADERS, MAX_TARGET
from tests.server.listening import Site, echo, site, statuses
from tests.serving import CALLS, KEY, serving

pytestmark = pytest.mark.anyio

HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n"
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"


def post(headers: bytes, body: bytes = b"") -> bytes:
    return HEAD + headers + b"\r\n\r\n" + body


async def refused(server: Site, sent: bytes) -> int:
    """Return the status that some bytes, and a request behind them, are answered with: there must be just one."""
    answer = await server.asked(sent + SMUGGLED)
    (status,) = statuses(answer)
    assert b"/smuggled" not in answer
    return status


FRAMINGS = {
    "both ways": post(b"Content-Length: 3\r\nTransfer-Encoding: chunked", b"0\r\n\r\n"),
    "both ways, the other first": post(b"Transfer-Encoding: chunked\r\nContent-Length: 3", b"0\r\n\r\n"),
    "two lengths": post(b"Content-Length: 3\r\nContent-Length: 4", b"abcd"),
    "one length twice": post(b"Content-Length: 3\r\nContent-Length: 3", b"abc"),
    "a list of lengths": post(b"Content-Length: 3, 3", b"abc"),
    "a signed length": post(b"Content-Length: +3", b"abc"),
    "a negative length": post(b"Content-Length: -3", b"abc"),
    "a hexadecimal length": post(b"Content-Length: 0x3", b"abc"),
    "an empty length": post(b"Content-Length:", b"abc"),
    "a length beyond all numbers": post(b"Content-Length: 99999999999999999999999", b"abc"),
    "a blank before the colon": post(b"Content-Length : 3", b"abc"),
    "chunked twice": post(b"Transfer-Encoding: chunked, chunked", b"0\r\n\r\n"),
    "chunked in two headers": post(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", b"0\r\n\r\n"),
    "chunked and then not": post(b"Transfer-Encoding: chunked, identity", b"0\r\n\r\n"),
    "chunked behind a control character": post(b"Transfer-Encoding: \x0bchunked", b"0\r\n\r\n"),
    "a chunk size that is none": post(b"Transfer-Encoding: chunked", b"zz\r\nabc\r\n0\r\n\r\n"),
    "a signed chunk size": post(b"Transfer-Encoding: chunked", b"+3\r\nabc\r\n0\r\n\r\n"),
    "a chunk size with a prefix": post(b"Transfer-Encoding: chunked", b"0x3\r\nabc\r\n0\r\n\r\n"),
    "a blank behind a chunk size": post(b"Transfer-Encoding: chunked", b"3 \r\nabc\r\n0\r\n\r\n"),
    "a chunk beyond all numbers": post(b"Transfer-Encoding: chunked", b"fffffffffffffffff\r\nabc\r\n0\r\n\r\n"),
    "a chunk longer than it says": post(b"Transfer-Encoding: chunked", b"3\r\nabcd\r\n0\r\n\r\n"),
    "a line feed alone in an extension": post(b"Transfer-Encoding: chunked", b"3;a\nabc\r\n0\r\n\r\n"),
    "a line feed alone behind a chunk": post(b"Transfer-Encoding: chunked", b"3\r\nabc\n0\r\n\r\n"),
    "a length in the trailer": post(b"Transfer-Encoding: chunked", b"0\r\nContent-Length: 35\r\n\r\n"),
}

LINES = {
    "line feeds alone": b"POST /x HTTP/1.1\nHost: x\n\n",
    "a line feed alone behind a header": b"POST /x HTTP/1.1\r\nHost: x\nA: b\r\n\r\n",
    "a carriage return alone": b"POST /x HTTP/1.1\r\nHost: x\rA: b\r\n\r\n",
    "a folded header": post(b"A: b\r\n c"),
    "a blank before the first header": b"POST /x HTTP/1.1\r\n Host: x\r\n\r\n",
    "a header without a name": post(b": b"),
    "a header without a colon": post(b"nothing"),
    "a name that is no token": post(b"a b: c"),
    "NUL in a value": post(b"A: b\x00c"),
    "NUL in a name": post(b"A\x00: b"),
    "NUL in the path": b"POST /x\x00y HTTP/1.1\r\nHost: x\r\n\r\n",
    "a blank in the path": b"POST /x y HTTP/1.1\r\nHost: x\r\n\r\n",
    "bytes in the path that must be escaped": b"POST /\xff HTTP/1.1\r\nHost: x\r\n\r\n",
    "no host": b"POST /x HTTP/1.1\r\n\r\n",
    "two hosts": b"POST /x HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
    "one host twice": b"POST /x HTTP/1.1\r\nHost: x\r\nhost: x\r\n\r\n",
    "an address for a path": b"POST http://x/v1 HTTP/1.1\r\nHost: x\r\n\r\n",
    "a proxy's tunnel": b"CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\n",
    "a tunnel to a path": b"CONNECT /x HTTP/1.1\r\nHost: x\r\n\r\n",
    "a star for a path": b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
    "an unknown method": b"BREW /x HTTP/1.1\r\nHost: x\r\n\r\n",
    "a method in small letters": b"post /x HTTP/1.1\r\nHost: x\r\n\r\n",
    "a version that does not exist": b"POST /x HTTP/9.9\r\nHost: x\r\n\r\n",
    "a TLS handshake": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(300),
    "an SSH client": b"SSH-2.0-OpenSSH_9.6\r\n",
    "bytes": bytes(range(256)),
}

OTHERS = {
    "HTTP/0.9": (b"GET /x\r\n\r\n", 505),
    "HTTP/2 by its version": (b"GET /x HTTP/2.0\r\nHost: x\r\n\r\n", 505),
    "HTTP/2 by its preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    "almost chunked": (post(b"Transfer-Encoding: xchunked", b"0\r\n\r\n"), 501),
    "identity": (post(b"Transfer-Encoding: identity", b"0\r\n\r\n"), 501),
    "another coding": (post(b"Transfer-Encoding: gzip, chunked", b"0\r\n\r\n"), 501),
    "chunked in HTTP/1.0": (b"POST /x HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 501),
    "a body that says it is too large": (post(b"Content-Length: %d" % (MAX_BODY + 1)), 413),
    "a body that is too large for either protocol": (
        post(b"Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: %d" % (MAX_BODY + 1)),
        413,
    ),
    "a WebSocket": (
        b"GET /v1/responses HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
        426,
    ),
    "a path without end": (b"GET /" + b"a" * MAX_TARGET + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414),
    "a path without any end": (b"GET /" + b"a" * 4 * MAX_TARGET, 414),
    "a header without end": (post(b"A: " + b"a" * MAX_HEAD), 431),
    "a header without any end": (HEAD + b"A: " + b"a" * 600_000, 431),
    "a name of a header without any end": (HEAD + b"a" * 600_000, 431),
    "many headers": (post(b"\r\n".join([b"A: b"] * (MAX_HEADERS + 1))), 431),
    "many small headers": (post(b"\r\n".join([b"A: " + b"b" * 900] * 80)), 431),
    "many trailers": (
        post(b"Transfer-Encoding: chunked", b"0\r\n" + b"A: b\r\n" * (MAX_HEADERS + 1) + b"\r\n"),
        431,
    ),
    "an extension without any end": (post(b"Transfer-Encoding: chunked", b"3;" + b"a" * 5_000_000), 400),
}


@pytest.mark.parametrize("name", [*FRAMINGS, *LINES])
async def test_what_is_not_http_is_a_400_and_the_end(name: str) -> None:
    async with site(echo) as server:
        assert await refused(server, (FRAMINGS | LINES)[name]) == 400


@pytest.mark.parametrize("name", OTHERS)
async def test_what_is_not_served_says_why_by_its_status_and_is_the_end(name: str) -> None:
    sent, status = OTHERS[name]
    async with site(echo) as server:
        assert await refused(server, sent) == status


@pytest.mark.parametrize("name", [*FRAMINGS, *LINES])
async def test_it_does_not_matter_in_which_packets_it_came(name: str) -> None:
    sent = (FRAMINGS | LINES)[name]
    async with site(echo) as server:
        client = await server.client()
        for position in range(0, len(sent), 7):
            client.send(sent[position : position + 7])
            await server.turn()
        client.send(SMUGGLED)
        got, _ = await client.rest()
    assert statuses(got) == [400]


async def test_an_answer_before_the_broken_request_is_not_lost() -> None:
    async with site(echo) as server:
        answer = await server.asked(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n" + LINES["a folded header"])
    assert statuses(answer) == [200, 400]


async def test_what_stands_behind_the_last_request_is_nobodys_concern() -> None:
    async with site(echo) as server:
        for sent in (b"GET /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", b"GET /a HTTP/1.0\r\n\r\n"):
            assert statuses(await server.asked(sent + SMUGGLED)) == [200]


async def test_harmless_headers_may_come_twice() -> None:
    seen: dict[str, str] = {}

    async def look(request):  # type: ignore[no-untyped-def]
        seen.update(request.headers)
        return await echo(request)

    async with site(look) as server:
        client = await server.client()
        client.send(b"GET /a HTTP/1.1\r\nHost: x\r\nUser-Agent: a\r\nUSER-AGENT: b \r\nAccept: c\r\nAccept: c\r\n\r\n")
        assert (await client.answer()).status == 200
    assert (seen["user-agent"], seen["accept"]) == ("a, b", "c")


# ---- through the gateway ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("client", CALLS)
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (b"Content-Length: +3", 400),
        (b"Transfer-Encoding: gzip", 501),
        (b"Transfer-Encoding: gzip, chunked", 501),
        (b"A: " + b"a" * MAX_HEAD, 431),
        (b"Content-Length: %d" % (MAX_BODY + 1), 413),
    ],
)
async def test_a_broken_request_is_refused_in_the_words_of_the_protocol_that_its_path_belongs_to(
    client: str, headers: bytes, status: int
) -> None:
    path = CALLS[client][0].encode()
    async with serving() as gateway, site(echo) as raw:
        raw.listener.addresses[0] = ("127.0.0.1", int(gateway.address.rpartition(":")[2]))
        connected = await raw.client()
        connected.send(b"POST %b HTTP/1.1\r\nHost: x\r\n%b\r\n\r\n" % (path, headers))
        answer = await connected.answer()
        assert await connected.rest() == (b"", False)
    assert answer.status == status
    assert answer.headers["connection"] == "close"
    assert answer.headers["x-request-id"]
    error = json.loads(answer.body)["error"]
    assert error["message"]
    assert PROTOCOLS[client].read_error(status, answer.body).message == error["message"]


@pytest.mark.parametrize(
    "sent",
    [
        b"POST /v1?key=%b HTTP/9.9\r\nHost: x\r\n\r\n",
        b"POST http://user:%b@x/ HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %b\x01\r\n\r\n",
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %b\r\nContent-Length: x\r\n\r\n",
        b"%b\r\n\r\n",
        b"CONNECT %b:1 HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
)
async def test_no_log_and_no_answer_repeats_a_key(sent: bytes, library_log: io.StringIO) -> None:
    with structlog.testing.capture_logs() as lines:
        async with serving() as gateway, site(echo) as raw:
            raw.listener.addresses[0] = ("127.0.0.1", int(gateway.address.rpartition(":")[2]))
            answer = await raw.asked(sent % KEY.encode())
    assert statuses(answer) == [400]
    assert KEY.encode() not in answer
    assert KEY not in f"{lines} {library_log.getvalue()}"
