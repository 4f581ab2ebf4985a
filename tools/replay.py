"""Replay a recorded stream through the codecs, and compare what went in with what comes out.

What no protocol can lose is compared as `Facts`. What one of them cannot express (section 8 of docs/protocols.md) is
written here: `FINISH_AS`, `TEXT_ONLY`, and the counters that `_usage_as` leaves out.
"""

import json
from collections.abc import Iterable
from typing import Any

from msgspec import Struct

from penstock.core import envelope
from penstock.core.errors import UpstreamFault
from penstock.core.events import (
    Delta,
    Event,
    Failure,
    Finish,
    FinishReason,
    PartEnd,
    PartKind,
    PartStart,
    Sealed,
    UsageUpdate,
)
from penstock.core.request import FREE_TEXT
from penstock.core.usage import UNKNOWN, Usage
from penstock.protocols.base import Reply, WireProtocol
from penstock.wire.framing import FrameReader
from penstock.wire.sse import Frame

ORIGIN = "origin-provider"
TOKEN = "t0ken"
REPLY = Reply(token=TOKEN, model="lab/model", created=1_790_000_000, include_usage=True, input_estimate=lambda: 7)

FINISH_AS: dict[str, dict[FinishReason, FinishReason]] = {
    "openai-chat": {"stop_sequence": "stop", "context_window": "length", "pause": "length", "other": "stop"},
    "openai-responses": {"stop_sequence": "stop", "context_window": "length", "pause": "length", "other": "stop"},
    "anthropic": {"content_filter": "refusal", "other": "stop"},
    "gemini": {"stop_sequence": "stop", "context_window": "length", "refusal": "content_filter", "pause": "other"},
}
"""Reasons for which a protocol has no word of its own, and the one it uses (section 8.5)."""

TEXT_ONLY = frozenset({"anthropic", "gemini"})
"""Protocols without refusal text: it is ordinary text, and the finish reason says the rest."""

FUNCTIONS_ONLY = frozenset({"anthropic", "gemini"})
"""Protocols without custom tools: their free text is the one argument of a function."""


class Facts(Struct, frozen=True):
    """What an answer says, however it was cut into parts and deltas.

    Attributes:
        parts: kind and text in order; neighbours of one kind are joined, empty ones left out.
        calls: id, name and parsed arguments of the tool calls in order; the free text of calls of custom tools.
        seals: in order.
        finish: the reason, or None if the answer broke.
        error: the message of the error that broke it.
        usage: the last snapshot.
    """

    parts: tuple[tuple[str, str], ...]
    calls: tuple[tuple[str, str, Any], ...]
    seals: tuple[Sealed, ...]
    finish: FinishReason | None
    error: str | None
    usage: Usage
    stop_sequence: str | None = None


def read_frames(chunks: Iterable[bytes]) -> list[Frame]:
    """Return the frames of a body that arrives in these chunks."""
    reader = FrameReader()
    frames = [frame for chunk in chunks for frame in reader.feed(chunk)]
    return frames + reader.close()


def decode(protocol: WireProtocol, frames: Iterable[Frame]) -> list[Event]:
    """Return the events of an upstream stream, as the gateway makes them: a fault is a failure."""
    decoder = protocol.decoder(ORIGIN, TOKEN)
    events: list[Event] = []
    try:
        for frame in frames:
            events += decoder.decode(frame)
        events += decoder.close()
    except UpstreamFault as fault:
        events.append(Failure(fault.info))
    return events


def encode(protocol: WireProtocol, events: Iterable[Event], reply: Reply = REPLY) -> bytes:
    """Return the bytes that a client of `protocol` gets for these events."""
    encoder = protocol.encoder(reply)
    return b"".join(encoder.encode(event) for event in events)


