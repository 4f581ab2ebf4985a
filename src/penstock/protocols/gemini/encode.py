"""Events to Gemini answers.

Every chunk repeats model, id and the usage so far, and has a part that is not empty: SDKs drop a turn from their chat
history in which one has not (section 6.4 of docs/protocols.md). Calls are written whole, when they are complete. The
order of keys is that of the real service.
"""

from penstock.core.answer import Answer, unfold
from penstock.core.events import Delta, Event, Failure, Finish, FinishReason, PartEnd, PartStart, Sealed, UsageUpdate
from penstock.core.usage import UNKNOWN
from penstock.protocols.arguments import arguments_object
from penstock.protocols.base import Reply
from penstock.protocols.gemini.errors import error_object
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


class PartWriter:
    """State of the parts of one answer: which is open, and the seal that waits for a part to sit on."""

    __slots__ = ("_arguments", "_open", "_reply", "_waiting", "refused")

    def __init__(self, reply: Reply) -> None:
        self._reply = reply
        self._open = PartStart(0, "text")
        self._arguments: list[str] = []
        self._waiting: Sealed | None = None
        self.refused = False

    def write(self, event: Event) -> bytes:
        """Return the JSON of the part that an event makes, or nothing."""
        match event:
            case Delta():
                return self.delta(event.text)
            case PartStart():
                self._open = event
                self.refused |= event.kind == "refusal"
                return b"" if event.kind == "tool_call" else self.waiting()
            case PartEnd():
                return self._end(event.sealed)
            case _:
                return b""

    def delta(self, text: str) -> bytes:
        """Return the part that more text of the open part makes; a call makes one at its end only."""
        kind = self._open.kind
        if kind == "tool_call":
            self._arguments.append(text)
            return b""
        string = escape_lines(encode(text))
        return b'{"text":%b,"thought":true}' % string if kind == "reasoning" else b'{"text":%b}' % string

    def waiting(self) -> bytes:
        """Return a part for the seal that waits, if one does."""
        if self._waiting is None:
            return b""
        return b'{"text":""%b}' % self._signature()

    def _end(self, sealed: Sealed | None) -> bytes:
        if self._open.kind == "tool_call":
            return self._call()
        if sealed is None:
            return b""
        self._waiting = sealed
        # A seal before a call sits on the call, which SDKs give back with it. One on text must not slip there.
        return self.waiting() if sealed.form == "text" else b""

    def _call(self) -> bytes:
        arguments = arguments_object("".join(self._arguments))
        self._arguments.clear()
        call = one_line({"id": self._open.id, "name": self._open.name, "args": arguments})
        return b'{"functionCall":%b%b}' % (call, self._signature())

    def _signature(self) -> bytes:
        sealed, self._waiting = self._waiting, None
        return b"" if sealed is None else b',"thoughtSignature":%b' % encode(self._reply.seal(sealed))


class Encoder:
    """State of one stream: an event stream, or one growing JSON array if `reply.array`."""

    __slots__ = ("_end", "_identity", "_last", "_lead", "_next", "_parts", "_tail", "_usage")

    def __init__(self, reply: Reply) -> None:
        self._parts = PartWriter(reply)
        self._identity = _identity(reply)
        self._usage = UNKNOWN
        # What stands before the first chunk, before each other one, behind each, and behind the last.
        self._lead, self._next, self._end, self._last = (
            (b"[", b",\r\n", b"", b"]") if reply.array else (b"data: ", b"data: ", b"\r\n\r\n", b"")
        )
        self._tail = self._closing(b"")

    def encode(self, event: Event) -> bytes:
        """Return the bytes that tell the client of an event."""
        match event:
            case Delta():
                part = self._parts.delta(event.text)
                return self._framed(_HEAD, part, self._tail) if part else b""
            case UsageUpdate():
                self._usage = event.usage
                self._tail = self._closing(b"")
                return b""
            case Finish():
                reason = _finish_member(event, self._parts)
                return self._framed(_HEAD, self._parts.waiting() or _EMPTY_PART, self._closing(reason)) + self._last
            case Failure():
                return self._framed(error_object(event.error), b"", self._end) + self._last
            case _:
                part = self._parts.write(event)
                return self._framed(_HEAD, part, self._tail) if part else b""

    def _framed(self, head: bytes, part: bytes, tail: bytes) -> bytes:
        lead = self._lead
        self._lead = self._next
        return b"%b%b%b%b" % (lead, head, part, tail)

    def _closing(self, finish: bytes) -> bytes:
        """Return all of a chunk that comes behind its part."""
        return b"%b%b%b%b" % (_candidate_end(finish), write_usage(self._usage), self._identity, self._end)


def write_response(answer: Answer, reply: Reply) -> bytes:
    """Return an answer that is not streamed."""
    writer = PartWriter(reply)
    parts = [part for event in unfold(answer) if (part := writer.write(event))]
    if waiting := writer.waiting():
        parts.append(waiting)
    candidate_end = _candidate_end(_finish_member(answer.finish, writer))
    return b"%b%b%b%b%b" % (
        _HEAD,
        b",".join(parts) or _EMPTY_PART,
        candidate_end,
        write_usage(answer.usage),
        _identity(reply),
    )


def _candidate_end(finish: bytes) -> bytes:
    return b']},"index":0%b}]' % finish


def _finish_member(finish: Finish, parts: PartWriter) -> bytes:
    reason = "SAFETY" if parts.refused and finish.reason == "stop" else _FINISH[finish.reason]
    return b',"finishReason":"%b"' % reason.encode()


def _identity(reply: Reply) -> bytes:
    return b',"modelVersion":%b,"responseId":%b}' % (one_line(reply.model), one_line(reply.token))
