"""Errors of providers, and ours as Gemini clients know them."""

import json

import pytest

from penstock.core.errors import ErrorInfo
from penstock.protocols.gemini import PROTOCOL


def body(code: int, status: str, message: str = "No.", details: list[object] | None = None) -> bytes:
    return json.dumps(
        {"error": {"code": code, "message": message, "status": status, "details": details or []}}
    ).encode()


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        (400, "INVALID_ARGUMENT", "invalid_request"),
        (400, "FAILED_PRECONDITION", "invalid_request"),
        (401, "UNAUTHENTICATED", "unauthenticated"),
        (403, "PERMISSION_DENIED", "forbidden"),
        (404, "NOT_FOUND", "model_not_found"),
        (429, "RESOURCE_EXHAUSTED", "rate_limited"),
        (499, "CANCELLED", "invalid_request"),
        (500, "INTERNAL", "upstream_error"),
        (503, "UNAVAILABLE", "overloaded"),
        (504, "DEADLINE_EXCEEDED", "timeout"),
    ],
)
def test_the_canonical_status_says_what_happened(code: int, status: str, kind: str) -> None:
    assert PROTOCOL.read_error(code, body(code, status)) == ErrorInfo(kind, "No.")  # type: ignore[arg-type]


def test_a_bad_key_comes_as_a_bad_request_with_a_reason() -> None:
    details: list[object] = [
        {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID", "domain": "googleapis.com"},
        {
            "@type": "type.googleapis.com/google.rpc.LocalizedMessage",
            "locale": "en-US",
            "message": "API key not valid.",
        },
    ]
    assert PROTOCOL.read_error(400, body(400, "INVALID_ARGUMENT", details=details)).kind == "unauthenticated"


@pytest.mark.parametrize(("delay", "seconds"), [("13s", 13.0), ("0.5s", 0.5), ("soon", None)])
def test_the_time_to_wait_is_read(delay: str, seconds: float | None) -> None:
    details: list[object] = [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay}]
    assert PROTOCOL.read_error(429, body(429, "RESOURCE_EXHAUSTED", details=details)).retry_after == seconds


def test_streams_have_their_errors_in_an_array() -> None:
    assert PROTOCOL.read_error(503, b"[" + body(503, "UNAVAILABLE") + b"\n]").kind == "overloaded"


@pytest.mark.covers("P107")
@pytest.mark.parametrize("garbage", [b"", b"<html><body>Bad Gateway</body></html>", b"[]", b"[1]", b"null", b'{"a":1}'])
def test_of_a_body_that_says_nothing_only_the_status_is_told(garbage: bytes) -> None:
    info = PROTOCOL.read_error(502, garbage)
    assert info.kind == "upstream_error"
    assert "502" in info.message
    assert "html" not in info.message


def test_an_error_may_be_a_mere_text() -> None:
    assert PROTOCOL.read_error(429, b'{"error":"slow down"}') == ErrorInfo("rate_limited", "slow down")


@pytest.mark.parametrize(
    ("kind", "code", "status"),
    [
        ("invalid_request", 400, "INVALID_ARGUMENT"),
        ("unauthenticated", 401, "UNAUTHENTICATED"),
        ("billing", 403, "PERMISSION_DENIED"),
        ("forbidden", 403, "PERMISSION_DENIED"),
        ("model_not_found", 404, "NOT_FOUND"),
        ("too_large", 413, "INVALID_ARGUMENT"),
        ("rate_limited", 429, "RESOURCE_EXHAUSTED"),
        ("upstream_error", 502, "INTERNAL"),
        ("overloaded", 503, "UNAVAILABLE"),
        ("timeout", 504, "DEADLINE_EXCEEDED"),
        ("internal", 500, "INTERNAL"),
    ],
)
@pytest.mark.covers("P107")
def test_errors_for_clients(kind: str, code: int, status: str) -> None:
    http, written = PROTOCOL.write_error(ErrorInfo(kind, "No."), "req-1")  # type: ignore[arg-type]
    assert http == code
    assert json.loads(written) == {"error": {"code": code, "message": "No.", "status": status, "details": []}}


def test_the_field_at_fault_is_a_violation() -> None:
    _, written = PROTOCOL.write_error(ErrorInfo("invalid_request", "No.", param="contents[0].role"), "req-1")
    assert json.loads(written)["error"]["details"] == [
        {
            "@type": "type.googleapis.com/google.rpc.BadRequest",
            "fieldViolations": [{"field": "contents[0].role", "description": "No."}],
        }
    ]
