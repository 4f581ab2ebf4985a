"""Answers of a provider of the Responses API, as events (section 4 of docs/protocols.md).

    response.created response.in_progress item* (response.completed | response.incomplete | response.failed | error)

The `type` in the data counts; the name in the `event:` line is only asked where the data has none. Items of hosted
tools, and whatever comes next year, are set aside as Opaque. An answer is over only when its last event came.
"""

from collections.abc import Callable
from typing import Any, Literal

from penstock.core.assembly import Assembler
from penstock.core.errors import ErrorInfo, UpstreamFault, upstream_error
from penstock.core.events import Event, FinishReason, Opaque, Start
from penstock.core.usage import service_tier
from penstock.protocols.openai_errors import read_stream_error
from penstock.protocols.openai_responses import stream_wire as wire
from penstock.protocols.openai_responses.decode_output import Output
from penstock.protocols.openai_responses.usage import UsageReader
from penstock.wire.payload import ProviderDecoder
from penstock.wire.sse import Frame

Status = Literal["completed", "incomplete", "failed", "cancelled"]

_STATUSES: dict[str, Status] = {
    "completed": "completed",
    "incomplete": "incomplete",
    "failed": "failed",
    "cancelled": "cancelled",
}
_LAST: dict[str, Status] = {f"response.{name}": status for name, status in _STATUSES.items()}
_FIRST = frozenset({"response.created", "response.queued", "response.in_progress"})
_SILENT = frozenset({"keepalive", "response.content_part.added", "response.reasoning_summary_part.added"})
_INCOMPLETE: dict[str, FinishReason] = {"max_output_tokens": "length", "content_filter": "content_filter"}

_NOT_JSON = (b":", b"[DONE]")  # heartbeats, and a marker of other protocols, that proxies put into data lines

_SECOND_ANSWER = ErrorInfo("stream_incomplete", "The provider began a second answer in the middle of the first.")
_CANCELLED = ErrorInfo("upstream_error", "The provider cancelled the answer.", code="cancelled")

_event = ProviderDecoder(wire.StreamEvent)
_response = ProviderDecoder(wire.Response)
_content = ProviderDecoder(wire.Content)
_anything = ProviderDecoder(dict[str, Any])


class Decoder:
    """State of one answer."""

    __slots__ = ("_assembler", "_id", "_output", "_started", "_usage")

    def __init__(self, origin: str, token: str, options: frozenset[str] = frozenset()) -> None:
        self._assembler = Assembler()
        self._output = Output(self._assembler, origin, token)
        self._usage = UsageReader()
        self._started = False
        self._id = ""

    @property
    def ended(self) -> bool:
        """Whether Finish or Failure was returned."""
        return self._assembler.over

    def decode(self, frame: Frame) -> list[Event]:
        """Return the events that a frame brings, none for frames without data.

        Raises:
            UpstreamFault: the payload cannot be understood.
        """
        data = frame.data
        if not data or self._assembler.over:
            return []
        if data[0] != 0x7B:  # "{"
            data = data.strip()
            if not data or data.startswith(_NOT_JSON):
                return []
        try:
            event = _event.decode(data)
        except UpstreamFault:
            self._set_aside(frame.event, data)
            return self._assembler.take()
        type_ = event.type or frame.event
        say = _SAYINGS.get(type_)
        if say is not None:
            self._begin()
            say(self._output, event)
        else:
            self._other(type_, event, data)
        return self._assembler.take()

    def close(self) -> list[Event]:
        """Return the last events at the end of the body: Failure, unless the answer's own last event came."""
        self._assembler.close()
        return self._assembler.take()

    def _other(self, type_: str, event: wire.StreamEvent, data: bytes) -> None:
        known = True
        if type_ in _FIRST:
            self._open(event.response or wire.Response())
        elif type_ in _LAST:
            self._end(_LAST[type_], event.response or wire.Response())
        elif type_ == "error" or (not type_ and wire.is_given(event.error) and event.object != "response"):
            self._assembler.fail(read_stream_error(data))
        elif type_ == "response.output_item.added":
            self._begin()
            known = self._output.added(event)
        elif type_ == "response.output_item.done":
            self._begin()
            known = self._output.done(event)
            if not known and (searches := self._output.searches(())) != self._usage.searches:
                self._usage.searches = searches
                self._assembler.update(self._usage.known())
        elif event.object == "response":
            self._whole(_response.decode(data))
        else:
            known = type_ in _SILENT
        if not known:
            self._emit_unknown(data)

    def _emit_unknown(self, data: bytes) -> None:
        self._assembler.emit(Opaque("openai-responses", data))

    def _open(self, response: wire.Response) -> None:
        """Take one of the events that begin the answer. Proxies that retried splice a second answer into the first."""
        if response.id and self._id and response.id != self._id and not self._output.empty:
            self._assembler.fail(_SECOND_ANSWER)
            return
        self._id = response.id or self._id
        self._begin(response)

    def _begin(self, response: wire.Response | None = None) -> None:
        if not self._started:
            self._started = True
            response = response or wire.Response()
            self._assembler.emit(Start(response.id or "", response.model or ""))

    def _whole(self, response: wire.Response) -> None:
        """Take an answer that is not streamed. One that is still at work has not come to its end."""
        self._begin(response)
        status = _STATUSES.get(response.status or "completed")
        if status is not None:
            self._end(status, response)

    def _end(self, status: Status, response: wire.Response) -> None:
        """Take the end of an answer. What its own status says counts where the event only says that it is over."""
        self._begin(response)
        self._usage.searches = self._output.searches(response.output or ())
        if isinstance(response.service_tier, str):
            self._usage.tier = service_tier(response.service_tier)
        if response.usage is not None:
            self._assembler.update(self._usage.read(response.usage))
        if status == "completed":
            status = _STATUSES.get(response.status or "", status)
        match status:
            case "completed" | "incomplete":
                self._output.all(response.output or [])
                self._finish(status, response.incomplete_details or wire.IncompleteDetails())
                self._assembler.close()
            case "failed":
                self._assembler.fail(read_stream_error(bytes(response.error)))
            case "cancelled":
                self._assembler.fail(_CANCELLED)

    def _finish(self, status: Status, details: wire.IncompleteDetails) -> None:
        if status == "incomplete":
            self._assembler.finish(_INCOMPLETE.get(details.reason or "", "other"), details.reason or status)
        else:
            self._assembler.finish("refusal" if self._output.refused else "stop", status)

    def _set_aside(self, name: str, data: bytes) -> None:
        """Take what does not decode as an event: a whole answer, or an event whose fields hold what is not read.

        Raises:
            UpstreamFault: it is an event of a type that is read.
        """
        members = _anything.decode(data)
        type_: Any = members.get("type", name)
        if members.get("object") == "response" and not type_:
            self._whole(_response.decode(data))
        elif not isinstance(type_, str) or type_ in _SAYINGS or type_ in _FIRST or type_ in _LAST or not type_:
            raise upstream_error("The provider sent an event whose content cannot be understood.", "bad_payload")
        else:
            self._emit_unknown(data)


