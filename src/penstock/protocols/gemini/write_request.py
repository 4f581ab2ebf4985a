"""An Ask to a request for a Gemini provider. Sections 6.1 and 8 of docs/protocols.md."""

import re
from typing import Any
from urllib.parse import quote

from penstock.core.errors import bad_request
from penstock.core.request import Ask, Effort, Media, ReasoningAsk, Tool, Turn, budget_of, effort_of
from penstock.protocols.base import ModelFacts, Outbound, ReasoningStyle, Target
from penstock.protocols.described import described
from penstock.protocols.dropped import Dropped
from penstock.protocols.gemini.write_contents import ContentsWriter
from penstock.protocols.tools import ToolNames, as_function
from penstock.wire.payload import encode

_ILLEGAL = re.compile(r"^[^A-Za-z_]|[^A-Za-z0-9_.:-]")
_MAX_NAME = 64
_MODEL = re.compile(r"(?:(?!\.{1,2}(?:/|$))[\w.~@=,:+-]+(?:/|$))+(?<!/)", re.ASCII)
_MAX_MODEL = 512
_MAX_STOP = 5

_MODES = {"auto": "AUTO", "required": "ANY", "none": "NONE"}

_LEVELS: dict[Effort, str] = {
    "none": "MINIMAL",
    "minimal": "MINIMAL",
    "low": "LOW",
    "medium": "MEDIUM",
    "high": "HIGH",
    "xhigh": "XHIGH",
    "max": "XHIGH",
}

_TIERS = {"default": "standard", "flex": "flex", "priority": "priority"}

_RESOLUTIONS = {
    "low": "MEDIA_RESOLUTION_LOW",
    "high": "MEDIA_RESOLUTION_HIGH",
    "original": "MEDIA_RESOLUTION_HIGH",
}


def write_request(ask: Ask, target: Target) -> Outbound:
    """Return the request for a provider. Stop sequences beyond those that it takes are left to the gateway."""
    names, dropped = ToolNames(_ILLEGAL, _MAX_NAME), Dropped()
    contents = ContentsWriter(target, names, dropped)
    body: dict[str, Any] = {"contents": contents.write(ask.turns)}
    if contents.system:
        body["systemInstruction"] = {"parts": [{"text": text} for text in contents.system]}
    if ask.tools:
        body |= _tools(ask, names)
    if config := _generation_config(ask, target.facts, dropped):
        body["generationConfig"] = config
    if tier := _TIERS.get(ask.service_tier or ""):
        body["serviceTier"] = tier
    _drop_hints(ask, dropped)
    return Outbound(
        path=path(target.model, "streamGenerateContent?alt=sse" if ask.stream else "generateContent"),
        body=encode(body),
        dropped=dropped.names,
        tool_names=names.changed,
        custom_tools=frozenset(names.legal(tool.name) for tool in ask.tools if tool.kind == "custom"),
        stop=ask.stop[_MAX_STOP:],
    )


def path(model: str, method: str) -> str:
    """Return the path of a call, to be added to the provider's base URL. Slashes in the model's name stay.

    Raises:
        ClientFault: the name could lead to another place than a model: it has `..`, or characters that mean something.
    """
    if len(model) > _MAX_MODEL or not _MODEL.fullmatch(model):
        raise bad_request("A model's name may hold letters, digits and -._~@=,:+ in parts divided by slashes.", "model")
    name = model if model.startswith(("models/", "tunedModels/")) else f"models/{model}"
    return f"/v1beta/{quote(name, safe='/:@')}:{method}"


def _drop_hints(ask: Ask, dropped: Dropped) -> None:
    """Note the names of what the protocol has no word for."""
    dropped.add_given(
        {
            "verbosity": ask.verbosity,
            "user": ask.user,
            "metadata": ask.metadata or None,
            "prompt_cache_key": ask.cache_key,
        }
    )
    if ask.parallel_tool_calls is False:
        dropped.add("parallel_tool_calls")
    if any(tool.strict for tool in ask.tools):
        dropped.add("strict")
    if ask.service_tier not in {None, "auto", *_TIERS}:
        dropped.add("service_tier")
    marked = (*ask.tools, *(part for turn in ask.turns for part in turn.parts))
    if any(getattr(item, "cache", None) for item in marked):
        dropped.add("cache_control")  # caches are kept by name, or by themselves


