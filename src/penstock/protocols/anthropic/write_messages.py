"""The conversation as an Anthropic Messages provider takes it (sections 5.1, 8.1 to 8.3 of docs/protocols.md).

The service is strict: it begins with a user's turn, roles alternate, tool results come first in the turn right after
their calls, no text is empty. A history that begins with the assistant gets a user's turn `.` in front (pitfall 41).
A mark on something inside a tool's result goes on the result.
"""

import base64
import re
from typing import Any, cast

import msgspec
from msgspec.structs import replace

from penstock.core.errors import ClientFault, bad_request
from penstock.core.request import (
    Ask,
    Media,
    Part,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    ToolResult,
    Turn,
)
from penstock.protocols.anthropic.cache import mark
from penstock.protocols.anthropic.seals import seal_block
from penstock.protocols.base import Target
from penstock.protocols.conversation import split_system
from penstock.protocols.dropped import Dropped
from penstock.protocols.tools import ToolNames, as_function_call

Message = dict[str, Any]
Block = dict[str, Any]

_ILLEGAL = re.compile(r"[^a-zA-Z0-9_-]")
_TOOL_NAME_LIMIT = 64
_ID_LIMIT = 128  # nobody documents one; the longest ids in the wild have about 60 characters
_IMAGES = {"image/jpeg", "image/png", "image/gif", "image/webp"}
_PLACEHOLDER: Message = {"role": "user", "content": [{"type": "text", "text": "."}]}
"""The service wants a user's turn first, and one at least (pitfall 41)."""


class Names:
    """Names and ids of one request that had to be changed for the service's alphabet."""

    def __init__(self) -> None:
        self.tools = ToolNames(_ILLEGAL, _TOOL_NAME_LIMIT)
        self.ids = ToolNames(_ILLEGAL, _ID_LIMIT)


def write_messages(ask: Ask, target: Target, dropped: Dropped, names: Names) -> tuple[list[Block], list[Message]]:
    """Return the `system` blocks and the messages.

    Raises:
        ClientFault: a part cannot be expressed.
    """
    _, turns = split_system(ask.turns)
    leading = ask.turns[: len(ask.turns) - len(turns)]
    writer = _Writer(target, dropped, names)
    for turn in turns:
        writer.add(turn)
    return [block for turn in leading for block in _texts(turn)], writer.finished()


def lacks_thinking(messages: list[Message]) -> bool:
    """Whether the assistant's turn that is to go on does not begin with thinking.

    With a thinking budget the service refuses that: an answer begun by the client, or a tool loop whose thinking the
    client, or another provider, did not give.
    """
    spoken = [message for message in messages if message["role"] != "system"]
    if spoken[-1]["role"] == "user" and spoken.pop()["content"][0]["type"] != "tool_result":
        return False
    return spoken[-1]["content"][0]["type"] not in {"thinking", "redacted_thinking"}


