"""Gemini answers to events.

Every chunk is a whole GenerateContentResponse that holds the new parts; there is no terminal event, the body just
ends after a chunk with a finish reason. Usage comes on nearly every chunk as running totals. A signature stands on the
part it belongs to. Sections 6.2, 6.3 and 8.5 of docs/protocols.md.
"""

import msgspec

from penstock.core.choices import Choices
from penstock.core.events import Event, Opaque, Start
from penstock.protocols.base import EXTENSIONS
from penstock.protocols.gemini.candidates import CandidateReader
from penstock.protocols.gemini.citations import searches
from penstock.protocols.gemini.errors import read_error_member
from penstock.protocols.gemini.extensions import UnknownFields
from penstock.protocols.gemini.usage import UsageReader
from penstock.protocols.gemini.wire import Candidate, Chunk
from penstock.wire.payload import ProviderDecoder
from penstock.wire.sse import Frame

_chunk = ProviderDecoder(Chunk)
_chunks = ProviderDecoder(list[msgspec.Raw])

_NULL = b"null"
_EMPTY = Chunk()  # a heartbeat, or something that is no chunk: it does not begin the answer


class Decoder:
    """State of one stream."""

    __slots__ = ("_choices", "_origin", "_readers", "_started", "_token", "_unknown", "_usage")

    def __init__(self, origin: str, token: str, options: frozenset[str] = frozenset()) -> None:
        self._origin = origin
        self._token = token
        self._choices = Choices()
        self._readers: dict[int, CandidateReader] = {}
        self._started = False
        self._unknown = UnknownFields() if EXTENSIONS in options else None
        self._usage = UsageReader()

    @property
    def ended(self) -> bool:
        """Whether Finish or Failure has been returned."""
        return self._choices.first.over

    def decode(self, frame: Frame) -> list[Event]:
        """Return the events that a frame brings.

        Raises:
            UpstreamFault: the payload cannot be understood.
        """
        data = frame.data
        if data is None:
            return []
        if not data.startswith(b"{"):
            data = data.strip()
            if not data or data.startswith(b":") or data == b"[DONE]":  # keep-alives and markers of some proxies
                return []
            if data.startswith(b"["):
                for item in _chunks.decode(data):
                    self._read(bytes(item))
                return self._choices.take()
        self._read(data)
        return self._choices.take()

    def close(self) -> list[Event]:
        """Return the last events: the end of the body is the end of the answer, if a finish reason came."""
        for reader in self._readers.values():
            reader.close()
        return self._choices.close()

    def _read(self, data: bytes) -> None:
        chunk = _chunk.decode(data)
        first = self._choices.first
        if chunk.error and chunk.error != _NULL:
            first.fail(read_error_member(bytes(chunk.error)))
            return
        if chunk != _EMPTY:
            if not self._started:
                self._started = True
                first.emit(Start(chunk.response_id or "", chunk.model_version or ""))
            self._read_chunk(chunk, data)
        if self._unknown is not None and (fields := self._unknown.take(data)):
            first.emit(Opaque("gemini", fields))

    def _read_chunk(self, chunk: Chunk, data: bytes) -> None:
        for position, candidate in enumerate(chunk.candidates or ()):
            self._reader(candidate, position).read(candidate, data, position)
            if candidate.grounding_metadata and (count := searches(candidate.grounding_metadata)):
                self._usage.searches = max(count, self._usage.searches or 0)
                self._choices.first.update(self._usage.known())
        if chunk.usage_metadata is not None:
            self._choices.first.update(self._usage.read(chunk.usage_metadata))
        for position, candidate in enumerate(chunk.candidates or ()):
            self._reader(candidate, position).finish(candidate)
        feedback = chunk.prompt_feedback
        if feedback is not None and feedback.block_reason and not chunk.candidates:
            self._choices.first.finish("content_filter", feedback.block_reason)

    def _reader(self, candidate: Candidate, position: int) -> CandidateReader:
        index = position if candidate.index is None else candidate.index
        reader = self._readers.get(index)
        if reader is None:
            call_id = f"call_{self._token}_{index}" if index else f"call_{self._token}"
            reader = CandidateReader(self._choices.of(index), self._origin, call_id, notes=self._unknown is None)
            self._readers[index] = reader
        return reader


def read_response(body: bytes, origin: str, token: str, options: frozenset[str] = frozenset()) -> list[Event]:
    """Return the events of an answer that was not streamed.

    Raises:
        UpstreamFault: it cannot be understood.
    """
    decoder = Decoder(origin, token, options)
    return [*decoder.decode(Frame("", body, body)), *decoder.close()]


def usage_only(frame: Frame) -> bool:
    """Return False: Gemini clients always get usage, so nobody adds a frame of it."""
    del frame
    return False
