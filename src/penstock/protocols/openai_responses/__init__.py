"""OpenAI Responses, both directions. Specification: https://platform.openai.com/docs/api-reference/responses.

towards a client      read_request, read_items, read_tools, encode, encode_items, encode_response, state, background
towards a provider    write_request, write_items, forward_request, decode, decode_items
both                  namespaces, usage, count_tokens; errors and lists of models as in Chat Completions
"""

from penstock.protocols.base import Counting, WireProtocol
from penstock.protocols.openai_errors import read_error, write_error
from penstock.protocols.openai_listing import write_model, write_models
from penstock.protocols.openai_responses.background import BACKGROUND
from penstock.protocols.openai_responses.count_tokens import counting_request, read_count
from penstock.protocols.openai_responses.decode import Decoder, read_response, usage_only
from penstock.protocols.openai_responses.encode import Encoder, write_response
from penstock.protocols.openai_responses.encode_response import write_count
from penstock.protocols.openai_responses.forward_request import forward_request
from penstock.protocols.openai_responses.read_request import open_request, read_request
from penstock.protocols.openai_responses.state import KEEPING
from penstock.protocols.openai_responses.write_request import write_request

PROTOCOL = WireProtocol(
    name="openai-responses",
    open_request=open_request,
    read_request=read_request,
    write_request=write_request,
    forward_request=forward_request,
    decoder=Decoder,
    encoder=Encoder,
    read_response=read_response,
    write_response=write_response,
    read_error=read_error,
    write_error=write_error,
    usage_only=usage_only,
    write_model=write_model,
    write_models=write_models,
    base="/openai",
    path="/responses",
    auth="bearer",
    continued=b'{"penstock":{"attempts":%d}}',
    content_marks=(b"{",),
    hints=("/responses",),
    counting=Counting(
        path="/responses/input_tokens",
        open_request=open_request,
        outbound=counting_request,
        read_response=read_count,
        write_response=write_count,
    ),
    keeping=KEEPING,
    background=BACKGROUND,
    params={
        "messages": "input",
        "max_tokens": "max_output_tokens",
        "response_format": "text.format",
        "reasoning_effort": "reasoning.effort",
        "include_reasoning": "reasoning.summary",
        "verbosity": "text.verbosity",
        "logprobs": "include",
        "cache_control": "prompt_cache_breakpoint",
    },
    response_headers=("x-ratelimit-",),
)
