"""An answer on its way out: its chunks, their times, and what goes wrong on purpose.

A chunk is what brings one piece of output, with whatever the protocol says before it, in one write; the last chunk
says the end. All are encoded before the first is sent, so that sending costs little more than the wait between them.
"""

import array
import asyncio
import contextlib
import socket
import struct
import sys
from collections.abc import Iterable

from aiohttp import web
from msgspec import Struct

from penstock.core.answer import fold
from penstock.core.errors import ErrorInfo
from penstock.core.events import Delta, Event, Failure, Finish, Start, UsageUpdate
from penstock.core.usage import UNKNOWN, Usage, estimate_tokens
from penstock.protocols.base import Reply, WireProtocol
from penstock.simulator.calls import Call
from penstock.simulator.settings import Settings

BROKEN = ErrorInfo("overloaded", "The simulator was asked to fail in the middle of this answer.")

_PING = b'event: ping\ndata: {"type":"ping"}\n\n'
_AFTER_START = {"anthropic": _PING}
_LAST_WORD = {"openai-chat": b"data: [DONE]", "anthropic": b"event: message_stop"}
_STREAM_HEADERS = {"cache-control": "no-cache", "x-accel-buffering": "no"}
_MIDDLE = {"cut", "end", "stall"}
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # struct linger: on, no time
_PATIENCE = 1.0
"""Seconds that a client has to take what comes before a reset."""


class Performance(Struct, frozen=True):
    """One answer and all that decides how it is sent. `events` are the whole answer, whatever the fault."""

    protocol: WireProtocol
    events: list[Event]
    reply: Reply
    settings: Settings
    call: Call


def call_headers(call: Call) -> dict[str, str]:
    """Return the response headers that name the call."""
    return {"x-request-id": call.id, "request-id": call.id}


async def send_stream(request: web.Request, performance: Performance) -> web.StreamResponse:
    """Send the chunks at their times, and then end the way the fault wants it."""
    settings, call, loop = performance.settings, performance.call, asyncio.get_running_loop()
    response = web.StreamResponse(headers={**_STREAM_HEADERS, **call_headers(call)})
    response.content_type = "application/json" if performance.reply.array else "text/event-stream"
    response.charset = "utf-8"
    body = _chunks(performance)
    await asyncio.sleep(settings.ttft)
    await response.prepare(request)
    due = loop.time()
    for chunk, size in body:
        if call.chunks and settings.gap:
            due += settings.gap
            await asyncio.sleep(due - loop.time())
        await response.write(chunk)
        call.chunks += 1
        call.output_bytes += size
    await _end(request, response, performance)
    return response


async def send_whole(request: web.Request, performance: Performance) -> web.StreamResponse:
    """Send an answer that is not streamed; half of it, if the fault is in the middle."""
    settings, events = performance.settings, performance.events
    told = _without_usage(events) if settings.fault == "no-usage" else events
    body = performance.protocol.write_response(fold(told), performance.reply)
    half = len(body) // 2
    outputs = sum(isinstance(event, Delta) for event in events)
    await asyncio.sleep(settings.ttft + settings.gap * max(0, outputs - 1))
    response = web.StreamResponse(headers=call_headers(performance.call))
    response.content_type = "application/json"
    response.content_length = half if settings.fault == "end" else len(body)
    await response.prepare(request)
    await response.write(body[:half] if settings.fault in _MIDDLE else body)
    performance.call.chunks = 1
    performance.call.output_bytes = sum(len(event.text.encode()) for event in events if isinstance(event, Delta))
    await _end(request, response, performance)
    return response


async def _end(request: web.Request, response: web.StreamResponse, performance: Performance) -> None:
    call = performance.call
    match performance.settings.fault:
        case "stall":
            await asyncio.Event().wait()  # until the client leaves, which cancels us
        case "cut":
            call.ended = "fault"
            await _reset(request)
        case "end" | "error-mid":
            call.ended = "fault"
            await response.write_eof()
        case _:
            await response.write_eof()
            call.ended = "complete"
            asked = performance.reply.include_usage or not call.stream
            call.counted = asked and performance.settings.fault != "no-usage"


async def _reset(request: web.Request) -> None:
    """Cut the connection so that the other side sees a TCP reset, not an orderly end, behind all that was written."""
    transport = request.transport
    if transport is None:
        return
    connection: socket.socket = transport.get_extra_info("socket")
    # A reset throws away what is not sent yet; a client that reads nothing or has left, or a system that does not
    # tell, is not waited for.
    with contextlib.suppress(TimeoutError, OSError, ValueError):
        async with asyncio.timeout(_PATIENCE):
            while transport.get_write_buffer_size() or _unacknowledged(connection):  # noqa: ASYNC110 - no event tells
                await asyncio.sleep(0.001)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    transport.abort()


def _unacknowledged(connection: socket.socket) -> int:
    """Return how many bytes the system has not brought to the other side yet: SIOCOUTQ of tcp(7)."""
    if sys.platform == "win32":
        return 0  # it does not tell
    import fcntl  # noqa: PLC0415 - not on Windows
    import termios  # noqa: PLC0415 - as above

    count = array.array("i", [0])
    fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, count)
    return count[0]


def _chunks(performance: Performance) -> list[tuple[bytes, int]]:
    """Encode the answer into the chunks that are sent one at a time, each with the UTF-8 bytes of output in it."""
    name, encode = performance.protocol.name, performance.protocol.encoder(performance.reply).encode
    written: list[tuple[bytes, int]] = []
    held = b""
    for event in _told(performance):
        held += encode(event)
        match event:
            case Start():
                held += _AFTER_START.get(name, b"")
            case Finish() if performance.settings.fault == "no-done" and name in _LAST_WORD:
                held = held[: held.rfind(_LAST_WORD[name])]
            case Delta() if held:
                written.append((held, len(event.text.encode())))
                held = b""
            case _:
                pass
    return [*written, (held, 0)] if held else written


def _told(performance: Performance) -> list[Event]:
    """Return the events that the client is told: as far as the fault lets them come."""
    settings, events = performance.settings, performance.events
    if settings.fault == "no-usage":
        return _without_usage(events)
    if performance.protocol.name == "gemini":
        events = _with_running_usage(events)
    match settings.fault:
        case "error-mid":
            return [*_first(events, settings.fault_at), Failure(BROKEN)]
        case "cut" | "end" | "stall":
            return _first(events, settings.fault_at)
        case _:
            return events


def _without_usage(events: list[Event]) -> list[Event]:
    return [event for event in events if not isinstance(event, UsageUpdate)]


def _with_running_usage(events: list[Event]) -> list[Event]:
    """Return the events with a count of the output so far before each piece of it."""
    whole = next((event.usage for event in events if isinstance(event, UsageUpdate)), UNKNOWN)
    counted: list[Event] = []
    size = 0
    for event in events:
        if isinstance(event, Delta):
            size += len(event.text.encode())
            output = min(estimate_tokens(size), whole.output or 0)
            counted.append(UsageUpdate(Usage(whole.uncached, whole.cache_read, whole.cache_write, output=output)))
        counted.append(event)
    return counted


def _first(events: Iterable[Event], count: int) -> list[Event]:
    """Return the events up to the piece of output number `count`; never the end, however few pieces there are."""
    first: list[Event] = []
    if not count:
        return first
    for event in events:
        if isinstance(event, Finish):
            break
        first.append(event)
        count -= isinstance(event, Delta)
        if not count:
            break
    return first
