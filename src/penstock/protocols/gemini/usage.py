"""Token counts as Gemini spells them, both ways (section 8.6 of docs/protocols.md).

They come on nearly every chunk as running totals; chunks leave out those they do not know yet, or any more (pitfall
86). `promptTokenCount` includes what was cached, `candidatesTokenCount` excludes thoughts.
"""

from penstock.core.usage import Usage, latest
from penstock.protocols.gemini.wire import UsageMetadata


class UsageReader:
    """The counters of one answer as far as they came."""

    __slots__ = ("_cached", "_candidates", "_prompt", "_thoughts", "_tools")

    def __init__(self) -> None:
        self._prompt: int | None = None
        self._cached: int | None = None
        self._candidates: int | None = None
        self._thoughts: int | None = None
        self._tools: int | None = None  # input that a tool of the provider's own added

    def read(self, usage: UsageMetadata) -> Usage:
        """Take what a chunk says about usage, and return all that is known by now."""
        self._prompt = latest(usage.prompt_token_count, self._prompt)
        self._cached = latest(usage.cached_content_token_count, self._cached)
        self._candidates = latest(usage.candidates_token_count, self._candidates)
        self._thoughts = latest(usage.thoughts_token_count, self._thoughts)
        self._tools = latest(usage.tool_use_prompt_token_count, self._tools)
        return Usage(
            uncached=self._uncached(), cache_read=self._cached, output=self._output(), reasoning=self._thoughts
        )

    def _uncached(self) -> int | None:
        if self._prompt is None:
            return None
        return max(0, self._prompt - (self._cached or 0)) + (self._tools or 0)

    def _output(self) -> int | None:
        if self._candidates is None and self._thoughts is None:
            return None
        return (self._candidates or 0) + (self._thoughts or 0)


def write_usage(usage: Usage) -> bytes:
    """Return the member of a chunk that tells usage as far as it is known; nothing if nobody said any (pitfall 95)."""
    if not usage.known:
        return b""
    counts = b'"promptTokenCount":%d' % usage.input
    if usage.cache_read is not None:
        counts += b',"cachedContentTokenCount":%d' % usage.cache_read
    if usage.output is not None:
        counts += b',"candidatesTokenCount":%d' % max(0, usage.output - (usage.reasoning or 0))
    if usage.reasoning is not None:
        counts += b',"thoughtsTokenCount":%d' % usage.reasoning
    return b',"usageMetadata":{%b,"totalTokenCount":%d}' % (counts, usage.total)
