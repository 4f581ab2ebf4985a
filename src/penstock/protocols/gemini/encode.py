"""Events to Gemini answers.

Every chunk repeats model, id and the usage so far, and has a part that is not empty: SDKs drop a turn from their chat
history in which one has not (section 6.4 of docs/protocols.md). Calls are written whole, when they are complete, and
sources with the finish reason. The order of keys is that of the real service.
"""

from itertools import chain
from typing import ClassVar

from penstock.core.answer import Answer, Choice, unfold
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
    UsageUpdate,
)
from penstock.core.request import FREE_TEXT
from penstock.core.usage import UNKNOWN
from penstock.protocols.arguments import arguments_object
from penstock.protocols.base import Reply
from penstock.protocols.gemini.citations import CitationWriter
from penstock.protocols.gemini.errors import error_object
from penstock.protocols.gemini.extensions import merged
from penstock.protocols.gemini.logprobs import write_logprobs
from penstock.protocols.gemini.usage import write_usage
from penstock.wire.payload import encode, escape_lines, one_line

_FINISH: dict[FinishReason, str] = {
    "stop": "STOP",
    "stop_sequence": "STOP",
    "tool_calls": "STOP",  # there is no reason for calls: the parts tell
    "length": "MAX_TOKENS",
    "context_window": "MAX_TOKENS",
    "refusal": "SAFETY",
    "content_filter": "SAFETY",
    "pause": "OTHER",
    "other": "OTHER",
}

_EMPTY_PART = b'{"text":""}'
_HEAD = b'{"candidates":[{"content":{"role":"model","parts":['
_CALLS: frozenset[PartKind] = frozenset({"tool_call", "custom_call"})


class PartWriter:
    """State of the parts of one choice: which is open, the seal that waits for a part to sit on, what was cited."""

    __slots__ = ("_arguments", "_open", "_reply", "_waiting", "citations", "refused")

    def __init__(self, reply: Reply) -> None:
        self._reply = reply
        self._open = PartStart(0, "text")
        self._arguments: list[str] = []
        self._waiting: Sealed | None = None
        self.citations = CitationWriter()
        self.refused = False

    def write(self, event: Event) -> bytes:
        """Return the JSON of the part that an event makes, or nothing."""
        match event:
            case Delta():
                return self.delta(event.text) if event.text else b""
            case PartStart():
                self._open = event
                self.refused |= event.kind == "refusal"
                return b"" if event.kind in _CALLS else self.waiting()
            case Cited():
                self.citations.cite(event.citation)
                return b""
            case PartEnd():
                self.citations.end_part()
                return self._end(event.sealed)
            case _:
                return b""

    def delta(self, text: str) -> bytes:
        """Return the part that more text of the open part makes; a call makes one at its end only."""
        kind = self._open.kind
        if kind in _CALLS:
            self._arguments.append(text)
            return b""
        string = escape_lines(encode(text))
        if kind == "reasoning":
            return b'{"text":%b,"thought":true}' % string
        self.citations.add(text)
        return b'{"text":%b}' % string

    def waiting(self) -> bytes:
        """Return a part for the seal that waits, if one does."""
        if self._waiting is None:
            return b""
        return b'{"text":""%b}' % self._signature()

    def finish(self, finish: Finish) -> bytes:
        """Return the members of a candidate that end it: what it rests on, and why it ends."""
        reason = "SAFETY" if self.refused and finish.reason == "stop" else _FINISH[finish.reason]
        return b'%b,"finishReason":"%b"' % (self.citations.write(), reason.encode())

    def _end(self, sealed: Sealed | None) -> bytes:
        if self._open.kind in _CALLS:
            return self._call()
        if sealed is None:
            return b""
        self._waiting = sealed
        # A seal before a call sits on the call, which SDKs give back with it. One on text must not slip there.
        return self.waiting() if sealed.form == "text" else b""

    def _call(self) -> bytes:
        text = "".join(self._arguments)
        self._arguments.clear()
        free = self._open.kind == "custom_call"
        arguments = {FREE_TEXT: text} if free else arguments_object(text)
        call = one_line({"id": self._open.id, "name": self._open.name, "args": arguments})
        return b'{"functionCall":%b%b}' % (call, self._signature())

    def _signature(self) -> bytes:
        sealed, self._waiting = self._waiting, None
        return b"" if sealed is None else b',"thoughtSignature":%b' % encode(self._reply.seal(sealed))


