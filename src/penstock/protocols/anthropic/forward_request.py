"""A client's request for a provider of the same protocol: the bytes stay, only `model` is replaced.

Where the history holds envelopes (the client has talked to a provider of another protocol before), those blocks alone
are rewritten: a seal of this very provider comes out of its envelope, any other is taken out with its block, and so is
a citation that bears our mark.
"""

from collections.abc import Callable

import msgspec

from penstock.core import envelope
from penstock.protocols.anthropic.seals import seal_block
from penstock.protocols.anthropic.wire import RedactedThinkingBlock, ThinkingBlock
from penstock.protocols.anthropic.write_request import PATH, SAMPLING_VERSION
from penstock.protocols.base import Inbound, Outbound, Target
from penstock.protocols.dropped import Dropped
from penstock.wire.payload import encode, items_of, members_of

_thinking = msgspec.json.Decoder(ThinkingBlock | RedactedThinkingBlock).decode
_MARK = envelope.MARK.decode()
_EMPTY = b"[]"


def forward_request(inbound: Inbound, target: Target) -> Outbound:
    """Return the client's request for a provider of the same protocol.

    `anthropic-version` and `anthropic-beta` go along as the client sent them. Without a version the request was written
    by hand, for the version that all examples name.
    """
    fields, dropped = {**inbound.fields, "model": msgspec.Raw(encode(target.model))}, Dropped()
    if envelope.MARK in bytes(fields.get("messages", b"")):
        fields["messages"] = _messages(fields["messages"], target.provider, dropped)
    headers = {"anthropic-version": inbound.headers.get("anthropic-version", SAMPLING_VERSION)}
    if "anthropic-beta" in inbound.headers:
        headers["anthropic-beta"] = inbound.headers["anthropic-beta"]
    return Outbound(PATH, encode(fields), headers, dropped=dropped.names)


def _messages(raw: msgspec.Raw, provider: str, dropped: Dropped) -> msgspec.Raw:
    """Rewrite the messages that hold an envelope; one of which nothing is left is taken out."""
    return _rewritten(raw, lambda message: _message(message, provider, dropped))


def _message(raw: msgspec.Raw, provider: str, dropped: Dropped) -> msgspec.Raw | None:
    members = _object_members(raw)
    if "content" not in members:
        return raw
    content = _rewritten(members["content"], lambda block: _block(block, provider, dropped))
    return None if bytes(content) == _EMPTY else msgspec.Raw(encode({**members, "content": content}))


def _rewritten(raw: msgspec.Raw, rewrite: Callable[[msgspec.Raw], msgspec.Raw | None]) -> msgspec.Raw:
    """Return a list with each item that holds an envelope rewritten, or taken out; what is no list stays as it is."""
    try:
        items = items_of(raw)
    except msgspec.DecodeError:
        return raw
    kept = [rewrite(item) if envelope.MARK in bytes(item) else item for item in items]
    return msgspec.Raw(encode([item for item in kept if item is not None]))


def _block(raw: msgspec.Raw, provider: str, dropped: Dropped) -> msgspec.Raw | None:
    try:
        block = _thinking(raw)
    except msgspec.DecodeError:
        return _uncited(raw)
    data, text = (block.signature, block.thinking) if isinstance(block, ThinkingBlock) else (block.data, "")
    if not data.startswith(_MARK):
        return raw
    sealed = envelope.unwrap(data)
    written = seal_block(sealed, text) if sealed is not None and sealed.origin == provider else None
    if written is None:
        dropped.add("reasoning")
        return None
    return msgspec.Raw(encode(written))


def _uncited(raw: msgspec.Raw) -> msgspec.Raw:
    """Return a block without citations that the gateway made. Where the mark stands elsewhere, it is but text."""
    members = _object_members(raw)
    citations = members.get("citations", msgspec.Raw())
    if envelope.MARK not in bytes(citations):
        return raw
    return msgspec.Raw(encode({**members, "citations": _rewritten(citations, lambda _: None)}))


def _object_members(raw: msgspec.Raw) -> dict[str, msgspec.Raw]:
    try:
        return members_of(raw)
    except msgspec.DecodeError:
        return {}