def facts(events: Iterable[Event]) -> Facts:
    """Return what these events say."""
    parts: list[tuple[PartKind, str]] = []
    calls: list[tuple[str, str, Any]] = []
    seals: list[Sealed] = []
    opened, texts, usage, last = PartStart(0, "text"), list[str](), UNKNOWN, None
    for event in events:
        last = event
        match event:
            case PartStart():
                opened, texts = event, []
            case Delta():
                texts.append(event.text)
                if opened.kind not in {"tool_call", "custom_call"}:
                    parts.append((opened.kind, event.text))
            case PartEnd():
                if opened.kind == "tool_call":
                    calls.append((opened.id, opened.name, arguments("".join(texts))))
                if opened.kind == "custom_call":
                    calls.append((opened.id, opened.name, "".join(texts)))
                if event.sealed is not None:
                    seals.append(event.sealed)
            case UsageUpdate():
                usage = event.usage
            case _:
                pass
    finish, error = last if isinstance(last, Finish) else None, last.error if isinstance(last, Failure) else None
    return Facts(
        parts=_joined(parts),
        calls=tuple(calls),
        seals=tuple(seals),
        finish=finish.reason if finish else None,
        error=error.message if error else None,
        usage=usage,
        stop_sequence=finish.stop_sequence if finish else None,
    )


def losses(said: Facts, client: str, told: Facts) -> list[str]:
    """Return one line for each thing that an answer said and a client of the protocol `client` was not told.

    Args:
        said: what the provider's answer says.
        client: the client's protocol.
        told: what that protocol's own decoder reads from the bytes the client got.
    """
    seals = tuple(envelope.unwrap(seal.data) or seal for seal in told.seals)
    pairs = {
        "parts": (_parts_as(said, client), told.parts),
        "tool calls": (calls_as(said.calls, client), list(told.calls)),
        "seals": (_seals_as(said.seals, client), _seals_as(seals, client)),
        "finish reason": (_finish_as(said, client), told.finish),
        "error": (said.error, told.error),
    }
    if said.usage.known:
        pairs["usage"] = (_usage_as(said.usage, said.usage, client), _usage_as(said.usage, told.usage, client))
    return [f"{name}: {before!r} became {after!r}" for name, (before, after) in pairs.items() if before != after]


def _seals_as(seals: tuple[Sealed, ...], client: str) -> tuple[Sealed, ...]:
    """Return the seals that matter to the protocol `client`: for a text's seal behind all else it has no place."""
    return seals[:-1] if client == "anthropic" and seals and seals[-1].form == "text" else seals


def _parts_as(said: Facts, client: str) -> tuple[tuple[str, str], ...]:
    if client not in TEXT_ONLY:
        return said.parts
    return _joined([("text" if kind == "refusal" else kind, text) for kind, text in said.parts])


def calls_as(calls: Iterable[tuple[str, str, Any]], client: str) -> list[tuple[str, str, Any]]:
    """Return calls as the protocol `client` can tell them."""
    if client not in FUNCTIONS_ONLY:
        return list(calls)
    return [(id, name, {FREE_TEXT: given} if isinstance(given, str) else given) for id, name, given in calls]  # noqa: A001


def _finish_as(said: Facts, client: str) -> FinishReason | None:
    if said.finish is None:
        return None
    finish = FINISH_AS[client].get(said.finish, said.finish)
    if finish == "stop_sequence" and said.stop_sequence is None:
        finish = "stop"
    if finish == "refusal" and client not in TEXT_ONLY and not any(kind == "refusal" for kind, _ in said.parts):
        finish = "content_filter"
    return "tool_calls" if said.calls and finish in {"stop", "stop_sequence", "other"} else finish


def _usage_as(known: Usage, usage: Usage, client: str) -> dict[str, int]:
    """Return the counters that the protocol `client` has and the provider gave (section 8.6)."""
    counts = {"output": usage.output, "reasoning": usage.reasoning, "cache read": usage.cache_read}
    given = {"output": known.output, "reasoning": known.reasoning, "cache read": known.cache_read}
    if known.uncached is not None:
        counts["input"] = given["input"] = usage.input
    if client != "gemini":
        counts["cache written"] = given["cache written"] = usage.cache_written
    if client == "anthropic":
        counts["for an hour"], given["for an hour"] = usage.cache_write_1h, known.cache_write_1h
    return {name: count or 0 for name, count in counts.items() if given[name] is not None}


def arguments(text: str) -> Any:
    """Return the arguments of a call; those that the limit cut are kept under `_raw`, as protocols with objects do."""
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    return value if isinstance(value, dict) else {"_raw": text.strip()} if text.strip() else {}


def _joined(parts: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    joined: list[tuple[str, list[str]]] = []
    for kind, text in parts:
        if joined and joined[-1][0] == kind:
            joined[-1][1].append(text)
        else:
            joined.append((kind, [text]))
    return tuple((kind, "".join(texts)) for kind, texts in joined)