class Encoder:
    """State of one stream: an event stream, or one growing JSON array if `reply.array`."""

    last_word: ClassVar[bytes] = b""

    __slots__ = ("_end", "_identity", "_index", "_last", "_lead", "_next", "_parts", "_reply", "_tail", "_usage")

    def __init__(self, reply: Reply) -> None:
        self._reply = reply
        self._parts = PartWriter(reply)
        self._index = 0  # of the choice that is being told
        self._identity = _identity(reply)
        self._usage = UNKNOWN
        # What stands before the first chunk, before each other one, behind each, and behind the last.
        self._lead, self._next, self._end, self._last = (
            (b"[", b",\r\n", b"", b"]") if reply.array else (b"data: ", b"data: ", b"\r\n\r\n", b"")
        )
        self._tail = self._closing(b"")

    def encode(self, event: Event) -> bytes:
        """Return the bytes that tell the client of an event."""
        tail = self._tail
        match event:
            case Delta():
                part = self._parts.delta(event.text)
                if event.logprobs:
                    tail = self._closing(write_logprobs(event.logprobs))
            case UsageUpdate():
                part = b""
                self._usage = event.usage
                self._tail = self._closing(b"")
            case Finish():
                return self._finished(event) + self._last
            case NextChoice():
                return self._next_choice(event.finish)
            case Failure():
                return self._framed(error_object(event.error), b"", self._end) + self._last
            case Opaque():
                return self._unknown(event)
            case _:
                part = self._parts.write(event)
        return self._framed(_HEAD, part, tail) if part else b""

    def _finished(self, finish: Finish) -> bytes:
        """Return the last chunk of a choice."""
        return self._framed(_HEAD, self._parts.waiting() or _EMPTY_PART, self._closing(self._parts.finish(finish)))

    def _next_choice(self, finish: Finish) -> bytes:
        """Return the last chunk of the choice that ends, and begin another."""
        written = self._finished(finish)
        self._index += 1
        self._parts = PartWriter(self._reply)
        self._tail = self._closing(b"")
        return written

    def _unknown(self, event: Opaque) -> bytes:
        """Return the chunk of what nobody knows, if it is this protocol's own."""
        if event.protocol != "gemini":
            return b""
        if b'"groundingMetadata"' in event.data or b'"citationMetadata"' in event.data:
            self._parts.citations.clear()  # the provider's own words are better, and enough
        tail = b"%b%b%b" % (write_usage(self._usage), self._identity, self._end)
        return self._framed(escape_lines(event.data[:-1]), b"", tail)

    def _framed(self, head: bytes, part: bytes, tail: bytes) -> bytes:
        lead = self._lead
        self._lead = self._next
        return b"%b%b%b%b" % (lead, head, part, tail)

    def _closing(self, members: bytes) -> bytes:
        """Return all of a chunk that comes behind its part; `members` are those of the candidate."""
        candidate_end = b']},"index":%d%b}]' % (self._index, members)
        return b"%b%b%b%b" % (candidate_end, write_usage(self._usage), self._identity, self._end)


def write_response(answer: Answer, reply: Reply) -> bytes:
    """Return an answer that is not streamed."""
    candidates = b",".join([_candidate(index, choice, reply) for index, choice in enumerate(answer.choices)])
    written = b'{"candidates":[%b]%b%b' % (candidates, write_usage(answer.usage), _identity(reply))
    unknown = [opaque.data for opaque in answer.extensions if opaque.protocol == "gemini"]
    return merged(written, unknown) if unknown else written


def _candidate(index: int, choice: Choice, reply: Reply) -> bytes:
    writer = PartWriter(reply)
    events = unfold(Answer("", "", choice.parts, choice.finish))
    parts = [part for event in events if (part := writer.write(event))]
    if waiting := writer.waiting():
        parts.append(waiting)
    logprobs = tuple(chain.from_iterable(part.logprobs for part in choice.parts))
    content = b'{"content":{"role":"model","parts":[%b]}' % (b",".join(parts) or _EMPTY_PART)
    return b'%b,"index":%d%b%b}' % (content, index, write_logprobs(logprobs), writer.finish(choice.finish))


def _identity(reply: Reply) -> bytes:
    return b',"modelVersion":%b,"responseId":%b}' % (one_line(reply.model), one_line(reply.token))
