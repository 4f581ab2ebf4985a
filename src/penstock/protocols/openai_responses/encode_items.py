"""Output items and what stands in them, as a Responses client reads them (section 4.2 of docs/protocols.md).

An item is written three times: without content where it begins, whole where it ends, and whole in the last event. What
is large in it is encoded once and then passed around as raw JSON.
"""

from typing import Any

import msgspec
from msgspec import Raw

from penstock.core.events import Citation, PartKind, PartStart
from penstock.wire.payload import one_line

Members = dict[str, Any]

_NOTHING = Raw(b'""')


def encoded(value: Any) -> Raw:
    """Return a value as JSON on one line, to stand in several places."""
    return Raw(one_line(value))


def message(id_: str, content: list[Raw], status: str) -> Members:
    """Return a message of the assistant."""
    return {"id": id_, "type": "message", "role": "assistant", "status": status, "content": content}


def text_content(kind: PartKind, text: Raw, annotations: list[Raw], logprobs: list[Members]) -> Members:
    """Return what stands in a message: text, or a refusal, which has neither annotations nor log probabilities."""
    if kind == "refusal":
        return {"type": "refusal", "refusal": text}
    return {"type": "output_text", "text": text, "annotations": annotations, "logprobs": logprobs}


def empty_content(kind: PartKind) -> Members:
    """Return what stands in a message before any of it was said."""
    return text_content(kind, _NOTHING, [], [])


def reasoning(id_: str, summary: list[Members], seal: str | None) -> Members:
    """Return what the model thought. Clients send `encrypted_content` back, for its origin to know it again."""
    item: Members = {"id": id_, "type": "reasoning", "summary": summary}
    return item if seal is None else {**item, "encrypted_content": seal}


def summary_text(text: Raw = _NOTHING) -> Members:
    """Return a section of reasoning."""
    return {"type": "summary_text", "text": text}


def call(
    id_: str, part: PartStart, name: dict[str, str], given: Raw = _NOTHING, status: str = "in_progress"
) -> Members:
    """Return a call; `name` is how the client names the tool, and `given` its arguments, or the text for it."""
    custom = part.kind == "custom_call"
    return {
        "id": id_,
        "type": "custom_tool_call" if custom else "function_call",
        "call_id": part.id,
        **name,
        "input" if custom else "arguments": given,
        "status": status,
    }


def annotation(citation: Citation, begun: int, length: int) -> Members:
    """Return a citation of a part that begins `begun` characters into its text and is `length` characters long so far.

    Nobody may leave the offsets out: where none are known, it stands for all of the part that there is. One of the
    caller's own documents is told by its title, since no id of a file is known.
    """
    end = begun + (length if citation.end is None else citation.end)
    if not citation.url:
        return {"type": "file_citation", "file_id": "", "filename": citation.title, "index": end}
    return {
        "type": "url_citation",
        "url": citation.url,
        "title": citation.title,
        "start_index": begun + (citation.start or 0),
        "end_index": end,
    }


def as_text(pieces: list[str]) -> Raw:
    """Return pieces of a text as one JSON string."""
    return Raw(msgspec.json.encode("".join(pieces))) if pieces else _NOTHING
