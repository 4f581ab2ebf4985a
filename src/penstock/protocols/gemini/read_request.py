"""A Gemini client's request to an Ask. Sections 6.1 and 8 of docs/protocols.md."""

from collections.abc import Mapping
from typing import Any, Literal, TypeVar, cast

import msgspec

from penstock.core.errors import ClientFault, bad_request
from penstock.core.request import Ask, Effort, Media, OutputFormat, ReasoningAsk, Text, Tool, ToolChoice, Turn
from penstock.protocols.base import Inbound, PathTarget
from penstock.protocols.conversation import settle
from penstock.protocols.dropped import Dropped
from penstock.protocols.gemini import wire
from penstock.protocols.gemini.read_contents import ContentsReader, detail_of, many
from penstock.protocols.gemini.schema import to_json_schema
from penstock.protocols.gemini.spelling import camel_case
from penstock.protocols.tools import settle_choice
from penstock.wire.payload import MAX_INTEGER, client_decoder, client_fault, parse_object

T = TypeVar("T")

_body = client_decoder(dict[str, Any])

_OF_THE_PATH = {"model", "stream"}  # pitfall 26: the path says both
_READ = {field.encode_name for field in msgspec.structs.fields(wire.Request)} | _OF_THE_PATH
_REFUSED = {
    "cachedContent": "a cache of one provider cannot be used with another; send the content itself",
    "continuationToken": "an answer of one provider cannot be continued by another",
}

_CONFIG_READ = {field.encode_name for field in msgspec.structs.fields(wire.GenerationConfig)}
_CONFIG_REFUSED = {
    "speechConfig": "spoken answers cannot be translated",
    "imageConfig": "generated images cannot be translated",
    "enableAffectiveDialog": "spoken answers cannot be translated",
}

_MODES: dict[str, Literal["auto", "none", "required"]] = {
    "MODE_UNSPECIFIED": "auto",
    "AUTO": "auto",
    "VALIDATED": "auto",  # auto, with arguments that fit the schema: which everybody tries
    "ANY": "required",
    "NONE": "none",
}

_LEVELS: dict[str, Effort | None] = {
    "THINKING_LEVEL_UNSPECIFIED": None,
    "MINIMAL": "minimal",
    "LOW": "low",
    "MEDIUM": "medium",
    "HIGH": "high",
    "XHIGH": "xhigh",
}

_TIERS = {"unspecified": "auto", "standard": "default", "flex": "flex", "priority": "priority"}

_CHOICE_READ = {"functionCallingConfig"}
_CALLING_READ = {field.encode_name for field in msgspec.structs.fields(wire.FunctionCallingConfig)}


def open_request(body: bytes, target: PathTarget | None, headers: Mapping[str, str]) -> Inbound:
    """Open the envelope: model and streaming mode come from the path.

    Raises:
        ClientFault: the body is not a JSON object.
    """
    if target is None:
        raise ValueError("the path of a Gemini request names the model")
    return Inbound(body, parse_object(body), target.model, target.stream, array=target.array, headers=headers)


def read_request(inbound: Inbound) -> Ask:
    """Return what the client means.

    Raises:
        ClientFault: it is malformed, or asks for something that other protocols cannot express; `param` says where.
    """
    body = cast("dict[str, Any]", camel_case(_body.decode(inbound.body)))
    _refuse(body, _REFUSED, "")
    request = _convert(body, wire.Request, "")
    _refuse(_members(body, "generationConfig"), _CONFIG_REFUSED, "generationConfig.")
    config = request.generation_config or wire.GenerationConfig()
    dropped = Dropped()
    _drop_validation(request.tool_config, dropped)
    _drop_unread(body, dropped)
    contents = ContentsReader(many(request.contents), detail_of(config.media_resolution), dropped)
    tools = _tools(many(request.tools), dropped)
    ask = Ask(
        model=inbound.model,
        turns=settle(contents.read(), "contents", _system(request.system_instruction)),
        stream=inbound.stream,
        tools=tools,
        tool_choice=settle_choice(_tool_choice(request.tool_config), tools, "toolConfig", dropped),
        service_tier=_tier(request.service_tier, dropped),
    )
    if config.media_resolution and not any(isinstance(part, Media) for turn in ask.turns for part in turn.parts):
        dropped.add("generationConfig.mediaResolution")
    return _configured(ask, config, dropped.names)


