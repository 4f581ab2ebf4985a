"""What an Anthropic Messages client asks (section 5.1 of docs/protocols.md).

Everything that Claude Code sends is accepted. What would change the meaning and has no place in an Ask is refused, such
as files uploaded to one provider. A tool that the provider runs is refused where the request is for nothing else, or
demands it; beside the client's own tools it is an offer, which is dropped: an agent can still do its work.
"""

import re
from collections.abc import Mapping

from msgspec.structs import replace

from penstock.core.errors import bad_request
from penstock.core.request import (
    Ask,
    Media,
    OutputFormat,
    Part,
    ReasoningAsk,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Turn,
)
from penstock.protocols.anthropic.read_content import lifetime, marked, read_content
from penstock.protocols.anthropic.wire import (
    Body,
    CacheControl,
    Envelope,
    OutputConfig,
    TextBlock,
    ThinkingSpec,
    ToolSpec,
)
from penstock.protocols.base import Inbound, PathTarget
from penstock.protocols.conversation import settle
from penstock.protocols.dropped import Dropped, unread
from penstock.protocols.tools import settle_choice
from penstock.wire.payload import client_decoder, members_of, parse_object

_envelope = client_decoder(Envelope)
_body = client_decoder(Body)

_REFUSED = ("mcp_servers", "thread")
_READ = {*Body.__struct_fields__, *Envelope.__struct_fields__, *_REFUSED}
_CONFIG_READ = set(OutputConfig.__struct_fields__)
_MIN_BUDGET = 1024
_SERVICE_TIERS = {"auto": "auto", "standard_only": "default"}
_RUN_BY_CLIENT = ("bash_", "computer_", "memory_", "text_editor_")
"""Tools that the provider defines and the client runs: it counts on their calls."""

# Members of blocks and tools that are hints, where they say anything. Inside a string their quotes would be escaped.
_HINTS = re.compile(
    rb'"(citations|defer_loading|eager_input_streaming|input_examples|allowed_callers)"\s*+:\s*+'
    rb'(?!null|false|\[\s*\]|\{\s*"enabled"\s*:\s*false)'
)


def open_request(body: bytes, path_target: PathTarget | None, headers: Mapping[str, str]) -> Inbound:
    """Open the envelope of a request. The path says nothing that the body does not say.

    Raises:
        ClientFault: the body is not a JSON object, or `model` or `stream` is not what it should be.
    """
    del path_target
    fields = parse_object(body)
    opened = _envelope.decode(body)
    if not opened.model:
        raise bad_request("`model`: field required.", param="model")
    return Inbound(body, fields, opened.model, opened.stream is True, headers=headers)


def read_request(inbound: Inbound) -> Ask:
    """Return what the client means.

    Raises:
        ClientFault: a field is missing or of the wrong shape, or asks for what no other protocol can do.
    """
    body = _body.decode(inbound.body)
    _require(body, inbound)
    dropped, choice = _dropped(body, inbound), body.tool_choice
    tools = _tools(body, dropped)
    return Ask(
        model=inbound.model,
        turns=_turns(body, dropped),
        stream=inbound.stream,
        tools=tools,
        tool_choice=settle_choice(_tool_choice(body), tools, "tool_choice", dropped),
        parallel_tool_calls=False if tools and choice is not None and choice.disable_parallel_tool_use else None,
        max_output=body.max_tokens,
        temperature=body.temperature,
        top_p=body.top_p,
        top_k=body.top_k,
        stop=tuple(body.stop_sequences or ()),
        reasoning=_reasoning(body),
        output_format=_output_format(body),
        user=body.metadata.user_id if body.metadata is not None else None,
        service_tier=_SERVICE_TIERS.get(body.service_tier or ""),
        dropped=dropped.names,
    )


def _require(body: Body, inbound: Inbound) -> None:
    """Check what the service itself would refuse, and what only it can do."""
    for name, value in (("max_tokens", body.max_tokens), ("messages", body.messages)):
        if value is None:
            raise bad_request(f"`{name}`: field required.", param=name)
    if body.max_tokens is not None and body.max_tokens < 1:
        raise bad_request("`max_tokens`: must be 1 at least.", param="max_tokens")
    for name in _REFUSED:
        if bytes(inbound.fields.get(name, b"null")) not in {b"null", b"[]", b"{}"}:
            message = f"`{name}`: only a provider of this protocol can do this, and the model has another."
            raise bad_request(message, param=name, code="unsupported_parameter")


def _turns(body: Body, dropped: Dropped) -> tuple[Turn, ...]:
    system = [Turn("system", _texts(body.system))] if body.system else []
    turns = [
        Turn(message.role, read_content(message, f"messages[{position}]", dropped))
        for position, message in enumerate(body.messages or [])
    ]
    return _marked_at_end(settle(turns, "messages", system), body.cache_control)