def _tools(ask: Ask, names: ToolNames) -> dict[str, Any]:
    choice = ask.tool_choice
    tools = ask.tools
    if choice is not None and choice.mode == "auto" and choice.allowed:  # AUTO takes no names: leave out the others
        tools = tuple(tool for tool in tools if tool.name in choice.allowed)
    if not tools:
        return {}
    body: dict[str, Any] = {"tools": [{"functionDeclarations": [_tool(tool, names) for tool in tools]}]}
    if choice is not None:
        calling: dict[str, Any] = {"mode": _MODES[choice.mode]}
        if choice.mode == "required" and choice.allowed:
            calling["allowedFunctionNames"] = [names.legal(name) for name in choice.allowed]
        body["toolConfig"] = {"functionCallingConfig": calling}
    return body


def _tool(tool: Tool, names: ToolNames) -> dict[str, Any]:
    function = as_function(tool)
    declaration: dict[str, Any] = {"name": names.legal(function.name)}
    if function.description:
        declaration["description"] = function.description
    if function.parameters is not None and not _takes_nothing(function.parameters):
        declaration["parametersJsonSchema"] = function.parameters
    return declaration


def _takes_nothing(schema: dict[str, Any]) -> bool:
    """Whether a schema is one of the ways to say that a function has no parameters, which the API refuses."""
    return not any(schema.get(key) for key in schema.keys() - {"type", "$schema", "title", "description"})


def _generation_config(ask: Ask, facts: ModelFacts, dropped: Dropped) -> dict[str, Any]:
    """Return the config without what the model does not take."""
    sampling = {"temperature": ask.temperature, "topP": ask.top_p, "topK": ask.top_k}
    if not facts.sampling:
        dropped.add_given({"temperature": ask.temperature, "top_p": ask.top_p, "top_k": ask.top_k})
        sampling = {}
    config: dict[str, Any] = {
        **sampling,
        "candidateCount": ask.choices if ask.choices > 1 else None,
        "maxOutputTokens": ask.max_output,
        "stopSequences": list(ask.stop[:_MAX_STOP]) or None,
        "seed": ask.seed,
        "presencePenalty": ask.presence_penalty,
        "frequencyPenalty": ask.frequency_penalty,
        "responseLogprobs": None if ask.logprobs is None else True,
        "logprobs": ask.logprobs or None,
        "mediaResolution": _resolution(ask.turns, dropped),
    }
    if ask.output_format is not None:
        config["responseMimeType"] = "application/json"
        config["responseJsonSchema"] = described(ask.output_format)
    if ask.reasoning is not None:
        config["thinkingConfig"] = _thinking(ask.reasoning, facts.reasoning)
        if facts.reasoning == "effort" and effort_of(ask.reasoning) == "none":
            dropped.add("reasoning_effort")  # the least there is, not none
    return {name: value for name, value in config.items() if value is not None}


def _resolution(turns: tuple[Turn, ...], dropped: Dropped) -> str | None:
    """Return how closely to look at the images, if at all alike: not every model can be told of each one."""
    images = [part for turn in turns for part in turn.parts if isinstance(part, Media) and part.kind == "image"]
    details = {None if image.detail == "auto" else image.detail for image in images}
    resolutions = {_RESOLUTIONS.get(detail or "") for detail in details}
    if details <= {None} or (len(resolutions) == 1 and None not in resolutions):
        return resolutions.pop() if resolutions else None
    dropped.add("detail")
    return None


def _thinking(reasoning: ReasoningAsk, style: ReasoningStyle) -> dict[str, Any] | None:
    """Return how much to think, in the one way that the model takes: both are refused (pitfall 56)."""
    config: dict[str, Any] = {}
    if reasoning.show is not None:
        config["includeThoughts"] = reasoning.show
    effort, budget = effort_of(reasoning), budget_of(reasoning)
    if style == "effort" and effort is not None:
        config["thinkingLevel"] = _LEVELS[effort]
    elif style == "budget" and budget is not None:
        config["thinkingBudget"] = budget
    return config or None
