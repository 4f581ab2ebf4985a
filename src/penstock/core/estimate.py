"""How many tokens a request has, as far as that can be told without a tokenizer.

Text is measured by what it is made of (`core/text_size.py`), images by their size (`core/image_tokens.py`). What
vendors count beside that is a fact of the model. `core/token_fit.py` learns what a model really charges for each kind.
"""

import base64
import binascii
import re
from collections.abc import Iterator
from typing import Any, cast

import msgspec
from msgspec import Struct

from penstock.core.image_tokens import ImageCosts, Patches, image_tokens
from penstock.core.request import Ask, Media, Part, Reasoning, Refusal, Text, Tool, ToolCall, ToolResult, effort_of
from penstock.core.text_size import TEXT_KINDS, Size, text_size

KINDS = (*TEXT_KINDS, "frame", "tools", "media")
"""What tokens are estimated for. A size is a tuple of tokens, one for each kind, at default costs."""

PER_TOOL_PART = 6.0
"""Tokens around a call of a tool, and around its result, where turns have something around them."""

BYTES_PER_PAGE = 50_000
"""Of a PDF whose pages cannot be counted."""

SOUND_BYTES_PER_SECOND = 16_000
"""As compressed speech has; PCM has twice the bytes (`_SOUND`)."""

_SOUND = {"audio/wav": 2, "audio/x-wav": 2, "audio/wave": 2, "audio/pcm": 2, "audio/l16": 2}

_PAGE = re.compile(rb"/Type\s*/Page\b")
_DEEPEST = 8  # levels of properties within properties that are looked at
_GROUPS = ("anyOf", "oneOf", "allOf", "$defs")


class TokenCosts(Struct, frozen=True, forbid_unknown_fields=True):
    """What a model counts beside the text, and how its tokenizer compares to o200k_base.

    Attributes:
        text: how many tokens its text has for each of o200k_base.
        request: tokens that lead over to the answer.
        turn: tokens that say who speaks. OpenAI documented 3 of them for each message and 1 of its role.
        tools: tokens of what the vendor says of tools, where there are any.
        tool: tokens around each definition of a tool.
        property: tokens around each of its properties.
        schema: share of the schema of an answer that is shown to the model; 0 where it only bounds what is said.
        thinking: tokens of what the vendor says of thinking, where it is asked for.
        image: how images count.
        page: tokens of a page of a PDF, as text and image together.
        sound: tokens of a second of sound.
        seal: characters of encrypted thoughts for each token of them.
        seal_head: characters of encrypted thoughts that hold none.
    """

    text: float = 1.0
    request: float = 3.0
    turn: float = 4.0
    tools: float = 18.0
    tool: float = 4.0
    property: float = 4.0
    schema: float = 1.0
    thinking: float = 0.0
    image: ImageCosts = Patches()
    page: float = 2000.0
    sound: float = 27.0
    seal: float = 6.5
    seal_head: float = 0.0


USUAL = TokenCosts()
"""Of models of which nothing is known."""


def input_tokens(ask: Ask, costs: TokenCosts = USUAL) -> int:
    """Estimate the input tokens of a request at default costs."""
    return round(sum(measure(ask, costs)))


def measure(ask: Ask, costs: TokenCosts = USUAL) -> Size:
    """Return the size of a request: text, calls and results of tools, definitions of tools, media.

    Thoughts count where providers read them: in a running loop of tool calls, not in turns that are over.
    """
    gathered = _Gathered(_loop_begins(ask), costs)
    for position, turn in enumerate(ask.turns):
        gathered.frame += costs.turn
        for part in turn.parts:
            gathered.take(part, position)
    thinking = ask.reasoning is not None and effort_of(ask.reasoning) != "none"
    tools = _tools_size(ask.tools, costs) if ask.tools else 0.0
    if ask.output_format is not None and ask.output_format.schema is not None and costs.schema:
        tools += costs.schema * costs.text * sum(text_size(msgspec.json.encode(ask.output_format.schema)))
    text = text_size("\n".join(gathered.texts).encode("utf-8", "replace"))
    frame = gathered.frame + (costs.thinking if thinking else 0.0)
    return (*(tokens * costs.text for tokens in text), frame, tools, gathered.media)


