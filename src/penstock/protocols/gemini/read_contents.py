"""`contents` to turns.

SDKs' chat helpers keep one content per streamed chunk, so the fragments of one text, or of one thought, are joined
(pitfall 40). Calls and answers may lack ids and are matched by name, then by order (pitfall 46).
"""

import re
from typing import Any, Literal, TypeVar, cast

from msgspec.structs import replace

from penstock.core.errors import bad_request
from penstock.core.events import Sealed
from penstock.core.request import Media, Part, Reasoning, Text, ToolCall, ToolResult, Turn
from penstock.protocols.dropped import Dropped
from penstock.protocols.gemini import wire
from penstock.protocols.gemini.seals import unwrap
from penstock.protocols.media import standard_base64, standard_media_type
from penstock.wire.payload import json_text

T = TypeVar("T")
MediaKind = Literal["image", "document", "audio"]

_HINTS = (
    ("video_metadata", "videoMetadata"),
    ("part_metadata", "partMetadata"),
    ("audio_transcription", "audioTranscription"),
    ("media_processing", "mediaProcessing"),
    ("speech_metadata", "speechMetadata"),
    ("document_metadata", "documentMetadata"),
    ("spreadsheet_metadata", "spreadsheetMetadata"),
    ("audio_metadata", "audioMetadata"),
)
_HOSTED = (
    ("executable_code", "executableCode"),
    ("code_execution_result", "codeExecutionResult"),
    ("tool_call", "toolCall"),
    ("tool_response", "toolResponse"),
)
_DETAILS = {
    "MEDIA_RESOLUTION_LOW": "low",
    "MEDIA_RESOLUTION_MEDIUM": "auto",
    "MEDIA_RESOLUTION_HIGH": "high",
    "MEDIA_RESOLUTION_ULTRA_HIGH": "original",
}
_UPLOADED = re.compile(r"/v\d\w*/files/[\w-]+$")
_FETCHED = re.compile(r"https?://", re.IGNORECASE)


class ContentsReader:
    """State of reading one request: the turns so far, and the calls that wait for their answers."""

    def __init__(self, contents: list[wire.Content], detail: str | None, dropped: Dropped) -> None:
        """Read contents whose images are to be looked at as closely as `detail` says, where they do not say it."""
        self._contents = contents
        self._detail = detail
        self._dropped = dropped
        self._turns: list[Turn] = []
        self._thought: list[str] = []  # fragments of the thought whose signature may still come
        self._model: list[Part] = []  # parts of the model turn being read, over any number of contents
        self._waiting: list[ToolCall] = []
        self._answers: dict[str, wire.FunctionResponse] = {}  # to the calls of the turn before, by their ids
        self._without_id: set[str] = set()  # ids that we made
        self._taken = {
            call.id for content in contents for part in many(content.parts) if (call := part.function_call) and call.id
        }

    def read(self) -> list[Turn]:
        """Return the turns.

        Raises:
            ClientFault: a role or a part is not known, or means something that no other protocol can express.
        """
        for index, content in enumerate(self._contents):
            at = f"contents[{index}]"
            match content.role or "user":
                case "model":
                    for position, part in enumerate(many(content.parts)):
                        self._model_part(part, f"{at}.parts[{position}]")
                case "user" | "function":
                    self._end_model_turn()
                    parts = enumerate(many(content.parts))
                    read = [got for position, part in parts for got in self._user_part(part, f"{at}.parts[{position}]")]
                    self._turns.append(Turn("user", tuple(read)))
                case role:
                    message = f"`{at}.role`: {role!r} is not a role; use 'user' or 'model'."
                    raise bad_request(message, param=f"{at}.role")
        self._end_model_turn()
        return self._turns

    def _end_model_turn(self) -> None:
        self._end_thought(None)
        if self._model:
            self._turns.append(Turn("assistant", tuple(self._model)))
            self._waiting = [part for part in self._model if isinstance(part, ToolCall)]
            self._answers.clear()
            self._model = []

    def _model_part(self, part: wire.Part, at: str) -> None:
        self._check(part, at)
        if part.function_response is not None:
            raise bad_request(f"`{at}.functionResponse`: a function's answer belongs to role 'user'.", param=at)
        sealed = unwrap(part.thought_signature) if part.thought_signature else None
        if part.thought:
            self._thought.append(part.text or "")
            if sealed is not None:
                self._end_thought(sealed)
        elif part.function_call is not None:
            self._end_thought(sealed)
            self._model.append(self._call(part.function_call))
        elif part.text is not None:
            self._model_text(part.text, sealed)
        elif (media := self._media(part, at)) is not None:
            self._end_thought(sealed)
            self._model.append(media)

    def _model_text(self, text: str, sealed: Sealed | None) -> None:
        if sealed is not None and sealed.form != "text":
            self._end_thought(sealed)  # it came on an empty text behind the thought that it signs
        if text:
            self._end_thought(None)
            if self._model and isinstance(last := self._model[-1], Text):
                self._model[-1] = Text(last.text + text)
            else:
                self._model.append(Text(text))
        if sealed is not None and sealed.form == "text":
            self._model.append(Reasoning("", sealed))

    def _end_thought(self, sealed: Sealed | None) -> None:
        text = "".join(self._thought)
        self._thought.clear()
        if text or sealed is not None:
            self._model.append(Reasoning(text, sealed))

    def _call(self, call: wire.FunctionCall) -> ToolCall:
        call_id = call.id or self._new_id()
        return ToolCall(call_id, call.name, json_text(call.args or {}))

    def _new_id(self) -> str:
        number = len(self._without_id)
        while (call_id := f"call_{number}") in self._taken:
            number += 1
        self._taken.add(call_id)
        self._without_id.add(call_id)
        return call_id

    def _user_part(self, part: wire.Part, at: str) -> list[Part]:
        self._check(part, at)
        if part.function_call is not None:
            raise bad_request(f"`{at}.functionCall`: a call belongs to role 'model'.", param=f"{at}.functionCall")
        if part.function_response is not None:
            return self._result(part.function_response, f"{at}.functionResponse")
        if part.text is not None:
            return [Text(part.text)] if part.text and not part.thought else []
        media = self._media(part, at)
        return [] if media is None else [media]

    def _media(self, part: wire.Part, at: str) -> Media | None:
        media = _media(part.inline_data, part.file_data, at)
        level = part.media_resolution.level if part.media_resolution is not None else None
        if media is None or media.kind != "image":
            self._dropped.add_given({"mediaResolution": level})
            return media
        return replace(media, detail=detail_of(level) or self._detail)

    def _result(self, result: wire.FunctionResponse, at: str) -> list[Part]:
        if result.id and self._answers.get(result.id) == result:
            return []  # Gemini CLI says each answer twice when it resumes a session, and other protocols allow one
        call = self._answered(result, at)
        self._waiting.remove(call)
        self._answers[result.id or ""] = result
        text, is_error = _answer(result.response or {})
        content: list[Text | Media] = [Text(text)]
        for index, part in enumerate(many(result.parts)):
            media = _media(part.inline_data, part.file_data, f"{at}.parts[{index}]")
            if media is not None:
                content.append(media)
        return [ToolResult(call.id, call.name, tuple(content), is_error)]

    def _answered(self, result: wire.FunctionResponse, at: str) -> ToolCall:
        """Return the call that a result answers: the one with its id, else the first of its name still unanswered."""
        for call in self._waiting:
            if result.id and call.id == result.id:
                return call
        for call in self._waiting:
            if call.name == result.name and (not result.id or call.id in self._without_id):
                return call
        named = f"id {result.id!r}" if result.id else f"name {result.name!r}"
        message = f"`{at}`: it answers no call: the turn before has no unanswered functionCall with {named}."
        raise bad_request(message, param=at)

    def _check(self, part: wire.Part, at: str) -> None:
        if part == wire.Part(part.text, function_call=part.function_call, function_response=part.function_response):
            return  # nothing to look for, as nearly always
        for field, name in _HOSTED:
            if getattr(part, field) is not None:
                message = f"`{at}.{name}`: traces of a provider's own tools cannot be translated for another provider."
                raise bad_request(message, param=f"{at}.{name}")
        self._dropped.add_given({name: getattr(part, field) for field, name in _HINTS})


