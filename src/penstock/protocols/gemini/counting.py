"""What a request would cost, before it is made: `:countTokens` (https://ai.google.dev/api/tokens).

The question is either bare `contents`, or a whole request under `generateContentRequest`, which names its model.
"""

from collections.abc import Mapping
from urllib.parse import unquote

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from penstock.core.errors import upstream_error
from penstock.protocols.base import Counting, Inbound, Outbound, PathTarget
from penstock.protocols.gemini.read_request import open_request
from penstock.wire.payload import ProviderDecoder, client_decoder, encode, members_of

_WHOLE = ("generateContentRequest", "generate_content_request")
_PREFIX = "/v1beta/"

_fields = client_decoder(dict[str, msgspec.Raw])


class _Count(Struct, rename="camel"):
    total_tokens: int | None = None


_count = ProviderDecoder(_Count)


def _open(body: bytes, target: PathTarget | None, headers: Mapping[str, str]) -> Inbound:
    """Open the envelope of either question.

    Raises:
        ClientFault: the body is not a JSON object, or the request in it is not.
    """
    inbound = open_request(body, target, headers)
    for name in _WHOLE:
        if name in inbound.fields:
            whole = inbound.fields[name]
            return replace(inbound, body=bytes(whole), fields=_fields.decode(whole, name))
    return inbound


def _outbound(request: Outbound) -> Outbound:
    """Return the question; what is more than contents can only be asked as a whole request."""
    place = request.path.rpartition(":")[0]
    fields = members_of(request.body)
    if fields.keys() == {"contents"}:
        return replace(request, path=f"{place}:countTokens")
    whole = fields | {"model": msgspec.Raw(encode(unquote(place.removeprefix(_PREFIX))))}
    return replace(request, path=f"{place}:countTokens", body=encode({_WHOLE[0]: whole}))


def _read(body: bytes) -> int:
    """Return the count.

    Raises:
        UpstreamFault: there is none.
    """
    total = _count.decode(body).total_tokens
    if total is None or total < 0:
        raise upstream_error("The provider counted no tokens.", "bad_payload")
    return total


def _write(tokens: int) -> bytes:
    return encode({"totalTokens": tokens})


COUNTING = Counting(
    path=r"/models/(?P<model>.+)(?::|%3[Aa])(?P<verb>countTokens)",
    open_request=_open,
    outbound=_outbound,
    read_response=_read,
    write_response=_write,
)
