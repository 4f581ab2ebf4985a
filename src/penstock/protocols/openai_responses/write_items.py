"""The conversation as a provider of the Responses API takes it: one flat list of items.

Sections 4.1 and 8.1 to 8.3 of docs/protocols.md. A turn of the model is several items in a row: reasoning, what it
said, its calls. They get no ids of their own: nothing is stored, so there is nothing that an id could name, and the
service refuses reasoning under another id than its own.
"""

import re
from typing import Any

from penstock.core.errors import ClientFault, bad_request
from penstock.core.request import Media, Part, Reasoning, Refusal, Text, ToolCall, ToolResult, Turn
from penstock.protocols.conversation import split_system
from penstock.protocols.dropped import Dropped
from penstock.protocols.media import join_data_url
from penstock.protocols.tools import ToolNames

Item = dict[str, Any]
Content = dict[str, Any]

_NO_NAME = re.compile(r"[^A-Za-z0-9_-]")
_NOTHING = re.compile(r"(?!)")
_LIMIT = 64
_EXTENSIONS = {"text/plain": "txt", "text/markdown": "md", "text/csv": "csv", "application/pdf": "pdf"}


class Names:
    """Names of tools and ids of calls of one request that had to be changed: 64 characters are the limit for both."""

    def __init__(self) -> None:
        self.tools = ToolNames(_NO_NAME, _LIMIT)
        self.ids = ToolNames(_NOTHING, _LIMIT)


def write_items(turns: tuple[Turn, ...], provider: str, names: Names, dropped: Dropped) -> tuple[str, list[Item]]:
    """Return the instructions that stand before the conversation, and the items of it.

    Raises:
        ClientFault: a part cannot be expressed, or nothing is left to answer.
    """
    texts, rest = split_system(turns)
    if not rest:
        texts, rest = (), turns  # the service wants some input
    items: list[Item] = []
    for turn in rest:
        match turn.role:
            case "system":
                said = "\n\n".join(part.text for part in turn.parts if isinstance(part, Text))
                items.append(_message("system", said))
            case "user":
                items += _user(turn.parts, names, dropped)
            case "assistant":
                items += _Assistant(provider, names, dropped).write(turn.parts)
    if not items:
        raise bad_request("`messages`: nothing of the conversation can be sent to this model.", param="messages")
    return "\n\n".join(texts), items


def legal_name(name: str) -> str:
    """Return a name that is only a label in the alphabet of the service."""
    return _NO_NAME.sub("_", name)[:_LIMIT]


def _message(role: str, content: str | list[Content]) -> Item:
    return {"type": "message", "role": role, "content": content}


def _user(parts: tuple[Part, ...], names: Names, dropped: Dropped) -> list[Item]:
    """Return the results of tools, and then what the user said."""
    items = [_result(part, names, dropped) for part in parts if isinstance(part, ToolResult)]
    said = [part for part in parts if isinstance(part, Text | Media)]
    if len(said) == 1 and isinstance(said[0], Text):
        items.append(_message("user", said[0].text))
    elif said:
        items.append(_message("user", [_content(part, dropped) for part in said]))
    return items


def _result(result: ToolResult, names: Names, dropped: Dropped) -> Item:
    type_ = "custom_tool_call_output" if result.kind == "custom" else "function_call_output"
    return {"type": type_, "call_id": names.ids.legal(result.call_id), "output": _output(result, dropped)}


def _output(result: ToolResult, dropped: Dropped) -> str | list[Content]:
    """Return what a tool answered. The protocol has no flag for errors, so the text says it."""
    if all(isinstance(part, Text) for part in result.content):
        text = "\n\n".join(part.text for part in result.content if isinstance(part, Text))
        return f"Error: {text}" if result.is_error else text
    content = [_content(part, dropped) for part in result.content]
    return [{"type": "input_text", "text": "Error:"}, *content] if result.is_error else content


def _content(part: Text | Media, dropped: Dropped) -> Content:
    if isinstance(part, Text):
        return {"type": "input_text", "text": part.text}
    match part.kind:
        case "image":
            url = part.url or join_data_url(part.media_type, part.data)
            return {"type": "input_image", "image_url": url, "detail": part.detail or "auto"}
        case "document":
            return _document(part, dropped)
        case "audio":
            raise _inexpressible("sound")


def _document(part: Media, dropped: Dropped) -> Content:
    if part.url:
        dropped.add_given({"filename": part.name})
        return {"type": "input_file", "file_url": part.url}
    extension = _EXTENSIONS.get(part.media_type) or part.media_type.rpartition("/")[2] or "bin"
    file_data = join_data_url(part.media_type, part.data)
    return {"type": "input_file", "filename": part.name or f"document.{extension}", "file_data": file_data}


def _inexpressible(what: str) -> ClientFault:
    message = f"`messages`: this model's provider takes no {what}."
    return bad_request(message, param="messages", code="unsupported_parameter")


class _Assistant:
    """One turn of the model, item by item."""

    def __init__(self, provider: str, names: Names, dropped: Dropped) -> None:
        self._provider = provider
        self._names = names
        self._dropped = dropped
        self._items: list[Item] = []
        self._thoughts: list[Item] = []  # reasoning that waits for what it led to
        self._said: list[Content] = []

    def write(self, parts: tuple[Part, ...]) -> list[Item]:
        for part in parts:
            match part:
                case Text() if part.text:
                    self._said.append({"type": "output_text", "text": part.text})
                case Refusal():
                    self._said.append({"type": "refusal", "refusal": part.text})
                case Reasoning():
                    self._reason(part)
                case ToolCall():
                    self._add_said()
                    self._add(self._call(part))
                case Media():
                    raise _inexpressible(f"{part.kind}s in what the assistant said")
                case _:
                    pass  # results belong to the user's turns, and empty text says nothing
        self._add_said()
        if self._thoughts:
            self._dropped.add("reasoning")  # the service refuses reasoning that nothing follows
        return self._items

    def _add(self, item: Item) -> None:
        self._items += [*self._thoughts, item]
        self._thoughts.clear()

    def _add_said(self) -> None:
        """Add what was said since the last item. One string is what every server of this protocol understands."""
        if not self._said:
            return
        plain = all(content["type"] == "output_text" for content in self._said)
        self._add(_message("assistant", "".join(text["text"] for text in self._said) if plain else self._said))
        self._said = []

    def _reason(self, part: Reasoning) -> None:
        """Hold reasoning that the provider itself has sealed; all other would be refused or misunderstood."""
        sealed = part.sealed
        if sealed is None or sealed.origin != self._provider or sealed.form not in {"reasoning", "redacted"}:
            self._dropped.add("reasoning")
            return
        self._add_said()
        summary = [{"type": "summary_text", "text": part.text}] if part.text else []
        self._thoughts.append({"type": "reasoning", "summary": summary, "encrypted_content": sealed.data})

    def _call(self, call: ToolCall) -> Item:
        called: Item = {"call_id": self._names.ids.legal(call.id), "name": self._names.tools.legal(call.name)}
        if call.kind == "custom":
            return {"type": "custom_tool_call", **called, "input": call.arguments}
        return {"type": "function_call", **called, "arguments": call.arguments}
