"""Seals in transit through a client that speaks another protocol than their origin.

An envelope names the origin, so that a seal goes back to the provider that made it and to no other. It is valid
standard base64 because Gemini clients decode signatures strictly, and it begins with a constant, so that a body
without any envelope is recognised without parsing it.
"""

import base64
import binascii

import msgspec

from penstock.core.events import Sealed, SealForm

_PREFIX = b"penstock\x01"  # nine bytes, so that its base64 does not depend on what follows
MARK = base64.b64encode(_PREFIX)
"""The first bytes of every envelope."""

_decoder = msgspec.json.Decoder(tuple[str, SealForm, str])


def wrap(sealed: Sealed) -> str:
    """Return the envelope of a seal."""
    content = msgspec.json.encode((sealed.origin, sealed.form, sealed.data))
    return base64.b64encode(_PREFIX + content).decode()


def unwrap(text: str) -> Sealed | None:
    """Return the seal in an envelope, or None if `text` is not one, or was tampered with."""
    try:
        content = base64.b64decode(text.encode(), validate=True)
        if not content.startswith(_PREFIX):
            return None
        origin, form, data = _decoder.decode(content[len(_PREFIX) :])
    except (binascii.Error, UnicodeError, msgspec.DecodeError):
        return None
    return Sealed(origin, data, form) if data else None
