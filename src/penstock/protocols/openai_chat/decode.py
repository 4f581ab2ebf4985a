"""Streams and whole answers of Chat Completions, in all the dialects of compatible servers, as events.

The rule: whatever has a meaning is read, without asking who sent it; what is unknown is ignored; and an answer is over
only when the finish reason of each of its choices came (section 10 of docs/protocols.md, and its pitfalls 66-105).

Options of the decoder: `think-tags`, `think-tags-open` (choice.py) and `base.EXTENSIONS` (extensions.py).
"""

import msgspec

from penstock.core.choices import Choices
from penstock.core.errors import ErrorInfo
from penstock.core.events import Event, Opaque, Start
from penstock.core.usage import service_tier
from penstock.protocols import openai_errors
from penstock.protocols.base import EXTENSIONS
from penstock.protocols.openai_chat import wire
from penstock.protocols.openai_chat.choice import ChoiceReader
from penstock.protocols.openai_chat.extensions import PROTOCOL, ExtensionReader
from penstock.protocols.openai_chat.usage import UsageReader
from penstock.wire.payload import UNREADABLE, ProviderDecoder
from penstock.wire.sse import Frame

_chunks = ProviderDecoder(wire.Chunk)


class Decoder:
    """State of one upstream answer."""

    __slots__ = (
        "_assembler",
        "_choices",
        "_counted",
        "_extensions",
        "_first",
        "_options",
        "_origin",
        "_others",
        "_started",
        "_token",
        "_usage",
    )

    def __init__(self, origin: str, token: str, options: frozenset[str] = frozenset()) -> None:
        self._origin = origin
        self._token = token
        self._options = options
        self._choices = Choices()
        self._assembler = self._choices.first
        self._first = ChoiceReader(self._assembler, origin, token, options)
        self._others: dict[int, ChoiceReader] = {}
        self._extensions = ExtensionReader(self._choices) if EXTENSIONS in options else None
        self._usage = UsageReader()
        self._started = False
        self._counted = False  # the final count came, in a chunk of its own

    @property
    def ended(self) -> bool:
        """Whether the answer is over; what follows may be ignored."""
        return self._assembler.over

    def decode(self, frame: Frame) -> list[Event]:
        """Return the events that a frame brings, none for frames without data.

        Raises:
            UpstreamFault: the payload is not JSON, or nothing like a chunk.
        """
        data = frame.data
        if not data or self._assembler.over:
            return []
        if data[0] != 0x7B:  # "{"
            data = data.strip()
            if data == b"[DONE]":
                return self._done()
            if not data or data.startswith(b":"):  # a comment that a proxy put into the data
                return []
        chunk = _chunks.decode(data)
        if chunk.error or chunk.object == "error" or frame.event == "error":
            self._fail(chunk, data)
        elif chunk.choices is None and chunk.usage is None and chunk.extension is None:
            self._assembler.emit(Opaque(PROTOCOL, data))
        else:
            if self._extensions is not None:
                self._extensions.read(data)
            self._read(chunk)
        return self._assembler.take()

    def close(self) -> list[Event]:
        """Return the last events: Finish, or Failure if a choice never came to its finish reason."""
        for choice in (self._first, *self._others.values()):
            choice.close()
        return self._choices.close()

    def _done(self) -> list[Event]:
        """Return the last events of a stream that says it is done.

        Without a finish reason that is not enough, since proxies say it after a cut, too; with the final count it is.
        """
        if self._counted and not self._assembler.finishing:
            self._first.close()
            self._assembler.finish("stop", "")
        return self.close()

    def _fail(self, chunk: wire.Chunk, data: bytes) -> None:
        if self._started:
            self._read(chunk)  # usage often comes with the error
        self._assembler.fail(openai_errors.read_stream_error(data))

    def _read(self, chunk: wire.Chunk) -> None:
        if not self._started and (chunk.choices or chunk.usage):
            self._started = True
            self._assembler.emit(Start(chunk.id or "", chunk.model or ""))
            self._note_tier(chunk)
        broken = ""
        for choice in chunk.choices or ():
            reader = self._other(choice.index) if choice.index else self._first
            reader.read(choice)
            broken = broken or reader.broken
            if choice.usage is not None:
                self._assembler.update(self._usage.read(choice.usage))
        if chunk.usage is not None:
            self._counted = not chunk.choices
            self._note_tier(chunk)
            self._assembler.update(self._usage.read(chunk.usage))
        elif chunk.extension is not None and chunk.extension.usage is not None and self._started:
            self._assembler.update(self._usage.read(chunk.extension.usage))
        if broken and not chunk.error:
            message = f"The provider broke the answer off ({broken})."
            self._assembler.fail(ErrorInfo("upstream_error", message, code=broken))

    def _note_tier(self, chunk: wire.Chunk) -> None:
        if isinstance(chunk.service_tier, str):
            self._usage.tier = service_tier(chunk.service_tier)

    def _other(self, index: int) -> ChoiceReader:
        """Return the reader of a further choice, a new one if it is the first time."""
        reader = self._others.get(index)
        if reader is None:
            # Ids of calls are made of the token, and no two choices may have the same.
            token = f"{self._token}_{index}"
            reader = ChoiceReader(self._choices.of(index), self._origin, token, self._options)
            self._others[index] = reader
        return reader


def read_response(body: bytes, origin: str, token: str, options: frozenset[str] = frozenset()) -> list[Event]:
    """Return the events of a whole answer.

    Raises:
        UpstreamFault: the body is not JSON, or nothing like an answer.
    """
    decoder = Decoder(origin, token, options)
    return decoder.decode(Frame("", body, body)) + decoder.close()


class _UsageOnly(msgspec.Struct):
    """The part of a chunk that tells whether it carries nothing but usage."""

    choices: list[msgspec.Raw] | None = None
    usage: msgspec.Raw = msgspec.Raw(b"null")


_usage_only = msgspec.json.Decoder(_UsageOnly)


def usage_only(frame: Frame) -> bool:
    """Whether a frame carries nothing but usage: the one that is sent because we asked for it."""
    data = frame.data
    if not data or b'"usage"' not in data:
        return False
    try:
        chunk = _usage_only.decode(data)
    except UNREADABLE:
        return False
    return not chunk.choices and bytes(chunk.usage) != b"null"
