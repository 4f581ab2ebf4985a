"""The messages of a client's Chat Completions request as turns.

Marks for the prompt cache come in two spellings: `cache_control`, which routers to Anthropic's models take on parts,
messages and tools, and OpenAI's own `prompt_cache_breakpoint` on parts.
"""

from msgspec.structs import replace

from penstock.core import envelope
from penstock.core.errors import bad_request
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
from penstock.protocols.openai_chat import wire
from penstock.protocols.openai_content import is_address, read_image, read_lifetime, read_sound

_ContentPart = wire.TextPart | wire.RefusalPart | wire.ImagePart | wire.FilePart | wire.SoundPart


def read_turn(message: wire.Message, at: str, dropped: Dropped) -> Turn:
    """Return the turn that a message is; `at` is its path.

    Raises:
        ClientFault: it holds what cannot be expressed in another protocol.
    """
    match message:
        case wire.SystemMessage() | wire.DeveloperMessage():
            dropped.add_given({"messages.name": message.name})
            return Turn("system", _marked(_parts(message.content, at), message.cache_control))
        case wire.UserMessage():
            dropped.add_given({"messages.name": message.name})
            return Turn("user", _marked(_parts(message.content, at), message.cache_control))
        case wire.AssistantMessage():
            dropped.add_given({"messages.name": message.name})
            return Turn("assistant", _marked(_answer(message, at), message.cache_control))
        case wire.ToolMessage():
            return Turn("user", (_result(message, at),))
        case wire.FunctionMessage():
            where = f"{at}.role"
            raise bad_request(f"`{where}`: the role `function` is out of use; answer with role `tool`.", param=where)


def mark_last(turns: list[Turn], control: wire.CacheControl | None) -> list[Turn]:
    """Return the turns with a mark at the end of the last one: what `cache_control` beside the messages asks for."""
    if control is None or not turns:
        return turns
    return [*turns[:-1], Turn(turns[-1].role, _marked(turns[-1].parts, control))]


def lifetime(control: wire.CacheControl | None) -> CacheLifetime | None:
    """Return how long a mark keeps its prefix."""
    return None if control is None else control.ttl or "5m"


def _marked(parts: tuple[Part, ...], control: wire.CacheControl | None) -> tuple[Part, ...]:
    """Return the parts with a mark on the last that takes one; a part keeps a mark of its own."""
    if control is None:
        return parts
    for position in range(len(parts) - 1, -1, -1):
        part = parts[position]
        if not isinstance(part, Reasoning | Refusal):
            return (*parts[:position], replace(part, cache=part.cache or lifetime(control)), *parts[position + 1 :])
    return parts


def _parts(
    content: "str | list[wire.TextPart] | list[wire.UserPart] | list[wire.AssistantPart]", at: str
) -> tuple[Part, ...]:
    if isinstance(content, str):
        return (Text(content),) if content else ()
    return tuple(
        _part(part, f"{at}.content[{position}]")
        for position, part in enumerate(content)
        if not isinstance(part, wire.TextPart) or part.text
    )


def _part(part: _ContentPart, at: str) -> Part:
    match part:
        case wire.RefusalPart():
            return Refusal(part.refusal)
        case wire.TextPart():
            read: Text | Media = Text(part.text)
        case wire.ImagePart():
            read = read_image(part.image_url.url, part.image_url.detail, f"{at}.image_url.url")
        case wire.FilePart():
            read = _document(part.file, f"{at}.file")
        case wire.SoundPart():
            read = read_sound(part.input_audio, f"{at}.input_audio")
    cache = lifetime(part.cache_control) or read_lifetime(part.prompt_cache_breakpoint)
    return replace(read, cache=cache) if cache else read


def _document(file: wire.FileContent, at: str) -> Media:
    if file.file_data is None:
        at = f"{at}.file_id" if file.file_id is not None else f"{at}.file_data"
        message = f"`{at}`: uploads cannot be looked up across providers; send the content as `file_data`."
        raise bad_request(message, param=at, code="unsupported_parameter")
    if is_address(file.file_data):
        return Media("document", url=file.file_data, name=file.filename)
    media_type, data = media.split_data_url(file.file_data, f"{at}.file_data")
    return Media("document", media_type, data, name=file.filename)


def _result(message: wire.ToolMessage, at: str) -> ToolResult:
    """Return a tool's result; a mark on its content or on the message is the result's."""
    content = tuple(part for part in _parts(message.content or "", at) if isinstance(part, Text | Media))
    inside: CacheLifetime | None = next((part.cache for part in reversed(content) if part.cache), None)
    bare = tuple(replace(part, cache=None) if part.cache else part for part in content)
    return ToolResult(message.tool_call_id, "", bare, cache=lifetime(message.cache_control) or inside)


def _answer(message: wire.AssistantMessage, at: str) -> tuple[Part, ...]:
    """Return the parts of an earlier answer: thoughts, what was said, and calls, each with the seal beside it."""
    for name in ("audio", "function_call"):
        if getattr(message, name) is not None:
            where = f"{at}.{name}"
            raise bad_request(f"`{where}` cannot be expressed for this model's provider.", param=where)
    thoughts = _thoughts(message)
    seals = {form: [part for part in thoughts if _form(part) == form] for form in ("text", "tool_call")}
    parts: list[Part] = [part for part in thoughts if _form(part) not in seals]
    parts.extend(_parts(message.content or "", at))
    if message.refusal:
        parts.append(Refusal(message.refusal))
    parts.extend(seals["text"])
    # Only their order tells which call a seal belongs to; providers that seal but one call seal the first.
    before = iter(seals["tool_call"])
    for call in message.tool_calls or ():
        if seal := next(before, None):
            parts.append(seal)
        parts.append(_call(call))
    return tuple(parts)


def _thoughts(message: wire.AssistantMessage) -> list[Reasoning]:
    """Return earlier reasoning. Only our own envelopes tell where a seal comes from; without origin it is no use."""
    thoughts: list[Reasoning] = []
    for detail in message.reasoning_details or ():
        sealed = envelope.unwrap(detail.signature or detail.data or "")
        text = detail.text or detail.summary or ""
        if text or detail.signature or detail.data:
            thoughts.append(Reasoning(text, sealed))
    plain = message.reasoning_content or message.reasoning
    if plain and not any(thought.text for thought in thoughts):
        thoughts.insert(0, Reasoning(plain))
    return thoughts


def _form(thought: Reasoning) -> str:
    return thought.sealed.form if thought.sealed is not None else "reasoning"


def _call(call: wire.FunctionCall | wire.CustomCall) -> ToolCall:
    if isinstance(call, wire.CustomCall):
        return ToolCall(call.id, call.custom.name, call.custom.input, "custom")
    arguments = arguments_object(call.function.arguments or "")
    return ToolCall(call.id, call.function.name, bytes(arguments).decode())
