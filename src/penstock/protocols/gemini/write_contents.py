"""Turns to `contents` and the texts of `systemInstruction`.

A signature goes back on the part that it came on, and only to the provider that made it. Gemini 3 refuses calls of the
current turn without one, so the first call of each step gets the documented stand-in where none is left.
"""

import re
from typing import Any

import msgspec

from penstock.core.events import Sealed
from penstock.core.request import Media, Part, Reasoning, Refusal, Text, ToolCall, ToolResult, Turn
from penstock.protocols.base import Target
from penstock.protocols.dropped import Dropped
from penstock.protocols.gemini.seals import NO_SIGNATURE
from penstock.protocols.tools import ToolNames, as_function_call
from penstock.wire.payload import members_of

_PLACEHOLDER = {"role": "user", "parts": [{"text": "..."}]}
"""The API wants a user's turn first, and one at least (pitfall 41)."""

_EXTENSION = re.compile(r"[^?#]*\.(\w+)(?:[?#]|$)")
_TYPES = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "gif": "image/gif",
    "webp": "image/webp",
    "heic": "image/heic",
    "pdf": "application/pdf",
    "txt": "text/plain",
    "wav": "audio/wav",
    "mp3": "audio/mp3",
}
_SPELLING = {"audio/mpeg": "audio/mp3"}
"""What the service calls differently: https://ai.google.dev/gemini-api/docs/audio."""

_USUAL = {"image": "image/jpeg", "document": "application/pdf", "audio": "audio/wav"}


