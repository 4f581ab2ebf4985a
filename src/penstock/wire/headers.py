"""Headers as HTTP parsers give them, line by line in bytes, and as everybody else wants to look at them."""

from collections.abc import Iterable, Sequence

_BLANKS = (b" ", b"\t")


def decoded(fields: Sequence[tuple[bytes, bytes]], encoding: str) -> dict[str, str]:
    """Return headers by their names in lower case; different values of a repeated one joined by commas.

    Args:
        fields: names and values, without line ends.
        encoding: of the values; what is not of that encoding becomes lone surrogates.
    """
    if not fields:
        return {}
    # All at once, because a message has twenty of them.
    names, values = map(b"\n".join, zip(*fields, strict=True))
    if b" \n" in values or b"\t\n" in values or values.endswith(_BLANKS):
        values = b"\n".join([value.rstrip(b" \t") for _, value in fields])
    keys, texts = names.decode("latin-1").lower().split("\n"), values.decode(encoding, "surrogateescape").split("\n")
    headers = dict(zip(keys, texts, strict=True))
    return headers if len(headers) == len(fields) else joined(zip(keys, texts, strict=True))


def joined(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return what stands under each name; what is said twice in the same words was said once (RFC 9110, 5.3)."""
    found: dict[str, str] = {}
    for name, value in pairs:
        known = found.setdefault(name, value)
        if known != value:
            found[name] = f"{known}, {value}"
    return found