class _Writer:
    """The messages written so far."""

    def __init__(self, target: Target, dropped: Dropped, names: Names) -> None:
        self._target = target
        self._dropped = dropped
        self._names = names
        self._messages: list[Message] = []
        self._late: list[Block] = []  # system text that came between a call and its result

    def add(self, turn: Turn) -> None:
        if turn.role == "system":
            self._add_system(_texts(turn))
            return
        self._append(turn.role, [block for part in turn.parts if (block := self._block(part, turn.role)) is not None])
        if turn.role == "user":
            late, self._late = self._late, []
            self._add_system(late)

    def finished(self) -> list[Message]:
        self._add_as_user(self._late)
        if not self._messages or self._messages[0]["role"] != "user":
            self._messages.insert(0, _PLACEHOLDER)
        _trim(self._messages)
        return self._messages

    def _add_system(self, blocks: list[Block]) -> None:
        """Add system text in the middle: after a user's turn, the only place where a model that takes it takes it."""
        if not self._target.facts.mid_system:
            self._add_as_user(blocks)
        elif self._messages and self._messages[-1]["role"] == "assistant":
            self._late += blocks
        else:
            self._append("system", blocks)

    def _add_as_user(self, blocks: list[Block]) -> None:
        if blocks:
            self._dropped.add("messages.system")
            self._append("user", [{**block, "text": f"<system>\n{block['text']}\n</system>"} for block in blocks])

    def _append(self, role: str, blocks: list[Block]) -> None:
        if not blocks:
            return
        if not self._messages or self._messages[-1]["role"] != role:
            self._messages.append({"role": role, "content": blocks})
            return
        content = cast("list[Block]", self._messages[-1]["content"])
        content += blocks
        content.sort(key=lambda block: block["type"] != "tool_result" and role == "user")

    def _block(self, part: Part, role: str) -> Block | None:
        match part:
            case Text():
                return _text(part) if part.text.strip() else None
            case Refusal():
                return _text(Text(part.text)) if part.text.strip() else None
            case Media():
                if role == "assistant":
                    raise _inexpressible(f"the model does not take {part.kind}s in its own turns")
                return self._media(part)
            case ToolCall():
                return {
                    "type": "tool_use",
                    "id": self._names.ids.legal(part.id),
                    "name": self._names.tools.legal(part.name),
                    "input": msgspec.Raw(as_function_call(part).arguments.encode()),
                    **mark(part.cache),
                }
            case ToolResult():
                return self._result(part)
            case Reasoning():
                return self._thinking(part)

    def _result(self, result: ToolResult) -> Block:
        block: Block = {"type": "tool_result", "tool_use_id": self._names.ids.legal(result.call_id)}
        parts = [part for part in result.content if isinstance(part, Media) or part.text.strip()]
        match parts:
            case []:
                pass
            case [Text(text=text)]:
                block["content"] = text
            case _:
                plain = [replace(part, cache=None) for part in parts]
                block["content"] = [self._media(part) if isinstance(part, Media) else _text(part) for part in plain]
        if result.is_error:
            block["is_error"] = True
        lifetimes = {result.cache, *(part.cache for part in parts)}
        return block | mark("1h" if "1h" in lifetimes else "5m" if "5m" in lifetimes else None)

    def _media(self, media: Media) -> Block:
        if media.detail not in {None, "auto"}:
            self._dropped.add("detail")
        return _media(media) | mark(media.cache)

    def _thinking(self, part: Reasoning) -> Block | None:
        if part.sealed is not None and part.sealed.origin == self._target.provider:
            block = seal_block(part.sealed, part.text)
            if block is not None:
                return block
        self._dropped.add("reasoning")
        return None


def _texts(turn: Turn) -> list[Block]:
    return [_text(part) for part in turn.parts if isinstance(part, Text) and part.text.strip()]


def _text(text: Text) -> Block:
    return {"type": "text", "text": text.text, **mark(text.cache)}


def _media(media: Media) -> Block:
    match media.kind:
        case "image":
            return {"type": "image", "source": _image_source(media)}
        case "document":
            title = {"title": media.name} if media.name else {}
            return {"type": "document", "source": _document_source(media), **title}
        case "audio":
            raise _inexpressible("the model does not take sound")


def _image_source(media: Media) -> dict[str, str]:
    if media.url:
        return {"type": "url", "url": media.url}
    if media.media_type not in _IMAGES:
        raise _inexpressible(f"the model does not take images of type {media.media_type!r}, only JPEG, PNG, GIF, WebP")
    return {"type": "base64", "media_type": media.media_type, "data": media.data}


def _document_source(media: Media) -> dict[str, str]:
    if media.url:
        return {"type": "url", "url": media.url}
    if media.media_type == "application/pdf":
        return {"type": "base64", "media_type": media.media_type, "data": media.data}
    if media.media_type.startswith("text/") or media.media_type == "application/json":
        try:
            text = base64.b64decode(media.data).decode()
        except UnicodeDecodeError:
            raise _inexpressible(f"a document of type {media.media_type!r} is not UTF-8") from None
        return {"type": "text", "media_type": "text/plain", "data": text}
    raise _inexpressible(f"the model does not take documents of type {media.media_type!r}, only PDF and text")


def _inexpressible(what: str) -> ClientFault:
    """Return the refusal of content; the path in the client's body is not known here, only the list it is in."""
    return bad_request(f"`messages`: {what}.", param="messages", code="unsupported_parameter")


def _trim(messages: list[Message]) -> None:
    """Cut white space off the end of an answer begun by the client, which the service refuses (pitfall 42)."""
    if messages and messages[-1]["role"] == "assistant" and messages[-1]["content"][-1]["type"] == "text":
        block = messages[-1]["content"][-1]
        block["text"] = block["text"].rstrip()
