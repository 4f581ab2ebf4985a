"""Errors of Anthropic Messages, read from a provider and written to a client."""

import json

import anthropic
import httpx2
import pytest

from penstock.core.errors import ErrorInfo, ErrorKind
from penstock.protocols.anthropic import PROTOCOL


def body(type_: str, message: str = "No.") -> bytes:
    return json.dumps({"type": "error", "error": {"type": type_, "message": message}, "request_id": "req_1"}).encode()


@pytest.mark.covers("T31", "P107")
@pytest.mark.parametrize(
    ("status", "type_", "kind"),
    [
        (400, "invalid_request_error", "invalid_request"),
        (401, "authentication_error", "unauthenticated"),
        (402, "billing_error", "billing"),
        (403, "permission_error", "forbidden"),
        (404, "not_found_error", "not_found"),
        (413, "request_too_large", "too_large"),
        (429, "rate_limit_error", "rate_limited"),
        (500, "api_error", "upstream_error"),
        (504, "timeout_error", "timeout"),
        (529, "overloaded_error", "overloaded"),
    ],
)
def test_the_type_says_what_happened(status: int, type_: str, kind: ErrorKind) -> None:
    assert PROTOCOL.read_error(status, body(type_)) == ErrorInfo(kind, "No.")


def test_a_model_that_is_not_found_is_told_from_a_path() -> None:
    found = PROTOCOL.read_error(404, body("not_found_error", "model: claude-sonet-4-5"))
    assert found.kind == "model_not_found"


def test_a_type_that_nobody_knows_is_kept_as_code() -> None:
    assert PROTOCOL.read_error(429, body("quota_error")) == ErrorInfo("rate_limited", "No.", code="quota_error")


@pytest.mark.covers("P107")
@pytest.mark.parametrize("answer", [b"<html>secret</html>", b"", b"[]", b"\xff", b'{"error":null}', b'{"detail":[1]}'])
def test_a_body_that_is_not_the_protocols_is_not_quoted(answer: bytes) -> None:
    found = PROTOCOL.read_error(502, answer)
    assert found == ErrorInfo("upstream_error", "The provider reported an error without an explanation (status 502).")


@pytest.mark.parametrize("answer", [b'{"error":"Slow down"}', b'{"message":"Slow down"}'])
def test_simpler_bodies_of_compatible_servers_are_read(answer: bytes) -> None:
    assert PROTOCOL.read_error(429, answer) == ErrorInfo("rate_limited", "Slow down")


@pytest.mark.parametrize(
    ("kind", "status", "type_", "raised"),
    [
        ("invalid_request", 400, "invalid_request_error", anthropic.BadRequestError),
        ("unauthenticated", 401, "authentication_error", anthropic.AuthenticationError),
        ("forbidden", 403, "permission_error", anthropic.PermissionDeniedError),
        ("model_not_found", 404, "not_found_error", anthropic.NotFoundError),
        ("too_large", 413, "request_too_large", anthropic.APIStatusError),
        ("rate_limited", 429, "rate_limit_error", anthropic.RateLimitError),
        ("internal", 500, "api_error", anthropic.InternalServerError),
        ("upstream_error", 502, "api_error", anthropic.InternalServerError),
        ("timeout", 504, "timeout_error", anthropic.APIStatusError),
        ("overloaded", 529, "overloaded_error", anthropic.APIStatusError),
    ],
)
def test_the_sdk_raises_what_it_would_for_the_service(
    kind: ErrorKind, status: int, type_: str, raised: type[Exception]
) -> None:
    written_status, written = PROTOCOL.write_error(ErrorInfo(kind, "No."), "req_1")
    answer = httpx2.Response(written_status, headers={"content-type": "application/json"}, content=written)
    with (
        httpx2.Client(transport=httpx2.MockTransport(lambda _: answer)) as http,
        anthropic.Anthropic(api_key="k", http_client=http, max_retries=0) as client,
        pytest.raises(raised) as caught,
    ):
        client.messages.create(model="m", max_tokens=9, messages=[{"role": "user", "content": "hi"}])
    assert written_status == status
    assert getattr(caught.value, "type", None) == type_


def test_an_error_names_the_request_and_the_field() -> None:
    _, written = PROTOCOL.write_error(ErrorInfo("invalid_request", "too long.", param="messages[0]"), "req_1")
    assert json.loads(written) == {
        "type": "error",
        "error": {"type": "invalid_request_error", "message": "messages[0]: too long."},
        "request_id": "req_1",
    }


def test_a_field_already_named_is_not_named_twice() -> None:
    _, written = PROTOCOL.write_error(ErrorInfo("invalid_request", "`model`: field required.", param="model"), "req_1")
    assert json.loads(written)["error"]["message"] == "`model`: field required."
