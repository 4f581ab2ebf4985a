"""A client's own request for a provider of the same protocol: its bytes stay.

Only the model, the demand for usage, and seals that belong to somebody else are changed.
"""

from typing import Any

import msgspec

from penstock.core import envelope
from penstock.protocols.base import Inbound, Outbound, Target
from penstock.protocols.openai_chat.write_request import PATH
from penstock.wire import payload

_raw_members = payload.client_decoder(dict[str, msgspec.Raw])
_raw_messages = payload.client_decoder(list[dict[str, msgspec.Raw]])


def forward_request(inbound: Inbound, target: Target) -> Outbound:
    """Return a client's own request for `target`: only model, the demand for usage and foreign seals are changed.

    Raises:
        ClientFault: messages that hold a seal of ours are not of the shape it was given in.
    """
    fields: dict[str, Any] = dict(inbound.fields)
    fields["model"] = target.model
    dropped: tuple[str, ...] = ()
    usage_added = False
    if "no-stream-options" in target.quirks:
        if fields.pop("stream_options", None) is not None:
            dropped = ("stream_options",)
    elif inbound.stream:
        fields["stream_options"] = {**_stream_options(inbound), "include_usage": True}
        usage_added = not inbound.include_usage
    if envelope.MARK in bytes(inbound.fields.get("messages", b"")):
        fields["messages"] = _reopened(fields["messages"], target.provider)
    return Outbound(PATH, payload.encode(fields), dropped=dropped, usage_added=usage_added)


def _stream_options(inbound: Inbound) -> dict[str, msgspec.Raw]:
    options = inbound.fields.get("stream_options")
    if options is None or bytes(options) == b"null":
        return {}
    return _raw_members.decode(options, "stream_options")


def _reopened(messages: msgspec.Raw, provider: str) -> list[dict[str, Any]]:
    """Return the messages with the provider's own seals bare and all others taken out; other values stay bytes."""
    return [_reopened_message(message, provider) for message in _raw_messages.decode(messages, "messages")]


def _reopened_message(message: dict[str, msgspec.Raw], provider: str) -> dict[str, Any]:
    raw = message.get("reasoning_details")
    if raw is None or envelope.MARK not in bytes(raw):
        return message
    details = [_reopened_detail(detail, provider) for detail in _raw_messages.decode(raw, "messages.reasoning_details")]
    kept = [detail for detail in details if detail is not None]
    rest = {name: value for name, value in message.items() if name != "reasoning_details"}
    return {**rest, "reasoning_details": kept} if kept else rest


def _reopened_detail(detail: dict[str, msgspec.Raw], provider: str) -> dict[str, Any] | None:
    reopened: dict[str, Any] = dict(detail)
    for name in ("signature", "data"):
        if envelope.MARK not in bytes(detail.get(name, b"")):
            continue
        sealed = envelope.unwrap(str(msgspec.json.decode(detail[name])))
        if sealed is None or sealed.origin != provider or sealed.form in {"tool_call", "text"}:
            return None
        reopened[name] = sealed.data
    return reopened
