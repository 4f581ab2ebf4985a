"""JSON payloads: a strict gate for what clients send, a lenient reader for what providers send, one-line writing.

Towards clients nothing is guessed: a body is UTF-8 JSON without duplicate keys, NaN, huge integers, lone surrogates or
absurd depth, or it is a 400 that says which. Towards providers everything that has a meaning is read.
"""

import json
import re
from itertools import accumulate
from math import isinf
from typing import Any, Generic, NoReturn, TypeVar, cast

import msgspec

from penstock.core.errors import ClientFault, ErrorInfo, MalformedRequest, bad_request, upstream_error

MAX_DEPTH = 128
"""Nesting of a request body. Tool schemas in the wild reach about 30; msgspec and json give up near 1000."""

MAX_INTEGER = 2**63 - 1
"""Integers beyond 64 bits are refused: no field means them, and other parsers disagree about them."""

_MAX_DIGITS = len(str(-MAX_INTEGER))

_NESTING = bytes(1 if byte in b"[{" else 0xFF if byte in b"]}" else byte for byte in range(256))
_NO_NESTING = bytes(set(range(256)) - set(b'[]{}"'))
_SURROGATES = re.compile("[\ud800-\udfff]")
_PATH = re.compile(r"^(.*?)(?: - at `\$?\.?(.*?)`)?$", re.DOTALL)

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for bytes that are not JSON, of another shape, not UTF-8, or nested too deep for it."""

members_of = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
"""Return the members of an object, each value as the bytes it came as. Raises `UNREADABLE`."""

items_of = msgspec.json.Decoder(list[msgspec.Raw]).decode
"""Return the items of an array, each as the bytes it came as. Raises `UNREADABLE`."""

encode = msgspec.json.Encoder(decimal_format="number").encode
"""Encode a value as compact JSON."""

T = TypeVar("T")


def parse_object(body: bytes) -> dict[str, msgspec.Raw]:
    """Return the top level of a client's JSON object, each value as the bytes it came as.

    Raises:
        ClientFault: the body is not an acceptable JSON object; the message says why and where.
    """
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise bad_request(f"The body is not UTF-8: byte {error.start} cannot be decoded.") from None
    try:
        value: Any = _strict.decode(text)
    except json.JSONDecodeError as error:
        raise bad_request(f"The body is not JSON: {error.msg} (line {error.lineno}, column {error.colno}).") from None
    except RecursionError:
        raise _too_deep() from None
    _check_depth(body)
    if not isinstance(value, dict):
        raise bad_request(f"The body must be a JSON object, not {_kind(value)}.")
    if "\\ud" in text or "\\uD" in text:
        _check_surrogates(value)
    return members_of(body)


def client_decoder(type_: type[T]) -> "ClientDecoder[T]":
    """Return a decoder of a request body's fields into `type_` whose failures are 400s that name the field."""
    return ClientDecoder(type_)


class ClientDecoder(Generic[T]):
    """Typed decoding of JSON that `parse_object` let through."""

    def __init__(self, type_: type[T]) -> None:
        self._decoder = msgspec.json.Decoder(type_)

    def decode(self, body: bytes | msgspec.Raw, at: str = "") -> T:
        """Decode; `at` is the path of `body` in the client's request, if it is only a piece of it.

        Raises:
            ClientFault: the JSON does not fit; `param` is the path of the value that does not.
        """
        try:
            return self._decoder.decode(body)
        except msgspec.ValidationError as error:
            raise client_fault(error, at) from None
        except (msgspec.DecodeError, RecursionError) as error:
            raise bad_request(f"The body is not acceptable JSON: {error}.") from None


def client_fault(error: msgspec.ValidationError, at: str = "") -> MalformedRequest:
    """Return the 400 for a value of the wrong shape, with the path of that value as `param`."""
    match = _PATH.match(str(error))
    message, path = (match.group(1), match.group(2) or "") if match else (str(error), "")
    joined = path if not at or path.startswith("[") else f"{at}.{path}" if path else at
    param = f"{at}{path}" if at and path.startswith("[") else joined
    where = f"`{param}`: " if param else ""
    told = f"{where}{message[:1].lower()}{message[1:]}."
    return MalformedRequest(ErrorInfo("invalid_request", told, param=param or None))


