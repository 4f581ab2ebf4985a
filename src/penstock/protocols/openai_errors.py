"""Errors of Chat Completions and Responses, both directions (section 7.1 of docs/protocols.md).

Source: https://platform.openai.com/docs/guides/error-codes. Compatible servers also answer with bare strings, `detail`
(FastAPI), errors wrapped in an array, and proxies with pages of HTML.
"""

from typing import Any, cast

import msgspec

from penstock.core.errors import ErrorInfo, ErrorKind
from penstock.wire import payload

_SPELLING: dict[ErrorKind, tuple[int, str, str | None]] = {
    "invalid_request": (400, "invalid_request_error", None),
    "unauthenticated": (401, "authentication_error", "invalid_api_key"),
    "billing": (403, "insufficient_quota", "insufficient_quota"),
    "forbidden": (403, "permission_error", None),
    "not_found": (404, "invalid_request_error", "not_found"),
    "model_not_found": (404, "invalid_request_error", "model_not_found"),
    "method_not_allowed": (405, "invalid_request_error", "method_not_allowed"),
    "conflict": (409, "invalid_request_error", "conflict"),
    "gone": (410, "invalid_request_error", "gone"),
    "too_large": (413, "invalid_request_error", "request_too_large"),
    "unsupported_media": (415, "invalid_request_error", "unsupported_media_type"),
    "rate_limited": (429, "rate_limit_error", "rate_limit_exceeded"),
    "upstream_error": (502, "server_error", "upstream_error"),
    "overloaded": (503, "server_error", "server_is_overloaded"),
    "timeout": (504, "server_error", "timeout"),
    "stream_incomplete": (502, "server_error", "stream_incomplete"),
    "internal": (500, "server_error", "internal_error"),
}

_BY_STATUS: dict[int, ErrorKind] = {
    401: "unauthenticated",
    402: "billing",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    408: "timeout",
    413: "too_large",
    415: "unsupported_media",
    429: "rate_limited",
    498: "overloaded",  # no capacity in the flexible tier
    503: "overloaded",
    504: "timeout",
    524: "timeout",  # a proxy gave up waiting
    529: "overloaded",
}

# Words that servers use as `type` or `code`, for what the status does not say or where there is none.
_BY_WORD: dict[str, ErrorKind] = {
    "insufficient_quota": "billing",
    "billing_error": "billing",
    "model_not_found": "model_not_found",
    "rate_limit_exceeded": "rate_limited",
    "rate_limit_error": "rate_limited",
    "too_many_requests": "rate_limited",
    "overloaded": "overloaded",
    "overloaded_error": "overloaded",
    "server_is_overloaded": "overloaded",
    "engine_overloaded": "overloaded",
    "engine_overloaded_error": "overloaded",
    "invalid_api_key": "unauthenticated",
    "authentication_error": "unauthenticated",
    "permission_error": "forbidden",
    "timeout": "timeout",
    "timeout_error": "timeout",
    "invalid_request_error": "invalid_request",
    "context_length_exceeded": "invalid_request",
}

_OF_THE_REQUEST = frozenset(
    {
        "bio_policy",
        "empty_image_file",
        "failed_to_download_image",
        "invalid_prompt",
        "misalignment_policy_violation",
        "unsupported_image_media_type",
    }
)
"""Codes with which a response fails although it is the request that cannot succeed: nobody should try it again."""

_OF_IMAGES = ("image_", "invalid_image", "invalid_base64_image")
"""How all codes begin that say the same of an image."""

_REFINED_BY_WORD = frozenset({"billing", "model_not_found"})
"""Conditions for which a status has to be shared with others."""


def write_error(info: ErrorInfo, request_id: str) -> tuple[int, bytes]:
    """Return status and JSON body of an error before any byte of an answer. The request id travels in a header."""
    return _SPELLING[info.kind][0], payload.one_line(error_object(info))


def error_object(info: ErrorInfo) -> dict[str, dict[str, str | None]]:
    """Return the error as the protocol spells it, in a body and inside a stream."""
    _, type_, code = _SPELLING[info.kind]
    return {"error": {"message": info.message, "type": type_, "param": info.param, "code": info.code or code}}


def read_error(status: int, body: bytes) -> ErrorInfo:
    """Return what a provider's error status and body mean. The message is the provider's own, not redacted."""
    error = _error_in(body)
    if error is None:
        kind = _kind_of_status(status)
        # A page of HTML is a proxy's: it says nothing about the request (pitfall 107).
        return ErrorInfo("upstream_error" if kind == "invalid_request" else kind, f"The provider answered {status}.")
    kind = _kind_of_status(status)
    by_word = _kind_of_words(error)
    if by_word in _REFINED_BY_WORD:
        kind = by_word
    return _info(kind, error, f"The provider answered {status}.")


def read_stream_error(data: bytes) -> ErrorInfo:
    """Return what an error inside a stream, or in a body with status 200, means."""
    error = _error_in(data) or {}
    status = next((error[name] for name in ("code", "status_code") if type(error.get(name)) is int), 0)
    kind = _kind_of_status(status) if 400 <= status < 600 else None
    return _info(_kind_of_words(error) or kind or "upstream_error", error, "The provider's stream ended in an error.")


def _info(kind: ErrorKind, error: dict[str, Any], fallback: str) -> ErrorInfo:
    code, param, message = error.get("code"), error.get("param"), error.get("message")
    return ErrorInfo(
        kind,
        message if isinstance(message, str) and message else fallback,
        param=param if isinstance(param, str) else None,
        code=code if isinstance(code, str) and not code.isdigit() else None,
    )


def _error_in(body: bytes) -> dict[str, Any] | None:
    """Return the error object of a body in any of its shapes, or None if the body is not JSON that tells anything."""
    try:
        value: Any = msgspec.json.decode(body)
    except payload.UNREADABLE:
        return None
    if isinstance(value, list) and value:
        value = cast("list[Any]", value)[0]
    if not isinstance(value, dict):
        return None
    members = cast("dict[str, Any]", value)
    error: Any = members.get("error") or members.get("detail") or members
    if isinstance(error, str):
        return {**members, "message": error}
    if isinstance(error, list):  # FastAPI: one entry a field
        return {"message": "; ".join(_complaint(entry) for entry in cast("list[Any]", error))}
    return cast("dict[str, Any]", error) if isinstance(error, dict) else None


def _complaint(entry: Any) -> str:
    """Return one entry of a validation error as text: where, and what."""
    if not isinstance(entry, dict):
        return str(entry)
    members = cast("dict[str, Any]", entry)
    where = members.get("loc")
    path = ".".join(str(step) for step in cast("list[Any]", where)) if isinstance(where, list) else ""
    return f"{path}: {members.get('msg')}" if path else str(members.get("msg"))


def _kind_of_status(status: int) -> ErrorKind:
    return _BY_STATUS.get(status) or ("invalid_request" if 400 <= status < 500 else "upstream_error")


def _kind_of_words(error: dict[str, Any]) -> ErrorKind | None:
    for name in ("code", "type"):
        word = str(error.get(name)).lower()
        if word in _BY_WORD:
            return _BY_WORD[word]
        if word in _OF_THE_REQUEST or word.startswith(_OF_IMAGES):
            return "invalid_request"
    return None
