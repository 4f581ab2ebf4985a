"""Errors as the Gemini API spells them: the shape of `google.rpc.Status`.

Specification: https://cloud.google.com/apis/design/errors.
"""

import math

from msgspec import Struct

from penstock.core.errors import MAX_RETRY_AFTER, ErrorInfo, ErrorKind, UpstreamFault
from penstock.wire.payload import ProviderDecoder, one_line

# Kind -> HTTP status, canonical status. In a stream the first is the number in the error object.
_SPELLING: dict[ErrorKind, tuple[int, str]] = {
    "invalid_request": (400, "INVALID_ARGUMENT"),
    "unauthenticated": (401, "UNAUTHENTICATED"),
    "billing": (403, "PERMISSION_DENIED"),
    "forbidden": (403, "PERMISSION_DENIED"),
    "not_found": (404, "NOT_FOUND"),
    "model_not_found": (404, "NOT_FOUND"),
    "method_not_allowed": (405, "INVALID_ARGUMENT"),
    "conflict": (409, "ABORTED"),
    "gone": (410, "NOT_FOUND"),
    "too_large": (413, "INVALID_ARGUMENT"),
    "unsupported_media": (415, "INVALID_ARGUMENT"),
    "rate_limited": (429, "RESOURCE_EXHAUSTED"),
    "upstream_error": (502, "INTERNAL"),
    "overloaded": (503, "UNAVAILABLE"),
    "timeout": (504, "DEADLINE_EXCEEDED"),
    "stream_incomplete": (502, "INTERNAL"),
    "internal": (500, "INTERNAL"),
}

_BY_CANONICAL: dict[str, ErrorKind] = {
    "INVALID_ARGUMENT": "invalid_request",
    "FAILED_PRECONDITION": "invalid_request",
    "OUT_OF_RANGE": "invalid_request",
    "UNAUTHENTICATED": "unauthenticated",
    "PERMISSION_DENIED": "forbidden",
    "NOT_FOUND": "model_not_found",
    "RESOURCE_EXHAUSTED": "rate_limited",
    "UNAVAILABLE": "overloaded",
    "DEADLINE_EXCEEDED": "timeout",
}

_BY_STATUS: dict[int, ErrorKind] = {
    400: "invalid_request",
    401: "unauthenticated",
    402: "billing",
    403: "forbidden",
    404: "model_not_found",
    408: "timeout",
    413: "too_large",
    429: "rate_limited",
    503: "overloaded",
    504: "timeout",
    529: "overloaded",
}


class _Detail(Struct, rename="camel"):
    reason: str | None = None
    retry_delay: str | None = None


class _Status(Struct):
    code: int | str | None = None
    message: str | None = None
    status: str | None = None
    details: list[_Detail] | None = None


class _Body(Struct):
    error: _Status | str | None = None


_object = ProviderDecoder(_Body)
_array = ProviderDecoder(list[_Body])


def read_error(status: int, body: bytes) -> ErrorInfo:
    """Return what a provider's error means. Streaming requests without `alt=sse` get it inside an array.

    `status` is 0 where there is none: an error in a stream, or in an answer with status 200.
    """
    try:
        read = _array.decode(body)[:1] if body.lstrip().startswith(b"[") else [_object.decode(body)]
    except UpstreamFault:
        read = []  # HTML of some proxy: the status has to do, and the text is not for clients
    return _info(status, read[0].error if read else None)


def read_error_member(value: bytes) -> ErrorInfo:
    """Return what the value of `error` in a stream means."""
    return read_error(0, b'{"error":%b}' % value)


def write_error(info: ErrorInfo, request_id: str) -> tuple[int, bytes]:
    """Return HTTP status and body. The shape has no place for a request id; it travels in a header."""
    del request_id
    return _SPELLING[info.kind][0], error_object(info)


def error_object(info: ErrorInfo) -> bytes:
    """Return the error as one line of JSON, `error` its first key: SDKs look for it there in streams, too."""
    code, status = _SPELLING[info.kind]
    details: list[dict[str, object]] = []
    if info.param is not None:
        violation = {"field": info.param, "description": info.message}
        details.append({"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [violation]})
    if info.retry_after is not None:  # Gemini's clients look for it here, not in the header
        seconds = max(1, math.ceil(min(info.retry_after, MAX_RETRY_AFTER)))
        details.append({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": f"{seconds}s"})
    return one_line({"error": {"code": code, "message": info.message, "status": status, "details": details}})


def _info(http_status: int, error: _Status | str | None) -> ErrorInfo:
    if not isinstance(error, _Status):
        error = _Status(message=error)
    code = http_status or (error.code if isinstance(error.code, int) else 0)
    reason, retry_after = _details(error)
    if reason == "API_KEY_INVALID":  # comes as 400 INVALID_ARGUMENT
        return ErrorInfo("unauthenticated", error.message or "The API key is not valid.")
    kind = _BY_CANONICAL.get(error.status or "") or _BY_STATUS.get(code) or _by_class(code)
    message = error.message or f"The provider answered with status {code or 'unknown'} and no reason."
    return ErrorInfo(kind, message, code=reason, retry_after=retry_after)


def _by_class(code: int) -> ErrorKind:
    return "invalid_request" if 400 <= code < 500 else "upstream_error"


def _details(error: _Status) -> tuple[str | None, float | None]:
    """Return the machine-readable reason, and the seconds after which to try again (`google.rpc.RetryInfo`)."""
    reason, retry_after = None, None
    for detail in error.details or ():
        reason = reason or detail.reason
        if detail.retry_delay is not None:
            retry_after = _seconds(detail.retry_delay)
    return reason, retry_after


def _seconds(duration: str) -> float | None:
    try:
        return max(0.0, float(duration.removesuffix("s")))
    except ValueError:
        return None
