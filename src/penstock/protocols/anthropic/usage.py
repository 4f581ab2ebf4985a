"""Token counts as Anthropic Messages spells them, both ways (section 8.6 of the protocol reference).

They come in `message_start` and again in `message_delta`. The numbers are cumulative: what comes later replaces what
came before, field by field, and nothing is ever added (pitfalls 93, 96, case T3).
"""

from typing import Any

from penstock.core.usage import Usage
from penstock.protocols.anthropic.wire import CacheCreation, WireUsage


class UsageReader:
    """The counters of one answer as far as they came."""

    __slots__ = ("_long", "_seen", "_short", "_thinking")

    def __init__(self) -> None:
        self._seen = WireUsage()
        self._short: int | None = None
        self._long: int | None = None
        self._thinking: int | None = None

    def read(self, usage: WireUsage) -> Usage:
        """Take what an event says about usage, and return all that is known by now."""
        seen = self._seen
        for field in ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens", "output_tokens"):
            if (count := getattr(usage, field)) is not None:
                setattr(seen, field, count)
        split = usage.cache_creation or CacheCreation()
        self._short = _latest(split.ephemeral_5m_input_tokens, self._short)
        self._long = _latest(split.ephemeral_1h_input_tokens, self._long)
        if usage.output_tokens_details is not None:
            self._thinking = _latest(usage.output_tokens_details.thinking_tokens, self._thinking)
        written, written_1h = self._cache_writes()
        return Usage(
            uncached=seen.input_tokens,
            cache_read=seen.cache_read_input_tokens,
            cache_write=written,
            cache_write_1h=written_1h,
            output=seen.output_tokens,
            reasoning=self._thinking,
        )

    def _cache_writes(self) -> tuple[int | None, int | None]:
        """Return what was written for 5 minutes and for an hour.

        The sum is the newer number (`message_delta` has no split), so it decides where the two disagree.
        """
        total = self._seen.cache_creation_input_tokens
        if total is None:
            return self._short, self._long
        if self._long is None:
            return total, None
        long = min(self._long, total)
        return total - long, long


def write_usage(usage: Usage, input_estimate: int) -> dict[str, Any]:
    """Return the usage object; the four counters that SDKs require are always there, input estimated if need be."""
    counts: dict[str, Any] = {
        "input_tokens": input_estimate if usage.uncached is None else usage.uncached,
        "cache_creation_input_tokens": usage.cache_written,
        "cache_read_input_tokens": usage.cache_read or 0,
        "output_tokens": usage.output or 0,
    }
    if usage.cache_write_1h is not None:
        counts["cache_creation"] = {
            "ephemeral_5m_input_tokens": usage.cache_write or 0,
            "ephemeral_1h_input_tokens": usage.cache_write_1h,
        }
    if usage.reasoning is not None:
        counts["output_tokens_details"] = {"thinking_tokens": usage.reasoning}
    return counts


def _latest(later: int | None, earlier: int | None) -> int | None:
    return earlier if later is None else later
