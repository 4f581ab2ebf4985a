"""The turns of an Ask as Chat Completions messages. `write_request.py` lists the quirks that change their spelling."""

import base64
import hashlib
import re
from typing import Any

from penstock.core.errors import ClientFault, bad_request
from penstock.core.request import (
    CacheLifetime,
    Media,
    Part,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    ToolResult,
    Turn,
)
from penstock.protocols.base import Target
from penstock.protocols.dropped import Dropped
from penstock.protocols.media import join_data_url
from penstock.protocols.tools import ToolNames, as_function_call
from penstock.wire.payload import UNREADABLE, members_of

CACHE_CONTROL = "cache-control"
CUSTOM_TOOLS = "custom-tools"
NINE_CHARACTERS = "nine-character-tool-ids"
REASONING_BACK = "reasoning-content-back"
SIGNATURES = "thought-signature-in-extra-content"

_Json = dict[str, Any]

_PLAIN = {"type", "text"}
_SOUNDS = {"audio/wav": "wav", "audio/mpeg": "mp3"}
_NINE = re.compile(r"[A-Za-z0-9]{9}")
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

NO_SIGNATURE = {"google": {"thought_signature": "skip_thought_signature_validator"}}
"""What stands beside the first call of a turn that another model made, in place of a signature.

https://ai.google.dev/gemini-api/docs/thought-signatures
"""


def nine_characters(id: str) -> str:  # noqa: A002
    """Return an id as targets with the quirk take it: itself if it is nine letters and digits, else a hash of it."""
    if _NINE.fullmatch(id):
        return id
    number = int.from_bytes(hashlib.sha256(id.encode("utf-8", "replace")).digest()[:8])
    digits: list[str] = []
    for _ in range(9):
        number, digit = divmod(number, len(_DIGITS))
        digits.append(_DIGITS[digit])
    return "".join(digits)


class MessageWriter:
    """Writes the messages of one request, and notes what they drop and which names they change."""

    def __init__(self, target: Target, names: ToolNames, dropped: Dropped) -> None:
        self._provider = target.provider
        self._quirks = target.quirks
        self._names = names
        self._dropped = dropped

    def messages(self, turns: tuple[Turn, ...]) -> list[_Json]:
        """Return all messages.

        Raises:
            ClientFault: a part of the conversation cannot be expressed.
        """
        messages: list[_Json] = []
        for turn in turns:
            match turn.role:
                case "system":
                    said = [self._content(part) for part in turn.parts if isinstance(part, Text)]
                    messages.append({"role": "system", "content": _shortest(said, "\n\n")})
                case "user":
                    messages.extend(self._user(turn.parts))
                case "assistant":
                    messages.extend(self._assistant(turn.parts))
        return messages

    def mark(self, cache: CacheLifetime | None) -> _Json:
        """Return the members that mark the end of a prefix to keep: none if the target knows no such marks."""
        if cache is None:
            return {}
        if CACHE_CONTROL not in self._quirks:
            self._dropped.add("cache_control")
            return {}
        return {"cache_control": {"type": "ephemeral"} | ({"ttl": cache} if cache != "5m" else {})}

    def _user(self, parts: tuple[Part, ...]) -> list[_Json]:
        """Return the results of tools, a message each, and then what the user said."""
        messages: list[_Json] = []
        said: list[_Json] = []
        for part in parts:
            match part:
                case ToolResult():
                    messages.append(self._result(part))
                    if attached := self._attachments(part):
                        self._dropped.add("messages.tool_result")  # not lost, but no longer in the result
                        said.extend(attached)
                case Text() | Media():
                    said.append(self._content(part))
                case _:
                    pass  # what else an Ask can hold belongs to other turns
        if said:
            messages.append({"role": "user", "content": _shortest(said, "\n\n")})
        return messages

    def _result(self, result: ToolResult) -> _Json:
        """Return a result; the protocol has no place for an error flag or for media in it."""
        text = "\n\n".join(part.text for part in result.content if isinstance(part, Text))
        if not text and any(isinstance(part, Media) for part in result.content):
            text = "The result is attached to the next message."
        content = [{"type": "text", "text": f"Error: {text}" if result.is_error else text, **self.mark(result.cache)}]
        return {"role": "tool", "tool_call_id": self._id(result.call_id), "content": _shortest(content, "")}

    def _attachments(self, result: ToolResult) -> list[_Json]:
        """Return the media of a result as content of the user's message that follows (pitfall 49)."""
        attached = [self._content(part) for part in result.content if isinstance(part, Media)]
        note = f"Attached to the result of the tool call {self._id(result.call_id)}:"
        return [{"type": "text", "text": note}, *attached] if attached else []

    def _content(self, part: Text | Media) -> _Json:
        if isinstance(part, Text):
            return {"type": "text", "text": part.text} | self.mark(part.cache)
        if part.kind == "document" and part.detail not in {None, "auto"}:
            self._dropped.add("detail")
        return _media(part) | self.mark(part.cache)

    def _assistant(self, parts: tuple[Part, ...]) -> list[_Json]:
        """Return one message for a turn of the model, or none if nothing of it can be said here."""
        said: list[_Json] = []
        thoughts: list[Reasoning] = []
        calls: list[_Json] = []
        before: Part | None = None
        for part in parts:
            match part:
                case Text():
                    said.append(self._content(part))
                case Refusal():
                    said.append({"type": "text", "text": part.text})
                case Reasoning():
                    thoughts.append(part)
                case ToolCall():
                    calls.append(self._call(part) | self._beside_call(before, first=not calls))
                case Media():
                    raise _inexpressible(f"{part.kind}s in what the assistant said")
                case ToolResult():
                    pass  # belongs to the user's turns
            before = part
        message: _Json = {"role": "assistant", "content": _shortest(said, "") or None}
        if calls:
            message["tool_calls"] = calls
        return self._with_thoughts(message, thoughts)

    def _with_thoughts(self, message: _Json, thoughts: list[Reasoning]) -> list[_Json]:
        if "tool_calls" in message and REASONING_BACK in self._quirks:
            message["reasoning_content"] = "".join(thought.text for thought in thoughts)
        if details := _details(thoughts, self._provider):
            message["reasoning_details"] = details
        foreign = any(thought.sealed is None or thought.sealed.origin != self._provider for thought in thoughts)
        if foreign and "reasoning_content" not in message:
            self._dropped.add("reasoning")  # unsigned, or signed by somebody else
        return [message] if len(message) > 2 or message["content"] else []

    def _call(self, call: ToolCall) -> _Json:
        if call.cache is not None:
            self._dropped.add("cache_control")
        if CUSTOM_TOOLS not in self._quirks:
            call = as_function_call(call)
        name = self._names.legal(call.name)
        if call.kind == "custom":
            return {"id": self._id(call.id), "type": "custom", "custom": {"name": name, "input": call.arguments}}
        function = {"name": name, "arguments": call.arguments}
        return {"id": self._id(call.id), "type": "function", "function": function}

    def _beside_call(self, before: Part | None, *, first: bool) -> _Json:
        """Return what the target itself put beside a call: the seal on the reasoning that stands `before` it."""
        sealed = before.sealed if isinstance(before, Reasoning) else None
        if sealed is not None and sealed.form == "tool_call" and sealed.origin == self._provider:
            return extra_content(sealed.data)
        return {"extra_content": NO_SIGNATURE} if first and SIGNATURES in self._quirks else {}

    def _id(self, id: str) -> str:  # noqa: A002
        return nine_characters(id) if NINE_CHARACTERS in self._quirks else id


