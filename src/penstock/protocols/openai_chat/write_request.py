"""An Ask as a Chat Completions server takes it.

The rule: what every compatible server understands. Deviations are named quirks of the target:

    max-completion-tokens     the limit is `max_completion_tokens`; `max_tokens` is refused
    no-stream-options         `stream_options` is refused
    reasoning-content-back    thoughts are wanted back on turns that call tools
"""

import base64
import re
from typing import Any

import msgspec

from penstock.core.errors import ClientFault, bad_request
from penstock.core.request import (
    Ask,
    Media,
    OutputFormat,
    Part,
    Reasoning,
    Refusal,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Turn,
    effort_of,
)
from penstock.protocols.base import Outbound, Target
from penstock.protocols.dropped import Dropped
from penstock.protocols.media import join_data_url
from penstock.protocols.tools import ToolNames
from penstock.wire import payload

PATH = "/chat/completions"
_NO_NAME = re.compile(r"[^A-Za-z0-9_-]")
_NAME_LIMIT = 64
_SOUNDS = {"audio/wav": "wav", "audio/mpeg": "mp3"}
_Json = dict[str, Any]

_EMPTY_SCHEMA: _Json = {"type": "object", "properties": {}}


def write_request(ask: Ask, target: Target) -> Outbound:
    """Return the request as `target` takes it.

    Raises:
        ClientFault: a part of the conversation cannot be expressed.
    """
    names = ToolNames(_NO_NAME, _NAME_LIMIT)
    dropped = Dropped()
    body: _Json = {"model": target.model, "messages": _messages(ask.turns, target, names, dropped)}
    if ask.stream:
        body["stream"] = True
        if "no-stream-options" not in target.quirks:
            body["stream_options"] = {"include_usage": True}
    limit = "max_completion_tokens" if "max-completion-tokens" in target.quirks else "max_tokens"
    body[limit] = ask.max_output
    body |= _tools(ask, names)
    body |= _sampling(ask, target, dropped)
    body["stop"] = list(ask.stop) or None
    body["reasoning_effort"] = effort_of(ask.reasoning) if ask.reasoning is not None else None
    body["verbosity"] = ask.verbosity
    body["response_format"] = _response_format(ask.output_format) if ask.output_format is not None else None
    body["user"] = ask.user
    given = {name: value for name, value in body.items() if value is not None}
    return Outbound(PATH, payload.encode(given), dropped=dropped.names, tool_names=names.changed)


# --- messages ------------------------------------------------------------------------------------------------------


def _messages(turns: tuple[Turn, ...], target: Target, names: ToolNames, dropped: Dropped) -> list[_Json]:
    messages: list[_Json] = []
    for turn in turns:
        match turn.role:
            case "system":
                texts = (part.text for part in turn.parts if isinstance(part, Text))
                messages.append({"role": "system", "content": "\n\n".join(texts)})
            case "user":
                messages.extend(_user(turn.parts, dropped))
            case "assistant":
                messages.extend(_assistant(turn.parts, target, names, dropped))
    return messages


def _user(parts: tuple[Part, ...], dropped: Dropped) -> list[_Json]:
    """Return the results of tools, a message each, and then what the user said."""
    messages: list[_Json] = []
    said: list[_Json] = []
    for part in parts:
        match part:
            case ToolResult():
                messages.append({"role": "tool", "tool_call_id": part.call_id, "content": _result(part)})
                if attached := _attachments(part):
                    dropped.add("messages.tool_result")  # not lost, but no longer in the result
                    said.extend(attached)
            case Text() | Media():
                said.append(_content(part))
            case _:
                pass  # what else an Ask can hold belongs to other turns
    if said and all(part["type"] == "text" for part in said):
        messages.append({"role": "user", "content": "\n\n".join(part["text"] for part in said)})
    elif said:
        messages.append({"role": "user", "content": said})
    return messages


def _result(result: ToolResult) -> str:
    """Return the text of a result; the protocol has no place for an error flag or for media in it."""
    text = "\n\n".join(part.text for part in result.content if isinstance(part, Text))
    if not text and any(isinstance(part, Media) for part in result.content):
        text = "The result is attached to the next message."
    return f"Error: {text}" if result.is_error else text


def _attachments(result: ToolResult) -> list[_Json]:
    """Return the media of a result as content of the user's message that follows (pitfall 49)."""
    attached = [_content(part) for part in result.content if isinstance(part, Media)]
    note = f"Attached to the result of the tool call {result.call_id}:"
    return [{"type": "text", "text": note}, *attached] if attached else []


def _content(part: Text | Media) -> _Json:
    if isinstance(part, Text):
        return {"type": "text", "text": part.text}
    match part.kind:
        case "image":
            image = {"url": part.url or join_data_url(part.media_type, part.data)}
            return {
                "type": "image_url",
                "image_url": image if part.detail is None else {**image, "detail": part.detail},
            }
        case "audio":
            return _sound(part)
        case "document":
            return _document(part)


def _sound(part: Media) -> _Json:
    if part.url or part.media_type not in _SOUNDS:
        raise _inexpressible("sound other than WAV or MP3 inside the request")
    return {"type": "input_audio", "input_audio": {"data": part.data, "format": _SOUNDS[part.media_type]}}


