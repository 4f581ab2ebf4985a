"""Events as a Responses client reads them (sections 4.3, 4.4 and 9 of docs/protocols.md).

    created in_progress item* (completed | incomplete | failed error)
    item := output_item.added (part.added delta* done part.done)* output_item.done

SDKs follow the grammar strictly: everything that begins is announced, ends whole, and comes again, whole, in the last
event; ids are the same all along, indexes have no gaps, and events are numbered from 0. Texts in a row are one piece
of one message, however the provider cut them: clients take a message, or a piece of it, for all that was said.

An item begins with its first content, so that a part without any leaves no item.
"""

from typing import Any, ClassVar

from msgspec import Raw

from penstock.core.answer import Answer, unfold
from penstock.core.errors import ErrorInfo
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
    TokenLogprob,
    UsageUpdate,
)
from penstock.core.usage import UNKNOWN
from penstock.protocols.base import Reply
from penstock.protocols.openai_errors import error_object
from penstock.protocols.openai_logprobs import bytes_of, write_token
from penstock.protocols.openai_responses import encode_items as items
from penstock.protocols.openai_responses.encode_response import ResponseObject
from penstock.protocols.openai_responses.namespaces import split_names
from penstock.protocols.openai_responses.usage import write_usage
from penstock.wire.payload import encode, escape_lines, one_line

_EVENTS: dict[PartKind, tuple[str, str]] = {
    "text": ("response.output_text", "text"),
    "refusal": ("response.refusal", "refusal"),
    "reasoning": ("response.reasoning_summary_text", "text"),
    "tool_call": ("response.function_call_arguments", "arguments"),
    "custom_call": ("response.custom_tool_call_input", "input"),
}
"""What the events of a piece begin with, `.delta` and `.done`, and where the whole of it stands in the last."""

_INCOMPLETE: dict[FinishReason, str] = {
    "length": "max_output_tokens",
    "context_window": "max_output_tokens",
    "pause": "max_output_tokens",  # the nearest that there is: the answer could go on
    "content_filter": "content_filter",
}
_IDS: dict[PartKind, str] = {
    "text": "msg",
    "refusal": "msg",
    "reasoning": "rs",
    "tool_call": "fc",
    "custom_call": "ctc",
}

_OURS = b'{"penstock":'
"""What the gateway says of itself begins with: it has a place in the response object; a provider's events have none."""


class _Item:
    """An item that is open, and of a message the pieces in it that are complete."""

    __slots__ = ("content", "id", "index", "piece")

    def __init__(self, id_: str, index: int) -> None:
        self.id = id_
        self.index = index
        self.content: list[Raw] = []
        self.piece: _Piece | None = None  # of a message: the one that is open


class _Piece:
    """A stretch of text that goes on: in a message, a summary, the arguments of a call."""

    __slots__ = ("annotations", "begun", "head", "item", "kind", "logprobs", "place", "tail", "texts")

    def __init__(self, kind: PartKind, item: _Item, **inner: int) -> None:
        self.kind: PartKind = kind
        self.item = item
        self.place = {"item_id": item.id, "output_index": item.index, **inner}
        # What stands around the text of a delta, up to its sequence number.
        name = f"{_EVENTS[kind][0]}.delta"
        self.head = b'event: %b\ndata: %b,"delta":' % (name.encode(), encode({"type": name, **self.place})[:-1])
        self.tail = b',"logprobs":[],"sequence_number":' if kind == "text" else b',"sequence_number":'
        self.texts: list[str] = []
        self.begun = 0  # the first text of the part that goes on
        self.annotations: list[Raw] = []
        self.logprobs: list[dict[str, Any]] = []


