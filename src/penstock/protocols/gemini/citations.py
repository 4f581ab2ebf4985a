"""What an answer rests on, both ways: `groundingMetadata` of searches, `citationMetadata` of what was recited.

Gemini counts UTF-8 bytes over all text of a candidate, thoughts left out, streamed or not; our events count characters
in a text part. Sources come behind the text, mostly in the last chunk, and perhaps again.
Specification: https://ai.google.dev/api/generate-content#GroundingMetadata.
"""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import msgspec
from msgspec.structs import replace

from penstock.core.errors import UpstreamFault
from penstock.core.events import Citation
from penstock.protocols.gemini.wire import CitationMetadata, GroundingChunk, GroundingMetadata, Segment
from penstock.wire.payload import ProviderDecoder, one_line

_grounding = ProviderDecoder(GroundingMetadata)
_recited = ProviderDecoder(CitationMetadata)

_NOTHING = {b"", b"{}", b"null"}


class CitedText:
    """The text of a candidate as it comes, and what was said to lie behind it."""

    __slots__ = ("_begun", "_told", "_words")

    def __init__(self) -> None:
        self._words: list[str] = []
        self._begun = 0  # words before the text part that is open now
        self._told: set[Citation] = set()

    def add(self, text: str) -> None:
        """Take more text of the open part."""
        self._words.append(text)

    def end_part(self) -> None:
        """Take note that further text is a new part."""
        self._begun = len(self._words)

    def read(self, grounding: msgspec.Raw, recited: msgspec.Raw) -> list[Citation]:
        """Return the citations that were not told before; what cannot be understood is none.

        What lies in an earlier part has no place in the open one, and is told without.
        """
        found: list[tuple[Segment, Citation]] = []
        with suppress(UpstreamFault):
            if bytes(grounding) not in _NOTHING:
                found += _grounded(_grounding.decode(bytes(grounding)))
            if bytes(recited) not in _NOTHING:
                found += _recitations(_recited.decode(bytes(recited)))
        if not found:
            return []
        words, begun = "".join(self._words), len("".join(self._words[: self._begun]))
        data = words.encode()
        placed = dict.fromkeys(_placed(citation, _stretch(segment, words, data), begun) for segment, citation in found)
        new = [citation for citation in placed if citation not in self._told]
        self._told.update(new)
        return new


def searches(grounding: msgspec.Raw) -> int:
    """Return how many searches an answer rests on; what cannot be understood is none."""
    with suppress(UpstreamFault):
        if bytes(grounding) not in _NOTHING:
            found = _grounding.decode(bytes(grounding))
            return len(found.web_search_queries or ()) + len(found.image_search_queries or ())
    return 0


class CitationWriter:
    """What is cited in a candidate, until it is told in the candidate's last chunk."""

    __slots__ = ("_before", "_chunks", "_open", "_supports")

    def __init__(self) -> None:
        self._open: list[str] = []  # the words of the open text part
        self._before = 0  # bytes of text before it
        self._chunks: dict[Citation, int] = {}
        self._supports: dict[tuple[int, int, str], list[int]] = {}

    def add(self, text: str) -> None:
        """Take more text of the open part."""
        self._open.append(text)

    def end_part(self) -> None:
        """Take note that further text is a new part."""
        if self._open:
            self._before += len("".join(self._open).encode("utf-8", "replace"))
            self._open.clear()

    def cite(self, citation: Citation) -> None:
        """Take a citation in the open part. A stretch of which nobody said where it is makes a source, and no more."""
        source = replace(citation, start=None, end=None)
        index = self._chunks.setdefault(source, len(self._chunks))
        if citation.start is None or citation.end is None:
            return
        words = "".join(self._open)
        start = self._before + len(words[: citation.start].encode("utf-8", "replace"))
        cited = words[citation.start : citation.end]
        place = (start, start + len(cited.encode("utf-8", "replace")), cited)
        indices = self._supports.setdefault(place, [])
        if index not in indices:
            indices.append(index)

    def clear(self) -> None:
        """Forget the citations: they were told as the provider itself did."""
        self._chunks.clear()
        self._supports.clear()

    def write(self) -> bytes:
        """Return the member of a candidate that tells what it rests on; nothing if nobody said."""
        if not self._chunks:
            return b""
        metadata: dict[str, Any] = {"groundingChunks": [_written(source) for source in self._chunks]}
        if self._supports:
            metadata["groundingSupports"] = [
                {"segment": {"startIndex": start, "endIndex": end, "text": text}, "groundingChunkIndices": indices}
                for (start, end, text), indices in self._supports.items()
            ]
        return b',"groundingMetadata":%b' % one_line(metadata)


def _stretch(segment: Segment, words: str, data: bytes) -> tuple[int, int]:
    """Return the characters from which, and up to which, a segment goes in all `words`, whose UTF-8 is `data`."""
    if segment.end_index is None:
        return 0, 0
    start = len(data[: max(0, segment.start_index or 0)].decode("utf-8", "ignore"))
    end = len(data[: max(0, segment.end_index)].decode("utf-8", "ignore"))
    if segment.text and words[start:end] != segment.text:  # counted within a part, or by other means
        start = words.find(segment.text)
        end = start + len(segment.text)
    return start, end


def _placed(citation: Citation, stretch: tuple[int, int], begun: int) -> Citation:
    start, end = stretch
    return replace(citation, start=start - begun, end=end - begun) if begun <= start < end else citation


def _grounded(metadata: GroundingMetadata) -> Iterator[tuple[Segment, Citation]]:
    """Yield each source with each stretch that rests on it, and then those on which no stretch does."""
    sources = [_source(chunk) for chunk in metadata.grounding_chunks or ()]
    used: set[int] = set()
    for support in metadata.grounding_supports or ():
        for index in support.grounding_chunk_indices or ():
            if 0 <= index < len(sources):
                used.add(index)
                yield support.segment or Segment(), sources[index]
    yield from ((Segment(), source) for index, source in enumerate(sources) if index not in used)


def _source(chunk: GroundingChunk) -> Citation:
    for source in (chunk.web, chunk.retrieved_context, chunk.maps, chunk.image):
        if source is not None:
            return Citation(source.uri or source.source_uri or "", source.title or "", source.text or "")
    return Citation()


def _recitations(metadata: CitationMetadata) -> Iterator[tuple[Segment, Citation]]:
    for source in (*(metadata.citation_sources or ()), *(metadata.citations or ())):
        if source.uri or source.title:
            yield Segment(source.start_index, source.end_index), Citation(source.uri or "", source.title or "")


def _written(source: Citation) -> dict[str, Any]:
    """Return a source: a page has an address and cannot be quoted, a document of the caller's has words."""
    if source.url:
        told = {"uri": source.url, "title": source.title}
        return {"web": {name: value for name, value in told.items() if value}}
    told = {"title": source.title, "text": source.quoted}
    return {"retrievedContext": {name: value for name, value in told.items() if value}}
