"""A client's Chat Completions request as an Ask.

The rule: what the middle model has no place for is refused where it would change the answer, and named in
`Ask.dropped` where it is a hint (section 8 of docs/protocols.md).
"""

from collections.abc import Mapping
from typing import Any

from penstock.core.errors import bad_request
from penstock.core.request import Ask, OutputFormat, ReasoningAsk, Tool, ToolChoice
from penstock.protocols.base import Inbound, PathTarget
from penstock.protocols.conversation import settle
from penstock.protocols.dropped import Dropped, unread
from penstock.protocols.openai_chat import wire
from penstock.protocols.openai_chat.read_messages import lifetime, mark_last, read_turn
from penstock.protocols.openai_refused import Refused, refuse
from penstock.protocols.tools import settle_choice
from penstock.wire import payload

_opening = payload.client_decoder(wire.Opening)
_request = payload.client_decoder(wire.Request)

_REFUSED: Refused = {
    "logit_bias": (frozenset({b"{}"}), "leave it out"),
    "modalities": (frozenset({b'["text"]'}), "only text can be answered"),
    "audio": (frozenset(), "only text can be answered"),
    "prediction": (frozenset(), "leave it out"),
    "web_search_options": (frozenset(), "leave it out"),
    "moderation": (frozenset(), "leave it out"),
    "functions": (frozenset({b"[]"}), "use `tools`"),
    "function_call": (frozenset(), "use `tool_choice`"),
}

_READ = frozenset({*wire.Opening.__struct_fields__, *wire.Request.__struct_fields__, *_REFUSED})


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
    refuse(inbound.fields, _REFUSED)
    if "messages" not in inbound.fields:
        raise bad_request("`messages` is missing: at least one message is needed.", param="messages")
    request = _request.decode(inbound.body)
    dropped = Dropped()
    dropped.add(*unread(inbound.fields, _READ))
    turns = [read_turn(message, f"messages[{position}]", dropped) for position, message in enumerate(request.messages)]
    tools = tuple(_tool(tool) for tool in request.tools or ())
    return Ask(
        model=inbound.model,
        turns=settle(mark_last(turns, request.cache_control), "messages"),
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
        choices=request.n or 1,
        logprobs=_logprobs(request),
        service_tier=request.service_tier,
        cache_key=request.prompt_cache_key,
        metadata=_metadata(request.metadata or {}, dropped),
        dropped=dropped.names,
    )


def _metadata(given: dict[str, Any], dropped: Dropped) -> dict[str, str]:
    """Return the notes that are text; clients of other gateways also put lists and objects there."""
    notes = {name: value for name, value in given.items() if isinstance(value, str)}
    if len(notes) < len(given):
        dropped.add("metadata")
    return notes


def _logprobs(request: wire.Request) -> int | None:
    if request.top_logprobs and not request.logprobs:
        raise bad_request("`top_logprobs`: alternatives are told only if `logprobs` is true.", param="top_logprobs")
    return request.top_logprobs or 0 if request.logprobs else None


def _tool(tool: wire.FunctionTool | wire.CustomTool) -> Tool:
    cache = lifetime(tool.cache_control)
    if isinstance(tool, wire.CustomTool):
        custom = tool.custom
        grammar = None if custom.format == {"type": "text"} else custom.format
        return Tool(custom.name, custom.description, kind="custom", grammar=grammar, cache=cache)
    function = tool.function
    return Tool(function.name, function.description, function.parameters, function.strict, cache=cache)


def _tool_choice(choice: wire.ToolChoice) -> ToolChoice | None:
    match choice:
        case wire.FunctionChoice() | wire.CustomChoice():
            return ToolChoice("required", (_chosen_name(choice),))
        case wire.AllowedChoice():
            names = tuple(_chosen_name(tool) for tool in choice.allowed_tools.tools)
            return ToolChoice(choice.allowed_tools.mode, names)
        case _:
            return None if choice is None else ToolChoice(choice)


def _chosen_name(choice: wire.FunctionChoice | wire.CustomChoice) -> str:
    return choice.custom.name if isinstance(choice, wire.CustomChoice) else choice.function.name


def _output_format(format_: wire.TextFormat | wire.JsonFormat | wire.SchemaFormat | None) -> OutputFormat | None:
    match format_:
        case wire.JsonFormat():
            return OutputFormat()
        case wire.SchemaFormat():
            schema = format_.json_schema
            return OutputFormat(schema.schema, schema.name, schema.description, schema.strict)
        case _:
            return None
