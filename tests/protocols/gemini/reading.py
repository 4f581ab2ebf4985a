"""Read requests as the Gemini SDKs spell them."""

import json
from typing import Any

import pytest

from penstock.core.errors import ClientFault
from penstock.core.request import Ask
from penstock.protocols.base import PathTarget
from penstock.protocols.gemini import PROTOCOL

HELLO = {"contents": [{"parts": [{"text": "hi"}], "role": "user"}]}


def read(body: object, **fields: Any) -> Ask:
    raw = body if isinstance(body, bytes) else json.dumps({**body, **fields}).encode()  # type: ignore[dict-item]
    return PROTOCOL.read_request(PROTOCOL.open_request(raw, PathTarget("fast", stream=True), {}))


def refused(body: object, **fields: Any) -> str | None:
    with pytest.raises(ClientFault) as caught:
        read(body, **fields)
    assert caught.value.info.kind == "invalid_request"
    return caught.value.info.param


def contents(*pairs: tuple[str, list[dict[str, Any]]]) -> dict[str, Any]:
    return {"contents": [{"role": role, "parts": parts} for role, parts in pairs]}


def call(name: str, args: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    return {"functionCall": {"name": name, "args": args or {}, **fields}}


def response(name: str, value: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"functionResponse": {"name": name, "response": value, **fields}}
