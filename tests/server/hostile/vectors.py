"""Requests that two servers could read in two ways, and near ones that are plain.

Each is followed, on the same connection, by a second request that a confused server would find inside or behind the
first. `asked` is what a provider may be asked: nothing if the first is refused, "first" and "second" if both are plain.
"""

import json
from collections.abc import Iterator

from msgspec import Struct

REFUSED: tuple[str, ...] = ()
FIRST: tuple[str, ...] = ("first",)
BOTH = ("first", "second")


LAST = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


class Vector(Struct, frozen=True):
    """Some bytes on one connection, and the requests in them that may reach a provider, in their order."""

    name: str
    sent: bytes
    asked: tuple[str, ...]


def body(model: str) -> bytes:
    """Return a plain question."""
    return json.dumps({"model": f"lab/{model}", "messages": [{"role": "user", "content": "hi"}]}).encode()


def head(key: str, headers: bytes, line: bytes = b"POST /v1/chat/completions HTTP/1.1") -> bytes:
    """Return a head with a key; `headers` are lines without the last line end."""
    return line + b"\r\nHost: x\r\nAuthorization: Bearer " + key.encode() + b"\r\n" + headers + b"\r\n\r\n"


def plain(key: str, model: str, headers: bytes = b"") -> bytes:
    """Return a plain request."""
    content = body(model)
    return head(key, headers + b"Content-Length: %d" % len(content)) + content


def chunked(content: bytes) -> bytes:
    return b"%x\r\n%b\r\n0\r\n\r\n" % (len(content), content)


def vectors(key: str) -> list[Vector]:
    """Return all of them."""
    second = plain(key, "second", b"Connection: close\r\n")
    return [
        *_transfer_codings(key, second),
        *_lengths(key, second),
        *_chunks(key, second),
        *_lines(key, second),
        *_methods(key, second),
    ]


CODINGS = (
    b"Transfer-Encoding: xchunked", b"Transfer-Encoding: chunkedx", b"Transfer-Encoding: chunk",
    b"Transfer-Encoding: chunked;q=1", b"Transfer-Encoding: chunked, identity", b"Transfer-Encoding: identity, chunked",
    b"Transfer-Encoding: chunked, chunked", b"Transfer-Encoding: gzip, chunked", b"Transfer-Encoding: chunked, gzip",
    b"Transfer-Encoding: identity", b"Transfer-Encoding: cow", b"Transfer-Encoding: \"chunked\"",
    b"Transfer-Encoding: 'chunked'", b"Transfer-Encoding: chunked chunked", b"Transfer-Encoding: \x0bchunked",
    b"Transfer-Encoding: chunked\x0b", b"Transfer-Encoding: \x0cchunked", b"Transfer-Encoding: \x00chunked",
    b"Transfer-Encoding: chunked\x00", b"Transfer-Encoding: \xa0chunked", b"Transfer-Encoding: chunked\xff",
    b"Transfer-Encoding : chunked", b"Transfer-Encoding\t: chunked", b"Transfer-Encoding\x00: chunked",
    b"Transfer-Encoding:\n chunked", b"Transfer-Encoding:\r\n chunked", b"Transfer-Encoding: chun\r\n ked",
    b"A: b\nTransfer-Encoding: chunked", b"A: b\rTransfer-Encoding: chunked", b"A: b\x00Transfer-Encoding: chunked",
    b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
    b"Transfer-Encoding: cow\r\nTransfer-Encoding: chunked",
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: ",
)  # fmt: skip


def _transfer_codings(key: str, second: bytes) -> Iterator[Vector]:
    """Each alone, and beside a length that takes the second request for a part of the body."""
    for coding in (*CODINGS, b"Transfer-Encoding: chunked", b"transfer-encoding: CHUNKED"):
        hidden = b"0\r\n\r\n" + second
        lengths = b"Content-Length: %d\r\n" % len(hidden)
        yield Vector(f"{coding!r} behind a length", head(key, lengths + coding) + hidden, REFUSED)
        yield Vector(f"{coding!r} before a length", head(key, coding + b"\r\n" + lengths[:-2]) + hidden, REFUSED)
    for coding in CODINGS:
        yield Vector(f"{coding!r}", head(key, coding) + chunked(body("first")) + second, REFUSED)
    for coding in (b"Transfer-Encoding: chunked", b"TRANSFER-ENCODING: CHUNKED", b"Transfer-Encoding:   chunked"):
        yield Vector(f"{coding!r}, plain", head(key, coding) + chunked(body("first")) + second, BOTH)
    hidden = b"0\r\n\r\n" + second
    other = b"Content-Length: %d\r\nTransfer_Encoding: chunked" % len(hidden)
    yield Vector("a name with an underscore", head(key, other) + hidden + LAST, REFUSED)  # its body is no JSON
    old = head(key, b"Transfer-Encoding: chunked", b"POST /v1/chat/completions HTTP/1.0")
    yield Vector("chunked in HTTP/1.0", old + chunked(body("first")) + second, REFUSED)
    old = head(key, b"Connection: keep-alive\r\nTransfer-Encoding: chunked", b"POST /v1/chat/completions HTTP/1.0")
    yield Vector("chunked in a kept HTTP/1.0", old + chunked(body("first")) + second, REFUSED)


