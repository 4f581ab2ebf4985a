"""The input of a Responses request, item by item, as turns (section 8.1 of docs/protocols.md).

Items are flat: one turn of the assistant is several of them, one behind the other (reasoning, message, calls). What an
item says becomes a turn of one or more parts; `conversation.settle` puts neighbours together.
"""

from collections.abc import Callable, Iterable

import msgspec
from msgspec.structs import replace

from penstock.core import envelope
from penstock.core.errors import ClientFault, bad_request
from penstock.core.request import (
    CacheLifetime,
    Media,
    Part,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    ToolResult,
    Turn,
)
from penstock.protocols import media
from penstock.protocols.arguments import arguments_object
from penstock.protocols.dropped import Dropped
from penstock.protocols.openai_content import read_image, read_lifetime, read_sound
from penstock.protocols.openai_responses import request_wire as wire
from penstock.protocols.openai_responses.namespaces import joined
from penstock.wire.payload import client_decoder

_kind = client_decoder(wire.Kind)
_message = client_decoder(wire.MessageItem)
_function_call = client_decoder(wire.FunctionCall)
_custom_call = client_decoder(wire.CustomCall)
_output = client_decoder(wire.CallOutput)
_reasoning = client_decoder(wire.ReasoningItem)

_SPARED = frozenset({"web_search_call", "tool_search_call", "tool_search_output", "additional_tools", "mcp_list_tools"})
"""Types of items whose absence changes nothing that was said: they are dropped by name, all others are refused."""

_ALLOWED: dict[str, type | tuple[type, ...]] = {
    "system": (wire.InputText, wire.OutputText),
    "developer": (wire.InputText, wire.OutputText),
    "user": (wire.InputText, wire.OutputText, wire.InputImage, wire.InputFile, wire.InputAudio),
    "assistant": (wire.InputText, wire.OutputText, wire.RefusalContent),
}


def read_input(given: str | list[msgspec.Raw], dropped: Dropped) -> list[Turn]:
    """Return the turns of an input, one for each item that says anything.

    Raises:
        ClientFault: an item is malformed, or of a type that only one provider understands.
    """
    if isinstance(given, str):
        return [Turn("user", (Text(given),))] if given else []
    return [_turn(raw, f"input[{position}]", dropped) for position, raw in enumerate(given)]


def _turn(raw: msgspec.Raw, at: str, dropped: Dropped) -> Turn:
    type_ = _kind.decode(raw, at).type
    if type_ is None or type_ == "message":
        return _said(_message.decode(raw, at), at, dropped)
    if (read := _READERS.get(type_)) is not None:
        return read(raw, at, dropped)
    if type_ not in _SPARED:
        raise _not_understood(type_, at)
    dropped.add(f"input[{type_}]")
    return Turn("assistant", ())


def _said(message: wire.MessageItem, at: str, dropped: Dropped) -> Turn:
    dropped.add_given({"input.phase": message.phase})
    role = "system" if message.role == "developer" else message.role
    if isinstance(message.content, str):
        return Turn(role, (Text(message.content),) if message.content else ())
    parts: list[Part] = []
    for position, content in enumerate(message.content):
        here = f"{at}.content[{position}]"
        if not isinstance(content, _ALLOWED[message.role]):
            what = f"a {message.role} message cannot hold {content.__struct_config__.tag!r}"
            raise bad_request(f"`{here}.type`: {what}.", param=f"{here}.type")
        parts += _parts(content, here)
    return Turn(role, tuple(parts))


def _called(raw: msgspec.Raw, at: str, dropped: Dropped) -> Turn:
    del dropped
    call = _function_call.decode(raw, at)
    arguments = bytes(arguments_object(call.arguments)).decode()
    return Turn("assistant", (ToolCall(call.call_id, joined(call.namespace, call.name), arguments),))


def _called_custom(raw: msgspec.Raw, at: str, dropped: Dropped) -> Turn:
    del dropped
    call = _custom_call.decode(raw, at)
    return Turn("assistant", (ToolCall(call.call_id, joined(call.namespace, call.name), call.input, "custom"),))


def _answered(raw: msgspec.Raw, at: str, dropped: Dropped) -> Turn:
    del dropped
    answer = _output.decode(raw, at)
    if isinstance(answer.output, str):
        content: tuple[Text | Media, ...] = (Text(answer.output),) if answer.output else ()
    else:
        shown = enumerate(answer.output)
        content = tuple(part for position, item in shown for part in _shown(item, f"{at}.output[{position}]"))
    return Turn("user", (ToolResult(answer.call_id, "", content),))


def _thought(raw: msgspec.Raw, at: str, dropped: Dropped) -> Turn:
    """Read reasoning. Only our own envelopes tell where encrypted content comes from: without origin it is no use."""
    item = _reasoning.decode(raw, at)
    text = "\n\n".join(piece.text for piece in item.summary or item.content or () if piece.text)
    sealed = envelope.unwrap(item.encrypted_content or "")
    if item.encrypted_content and sealed is None:
        dropped.add("input.encrypted_content")
    return Turn("assistant", (Reasoning(text, sealed),) if text or sealed is not None else ())


_READERS: dict[str, Callable[[msgspec.Raw, str, Dropped], Turn]] = {
    "function_call": _called,
    "function_call_output": _answered,
    "custom_tool_call": _called_custom,
    "custom_tool_call_output": _answered,
    "reasoning": _thought,
}


def _not_understood(type_: str, at: str) -> ClientFault:
    at = f"{at}.type"
    if type_ == "item_reference":
        message = f"`{at}`: items are not kept here; send the item itself."
    else:
        message = f"`{at}`: only providers of this protocol understand {type_!r}, and the model has another."
    return bad_request(message, param=at, code="unsupported_parameter")


def _parts(content: wire.Content, at: str) -> Iterable[Part]:
    match content:
        case wire.OutputText():
            return (Text(content.text),) if content.text else ()
        case wire.RefusalContent():
            return (Refusal(content.refusal),) if content.refusal else ()
        case wire.InputAudio():
            return (read_sound(content.input_audio, f"{at}.input_audio"),)
        case wire.InputText() | wire.InputImage() | wire.InputFile():
            return _shown(content, at)


def _shown(content: wire.Shown, at: str) -> Iterable[Text | Media]:
    """Return what the model is shown, in a message or in a tool's answer."""
    cache = read_lifetime(content.prompt_cache_breakpoint)
    match content:
        case wire.InputText():
            return (Text(content.text, cache),) if content.text else ()
        case wire.InputImage():
            if content.image_url is None:
                raise _uploaded(at, "image_url", content.file_id)
            image = read_image(content.image_url, content.detail, f"{at}.image_url")
            return (replace(image, cache=cache) if cache else image,)
        case wire.InputFile():
            return (_document(content, at, cache),)


def _document(file: wire.InputFile, at: str, cache: CacheLifetime | None) -> Media:
    if file.file_data is not None:
        media_type, data = media.split_data_url(file.file_data, f"{at}.file_data")
        return Media("document", media_type, data, detail=file.detail, name=file.filename, cache=cache)
    if file.file_url is not None:
        return Media("document", url=file.file_url, detail=file.detail, name=file.filename, cache=cache)
    raise _uploaded(at, "file_data", file.file_id)


def _uploaded(at: str, instead: str, file_id: str | None) -> ClientFault:
    if file_id is None:
        return bad_request(f"`{at}.{instead}`: field required.", param=f"{at}.{instead}")
    message = f"`{at}.file_id`: a file uploaded to one provider cannot be read by another; send it as `{instead}`."
    return bad_request(message, param=f"{at}.file_id", code="unsupported_parameter")
