"""Which path means what, in one table. Pure: the raw path of a request in, an operation out.

Only the raw path counts, decoded once and only inside a model name, so that no proxy in front can see another path
than we do. Version prefixes may be missing or doubled, because base URLs are given with and without them (section 1.2
of docs/protocols.md); a model name keeps its slashes, raw or encoded (pitfalls 28, 32).
"""

import re
from typing import Literal
from urllib.parse import unquote

from msgspec import Struct

Operation = Literal["chat", "messages", "generate", "list_models", "get_model", "base", "health", "unknown"]

_VERSIONS = r"(?:/v1|/v1beta|/v1alpha)*"

# (pattern, operation, protocol, methods). `base` in a pattern names the protocol where the path alone does not.
_TABLE: tuple[tuple[re.Pattern[str], Operation, str, tuple[str, ...]], ...] = (
    (re.compile(rf"(?:/openai)?{_VERSIONS}/chat/completions"), "chat", "openai-chat", ("POST",)),
    (re.compile(rf"(?:/anthropic)?{_VERSIONS}/messages"), "messages", "anthropic", ("POST",)),
    (
        re.compile(rf"(?:/gemini)?{_VERSIONS}/models/(?P<model>.+)(?::|%3[Aa])(?P<verb>[A-Za-z]+)"),
        "generate",
        "gemini",
        ("POST",),
    ),
    (re.compile(rf"(?P<base>/openai|/anthropic|/gemini)?{_VERSIONS}/models/?"), "list_models", "", ("GET",)),
    (re.compile(rf"(?P<base>/openai|/anthropic|/gemini)?{_VERSIONS}/models/(?P<model>.+)"), "get_model", "", ("GET",)),
    (re.compile(r"/(?:healthz|readyz)"), "health", "", ("GET", "HEAD")),
    (re.compile(rf"(?P<base>/openai|/anthropic|/gemini)?{_VERSIONS}/?"), "base", "", ("GET", "HEAD")),
)

_BASES = {"/openai": "openai-chat", "/anthropic": "anthropic", "/gemini": "gemini"}


class Match(Struct, frozen=True):
    """What a path means.

    Attributes:
        operation: what to do; `unknown` if the path means nothing.
        protocol: the protocol the path belongs to; empty if the path does not say.
        methods: the methods it may be called with.
        model: the model name in the path, decoded.
        verb: what follows the colon in a Gemini path.
    """

    operation: Operation
    protocol: str = ""
    methods: tuple[str, ...] = ()
    model: str = ""
    verb: str = ""


def match(raw_path: str) -> Match:
    """Return what a raw path, without its query, means."""
    for pattern, operation, protocol, methods in _TABLE:
        found = pattern.fullmatch(raw_path)
        if found is None:
            continue
        groups = found.groupdict()
        return Match(
            operation,
            protocol or _BASES.get(groups.get("base") or "", ""),
            methods,
            unquote(groups.get("model") or ""),
            groups.get("verb") or "",
        )
    return Match("unknown", _guess(raw_path))


def _guess(raw_path: str) -> str:
    """Return the protocol that somebody who called an unknown path probably speaks."""
    for base, protocol in _BASES.items():
        if raw_path.startswith(f"{base}/"):
            return protocol
    if "/messages" in raw_path:
        return "anthropic"
    return "gemini" if raw_path.startswith(("/v1beta", "/v1alpha")) else ""
