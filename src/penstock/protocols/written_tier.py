"""What a request asks for that has a price of its own and that not every answer tells."""

from collections.abc import Mapping

import msgspec

from penstock.core.usage import STANDARD, Usage, service_tier

_TIERS = ("service_tier", "serviceTier")
_SEARCHING = "web_search_options"

_word = msgspec.json.Decoder(str)

NOTHING_SAID = Usage()


def asked_for(fields: Mapping[str, msgspec.Raw], body: bytes) -> Usage:
    """Return what a request asks for: its service tier, and one search where it has a model search before each answer.

    Args:
        fields: the top level of what the client asked.
        body: what its provider is asked. It counts only if both say it.
    """
    tier = next((_tier(fields[name]) for name in _TIERS if name in fields), None)
    if tier == STANDARD or (tier and not any(name.encode() in body for name in _TIERS)):
        tier = None
    searches = 1 if _SEARCHING in fields and bytes(fields[_SEARCHING]) != b"null" else None
    return NOTHING_SAID if tier is None and searches is None else Usage(web_searches=searches, service_tier=tier)


def _tier(raw: msgspec.Raw) -> str | None:
    try:
        return service_tier(_word.decode(raw))
    except msgspec.DecodeError:
        return None