def _lengths(key: str, second: bytes) -> Iterator[Vector]:
    content = body("first")
    size = b"%d" % len(content)
    wrong = [
        b"+" + size, b"-" + size, b"0x%x" % len(content), size + b" " + size, size + b"," + size, size + b", 1",
        b"0, " + size, size + b"\x00", b"\x0b" + size, size + b"\x0b", size + b".0", size + b"e0", size + b";a",
        size[:1] + b"_" + size[1:], b"", b"x", b"9" * 30, b"18446744073709551617", size + b"\r\n 0", b"\xef\xbc\x95",
    ]  # fmt: skip
    for value in wrong:
        sent = head(key, b"Content-Length: " + value) + content + second
        yield Vector(f"the length {value!r}", sent, REFUSED)
    pairs = [(size, size), (size, b"0"), (b"0", size), (size, b"%d" % (len(content) + len(second)))]
    for one, other in pairs:
        sent = head(key, b"Content-Length: %b\r\nContent-Length: %b" % (one, other)) + content + second
        yield Vector(f"the lengths {one!r} and {other!r}", sent, REFUSED)
    for name in (
        b"Content-Length ",
        b"Content-Length\t",
        b"Content-Length\x00",
        b" Content-Length",
        b"Content\x0b-Length",
    ):
        sent = head(key, name + b": " + size) + content + second
        yield Vector(f"the name {name!r}", sent, REFUSED)
    for value in (size, b" " + size + b"\t", b"000" + size):
        yield Vector(f"the length {value!r}, plain", head(key, b"Content-Length:" + value) + content + second, BOTH)
    within = b'{"model":"lab/first","messages":' + second + b"}"
    yield Vector("a request in a body", head(key, b"Content-Length: %d" % len(within)) + within + LAST, REFUSED)


def _chunks(key: str, second: bytes) -> Iterator[Vector]:
    content = body("first")
    opened = head(key, b"Transfer-Encoding: chunked")
    size = b"%x" % len(content)
    sizes = [
        b"+" + size, b"-" + size, b"0x" + size, size + b" ", b" " + size, size + b"\t", size + b",", size + b"_", b"g",
        b"", b"f" * 17, size + b"\x00", size + b";a\n", size + b";a=\"\n\"", size + b";a\x00", size + b";a\r", size + b"\r",
        b"\xef\xbc\x95",
    ]  # fmt: skip
    for wrong in sizes:
        sent = opened + wrong + b"\r\n" + content + b"\r\n0\r\n\r\n" + second
        yield Vector(f"the chunk size {wrong!r}", sent, REFUSED)
    for end in (b"\n", b"\r"):
        sent = opened + size + end + content + b"\r\n0\r\n\r\n" + second
        yield Vector(f"{end!r} behind a chunk size", sent, REFUSED)
    for tail in (b"\n", b"\r", b"XX", b"\rX", b"", b"\n\r", b" \r\n", b"\r\r\n"):
        yield Vector(
            f"{tail!r} behind a chunk", opened + size + b"\r\n" + content + tail + b"0\r\n\r\n" + second, REFUSED
        )
    lasts = [
        b"0\n\n", b"0\r\n\n", b"0\n\r\n", b"-0\r\n\r\n", b"0x0\r\n\r\n", b"0;a\n\r\n", b"0\r\n A: b\r\n\r\n",
        b"0\r\nA\r\n\r\n", b"0\r\nA : b\r\n\r\n", b"0\r\nA: b\n\r\n", b"0\r\nContent-Length: 9\r\n\r\n",
        b"0\r\nTransfer-Encoding: chunked\r\n\r\n", b"0\r\nA: b\x00\r\n\r\n",
    ]  # fmt: skip
    for last in lasts:
        yield Vector(f"the end {last!r}", opened + size + b"\r\n" + content + b"\r\n" + last + second, REFUSED)
    for last in (b"00\r\n\r\n", b"0;a=b\r\n\r\n", b"0\r\nHost: evil\r\nAuthorization: Bearer x\r\n\r\n"):
        yield Vector(f"the end {last!r}, plain", opened + size + b"\r\n" + content + b"\r\n" + last + second, BOTH)
    for extension in (b";a", b';a="b"', b";" + b"a" * 500):
        sent = opened + size + extension + b"\r\n" + content + b"\r\n0\r\n\r\n" + second
        yield Vector(f"the extension {extension[:9]!r}, plain", sent, BOTH)


