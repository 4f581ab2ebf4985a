"""Errors of Anthropic Messages: `{"type":"error","error":{"type","message"},"request_id"}`, streamed or not.

Both tables follow section 7.1 of docs/protocols.md and https://docs.claude.com/en/api/errors.
"""

from typing import Any

import msgspec
from msgspec import Struct

from penstock.core.errors import ErrorInfo, ErrorKind
from penstock.wire.payload import UNREADABLE, one_line

_SPELLING: dict[ErrorKind, tuple[int, str]] = {
    "invalid_request": (400, "invalid_request_error"),
    "unauthenticated": (401, "authentication_error"),
    "billing": (403, "billing_error"),
    "forbidden": (403, "permission_error"),
    "not_found": (404, "not_found_error"),
    "model_not_found": (404, "not_found_error"),
    "method_not_allowed": (405, "invalid_request_error"),
    "conflict": (409, "invalid_request_error"),
    "gone": (410, "not_found_error"),
    "too_large": (413, "request_too_large"),
    "unsupported_media": (415, "invalid_request_error"),
    "rate_limited": (429, "rate_limit_error"),
    "upstream_error": (502, "api_error"),
    "overloaded": (529, "overloaded_error"),
    "timeout": (504, "timeout_error"),
    "stream_incomplete": (502, "api_error"),
    "internal": (500, "api_error"),
}

_BY_TYPE: dict[str, ErrorKind] = {
    "invalid_request_error": "invalid_request",
    "authentication_error": "unauthenticated",
    "billing_error": "billing",
    "permission_error": "forbidden",
    "not_found_error": "not_found",
    "request_too_large": "too_large",
    "rate_limit_error": "rate_limited",
    "api_error": "upstream_error",
    "overloaded_error": "overloaded",
    "timeout_error": "timeout",
}

_BY_STATUS: dict[int, ErrorKind] = {
    400: "invalid_request",
    401: "unauthenticated",
    402: "billing",
    403: "forbidden",
    404: "not_found",
    408: "timeout",
    413: "too_large",
    415: "unsupported_media",
    422: "invalid_request",
    429: "rate_limited",
    503: "overloaded",
    504: "timeout",
    529: "overloaded",
}


class _Error(Struct):
    type: str = ""
    message: str = ""


class _Body(Struct):
    error: _Error | str | None = None
    message: str = ""


_decode = msgspec.json.Decoder(_Body, strict=False).decode


def read_error(status: int, body: bytes) -> ErrorInfo:
    """Return what a provider's error means; `status` is 200 for an error inside a stream.

    A body that is not the protocol's (a proxy's HTML page, say) is not quoted; the status decides then.
    """
    try:
        found = _decode(body)
    except UNREADABLE:
        found = _Body()
    error = found.error if isinstance(found.error, _Error) else _Error("", found.error or found.message)
    kind = _BY_TYPE.get(error.type) or _BY_STATUS.get(status, "upstream_error")
    if kind == "not_found" and error.message.startswith("model"):
        kind = "model_not_found"
    message = error.message or f"The provider reported an error without an explanation (status {status})."
    return ErrorInfo(kind, message, code=error.type if error.type and error.type not in _BY_TYPE else None)


def write_error(error: ErrorInfo, request_id: str) -> tuple[int, bytes]:
    """Return status and JSON body of an error."""
    return _SPELLING[error.kind][0], one_line({**error_object(error), "request_id": request_id})


def error_object(error: ErrorInfo) -> dict[str, Any]:
    """Return the body of an error, also the data of an `error` event. The message names the field at fault."""
    message = error.message
    if error.param and error.param not in message:
        message = f"{error.param}: {message}"
    return {"type": "error", "error": {"type": _SPELLING[error.kind][1], "message": message}}
