"""Events as a stream of Chat Completions that every SDK accepts.

The rule is section 9 of docs/protocols.md: a role chunk with empty content, the content, one chunk with an empty
delta and the finish reason, the usage if it was asked for, `[DONE]`. Everything that does not change within a stream
is encoded once, so that a delta costs the encoding of one string.
"""

from typing import Any, ClassVar

from penstock.core.events import (
    Citation,
    Cited,
    Delta,
    Event,
    Failure,
    Finish,
    NextChoice,
    Opaque,
    PartEnd,
    PartKind,
    PartStart,
    Sealed,
    Start,
    UsageUpdate,
)
from penstock.core.usage import UNKNOWN
from penstock.protocols.base import Reply
from penstock.protocols.openai_chat.citations import write_citation
from penstock.protocols.openai_chat.extensions import Fields, numbered, read_extension
from penstock.protocols.openai_chat.logprobs import write_logprobs
from penstock.protocols.openai_chat.usage import write_usage
from penstock.protocols.openai_chat.whole import finish_reason, names_of, reasoning_detail
from penstock.protocols.openai_errors import error_object
from penstock.wire.payload import encode, escape_lines, one_line

_DONE = b"data: [DONE]\n\n"
_UNFINISHED = b',"finish_reason":null,"logprobs":'
_GOES_ON = _UNFINISHED + b"null}]}\n\n"

_FIELD: dict[PartKind, bytes] = {
    "text": b'{"content":',
    "reasoning": b'{"reasoning_content":',
    "refusal": b'{"refusal":',
}


class _Choice:
    """What has been told of one choice."""

    __slots__ = ("annotations", "begun", "calls", "entries", "index", "refused", "seals")

    def __init__(self, index: int) -> None:
        self.index = index
        self.begun = 0  # characters of text in the parts before the open one
        self.calls = 0
        self.seals = 0
        self.annotations = 0
        self.refused = False
        self.entries: dict[str, int] = {}  # of lists that servers add to deltas


