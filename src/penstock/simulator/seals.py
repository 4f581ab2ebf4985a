"""Signatures on the simulator's reasoning, made to be checked: what comes back changed is refused.

A seal is base64 of a magic word, a digest of the reasoning that it signs, and a checksum over both, padded to the
length of a real one. It proves nothing about who made it; it shows whether a gateway brought it back unharmed.
"""

import base64
import binascii
import hashlib
from collections.abc import Iterable

from penstock.core.errors import bad_request
from penstock.core.events import Sealed
from penstock.core.request import Reasoning, Turn

ORIGIN = "penstock-simulator"

_MAGIC = b"sim\x01"
_DIGEST = 20
_SIZE = 192  # bytes; signatures of reasoning models begin at about this length


def sign(reasoning: str) -> str:
    """Return the signature of a reasoning text."""
    body = _MAGIC + hashlib.sha256(reasoning.encode()).digest()[:_DIGEST]
    return base64.b64encode(body + _checksum(body)).decode()


def verify(turns: Iterable[Turn], param: str) -> int:
    """Return how many seals came back.

    Raises:
        ClientFault: one is not as it was made, or stands on a text that it does not sign.
    """
    count = 0
    for turn in turns:
        for part in turn.parts:
            if isinstance(part, Reasoning) and part.sealed is not None:
                _check(part.text, part.sealed, param)
                count += 1
    return count


def _check(reasoning: str, sealed: Sealed, param: str) -> None:
    try:
        content = base64.b64decode(sealed.data.encode(), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        content = b""
    head = len(_MAGIC) + _DIGEST
    body, checksum = content[:head], content[head:]
    if not body.startswith(_MAGIC) or checksum != _checksum(body):
        raise bad_request(f"`{param}`: a reasoning signature is not as the simulator made it.", param, "bad_signature")
    # A seal that stands beside something else signs a text that need not have come along.
    if sealed.form == "reasoning" and reasoning and sign(reasoning) != sealed.data:
        raise bad_request(f"`{param}`: signed reasoning was changed.", param, "changed_reasoning")


def _checksum(body: bytes) -> bytes:
    return hashlib.shake_256(b"penstock simulator" + body).digest(_SIZE - len(body))