def _drop_unread(body: dict[str, Any], dropped: Dropped) -> None:
    """Note the names of what nobody reads, here and there in the body."""
    choice = _members(body, "toolConfig")
    read = (
        ("", body, _READ),
        ("generationConfig.", _members(body, "generationConfig"), _CONFIG_READ),
        ("toolConfig.", choice, _CHOICE_READ),
        ("toolConfig.functionCallingConfig.", _members(choice, "functionCallingConfig"), _CALLING_READ),
    )
    for at, fields, names in read:
        if not fields.keys() <= names:
            dropped.add_given({f"{at}{name}": value for name, value in fields.items() if name not in names})


def _drop_validation(config: wire.ToolConfig | None, dropped: Dropped) -> None:
    """Note that calls are not held to their schemas, where that is the mode."""
    calling = config.function_calling_config if config is not None else None
    if calling is not None and (calling.mode or "").upper() == "VALIDATED":
        dropped.add("toolConfig.functionCallingConfig.mode")


def _members(fields: dict[str, Any], name: str) -> dict[str, Any]:
    return cast("dict[str, Any]", fields.get(name) or {})


def _refuse(fields: dict[str, Any], refused: dict[str, str], at: str) -> None:
    for name, reason in refused.items():
        if fields.get(name):
            raise bad_request(f"`{at}{name}`: {reason}.", param=f"{at}{name}")


def _convert(value: Any, type_: type[T], at: str) -> T:
    try:
        return msgspec.convert(value, type_)
    except msgspec.ValidationError as error:
        raise client_fault(error, at) from None


def _system(content: wire.Content | None) -> list[Turn]:
    texts: list[Text] = []
    for index, part in enumerate(many(content.parts) if content is not None else []):
        if part.text is None:
            param = f"systemInstruction.parts[{index}]"
            raise bad_request(f"`{param}`: a system instruction takes text only.", param=param)
        if part.text:
            texts.append(Text(part.text))
    return [Turn("system", tuple(texts))]


def _tier(tier: str | None, dropped: Dropped) -> str | None:
    if tier is not None and tier.lower() not in _TIERS:
        dropped.add("serviceTier")
    return _TIERS.get((tier or "").lower())


def _tools(entries: list[dict[str, Any]], dropped: Dropped) -> tuple[Tool, ...]:
    """Return the functions. What the provider would run itself is an offer beside them, but a demand without them."""
    tools: list[Tool] = []
    hosted: list[tuple[str, str]] = []
    for index, entry in enumerate(entries):
        for name, value in entry.items():
            at = f"tools[{index}].{name}"
            if name == "functionDeclarations":
                for position, declared in enumerate(many(value)):
                    where = f"{at}[{position}]"
                    tools.append(_tool(_convert(declared, wire.FunctionDeclaration, where), where))
            elif value is not None:
                hosted.append((at, name))
    if hosted and not tools:
        at = hosted[0][0]
        message = f"`{at}`: tools that a provider runs itself cannot be translated for another provider."
        raise bad_request(message, param=at)
    dropped.add(*(f"tools[{name}]" for _, name in hosted))
    return tuple(tools)


def _tool(declaration: wire.FunctionDeclaration, at: str) -> Tool:
    parameters = declaration.parameters_json_schema
    if declaration.parameters is not None:
        if parameters is not None:
            message = f"`{at}`: give either parameters or parametersJsonSchema, not both."
            raise bad_request(message, param=f"{at}.parameters")
        parameters = to_json_schema(declaration.parameters)
    return Tool(declaration.name, declaration.description, parameters)


