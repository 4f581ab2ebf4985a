"""Reading what the admin API is given, strictly: what nobody knows is refused, and what comes nearest is named."""

import re
from typing import TypeVar

import msgspec
from msgspec import Struct

from penstock.core.errors import ClientFault, ErrorInfo, bad_request
from penstock.server.http import Request
from penstock.upstreams.settings import did_you_mean

MAX_BODY = 1024 * 1024
"""Bytes; no key has more to say."""

T = TypeVar("T", bound=Struct)

_ERROR = re.compile(r"(.*?)(?: - at `\$\.?(.*?)`)?", re.DOTALL)
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(.*)`")


async def read_body(request: Request, type_: type[T]) -> T:
    """Return what the body of a request says; an empty one says `{}`.

    Raises:
        ClientFault: it is no JSON, or does not fit.
    """
    _check_head(request)
    body = await request.read()
    if len(body) > MAX_BODY:
        raise _too_large()
    try:
        return msgspec.json.decode(body or b"{}", type=type_)
    except msgspec.ValidationError as error:
        raise _mistake(str(error), type_, "The body") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise bad_request(f"The body is not JSON: {error}.", code="not_json") from None


def read_query(query: dict[str, str], type_: type[T]) -> T:
    """Return what a query says.

    Raises:
        ClientFault: it does not fit.
    """
    for name, value in query.items():
        if not value.isprintable():
            raise bad_request(f"{name[:100]!r}: expected printable characters.", name[:100])
    try:
        return msgspec.convert(query, type_, strict=False)
    except msgspec.ValidationError as error:
        raise _mistake(str(error), type_, "The query") from None


def _check_head(request: Request) -> None:
    """Refuse a body before it is read, where its head tells enough."""
    headers = request.headers
    if headers.get("content-encoding", "identity") != "identity":
        raise _unsupported("Send the body without Content-Encoding.")
    length = int(headers.get("content-length", 0))
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json" and (length or "transfer-encoding" in headers):
        raise _unsupported("Send the body as `Content-Type: application/json`; curl does with --json.")
    if length > MAX_BODY:
        raise _too_large()


def _mistake(error: str, type_: type[Struct], whole: str) -> ClientFault:
    """Return the fault of a value that does not fit, in our words."""
    match = _ERROR.fullmatch(error)
    told, path = (match[1], match[2] or "") if match else (error, "")
    if unknown := _UNKNOWN.fullmatch(told):
        name = unknown[1][:100]
        path = f"{path}.{name}".lstrip(".")
        return bad_request(f"{path}: unknown field{did_you_mean(name, _names(type_))}", path, "unknown_field")
    if missing := _MISSING.fullmatch(told):
        path = f"{path}.{missing[1]}".lstrip(".")
        return bad_request(f"{path}: is missing", path, "missing_field")
    told = told.replace("`", "")
    told = told[:1].lower() + told[1:]
    return bad_request(f"{path}: {told}", path, "invalid_value") if path else bad_request(f"{whole}: {told}")


def _names(type_: type[Struct]) -> list[str]:
    """Return the names of all fields that may stand anywhere in a value."""
    _, components = msgspec.json.schema_components([type_])
    return [name for schema in components.values() for name in schema.get("properties", {})]


def _unsupported(message: str) -> ClientFault:
    return ClientFault(ErrorInfo("unsupported_media", message))


def _too_large() -> ClientFault:
    return ClientFault(ErrorInfo("too_large", f"The body exceeds {MAX_BODY // 2**20} MiB."))
