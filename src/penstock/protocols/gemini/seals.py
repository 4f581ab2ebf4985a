"""Signatures on parts: what a client sends back, and what stands in where none is left."""

from penstock.core import envelope
from penstock.core.events import Sealed

NO_SIGNATURE = "skip_thought_signature_validator"
"""What Gemini 3 takes instead of the signature on a call that it did not make itself.

https://ai.google.dev/gemini-api/docs/thought-signatures
"""

_STANDARD = str.maketrans("-_", "+/")


def unwrap(signature: str) -> Sealed | None:
    """Return the seal in an envelope, or None. SDKs decode signatures and encode them again, in the URL-safe way."""
    return envelope.unwrap(signature.translate(_STANDARD))
