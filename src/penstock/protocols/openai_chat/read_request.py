"""A client's Chat Completions request as an Ask.

The rule: what the middle model has no place for is refused where it would change the answer, and named in
`Ask.dropped` where it is a hint (section 8 of docs/protocols.md).
"""

from collections.abc import Mapping

import msgspec

from penstock.core import envelope
from penstock.core.errors import ClientFault, bad_request
from penstock.core.request import (
    Ask,
    Media,
    OutputFormat,
    Part,
    Reasoning,
    ReasoningAsk,
    Refusal,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Turn,
)
from penstock.protocols import media
from penstock.protocols.arguments import arguments_object
from penstock.protocols.base import Inbound, PathTarget
from penstock.protocols.conversation import settle
from penstock.protocols.dropped import Dropped, unread
from penstock.protocols.openai_chat import wire
from penstock.protocols.tools import settle_choice
from penstock.wire import payload

_opening = payload.client_decoder(wire.Opening)
_request = payload.client_decoder(wire.Request)

_READ = frozenset({*wire.Opening.__struct_fields__, *wire.Request.__struct_fields__})

# Fields that change the answer in a way other protocols have no words for, the values that ask for nothing special,
# and what to do instead.
_REFUSED: dict[str, tuple[frozenset[bytes], str]] = {
    "n": (frozenset({b"1"}), "ask for one answer at a time"),
    "logprobs": (frozenset({b"false"}), "leave it out"),
    "top_logprobs": (frozenset({b"0"}), "leave it out"),
    "logit_bias": (frozenset({b"{}"}), "leave it out"),
    "modalities": (frozenset({b'["text"]'}), "only text can be answered"),
    "audio": (frozenset(), "only text can be answered"),
    "prediction": (frozenset(), "leave it out"),
    "web_search_options": (frozenset(), "leave it out"),
    "functions": (frozenset({b"[]"}), "use `tools`"),
    "function_call": (frozenset(), "use `tool_choice`"),
}

_SOUNDS = {"wav": "audio/wav", "mp3": "audio/mpeg"}


def open_request(body: bytes, target: PathTarget | None, headers: Mapping[str, str]) -> Inbound:
    """Open the envelope of a request; `target` is None, since model and stream are in the body.

    Raises:
        ClientFault: the body is not an acceptable JSON object, or model, stream or stream_options are wrong.
    """
    fields = payload.parse_object(body)
    if "model" not in fields:
        raise bad_request("`model` is missing: name the model to ask, as `provider/model`.", param="model")
    opening = _opening.decode(body)
    options = opening.stream_options or wire.StreamOptions()
    return Inbound(
        body=body,
        fields=fields,
        model=opening.model,
        stream=bool(opening.stream),
        include_usage=bool(options.include_usage),
        headers=headers,
    )


def read_request(inbound: Inbound) -> Ask:
    """Return what the client means.

    Raises:
        ClientFault: the request is malformed, or asks for what cannot be expressed in another protocol.
    """
    _refuse(inbound.fields)
    if "messages" not in inbound.fields:
        raise bad_request("`messages` is missing: at least one message of a user is needed.", param="messages")
    request = _request.decode(inbound.body)
    dropped = Dropped()
    dropped.add(*unread(inbound.fields, _READ | _REFUSED.keys()))
    turns = [_turn(message, f"messages[{position}]", dropped) for position, message in enumerate(request.messages)]
    tools = tuple(_tool(tool, position) for position, tool in enumerate(request.tools or ()))
    return Ask(
        model=inbound.model,
        turns=settle(turns, "messages"),
        stream=inbound.stream,
        tools=tools,
        tool_choice=settle_choice(_tool_choice(request.tool_choice), tools, "tool_choice", dropped),
        parallel_tool_calls=request.parallel_tool_calls if tools else None,
        max_output=request.max_completion_tokens or request.max_tokens,
        temperature=request.temperature,
        top_p=request.top_p,
        top_k=request.top_k,
        seed=request.seed,
        frequency_penalty=request.frequency_penalty,
        presence_penalty=request.presence_penalty,
        stop=(request.stop,) if isinstance(request.stop, str) else tuple(request.stop or ()),
        reasoning=ReasoningAsk(effort=request.reasoning_effort) if request.reasoning_effort else None,
        output_format=_output_format(request.response_format),
        verbosity=request.verbosity,
        user=request.safety_identifier or request.user,
        dropped=dropped.names,
    )


def _refuse(fields: Mapping[str, msgspec.Raw]) -> None:
    for name, (harmless, instead) in _REFUSED.items():
        if name not in fields:
            continue
        value = msgspec.json.encode(msgspec.json.decode(fields[name]))
        if value != b"null" and value not in harmless:
            message = f"`{name}`: this model's provider speaks another protocol, which has no such thing; {instead}."
            raise bad_request(message, param=name, code="unsupported_parameter")


def _turn(message: wire.Message, at: str, dropped: Dropped) -> Turn:
    match message:
        case wire.SystemMessage() | wire.DeveloperMessage():
            dropped.add_given({"messages.name": message.name})
            return Turn("system", _parts(message.content, at, dropped))
        case wire.UserMessage():
            dropped.add_given({"messages.name": message.name})
            return Turn("user", _parts(message.content, at, dropped))
        case wire.AssistantMessage():
            dropped.add_given({"messages.name": message.name})
            return Turn("assistant", _answer(message, at, dropped))
        case wire.ToolMessage():
            content = _parts(message.content or "", at, dropped)
            texts = tuple(part for part in content if isinstance(part, Text))
            return Turn("user", (ToolResult(message.tool_call_id, "", texts),))
        case wire.FunctionMessage():
            where = f"{at}.role"
            raise bad_request(f"`{where}`: the role `function` is out of use; answer with role `tool`.", param=where)


