"""How a provider of the Responses API is asked how many tokens a request has, before it is made.

Source: https://platform.openai.com/docs/api-reference/responses/input-tokens.
"""

from penstock.protocols.base import Outbound
from penstock.protocols.openai_responses.stream_wire import InputTokens
from penstock.protocols.openai_responses.write_request import PATH
from penstock.wire.payload import ProviderDecoder, encode, members_of

_COUNTED = (
    "model",
    "instructions",
    "input",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "reasoning",
    "text",
    "truncation",
    "previous_response_id",
    "conversation",
    "personality",
)
"""The fields that are counted; the service refuses all others."""

_answer = ProviderDecoder(InputTokens)


def counting_request(request: Outbound) -> Outbound:
    """Return the request that asks for the count of the input of `request`."""
    fields = members_of(request.body)
    counted = {name: fields[name] for name in _COUNTED if name in fields}
    return Outbound(f"{PATH}/input_tokens", encode(counted), request.headers, request.dropped)


def read_count(body: bytes) -> int:
    """Return the input tokens that a provider counted.

    Raises:
        UpstreamFault: the body does not say.
    """
    return _answer.decode(body).input_tokens
