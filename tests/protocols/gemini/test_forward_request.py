"""A request for a provider of the same protocol: bytes stay, seals go home."""

import json
from typing import Any

import pytest

from penstock.core.envelope import wrap
from penstock.core.events import Sealed
from penstock.protocols.base import Outbound, PathTarget, Target
from penstock.protocols.gemini import PROTOCOL
from penstock.protocols.gemini.seals import NO_SIGNATURE

TARGET = Target("lab", "lab-flash")
OURS = wrap(Sealed("lab", "c2ln/+==", "tool_call"))
FOREIGN = wrap(Sealed("elsewhere", "ErUB", "reasoning"))


def forward(body: bytes, path: PathTarget | None = None) -> Outbound:
    inbound = PROTOCOL.open_request(body, path or PathTarget("fast", stream=True), {})
    return PROTOCOL.forward_request(inbound, TARGET)


def forward_parts(*parts: dict[str, Any]) -> list[dict[str, Any]]:
    contents = [{"role": "user", "parts": [{"text": "go"}]}, {"role": "model", "parts": list(parts)}]
    return json.loads(forward(json.dumps({"contents": contents}).encode()).body)["contents"][1]["parts"]


@pytest.mark.covers("P62", "P35")
def test_the_body_stays_byte_for_byte() -> None:
    body = (
        b'{ "contents" :[{"parts":[{"text":"h\\u00ed","thoughtSignature":"AQ=="}]}],\n"new_field":1.50, "model":"x" }'
    )
    assert forward(body).body is body


@pytest.mark.parametrize(
    ("path", "sent"),
    [
        (PathTarget("fast", stream=True), "/v1beta/models/lab-flash:streamGenerateContent?alt=sse"),
        (PathTarget("fast", stream=True, array=True), "/v1beta/models/lab-flash:streamGenerateContent?alt=sse"),
        (PathTarget("fast", stream=False), "/v1beta/models/lab-flash:generateContent"),
    ],
)
@pytest.mark.covers("P25")
def test_the_path_names_the_providers_model_and_a_stream_is_always_one_of_events(path: PathTarget, sent: str) -> None:
    assert forward(b'{"contents":[]}', path).path == sent


@pytest.mark.covers("T21")
def test_a_seal_goes_back_to_its_origin_bare() -> None:
    assert forward_parts({"functionCall": {"name": "f", "args": {"n": 1.0}}, "thoughtSignature": OURS}) == [
        {"functionCall": {"name": "f", "args": {"n": 1.0}}, "thoughtSignature": "c2ln/+=="}
    ]


@pytest.mark.covers("T21")
def test_a_seal_that_an_sdk_spelled_url_safe_is_recognised() -> None:
    odd = wrap(Sealed("lab", "~~~???>>>", "text"))
    assert "/" in odd or "+" in odd
    url_safe = odd.replace("+", "-").replace("/", "_")
    assert forward_parts({"text": "", "thought_signature": url_safe}) == [
        {"text": "", "thought_signature": "~~~???>>>"}
    ]


@pytest.mark.covers("T21")
def test_a_foreign_seal_is_replaced_on_a_call_and_removed_elsewhere() -> None:
    assert forward_parts(
        {"text": "hm", "thought": True, "thoughtSignature": FOREIGN},
        {"function_call": {"name": "f"}, "thought_signature": FOREIGN},
        {"text": "untouched", "thoughtSignature": "AQ=="},
    ) == [
        {"text": "hm", "thought": True},
        {"function_call": {"name": "f"}, "thought_signature": NO_SIGNATURE},
        {"text": "untouched", "thoughtSignature": "AQ=="},
    ]


def test_what_is_around_a_seal_stays_byte_for_byte() -> None:
    before = b'{"contents" : [ {"role":"model", "parts" : [{"text":"a\\/b"} , '
    after = b' ]}], "generationConfig":{"topK":40.0}}'
    sent = forward(before + json.dumps({"text": "", "thoughtSignature": OURS}).encode() + after).body
    assert sent == before + b'{"text":"","thoughtSignature":"c2ln/+=="}' + after


def test_an_envelope_in_the_users_own_text_is_left_alone() -> None:
    body = json.dumps({"contents": [{"parts": [{"text": f"what is {OURS}?"}]}]}).encode()
    assert forward(body).body == body


@pytest.mark.parametrize("contents", ['"{}"', '[{"parts":"{}"}]', '[{"parts":["{}"]}]'])
def test_an_envelope_where_no_part_is_does_no_harm(contents: str) -> None:
    body = f'{{"contents":{contents.replace("{}", OURS)}}}'.encode()
    with pytest.raises(Exception, match="xpected") as caught:
        forward(body)
    assert caught.value.info.kind == "invalid_request"  # type: ignore[attr-defined]
