"""Events as an Anthropic Messages client reads them (sections 5.3, 5.4 and 9 of docs/protocols.md).

SDKs need an `event:` line on every event, block indexes without gaps, one signature a block at most, and usage in
`message_start` and `message_delta`. A block begins with its first content, so that a part without any leaves no block.

Clients take the last block for the answer (`claude -p` prints nothing if it is not text). So the seal of a text, which
comes behind it and which its provider can do without, is told only if more content follows.

A call of a free-text tool, which the protocol does not have, is a call with the one argument `input`. What an answer of
this same protocol holds that nobody knows is written on; blocks of it are counted like the others.
"""

import re
from typing import Any, ClassVar

from penstock.core.answer import Answer, AnswerPart
from penstock.core.events import (
    Cited,
    Delta,
    Event,
    Failure,
    Finish,
    FinishReason,
    NextChoice,
    Opaque,
    PartEnd,
    PartKind,
    PartStart,
    Sealed,
    Start,
    UsageUpdate,
)
from penstock.core.request import FREE_TEXT
from penstock.core.usage import UNKNOWN, Usage
from penstock.protocols.anthropic.citations import write_citation
from penstock.protocols.anthropic.errors import error_object
from penstock.protocols.anthropic.extensions import read_opaque, whole_message, with_unknown
from penstock.protocols.anthropic.usage import completed, write_usage
from penstock.protocols.arguments import arguments_object
from penstock.protocols.base import Reply
from penstock.wire.payload import encode, one_line

_FINISH: dict[FinishReason, str] = {
    "stop": "end_turn",
    "stop_sequence": "stop_sequence",
    "length": "max_tokens",
    "context_window": "model_context_window_exceeded",
    "tool_calls": "tool_use",
    "refusal": "refusal",
    "content_filter": "refusal",
    "pause": "pause_turn",
    "other": "end_turn",
}

