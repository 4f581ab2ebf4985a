"""How requests end, in the words that the ledger, the log, metrics and traces share."""

from typing import Literal

from msgspec import Struct

End = Literal[
    "completed",
    "failed",  # the provider did
    "client_gone",
    "cancelled",
    "hedged",  # another attempt at the same request was quicker
    "timed_out",
    "over_budget",
    "crashed",  # the gateway was killed meanwhile
    "defect",  # of the gateway
]

UsageSource = Literal[
    "provider",
    "partial",  # the provider's own count before its end; at least the output that was seen
    "estimate",
    "checkpoint",  # what was noted last before a crash
]

GAP_BOUNDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Seconds: the upper bounds of the buckets that gaps are counted in. There is one more bucket, for longer ones."""


class Gaps(Struct, frozen=True, gc=False):
    """The pauses between chunks of one answer's output.

    Attributes:
        counts: how many were in each bucket; one more than `GAP_BOUNDS`.
        total: seconds of them all together.
        longest: seconds.
    """

    counts: tuple[int, ...]
    total: float
    longest: float

    @property
    def count(self) -> int:
        """How many there were."""
        return sum(self.counts)

    @property
    def median(self) -> float:
        """Seconds, as near as the buckets tell: the place in its bucket is taken to be proportional to the rank."""
        rank, below = self.count / 2, 0
        for bucket, number in enumerate(self.counts):
            if number and below + number >= rank:
                floor = GAP_BOUNDS[bucket - 1] if bucket else 0.0
                ceiling = min(GAP_BOUNDS[bucket], self.longest) if bucket < len(GAP_BOUNDS) else self.longest
                return floor + (ceiling - floor) * (rank - below) / number
            below += number
        return 0.0
