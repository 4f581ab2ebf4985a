"""What is lost of requests that were recorded beside streams, once written for a provider of another protocol.

Each is read by its protocol's reader, written for every protocol, and read again: it must ask for the same. What a
protocol has no place for is excused if the writer names it in `Outbound.dropped`. Refusals are as much a part of the
proof: `refusals.toml` lists each that is expected, by its reason, and no other may come.
"""

import functools
import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from penstock.core.errors import ClientFault
from penstock.core.request import Ask, Media, Reasoning, Refusal, Text, Tool, ToolCall, ToolResult, Turn, effort_of
from penstock.protocols.base import Outbound, PathTarget, Target
from penstock.protocols.registry import PROTOCOLS
from tools.compare import shown
from tools.replay import ORIGIN

REFUSALS = Path(__file__).with_name("refusals.toml")

TARGET = Target(ORIGIN, "model")

PATHS = {"/chat/completions": "openai-chat", "/responses": "openai-responses", "/messages": "anthropic"}
"""How the paths of APIs end; those of Gemini have a verb."""

PLAIN = (
    *("temperature", "top_p", "top_k", "seed", "frequency_penalty", "presence_penalty", "verbosity", "logprobs"),
    *("choices", "tool_choice", "parallel_tool_calls", "user", "metadata", "service_tier", "cache_key"),
)
"""Fields of an Ask that are compared as they are."""

CHAT_NAMES = {
    "choices": "n",
    "cache_key": "prompt_cache_key",
    "output_format": "response_format",
    "reasoning": "reasoning_effort",
}
"""What dropped fields are called, where it is another name than that of the Ask."""

PLACEHOLDERS = frozenset({".", "..."})
"""What a user says before the model speaks first, for providers that let nobody else begin."""


class Recorded(NamedTuple):
    """A recorded request of the protocol `protocol`."""

    name: str
    protocol: str
    body: bytes
    path_target: PathTarget | None

    def refuses(self, name: str) -> bool:
        """Whether a refusal of that name is of this request."""
        return name == self.name or name.startswith(f"{self.name} for ")


def recorded(folder: Path) -> Iterator[Recorded]:
    """Yield the requests in a folder: member `request` of its JSON files, sent to what `url` says."""
    for path in sorted(folder.rglob("*.json")):
        about = json.loads(path.read_text())
        if isinstance(about, dict) and isinstance(about.get("request"), dict):
            name = path.relative_to(folder).as_posix().removesuffix(".json")
            address = urlsplit(about["url"]).path
            protocol = next((known for end, known in PATHS.items() if address.endswith(end)), None)
            if protocol is None and (target := path_target(address)) is not None:
                protocol = "gemini"
            else:
                target = None
            if protocol is not None:
                yield Recorded(name, protocol, json.dumps(about["request"]).encode(), target)


def path_target(address: str) -> PathTarget | None:
    """Return what a path of Gemini's says of an answer."""
    match = re.search(r"models/([^/:]+):(generateContent|streamGenerateContent)", address)
    return PathTarget(match[1], match[2].startswith("stream")) if match else None


def check(request: Recorded) -> tuple[list[str], dict[str, str]]:
    """Return one line for each thing that is lost of a request, and the refusals: who refused, and which field."""
    try:
        ask = _read(request.protocol, request.body, request.path_target)
    except ClientFault as fault:
        return [], {request.name: fault.info.param or ""}
    found: list[str] = []
    refused: dict[str, str] = {}
    for name, protocol in PROTOCOLS.items():
        try:
            outbound = protocol.write_request(ask, TARGET)
        except ClientFault as fault:
            refused[f"{request.name} for {name}"] = fault.info.param or ""
            continue
        again = _read(name, outbound.body, path_target(outbound.path))
        found += [f"{name}: {line}" for line in differences(ask, again, outbound, name)]
    return found, refused


def _read(protocol: str, body: bytes, target: PathTarget | None) -> Ask:
    return PROTOCOLS[protocol].read_request(PROTOCOLS[protocol].open_request(body, target, {}))


def differences(asked: Ask, got: Ask, outbound: Outbound, protocol: str) -> list[str]:
    """Return one line for each thing that was asked and that a provider of the protocol was not told of."""
    pairs = {name: (getattr(asked, name), getattr(got, name)) for name in PLAIN}
    pairs["stop"] = (set(asked.stop), {*got.stop, *outbound.stop})
    pairs["turns"] = (said(asked.turns), said(got.turns))
    pairs["tools"] = ([_tool(tool) for tool in asked.tools], [_tool(tool) for tool in got.tools])
    pairs["reasoning"] = tuple(effort_of(ask.reasoning) if ask.reasoning else None for ask in (asked, got))
    if asked.max_output is not None:
        pairs["max_tokens"] = (asked.max_output, got.max_output)
    formats = [ask.output_format for ask in (asked, got)]
    pairs["output_format"] = tuple(form and (form.schema is not None, _schema(form.schema)) for form in formats)
    if protocol == "openai-responses" and asked.max_output is not None:  # nothing less is taken
        pairs["max_tokens"] = (max(asked.max_output, 16), got.max_output)
    return [
        f"{name}: {shown(before)} became {shown(after)}"
        for name, (before, after) in pairs.items()
        if before != after and CHAT_NAMES.get(name, name) not in outbound.dropped
    ]


def _tool(tool: Tool) -> tuple[Any, ...]:
    return tool.name, tool.description or None, tool.kind, _schema(tool.parameters)


def _schema(schema: dict[str, Any] | None) -> Any:
    """Return a schema without what some providers demand and others refuse."""
    bare = {name: value for name, value in (schema or {}).items() if name not in {"additionalProperties", "$schema"}}
    return {"type": "object", "properties": {}, **bare}


def said(turns: tuple[Turn, ...]) -> list[tuple[str, Any]]:
    """Return what turns say: the texts of each speaker, calls, results and media, each kind in its own order.

    Protocols differ in what may stand before what within a turn, and in where the media of results stand. Reasoning
    goes to its own provider only, so it is not compared here.
    """
    found: list[tuple[str, Any]] = []
    ids: dict[str, int] = {}  # some providers take not every character, so they are numbered as they come
    for turn in turns:
        texts = "".join(part.text for part in turn.parts if isinstance(part, Text | Refusal))
        others = [_part(part, ids) for part in turn.parts if not isinstance(part, Text | Refusal | Reasoning)]
        begins = all(speaker == "system" for speaker, _ in found)
        if texts and not (begins and texts in PLACEHOLDERS):
            found.append((turn.role, texts))
        found += sorted(others, key=lambda part: part[0])
    return found


def _part(part: Media | ToolCall | ToolResult, ids: dict[str, int]) -> tuple[str, Any]:
    match part:
        case ToolCall():
            return "call", (ids.setdefault(part.id, len(ids)), part.name, part.kind, _json(part.arguments))
        case ToolResult():
            texts = "".join(piece.text for piece in part.content if isinstance(piece, Text))
            media = [_part(piece, ids) for piece in part.content if isinstance(piece, Media)]
            return "result", (ids.get(part.call_id), part.name, part.is_error, _json(texts), media)
        case Media():
            return "media", part.data or part.url


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


@functools.cache
def expected_refusals() -> dict[str, str]:
    """Return the refusals that are right, and the field that each must name."""
    table = tomllib.loads(REFUSALS.read_text())
    return {name: param for reason in table.values() for name, param in reason.items()}
