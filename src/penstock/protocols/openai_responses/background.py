"""Answers that nobody waits for: `background: true`, whichever provider they come from.

https://platform.openai.com/docs/guides/background. The gateway itself goes on with them: its provider is asked for an
ordinary stream. A client polls the response object, or reads the events from any of them on.
"""

import re

import msgspec
from msgspec import Raw

from penstock.core.errors import ErrorInfo, bad_request
from penstock.protocols.base import Inbound, Reply
from penstock.protocols.keeping import Background
from penstock.protocols.openai_errors import error_object
from penstock.protocols.openai_responses.encode_response import ResponseObject
from penstock.wire.payload import UNREADABLE, encode
from penstock.wire.sse import SseReader

_SEQUENCE = re.compile(rb'"sequence_number":\s*(\d{1,15})')
_TERMINAL = (b"response.completed", b"response.incomplete", b"response.failed")


class _Named(msgspec.Struct):
    id: str = ""


class _About(msgspec.Struct):
    type: str = ""
    response: Raw = Raw(b"{}")


_about = msgspec.json.Decoder(_About).decode
_named = msgspec.json.Decoder(_Named).decode


def _wish(inbound: Inbound) -> Inbound | None:
    asked = inbound.fields.get("background")
    if asked is None or bytes(asked) in {b"false", b"null"}:
        return None
    if bytes(asked) != b"true":
        raise bad_request("`background` must be true or false.", param="background")
    if bytes(inbound.fields.get("store", b"")) == b"false":
        raise bad_request("What runs in the background has to be stored: leave `store` out.", param="store")
    fields = {name: value for name, value in inbound.fields.items() if name != "background"}
    fields["stream"] = Raw(b"true")
    return msgspec.structs.replace(inbound, fields=fields, body=encode(fields), stream=True)


def _id_of(token: str) -> str:
    return f"resp_{token}"


def _unfinished(reply: Reply, status: str, error: ErrorInfo | None) -> bytes:
    told = None
    if error is not None:
        spelled = error_object(error)["error"]
        told = {"code": spelled["code"] or "server_error", "message": spelled["message"]}
    return bytes(ResponseObject(reply).write(status, [], error=told))


def _response(data: bytes, types: tuple[bytes, ...]) -> bytes | None:
    """Return the response object of the first event of some types."""
    if not any(type_ in data for type_ in types):
        return None
    reader = SseReader()
    for frame in (*reader.feed(data), *reader.close()):
        if frame.data is None:
            continue
        try:
            about = _about(frame.data)
        except UNREADABLE:
            continue
        if about.type.encode() in types:
            return bytes(about.response)
    return None


def _outcome(last: bytes) -> bytes | None:
    return _response(last, _TERMINAL)


def _given_id(first: bytes) -> str | None:
    found = _response(first, (b"response.created",))
    try:
        return None if found is None else _named(found).id or None
    except UNREADABLE:
        return None


def _sequence(event: bytes) -> int | None:
    found = _SEQUENCE.search(event[-64:]) or _SEQUENCE.search(event)
    return int(found[1]) if found else None


BACKGROUND = Background(
    wish=_wish, id_of=_id_of, unfinished=_unfinished, outcome=_outcome, given_id=_given_id, sequence=_sequence
)
