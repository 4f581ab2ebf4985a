"""The JSON of Chat Completions, as far as the gateway reads it: requests strictly, answers in all their dialects.

Source: https://platform.openai.com/docs/api-reference/chat; dialects: section 10 of docs/protocols.md.
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct, field

from penstock.core.request import Effort
from penstock.protocols.openai_content import CacheBreakpoint, Sound
from penstock.protocols.openai_usage import InputDetails, OutputDetails

# --- requests ------------------------------------------------------------------------------------------------------


class StreamOptions(Struct, frozen=True):
    """What may be added to a stream."""

    include_usage: bool | None = None


class Opening(Struct, frozen=True):
    """What every request must have right, also one that is passed through."""

    model: Annotated[str, Meta(min_length=1)]
    stream: bool | None = None
    stream_options: StreamOptions | None = None


class CacheControl(Struct, frozen=True):
    """The mark that Anthropic's models know, as compatible routers take it: the prefix that ends here may be kept."""

    ttl: Literal["5m", "1h"] | None = None


class TextPart(Struct, frozen=True, tag_field="type", tag="text"):
    """Text."""

    text: str
    prompt_cache_breakpoint: CacheBreakpoint | None = None
    cache_control: CacheControl | None = None


class RefusalPart(Struct, frozen=True, tag_field="type", tag="refusal"):
    """What the model said when it declined."""

    refusal: str


class ImageUrl(Struct, frozen=True):
    """An address or a data URL."""

    url: str
    detail: str | None = None


class ImagePart(Struct, frozen=True, tag_field="type", tag="image_url"):
    """An image."""

    image_url: ImageUrl
    prompt_cache_breakpoint: CacheBreakpoint | None = None
    cache_control: CacheControl | None = None


class FileContent(Struct, frozen=True):
    """A document: a data URL, or the id of an upload."""

    file_data: str | None = None
    file_id: str | None = None
    filename: str | None = None


class FilePart(Struct, frozen=True, tag_field="type", tag="file"):
    """A document."""

    file: FileContent
    prompt_cache_breakpoint: CacheBreakpoint | None = None
    cache_control: CacheControl | None = None


class SoundPart(Struct, frozen=True, tag_field="type", tag="input_audio"):
    """A sound."""

    input_audio: Sound
    prompt_cache_breakpoint: CacheBreakpoint | None = None
    cache_control: CacheControl | None = None


UserPart = TextPart | ImagePart | FilePart | SoundPart
AssistantPart = TextPart | RefusalPart


class SystemMessage(Struct, frozen=True, tag_field="role", tag="system"):
    """Instructions."""

    content: str | list[TextPart]
    name: str | None = None
    cache_control: CacheControl | None = None


class DeveloperMessage(Struct, frozen=True, tag_field="role", tag="developer"):
    """Instructions, by their newer name."""

    content: str | list[TextPart]
    name: str | None = None
    cache_control: CacheControl | None = None


class UserMessage(Struct, frozen=True, tag_field="role", tag="user"):
    """What the user said."""

    content: str | list[UserPart]
    name: str | None = None
    cache_control: CacheControl | None = None


class CalledFunction(Struct, frozen=True):
    """The function that was called; `arguments` should be the text of a JSON object."""

    name: str
    arguments: str | None = None


class FunctionCall(Struct, frozen=True, tag_field="type", tag="function"):
    """A call of a function."""

    id: Annotated[str, Meta(min_length=1)]
    function: CalledFunction


class CalledCustom(Struct, frozen=True):
    """The custom tool that was called, and the text that it was given."""

    name: str
    input: str = ""


class CustomCall(Struct, frozen=True, tag_field="type", tag="custom"):
    """A call of a tool that takes free text."""

    id: Annotated[str, Meta(min_length=1)]
    custom: CalledCustom


class ReasoningDetail(Struct, frozen=True):
    """An entry of `reasoning_details`: text with a signature, a summary, or encrypted reasoning."""

    type: str = ""
    text: str | None = None
    summary: str | None = None
    signature: str | None = None
    data: str | None = None
    index: int | None = None


class AssistantMessage(Struct, frozen=True, tag_field="role", tag="assistant"):
    """An earlier answer."""

    content: str | list[AssistantPart] | None = None
    refusal: str | None = None
    tool_calls: list[FunctionCall | CustomCall] | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    reasoning_details: list[ReasoningDetail] | None = None
    audio: Any = None
    function_call: Any = None
    name: str | None = None
    cache_control: CacheControl | None = None


class ToolMessage(Struct, frozen=True, tag_field="role", tag="tool"):
    """What a tool answered."""

    tool_call_id: str
    content: str | list[UserPart] | None = None
    cache_control: CacheControl | None = None


class FunctionMessage(Struct, frozen=True, tag_field="role", tag="function"):
    """What a function answered, before there were tools."""


Message = SystemMessage | DeveloperMessage | UserMessage | AssistantMessage | ToolMessage | FunctionMessage


class Function(Struct, frozen=True):
    """A function the model may call; `parameters` is JSON Schema."""

    name: Annotated[str, Meta(min_length=1)]
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class FunctionTool(Struct, frozen=True, tag_field="type", tag="function"):
    """A function as a tool."""

    function: Function
    cache_control: CacheControl | None = None