def _texts(content: str | list[TextBlock]) -> tuple[Part, ...]:
    blocks = [TextBlock(content)] if isinstance(content, str) else content
    return tuple(text for block in blocks if block.text for text in marked((Text(block.text),), block.cache_control))


def _marked_at_end(turns: tuple[Turn, ...], control: CacheControl | None) -> tuple[Turn, ...]:
    """Put the mark of the whole request where the service would: on the last part that can bear it."""
    if control is None:
        return turns
    *before, last = turns
    parts = list(last.parts)
    for position in reversed(range(len(parts))):
        part = parts[position]
        if isinstance(part, Text | Media | ToolCall | ToolResult):
            parts[position] = replace(part, cache=part.cache or lifetime(control))
            break
    return (*before, Turn(last.role, tuple(parts)))


def _tools(body: Body, dropped: Dropped) -> tuple[Tool, ...]:
    """Return the client's own tools. Those that the provider would run are dropped beside them, else refused."""
    specs = body.tools or []
    tools = tuple(_tool(spec, position) for position, spec in enumerate(specs) if spec.type in {None, "custom"})
    demanded = body.tool_choice.name if body.tool_choice is not None else None
    for position, spec in enumerate(specs):
        if spec.type is None or spec.type == "custom":
            continue
        if not tools or spec.name == demanded or spec.type.startswith(_RUN_BY_CLIENT):
            at = f"tools[{position}].type"
            message = f"`{at}`: only a provider of this protocol has the tool {spec.type!r}, and the model has another."
            raise bad_request(message, param=at, code="unsupported_parameter")
        dropped.add(f"tools[{spec.type}]")
    return tools


def _tool(spec: ToolSpec, position: int) -> Tool:
    if not spec.name:
        at = f"tools[{position}].name"
        raise bad_request(f"`{at}`: field required.", param=at)
    cache = lifetime(spec.cache_control)
    return Tool(spec.name, spec.description, spec.input_schema, spec.strict, cache=cache)


def _tool_choice(body: Body) -> ToolChoice | None:
    choice = body.tool_choice
    match choice and choice.type:
        case None:
            return None
        case "auto":
            return ToolChoice("auto")
        case "none":
            return ToolChoice("none")
        case "any":
            return ToolChoice("required")
        case "tool":
            if choice is None or not choice.name:
                raise bad_request("`tool_choice.name`: field required.", param="tool_choice.name")
            return ToolChoice("required", (choice.name,))


def _reasoning(body: Body) -> ReasoningAsk | None:
    """Return how to think: `thinking` says whether and for how many tokens, `output_config.effort` how hard."""
    effort = body.output_config.effort if body.output_config is not None else None
    thinking = body.thinking
    if thinking is None:
        return ReasoningAsk(effort) if effort is not None else None
    if thinking.type == "disabled":
        return ReasoningAsk("none")
    show = None if thinking.display is None else thinking.display != "omitted"
    if thinking.type != "enabled":
        return ReasoningAsk(effort, show=show)
    # Whoever sets a budget gets to see the thoughts, unless it asks not to.
    return ReasoningAsk(effort, _budget(thinking, body.max_tokens or 0), show is not False)


def _budget(thinking: ThinkingSpec, max_tokens: int) -> int:
    param = "thinking.budget_tokens"
    if thinking.budget_tokens is None:
        raise bad_request(f"`{param}`: field required.", param=param)
    if not _MIN_BUDGET <= thinking.budget_tokens < max_tokens:
        message = f"`{param}`: must be {_MIN_BUDGET} at least and less than `max_tokens` ({max_tokens})."
        raise bad_request(message, param=param)
    return thinking.budget_tokens


def _output_format(body: Body) -> OutputFormat | None:
    spec = body.output_config.format if body.output_config is not None else None
    spec = spec or body.output_format
    return OutputFormat(spec.schema, strict=True) if spec is not None else None


def _dropped(body: Body, inbound: Inbound) -> Dropped:
    """Return the names of the hints that have no place in an Ask."""
    dropped = Dropped()
    dropped.add(*unread(inbound.fields, _READ))
    dropped.add(*(name.decode() for name in _HINTS.findall(inbound.body)))
    if body.output_config is not None:
        config = members_of(inbound.fields["output_config"])
        dropped.add(*(f"output_config.{name}" for name in unread(config, _CONFIG_READ)))
    if body.thinking is not None and body.thinking.type == "between_tools":
        dropped.add("thinking.type")
    if body.thinking is not None and body.thinking.display not in {None, "summarized", "omitted"}:
        dropped.add("thinking.display")
    if "anthropic-beta" in inbound.headers:
        dropped.add("anthropic-beta")
    return dropped
