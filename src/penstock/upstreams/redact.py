"""What a provider's own words may say to a client.

Providers quote credentials (pitfall 118), addresses of their own and of proxies, and whole HTML pages (pitfall 107). A
client is told what went wrong, and nothing that helps it into somebody else's account or network.
"""

import re

MAX_LENGTH = 500
"""Characters of a provider's message that are passed on."""

NO_TEXT = "The provider gave no readable reason."

_SPACE = re.compile(r"[\s\x00-\x1f\x7f]+")
_HTML = re.compile(r"<\s*(!doctype|html|head|body|title)\b", re.IGNORECASE)

# In this order: what is found first is not looked at again.
_REPLACEMENTS = (
    (re.compile(r"(?i)\b(https?|wss?|postgres(?:ql)?|redis)://[^\s\"'<>\]}]+"), "[url]"),
    (re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9+/=._~-]{8,}"), r"\1 [key]"),
    (re.compile(r"(?i)((?:api[-_ ]?key|token|secret|password)[\"']?\s*[:=]\s*[\"']?)[^\s\"',;}]{4,}"), r"\1[key]"),
    # Prefixes that keys of providers and of this gateway have, whole or shortened with asterisks.
    (
        re.compile(r"\b(?:sk|pk|rk|xai|gsk|hf|fw|r8|tgp|nvapi|pen|AIza|ya29|eyJ)[-_.A-Za-z0-9]*[-_.A-Za-z0-9*]{6,}"),
        "[key]",
    ),
    (re.compile(r"\b[A-Za-z0-9_-]{2,}\*{3,}[A-Za-z0-9_*-]*"), "[key]"),
    (re.compile(r"\b(?=[A-Za-z_-]*\d)(?=[\d_-]*[A-Za-z])[A-Za-z0-9_-]{32,}\b"), "[key]"),
    (re.compile(r"\b(?:\d{1,3}\.){3}\d{1,3}(?::\d+)?\b"), "[address]"),
    # IPv6: with a double colon, or with more colons than a time of day has.
    (
        re.compile(r"(?<![\w:])\[?(?=[0-9A-Fa-f:]*::|(?:[0-9A-Fa-f]+:){3})[0-9A-Fa-f:]{3,39}\]?(?::\d+)?(?!\w)"),
        "[address]",
    ),
    (
        re.compile(
            r"(?<![\w/.])(?:/(?:home|root|usr|var|opt|etc|srv|app|tmp|mnt|data|Users|workspace)\b[^\s\"',;:)]*)"
        ),
        "[path]",
    ),
    (re.compile(r"\b[A-Za-z]:\\[^\s\"',;)]+"), "[path]"),
)


def redact(text: str) -> str:
    """Return a provider's message without credentials, addresses and paths, on one line, shortened."""
    if _HTML.search(text):
        return NO_TEXT
    text = _SPACE.sub(" ", text[: MAX_LENGTH * 4]).strip()
    for pattern, replacement in _REPLACEMENTS:
        text = pattern.sub(replacement, text)
    if len(text) > MAX_LENGTH:
        text = f"{text[: MAX_LENGTH - 3]}..."
    return text or NO_TEXT
