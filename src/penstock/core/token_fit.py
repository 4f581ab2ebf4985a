"""What a model charges for each kind of text, learned from the usage that its provider reports.

The state is a factor on the default cost of each kind of `core/estimate.py`, and how sure we are of it: a Kalman filter
with one number to find for each kind. Each observation says only what a whole request came to; a few dozen that differ
tell the kinds apart. Bounds on everything keep a provider that counts nonsense from doing more than that.
"""

import math

from penstock.core.estimate import KINDS, Size
from penstock.core.usage import BYTES_PER_TOKEN

FACTOR_BOUNDS = (0.1, 6.0)
"""Of each factor.

A tokenizer that knows nothing of a script takes its bytes: five times as many tokens of Thai; one that joins spaces
and numbers takes nothing for these spaces.
"""

BELIEVABLE = (0.3, 5.0)
"""How many times the estimate a count may be to be believed at all."""

MIN_TOKENS = 24
"""Smaller requests tell nothing: what a vendor adds to each is most of them."""

MAX_OPAQUE = 0.5
"""Share of media in a request that can still be learned from."""

DOUBTS = {
    "words": 0.02,
    "names": 0.04,
    "foreign": 0.1,
    "accents": 1.0,
    "numbers": 0.1,
    "digits": 1.0,
    "spaced_numbers": 0.2,
    "marks": 0.03,
    "spaces": 0.3,
    "han": 0.1,
    "sparse_han": 0.3,
    "rare_han": 0.3,
    "kana": 0.15,
    "cjk_marks": 0.1,
    "cyrillic": 0.5,
    "alphabets": 0.7,
    "indic": 1.0,
    "thai": 1.0,
    "hangul": 0.3,
    "sparse_hangul": 0.6,
    "emoji": 0.2,
    "frame": 0.1,
    "tools": 0.1,
    "media": 0.1,
}
"""Variance of each factor about which nothing is known yet.

Tokenizers hardly differ in English, and most in scripts for which only some have tokens, and in digits, of which some
put three into one.
"""

_SURPRISE = 3.0  # standard deviations beyond which a count is taken for an outlier and moves nothing further
_TELLING = 0.001  # share of the doubt of a factor below which an observation says too little of it to be worth the time
_BYTES_BOUNDS = (1.5, 12.0)
_MEMORY = 0.1  # share of the newest observation in the ratio of bytes
_NOISE = 0.05**2  # variance of what a count differs from the best sum of kinds, relative
_DRIFT = 0.0002  # variance that a factor gains with each observation, so that it can follow a change

_DOUBTS = [DOUBTS[kind] for kind in KINDS]
_COUNT = len(KINDS)


class TokenFit:
    """State of one model. `observations` is how many were taken."""

    __slots__ = ("_bytes_per_token", "_doubts", "_factors", "observations")

    def __init__(self) -> None:
        self.observations = 0
        self._factors = [1.0] * _COUNT
        self._doubts = [[_DOUBTS[row] if row == column else 0.0 for column in range(_COUNT)] for row in range(_COUNT)]
        self._bytes_per_token = float(BYTES_PER_TOKEN)  # as long as nobody said

    @property
    def factors(self) -> dict[str, float]:
        """What each kind of token costs here, for each token at default costs."""
        return dict(zip(KINDS, self._factors, strict=True))

    def tokens(self, size: Size) -> int:
        """Estimate the tokens of a request of some size."""
        return round(sum([tokens * factor for tokens, factor in zip(size, self._factors, strict=True)]))

    def tokens_of_bytes(self, length: int) -> int:
        """Estimate the tokens of a body of so many bytes, of which nothing else is known."""
        return -int(-length // self._bytes_per_token)

    def observe(self, size: Size, counted: int) -> None:
        """Learn from the count of a request that was measured. What cannot be believed is ignored."""
        expected = sum(size)
        if expected < MIN_TOKENS or size[-1] > MAX_OPAQUE * expected:
            return
        if not BELIEVABLE[0] * expected <= counted <= BELIEVABLE[1] * expected:
            return
        self.observations += 1
        self._correct([(at, tokens / counted) for at, tokens in enumerate(size) if tokens])

    def observe_bytes(self, length: int, counted: int) -> None:
        """Learn from the count of a request of which only the length was looked at."""
        if counted < MIN_TOKENS:
            return
        ratio = length / counted
        if _BYTES_BOUNDS[0] <= ratio <= _BYTES_BOUNDS[1]:
            self._bytes_per_token += _MEMORY * (ratio - self._bytes_per_token)

    def _correct(self, shares: list[tuple[int, float]]) -> None:
        """Move the factors so that the shares of the kinds come nearer to a whole."""
        doubts, factors = self._doubts, self._factors
        gains = [sum([row[at] * share for at, share in shares]) for row in doubts]
        variance = _NOISE + sum([gains[at] * share for at, share in shares])
        surprise = _SURPRISE * math.sqrt(variance)
        error = 1.0 - sum([factors[at] * share for at, share in shares])
        error = min(surprise, max(-surprise, error))
        told = [gain if gain * gain > _TELLING * variance * doubts[row][row] else 0.0 for row, gain in enumerate(gains)]
        for row, gain in enumerate(told):
            if gain:
                weight = gain / variance
                factors[row] = min(FACTOR_BOUNDS[1], max(FACTOR_BOUNDS[0], factors[row] + weight * error))
                doubts[row] = [doubt - weight * other for doubt, other in zip(doubts[row], told, strict=True)]
        for at, _ in shares:
            doubts[at][at] = min(_DOUBTS[at], doubts[at][at] + _DRIFT)
