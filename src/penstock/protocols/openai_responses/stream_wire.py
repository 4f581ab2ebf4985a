"""The JSON of answers of the Responses API: its response object and the events of its stream, in all their dialects.

Every field may be missing or null. What stands in `Raw` is decoded only where its type is one that is read, so that
items of hosted tools, whose fields of the same names hold other things, disturb nothing.

Source: https://platform.openai.com/docs/api-reference/responses and responses-streaming; section 4 of
docs/protocols.md.
"""

from typing import Any

from msgspec import Raw, Struct

from penstock.protocols.openai_logprobs import Logprob
from penstock.protocols.openai_usage import InputDetails, OutputDetails

NULL = Raw(b"null")

Arguments = str | dict[str, Raw]
"""Of a call: JSON text, or, as some servers have it, an object, whose numbers are kept as they came."""


class Usage(Struct, frozen=True, gc=False):
    """Counters in tokens; input includes what was read from a cache and written to it, output includes reasoning."""

    input_tokens: int | None = None
    input_tokens_details: InputDetails | None = None
    output_tokens: int | None = None
    output_tokens_details: OutputDetails | None = None


class Annotation(Struct, frozen=True, gc=False):
    """What a stretch of text rests on: a page (`url`), or a file (`filename`)."""

    type: str = ""
    url: str | None = None
    title: str | None = None
    filename: str | None = None
    start_index: int | None = None
    end_index: int | None = None
    index: int | None = None


class Content(Struct, frozen=True, gc=False):
    """A piece of a message or of reasoning."""

    type: str = ""
    text: str | None = None
    refusal: str | None = None
    annotations: list[Raw] | None = None
    logprobs: list[Logprob] | None = None


class Item(Struct, frozen=True):
    """A message, a call or reasoning."""

    type: str = ""
    id: str | None = None
    call_id: str | None = None
    name: str | None = None
    namespace: str | None = None
    arguments: Arguments | None = None
    input: str | None = None
    content: list[Content] | None = None
    summary: list[Content] | None = None
    encrypted_content: str | None = None


class ItemHead(Struct, frozen=True, gc=False):
    """What tells whether an item is one that is read, and whether it has been seen before."""

    type: str = ""
    id: str | None = None
    call_id: str | None = None
    action: Any = None


class IncompleteDetails(Struct, frozen=True, gc=False):
    """Why an answer is incomplete."""

    reason: str | None = None


class Response(Struct, frozen=True):
    """The answer, at the beginning of a stream, at its end, or as a whole body."""

    id: str | None = None
    model: str | None = None
    status: str | None = None
    output: list[Raw] | None = None
    error: Raw = NULL
    incomplete_details: IncompleteDetails | None = None
    usage: Usage | None = None
    service_tier: Any = None


class StreamEvent(Struct, frozen=True):
    """Any event of a stream. A body that is a whole answer has `object` and no `type`."""

    type: str = ""
    object: str | None = None
    item_id: str | None = None
    output_index: int | None = None
    content_index: int | None = None
    summary_index: int | None = None
    delta: str | None = None
    text: str | None = None
    refusal: str | None = None
    arguments: Arguments | None = None
    input: str | None = None
    logprobs: list[Logprob] | None = None
    annotation: Raw = NULL
    part: Raw = NULL
    item: Raw = NULL
    response: Response | None = None
    error: Raw = NULL


class InputTokens(Struct, frozen=True):
    """The answer to the question how many tokens an input has."""

    input_tokens: int


def is_given(value: Raw) -> bool:
    """Whether a field that stays raw holds anything."""
    return bytes(value) != b"null"
