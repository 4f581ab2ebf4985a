"""Errors, read from providers and written for clients."""

import json

import pytest

from penstock.core.errors import ErrorInfo, ErrorKind
from penstock.protocols.openai_chat import PROTOCOL


@pytest.mark.parametrize(
    ("kind", "status", "type_", "code"),
    [
        ("invalid_request", 400, "invalid_request_error", None),
        ("unauthenticated", 401, "authentication_error", "invalid_api_key"),
        ("billing", 403, "insufficient_quota", "insufficient_quota"),
        ("forbidden", 403, "permission_error", None),
        ("not_found", 404, "invalid_request_error", "not_found"),
        ("model_not_found", 404, "invalid_request_error", "model_not_found"),
        ("method_not_allowed", 405, "invalid_request_error", "method_not_allowed"),
        ("too_large", 413, "invalid_request_error", "request_too_large"),
        ("unsupported_media", 415, "invalid_request_error", "unsupported_media_type"),
        ("rate_limited", 429, "rate_limit_error", "rate_limit_exceeded"),
        ("upstream_error", 502, "server_error", "upstream_error"),
        ("overloaded", 503, "server_error", "server_is_overloaded"),
        ("timeout", 504, "server_error", "timeout"),
        ("stream_incomplete", 502, "server_error", "stream_incomplete"),
        ("internal", 500, "server_error", "internal_error"),
    ],
)
def test_every_kind_has_a_status_a_type_and_a_code(kind: ErrorKind, status: int, type_: str, code: str | None) -> None:
    written, body = PROTOCOL.write_error(ErrorInfo(kind, "No."), "req_1")
    assert written == status
    assert json.loads(body) == {"error": {"message": "No.", "type": type_, "param": None, "code": code}}


def test_a_field_at_fault_and_a_code_of_its_own_are_told() -> None:
    info = ErrorInfo("invalid_request", "No.", param="messages[0].role", code="unsupported_parameter")
    error = json.loads(PROTOCOL.write_error(info, "")[1])["error"]
    assert (error["param"], error["code"]) == ("messages[0].role", "unsupported_parameter")


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "invalid_request"),
        (401, "unauthenticated"),
        (402, "billing"),
        (403, "forbidden"),
        (404, "not_found"),
        (408, "timeout"),
        (409, "invalid_request"),
        (413, "too_large"),
        (422, "invalid_request"),
        (429, "rate_limited"),
        (498, "overloaded"),
        (500, "upstream_error"),
        (503, "overloaded"),
        (504, "timeout"),
        (529, "overloaded"),
    ],
)
@pytest.mark.covers("P107", "T31")
def test_a_status_says_what_happened(status: int, kind: ErrorKind) -> None:
    body = b'{"error":{"message":"Because.","type":"some_error","param":null,"code":null}}'
    assert PROTOCOL.read_error(status, body) == ErrorInfo(kind, "Because.")


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (429, b'{"error":{"message":"m","type":"insufficient_quota","code":"insufficient_quota"}}', "billing"),
        (404, b'{"error":{"message":"m","type":"invalid_request_error","code":"model_not_found"}}', "model_not_found"),
        (400, b'{"error":{"message":"m","code":"model_not_found"}}', "model_not_found"),
    ],
)
def test_a_code_says_it_more_precisely(status: int, body: bytes, kind: ErrorKind) -> None:
    assert PROTOCOL.read_error(status, body).kind == kind


def test_field_and_code_of_the_provider_are_kept() -> None:
    body = b'{"error":{"message":"m","type":"t","param":"max_tokens","code":"unsupported_parameter"}}'
    info = PROTOCOL.read_error(400, body)
    assert (info.param, info.code) == ("max_tokens", "unsupported_parameter")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"error":"model is loading"}', "model is loading"),
        (b'{"detail":"Not allowed"}', "Not allowed"),
        (
            b'{"detail":[{"loc":["body","messages",0],"msg":"Field required"},{"msg":"Bad"}]}',
            "body.messages.0: Field required; Bad",
        ),
        (b'{"object":"error","message":"Bad schema","type":"BadRequestError","code":400}', "Bad schema"),
        (b'[{"error":{"code":400,"message":"Wrapped","status":"INVALID_ARGUMENT"}}]', "Wrapped"),
    ],
)
def test_every_shape_of_error_gives_its_message(body: bytes, message: str) -> None:
    assert PROTOCOL.read_error(400, body) == ErrorInfo("invalid_request", message)


@pytest.mark.covers("P107")
@pytest.mark.parametrize("body", [b"<html><h1>400 Bad Request</h1>", b"", b"null", b"\xff", b"[" * 100_000, b"5"])
def test_a_page_of_a_proxy_is_the_upstreams_failure_and_does_not_leak(body: bytes) -> None:
    assert PROTOCOL.read_error(400, body) == ErrorInfo("upstream_error", "The provider answered 400.")
    assert PROTOCOL.read_error(503, body) == ErrorInfo("overloaded", "The provider answered 503.")


@pytest.mark.parametrize("body", [b'{"error":{}}', b'{"error":{"message":5,"code":[]}}', b"{}", b'{"error":[]}'])
def test_an_error_without_a_message_gets_one(body: bytes) -> None:
    assert PROTOCOL.read_error(400, body).message == "The provider answered 400."