def extra_content(sealed: str) -> _Json:
    """Return what the target put beside a call. It came back through a client, so it may be anything."""
    try:
        return {"extra_content": members_of(sealed)}
    except UNREADABLE:
        return {}


def _shortest(content: list[_Json], separator: str) -> str | list[_Json]:
    """Return content as the string that every server takes, if it is nothing but text without marks."""
    if [part for part in content if part.keys() != _PLAIN]:
        return content
    return separator.join([part["text"] for part in content])


def _media(part: Media) -> _Json:
    match part.kind:
        case "image":
            image = {"url": part.url or join_data_url(part.media_type, part.data)}
            if part.detail is not None:
                image["detail"] = part.detail
            return {"type": "image_url", "image_url": image}
        case "audio":
            return _sound(part)
        case "document":
            return _document(part)


def _sound(part: Media) -> _Json:
    if part.url or part.media_type not in _SOUNDS:
        raise _inexpressible("sound other than WAV or MP3 inside the request")
    return {"type": "input_audio", "input_audio": {"data": part.data, "format": _SOUNDS[part.media_type]}}


def _document(part: Media) -> _Json:
    if part.url:
        raise _inexpressible("documents by address; send the content")
    if part.media_type.startswith("text/"):
        text = base64.b64decode(part.data).decode("utf-8", "replace")
        return {"type": "text", "text": f"{part.name}\n\n{text}" if part.name else text}
    extension = part.media_type.rpartition("/")[2] or "bin"
    file_data = join_data_url(part.media_type, part.data)
    return {"type": "file", "file": {"filename": part.name or f"document.{extension}", "file_data": file_data}}


def _inexpressible(what: str) -> ClientFault:
    message = f"`messages`: this model's provider takes no {what}."
    return bad_request(message, param="messages", code="unsupported_parameter")


def _details(thoughts: list[Reasoning], provider: str) -> list[_Json]:
    """Return the seals that the target itself made, as it gave them."""
    details: list[_Json] = []
    for thought in thoughts:
        sealed = thought.sealed
        if sealed is None or sealed.origin != provider:
            continue
        if sealed.form == "reasoning":
            details.append({"type": "reasoning.text", "text": thought.text, "signature": sealed.data})
        elif sealed.form == "redacted":
            if thought.text:
                details.append({"type": "reasoning.summary", "summary": thought.text})
            details.append({"type": "reasoning.encrypted", "data": sealed.data})
    return [{**detail, "index": index} for index, detail in enumerate(details)]
