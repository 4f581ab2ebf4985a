"""Answers of an Anthropic Messages provider, as events (sections 5.2 to 5.4 of docs/protocols.md).

    message_start (block | ping)* message_delta+ message_stop

The `type` in the data counts; the name in the `event:` line is only asked where the data has none. What the gateway
does not know (server tools, whatever comes next year) is set aside as Opaque. Citations come before the text that they
are of, so they wait until its block ends.
"""

from typing import Any, cast

import msgspec

from penstock.core.assembly import Assembler
from penstock.core.errors import ErrorInfo, UpstreamFault, upstream_error
from penstock.core.events import Event, FinishReason, Opaque, Start
from penstock.protocols.anthropic.citations import read_citation
from penstock.protocols.anthropic.errors import read_error
from penstock.protocols.anthropic.extensions import PROTOCOL, unknown_block, unknown_block_end, unknown_members
from penstock.protocols.anthropic.usage import UsageReader
from penstock.protocols.anthropic.wire import (
    Block,
    BlockDelta,
    Message,
    StopDetails,
    StreamEvent,
    WireCitation,
    WireUsage,
)
from penstock.protocols.base import EXTENSIONS
from penstock.wire.payload import ProviderDecoder
from penstock.wire.sse import Frame

_FINISH: dict[str, FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop_sequence",
    "max_tokens": "length",
    "model_context_window_exceeded": "context_window",
    "tool_use": "tool_calls",
    "refusal": "refusal",
    "pause_turn": "pause",
}

_BLOCKS = {"text", "thinking", "redacted_thinking", "tool_use"}
_BLOCK_OF_DELTA = {
    "text_delta": "text",
    "thinking_delta": "thinking",
    "signature_delta": "thinking",
    "input_json_delta": "tool_use",
    "citations_delta": "text",
}
_MEANINGFUL = {"message_start", "message_delta", "message"} | _BLOCKS | _BLOCK_OF_DELTA.keys() - {"citations_delta"}
_NOT_JSON = (b":", b"[DONE]")  # heartbeats, and a marker of other protocols, that proxies put into data lines
_SECOND_MESSAGE = ErrorInfo("stream_incomplete", "The provider began a second message in the middle of the first.")

_event = ProviderDecoder(StreamEvent)
_message = ProviderDecoder(Message)
_block = ProviderDecoder(Block)
_anything = ProviderDecoder(dict[str, Any])


class _Block:
    """A block that began; itself the key of its part."""

    __slots__ = ("citations", "input", "length", "type")

    def __init__(self, type_: str) -> None:
        self.type = type_  # empty: nobody knows it
        self.length = 0  # characters of its text
        self.citations: list[WireCitation | Opaque] = []  # those that wait for its end
        self.input = ""  # the input that came with the start, as long as no delta came


