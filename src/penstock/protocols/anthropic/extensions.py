"""What nobody knows of an answer, kept for a client of the same protocol: members, and blocks of the provider's tools.

A decoder reports an unknown event as it came, also each event of an unknown block, and an unknown member of the
message as an event of which only that member is left. Here are both ends of that.
"""

from collections.abc import Iterable, Mapping
from typing import Any, cast

import msgspec

from penstock.core.errors import UpstreamFault
from penstock.core.events import Opaque
from penstock.protocols.anthropic.wire import WireUsage
from penstock.protocols.arguments import arguments_object
from penstock.wire.payload import ProviderDecoder, encode

PROTOCOL = "anthropic"

_object = ProviderDecoder(dict[str, Any])

_Known = Mapping[str, Any]  # name -> what is known of the member's own members, None if it has none
_TOLD_ON = {"server_tool_use", "service_tier", "speed"}  # these are read, and more stands in them than that
_USAGE: _Known = dict.fromkeys(name for name in WireUsage.__struct_fields__ if name not in _TOLD_ON)
_NAMES = ("id", "type", "role", "model", "content", "stop_reason", "stop_sequence")
# SDKs look for the lifetimes of what was cached in `message_start` only, where we cannot say them ourselves.
_USAGE_AT_START: _Known = {name: None for name in _USAGE if name != "cache_creation"}
_MESSAGE: _Known = {**dict.fromkeys(_NAMES), "usage": _USAGE_AT_START}
_EVENT: _Known = {"type": None, "message": _MESSAGE, "delta": _MESSAGE, "usage": _USAGE}


def unknown_members(event: dict[str, Any]) -> Opaque | None:
    """Return what nobody knows of a `message_start` or a `message_delta`, or None if all is known."""
    found = _unknown(event, _EVENT)
    return Opaque(PROTOCOL, encode({"type": event["type"], **found})) if found else None


def unknown_block(index: int, block: msgspec.Raw) -> Opaque:
    """Return an unknown block of a whole message, as the event that would begin it in a stream."""
    return Opaque(PROTOCOL, encode({"type": "content_block_start", "index": index, "content_block": block}))


def unknown_block_end(index: int) -> Opaque:
    """Return the event that would end such a block."""
    return Opaque(PROTOCOL, encode({"type": "content_block_stop", "index": index}))


def read_opaque(event: Opaque) -> dict[str, Any]:
    """Return the members of an event that a decoder of this protocol reported; none of another protocol's."""
    if event.protocol != PROTOCOL:
        return {}
    try:
        return _object.decode(event.data)
    except UpstreamFault:
        return {}


def with_unknown(known: dict[str, Any], unknown: Mapping[str, Any]) -> dict[str, Any]:
    """Return an object with the unknown members in their places; what is known stays as we say it."""
    merged = known | {name: value for name, value in unknown.items() if name not in known}
    for name, value in known.items():
        inner = unknown.get(name)
        if isinstance(value, dict) and isinstance(inner, dict):
            merged[name] = with_unknown(cast("dict[str, Any]", value), cast("dict[str, Any]", inner))
    return merged


def whole_message(message: dict[str, Any], extensions: Iterable[Opaque]) -> dict[str, Any]:
    """Return a whole message with what nobody knows of it: its members, and its blocks where they stood."""
    content: list[Any] = message["content"]
    inputs: dict[int, str] = {}
    for event in map(read_opaque, extensions):
        index, delta = _index(event), _inner(event, "delta")
        match event.get("type"):
            case "message_start":
                message = with_unknown(message, _inner(event, "message"))
            case "message_delta":
                message = with_unknown(message, {**delta, "usage": _inner(event, "usage")})
            case "content_block_start":
                content.insert(index, _inner(event, "content_block"))
            case "content_block_delta" if isinstance(fragment := delta.get("partial_json"), str):
                inputs[index] = inputs.get(index, "") + fragment
            case "content_block_delta" if "citation" in delta and index < len(content):
                content[index].setdefault("citations", []).append(delta["citation"])
            case _:
                pass
    for index, fragments in inputs.items():
        if fragments and index < len(content):
            content[index]["input"] = arguments_object(fragments)
    return message


def _index(event: dict[str, Any]) -> int:
    """Return the place of a block; a provider may say anything."""
    index = event.get("index")
    return max(0, index) if isinstance(index, int) else 0


def _inner(event: dict[str, Any], name: str) -> dict[str, Any]:
    """Return an object within an event; an empty one if it is not there, or something else is."""
    inner = event.get(name)
    return cast("dict[str, Any]", inner) if isinstance(inner, dict) else {}


def _unknown(members: dict[str, Any], known: _Known) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in members.items():
        if name not in known:
            found[name] = value
        elif known[name] is not None and isinstance(value, dict):
            inner = _unknown(cast("dict[str, Any]", value), known[name])
            found |= {name: inner} if inner else {}
    return found
