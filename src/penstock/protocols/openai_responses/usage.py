"""Usage as the Responses API spells it (section 8.6 of docs/protocols.md)."""

from typing import Any

from penstock.core.usage import Usage, latest
from penstock.protocols.openai_responses import stream_wire as wire
from penstock.protocols.openai_usage import InputDetails, OutputDetails


class UsageReader:
    """The raw counters of one answer: the latest value of each that was given. Nothing is ever summed."""

    __slots__ = ("_cached", "_input", "_output", "_reasoning", "_written", "searches", "tier")

    def __init__(self) -> None:
        self._input: int | None = None
        self._cached: int | None = None
        self._written: int | None = None
        self._output: int | None = None
        self._reasoning: int | None = None
        self.searches: int | None = None  # this and the next stand beside the usage
        self.tier: str | None = None

    def read(self, usage: wire.Usage) -> Usage:
        """Take in the counters that `usage` gives, and return all that is known, made disjoint."""
        inputs = usage.input_tokens_details or InputDetails()
        outputs = usage.output_tokens_details or OutputDetails()
        self._input = latest(usage.input_tokens, self._input)
        self._cached = latest(inputs.cached_tokens, self._cached)
        self._written = latest(inputs.cache_write_tokens, self._written)
        self._output = latest(usage.output_tokens, self._output)
        self._reasoning = latest(outputs.reasoning_tokens, self._reasoning)
        return self.known()

    def known(self) -> Usage:
        """Return all that is known by now."""
        uncached = None
        if self._input is not None:
            uncached = max(0, self._input - (self._cached or 0) - (self._written or 0))
        return Usage(
            uncached=uncached,
            cache_read=self._cached,
            cache_write=self._written,
            output=self._output,
            reasoning=self._reasoning,
            web_searches=self.searches,
            service_tier=self.tier,
        )


def write_usage(usage: Usage) -> dict[str, Any] | None:
    """Return the usage object, or None (`null`) if nobody gave any counter.

    Both objects of details are always there, since the vendor's SDK declares them so.
    """
    if not usage.known:
        return None
    return {
        "input_tokens": usage.input,
        "input_tokens_details": {"cached_tokens": usage.cache_read or 0, "cache_write_tokens": usage.cache_written},
        "output_tokens": usage.output or 0,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning or 0},
        "total_tokens": usage.total,
    }
