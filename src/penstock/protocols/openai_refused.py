"""Fields of Chat Completions and Responses that no other protocol has words for, and that would change the answer."""

from collections.abc import Mapping

import msgspec

from penstock.core.errors import bad_request
from penstock.wire.payload import encode

Refused = Mapping[str, tuple[frozenset[bytes], str]]
"""Such fields by name: the values that ask for nothing special, as JSON, and what to do instead."""


def refuse(fields: Mapping[str, msgspec.Raw], refused: Refused) -> None:
    """Look through the top level of a request.

    Raises:
        ClientFault: one of the `refused` is asked for.
    """
    for name, (harmless, instead) in refused.items():
        if name not in fields:
            continue
        value = encode(msgspec.json.decode(fields[name]))
        if value != b"null" and value not in harmless:
            message = f"`{name}`: this model's provider speaks another protocol, which has no such thing; {instead}."
            raise bad_request(message, param=name, code="unsupported_parameter")