_ContentPart = wire.TextPart | wire.RefusalPart | wire.ImagePart | wire.FilePart | wire.SoundPart


def _parts(
    content: "str | list[wire.TextPart] | list[wire.UserPart] | list[wire.AssistantPart]", at: str, dropped: Dropped
) -> tuple[Part, ...]:
    if isinstance(content, str):
        return (Text(content),) if content else ()
    parts: list[Part] = []
    for position, part in enumerate(content):
        if not isinstance(part, wire.RefusalPart):
            dropped.add_given({"messages.content.prompt_cache_breakpoint": part.prompt_cache_breakpoint})
        if not isinstance(part, wire.TextPart) or part.text:
            parts.append(_part(part, f"{at}.content[{position}]"))
    return tuple(parts)


def _part(part: _ContentPart, at: str) -> Part:
    match part:
        case wire.TextPart():
            return Text(part.text)
        case wire.RefusalPart():
            return Refusal(part.refusal)
        case wire.ImagePart():
            return _image(part.image_url, f"{at}.image_url.url")
        case wire.FilePart():
            return _document(part.file, f"{at}.file")
        case wire.SoundPart():
            data = media.standard_base64(part.input_audio.data, f"{at}.input_audio.data")
            return Media("audio", _SOUNDS[part.input_audio.format], data)


def _image(image: wire.ImageUrl, at: str) -> Media:
    if image.url[:8].lower().startswith(("http://", "https://")):
        return Media("image", url=image.url, detail=image.detail)
    if not media.is_data_url(image.url):
        raise bad_request(f"`{at}`: an image is an http(s) address or a data URL.", param=at)
    media_type, data = media.split_data_url(image.url, at)
    if not media_type.startswith("image/"):
        raise bad_request(f"`{at}`: {media_type or 'a data URL without a type'} is not an image.", param=at)
    return Media("image", media_type, data, detail=image.detail)


def _document(file: wire.FileContent, at: str) -> Media:
    if file.file_data is None:
        at = f"{at}.file_id" if file.file_id is not None else f"{at}.file_data"
        message = f"`{at}`: uploads cannot be looked up across providers; send the content as `file_data`."
        raise bad_request(message, param=at, code="unsupported_parameter")
    media_type, data = media.split_data_url(file.file_data, f"{at}.file_data")
    return Media("document", media_type, data, name=file.filename)


def _answer(message: wire.AssistantMessage, at: str, dropped: Dropped) -> tuple[Part, ...]:
    """Return the parts of an earlier answer: thoughts, what was said, and calls, each with the seal beside it."""
    for name in ("audio", "function_call"):
        if getattr(message, name) is not None:
            where = f"{at}.{name}"
            raise bad_request(f"`{where}` cannot be expressed for this model's provider.", param=where)
    thoughts = _thoughts(message)
    seals = {form: [part for part in thoughts if _form(part) == form] for form in ("text", "tool_call")}
    parts: list[Part] = [part for part in thoughts if _form(part) not in seals]
    parts.extend(_parts(message.content or "", at, dropped))
    if message.refusal:
        parts.append(Refusal(message.refusal))
    parts.extend(seals["text"])
    # Only their order tells which call a seal belongs to; providers that seal but one call seal the first.
    before = iter(seals["tool_call"])
    for position, call in enumerate(message.tool_calls or ()):
        if seal := next(before, None):
            parts.append(seal)
        parts.append(_call(call, f"{at}.tool_calls[{position}]"))
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


def _call(call: wire.FunctionCall | wire.CustomCall, at: str) -> ToolCall:
    if isinstance(call, wire.CustomCall):
        raise _no_custom_tools(f"{at}.type")
    arguments = arguments_object(call.function.arguments or "")
    return ToolCall(call.id, call.function.name, bytes(arguments).decode())


def _tool(tool: wire.FunctionTool | wire.CustomTool, position: int) -> Tool:
    if isinstance(tool, wire.CustomTool):
        raise _no_custom_tools(f"tools[{position}].type")
    function = tool.function
    return Tool(function.name, function.description, function.parameters, function.strict)


def _tool_choice(choice: wire.ToolChoice) -> ToolChoice | None:
    match choice:
        case wire.FunctionChoice():
            return ToolChoice("required", (choice.function.name,))
        case wire.AllowedChoice():
            names = tuple(_chosen_name(tool) for tool in choice.allowed_tools.tools)
            return ToolChoice(choice.allowed_tools.mode, names)
        case wire.CustomChoice():
            raise _no_custom_tools("tool_choice.type")
        case _:
            return None if choice is None else ToolChoice(choice)


def _chosen_name(choice: wire.FunctionChoice | wire.CustomChoice) -> str:
    if isinstance(choice, wire.CustomChoice):
        raise _no_custom_tools("tool_choice.allowed_tools.tools")
    return choice.function.name


def _no_custom_tools(at: str) -> ClientFault:
    message = f"`{at}`: custom tools cannot be expressed for this model's provider; define a function instead."
    return bad_request(message, param=at, code="unsupported_parameter")


def _output_format(format_: wire.TextFormat | wire.JsonFormat | wire.SchemaFormat | None) -> OutputFormat | None:
    match format_:
        case wire.JsonFormat():
            return OutputFormat()
        case wire.SchemaFormat():
            schema = format_.json_schema
            return OutputFormat(schema.schema, schema.name, schema.description, schema.strict)
        case _:
            return None
