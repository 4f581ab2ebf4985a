"""Token counts as Anthropic Messages spells them, both ways (section 8.6 of docs/protocols.md).

They come in `message_start` and again in `message_delta`. The numbers are cumulative: what comes later replaces what
came before, field by field, and nothing is ever added (pitfalls 93, 96, case T3).
"""

from collections.abc import Callable
from typing import Any

from penstock.core.usage import STANDARD, Usage, latest, latest_part, service_tier
from penstock.protocols.anthropic.wire import CacheCreation, OutputDetails, WireUsage


class UsageReader:
    """The counters of one answer as far as they came."""

    __slots__ = (
        "_cached", "_output", "_searches", "_thinking", "_tier", "_uncached", "_written", "_written_1h", "_written_5m"
    )  # fmt: skip

    def __init__(self) -> None:
        self._uncached: int | None = None
        self._cached: int | None = None
        self._written: int | None = None  # for any time
        self._written_5m: int | None = None
        self._written_1h: int | None = None
        self._output: int | None = None
        self._thinking: int | None = None
        self._searches: int | None = None
        self._tier: str | None = None

    def read(self, usage: WireUsage) -> Usage:
        """Take what an event says about usage, and return all that is known by now."""
        split = usage.cache_creation or CacheCreation()
        details = usage.output_tokens_details or OutputDetails()
        self._uncached = latest(usage.input_tokens, self._uncached)
        self._cached = latest(usage.cache_read_input_tokens, self._cached)
        self._written = latest(usage.cache_creation_input_tokens, self._written)
        self._written_5m = latest(split.ephemeral_5m_input_tokens, self._written_5m)
        self._written_1h = latest(split.ephemeral_1h_input_tokens, self._written_1h)
        self._output = latest(usage.output_tokens, self._output)
        self._thinking = latest(details.thinking_tokens, self._thinking)
        if usage.server_tool_use is not None:
            self._searches = latest_part(usage.server_tool_use.web_search_requests, self._searches)
        if usage.service_tier is not None or usage.speed is not None:
            self._tier = _tier(usage)
        return Usage(
            self._uncached,
            self._cached,
            *self._cache_writes(),
            self._output,
            self._thinking,
            web_searches=self._searches,
            service_tier=self._tier,
        )

    def _cache_writes(self) -> tuple[int | None, int | None]:
        """Return what was written for 5 minutes and for an hour.

        The sum is the newer number (`message_delta` has no split), so it decides where the two disagree.
        """
        if self._written is None:
            return self._written_5m, self._written_1h
        if self._written_1h is None:
            return self._written, None
        hour = min(self._written_1h, self._written)
        return self._written - hour, hour


def _tier(usage: WireUsage) -> str | None:
    """Return how it was served; one that is quicker has a price of its own, whatever the tier."""
    words = (usage.speed, usage.service_tier)
    tiers = [service_tier(word) for word in words if isinstance(word, str)]
    return next((tier for tier in tiers if tier != STANDARD), tiers[0] if tiers else None)


def write_usage(usage: Usage, input_estimate: Callable[[], int]) -> dict[str, Any]:
    """Return the usage object; the four counters that SDKs require are always there, input estimated if need be."""
    counts: dict[str, Any] = {
        "input_tokens": input_estimate() if usage.uncached is None else usage.uncached,
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
    if usage.web_searches:
        counts["server_tool_use"] = {"web_search_requests": usage.web_searches}
    return counts


def completed(usage: dict[str, Any]) -> dict[str, Any]:
    """Return a usage object, to which unknown members were added, with the counter beside that of searches."""
    tools = usage.get("server_tool_use")
    return usage | {"server_tool_use": {"web_fetch_requests": 0, **tools}} if isinstance(tools, dict) else usage
