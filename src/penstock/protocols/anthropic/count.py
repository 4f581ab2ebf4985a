"""Counting the tokens of a request before it is made: https://docs.claude.com/en/api/messages-count-tokens.

The question is a request for an answer without its limit, and without all that concerns only the answer. The service
refuses such fields, so they are taken out; the reader of requests wants a limit, so it is put in.
"""

from collections.abc import Mapping

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from penstock.core.errors import upstream_error
from penstock.protocols.anthropic.read_request import open_request
from penstock.protocols.anthropic.write_request import PATH
from penstock.protocols.base import Counting, Inbound, Outbound, PathTarget
from penstock.wire.payload import ProviderDecoder, encode, members_of, one_line

_ROOM = msgspec.Raw(b"1000000000")  # more than any budget for thinking
_OF_ANSWERS = frozenset(
    (
        "max_tokens",
        "stream",
        "stop_sequences",
        "temperature",
        "top_p",
        "top_k",
        "metadata",
        "service_tier",
        "inference_geo",
        "container",
    )
)


class _Count(Struct):
    input_tokens: int | None = None


_count = ProviderDecoder(_Count)


def _open(body: bytes, path_target: PathTarget | None, headers: Mapping[str, str]) -> Inbound:
    """Open the envelope of the question. There is nothing to stream.

    Raises:
        ClientFault: as `open_request`.
    """
    inbound = open_request(body, path_target, headers)
    fields = {**inbound.fields, "max_tokens": _ROOM}
    return replace(inbound, body=encode(fields), fields=fields, stream=False)


def _outbound(request: Outbound) -> Outbound:
    """Return the question for the count of a request."""
    fields = {name: value for name, value in members_of(request.body).items() if name not in _OF_ANSWERS}
    return replace(request, path=f"{PATH}/count_tokens", body=encode(fields))


def _read_response(body: bytes) -> int:
    """Return the input tokens of a provider's answer.

    Raises:
        UpstreamFault: there is no count in it.
    """
    count = _count.decode(body).input_tokens
    if count is None or count < 0:
        raise upstream_error("The provider's answer to the question for a count holds no count.", "bad_payload")
    return count


def _write_response(tokens: int) -> bytes:
    """Return the JSON body for a client."""
    return one_line({"input_tokens": tokens})


COUNTING = Counting("/messages/count_tokens", _open, _outbound, _read_response, _write_response)
