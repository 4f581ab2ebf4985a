"""The JSON of a Responses request, as far as it means something in other protocols (section 4.1 of docs/protocols.md).

The types follow those of the openai SDK 3.54 (`types/responses`). Items and tools are decoded one by one, each by its
own type, so that those of types that only one provider knows can be told from those that are wrong.
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from penstock.core.request import Effort
from penstock.protocols.openai_content import CacheBreakpoint, Sound

Named = Annotated[str, Meta(min_length=1)]
PositiveInt = Annotated[int, Meta(ge=1)]

# --- the request ---------------------------------------------------------------------------------------------------


class Opening(Struct, frozen=True):
    """What every request must have right, also one that is passed through."""

    model: Named
    stream: bool | None = None


class ReasoningSpec(Struct, frozen=True):
    """How to think. `generate_summary` is an old name of `summary`."""

    effort: Effort | None = None
    summary: Literal["auto", "concise", "detailed"] | None = None
    generate_summary: Literal["auto", "concise", "detailed"] | None = None
    context: str | None = None
    mode: str | None = None


class PlainFormat(Struct, frozen=True, tag_field="type", tag="text"):
    """Plain text."""


class JsonFormat(Struct, frozen=True, tag_field="type", tag="json_object"):
    """Some JSON object."""


class SchemaFormat(Struct, frozen=True, tag_field="type", tag="json_schema"):
    """JSON that fits a schema."""

    name: Named
    schema: dict[str, Any]
    strict: bool | None = None
    description: str | None = None


class TextSpec(Struct, frozen=True):
    """What the text of the answer is to look like."""

    format: PlainFormat | JsonFormat | SchemaFormat | None = None
    verbosity: Literal["low", "medium", "high"] | None = None


class StreamOptions(Struct, frozen=True):
    """What may be added to a stream. Padding against those who measure its packets is not."""

    include_obfuscation: bool | None = None


class Request(Struct, frozen=True):
    """A request, without what is refused or only a hint."""

    input: str | list[msgspec.Raw]
    instructions: str | None = None
    tools: list[msgspec.Raw] | None = None
    tool_choice: "Literal['none', 'auto', 'required'] | Choice | None" = None
    parallel_tool_calls: bool | None = None
    max_output_tokens: PositiveInt | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    include: list[str] | None = None
    reasoning: ReasoningSpec | None = None
    text: TextSpec | None = None
    truncation: Literal["auto", "disabled"] | None = None
    stream_options: StreamOptions | None = None
    metadata: dict[str, str] | None = None
    service_tier: str | None = None
    prompt_cache_key: str | None = None
    safety_identifier: str | None = None
    user: str | None = None
    store: bool | None = None


# --- content -------------------------------------------------------------------------------------------------------


class InputText(Struct, frozen=True, tag_field="type", tag="input_text"):
    """Text that was said to the model."""

    text: str
    prompt_cache_breakpoint: CacheBreakpoint | None = None


class OutputText(Struct, frozen=True, tag_field="type", tag="output_text"):
    """Text that the model said."""

    text: str


class RefusalContent(Struct, frozen=True, tag_field="type", tag="refusal"):
    """What the model said when it declined."""

    refusal: str


class InputImage(Struct, frozen=True, tag_field="type", tag="input_image"):
    """An image by its address, in a data URL, or by the id of an upload."""

    image_url: str | None = None
    file_id: str | None = None
    detail: str | None = None
    prompt_cache_breakpoint: CacheBreakpoint | None = None


class InputFile(Struct, frozen=True, tag_field="type", tag="input_file"):
    """A document in a data URL, by its address, or by the id of an upload."""

    file_data: str | None = None
    file_url: str | None = None
    file_id: str | None = None
    filename: str | None = None
    detail: str | None = None
    prompt_cache_breakpoint: CacheBreakpoint | None = None


class InputAudio(Struct, frozen=True, tag_field="type", tag="input_audio"):
    """A sound."""

    input_audio: Sound


Content = InputText | OutputText | RefusalContent | InputImage | InputFile | InputAudio
Shown = InputText | InputImage | InputFile

# --- items ---------------------------------------------------------------------------------------------------------


class Kind(Struct, frozen=True):
    """What an item, a tool or a choice is."""

    type: str | None = None


class MessageItem(Struct, frozen=True):
    """What somebody said; `type` may be left out. `phase` says whether an answer was meant as the last one."""

    role: Literal["user", "assistant", "system", "developer"]
    content: str | list[Content]
    phase: str | None = None


class FunctionCall(Struct, frozen=True):
    """A call of a function; `arguments` should be the text of a JSON object."""

    call_id: Named
    name: Named
    arguments: str = ""
    namespace: str | None = None


class CustomCall(Struct, frozen=True):
    """A call of a tool that takes free text."""

    call_id: Named
    name: Named
    input: str = ""
    namespace: str | None = None


class CallOutput(Struct, frozen=True):
    """What a tool answered."""

    call_id: Named
    output: str | list[Shown]


class Piece(Struct, frozen=True):
    """A piece of reasoning, told or summarized."""

    text: str = ""


class ReasoningItem(Struct, frozen=True):
    """What the model thought."""

    summary: list[Piece] | None = None
    content: list[Piece] | None = None
    encrypted_content: str | None = None


# --- tools ---------------------------------------------------------------------------------------------------------


TOOL_HINTS = ("allowed_callers", "defer_loading", "output_schema")
"""Members of tools that are hints."""


class FunctionTool(Struct, frozen=True):
    """A function the model may call; `parameters` is JSON Schema."""

    name: Named
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None
    allowed_callers: Any = None
    defer_loading: Any = None
    output_schema: Any = None


class AnyText(Struct, frozen=True, tag_field="type", tag="text"):
    """The text for a custom tool may be anything."""


class Grammar(Struct, frozen=True, tag_field="type", tag="grammar"):
    """The text for a custom tool must follow a grammar."""

    syntax: str
    definition: str


class CustomTool(Struct, frozen=True):
    """A tool that takes free text."""

    name: Named
    description: str | None = None
    format: AnyText | Grammar | None = None
    allowed_callers: Any = None
    defer_loading: Any = None
    output_schema: Any = None


class Namespace(Struct, frozen=True):
    """Tools under a name of their own."""

    name: Named
    tools: list[msgspec.Raw]
    description: str | None = None


class Choice(Struct, frozen=True):
    """A tool by its name, or by its type if the provider runs it; or some tools, and whether one must be called."""

    type: str
    name: str | None = None
    namespace: str | None = None
    mode: Literal["auto", "required"] | None = None
    tools: "list[Choice]" = []
