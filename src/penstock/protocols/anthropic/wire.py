"""The wire types of Anthropic Messages, as far as the gateway reads them (https://docs.claude.com/en/api/messages).

Types of answers are loose: fields that nobody needs are left out, and a block or delta of an unknown type decodes.
Types of requests are closed: a value of the wrong shape is a 400 that names its path.
"""

from typing import Any, Literal

import msgspec
from msgspec import Struct

from penstock.core.request import CacheLifetime

# --- answers


class CacheCreation(Struct):
    """How long what was written to the prompt cache lives there."""

    ephemeral_5m_input_tokens: int | None = None
    ephemeral_1h_input_tokens: int | None = None


class OutputDetails(Struct):
    """What the output consists of."""

    thinking_tokens: int | None = None


class ServerToolUse(Struct):
    """How often the provider's own tools were used."""

    web_search_requests: int | None = None


class WireUsage(Struct):
    """Token counters: `input_tokens` is what was neither read from a cache nor written to one."""

    input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation: CacheCreation | None = None
    output_tokens: int | None = None
    output_tokens_details: OutputDetails | None = None
    server_tool_use: ServerToolUse | None = None
    service_tier: Any = None
    speed: Any = None


class WireCitation(Struct):
    """What a text block rests on: a place in one of the client's documents, or something that was found."""

    type: str = ""
    cited_text: str | None = None
    url: str | None = None
    source: str | None = None
    title: str | None = None
    document_title: str | None = None
    document_index: int | None = None


class Block(Struct):
    """A content block of an answer."""

    type: str = ""
    text: str | None = None
    citations: list[WireCitation] | None = None
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
    citation: WireCitation | None = None
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
    content: list[msgspec.Raw] | None = None
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


class CacheControl(Struct):
    """The end of a prefix that the provider may keep."""

    ttl: CacheLifetime | None = None


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
    cache_control: CacheControl | None = None


class ImageBlock(Struct, tag="image"):
    """An image."""

    source: Base64Source | UrlSource | FileSource
    cache_control: CacheControl | None = None


class ContentSource(Struct, tag="content"):
    """A document made of blocks."""

    content: str | list[TextBlock | ImageBlock]


class DocumentBlock(Struct, tag="document"):
    """A document; `context` is text about it that the model sees but may not cite."""

    source: Base64Source | UrlSource | TextSource | ContentSource | FileSource
    title: str | None = None
    context: str | None = None
    cache_control: CacheControl | None = None


class SearchResultBlock(Struct, tag="search_result"):
    """What the client's own search found."""

    content: list[TextBlock]
    source: str = ""
    title: str = ""
    cache_control: CacheControl | None = None


class ToolReferenceBlock(Struct, tag="tool_reference"):
    """A tool that the client's own search for tools found; the tool itself stands in `tools`."""

    tool_name: str
    cache_control: CacheControl | None = None


ShownBlock = TextBlock | ImageBlock | DocumentBlock | SearchResultBlock | ToolReferenceBlock
"""What a model is shown, in a message or in a tool's result."""


class ToolResultBlock(Struct, tag="tool_result"):
    """What a tool answered."""

    tool_use_id: str
    content: str | list[ShownBlock] | None = None
    is_error: bool | None = None
    cache_control: CacheControl | None = None


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
    cache_control: CacheControl | None = None


class CompactionBlock(Struct, tag="compaction"):
    """What the provider wrote to stand for the conversation before it."""

    content: str | None = None


class ContainerUploadBlock(Struct, tag="container_upload"):
    """An uploaded file for the provider's own sandbox."""


# What tools did that the provider ran itself. Nobody else can read it, so only its type matters.


class ServerToolUseBlock(Struct, tag="server_tool_use"):
    """A call."""


class WebSearchResultBlock(Struct, tag="web_search_tool_result"):
    """Pages that were found."""


class WebFetchResultBlock(Struct, tag="web_fetch_tool_result"):
    """A page that was read."""


class CodeResultBlock(Struct, tag="code_execution_tool_result"):
    """What a program printed."""


class BashResultBlock(Struct, tag="bash_code_execution_tool_result"):
    """What a command printed."""


class EditorResultBlock(Struct, tag="text_editor_code_execution_tool_result"):
    """What became of a file in the sandbox."""


class ToolSearchResultBlock(Struct, tag="tool_search_tool_result"):
    """Tools that were found."""


class AdvisorResultBlock(Struct, tag="advisor_tool_result"):
    """What another model advised."""


class McpToolUseBlock(Struct, tag="mcp_tool_use"):
    """A call of a tool on a server that the provider is connected to."""


class McpToolResultBlock(Struct, tag="mcp_tool_result"):
    """What that tool answered."""


class FallbackBlock(Struct, tag="fallback"):
    """From here on, another model of the provider answered."""


ServerBlock = (
    ServerToolUseBlock
    | WebSearchResultBlock
    | WebFetchResultBlock
    | CodeResultBlock
    | BashResultBlock
    | EditorResultBlock
    | ToolSearchResultBlock
    | AdvisorResultBlock
    | McpToolUseBlock
    | McpToolResultBlock
    | FallbackBlock
)

ContentBlock = (
    ShownBlock
    | ToolResultBlock
    | CompactionBlock
    | ContainerUploadBlock
    | ThinkingBlock
    | RedactedThinkingBlock
    | ToolUseBlock
)

InputBlock = ContentBlock | ServerBlock


class InputMessage(Struct):
    """One message of the conversation."""

    role: Literal["user", "assistant", "system"]
    content: str | list[InputBlock]


class ToolSpec(Struct):
    """A tool: the client's own, or (`type` has a date) one that the provider runs."""

    name: str = ""
    type: str | None = None
    description: str | None = None
    input_schema: dict[str, Any] | None = None
    strict: bool | None = None
    cache_control: CacheControl | None = None


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
    service_tier: Literal["auto", "standard_only"] | None = None
    cache_control: CacheControl | None = None
