"""A provider that plays fixtures, and is told by the model name how its answer is to break.

    text                  the whole answer
    text.end-100          a body of 100 bytes that ends as a complete one does, without its terminal event
    text.reset-100        the first 100 bytes of the body, then RST; likewise fin, half-close and stall: by the proxy
    text.harmless-7       the whole answer, through `draw_harmless(7)`; `damage-7` likewise
    text-beats            with signs of life between all events

Each answer has a connection of its own, and its body is one chunk, so each byte of it has one place on the wire.
"""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from functools import lru_cache
from pathlib import Path
from typing import cast

from bench.streams import ANTHROPIC, CHAT, GEMINI, RESPONSES, script
from chaos.proxy import ENDINGS, Ending, Plan, draw_damage, draw_harmless, proxied

SIZE = 4096
"""Bytes that the longer fixture has at least."""

TEXT, CALLS = "text", "calls"
FIXTURES = (TEXT, CALLS)

PROVIDERS = {CHAT: "lab-chat", RESPONSES: "lab-responses", ANTHROPIC: "lab-anthropic", GEMINI: "lab-gemini"}
"""The name of the provider that speaks each protocol."""

_RECORDINGS = Path(__file__).parent.parent / "tests" / "recordings"
_CALLS = {
    CHAT: "tool_calls_parallel",
    RESPONSES: "tool_parallel",
    ANTHROPIC: "tool_parallel",
    GEMINI: "parallel_calls_in_chunks",
}

_FINISHES = {
    CHAT: rb'"finish_reason": ?"',
    RESPONSES: rb'"type": ?"response\.completed"',
    ANTHROPIC: rb'"stop_reason": ?"',
    GEMINI: rb'"finishReason": ?"',
}
"""What stands in the payload that says how the answer ended, and in none before it."""

BEATS = {
    CHAT: b": keep-alive\n\n",
    RESPONSES: b": keep-alive\n\n",
    ANTHROPIC: b'event: ping\ndata: {"type": "ping"}\n\n',
    GEMINI: b": keep-alive\n\n",
}
"""A sign of life as providers of each protocol send it."""

_PATHS = {"/chat/completions": CHAT, "/responses": RESPONSES, "/messages": ANTHROPIC}
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n"
_CHUNKED = _HEAD + b"Transfer-Encoding: chunked\r\n\r\n%04x\r\n"
_END = b"\r\n0\r\n\r\n"
PREFIX = len(_CHUNKED % 0)
"""Bytes on the wire before the body."""

_MODEL = re.compile(rb"(text|calls)(-beats)?(?:\.([a-z-]+)-(\d+))?\.")
_REQUEST = re.compile(rb"\A\w+ (?P<path>\S+)")
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


@lru_cache
def body(protocol: str, fixture: str) -> bytes:
    """Return the whole answer of a fixture as a provider of `protocol` streams it."""
    if fixture == CALLS:
        return (_RECORDINGS / protocol / f"{_CALLS[protocol]}.sse").read_bytes()
    events = 1
    while len(script(protocol, events).body) < SIZE:
        events += 1
    return script(protocol, events).body


@lru_cache
def good_from(protocol: str, fixture: str) -> int:
    """Return how many bytes of a fixture are an answer that ended well: to the end of the payload that says so."""
    answer = body(protocol, fixture)
    finish = re.search(_FINISHES[protocol], answer)
    assert finish is not None
    return len(answer[: answer.index(b"\n", finish.end())].rstrip())


@lru_cache
def boundaries(protocol: str, fixture: str) -> tuple[int, ...]:
    """Return the offsets behind each event."""
    return tuple(match.end() for match in re.finditer(rb"\r?\n\r?\n", body(protocol, fixture)))


def model(fixture: str, ending: str = "", at: int = 0, *, beats: bool = False) -> str:
    """Return the name of the model that plays a fixture so."""
    broken = f".{ending}-{at}" if ending else ""
    return f"{fixture}{'-beats' if beats else ''}{broken}."


def plan(request: bytes) -> Plan | None:
    """Return what the proxy is to do to the answer to a request; None until it says which model it wants."""
    found = _MODEL.search(request)
    if found is None:
        return None
    ending, number = (found[3] or b"").decode(), int(found[4] or 0)
    match ending:
        case "harmless":
            return draw_harmless(number)
        case "damage":
            return draw_damage(number, PREFIX + SIZE)
        case _ if ending in ENDINGS:
            return Plan(ending=cast("Ending", ending), at=PREFIX + number)
        case _:
            return Plan()


def response(request: bytes) -> bytes:
    """Return the bytes of the answer to a request."""
    path, found = _REQUEST.search(request), _MODEL.search(request)
    assert path is not None
    assert found is not None
    way = path["path"].decode()
    protocol = next((name for end, name in _PATHS.items() if way.endswith(end)), GEMINI)
    answer = body(protocol, found[1].decode())
    if found[2]:
        answer = answer.replace(b"\n\n", b"\n\n" + BEATS[protocol])
    if found[3] != b"end":
        return _CHUNKED % len(answer) + answer + _END
    answer = answer[: int(found[4])]
    if len(answer) % 2 or not answer:
        return _HEAD + b"\r\n" + answer  # ends with the connection
    return _CHUNKED % len(answer) + answer + _END


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
        head = await reader.readuntil(b"\r\n\r\n")
        length = _LENGTH.search(head)
        asked = await reader.readexactly(int(length[1]) if length else 0)
        writer.write(response(head + asked))
        await writer.drain()
    writer.close()


@contextlib.asynccontextmanager
async def playing() -> AsyncIterator[int]:
    """Run the provider behind a proxy that does what model names say; yield the proxy's port."""
    server = await asyncio.start_server(_serve, "127.0.0.1", 0, backlog=1024)
    try:
        async with proxied(server.sockets[0].getsockname()[1], plan) as port:
            yield port
    finally:
        server.close()
