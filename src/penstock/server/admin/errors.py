"""How the admin API says no: one status for each kind of error, and one form for all of them.

A body is `{"error": {"code": "unknown_field", "message": "...", "param": "budget.pr"}}`.
"""

import math

import msgspec

from penstock.core.errors import ClientFault, ErrorInfo, ErrorKind, Fault
from penstock.server.admin.shapes import Problem, Refusal
from penstock.server.http import HttpFault, Response

_STATUS: dict[ErrorKind, int] = {
    "invalid_request": 400,
    "unauthenticated": 401,
    "forbidden": 403,
    "not_found": 404,
    "model_not_found": 404,
    "method_not_allowed": 405,
    "timeout": 408,
    "too_large": 413,
    "unsupported_media": 415,
    "overloaded": 503,
}

_CONFLICTS = {"name_taken", "static_key"}

NO_STORE = {"Cache-Control": "no-store"}


def conflict(message: str, param: str | None, code: str) -> ClientFault:
    """Return the fault of a request that what is there already stands against; `code` is one of those known here."""
    return ClientFault(ErrorInfo("invalid_request", message, param=param, code=code))


def status_of(fault: Fault) -> int:
    """Return the status of a fault: 422 where a parameter can be read but cannot be accepted."""
    info = fault.info
    if isinstance(fault, HttpFault):
        return fault.status
    if info.code in _CONFLICTS:
        return 409
    if info.kind == "invalid_request" and info.param is not None:
        return 422
    return _STATUS.get(info.kind, 500)


def refused(fault: Fault, headers: dict[str, str]) -> Response:
    """Return the answer that tells a fault."""
    info = fault.info
    if info.kind == "unauthenticated":
        headers = headers | {"WWW-Authenticate": "Bearer"}
    if info.retry_after is not None:
        headers = headers | {"Retry-After": str(max(1, math.ceil(info.retry_after)))}
    body = Refusal(Problem(info.code or info.kind, info.message, info.param))
    return Response(msgspec.json.encode(body), status_of(fault), NO_STORE | headers)
