"""Tool names that the target refuses, mapped to ones it takes, and back (pitfall 51)."""

import hashlib
import re


class ToolNames:
    """The names of one request's tools as the target gets them."""

    def __init__(self, illegal: re.Pattern[str], limit: int) -> None:
        """Map names with characters that match `illegal`, or of more than `limit` characters."""
        self._illegal = illegal
        self._limit = limit
        self.changed: dict[str, str] = {}
        """Names that had to be changed, the target's -> the client's."""

    def legal(self, name: str) -> str:
        """Return the name for the target: itself if it is legal, else a stable replacement with a hash at its end."""
        if len(name) <= self._limit and not self._illegal.search(name):
            return name
        digest = hashlib.sha256(name.encode()).hexdigest()[:8]
        replacement = f"{self._illegal.sub('_', name)[: self._limit - 9]}_{digest}"
        self.changed[replacement] = name
        return replacement