class ContentsWriter:
    """State of writing one request's contents."""

    def __init__(self, target: Target, names: ToolNames, dropped: Dropped) -> None:
        self.system: list[str] = []
        self._provider = target.provider
        self._media_in_results = target.facts.media_in_results
        self._names = names
        self._dropped = dropped
        self._contents: list[dict[str, Any]] = []

    def write(self, turns: tuple[Turn, ...]) -> list[dict[str, Any]]:
        """Return the contents."""
        current = _current_turn(turns)
        for position, turn in enumerate(turns):
            match turn.role:
                case "system":
                    self._system(turn)
                case "user":
                    self._add("user", self._user(turn.parts))
                case "assistant":
                    self._add("model", self._model(turn.parts, NO_SIGNATURE if position > current else None))
        if not self._contents or self._contents[0]["role"] == "model":
            self._contents.insert(0, _PLACEHOLDER)
        return self._contents

    def _add(self, role: str, parts: list[dict[str, Any]]) -> None:
        if not parts:
            return
        if self._contents and self._contents[-1]["role"] == role:
            self._contents[-1]["parts"] += parts
        else:
            self._contents.append({"role": role, "parts": parts})

    def _system(self, turn: Turn) -> None:
        if self._contents:
            self._dropped.add("messages.system")  # one instruction for the whole conversation is all there is
        self.system += [part.text for part in turn.parts if isinstance(part, Text) and part.text]

    def _user(self, parts: tuple[Part, ...]) -> list[dict[str, Any]]:
        written: list[dict[str, Any]] = []
        behind: list[dict[str, Any]] = []  # answers stand together, what does not fit into them follows
        for part in parts:
            match part:
                case Text():
                    written += _text(part.text)
                case Media():
                    written.append(self._media(part))
                case ToolResult():
                    media = [item for item in part.content if isinstance(item, Media)]
                    within = [item for item in media if self._media_in_results and _fits_result(item)]
                    written.append(self._result(part, within))
                    behind += self._attached(part, [item for item in media if item not in within])
                case _:
                    pass  # nothing else stands in a user's turn
        answers = sum(isinstance(part, ToolResult) for part in parts)
        return [*written[:answers], *behind, *written[answers:]]

    def _model(self, parts: tuple[Part, ...], signature: str | None) -> list[dict[str, Any]]:
        """Write the parts; `signature` is for the first call, should it have none of its own."""
        written: list[dict[str, Any]] = []
        for part in parts:
            match part:
                case Text() | Refusal():
                    written += _text(part.text)
                case Media():
                    written.append(self._media(part))
                case Reasoning():
                    signature = self._reasoning(part, written) or signature
                case ToolCall():
                    written.append(_signed({"functionCall": self._call(part)}, signature))
                    signature = None
                case ToolResult():
                    pass  # stands in user's turns only
        return written

    def _reasoning(self, part: Reasoning, written: list[dict[str, Any]]) -> str | None:
        """Write a thought, and its seal on what it was on. Return the seal if that is the call that follows."""
        sealed = part.sealed if part.sealed is not None and part.sealed.origin == self._provider else None
        match sealed:
            case Sealed(form="tool_call"):
                if part.text:
                    written.append({"text": part.text, "thought": True})
                return sealed.data
            case Sealed(form="text"):
                if written and "text" in written[-1] and "thought" not in written[-1]:
                    written[-1]["thoughtSignature"] = sealed.data
                else:
                    written.append({"text": "", "thoughtSignature": sealed.data})
            case Sealed(form="reasoning"):
                written.append({"text": part.text, "thought": True, "thoughtSignature": sealed.data})
            case _:
                self._dropped.add("reasoning")  # unsigned, or signed by somebody else
        return None

    def _call(self, call: ToolCall) -> dict[str, Any]:
        arguments = as_function_call(call).arguments
        return {"id": call.id, "name": self._names.legal(call.name), "args": msgspec.Raw(arguments.encode())}

    def _result(self, result: ToolResult, media: list[Media]) -> dict[str, Any]:
        text = "\n".join(part.text for part in result.content if isinstance(part, Text))
        if not text and any(isinstance(item, Media) and item not in media for item in result.content):
            text = "The result is attached behind."
        written: dict[str, Any] = {
            "id": result.call_id,
            "name": self._names.legal(result.name),
            "response": {"error": text} if result.is_error else _response(text),
        }
        if media:
            written["parts"] = [self._media(item) for item in media]
        return {"functionResponse": written}

    def _attached(self, result: ToolResult, media: list[Media]) -> list[dict[str, Any]]:
        """Write media of a result that have no place in it (section 8.2 of docs/protocols.md)."""
        if not media:
            return []
        self._dropped.add("messages.tool_result")  # not lost, but no longer in the result
        note = f"Attached to the result of {result.name} ({result.call_id}):"
        return [{"text": note}, *(self._media(item) for item in media)]

    def _media(self, media: Media) -> dict[str, Any]:
        if media.name:
            self._dropped.add("filename")
        if media.kind != "image" and media.detail not in {None, "auto"}:
            self._dropped.add("detail")
        media_type = _SPELLING.get(media.media_type, media.media_type)
        if not media.url:
            return {"inlineData": {"mimeType": media_type, "data": media.data}}
        return {"fileData": {"fileUri": media.url, "mimeType": media_type or _type_of(media)}}


def _current_turn(turns: tuple[Turn, ...]) -> int:
    """Return where the turn that the model is in began: with the last message that is more than tool results."""
    for position in range(len(turns) - 1, -1, -1):
        turn = turns[position]
        if turn.role == "user" and not all(isinstance(part, ToolResult) for part in turn.parts):
            return position
    return -1


def _fits_result(media: Media) -> bool:
    return not media.url and media.kind != "audio"


def _text(text: str) -> list[dict[str, Any]]:
    return [{"text": text}] if text else []


def _signed(part: dict[str, Any], signature: str | None) -> dict[str, Any]:
    return part if signature is None else {**part, "thoughtSignature": signature}


def _response(text: str) -> Any:
    """Return what a tool answered as an object: itself if it is one."""
    try:
        payload = text.encode()
        members_of(payload)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return {"output": text}
    return msgspec.Raw(payload)


def _type_of(media: Media) -> str:
    """Guess the type of what is behind a URL; the API wants one."""
    match = _EXTENSION.match(media.url)
    return (_TYPES.get(match[1].lower()) if match else None) or _USUAL[media.kind]
