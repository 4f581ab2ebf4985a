"""Token counts of one answer.

The counters are disjoint, so that a price can be put on each and nothing is counted twice; totals are derived.
`None` means that nobody said; it is not 0. Section 8.6 of docs/protocols.md says how each protocol spells them.
"""

from msgspec import Struct


class Usage(Struct, frozen=True, gc=False):
    """Counts in tokens. Every field but `reasoning` is disjoint from the others.

    Attributes:
        uncached: input that was neither read from nor written to a prompt cache.
        cache_read: input read from a prompt cache.
        cache_write: input written to a prompt cache that lives 5 minutes, or whose lifetime nobody said.
        cache_write_1h: input written to a prompt cache that lives an hour.
        output: everything generated, reasoning included.
        reasoning: how much of `output` was reasoning.
        estimated: the gateway counted, because no provider did.
    """

    uncached: int | None = None
    cache_read: int | None = None
    cache_write: int | None = None
    cache_write_1h: int | None = None
    output: int | None = None
    reasoning: int | None = None
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
            estimated=later.estimated,
        )


_ABSURD = 2**53
"""No count reaches what a float cannot hold exactly; who gives one counts wrongly."""


def latest(later: int | None, earlier: int | None) -> int | None:
    """Return the later of two values of a counter, unless it was not given or cannot be a count."""
    return earlier if later is None or not 0 <= later < _ABSURD else later


UNKNOWN = Usage()
"""The usage of an answer about which nobody said anything."""

BYTES_PER_TOKEN = 4
"""UTF-8 bytes in a token, roughly: four letters of English, one and a third Chinese characters."""


def estimate_tokens(size: int) -> int:
    """Estimate the tokens in `size` UTF-8 bytes of text: one for each four bytes begun."""
    return -(-size // BYTES_PER_TOKEN)
