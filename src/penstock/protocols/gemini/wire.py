"""The types of the Gemini API, as far as the gateway reads them.

Specification: https://ai.google.dev/api/generate-content. Requests arrive here after `spelling.camel_case`; a list
with one element may come as that element alone, as the API itself allows.
"""

from typing import Any

import msgspec
from msgspec import Struct

# --- requests --------------------------------------------------------------------------------------------------------


class Blob(Struct, rename="camel"):
    """Content in the request itself, as base64."""

    mime_type: str = ""
    data: str = ""
    display_name: str | None = None


class FileData(Struct, rename="camel"):
    """Content behind a URI."""

    file_uri: str = ""
    mime_type: str | None = None
    display_name: str | None = None


class MediaResolution(Struct):
    """How closely to look at one image, document or video."""

    level: str | None = None


class FunctionCall(Struct):
    """A call that the model made in an earlier turn."""

    name: str
    id: str | None = None
    args: dict[str, Any] | None = None


class FunctionResponsePart(Struct, rename="camel"):
    """Media beside a function's answer."""

    inline_data: Blob | None = None
    file_data: FileData | None = None


class FunctionResponse(Struct):
    """What a function answered."""

    name: str = ""
    id: str | None = None
    response: dict[str, Any] | None = None
    parts: list[FunctionResponsePart] | FunctionResponsePart | None = None


class Part(Struct, rename="camel", forbid_unknown_fields=True):
    """A part of a content: one of the payloads, and what is said about it."""

    text: str | None = None
    inline_data: Blob | None = None
    file_data: FileData | None = None
    function_call: FunctionCall | None = None
    function_response: FunctionResponse | None = None
    executable_code: Any = None
    code_execution_result: Any = None
    tool_call: Any = None
    tool_response: Any = None
    thought: bool | None = None
    thought_signature: str | None = None
    media_resolution: MediaResolution | None = None
    video_metadata: Any = None
    part_metadata: Any = None
    audio_transcription: Any = None
    media_processing: Any = None
    speech_metadata: Any = None
    document_metadata: Any = None
    spreadsheet_metadata: Any = None
    audio_metadata: Any = None


class Content(Struct):
    """One turn, or a piece of one."""

    parts: list[Part] | Part | None = None
    role: str | None = None


class FunctionDeclaration(Struct, rename="camel"):
    """A function the model may call."""

    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    parameters_json_schema: dict[str, Any] | None = None


class FunctionCallingConfig(Struct, rename="camel"):
    """Whether the model may or must call functions, and which."""

    mode: str | None = None
    allowed_function_names: list[str] | None = None


class ToolConfig(Struct, rename="camel"):
    """How tools are to be used."""

    function_calling_config: FunctionCallingConfig | None = None


class ThinkingConfig(Struct, rename="camel"):
    """How much to think, and whether to show it."""

    include_thoughts: bool | None = None
    thinking_budget: int | float | None = None
    thinking_level: str | None = None


class GenerationConfig(Struct, rename="camel"):
    """Sampling, limits and format of the answer."""

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | float | None = None
    candidate_count: int | float | None = None
    max_output_tokens: int | float | None = None
    stop_sequences: list[str] | None = None
    seed: int | float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    response_logprobs: bool | None = None
    logprobs: int | float | None = None
    response_mime_type: str | None = None
    response_schema: dict[str, Any] | None = None
    response_json_schema: dict[str, Any] | None = None
    alternate_json_schema: dict[str, Any] | None = msgspec.field(name="_responseJsonSchema", default=None)
    response_modalities: list[str] | None = None
    media_resolution: str | None = None
    thinking_config: ThinkingConfig | None = None


class Request(Struct, rename="camel"):
    """The body of a request, but for what is refused or dropped by its name alone."""

    contents: list[Content] | Content | None = None
    system_instruction: Content | None = None
    tools: list[dict[str, Any]] | dict[str, Any] | None = None
    tool_config: ToolConfig | None = None
    generation_config: GenerationConfig | None = None
    service_tier: str | None = None


# --- answers ---------------------------------------------------------------------------------------------------------


class PartialArg(Struct, rename="camel"):
    """A piece of one argument of a call that is streamed in pieces (only where a client asked for it)."""

    json_path: str = ""
    string_value: str | None = None
    number_value: int | float | None = None
    bool_value: bool | None = None


