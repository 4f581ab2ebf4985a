"""One candidate of an answer: its parts, as they come, to an assembler.

A seal on text waits until something else comes: sources are often cited in the chunk that also brings the seal, or
behind it, and can only be cited while their text is open.
"""

from contextlib import suppress

import msgspec

from penstock.core.assembly import Assembler
from penstock.core.errors import ErrorInfo, UpstreamFault, upstream_error
from penstock.core.events import FinishReason, Opaque, TokenLogprob
from penstock.protocols.gemini.citations import CitedText
from penstock.protocols.gemini.extensions import unknown_part
from penstock.protocols.gemini.logprobs import read_logprobs
from penstock.protocols.gemini.partial_args import PartialArguments
from penstock.protocols.gemini.wire import CallMade, Candidate, PartMade
from penstock.wire.payload import json_text

_FINISH: dict[str, FinishReason] = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "CONTINUATION": "pause",
    **dict.fromkeys(
        (
            "SAFETY",
            "RECITATION",
            "LANGUAGE",
            "BLOCKLIST",
            "PROHIBITED_CONTENT",
            "SPII",
            "IMAGE_SAFETY",
            "IMAGE_PROHIBITED_CONTENT",
            "IMAGE_RECITATION",
            "IMAGE_OTHER",
            "MODEL_ARMOR",
        ),
        "content_filter",
    ),
}

# The model tried to call a function and the result is not one: an error, whatever text came before (pitfall 88).
_BROKEN = {
    "MALFORMED_FUNCTION_CALL",
    "UNEXPECTED_TOOL_CALL",
    "TOO_MANY_TOOL_CALLS",
    "MALFORMED_RESPONSE",
    "MISSING_THOUGHT_SIGNATURE",
}

_NULL = b"null"


class CandidateReader:
    """State of one candidate."""

    __slots__ = ("_assembler", "_call_id", "_calls", "_cited", "_in_text", "_notes", "_origin", "_partial", "_seal")

    def __init__(self, assembler: Assembler, origin: str, call_id: str, notes: bool) -> None:
        """Read for an assembler.

        Args:
            assembler: of this choice.
            origin: the provider's name.
            call_id: what the ids of calls that have none begin with.
            notes: whether to put a word where the answer holds something that no other protocol has a place for.
        """
        self._assembler = assembler
        self._origin = origin
        self._call_id = call_id
        self._notes = notes
        self._calls = 0
        self._partial: PartialArguments | None = None
        self._cited = CitedText()
        self._in_text = False
        self._seal = ""  # on the text before, not reported yet

    def read(self, candidate: Candidate, chunk: bytes, position: int) -> None:
        """Read the news of the candidate; `chunk` is where they stand, and `position` where in it."""
        logprobs = _logprobs(candidate.logprobs_result)
        parts = (candidate.content.parts if candidate.content is not None else None) or ()
        for number, part in enumerate(parts):
            if part.function_call is not None:
                self._call(part.function_call, part.thought_signature)
            elif part.text is None:
                self._unknown(part, chunk, position, number)
            elif part.thought:
                self._thought(part.text, part.thought_signature)
            else:
                self._text(part, logprobs)
                logprobs = () if part.text else logprobs
        if logprobs and self._in_text:
            self._say("", logprobs)
        if candidate.grounding_metadata or candidate.citation_metadata:
            for citation in self._cited.read(candidate.grounding_metadata, candidate.citation_metadata):
                self._assembler.cite("text", citation)

    def finish(self, candidate: Candidate) -> None:
        """Take note of the candidate's finish reason, if it has come."""
        reason = candidate.finish_reason
        if reason in _BROKEN:
            text = candidate.finish_message or "The model's answer is broken."
            self._assembler.fail(ErrorInfo("upstream_error", f"{text} ({reason})", code=reason))
        elif reason:
            self._assembler.finish(_FINISH.get(reason, "other"), reason)

    def close(self) -> None:
        """Report what waited, at the end of the body."""
        if self._assembler.finishing:
            self._flush_partial()
            self._leave_text()

    def _text(self, part: PartMade, logprobs: tuple[TokenLogprob, ...]) -> None:
        if part.text:
            self._say(part.text, logprobs)
        if part.thought_signature:
            if self._seal:
                self._leave_text()
            self._seal = part.thought_signature

    def _say(self, text: str, logprobs: tuple[TokenLogprob, ...] = ()) -> None:
        if self._seal and text:
            self._leave_text()
        self._in_text = True
        self._cited.add(text)
        self._assembler.text("text", "text", text, logprobs)

    def _leave_text(self) -> None:
        """Something else than text comes."""
        if self._in_text:
            self._in_text = False
            self._cited.end_part()
        if self._seal:
            self._assembler.seal_beside(self._origin, self._seal, "text")
            self._seal = ""

    def _thought(self, text: str, signature: str | None) -> None:
        if not text and not signature:
            return
        self._leave_text()
        self._assembler.text("thought", "reasoning", text)
        if signature:
            self._assembler.seal("thought", self._origin, signature)
            self._assembler.end("thought")  # another thought has a signature of its own

    def _unknown(self, part: PartMade, chunk: bytes, position: int, number: int) -> None:
        """Pass on code, its result, an image: whatever only clients of this protocol can be told."""
        media = part.inline_data or part.file_data
        if media is not None and self._notes:
            if not part.thought:
                self._say(f"[{media.mime_type or 'media'} omitted]")
        elif unknown := unknown_part(chunk, position, number):
            self._assembler.emit(Opaque("gemini", unknown))

    def _call(self, call: CallMade, signature: str | None) -> None:
        self._leave_text()
        if call.name:
            self._flush_partial()
        if signature:
            self._assembler.seal_beside(self._origin, signature, "tool_call")
        if call.name and (call.will_continue or call.partial_args):
            self._partial = PartialArguments(call.id, call.name)
        elif call.name:
            self._whole_call(call.id, call.name, _arguments(call.args))
            return
        if self._partial is not None:
            for piece in call.partial_args or ():
                self._partial.add(piece)
            if not call.will_continue:
                self._flush_partial()

    def _flush_partial(self) -> None:
        if (partial := self._partial) is not None:
            self._partial = None
            self._whole_call(partial.id, partial.name, json_text(partial.value))

    def _whole_call(self, id: str | None, name: str, arguments: str) -> None:  # noqa: A002
        key = self._calls
        self._calls += 1
        self._assembler.tool(key, id or f"{self._call_id}_{key}", name)
        self._assembler.arguments(key, arguments)
        self._assembler.end(key)


def _logprobs(result: msgspec.Raw) -> tuple[TokenLogprob, ...]:
    """Return what is told of the tokens; an answer does not break on what nobody can understand of that."""
    if not result:
        return ()
    with suppress(UpstreamFault):
        return read_logprobs(result)
    return ()


def _arguments(args: msgspec.Raw) -> str:
    """Return the arguments as they came: the JSON text keeps big integers, `1.0` and the order of keys (pitfall 80).

    Raises:
        UpstreamFault: they are no object.
    """
    text = bytes(args)
    if not text or text == _NULL:
        return "{}"
    if not text.startswith(b"{"):
        raise upstream_error("The provider sent a function call whose arguments are not an object.", "bad_payload")
    return text.decode("utf-8", "replace")