class Custom(Struct, frozen=True):
    """A custom tool; `format` says what its text must look like."""

    name: Annotated[str, Meta(min_length=1)]
    description: str | None = None
    format: dict[str, Any] | None = None


class CustomTool(Struct, frozen=True, tag_field="type", tag="custom"):
    """A tool that takes free text."""

    custom: Custom
    cache_control: CacheControl | None = None


class ToolName(Struct, frozen=True):
    """One tool, by its name."""

    name: str


class FunctionChoice(Struct, frozen=True, tag_field="type", tag="function"):
    """The model must call this function."""

    function: ToolName


class CustomChoice(Struct, frozen=True, tag_field="type", tag="custom"):
    """The model must call this custom tool."""

    custom: ToolName


class AllowedTools(Struct, frozen=True):
    """Some of the tools, and whether one of them must be called."""

    mode: Literal["auto", "required"]
    tools: Annotated[list[FunctionChoice | CustomChoice], Meta(min_length=1)]


class AllowedChoice(Struct, frozen=True, tag_field="type", tag="allowed_tools"):
    """The model may call these tools only."""

    allowed_tools: AllowedTools


ToolChoice = Literal["none", "auto", "required"] | FunctionChoice | CustomChoice | AllowedChoice | None


class TextFormat(Struct, frozen=True, tag_field="type", tag="text"):
    """Plain text."""


class JsonFormat(Struct, frozen=True, tag_field="type", tag="json_object"):
    """Some JSON object."""


class Schema(Struct, frozen=True):
    """JSON Schema with a name."""

    name: str = "response"
    schema: dict[str, Any] = {}
    strict: bool | None = None
    description: str | None = None


class SchemaFormat(Struct, frozen=True, tag_field="type", tag="json_schema"):
    """JSON that fits a schema."""

    json_schema: Schema


PositiveInt = Annotated[int, Meta(ge=1)]


class Request(Struct, frozen=True):
    """A request, without what is refused or only a hint."""

    messages: list[Message]
    tools: list[FunctionTool | CustomTool] | None = None
    tool_choice: ToolChoice = None
    parallel_tool_calls: bool | None = None
    max_completion_tokens: PositiveInt | None = None
    max_tokens: PositiveInt | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    seed: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    stop: str | list[str] | None = None
    response_format: TextFormat | JsonFormat | SchemaFormat | None = None
    reasoning_effort: Effort | None = None
    verbosity: Literal["low", "medium", "high"] | None = None
    safety_identifier: str | None = None
    user: str | None = None
    n: PositiveInt | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Meta(ge=0)] | None = None
    service_tier: str | None = None
    prompt_cache_key: str | None = None
    metadata: dict[str, Any] | None = None
    cache_control: CacheControl | None = None


# --- answers -------------------------------------------------------------------------------------------------------


class Thought(Struct, frozen=True, gc=False):
    """A piece of text inside a thinking piece."""

    text: str | None = None


class ContentPiece(Struct, frozen=True, gc=False):
    """A piece of content that is an array: text, or thinking that is an array again."""

    type: str = "text"
    text: str | None = None
    thinking: str | list[Thought] | None = None


class FunctionDelta(Struct, frozen=True, gc=False):
    """A fragment of a call; some servers give the arguments as an object, whose numbers are kept as they came."""

    name: str | None = None
    arguments: str | dict[str, msgspec.Raw] | None = None


class CustomDelta(Struct, frozen=True, gc=False):
    """A fragment of a call of a custom tool."""

    name: str | None = None
    input: str | None = None


class ToolCallDelta(Struct, frozen=True, gc=False):
    """A fragment of a tool call. `extra_content` is a seal some servers put on a call."""

    index: int | None = None
    id: str | None = None
    function: FunctionDelta | None = None
    custom: CustomDelta | None = None
    extra_content: dict[str, Any] | None = None


class Delta(Struct, frozen=True, gc=False):
    """An increment, or a whole message. Annotations have a shape of their own (citations.py)."""

    content: str | list[ContentPiece] | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    reasoning_details: list[ReasoningDetail] | None = None
    refusal: str | None = None
    tool_calls: list[ToolCallDelta] | None = None
    annotations: Any = None


class Usage(Struct, frozen=True, gc=False):
    """Counters: the standard ones, and those of dialects that put cached tokens elsewhere."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    prompt_tokens_details: InputDetails | None = None
    completion_tokens_details: OutputDetails | None = None
    prompt_cache_hit_tokens: int | None = None
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    num_search_queries: int | None = None


class Choice(Struct, frozen=True, gc=False):
    """One of the answers. Servers that ignore `stream` give a `message` where a `delta` belongs.

    Log probabilities have a shape of their own (logprobs.py). Some put a delta's annotations here.
    """

    index: int | None = None
    delta: Delta | None = None
    message: Delta | None = None
    finish_reason: str | None = None
    usage: Usage | None = None
    logprobs: Any = None
    annotations: Any = None


class Extension(Struct, frozen=True, gc=False):
    """A vendor's extension that may hold usage."""

    usage: Usage | None = None


class Chunk(Struct, frozen=True, gc=False):
    """One event of a stream, or a whole answer."""

    id: str | None = None
    model: str | None = None
    object: str | None = None
    choices: list[Choice] | None = None
    usage: Usage | None = None
    extension: Extension | None = field(name="x_groq", default=None)
    service_tier: Any = None
    error: Any = None
