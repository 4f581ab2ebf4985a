"""Arguments of tool calls for protocols in which they are an object. An Ask and an Answer hold them as JSON text."""

import msgspec

from penstock.wire.payload import encode, members_of


def arguments_object(text: str) -> msgspec.Raw:
    """Return arguments as an object on one line, every number and key as it was written (pitfalls 48, 80).

    Nothing and `null` are no arguments. What is no object (a limit cut the answer in the middle of a call, or a model
    wrote nonsense, or nested it absurdly) is kept under `_raw`, as section 8.2 of docs/protocols.md has it.
    """
    payload = text.strip().encode("utf-8", "replace")
    if payload in {b"", b"null"}:
        return msgspec.Raw(b"{}")
    try:
        members_of(payload)
        return msgspec.Raw(msgspec.json.format(payload, indent=-1))
    except (msgspec.DecodeError, RecursionError):
        return msgspec.Raw(encode({"_raw": payload.decode()}))