class Encoder:
    """State of one client stream."""

    last_word: ClassVar[bytes] = b""

    __slots__ = (
        "_before",
        "_choice",
        "_close",
        "_field",
        "_head",
        "_held",
        "_include_usage",
        "_length",
        "_names",
        "_opened",
        "_prefix",
        "_seal",
        "_started",
        "_tail",
        "_thoughts",
        "_usage",
        "_usage_fields",
    )

    def __init__(self, reply: Reply) -> None:
        self._include_usage = reply.include_usage
        self._seal = reply.seal
        self._names = names_of(reply, "chat.completion.chunk")
        self._choice = _Choice(0)
        self._before = self._prefix = b""  # all up to the choices, and all up to the choice's delta
        self._field = self._close = b""  # what stands around the text in a delta of the open part
        self._head = self._tail = b""  # the same with all that stands around the delta
        self._opened = PartStart(0, "text")
        self._length = 0  # characters of the open part
        self._thoughts: list[str] | None = None  # of the open part, if it is reasoning
        self._usage = UNKNOWN
        self._usage_fields: Fields = {}
        self._started = False
        self._held: list[Opaque] = []
        self._prepare()

    def encode(self, event: Event) -> bytes:
        """Return the bytes that tell the client of an event; empty if it needs none."""
        if isinstance(event, Delta):  # first, because nearly all events are
            text = event.text
            self._length += len(text)
            if self._thoughts is not None:
                self._thoughts.append(text)
            return self._weighed(event) if event.logprobs else self._head + escape_lines(encode(text)) + self._tail
        written = b""
        match event:
            case PartStart():
                written = self._start(event)
            case PartEnd():
                written = self._end(event)
            case Cited():
                written = self._cited(event.citation)
            case UsageUpdate():
                self._usage = event.usage
            case Start():
                written = self._begin()
            case NextChoice():
                written = self._next(event.finish)
            case Finish():
                written = self._finish(event)
            case Failure():
                written = b"data: " + one_line(error_object(event.error)) + b"\n\n"
            case Opaque():
                written = self._extend(event)
        return written

    def _weighed(self, delta: Delta) -> bytes:
        """Return the chunk of a delta with the log probabilities of its tokens."""
        logprobs = one_line(write_logprobs(delta.logprobs, self._opened.kind))
        return self._head + escape_lines(encode(delta.text)) + self._close + _UNFINISHED + logprobs + b"}]}\n\n"

    def _begin(self) -> bytes:
        self._started = True
        held, self._held = self._held, []
        behind = b"".join([self._extend(opaque) for opaque in held])
        return self._chunk({"role": "assistant", "content": ""}) + behind

    def _start(self, part: PartStart) -> bytes:
        self._opened = part
        self._length = 0
        self._thoughts = [] if part.kind == "reasoning" else None
        choice = self._choice
        if part.kind in _FIELD:
            choice.refused = choice.refused or part.kind == "refusal"
            self._field, self._close = _FIELD[part.kind], b"}"
            self._prepare()
            return b""
        kind, text = ("custom", "input") if part.kind == "custom_call" else ("function", "arguments")
        call = {"index": choice.calls, "id": part.id, "type": kind, kind: {"name": part.name, text: ""}}
        self._field = b'{"tool_calls":[{"index":%d,"%b":{"%b":' % (choice.calls, kind.encode(), text.encode())
        self._close = b"}}]}"
        self._prepare()
        choice.calls += 1
        return self._chunk({"tool_calls": [call]})

    def _end(self, end: PartEnd) -> bytes:
        if self._opened.kind == "text":
            self._choice.begun += self._length
        return b"" if end.sealed is None else self._sealed(end.sealed)

    def _sealed(self, sealed: Sealed) -> bytes:
        detail = reasoning_detail("".join(self._thoughts or ()), sealed, self._seal(sealed), self._choice.seals)
        self._choice.seals += 1
        return self._chunk({"reasoning_details": [detail]})

    def _cited(self, citation: Citation) -> bytes:
        annotation = write_citation(citation, self._choice.begun, self._length)
        if annotation is None:
            return b""
        index = self._choice.annotations
        self._choice.annotations += 1
        return self._chunk({"annotations": [{**annotation, "index": index}]})

    def _next(self, finish: Finish) -> bytes:
        written = self._finished(finish)
        self._choice = _Choice(self._choice.index + 1)
        self._prepare()
        return written + self._begin()

    def _finish(self, finish: Finish) -> bytes:
        chunks = self._finished(finish)
        if self._include_usage:
            usage = {**write_usage(self._usage), **self._usage_fields}
            chunks += self._before + b'],"usage":' + one_line(usage) + b"}\n\n"
        return chunks + _DONE

    def _finished(self, finish: Finish) -> bytes:
        word = encode(finish_reason(finish.reason, refused=self._choice.refused))
        return self._prefix + b'{},"finish_reason":' + word + b',"logprobs":null}]}\n\n'

    def _extend(self, opaque: Opaque) -> bytes:
        """Return a chunk of what the provider added, if this protocol's decoder was told to report it.

        Texts beside the choices (a fingerprint, a tier) go into all chunks from now on, as servers send them: SDKs keep
        those of the first chunk, or of the last.
        """
        if not self._started:
            self._held.append(opaque)  # no client expects anything before the role
            return b""
        extension = read_extension(opaque)
        if extension is None:
            return b""
        texts = {name: value for name, value in extension.beside.items() if bytes(value).startswith(b'"')}
        beside = {name: value for name, value in extension.beside.items() if name not in texts}
        self._names |= texts
        self._usage_fields |= extension.usage
        self._prepare()
        delta = {name: self._numbered(name, value) for name, value in extension.delta.items()}
        if not (beside or extension.choice or delta):
            return b""
        choice = {"index": self._choice.index, "delta": delta, "finish_reason": None, "logprobs": None}
        chunk = {**self._names, **beside, "choices": [choice | extension.choice]}
        return b"data: " + one_line(chunk) + b"\n\n"

    def _numbered(self, name: str, value: Any) -> Any:
        first = self._choice.entries.get(name, 0)
        entries, count = numbered(value, first)
        self._choice.entries[name] = first + count
        return entries

    def _prepare(self) -> None:
        """Encode all that stays the same until the next part."""
        self._before = b"data: " + one_line({**self._names, "choices": []})[:-2]
        self._prefix = self._before + b'{"index":%d,"delta":' % self._choice.index
        self._head = self._prefix + self._field
        self._tail = self._close + _GOES_ON

    def _chunk(self, delta: dict[str, Any]) -> bytes:
        return self._prefix + one_line(delta) + _GOES_ON