def _lines(key: str, second: bytes) -> Iterator[Vector]:
    content = body("first")
    size = b"Content-Length: %d" % len(content)
    for wrong in (
        b"A: b\n", b"A: b\r", b"A: b\r\n c", b"A: b\r\n\tc", b"A: b\x00c", b"A\x00: b", b"A b: c", b": b", b"A", b"A: \n",
        b"A: b\r\nHost: y", b"Host : x", b"A: b\n\nPOST / HTTP/1.1", b"A: b\r\n\x0b", b"(A): b", b"A[: b", b"\xffA: b",
    ):  # fmt: skip
        yield Vector(f"the header {wrong!r}", head(key, wrong + b"\r\n" + size) + content + second, REFUSED)
    for line in (
        b"POST http://y/v1/chat/completions HTTP/1.1", b"POST https://x/v1/chat/completions HTTP/1.1",
        b"POST //y@x HTTP/1.1 HTTP/1.1", b"POST\t/v1/chat/completions HTTP/1.1",
        b"POST /v1/chat/completions\tHTTP/1.1", b"POST /v1/chat/completions HTTP/1.10", b"POST /v1/chat/completions http/1.1",
        b"POST /v1/chat/completions HTTP/1.2", b"POST /v1/chat/completions HTTP/2.0", b"POST /v1/chat/completions",
        b"POST /v1/chat/completions HTTP/1.1\n", b"POST /v1/chat/completions#a HTTP/1.1\rX", b"POST /v1\x00 HTTP/1.1",
        b"POST v1/chat/completions HTTP/1.1", b"POST * HTTP/1.1", b"CONNECT /v1/chat/completions HTTP/1.1",
        b"CONNECT y:443 HTTP/1.1", b"P\x00ST /v1/chat/completions HTTP/1.1", b"post /v1/chat/completions HTTP/1.1",
    ):  # fmt: skip
        yield Vector(f"the line {line!r}", head(key, size, line) + content + second, REFUSED)
    blanks = head(key, size, b"POST   /v1/chat/completions HTTP/1.1") + content + second
    yield Vector("more blanks than one, which change nothing", blanks, BOTH)


def _methods(key: str, second: bytes) -> Iterator[Vector]:
    """Bodies that nobody reads must not be read as requests, and neither must what an Upgrade stands before."""
    content, length = body("first"), b"Content-Length: %d" % len(second)
    for line in (b"GET /v1/models", b"GET /healthz", b"HEAD /v1", b"OPTIONS /v1", b"DELETE /v1", b"POST /nothing"):
        sent = head(key, length, line + b" HTTP/1.1") + second + LAST
        yield Vector(f"{line!r} with a body", sent, REFUSED)
        sent = head(key, b"Transfer-Encoding: chunked", line + b" HTTP/1.1") + chunked(second) + LAST
        yield Vector(f"{line!r} with a body in chunks", sent, REFUSED)
    yield Vector("a body without a key", head("wrong-key", length) + second + LAST, REFUSED)
    yield Vector("a compressed body", head(key, b"Content-Encoding: gzip\r\n" + length) + second + LAST, REFUSED)
    yield Vector("an expected body", head("wrong-key", b"Expect: 100-continue\r\n" + length) + second + LAST, REFUSED)
    offer = b"Connection: Upgrade\r\nUpgrade: "
    asking = b"%s\r\nContent-Length: %d" % (offer + b"h2c", len(content))
    yield Vector("an ignored offer, plain", head(key, asking) + content + second, BOTH)
    for name in (b"h2c", b"websocket", b"TLS/1.0"):
        sent = head(key, offer + name + b"\r\n" + length, b"GET /v1/models HTTP/1.1") + second + LAST
        yield Vector(f"an offer of {name!r} before a body", sent, REFUSED)
    socket = offer + b"websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="
    yield Vector("a WebSocket", head(key, socket, b"GET /v1/responses HTTP/1.1") + second, REFUSED)
    closing = head(key, b"Connection: close\r\nContent-Length: %d" % len(content)) + content
    yield Vector("a request behind the last", closing + second, FIRST)
    old = head(key, b"Content-Length: %d" % len(content), b"POST /v1/chat/completions HTTP/1.0") + content
    yield Vector("a request behind one of HTTP/1.0", old + second, FIRST)
    yield Vector("two plain requests", plain(key, "first") + second, BOTH)
