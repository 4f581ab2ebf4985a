"""Reading an answer the way a plain client does: bytes, and what the protocol's own decoder makes of them."""

from collections.abc import Iterable
from typing import Any

import aiohttp
from msgspec import Struct

from penstock.core.answer import Answer, fold
from penstock.core.events import Event, Failure
from penstock.gateway.call_log import EACH
from penstock.protocols.registry import PROTOCOLS
from penstock.wire.framing import FrameReader

SUCCESS_MARKS = {
    "openai-chat": (b'"finish_reason":"', b"[DONE]"),
    "openai-responses": (b"response.completed",),
    "anthropic": (b"message_stop", b'"stop_reason":"'),
    "gemini": (b"finishReason",),
}
"""Bytes that tell a client of a protocol that an answer ended well."""


class Reading(Struct):
    """What came: the body, and whether the connection broke before the body's end."""

    status: int
    headers: Any
    body: bytes
    broken: bool


async def read(context: Any) -> Reading:
    """Read a response to its end, however it ends."""
    async with context as response:
        body, broken = b"", False
        try:
            async for data in response.content.iter_any():
                body += data
        except aiohttp.ClientPayloadError:
            broken = True
        return Reading(response.status, response.headers, body, broken)


def events_of(protocol: str, body: bytes) -> list[Event]:
    """Return the events in a streamed body."""
    reader, decoder = FrameReader(), PROTOCOLS[protocol].decoder("penstock", "token")
    events: list[Event] = []
    for frame in (*reader.feed(body), *reader.close()):
        events += decoder.decode(frame)
    return [*events, *decoder.close()] if not decoder.ended else events


def answer_of(protocol: str, body: bytes) -> Answer:
    """Return the answer in a streamed body."""
    return fold(events_of(protocol, body))


def text_of(answer: Answer) -> str:
    """Return all text of an answer."""
    return "".join(part.text for part in answer.parts if part.kind == "text")


def failure_of(protocol: str, body: bytes) -> Failure | None:
    """Return the error event that a streamed body ends in, if it ends in one."""
    event = events_of(protocol, body)[-1]
    return event if isinstance(event, Failure) else None


def calls_told(lines: Iterable[Any]) -> list[Any]:
    """Return the lines of calls among log entries; one entry may stand for several."""
    return [call for entry in lines if entry["event"] == "call" for call in entry.get(EACH, [entry])]
