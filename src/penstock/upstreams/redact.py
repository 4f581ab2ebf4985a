"""What a provider's own words may say to a client.

Providers quote credentials (pitfall 118), addresses of their own and of proxies, and whole HTML pages (pitfall 107). A
client is told what went wrong, and nothing that helps it into somebody else's account or network.
"""

import json
import re
from collections.abc import Iterable
from urllib.parse import quote

MAX_LENGTH = 500
"""Characters of a provider's message that are passed on."""

NO_TEXT = "The provider gave no readable reason."

MIN_SECRET = 8
"""Characters of a key that is looked for by its own text; a shorter one is in too many words."""

_PREFIXES = r"(?:sk|pk|rk|xai|gsk|hf|fw|r8|tgp|nvapi|pen|pad)[-_]"

_SPACE = re.compile(r"[\s\x00-\x1f\x7f]+")
_HTML = re.compile(r"<\s*(!doctype|html|head|body|title)\b", re.IGNORECASE)

_REPLACEMENTS = tuple(
    (re.compile(pattern, flags), replacement)
    for pattern, flags, replacement in (
        (r"\b(?:https?|wss?|postgres(?:ql)?|redis)://[^\s\"'<>\]}]+", re.IGNORECASE, "[url]"),
        (r"\b(bearer|basic)\s+[A-Za-z0-9+/=._~-]{8,}", re.IGNORECASE, r"\1 [key]"),
        (
            r"((?:(?:api|access|auth)[-_ ]?(?:key|token)|secret|password)[\"']?\s*[:=]\s*[\"']?)[^\s\"',;}]{4,}",
            re.IGNORECASE,
            r"\1[key]",
        ),
        # Prefixes that keys of providers and of this gateway have; some providers quote a key with asterisks in it.
        (rf"\b{_PREFIXES}[-_.A-Za-z0-9*]{{6,}}", 0, "[key]"),
        (r"\b(?:AIza|ya29\.|eyJ)[-_.A-Za-z0-9*]{10,}", 0, "[key]"),
        (r"\b[A-Za-z0-9_-]{2,}\*{3,}[A-Za-z0-9_*-]*", 0, "[key]"),
        # Without a prefix: long, and of letters and digits alone, as no word and no model's name is.
        (r"(?<![A-Za-z0-9])(?=[A-Za-z]*\d)(?=\d*[A-Za-z])[A-Za-z0-9]{32,}", 0, "[key]"),
        (r"\b(?:\d{1,3}\.){3}\d{1,3}(?::\d+)?\b", 0, "[address]"),
        # IPv6: with a double colon, or with more colons than a time of day has.
        (r"(?<![\w:])\[?(?=[0-9A-Fa-f:]*::|(?:[0-9A-Fa-f]+:){3})[0-9A-Fa-f:]{3,39}\]?(?::\d+)?(?!\w)", 0, "[address]"),
        (r"(?<![\w/.])/(?:home|root|usr|var|opt|etc|srv|app|tmp|mnt|Users)\b[^\s\"',;:)]*", 0, "[path]"),
        (r"\b[A-Za-z]:\\[^\s\"',;)]+", 0, "[path]"),
    )
)

# In bodies, which hold ids, signatures and prose, only what can be nothing else is a key.
_KEYS = re.compile(
    rf"(?<![-_A-Za-z0-9])(?:{_PREFIXES}[-_.+/=A-Za-z0-9]{{16,}}|AIza[-_A-Za-z0-9]{{30,}}|ya29\.[-_.A-Za-z0-9]{{20,}}"
    r"|eyJ[-_A-Za-z0-9]{8,}\.[-_A-Za-z0-9]{8,}\.[-_A-Za-z0-9]{8,}|AKIA[0-9A-Z]{16}(?![0-9A-Za-z]))"
    r"|(?<=[Bb]earer )[-_.~+/=A-Za-z0-9]{16,}".encode()
)


def mask_keys(body: bytes, known: Iterable[str] = ()) -> bytes:
    """Return a body of any kind with all keys overwritten, each by as many bytes: lengths and framing stay.

    Args:
        body: JSON, an event stream, or anything else.
        known: keys to look for by their own text, in all spellings that JSON and URLs have for them, besides what
            looks like a key of a provider or of this gateway.
    """
    for spelling in spellings(known):
        body = body.replace(spelling.encode(), b"[key]".ljust(len(spelling), b"*"))
    return _KEYS.sub(lambda match: b"[key]".ljust(len(match.group()), b"*"), body)


def spellings(known: Iterable[str]) -> list[str]:
    """Return keys in all spellings that JSON and URLs have for them, the longest first."""
    found = {
        spelling
        for key in known
        if len(key) >= MIN_SECRET
        for spelling in (key, json.dumps(key)[1:-1], key.replace("/", "\\/"), quote(key, safe=""))
    }
    return sorted(found, key=len, reverse=True)


def redact(text: str, known: Iterable[str] = ()) -> str:
    """Return a provider's message without credentials, addresses and paths, on one line, shortened.

    Args:
        text: the message.
        known: keys to look for by their own text, besides what looks like one.
    """
    if _HTML.search(text):
        return NO_TEXT
    for spelling in spellings(known):
        text = text.replace(spelling, "[key]")
    text = _SPACE.sub(" ", text[: MAX_LENGTH * 4]).strip()
    for pattern, replacement in _REPLACEMENTS:
        text = pattern.sub(replacement, text)
    if len(text) > MAX_LENGTH:
        text = f"{text[: MAX_LENGTH - 3]}..."
    return text or NO_TEXT
