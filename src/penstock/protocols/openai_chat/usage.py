"""Usage as Chat Completions spells it (section 8.6 of docs/protocols.md)."""

from typing import Any

from penstock.core.usage import Usage, latest, latest_part
from penstock.protocols.openai_chat import wire
from penstock.protocols.openai_usage import InputDetails, OutputDetails


class UsageReader:
    """The raw counters of one answer: the latest value of each that was given. Nothing is ever summed."""

    __slots__ = (
        "_audio", "_cached", "_completion", "_image", "_prompt", "_reasoning", "_said_audio", "_said_image",
        "_searches", "_total", "_written", "tier",
    )  # fmt: skip

    def __init__(self) -> None:
        self._prompt: int | None = None
        self._cached: int | None = None
        self._written: int | None = None
        self._completion: int | None = None
        self._reasoning: int | None = None
        self._total: int | None = None
        self._audio: int | None = None
        self._image: int | None = None
        self._said_audio: int | None = None  # of the output
        self._said_image: int | None = None
        self._searches: int | None = None
        self.tier: str | None = None  # stands beside the usage

    def read(self, usage: wire.Usage) -> Usage:
        """Take in the counters that `usage` gives, and return all that is known, made disjoint."""
        inputs = usage.prompt_tokens_details or InputDetails()
        outputs = usage.completion_tokens_details or OutputDetails()
        cached = (inputs.cached_tokens, usage.prompt_cache_hit_tokens, usage.cached_tokens)
        self._cached = latest(next((count for count in cached if count is not None), None), self._cached)
        self._prompt = latest(usage.prompt_tokens, self._prompt)
        self._written = latest(inputs.cache_write_tokens, self._written)
        self._completion = latest(usage.completion_tokens, self._completion)
        self._reasoning = latest(latest(outputs.reasoning_tokens, usage.reasoning_tokens), self._reasoning)
        self._total = latest(usage.total_tokens, self._total)
        self._audio = latest_part(inputs.audio_tokens, self._audio)
        self._image = latest_part(inputs.image_tokens, self._image)
        self._said_audio = latest_part(outputs.audio_tokens, self._said_audio)
        self._said_image = latest_part(outputs.image_tokens, self._said_image)
        self._searches = latest_part(usage.num_search_queries, self._searches)
        return self._disjoint()

    def _disjoint(self) -> Usage:
        uncached = None
        if self._prompt is not None:
            uncached = max(0, self._prompt - (self._cached or 0) - (self._written or 0))
        return Usage(
            uncached=uncached,
            cache_read=self._cached,
            cache_write=self._written,
            output=self._output(),
            reasoning=self._reasoning,
            input_audio=self._audio,
            input_image=self._image,
            output_audio=self._said_audio,
            output_image=self._said_image,
            web_searches=self._searches,
            service_tier=self.tier,
        )

    def _output(self) -> int | None:
        """Return all output. Servers that count reasoning beside the completion show it in their total."""
        if self._completion is None or not self._reasoning:
            return self._completion
        beside = (self._prompt or 0) + self._completion + self._reasoning
        return self._completion + self._reasoning if self._total == beside else self._completion


def write_usage(usage: Usage) -> dict[str, Any]:
    """Return the usage object; counters that nobody gave are left out, or 0 where the protocol demands them."""
    spelled: dict[str, Any] = {
        "prompt_tokens": usage.input,
        "completion_tokens": usage.output or 0,
        "total_tokens": usage.total,
    }
    details: dict[str, int] = {}
    if usage.cache_read is not None:
        details["cached_tokens"] = usage.cache_read
    if usage.cache_write is not None or usage.cache_write_1h is not None:
        details["cache_write_tokens"] = usage.cache_written
    if usage.input_audio is not None:
        details["audio_tokens"] = usage.input_audio + (usage.cached_audio or 0)
    if details:
        spelled["prompt_tokens_details"] = details
    parts = {"reasoning_tokens": usage.reasoning, "audio_tokens": usage.output_audio}
    if said := {name: count for name, count in parts.items() if count is not None}:
        spelled["completion_tokens_details"] = said
    return spelled