def detail_of(resolution: str | None) -> str | None:
    """Return how closely to look, in the words that the other protocols have for images."""
    return _DETAILS.get((resolution or "").upper())


def many(value: list[T] | T | None) -> list[T]:
    """Return a list that may have come as its only element."""
    if value is None:
        return []
    return cast("list[T]", value) if isinstance(value, list) else [value]


def _answer(response: dict[str, Any]) -> tuple[str, bool]:
    """Return the text of a function's answer, and whether it is an error; SDKs wrap what is not an object."""
    if len(response) != 1:
        return (json_text(response) if response else ""), False
    ((key, value),) = response.items()
    if key not in {"output", "result", "error"}:
        return json_text(response), False
    return (value if isinstance(value, str) else json_text(value)), key == "error"


def _media(blob: wire.Blob | None, file: wire.FileData | None, at: str) -> Media | None:
    if blob is not None:
        kind = _kind(blob.mime_type, f"{at}.inlineData.mimeType")
        data = standard_base64(blob.data, f"{at}.inlineData.data")
        return Media(kind, standard_media_type(blob.mime_type), data=data, name=blob.display_name)
    if file is not None:
        if not _FETCHED.match(file.file_uri) or _UPLOADED.search(file.file_uri):
            message = f"`{at}.fileData.fileUri`: only a public http(s) address can be given to another provider."
            raise bad_request(message, param=f"{at}.fileData.fileUri")
        kind = _kind(file.mime_type or "", f"{at}.fileData.mimeType")
        return Media(kind, standard_media_type(file.mime_type or ""), url=file.file_uri, name=file.display_name)
    return None


def _kind(mime_type: str, param: str) -> MediaKind:
    media_type = standard_media_type(mime_type)
    if media_type.startswith("image/"):
        return "image"
    if media_type == "application/pdf" or media_type.startswith("text/"):
        return "document"
    if media_type.startswith("audio/"):
        return "audio"
    shown = f"{mime_type!r} cannot be translated" if mime_type else "it is missing"
    raise bad_request(f"`{param}`: {shown}; give an image, PDF, text or audio type.", param=param)