def _tools_size(tools: tuple[Tool, ...], costs: TokenCosts) -> float:
    """Return the tokens of definitions of tools.

    Models are shown names, descriptions and types, with little of the JSON around them: so OpenAI's cookbook counts
    (https://cookbook.openai.com/examples/how_to_count_tokens_with_tiktoken, section 7). What is around them by default
    is what OpenAI counted of recorded requests with one, two, 19 and 21 tools.
    """
    properties = [line for tool in tools for line in _properties(tool.parameters, 0)]
    lines = [f"{tool.name}:{tool.description or ''}{tool.grammar or ''}" for tool in tools]
    text = sum(text_size("\n".join([*lines, *properties]).encode("utf-8", "replace")))
    return costs.tools + costs.tool * len(tools) + costs.property * len(properties) + costs.text * text


def _properties(schema: Any, depth: int) -> Iterator[str]:
    """Yield each property of a schema, as name, type and description; those within others behind them."""
    if depth > _DEEPEST or not isinstance(schema, dict):
        return
    known = cast("dict[str, Any]", schema)
    for name, value in _members(known.get("properties")):
        about = cast("dict[str, Any]", value) if isinstance(value, dict) else {}
        choices = [choice for _, choice in _members(about.get("enum"))]
        words = [name, about.get("type"), about.get("description"), *choices]
        yield ":".join([str(word) for word in words if word])
        yield from _properties(value, depth + 1)
    for inner in (known.get("items"), known.get("additionalProperties")):
        yield from _properties(inner, depth + 1)
    for group in _GROUPS:
        for _, inner in _members(known.get(group)):
            yield from _properties(inner, depth + 1)


def _members(value: Any) -> list[tuple[str, Any]]:
    """Return the values of an object with their names, or those of an array; of anything else, nothing."""
    if isinstance(value, dict):
        return list(cast("dict[str, Any]", value).items())
    return [("", item) for item in cast("list[Any]", value)] if isinstance(value, list) else []


def _loop_begins(ask: Ask) -> int:
    """Return the position of the last turn in which somebody asked something: what is behind it is one answer."""
    for position in range(len(ask.turns) - 1, -1, -1):
        turn = ask.turns[position]
        if turn.role == "user" and any(isinstance(part, Text | Media) for part in turn.parts):
            return position
    return 0


class _Gathered:
    """What has been found in the turns of a request so far."""

    def __init__(self, loop_begins: int, costs: TokenCosts) -> None:
        self.texts: list[str] = []
        self.frame = costs.request
        self._costs = costs
        self._around_tools = PER_TOOL_PART if costs.turn else 0.0
        self.media = 0.0
        self._loop_begins = loop_begins

    def take(self, part: Part, position: int) -> None:
        match part:
            case Text() | Refusal():
                self.texts.append(part.text)
            case Reasoning():
                if position >= self._loop_begins:
                    self._reasoning(part)
            case Media():
                self._media(part)
            case ToolCall():
                self.frame += self._around_tools
                self.texts += (part.name, part.arguments)
            case ToolResult():
                self.frame += self._around_tools
                for piece in part.content:
                    self.take(piece, position)

    def _reasoning(self, part: Reasoning) -> None:
        if part.text:
            self.texts.append(part.text)
        elif part.sealed is not None:
            self.media += max(0.0, len(part.sealed.data) - self._costs.seal_head) / self._costs.seal

    def _media(self, media: Media) -> None:
        match media.kind:
            case "image":
                self.media += image_tokens(media, self._costs.image)
            case "audio":
                seconds = len(media.data) * 3 / 4 / SOUND_BYTES_PER_SECOND / _SOUND.get(media.media_type, 1)
                self.media += self._costs.sound * seconds
            case "document":
                self._document(media)

    def _document(self, media: Media) -> None:
        try:
            data = base64.b64decode(media.data)
        except binascii.Error:
            data = b""
        if media.media_type.startswith("text/"):
            self.texts.append(data.decode("utf-8", "replace"))
            return
        pages = len(_PAGE.findall(data)) or 1 + len(data) // BYTES_PER_PAGE
        self.media += pages * self._costs.page
