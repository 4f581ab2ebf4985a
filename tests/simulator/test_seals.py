"""A signature comes back as it went, or the request is refused with its place."""

from typing import Any

import msgspec
import pytest

from penstock.core.errors import ClientFault
from penstock.simulator.seals import sign, verify
from penstock.wire.payload import parse_object

SEAL = sign("hm")
OTHER = sign("other")
URL_SAFE = SEAL.translate(str.maketrans("+/", "-_"))


def returned(body: dict[str, Any]) -> int:
    encoded = msgspec.json.encode(body)
    return verify(encoded, parse_object(encoded))


def anthropic(block: dict[str, Any]) -> dict[str, Any]:
    return {"messages": [{"role": "assistant", "content": [block]}]}


def chat(detail: dict[str, Any]) -> dict[str, Any]:
    return {"messages": [{"role": "assistant", "content": "x", "reasoning_details": [detail]}]}


def gemini(part: dict[str, Any]) -> dict[str, Any]:
    return {"contents": [{"role": "model", "parts": [part]}]}


def test_a_signature_looks_like_a_real_one():
    assert len(SEAL) == 256
    assert SEAL != OTHER


@pytest.mark.parametrize(
    "body",
    [
        anthropic({"type": "thinking", "thinking": "hm", "signature": SEAL}),
        anthropic({"type": "thinking", "thinking": "", "signature": SEAL}),
        anthropic({"type": "redacted_thinking", "data": SEAL}),
        chat({"type": "reasoning.text", "text": "hm", "signature": SEAL, "index": 0}),
        chat({"type": "reasoning.encrypted", "data": SEAL, "index": 0}),
        gemini({"text": "x", "thoughtSignature": SEAL}),
        gemini({"functionCall": {"name": "f"}, "thought_signature": URL_SAFE}),
    ],
)
def test_an_intact_signature_is_counted(body: dict[str, Any]):
    assert returned(body) == 1


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (anthropic({"type": "thinking", "thinking": "hm", "signature": OTHER}), "messages[0].content[0].signature"),
        (anthropic({"type": "thinking", "thinking": "hm", "signature": ""}), "messages[0].content[0].signature"),
        (anthropic({"type": "thinking", "thinking": "hm", "signature": SEAL[:-4]}), "messages[0].content[0].signature"),
        (anthropic({"type": "redacted_thinking", "data": "AAAA"}), "messages[0].content[0].data"),
        (chat({"signature": "A" + SEAL[1:]}), "messages[0].reasoning_details[0].signature"),
        (chat({"type": "reasoning.encrypted", "data": None}), "messages[0].reasoning_details[0].data"),
        (gemini({"text": "x", "thoughtSignature": "%"}), "contents[0].parts[0].thoughtSignature"),
    ],
)
def test_a_changed_signature_is_refused_with_its_path(body: dict[str, Any], param: str):
    with pytest.raises(ClientFault) as caught:
        returned(body)
    assert caught.value.info.param == param


@pytest.mark.parametrize(
    "body",
    [
        {"messages": [{"role": "user", "content": "the signature"}]},
        {"messages": "signature"},
        {"messages": [None, {"content": [3, {"type": "tool_use", "input": {"signature": "mine"}}]}]},
        gemini({"functionCall": {"name": "f"}, "thoughtSignature": "skip_thought_signature_validator"}),
        gemini({"functionCall": {"name": "f", "args": {"thoughtSignature": "mine"}}}),
    ],
)
def test_what_is_no_signature_is_left_alone(body: dict[str, Any]):
    assert returned(body) == 0