def _document(part: Media) -> _Json:
    if part.url:
        raise _inexpressible("documents by address; send the content")
    if part.media_type.startswith("text/"):
        text = base64.b64decode(part.data).decode("utf-8", "replace")
        return {"type": "text", "text": f"{part.name}\n\n{text}" if part.name else text}
    extension = part.media_type.rpartition("/")[2] or "bin"
    file_data = join_data_url(part.media_type, part.data)
    return {"type": "file", "file": {"filename": part.name or f"document.{extension}", "file_data": file_data}}


def _inexpressible(what: str) -> ClientFault:
    message = f"`messages`: this model's provider takes no {what}."
    return bad_request(message, param="messages", code="unsupported_parameter")


def _assistant(parts: tuple[Part, ...], target: Target, names: ToolNames, dropped: Dropped) -> list[_Json]:
    """Return one message for a turn of the model, or none if nothing of it can be said here."""
    texts: list[str] = []
    thoughts: list[Reasoning] = []
    calls: list[_Json] = []
    extra: str | None = None
    for part in parts:
        match part:
            case Text() | Refusal():
                texts.append(part.text)
            case Reasoning(sealed=sealed):
                thoughts.append(part)
                if sealed is not None and sealed.form == "tool_call" and sealed.origin == target.provider:
                    extra = sealed.data
            case ToolCall():
                calls.append(_call(part, extra, names))
                extra = None
            case Media():
                raise _inexpressible(f"{part.kind}s in what the assistant said")
            case ToolResult():
                pass  # belongs to the user's turns
    message: _Json = {"role": "assistant", "content": "".join(texts) or None}
    if calls:
        message["tool_calls"] = calls
        if "reasoning-content-back" in target.quirks:
            message["reasoning_content"] = "".join(thought.text for thought in thoughts)
    if details := _details(thoughts, target.provider):
        message["reasoning_details"] = details
    foreign = any(thought.sealed is None or thought.sealed.origin != target.provider for thought in thoughts)
    if foreign and "reasoning_content" not in message:
        dropped.add("reasoning")  # unsigned, or signed by somebody else
    return [message] if len(message) > 2 or message["content"] else []


def _call(call: ToolCall, extra: str | None, names: ToolNames) -> _Json:
    function = {"name": names.legal(call.name), "arguments": call.arguments}
    spelled: _Json = {"id": call.id, "type": "function", "function": function}
    if extra is not None:
        spelled |= _extra_content(extra)
    return spelled


def _extra_content(sealed: str) -> _Json:
    """Return what the target put beside a call. It came back through a client, so it may be anything."""
    try:
        return {"extra_content": msgspec.json.decode(sealed, type=dict[str, msgspec.Raw])}
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}


def _details(thoughts: list[Reasoning], provider: str) -> list[_Json]:
    """Return the seals that the target itself made, as it gave them."""
    details: list[_Json] = []
    for thought in thoughts:
        sealed = thought.sealed
        if sealed is None or sealed.origin != provider:
            continue
        if sealed.form == "reasoning":
            details.append({"type": "reasoning.text", "text": thought.text, "signature": sealed.data})
        elif sealed.form == "redacted":
            if thought.text:
                details.append({"type": "reasoning.summary", "summary": thought.text})
            details.append({"type": "reasoning.encrypted", "data": sealed.data})
    return [{**detail, "index": index} for index, detail in enumerate(details)]


# --- tools, sampling, format -----------------------------------------------------------------------------------------


def _tools(ask: Ask, names: ToolNames) -> _Json:
    if not ask.tools:
        return {}
    return {
        "tools": [_tool(tool, names) for tool in ask.tools],
        "tool_choice": _tool_choice(ask.tool_choice, names) if ask.tool_choice is not None else None,
        "parallel_tool_calls": ask.parallel_tool_calls,
    }


def _tool(tool: Tool, names: ToolNames) -> _Json:
    function: _Json = {"name": names.legal(tool.name)}
    if tool.description is not None:
        function["description"] = tool.description
    function["parameters"] = tool.parameters or _EMPTY_SCHEMA
    if tool.strict is not None:
        function["strict"] = tool.strict
    return {"type": "function", "function": function}


def _tool_choice(choice: ToolChoice, names: ToolNames) -> str | _Json:
    if not choice.allowed or choice.mode == "none":
        return choice.mode
    allowed: list[_Json] = [{"type": "function", "function": {"name": names.legal(name)}} for name in choice.allowed]
    if choice.mode == "required" and len(allowed) == 1:
        return allowed[0]
    return {"type": "allowed_tools", "allowed_tools": {"mode": choice.mode, "tools": allowed}}


def _sampling(ask: Ask, target: Target, dropped: Dropped) -> _Json:
    dropped.add_given({"top_k": ask.top_k})
    sampling = {"temperature": ask.temperature, "top_p": ask.top_p}
    if not target.facts.sampling:
        dropped.add_given(sampling)
        sampling = {}
    return {
        **sampling,
        "frequency_penalty": ask.frequency_penalty,
        "presence_penalty": ask.presence_penalty,
        "seed": ask.seed,
    }


def _response_format(format_: OutputFormat) -> _Json:
    if format_.schema is None:
        return {"type": "json_object"}
    schema: _Json = {"name": _NO_NAME.sub("_", format_.name)[:_NAME_LIMIT], "schema": format_.schema}
    if format_.description is not None:
        schema["description"] = format_.description
    if format_.strict is not None:
        schema["strict"] = format_.strict
    return {"type": "json_schema", "json_schema": schema}
