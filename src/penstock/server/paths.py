"""Which path means what, in one table made of what the protocols say. Pure: a raw path in, an operation out.

Only the raw path counts, decoded once and only inside a model name, so that no proxy in front can see another path
than we do. Version prefixes may be missing or doubled, because base URLs are given with and without them (section 1.2
of docs/protocols.md); a model name keeps its slashes, raw or encoded (pitfalls 28, 32).
"""

import re
from functools import lru_cache
from typing import Literal
from urllib.parse import unquote

from msgspec import Struct

from penstock.protocols.passed import PASSED
from penstock.protocols.registry import PROTOCOLS

Operation = Literal[
    "serve", "count", "pass", "kept", "list_models", "get_model", "usage", "stream", "base", "health", "unknown"
]

_WORD = re.compile(r"(?:[a-z_]{1,24}|v[0-9][a-z]{0,5})(?::[A-Za-z]{1,24})?")
"""A part of a path that can be shown: no key and no id is made of nothing but small letters."""

MAX_SHOWN = 200
"""Characters of a path that are shown."""

_VERSIONS = r"(?:/v1|/v1beta|/v1alpha)*"
_BASE = f"(?P<base>{'|'.join(protocol.base for protocol in PROTOCOLS.values())})?"
_OF_BASE = {protocol.base: protocol.name for protocol in PROTOCOLS.values()}

# What can be asked of an answer that is kept: the rest of the path, and the methods.
_KEPT = (
    ("", ("GET", "DELETE")),
    ("/(?P<verb>input_items)", ("GET",)),
    ("/(?P<verb>cancel)", ("POST",)),
)

# (pattern, operation, protocol, methods). The base in a pattern names the protocol where the rest of it does not.
_TABLE: tuple[tuple[re.Pattern[str], Operation, str, tuple[str, ...]], ...] = (
    *(
        (re.compile(f"(?:{protocol.base})?{_VERSIONS}{protocol.counting.path}"), "count", protocol.name, ("POST",))
        for protocol in PROTOCOLS.values()
        if protocol.counting is not None
    ),
    *(
        (re.compile(f"(?:{passed.protocol.base})?{_VERSIONS}{passed.path}"), "pass", passed.protocol.name, ("POST",))
        for passed in PASSED.values()
    ),
    *(
        (re.compile(f"(?:{protocol.base})?{_VERSIONS}{protocol.path}"), "serve", protocol.name, ("POST",))
        for protocol in PROTOCOLS.values()
    ),
    *(
        (
            re.compile(f"(?:{protocol.base})?{_VERSIONS}{protocol.path}/(?P<id>[^/]+){rest}"),
            "kept",
            protocol.name,
            allowed,
        )
        for protocol in PROTOCOLS.values()
        if protocol.keeping is not None
        for rest, allowed in _KEPT
    ),
    (re.compile(rf"{_BASE}{_VERSIONS}/models/?"), "list_models", "", ("GET",)),
    (re.compile(rf"{_BASE}{_VERSIONS}/models/(?P<model>.+)"), "get_model", "", ("GET",)),
    (re.compile(rf"{_BASE}{_VERSIONS}/streams/(?P<id>[^/]+)"), "stream", "", ("GET", "HEAD", "DELETE")),
    (re.compile(rf"{_VERSIONS}/usage/?"), "usage", "", ("GET",)),
    (re.compile(r"/(?:healthz|readyz)"), "health", "", ("GET", "HEAD")),
    (re.compile(rf"{_BASE}{_VERSIONS}/?"), "base", "", ("GET", "HEAD")),
)


class Match(Struct, frozen=True):
    """What a path means.

    Attributes:
        operation: what to do; `unknown` if the path means nothing.
        protocol: the protocol the path belongs to; empty if the path does not say.
        methods: the methods it may be called with.
        model: the model name in the path, decoded.
        verb: the method of the protocol's own that the path names behind the model, or behind the id.
        id: of an answer that is kept, decoded.
    """

    operation: Operation
    protocol: str = ""
    methods: tuple[str, ...] = ()
    model: str = ""
    verb: str = ""
    id: str = ""


@lru_cache(maxsize=256)  # a client asks for the same few paths again and again
def match(raw_path: str) -> Match:
    """Return what a raw path, without its query, means."""
    for pattern, operation, protocol, methods in _TABLE:
        found = pattern.fullmatch(raw_path)
        if found is None:
            continue
        groups = found.groupdict()
        return Match(
            operation,
            protocol or _OF_BASE.get(groups.get("base") or "", ""),
            methods,
            unquote(groups.get("model") or ""),
            groups.get("verb") or "",
            unquote(groups.get("id") or ""),
        )
    return Match("unknown", _guess(raw_path))


def shown(raw_path: str) -> str:
    """Return a path as it may be logged: names of models, ids, and whatever somebody put there by mistake are a `*`."""
    parts = raw_path[:MAX_SHOWN].split("/")
    return "/".join(part if not part or _WORD.fullmatch(part) else "*" for part in parts)


def _guess(raw_path: str) -> str:
    """Return the protocol that somebody who called an unknown path probably speaks."""
    for protocol in PROTOCOLS.values():
        if raw_path.startswith(f"{protocol.base}/"):
            return protocol.name
    for protocol in PROTOCOLS.values():
        if any(hint in raw_path for hint in protocol.hints):
            return protocol.name
    return ""
