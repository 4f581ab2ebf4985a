"""Where a request carries its key: one answer for all protocols and paths (section 1.3 of docs/protocols.md)."""

from collections.abc import Mapping

from penstock.core.errors import ClientFault, ErrorInfo, bad_request

_HEADERS = frozenset({"authorization", "x-api-key", "x-goog-api-key", "api-key"})

_HOW = "Send a key as `Authorization: Bearer <key>`, `x-api-key`, `x-goog-api-key` or `?key=`."


def extract(headers: Mapping[str, str], query: Mapping[str, str]) -> str:
    """Return the key that a request carries. Both mappings may yield a name more than once.

    Raises:
        ClientFault: it carries none, or two that differ.
    """
    found: dict[str, str] = {}  # key -> where it was found first
    scheme = "Bearer"
    for name, value in headers.items():
        lower = name.lower()
        if lower not in _HEADERS:
            continue
        if lower == "authorization":
            scheme, _, key = value.strip().partition(" ")
            if scheme.lower() == "bearer" and key.strip():
                found.setdefault(key.strip(), "Authorization")
        elif value.strip():
            found.setdefault(value.strip(), lower)
    for name, value in query.items():
        if name == "key" and value.strip():
            found.setdefault(value.strip(), "?key=")
    if len(found) > 1:
        raise bad_request(f"The request carries different keys, in {' and '.join(found.values())}. Send one.")
    if not found:
        raise _missing(scheme)
    return next(iter(found))


def _missing(scheme: str) -> ClientFault:
    # A header without a scheme is most likely a bare key: it is not repeated.
    known = scheme if scheme.lower() in {"basic", "digest", "negotiate"} else ""
    why = f"The Authorization scheme {known} is not used here." if known else "The request carries no key."
    return ClientFault(ErrorInfo("unauthenticated", f"{why} {_HOW}", code="invalid_api_key"))
