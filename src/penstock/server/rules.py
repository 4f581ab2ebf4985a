"""What a request must be like to be served at all: how large, and how framed.

llhttp refuses what two servers could read differently inside a head or a body (both ways of framing at once, lengths
that differ, line ends that are none). Here is what it leaves to its users.
"""

from collections.abc import Sequence
from itertools import chain

from penstock.server.http import HttpFault, Request

MAX_BODY = 32 * 1024 * 1024
"""Bytes of a request body. Anthropic's API takes as many."""

MAX_TARGET = 8 * 1024
"""Bytes of path and query."""

MAX_HEAD = 64 * 1024
"""Bytes of all headers of a request, trailers included."""

MAX_HEADERS = 100
"""Headers of a request, trailers included."""

HEAD_FRAMING = 1024
"""Bytes that a head may have beside its target and the names and values of its headers."""

MAX_BEYOND = 512 * 1024
"""Bytes beyond MAX_BODY that are read and dropped, so that a client can take the answer: to close while more comes is a
reset, which can outrun it. With what the system hands over at once no more than a mebibyte."""

MAX_FRAMING = 1024 * 1024
"""Bytes that a chunked body may have beside its content: sizes, extensions, trailers."""

MAX_WAITING = 32
"""Requests that may wait, on one connection, for the answer to one before them."""

MAX_AHEAD = 64 * 1024
"""Bytes of such requests after which no more are read."""


def check(request: Request, fields: Sequence[tuple[bytes, bytes]]) -> None:
    """Look at a complete head; `fields` are its headers as they came.

    Raises:
        HttpFault: it cannot be served, or another server could read it in another way than we do.
    """
    headers = request.headers
    if sum(map(len, chain.from_iterable(fields))) > MAX_HEAD:
        raise head_too_large()
    if request.version not in {"1.1", "1.0"}:
        raise HttpFault(505, "Only HTTP/1.1 and HTTP/1.0 are spoken here.")
    if "sec-websocket-key" in headers:
        # Clients that would rather use a WebSocket take this status for a "never"; others they try again.
        raise HttpFault(426, "WebSockets are not spoken here; send the request by POST.")
    if not request.raw_path.startswith("/") or request.method == "CONNECT":
        raise HttpFault(400, "The target of a request must be a path that begins with a slash.")
    repeated = len(headers) < len(fields) and sum(name.lower() == b"host" for name, _ in fields) > 1
    if repeated or ("host" not in headers and request.version == "1.1"):
        raise HttpFault(400, "A request must have one Host header.")
    coding = headers.get("transfer-encoding")
    if coding is not None and (coding.lower() != "chunked" or request.version == "1.0"):
        raise HttpFault(501, "The only Transfer-Encoding known here is chunked, in HTTP/1.1.")
    if int(headers.get("content-length", 0)) > MAX_BODY:
        raise body_too_large()


def body_too_large() -> HttpFault:
    """Return the fault of a body that exceeds MAX_BODY, announced or not."""
    return HttpFault(413, f"The body exceeds {MAX_BODY // 2**20} MiB.", "too_large")


def head_too_large() -> HttpFault:
    """Return the fault of headers that exceed MAX_HEAD."""
    return HttpFault(431, f"The headers exceed {MAX_HEAD // 1024} KiB.")


def too_many_connections(most: int) -> HttpFault:
    """Return the fault of a connection that is one too many."""
    told = f"The gateway has {most} connections, and takes no more now; try again soon."
    return HttpFault(503, told, "overloaded", "too_many_connections", retry_after=1.0)


def not_http(data: bytes, reason: str) -> HttpFault:
    """Return what is wrong with bytes that cannot be parsed; `reason` is llhttp's, whose words never quote them."""
    if data.startswith(b"\x16\x03"):
        return HttpFault(400, "This port speaks plain HTTP, and a TLS handshake came; use http://.")
    if data.startswith(b"PRI * HTTP/2.0"):
        return HttpFault(505, "HTTP/2 is not spoken here; use HTTP/1.1.")
    return HttpFault(400, f"This is not HTTP: {reason}.")
