"""Calls that arrive in pieces: `partialArgs` with the JSON path of each value.

Only Vertex sends them, to clients that asked for `streamFunctionCallArguments`; they are read so that nothing of such
an answer is lost. Arguments come out whole, because no other protocol can say where in the JSON a piece belongs.
Specification: https://cloud.google.com/vertex-ai/generative-ai/docs/multimodal/function-calling#streaming-fc.
"""

import itertools
import re
from typing import Any, cast

from penstock.protocols.gemini.wire import PartialArg

_STEP = re.compile(r"""\.([^.\[\]]+)|\[(\d{1,6})\]|\[(?:'([^']*)'|"([^"]*)")\]""")

_MAX_INDEX = 100_000  # of an array: beyond it the path is nonsense, and not worth the memory
_MAX_STEPS = 128  # as deep as the JSON of requests may be


class PartialArguments:
    """The arguments of one call, as far as they have come."""

    def __init__(self, id: str | None, name: str) -> None:  # noqa: A002
        self.id = id
        self.name = name
        self.value: dict[str, Any] = {}

    def add(self, piece: PartialArg) -> None:
        """Put a value, or more of a text, where its path says. Paths that lead nowhere are ignored."""
        steps = _steps(piece.json_path)
        if not 0 < len(steps) <= _MAX_STEPS or not isinstance(steps[0], str):
            return
        holder: Any = self.value
        for step, following in itertools.pairwise(steps):
            holder = _descend(holder, step, {} if isinstance(following, str) else [])
        _put(holder, steps[-1], piece)


def _steps(path: str) -> list[str | int]:
    return [
        int(match[2]) if match[2] else next(name for name in (match[1], match[3], match[4]) if name is not None)
        for match in _STEP.finditer(path)
        if not match[2] or int(match[2]) <= _MAX_INDEX
    ]


def _descend(holder: Any, step: str | int, empty: Any) -> Any:
    if isinstance(holder, dict) and isinstance(step, str):
        return cast("dict[str, Any]", holder).setdefault(step, empty)
    if isinstance(holder, list) and isinstance(step, int):
        items = _extended(cast("list[Any]", holder), step)
        if items[step] is None:
            items[step] = empty
        return items[step]
    return None


def _put(holder: Any, step: str | int, piece: PartialArg) -> None:
    if isinstance(holder, dict) and isinstance(step, str):
        members = cast("dict[str, Any]", holder)
        members[step] = _value(members.get(step), piece)
    elif isinstance(holder, list) and isinstance(step, int):
        items = _extended(cast("list[Any]", holder), step)
        items[step] = _value(items[step], piece)


def _extended(items: list[Any], index: int) -> list[Any]:
    items.extend([None] * (index + 1 - len(items)))
    return items


def _value(before: Any, piece: PartialArg) -> Any:
    if piece.string_value is not None:
        return before + piece.string_value if isinstance(before, str) else piece.string_value
    return piece.number_value if piece.number_value is not None else piece.bool_value
