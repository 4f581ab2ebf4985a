"""Citations as Chat Completions spells them: `annotations` of the message, whose offsets count over all of its text.

The protocol knows addresses only, and its SDKs' types demand one: what rests on a document of the caller's own is left
out, since an annotation with an empty address would be shown as a link.
"""

from typing import Any, cast

import msgspec
from msgspec import Struct

from penstock.core.events import Citation


class _UrlCitation(Struct, frozen=True):
    """A stretch of the message, and where it comes from. Routers add `content`, the source's own words."""

    url: str = ""
    title: str | None = None
    start_index: int | None = None
    end_index: int | None = None
    content: str | None = None


class _Annotation(Struct, frozen=True):
    """Some servers, of which there are annotations of other types, too, leave out the inner object."""

    url_citation: _UrlCitation | None = None


def read_citations(annotations: Any) -> list[Citation]:
    """Return the citations of addresses in a message's or a delta's annotations, with the message's offsets."""
    citations: list[Citation] = []
    for annotation in cast("list[Any]", annotations) if isinstance(annotations, list) else ():
        try:
            told = msgspec.convert(annotation, _Annotation, strict=False).url_citation
        except msgspec.ValidationError:
            continue
        if told is not None and told.url:
            quoted = told.content or ""
            citations.append(Citation(told.url, told.title or "", quoted, told.start_index, told.end_index))
    return citations


def within(citation: Citation, begun: int) -> Citation:
    """Return a citation with the offsets of a part that begins `begun` characters into the message."""
    start, end = citation.start, citation.end
    if start is None or end is None or not begun <= start < end:  # 0 and 0 where a server does not know
        return Citation(citation.url, citation.title, citation.quoted)
    return Citation(citation.url, citation.title, citation.quoted, start - begun, end - begun)


def write_citation(citation: Citation, begun: int, length: int) -> dict[str, Any] | None:
    """Return the annotation for a citation in a part that begins `begun` characters into the message.

    Nobody may leave the offsets out: where none are known, the citation stands for the `length` characters of the
    part that there are so far. None is returned for what has no address.
    """
    if not citation.url:
        return None
    start = 0 if citation.start is None else citation.start
    end = length if citation.end is None else citation.end
    told: dict[str, Any] = {
        "url": citation.url,
        "title": citation.title,
        "start_index": begun + start,
        "end_index": begun + end,
    }
    if citation.quoted:
        told["content"] = citation.quoted
    return {"type": "url_citation", "url_citation": told}