class CallMade(Struct, rename="camel"):
    """A call the model makes, or a piece of one."""

    id: str | None = None
    name: str | None = None
    args: msgspec.Raw = msgspec.Raw()
    partial_args: list[PartialArg] | None = None
    will_continue: bool | None = None


class MediaMade(Struct, rename="camel"):
    """What an image that the model made is."""

    mime_type: str | None = None


class PartMade(Struct, rename="camel"):
    """A part of an answer. A part with neither text nor a call is one that no other protocol has a place for."""

    text: str | None = None
    thought: bool | None = None
    thought_signature: str | None = None
    function_call: CallMade | None = None
    inline_data: MediaMade | None = None
    file_data: MediaMade | None = None


class ContentMade(Struct):
    """The new parts in a chunk."""

    parts: list[PartMade] | None = None


class Candidate(Struct, rename="camel"):
    """An answer, or the news of it."""

    content: ContentMade | None = None
    finish_reason: str | None = None
    finish_message: str | None = None
    index: int | None = None
    grounding_metadata: msgspec.Raw = msgspec.Raw()
    citation_metadata: msgspec.Raw = msgspec.Raw()
    logprobs_result: msgspec.Raw = msgspec.Raw()


class Segment(Struct, rename="camel"):
    """A stretch of an answer. Offsets count UTF-8 bytes; the start is left out where it is 0."""

    start_index: int | None = None
    end_index: int | None = None
    text: str | None = None


class Source(Struct, rename="camel"):
    """What a search found: a page, a document of the caller's store, a place, or an image."""

    uri: str | None = None
    source_uri: str | None = None
    title: str | None = None
    text: str | None = None


class GroundingChunk(Struct, rename="camel"):
    """One source, under the name of its kind."""

    web: Source | None = None
    retrieved_context: Source | None = None
    maps: Source | None = None
    image: Source | None = None


class GroundingSupport(Struct, rename="camel"):
    """Which sources a stretch of the answer rests on."""

    segment: Segment | None = None
    grounding_chunk_indices: list[int] | None = None


class GroundingMetadata(Struct, rename="camel"):
    """What an answer that the provider searched for rests on."""

    grounding_chunks: list[GroundingChunk] | None = None
    grounding_supports: list[GroundingSupport] | None = None
    web_search_queries: list[Any] | None = None
    image_search_queries: list[Any] | None = None


class Recited(Struct, rename="camel"):
    """A stretch of the answer that stands word for word in a source known from training."""

    start_index: int | None = None
    end_index: int | None = None
    uri: str | None = None
    title: str | None = None


class CitationMetadata(Struct, rename="camel"):
    """All of those; the two services name the list differently."""

    citation_sources: list[Recited] | None = None
    citations: list[Recited] | None = None


class WeighedToken(Struct, rename="camel"):
    """A token and how likely it was."""

    token: str | None = None
    log_probability: float | None = None


class WeighedTokens(Struct):
    """The likeliest tokens in one place."""

    candidates: list[WeighedToken] | None = None


class LogprobsResult(Struct, rename="camel"):
    """The tokens of an answer, and what might have stood in their places."""

    chosen_candidates: list[WeighedToken] | None = None
    top_candidates: list[WeighedTokens] | None = None


class PromptFeedback(Struct, rename="camel"):
    """Why the prompt got no answer."""

    block_reason: str | None = None


class ModalityCount(Struct, rename="camel"):
    """How many tokens are of one kind."""

    modality: str | None = None
    token_count: int | None = None


class UsageMetadata(Struct, rename="camel"):
    """Running totals. `prompt` includes what was cached; `candidates` excludes thoughts."""

    prompt_token_count: int | None = None
    cached_content_token_count: int | None = None
    candidates_token_count: int | None = None
    thoughts_token_count: int | None = None
    tool_use_prompt_token_count: int | None = None
    prompt_tokens_details: list[ModalityCount] | None = None
    cache_tokens_details: list[ModalityCount] | None = None
    candidates_tokens_details: list[ModalityCount] | None = None
    service_tier: Any = None
    traffic_type: Any = None


class Chunk(Struct, rename="camel"):
    """A GenerateContentResponse: a whole answer, or a chunk of one; or an error in its place."""

    candidates: list[Candidate] | None = None
    prompt_feedback: PromptFeedback | None = None
    usage_metadata: UsageMetadata | None = None
    model_version: str | None = None
    response_id: str | None = None
    error: msgspec.Raw = msgspec.Raw()