def read_response(body: bytes, origin: str, token: str, options: frozenset[str] = frozenset()) -> list[Event]:
    """Return the events of a whole answer.

    Raises:
        UpstreamFault: the body is not an answer.
    """
    decoder = Decoder(origin, token, options)
    return decoder.decode(Frame("", body.strip(), body)) + decoder.close()


def usage_only(frame: Frame) -> bool:
    """Return False: usage comes with the end of the answer, never alone."""
    del frame
    return False


# --- events that say something of an item --------------------------------------------------------------------------


def _text_delta(output: Output, event: wire.StreamEvent) -> None:
    output.message(event).say("text", event.content_index or 0, event.delta or "", event.logprobs)


def _text_done(output: Output, event: wire.StreamEvent) -> None:
    content = wire.Content("output_text", event.text, logprobs=event.logprobs)
    output.message(event).say_all(event.content_index or 0, content)


def _refusal_delta(output: Output, event: wire.StreamEvent) -> None:
    output.message(event).say("refusal", event.content_index or 0, event.delta or "")


def _refusal_done(output: Output, event: wire.StreamEvent) -> None:
    output.message(event).say_all(event.content_index or 0, wire.Content("refusal", event.text, event.refusal))


def _annotation_added(output: Output, event: wire.StreamEvent) -> None:
    output.message(event).cite(event.content_index or 0, event.annotation)


def _part_done(output: Output, event: wire.StreamEvent) -> None:
    """Take a part that is complete. Some servers tell the annotations of a text only here."""
    part = _content.decode(event.part) if wire.is_given(event.part) else wire.Content()
    match part.type:
        case "summary_text":
            output.thoughts(event).say_all("summary_text", event.summary_index or 0, part.text or "")
        case "reasoning_text":
            output.thoughts(event).say_all("reasoning_text", event.content_index or 0, part.text or "")
        case "output_text" | "text" | "refusal":
            output.message(event).say_all(event.content_index or 0, part)
        case _:
            pass


def _summary_delta(output: Output, event: wire.StreamEvent) -> None:
    output.thoughts(event).say("summary_text", event.summary_index or 0, event.delta or "")


def _summary_done(output: Output, event: wire.StreamEvent) -> None:
    output.thoughts(event).say_all("summary_text", event.summary_index or 0, event.text or "")


def _thoughts_delta(output: Output, event: wire.StreamEvent) -> None:
    output.thoughts(event).say("reasoning_text", event.content_index or 0, event.delta or "")


def _thoughts_done(output: Output, event: wire.StreamEvent) -> None:
    output.thoughts(event).say_all("reasoning_text", event.content_index or 0, event.text or "")


def _arguments_delta(output: Output, event: wire.StreamEvent) -> None:
    output.call(event, "tool_call").say(event.delta or "")


def _arguments_done(output: Output, event: wire.StreamEvent) -> None:
    output.call(event, "tool_call").say_all(event.arguments)


def _input_delta(output: Output, event: wire.StreamEvent) -> None:
    output.call(event, "custom_call").say(event.delta or "")


def _input_done(output: Output, event: wire.StreamEvent) -> None:
    output.call(event, "custom_call").say_all(event.input)


_SAYINGS: dict[str, Callable[[Output, wire.StreamEvent], None]] = {
    "response.output_text.delta": _text_delta,
    "response.output_text.done": _text_done,
    "response.output_text.annotation.added": _annotation_added,
    "response.refusal.delta": _refusal_delta,
    "response.refusal.done": _refusal_done,
    "response.content_part.done": _part_done,
    "response.reasoning_summary_part.done": _part_done,
    "response.reasoning_summary_text.delta": _summary_delta,
    "response.reasoning_summary_text.done": _summary_done,
    "response.reasoning_text.delta": _thoughts_delta,
    "response.reasoning_text.done": _thoughts_done,
    "response.function_call_arguments.delta": _arguments_delta,
    "response.function_call_arguments.done": _arguments_done,
    "response.custom_tool_call_input.delta": _input_delta,
    "response.custom_tool_call_input.done": _input_done,
}
