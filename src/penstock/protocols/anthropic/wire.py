"""The wire types of Anthropic Messages, as far as the gateway reads them (https://docs.claude.com/en/api/messages).

Types of answers are loose: fields that nobody needs are left out, and a block or delta of an unknown type decodes.
Types of requests are closed: a value of the wrong shape is a 400 that names its path.
"""

from typing import Any, Literal

import msgspec
from msgspec import Struct

# --- answers


class CacheCreation(Struct):
    """How long what was written to the prompt cache lives there."""

    ephemeral_5m_input_tokens: int | None = None
    ephemeral_1h_input_tokens: int | None = None


class OutputDetails(Struct):
    """What the output consists of."""

    thinking_tokens: int | None = None


class WireUsage(Struct):
    """Token counters: `input_tokens` is what was neither read from a cache nor written to one."""

    input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation: CacheCreation | None = None
    output_tokens: int | None = None
    output_tokens_details: OutputDetails | None = None


class Block(Struct):
    """A content block of an answer."""

    type: str = ""
    text: str | None = None
    thinking: str | None = None
    signature: str | None = None
    data: str | None = None
    id: str | None = None
    name: str | None = None
    input: msgspec.Raw = msgspec.Raw()


class BlockDelta(Struct):
    """The `delta` of `content_block_delta` and of `message_delta`."""

    type: str = ""
    text: str | None = None
    thinking: str | None = None
    signature: str | None = None
    partial_json: str | None = None
    stop_reason: str | None = None
    stop_sequence: str | None = None
    stop_details: "StopDetails | None" = None


class StopDetails(Struct):
    """Why the model refused."""

    explanation: str | None = None


class Message(Struct):
    """A whole answer, or the empty one in `message_start`."""

    id: str | None = None
    model: str | None = None
    content: list[Block] | None = None
    usage: WireUsage | None = None
    stop_reason: str | None = None
    stop_sequence: str | None = None
    stop_details: StopDetails | None = None


class StreamEvent(Struct):
    """Any event of a stream; `error` only says whether there is one."""

    type: str = ""
    index: int = 0
    delta: BlockDelta | None = None
    content_block: Block | None = None
    message: Message | None = None
    usage: WireUsage | None = None
    error: Any = None


# --- requests


class Base64Source(Struct, tag="base64"):
    """Content in the request itself."""

    media_type: str
    data: str


class UrlSource(Struct, tag="url"):
    """Content that the provider fetches."""

    url: str


class TextSource(Struct, tag="text"):
    """A document of plain text."""

    data: str
    media_type: str = "text/plain"


class FileSource(Struct, tag="file"):
    """A file that was uploaded to one provider."""

    file_id: str = ""


class TextBlock(Struct, tag="text"):
    """Text."""

    text: str


class ImageBlock(Struct, tag="image"):
    """An image."""

    source: Base64Source | UrlSource | FileSource


class ContentSource(Struct, tag="content"):
    """A document made of blocks."""

    content: str | list[TextBlock | ImageBlock]


class DocumentBlock(Struct, tag="document"):
    """A document; `context` is text about it that the model sees but may not cite."""

    source: Base64Source | UrlSource | TextSource | ContentSource | FileSource
    title: str | None = None
    context: str | None = None


class SearchResultBlock(Struct, tag="search_result"):
    """What the client's own search found."""

    content: list[TextBlock]
    source: str = ""
    title: str = ""


class ToolResultBlock(Struct, tag="tool_result"):
    """What a tool answered."""

    tool_use_id: str
    content: str | list[TextBlock | ImageBlock | DocumentBlock | SearchResultBlock] | None = None
    is_error: bool | None = None


class ThinkingBlock(Struct, tag="thinking"):
    """What the model thought, signed by its provider."""

    thinking: str = ""
    signature: str = ""


class RedactedThinkingBlock(Struct, tag="redacted_thinking"):
    """What the model thought, encrypted by its provider."""

    data: str = ""


class ToolUseBlock(Struct, tag="tool_use"):
    """A call of a tool."""

    id: str
    name: str
    input: msgspec.Raw = msgspec.Raw(b"{}")


InputBlock = (
    TextBlock
    | ImageBlock
    | DocumentBlock
    | SearchResultBlock
    | ToolResultBlock
    | ThinkingBlock
    | RedactedThinkingBlock
    | ToolUseBlock
)


class InputMessage(Struct):
    """One message of the conversation."""

    role: Literal["user", "assistant", "system"]
    content: str | list[InputBlock]


class ToolSpec(Struct):
    """A tool: the client's own, or (`type` has a date) one that the provider runs."""

    name: str
    type: str | None = None
    description: str | None = None
    input_schema: dict[str, Any] | None = None
    strict: bool | None = None


class ToolChoiceSpec(Struct):
    """Which tools may or must be called."""

    type: Literal["auto", "any", "none", "tool"]
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


class ThinkingSpec(Struct):
    """How to think."""

    type: Literal["enabled", "adaptive", "disabled", "between_tools"]
    budget_tokens: int | None = None
    display: str | None = None  # summarized, omitted; betas add more ways to be shown


class FormatSpec(Struct):
    """What the answer must look like."""

    type: Literal["json_schema"]
    schema: dict[str, Any]


class OutputConfig(Struct):
    """How much effort to make, and what the answer must look like."""

    effort: Literal["low", "medium", "high", "xhigh", "max"] | None = None
    format: FormatSpec | None = None


class Metadata(Struct):
    """Who the request is for."""

    user_id: str | None = None


class Envelope(Struct):
    """What passthrough needs to know of a body."""

    model: str = ""
    stream: bool | None = None


class Body(Struct):
    """A request body; `max_tokens` and `messages` are required, which the reader checks to say so in one way."""

    messages: list[InputMessage] | None = None
    max_tokens: int | None = None
    system: str | list[TextBlock] | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop_sequences: list[str] | None = None
    tools: list[ToolSpec] | None = None
    tool_choice: ToolChoiceSpec | None = None
    thinking: ThinkingSpec | None = None
    output_config: OutputConfig | None = None
    output_format: FormatSpec | None = None
    metadata: Metadata | None = None
