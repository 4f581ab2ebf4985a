"""The log line of each call, written a moment after its end.

A line on its own costs a request more than looking up its key and its model together. So lines that wait are
one entry, with their fields under `EACH`, of which whoever writes the log makes a line each: that takes less than half
the CPU. And no token waits for a log.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import structlog

from penstock.gateway.observer import Ended

DELAY = 0.1
"""Seconds that a line may wait for others."""

EACH = "each"
"""The field of an entry that stands for several: what differs between their lines."""

AT_ONCE = 8
"""Lines in one entry. They are fewer bytes than the 4096 that a pipe takes at once: workers share one, and unmixed."""

_log = structlog.get_logger("penstock.call")


class CallLog:
    """Calls whose lines are still to be written."""

    def __init__(self, afterwards: Sequence[Callable[[], None]] = ()) -> None:
        """Call `afterwards` whenever lines were written: what else is done for many calls at once."""
        self._ended: list[Ended] = []
        self._afterwards = afterwards

    def observe(self, ended: Ended) -> None:
        """Take note of a call that is over; its line is written soon."""
        if not self._ended:
            asyncio.get_running_loop().call_later(DELAY, self.flush)
        self._ended.append(ended)

    def flush(self) -> None:
        """Write all lines, and have done what comes afterwards."""
        waiting, self._ended = self._ended, []
        for start in range(0, len(waiting), AT_ONCE):
            told = [_told(ended) for ended in waiting[start : start + AT_ONCE]]
            _log.info("call", **(told[0] if len(told) == 1 else {EACH: told}))
        for follow in self._afterwards:
            follow()


def _told(ended: Ended) -> dict[str, Any]:
    return {
        "request_id": ended.request,
        "key": ended.key,
        "model": ended.model,
        "provider": ended.provider,
        "protocols": f"{ended.client_protocol}>{ended.upstream_protocol}",
        "stream": ended.stream,
        "end": ended.end,
        "finish": ended.finish,
        "error": ended.error,
        "input_tokens": ended.usage.input,
        "output_tokens": ended.usage.output,
        "usage": ended.usage_source,
        "first_output": None if ended.first_output is None else round(ended.first_output, 4),
        "seconds": round(ended.seconds, 4),
    }
