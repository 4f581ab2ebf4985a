"""What one answer used up: counts of tokens, and what some of them are, because it has a price of its own.

The counters are disjoint, so that a price can be put on each and nothing is counted twice; totals are derived.
`None` means that nobody said; it is not 0. Section 8.6 of docs/protocols.md says how each protocol spells them.
"""

from msgspec import Struct


class Usage(Struct, frozen=True, gc=False):
    """Counts in tokens; `uncached`, the three of caches and `output` are disjoint, others are parts of them.

    Attributes:
        uncached: input that was neither read from nor written to a prompt cache.
        cache_read: input read from a prompt cache.
        cache_write: input written to a prompt cache that lives 5 minutes, or whose lifetime nobody said.
        cache_write_1h: input written to a prompt cache that lives an hour.
        output: everything generated, reasoning included.
        reasoning: how much of `output` was reasoning.
        input_audio: how much of `uncached` was sound; None, here and in all that follow, also if there was none.
        input_image: how much of `uncached` was images.
        cached_audio: how much of `cache_read` was sound.
        output_audio: how much of `output` is sound.
        output_image: how much of `output` is images.
        web_searches: not tokens, but how often the provider searched the web for it.
        service_tier: how it was served, as the provider says: `standard` or a word for a tier that has another price.
        estimated: the gateway counted, because no provider did.
    """

    uncached: int | None = None
    cache_read: int | None = None
    cache_write: int | None = None
    cache_write_1h: int | None = None
    output: int | None = None
    reasoning: int | None = None
    input_audio: int | None = None
    input_image: int | None = None
    cached_audio: int | None = None
    output_audio: int | None = None
    output_image: int | None = None
    web_searches: int | None = None
    service_tier: str | None = None
    estimated: bool = False

    @property
    def known(self) -> bool:
        """Whether any counter was given."""
        return (
            self.uncached is not None
            or self.cache_read is not None
            or self.cache_write is not None
            or self.cache_write_1h is not None
            or self.output is not None
        )

    @property
    def cache_written(self) -> int:
        """Tokens written to a prompt cache of any lifetime."""
        return (self.cache_write or 0) + (self.cache_write_1h or 0)

    @property
    def input(self) -> int:
        """All input tokens: uncached, read from a cache and written to one."""
        return (self.uncached or 0) + (self.cache_read or 0) + self.cache_written

    @property
    def total(self) -> int:
        """Input and output tokens together."""
        return self.input + (self.output or 0)

    def updated(self, later: "Usage") -> "Usage":
        """Return this snapshot overwritten by every counter that `later` gives. Nothing is ever summed."""
        return Usage(
            uncached=self.uncached if later.uncached is None else later.uncached,
            cache_read=self.cache_read if later.cache_read is None else later.cache_read,
            cache_write=self.cache_write if later.cache_write is None else later.cache_write,
            cache_write_1h=self.cache_write_1h if later.cache_write_1h is None else later.cache_write_1h,
            output=self.output if later.output is None else later.output,
            reasoning=self.reasoning if later.reasoning is None else later.reasoning,
            input_audio=self.input_audio if later.input_audio is None else later.input_audio,
            input_image=self.input_image if later.input_image is None else later.input_image,
            cached_audio=self.cached_audio if later.cached_audio is None else later.cached_audio,
            output_audio=self.output_audio if later.output_audio is None else later.output_audio,
            output_image=self.output_image if later.output_image is None else later.output_image,
            web_searches=self.web_searches if later.web_searches is None else later.web_searches,
            service_tier=later.service_tier or self.service_tier,
            estimated=later.estimated,
        )


COUNTERS = (
    "uncached", "cache_read", "cache_write", "cache_write_1h", "output", "reasoning",
    "input_audio", "input_image", "cached_audio", "output_audio", "output_image", "web_searches",
)  # fmt: skip
"""The fields of Usage that are numbers."""

STANDARD = "standard"
"""The service tier that everything has unless something else is said."""

_USUAL = frozenset({"auto", "default", "standard", "standard_only", "unspecified", "on_demand", "on-demand"})
_LONGEST_TIER = 32


def service_tier(said: str | None) -> str | None:
    """Return a service tier, or a traffic type, in the words of Usage; None if nothing was said that can be one."""
    if not said or len(said) > _LONGEST_TIER or not said.isascii() or not said.isprintable():
        return None
    word = said.lower()
    return STANDARD if word in _USUAL else word.removeprefix("on_demand_")


_ABSURD = 2**53
"""No count reaches what a float cannot hold exactly; who gives one counts wrongly."""


def latest(later: int | None, earlier: int | None) -> int | None:
    """Return the later of two values of a counter, unless it was not given or cannot be a count."""
    return earlier if later is None or not 0 <= later < _ABSURD else later


def latest_part(later: int | None, earlier: int | None) -> int | None:
    """Return the later of two values of what most answers have none of: 0 is None, so that they are all alike."""
    return latest(later or None, earlier)


UNKNOWN = Usage()
"""The usage of an answer about which nobody said anything."""

BYTES_PER_TOKEN = 4
"""UTF-8 bytes in a token, roughly: four letters of English, one and a third Chinese characters."""


def estimate_tokens(size: int) -> int:
    """Estimate the tokens in `size` UTF-8 bytes of text: one for each four bytes begun."""
    return -(-size // BYTES_PER_TOKEN)
