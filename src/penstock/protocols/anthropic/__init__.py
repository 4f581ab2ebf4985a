"""Anthropic Messages, both directions. Specification: https://docs.claude.com/en/api/messages.

towards a client      read_request, read_content, encode, errors
towards a provider    write_request, write_messages, cache, forward_request, decode, errors
both                  citations, extensions, usage, count
"""

from penstock.protocols.anthropic.count import COUNTING
from penstock.protocols.anthropic.decode import Decoder, read_response, usage_only
from penstock.protocols.anthropic.encode import Encoder, write_response
from penstock.protocols.anthropic.errors import read_error, write_error
from penstock.protocols.anthropic.forward_request import forward_request
from penstock.protocols.anthropic.listing import write_model, write_models
from penstock.protocols.anthropic.read_request import open_request, read_request
from penstock.protocols.anthropic.write_request import write_request
from penstock.protocols.base import WireProtocol

PROTOCOL = WireProtocol(
    name="anthropic",
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
    base="/anthropic",
    path="/messages",
    auth="x-api-key",
    continued=b'{"type":"message_delta","penstock":{"attempts":%d}}',
    content_marks=(b'"content_block',),
    marks=("anthropic-version",),
    hints=("/messages",),
    counting=COUNTING,
    heartbeat=b'event: ping\ndata: {"type": "ping"}\n\n',
    params={
        "stop": "stop_sequences",
        "max_completion_tokens": "max_tokens",
        "reasoning_effort": "thinking",
        "include_reasoning": "thinking.display",
        "response_format": "output_config.format",
        "parallel_tool_calls": "tool_choice.disable_parallel_tool_use",
        "user": "metadata.user_id",
    },
    response_headers=("anthropic-ratelimit-",),
)
