"""A client's request for a provider of the same protocol: the bytes stay, only `model` is replaced.

Where the input holds envelopes (the client has talked to a provider of another protocol before), those reasoning items
alone are rewritten: a seal of this very provider comes out of its envelope, any other is taken out with its item.
"""

import msgspec

from penstock.core import envelope
from penstock.protocols.base import Inbound, Outbound, Target
from penstock.protocols.dropped import Dropped
from penstock.protocols.openai_responses.write_request import PATH
from penstock.wire.payload import encode, items_of, members_of

_MARK = envelope.MARK.decode()


class _Sealed(msgspec.Struct, tag_field="type", tag="reasoning"):
    """What of a reasoning item tells whether it must be rewritten."""

    encrypted_content: str


_sealed = msgspec.json.Decoder(_Sealed).decode


def forward_request(inbound: Inbound, target: Target) -> Outbound:
    """Return the client's request for a provider of the same protocol."""
    fields = {**inbound.fields, "model": msgspec.Raw(encode(target.model))}
    dropped = Dropped()
    if envelope.MARK in bytes(fields.get("input", b"")):
        fields["input"] = _input(fields["input"], target.provider, dropped)
    return Outbound(PATH, encode(fields), dropped=dropped.names)


def _input(raw: msgspec.Raw, provider: str, dropped: Dropped) -> msgspec.Raw:
    """Rewrite the items that hold an envelope; an input that is only text stays as it is."""
    try:
        items = items_of(raw)
    except msgspec.DecodeError:
        return raw
    kept = [_item(item, provider, dropped) if envelope.MARK in bytes(item) else item for item in items]
    return msgspec.Raw(encode([item for item in kept if item is not None]))


def _item(raw: msgspec.Raw, provider: str, dropped: Dropped) -> msgspec.Raw | None:
    """Return an item with its seal bare, or None if the seal belongs to somebody else.

    The item's id goes, too: it is one of ours, and the service compares it with the one inside the seal.
    """
    try:
        data = _sealed(raw).encrypted_content
    except msgspec.DecodeError:  # the mark stands in some other item, as text
        return raw
    if not data.startswith(_MARK):
        return raw
    sealed = envelope.unwrap(data)
    if sealed is None or sealed.origin != provider or sealed.form not in {"reasoning", "redacted"}:
        dropped.add("reasoning")
        return None
    members = {name: value for name, value in members_of(raw).items() if name != "id"}
    return msgspec.Raw(encode({**members, "encrypted_content": sealed.data}))
