"""Counting tokens when nobody else does: one stated rule, good enough to be better than nothing, always flagged."""

import msgspec

from penstock.core.request import Ask, Part, Reasoning, Refusal, Text, ToolCall, ToolResult
from penstock.core.usage import estimate_tokens


def input_tokens(ask: Ask) -> int:
    """Estimate the input tokens of a request from its text: messages, tool calls and results, tool definitions.

    Media count nothing: their price in tokens depends on the model alone.
    """
    texts = sum(_size(part) for turn in ask.turns for part in turn.parts)
    return estimate_tokens(texts + sum(len(msgspec.json.encode(tool)) for tool in ask.tools))


def _size(part: Part) -> int:
    match part:
        case Text() | Reasoning() | Refusal():
            return len(part.text.encode())
        case ToolCall():
            return len(part.name.encode()) + len(part.arguments.encode())
        case ToolResult():
            return sum(_size(piece) for piece in part.content)
        case _:
            return 0