class Encoder:
    """State of one stream. `response` is the whole answer, once it is complete."""

    last_word: ClassVar[bytes] = b""

    __slots__ = (
        "_message",
        "_names",
        "_object",
        "_opened",
        "_output",
        "_piece",
        "_refused",
        "_reply",
        "_sequence",
        "_started",
        "_usage",
        "response",
    )

    def __init__(self, reply: Reply) -> None:
        self._reply = reply
        self._object = ResponseObject(reply)
        self._names = split_names(reply.fields.get("tools"))
        self._sequence = 0
        self._started = False
        self._refused = False
        self._usage = UNKNOWN
        self._output: list[Raw] = []
        self._opened = PartStart(0, "text")
        self._message: _Item | None = None  # stays open until something else is said
        self._piece: _Piece | None = None  # where the text of the open part goes, once some came
        self.response = b""

    def encode(self, event: Event) -> bytes:
        """Return the bytes that tell the client of an event; empty if it needs none."""
        written = b""
        match event:
            case Delta():
                written = self._delta(event.text, event.logprobs)
            case PartStart():
                written = self._start_part(event)
            case PartEnd():
                written = self._end_part(event.sealed)
            case Cited():
                written = self._cite(event)
            case UsageUpdate():
                self._usage = event.usage
            case Start():
                self._started = True
                response = self._object.write("in_progress", [])
                written = self._event("response.created", response=response)
                written += self._event("response.in_progress", response=response)
            case Finish():
                written = self._finish(event)
            case Failure():
                written = self._fail(event.error)
            case Opaque() if event.data.startswith(_OURS):
                self._object.extend(event.data)
            case NextChoice() | Opaque():
                pass
        return written

    def _delta(self, text: str, logprobs: tuple[TokenLogprob, ...]) -> bytes:
        begun = b""
        piece = self._piece
        if piece is None:
            begun, piece = self._begin_piece()
        piece.texts.append(text)
        number = self._sequence
        self._sequence += 1
        if not logprobs:
            return b"%b%b%b%b%d}\n\n" % (begun, piece.head, escape_lines(encode(text)), piece.tail, number)
        told = [write_token(token, bytes_of) for token in logprobs]
        piece.logprobs += told
        rest = encode({"delta": text, "logprobs": told, "sequence_number": number})
        return b"".join((begun, piece.head[: -len(b'"delta":')], escape_lines(rest[1:]), b"\n\n"))

    def _cite(self, cited: Cited) -> bytes:
        begun = b""
        piece = self._piece
        if piece is None:
            begun, piece = self._begin_piece()
        before, length = (sum(map(len, texts)) for texts in (piece.texts[: piece.begun], piece.texts[piece.begun :]))
        annotation = items.encoded(items.annotation(cited.citation, before, length))
        place = {**piece.place, "annotation_index": len(piece.annotations), "annotation": annotation}
        piece.annotations.append(annotation)
        return begun + self._event("response.output_text.annotation.added", **place)

    def _start_part(self, part: PartStart) -> bytes:
        self._opened = part
        self._piece = None
        match part.kind:
            case "tool_call" | "custom_call":
                return self._begin_piece()[0]
            case "text" | "refusal":
                self._refused |= part.kind == "refusal"
                going_on = self._message.piece if self._message is not None else None
                if going_on is not None and going_on.kind == part.kind:
                    self._piece = going_on
                    going_on.begun = len(going_on.texts)
            case "reasoning":
                pass
        return b""

    def _end_part(self, sealed: Sealed | None) -> bytes:
        match self._opened.kind:
            case "reasoning":
                return self._end_reasoning(self._piece, sealed)
            case "tool_call" | "custom_call" if self._piece is not None:
                return self._end_call(self._piece)
            case _:
                return b""  # a message goes on until something else is said

    # --- what begins

    def _begin_piece(self) -> tuple[bytes, _Piece]:
        """Begin what the open part is told in, and the item around it; what goes before it ends."""
        kind = self._opened.kind
        match kind:
            case "text" | "refusal":
                written, piece = self._begin_content(kind)
            case "reasoning":
                written, item = self._begin_reasoning()
                piece = _Piece(kind, item, summary_index=0)
                part = items.summary_text()
                written += self._event("response.reasoning_summary_part.added", **piece.place, part=part)
            case "tool_call" | "custom_call":
                written = self._end_message()
                item = self._new_item()
                piece = _Piece(kind, item)
                written += self._added(item, items.call(item.id, self._opened, self._name()))
        self._piece = piece
        return written, piece

    def _begin_content(self, kind: PartKind) -> tuple[bytes, _Piece]:
        written = b""
        item = self._message
        if item is None:
            item = self._message = self._new_item()
            written = self._added(item, items.message(item.id, [], "in_progress"))
        written += self._end_content(item)
        piece = item.piece = _Piece(kind, item, content_index=len(item.content))
        part = items.empty_content(kind)
        return written + self._event("response.content_part.added", **piece.place, part=part), piece

    def _begin_reasoning(self) -> tuple[bytes, _Item]:
        written = self._end_message()
        item = self._new_item()
        return written + self._added(item, items.reasoning(item.id, [], None)), item

    def _new_item(self) -> _Item:
        index = len(self._output)
        return _Item(f"{_IDS[self._opened.kind]}_{self._reply.token}_{index}", index)

    def _name(self) -> dict[str, str]:
        return self._names.get(self._opened.name, {"name": self._opened.name})

    # --- what ends

    def _end_content(self, item: _Item) -> bytes:
        piece, item.piece = item.piece, None
        if piece is None:
            return b""
        text = items.as_text(piece.texts)
        logprobs = {"logprobs": piece.logprobs} if piece.kind == "text" else {}
        part = items.encoded(items.text_content(piece.kind, text, piece.annotations, piece.logprobs))
        item.content.append(part)
        done = self._done(piece, text, **logprobs)
        return done + self._event("response.content_part.done", **piece.place, part=part)

    def _end_message(self, status: str = "completed") -> bytes:
        item, self._message = self._message, None
        if item is None:
            return b""
        return self._end_content(item) + self._item_done(item, items.message(item.id, item.content, status))

    def _end_reasoning(self, piece: _Piece | None, sealed: Sealed | None) -> bytes:
        seal = None if sealed is None else self._reply.seal(sealed)
        if piece is not None:
            text = items.as_text(piece.texts)
            part = items.summary_text(text)
            written = self._done(piece, text)
            written += self._event("response.reasoning_summary_part.done", **piece.place, part=part)
            return written + self._item_done(piece.item, items.reasoning(piece.item.id, [part], seal))
        if seal is None:
            return b""
        written, item = self._begin_reasoning()
        return written + self._item_done(item, items.reasoning(item.id, [], seal))

    def _end_call(self, piece: _Piece) -> bytes:
        given = items.as_text(piece.texts)
        name = self._name() if piece.kind == "tool_call" else {}
        whole = items.call(piece.item.id, self._opened, self._name(), given, "completed")
        return self._done(piece, given, **name) + self._item_done(piece.item, whole)

    def _finish(self, finish: Finish) -> bytes:
        incomplete = _INCOMPLETE.get(finish.reason)
        if finish.reason == "refusal" and not self._refused:  # nothing but this reason can tell
            incomplete = "content_filter"
        status = "completed" if incomplete is None else "incomplete"
        written = self._end_message(status)
        response = self._object.write(status, self._output, write_usage(self._usage), incomplete)
        self.response = bytes(response)
        return written + self._event(f"response.{status}", response=response)

    def _fail(self, info: ErrorInfo) -> bytes:
        """Tell of an error twice: in the response, and as an event, which is all that some SDKs raise."""
        error: dict[str, Any] = error_object(info)["error"]
        written = b""
        if self._started:
            told = {**error, "code": error["code"] or "server_error"}
            response = self._object.write("failed", self._output, write_usage(self._usage), error=told)
            written = self._event("response.failed", response=response)
        flat = {"code": error["code"], "message": error["message"], "param": error["param"]}
        return written + self._event("error", **flat, error=error)

    # --- how it is written

    def _added(self, item: _Item, begun: dict[str, Any]) -> bytes:
        return self._event("response.output_item.added", output_index=item.index, item=begun)

    def _item_done(self, item: _Item, whole: dict[str, Any]) -> bytes:
        encoded = items.encoded(whole)
        self._output.append(encoded)
        return self._event("response.output_item.done", output_index=item.index, item=encoded)

    def _done(self, piece: _Piece, whole: Raw, **more: Any) -> bytes:
        name, field = _EVENTS[piece.kind]
        return self._event(f"{name}.done", **piece.place, **{field: whole}, **more)

    def _event(self, type_: str, /, **members: Any) -> bytes:
        number = self._sequence
        self._sequence += 1
        data = one_line({"type": type_, **members, "sequence_number": number})
        return b"".join((b"event: ", type_.encode(), b"\ndata: ", data, b"\n\n"))


def write_response(answer: Answer, reply: Reply) -> bytes:
    """Return a whole answer as a JSON body: what the last event of its stream would hold."""
    encoder = Encoder(reply)
    for event in unfold(answer):
        encoder.encode(event)
    return encoder.response
