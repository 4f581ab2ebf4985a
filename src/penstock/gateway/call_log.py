"""The log line of each call, written a moment after its end.

A line on its own costs a request more than looking up its key and its model together; ten lines in a row cost hardly
more than one. And no token waits for a log.
"""

import asyncio
from typing import Any

import structlog

DELAY = 0.1
"""Seconds that a line may wait for others."""

_log = structlog.get_logger("penstock.call")


class CallLog:
    """Lines that are still to be written."""

    def __init__(self) -> None:
        self._lines: list[dict[str, Any]] = []

    def note(self, line: dict[str, Any]) -> None:
        """Take a line; it is written soon."""
        if not self._lines:
            asyncio.get_running_loop().call_later(DELAY, self.flush)
        self._lines.append(line)

    def flush(self) -> None:
        """Write all lines."""
        lines, self._lines = self._lines, []
        for line in lines:
            _log.info("call", **line)