class ProviderDecoder(Generic[T]):
    """Typed decoding of what a provider sent: the fast way, or else the lenient one (pitfall 19)."""

    def __init__(self, type_: type[T]) -> None:
        self.fast = msgspec.json.Decoder(type_).decode
        self._lenient = msgspec.json.Decoder(type_, strict=False).decode

    def decode(self, data: bytes | msgspec.Raw) -> T:
        """Decode one payload, or a piece of one that stayed raw.

        Raises:
            UpstreamFault: it is not JSON, or nothing like the expected type.
        """
        try:
            return self.fast(data)
        except UNREADABLE:
            pass
        try:
            value = json.loads(bytes(data).decode("utf-8", "replace"), parse_constant=lambda _: None, strict=False)
            # Written out again because only a JSON decoder fills fields that stay raw.
            return self._lenient(encode(_without_surrogates(value)))
        except (ValueError, RecursionError):
            raise upstream_error("The provider sent something that cannot be understood.", "bad_payload") from None


def json_text(value: Any) -> str:
    """Encode a value as JSON text. What a provider sent and stayed raw in it need not be UTF-8: that is repaired."""
    return encode(value).decode("utf-8", "replace")


def one_line(value: Any) -> bytes:
    """Encode a value as JSON on one line that every SDK's line splitter leaves in one piece."""
    return escape_lines(encode(value))


def escape_lines(payload: bytes) -> bytes:
    """Escape U+2028, U+2029 and U+0085, at which old SDKs break lines (section 2 of docs/protocols.md)."""
    if payload.isascii():
        return payload
    return (
        payload.replace(b"\xe2\x80\xa8", b"\\u2028")
        .replace(b"\xe2\x80\xa9", b"\\u2029")
        .replace(b"\xc2\x85", b"\\u0085")
    )


def _check_depth(body: bytes) -> None:
    """Refuse JSON that is nested too deep. It has been parsed, so quotes pair up, and a backslash escapes something.

    The body may have many megabytes: whatever it holds, these are a few passes over it at the speed of C.
    """
    if body.count(b"[") + body.count(b"{") <= MAX_DEPTH:
        return
    if b"\\" in body:
        body = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    # Of two quotes in a row none begins or ends what is outside of strings: without them most strings are gone.
    marks = body.translate(_NESTING, _NO_NESTING).replace(b'""', b"")
    steps = b"".join(marks.split(b'"')[::2])  # up and down, outside of strings
    if max(accumulate(memoryview(steps).cast("b")), default=0) > MAX_DEPTH:
        raise _too_deep()


def _too_deep() -> ClientFault:
    return bad_request(f"The body is nested more than {MAX_DEPTH} levels deep.")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise bad_request(f"The body gives the key {key[:64]!r} twice in one object.", param=key[:64])
            seen.add(key)
    return value


def _bounded(digits: str) -> int:
    value = int(digits) if len(digits) <= _MAX_DIGITS else MAX_INTEGER + 1
    if not -MAX_INTEGER <= value <= MAX_INTEGER:
        raise bad_request(f"The body holds an integer of {len(digits)} digits; 64 bits are the limit.")
    return value


def _finite(digits: str) -> float:
    value = float(digits)
    if isinf(value):
        raise bad_request("The body holds a number too large for a 64-bit float.")
    return value


def _no_constant(name: str) -> NoReturn:
    raise bad_request(f"The body holds {name}, which is not JSON.")


def _check_surrogates(value: Any) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise bad_request("The body holds half of a surrogate pair, which is not text.") from None


def _without_surrogates(value: Any) -> Any:
    if isinstance(value, str):
        return _SURROGATES.sub("\ufffd", value)
    if isinstance(value, dict):
        members = cast("dict[str, Any]", value)
        return {_without_surrogates(key): _without_surrogates(item) for key, item in members.items()}
    if isinstance(value, list):
        return [_without_surrogates(item) for item in cast("list[Any]", value)]
    return value


def _kind(value: Any) -> str:
    names: dict[Any, str] = {list: "an array", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")


_strict = json.JSONDecoder(
    object_pairs_hook=_unique, parse_int=_bounded, parse_constant=_no_constant, parse_float=_finite
)