class Decoder:
    """State of one stream."""

    __slots__ = (
        "_assembler",
        "_blocks",
        "_calls",
        "_extensions",
        "_id",
        "_last",
        "_origin",
        "_started",
        "_token",
        "_usage",
    )

    def __init__(self, origin: str, token: str, options: frozenset[str] = frozenset()) -> None:
        self._origin = origin
        self._token = token
        self._assembler = Assembler()
        self._usage = UsageReader()
        self._extensions = EXTENSIONS in options
        self._blocks: dict[int, _Block] = {}
        self._last: _Block | None = None  # the block that began last
        self._calls = 0
        self._started = False
        self._id = ""

    @property
    def ended(self) -> bool:
        """Whether Finish or Failure was returned."""
        return self._assembler.over

    def decode(self, frame: Frame) -> list[Event]:
        """Return the events that a frame brings.

        Raises:
            UpstreamFault: the payload cannot be understood.
        """
        data = frame.data
        if not data or data.startswith(_NOT_JSON):
            return []
        try:
            event = _event.decode(data)
        except UpstreamFault:
            self._set_aside(data)
            return self._assembler.take()
        if event.type == "content_block_delta" and event.delta is not None:
            self._delta(event.index, event.delta, data)
        else:
            self._other(event.type or frame.event, event, data)
        return self._assembler.take()

    def close(self) -> list[Event]:
        """Return the last events at the end of the body. A stop reason without `message_stop` is an end, too."""
        self._close()
        return self._assembler.take()

    def _other(self, type_: str, event: StreamEvent, data: bytes) -> None:
        match type_:
            case "content_block_start" if event.content_block is not None:
                self._start_block(event.index, event.content_block, Opaque(PROTOCOL, data))
            case "content_block_stop":
                self._stop_block(event.index)
                if event.index in self._blocks and not self._blocks[event.index].type:
                    self._assembler.emit(Opaque(PROTOCOL, data))
            case "content_block_delta" if event.delta is not None:
                self._delta(event.index, event.delta, data)
            case "message_start":
                self._keep(data)
                self._start(event.message or Message())
            case "message_delta":
                self._keep(data)
                self._message_delta(event.delta or BlockDelta(), event.usage)
            case "message_stop":
                self._stop("", None, None)
                self._close()
            case "message":
                self._whole(_message.decode(data), data)
            case "ping":
                pass
            case _ if type_ == "error" or event.error is not None:
                self._assembler.fail(read_error(200, data))
            case _:
                self._assembler.emit(Opaque(PROTOCOL, data))

    def _delta(self, index: int, delta: BlockDelta, data: bytes) -> None:
        expected = _BLOCK_OF_DELTA.get(delta.type)
        block = self._blocks.get(index)
        if block is None or block.type != expected:
            if expected is None or expected == "tool_use" or (block is not None and not block.type):
                self._assembler.emit(Opaque(PROTOCOL, data))
                return
            block = self._begin_block(index, expected)
        match delta.type:
            case "text_delta":
                text = delta.text or ""
                block.length += len(text)
                self._assembler.text(block, "text", text)
            case "thinking_delta":
                self._assembler.text(block, "reasoning", delta.thinking or "")
            case "signature_delta":
                self._assembler.seal(block, self._origin, delta.signature or "")
            case "citations_delta":
                if delta.citation is not None:
                    block.citations.append(Opaque(PROTOCOL, data) if self._extensions else delta.citation)
            case _:
                if delta.partial_json:
                    block.input = ""
                    self._assembler.arguments(block, delta.partial_json)

    def _start_block(self, index: int, wire: Block, opaque: Opaque) -> None:
        """Begin a block; `opaque` is reported if nobody knows its type."""
        block = self._begin_block(index, wire.type if wire.type in _BLOCKS else "")
        match block.type:
            case "text":
                text = wire.text or ""
                block.length = len(text)
                block.citations.extend(wire.citations or ())
                self._assembler.text(block, "text", text)
            case "thinking":
                self._assembler.text(block, "reasoning", wire.thinking or "")
                self._assembler.seal(block, self._origin, wire.signature or "")
            case "redacted_thinking":
                self._assembler.seal(block, self._origin, wire.data or "", "redacted")
            case "tool_use":
                self._calls += 1
                self._assembler.tool(block, wire.id or f"call_{self._token}_{self._calls}", wire.name or "")
                block.input = _json_object(wire.input)
            case _:
                self._assembler.emit(opaque)

    def _begin_block(self, index: int, type_: str) -> _Block:
        """Begin a block; one with the same index that was never stopped ends here."""
        self._begin()
        if self._last is not None:
            self._cite(self._last)
        self._stop_block(index)
        block = self._last = self._blocks[index] = _Block(type_)
        return block

    def _stop_block(self, index: int) -> None:
        block = self._blocks.get(index)
        if block is not None and block.type:
            self._cite(block)
            if block.input:
                self._assembler.arguments(block, block.input)
            self._assembler.end(block)

    def _cite(self, block: _Block) -> None:
        """Report the citations that waited for the block's text."""
        citations, block.citations = block.citations, []
        for citation in citations:
            match citation:
                case Opaque():
                    self._assembler.emit(citation)
                case WireCitation():
                    self._assembler.cite(block, read_citation(citation, block.length))

    def _keep(self, data: bytes) -> None:
        """Report what nobody knows of the message itself, if that is wanted."""
        unknown = unknown_members(_anything.decode(data)) if self._extensions else None
        if unknown is not None:
            self._assembler.emit(unknown)

    def _start(self, message: Message) -> None:
        """Take `message_start`. Proxies repeat it; one that retried splices a second message into the first.

        Where the provider's sandbox calls a tool of the client, the whole message stands in it and no block follows.
        """
        if self._blocks and message.id != self._id:
            self._assembler.fail(_SECOND_MESSAGE)
            return
        self._id = message.id or ""
        self._begin(self._id, message.model or "")
        self._update(message.usage)
        if not self._blocks:
            for index, raw in enumerate(message.content or []):
                block = _read_block(raw)
                self._start_block(index, block, unknown_block(index, raw))
                self._stop_block(index)
                if block.type not in _BLOCKS:
                    self._assembler.emit(unknown_block_end(index))
        if message.stop_reason:
            self._stop(message.stop_reason, message.stop_sequence, message.stop_details)

    def _begin(self, id_: str = "", model: str = "") -> None:
        if not self._started:
            self._started = True
            self._assembler.emit(Start(id_, model))

    def _message_delta(self, delta: BlockDelta, usage: WireUsage | None) -> None:
        self._begin()
        self._update(usage)
        if delta.stop_reason:
            self._stop(delta.stop_reason, delta.stop_sequence, delta.stop_details)

    def _update(self, usage: WireUsage | None) -> None:
        if usage is not None:
            self._assembler.update(self._usage.read(usage))

    def _stop(self, raw: str, sequence: str | None, details: StopDetails | None) -> None:
        """Take the reason why the message ends; an empty one says no more than that it does."""
        self._begin()
        if raw == "refusal" and details is not None and details.explanation and not self._extensions:
            self._assembler.text("refusal", "refusal", details.explanation)
        self._assembler.finish(_FINISH.get(raw, "other") if raw else "stop", raw, sequence)

    def _close(self) -> None:
        if self._assembler.finishing:
            for index in self._blocks:
                self._stop_block(index)
        self._assembler.close()

    def _whole(self, message: Message, data: bytes) -> None:
        """Take a message that is not streamed."""
        self._keep(b'{"type":"message_start","message":%b}' % data)
        self._start(message)
        self._stop("", None, None)
        self._close()

    def _set_aside(self, data: bytes) -> None:
        """Keep an event that does not decode because it, its block or its delta is of a type that nobody knows.

        Raises:
            UpstreamFault: the type is known.
        """
        event = _anything.decode(data)
        inner: Any = event.get("delta") or event.get("content_block")
        inner_type = cast("dict[str, Any]", inner).get("type") if isinstance(inner, dict) else None
        if any(isinstance(type_, str) and type_ in _MEANINGFUL for type_ in (event.get("type"), inner_type)):
            raise upstream_error("The provider sent an event whose content cannot be understood.", "bad_payload")
        if event.get("type") == "content_block_start" and isinstance(index := event.get("index"), int):
            self._begin_block(index, "")
        self._assembler.emit(Opaque(PROTOCOL, data))


def read_response(body: bytes, origin: str, token: str, options: frozenset[str] = frozenset()) -> list[Event]:
    """Return the events of a whole answer.

    Raises:
        UpstreamFault: the body is not an answer.
    """
    decoder = Decoder(origin, token, options)
    return decoder.decode(Frame("", body.strip(), body)) + decoder.close()


def usage_only(frame: Frame) -> bool:
    """Return False: usage comes with the beginning and the end of the message, never alone."""
    del frame
    return False


def _read_block(raw: msgspec.Raw) -> Block:
    """Return a block of a whole message; one of an unknown type whose members have other shapes has no type.

    Raises:
        UpstreamFault: the type is known, or it is no block.
    """
    try:
        return _block.decode(bytes(raw))
    except UpstreamFault:
        if _anything.decode(bytes(raw)).get("type") in _BLOCKS:
            raise
        return Block()


def _json_object(raw: msgspec.Raw) -> str:
    """Return the JSON text of an input that says anything, else an empty string."""
    text = bytes(raw).decode("utf-8", "replace")
    return text if text.startswith("{") and text.strip("{} \t\r\n") else ""
