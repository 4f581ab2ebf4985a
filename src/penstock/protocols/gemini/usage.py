"""Token counts as Gemini spells them, both ways (section 8.6 of docs/protocols.md).

They come on nearly every chunk as running totals; chunks leave out those they do not know yet, or any more (pitfall
86). `promptTokenCount` includes what was cached, `candidatesTokenCount` excludes thoughts.
"""

from penstock.core.usage import Usage, latest, latest_part, service_tier
from penstock.protocols.gemini.wire import UsageMetadata


class UsageReader:
    """The counters of one answer as far as they came."""

    __slots__ = ("_cached", "_candidates", "_kinds", "_prompt", "_thoughts", "_tier", "_tools", "searches")

    def __init__(self) -> None:
        self._prompt: int | None = None
        self._cached: int | None = None
        self._candidates: int | None = None
        self._thoughts: int | None = None
        self._tools: int | None = None  # input that a tool of the provider's own added
        self._kinds: dict[tuple[str, str], int] = {}  # which count, of what -> tokens
        self._tier: str | None = None
        self.searches: int | None = None  # stands beside the usage

    def read(self, usage: UsageMetadata) -> Usage:
        """Take what a chunk says about usage, and return all that is known by now."""
        self._prompt = latest(usage.prompt_token_count, self._prompt)
        self._cached = latest(usage.cached_content_token_count, self._cached)
        self._candidates = latest(usage.candidates_token_count, self._candidates)
        self._thoughts = latest(usage.thoughts_token_count, self._thoughts)
        self._tools = latest(usage.tool_use_prompt_token_count, self._tools)
        if usage.prompt_tokens_details or usage.candidates_tokens_details:
            self._read_kinds(usage)
        if usage.service_tier is not None or usage.traffic_type is not None:
            said = usage.traffic_type if usage.service_tier is None else usage.service_tier
            self._tier = service_tier(said) if isinstance(said, str) else self._tier
        return self.known()

    def known(self) -> Usage:
        """Return all that is known by now."""
        kinds = self._kinds.get
        audio, cached_audio = kinds(("prompt", "AUDIO")), kinds(("cache", "AUDIO"))
        return Usage(
            uncached=self._uncached(),
            cache_read=self._cached,
            output=self._output(),
            reasoning=self._thoughts,
            input_audio=latest_part((audio or 0) - (cached_audio or 0), None),
            input_image=kinds(("prompt", "IMAGE")),
            cached_audio=cached_audio,
            output_audio=kinds(("candidates", "AUDIO")),
            output_image=kinds(("candidates", "IMAGE")),
            web_searches=self.searches,
            service_tier=self._tier,
        )

    def _read_kinds(self, usage: UsageMetadata) -> None:
        for count, details in (
            ("prompt", usage.prompt_tokens_details),
            ("cache", usage.cache_tokens_details),
            ("candidates", usage.candidates_tokens_details),
        ):
            for one in details or ():
                tokens = latest_part(one.token_count, None)
                if one.modality is not None and tokens is not None:
                    self._kinds[count, one.modality.upper()] = tokens

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
    if usage.input_audio is not None or usage.output_audio is not None:
        counts += _kinds(usage)
    return b',"usageMetadata":{%b,"totalTokenCount":%d}' % (counts, usage.total)


def _kinds(usage: Usage) -> bytes:
    """Return the members that tell how many of the tokens are sound."""
    told = b""
    audio, cached, said = usage.input_audio or 0, usage.cached_audio or 0, usage.output_audio or 0
    if audio + cached:
        told += b',"promptTokensDetails":%b' % _sound(audio + cached, usage.input)
    if cached:
        told += b',"cacheTokensDetails":%b' % _sound(cached, usage.cache_read or 0)
    if said:
        told += b',"candidatesTokensDetails":%b' % _sound(said, (usage.output or 0) - (usage.reasoning or 0))
    return told


def _sound(audio: int, whole: int) -> bytes:
    text = max(0, whole - audio)
    return b'[{"modality":"TEXT","tokenCount":%d},{"modality":"AUDIO","tokenCount":%d}]' % (text, audio)