_DELTAS: dict[PartKind, tuple[bytes, bytes]] = {
    "text": (b"text_delta", b"text"),
    "refusal": (b"text_delta", b"text"),
    "reasoning": (b"thinking_delta", b"thinking"),
    "tool_call": (b"input_json_delta", b"partial_json"),
    "custom_call": (b"input_json_delta", b"partial_json"),
}
_DELTA = b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,"delta":{"type":"%s","%s":'
_TYPE = re.compile(r"[a-z0-9_.]{1,64}")  # of an event that nobody knows; nothing else may stand in its first line
_MESSAGE_STOP = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'


class Encoder:
    """State of one stream."""

    last_word: ClassVar[bytes] = _MESSAGE_STOP

    __slots__ = (
        "_aside",
        "_beginning",
        "_delta",
        "_held",
        "_index",
        "_kind",
        "_refused",
        "_reply",
        "_unknown",
        "_usage",
    )

    def __init__(self, reply: Reply) -> None:
        self._reply = reply
        self._usage: Usage = UNKNOWN
        self._refused = False
        self._index = 0
        self._kind: PartKind | None = None  # of the open part
        self._beginning = b""  # the `content_block_start` that is still to be written
        self._delta = b""  # the open block's `content_block_delta` up to the text
        self._held: Sealed | None = None  # a text's seal, until more content follows
        self._aside: dict[int, int | None] = {}  # the provider's index of a block that nobody knows -> ours
        self._unknown: dict[str, dict[str, Any]] = {}  # members that nobody knows, by the event they belong to

    def encode(self, event: Event) -> bytes:
        """Return the bytes that tell the client of an event; empty if it needs none."""
        written = b""
        match event:
            case Delta() if self._kind != "custom_call":
                beginning, self._beginning = self._beginning, b""
                written = b"".join((beginning, self._delta, one_line(event.text), b"}}\n\n"))
            case Delta():
                written = self._json(_inside(event.text))
            case PartStart():
                written = self._start_part(event)
            case PartEnd():
                written = self._end_part(event.sealed)
            case UsageUpdate():
                self._usage = event.usage
            case Start():
                written = self._start()
            case Finish():
                written = self._finish(event)
            case Failure():
                written = _event("error", error_object(event.error))
            case Cited():
                written = self._citation(event)
            case Opaque():
                written = self._opaque(event)
            case NextChoice():
                pass
        return written

    def _start(self) -> bytes:
        usage = write_usage(UNKNOWN, self._reply.input_estimate)
        empty: dict[str, Any] = {"content": [], "stop_reason": None, "stop_sequence": None, "usage": usage}
        unknown = self._unknown.pop("message_start", {})
        return _event("message_start", with_unknown({"message": _head(self._reply) | empty}, unknown))

    def _start_part(self, part: PartStart) -> bytes:
        held, self._held = self._held, None
        before = b"" if held is None else self._redacted(held)
        self._kind = part.kind
        self._delta = _DELTA % (self._index, *_DELTAS[part.kind])
        match part.kind:
            case "tool_call" | "custom_call":
                before += self._start_block({"type": "tool_use", "id": part.id, "name": part.name, "input": {}})
                return before + self._json(f'{{"{FREE_TEXT}":"') if part.kind == "custom_call" else before
            case "reasoning":
                self._beginning = self._start_block({"type": "thinking", "thinking": "", "signature": ""})
            case "text" | "refusal":
                self._refused |= part.kind == "refusal"
                self._beginning = self._start_block({"type": "text", "text": ""})
        return before

    def _end_part(self, sealed: Sealed | None) -> bytes:
        beginning, self._beginning = self._beginning, b""
        written = self._json('"}') if self._kind == "custom_call" else b""
        self._kind = None
        if beginning and sealed is None:
            return b""
        if beginning and sealed is not None and sealed.form == "text":
            self._held = sealed
            return b""
        if beginning and sealed is not None and sealed.form != "reasoning":
            return self._redacted(sealed)
        if sealed is not None:
            delta = {"type": "signature_delta", "signature": self._reply.seal(sealed)}
            written = beginning + _event("content_block_delta", {"index": self._index, "delta": delta})
        return written + self._stop_block()

    def _json(self, fragment: str) -> bytes:
        return b"".join((self._delta, one_line(fragment), b"}}\n\n"))

    def _citation(self, cited: Cited) -> bytes:
        beginning, self._beginning = self._beginning, b""
        delta = {"type": "citations_delta", "citation": write_citation(cited.citation)}
        return beginning + _event("content_block_delta", {"index": self._index, "delta": delta})

    def _opaque(self, opaque: Opaque) -> bytes:
        """Write on what nobody knows. A block that begins inside another has no place."""
        event = read_opaque(opaque)
        match event:
            case {"type": "message_start" | "message_delta" as type_}:
                self._unknown[type_] = event
                return b""
            case {"type": "content_block_start", "index": int(theirs)}:
                ours = self._index if self._kind is None else None
                self._aside[theirs] = ours
                self._index += ours is not None
            case {"type": "content_block_delta", "index": int(theirs)}:
                ours = self._aside.get(theirs, None if self._kind is None else self._index)
            case {"type": "content_block_stop", "index": int(theirs)}:
                ours = self._aside.pop(theirs, None)
            case {"type": str(type_)} if _TYPE.fullmatch(type_):
                return _event(type_, event)
            case _:
                return b""
        if ours is None:
            return b""
        beginning, self._beginning = self._beginning, b""
        return beginning + _event(event["type"], {**event, "index": ours})

    def _redacted(self, sealed: Sealed) -> bytes:
        block = {"type": "redacted_thinking", "data": self._reply.seal(sealed)}
        return self._start_block(block) + self._stop_block()

    def _start_block(self, block: dict[str, Any]) -> bytes:
        return _event("content_block_start", {"index": self._index, "content_block": block})

    def _stop_block(self) -> bytes:
        written = _event("content_block_stop", {"index": self._index})
        self._index += 1
        return written

    def _finish(self, finish: Finish) -> bytes:
        delta = _stop(finish, self._refused)
        usage = write_usage(self._usage, self._reply.input_estimate)
        unknown = self._unknown.pop("message_delta", {})
        event = with_unknown({"delta": delta, "usage": usage}, unknown)
        return _event("message_delta", event | {"usage": completed(event["usage"])}) + _MESSAGE_STOP


def write_response(answer: Answer, reply: Reply) -> bytes:
    """Return a whole answer as a JSON body."""
    refused = any(part.kind == "refusal" for part in answer.parts)
    parts = answer.parts[:-1] if answer.parts and _seals_text(answer.parts[-1]) else answer.parts
    message = {
        **_head(reply),
        "content": [block for part in parts if (block := _block(part, reply)) is not None],
        **_stop(answer.finish, refused),
        "usage": write_usage(answer.usage, reply.input_estimate),
    }
    whole = whole_message(message, answer.extensions)
    return one_line(whole | {"usage": completed(whole["usage"])})


def _seals_text(part: AnswerPart) -> bool:
    return not part.text and part.sealed is not None and part.sealed.form == "text"


def _block(part: AnswerPart, reply: Reply) -> dict[str, Any] | None:
    match part.kind:
        case "tool_call":
            return {"type": "tool_use", "id": part.id, "name": part.name, "input": arguments_object(part.text)}
        case "custom_call":
            return {"type": "tool_use", "id": part.id, "name": part.name, "input": {FREE_TEXT: part.text}}
        case "reasoning":
            data = "" if part.sealed is None else reply.seal(part.sealed)
            if part.sealed is not None and not part.text and part.sealed.form != "reasoning":
                return {"type": "redacted_thinking", "data": data}
            return {"type": "thinking", "thinking": part.text, "signature": data} if part.text or data else None
        case "text" | "refusal":
            cited = [write_citation(citation) for citation in part.citations]
            return {"type": "text", "text": part.text} | ({"citations": cited} if cited else {}) if part.text else None


def _head(reply: Reply) -> dict[str, Any]:
    return {"id": f"msg_{reply.token}", "type": "message", "role": "assistant", "model": reply.model}


def _stop(finish: Finish, refused: bool) -> dict[str, Any]:
    """Return the two fields that say why the message ends. A sequence that nobody named is an ordinary end."""
    reason = _FINISH[finish.reason]
    if finish.reason == "stop_sequence" and finish.stop_sequence is None:
        reason = "end_turn"
    if refused and reason == "end_turn":
        reason = "refusal"
    return {"stop_reason": reason, "stop_sequence": finish.stop_sequence if reason == "stop_sequence" else None}


def _event(type_: str, fields: dict[str, Any]) -> bytes:
    return b"".join((b"event: ", type_.encode(), b"\ndata: ", one_line({"type": type_, **fields}), b"\n\n"))


def _inside(text: str) -> str:
    """Return what stands between the quotes of a JSON string."""
    return encode(text)[1:-1].decode()