def _tool_choice(config: wire.ToolConfig | None) -> ToolChoice | None:
    calling = config.function_calling_config if config is not None else None
    if calling is None:
        return None
    mode = _MODES.get((calling.mode or "AUTO").upper())
    if mode is None:
        param = "toolConfig.functionCallingConfig.mode"
        raise bad_request(f"`{param}`: {calling.mode!r} is not a mode; use AUTO, ANY, NONE or VALIDATED.", param=param)
    return ToolChoice(mode, tuple(calling.allowed_function_names or ()))


def _configured(ask: Ask, config: wire.GenerationConfig, dropped: tuple[str, ...]) -> Ask:
    """Return the ask with the generation config in it."""
    choices = _integer(config.candidate_count, "candidateCount") or 1
    if choices < 1:
        raise _bad_config("candidateCount", "one answer at least must be asked for")
    if any(modality.upper() != "TEXT" for modality in config.response_modalities or ()):
        raise _bad_config("responseModalities", "only TEXT can be asked for")
    return msgspec.structs.replace(
        ask,
        max_output=_integer(config.max_output_tokens, "maxOutputTokens"),
        temperature=config.temperature,
        top_p=config.top_p,
        top_k=_integer(config.top_k, "topK"),
        seed=_integer(config.seed, "seed"),
        frequency_penalty=config.frequency_penalty,
        presence_penalty=config.presence_penalty,
        stop=tuple(config.stop_sequences or ()),
        reasoning=_reasoning(config.thinking_config),
        output_format=_output_format(config),
        choices=choices,
        logprobs=_logprobs(config),
        dropped=dropped,
    )


def _logprobs(config: wire.GenerationConfig) -> int | None:
    """Return how many alternatives to tell of each token."""
    alternatives = _integer(config.logprobs, "logprobs")
    if config.response_logprobs:
        return alternatives or 0
    if alternatives:
        raise _bad_config("logprobs", "give responseLogprobs, too")
    return None


def _reasoning(config: wire.ThinkingConfig | None) -> ReasoningAsk | None:
    if config is None:
        return None
    budget = _integer(config.thinking_budget, "thinkingConfig.thinkingBudget")
    if config.thinking_level is None:
        return ReasoningAsk(budget=budget, show=config.include_thoughts)
    if budget is not None:
        raise _bad_config("thinkingConfig", "give either thinkingLevel or thinkingBudget, not both")
    level = config.thinking_level.upper()
    if level not in _LEVELS:
        known = ", ".join(name for name, effort in _LEVELS.items() if effort)
        raise _bad_config("thinkingConfig.thinkingLevel", f"{config.thinking_level!r} is not a level; use {known}")
    return ReasoningAsk(effort=_LEVELS[level], show=config.include_thoughts)


def _output_format(config: wire.GenerationConfig) -> OutputFormat | None:
    schemas = [schema for schema in (config.response_json_schema, config.alternate_json_schema) if schema is not None]
    if config.response_schema is not None:
        schemas.append(to_json_schema(config.response_schema))
    if len(schemas) > 1:
        raise _bad_config("responseSchema", "give either responseSchema or responseJsonSchema, not both")
    media_type = config.response_mime_type or ("application/json" if schemas else "text/plain")
    if media_type == "text/plain" and not schemas:
        return None
    if media_type != "application/json":
        raise _bad_config("responseMimeType", f"{media_type!r} cannot be translated; use application/json")
    return OutputFormat(schemas[0] if schemas else None)


def _integer(value: float | None, name: str) -> int | None:
    """Return a whole number; SDKs write 40.0 where the API means 40 (pitfall 38)."""
    if value is None:
        return None
    if int(value) != value or abs(value) > MAX_INTEGER:
        raise _bad_config(name, "a whole number is needed")
    return int(value)


def _bad_config(name: str, reason: str) -> ClientFault:
    param = f"generationConfig.{name}"
    return bad_request(f"`{param}`: {reason}.", param=param)
