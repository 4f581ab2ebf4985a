"""What the gateway learns from calls for those that come after them; it is forgotten when the process ends.

How models count tokens it learns from the usage of answers that it has seen anyway, and for next to nothing: of a
request that is passed through only its length counts, and once a model is known well only some requests are learned
from.
"""

import functools
from collections import OrderedDict
from collections.abc import Callable

from msgspec import Struct

from penstock.core.estimate import USUAL, Size, TokenCosts, measure
from penstock.core.request import Ask
from penstock.core.token_fit import TokenFit
from penstock.gateway.seals import SealCache

MAX_MODELS = 512
"""Models that are remembered; those asked for longest ago are forgotten. Clients can make up any number of names."""

EAGER = 64
"""Observations of a model after which only every `SELDOM`-th is taken."""

SELDOM = 16


class Estimate:
    """What a request comes to, before the provider says. Few answers need to know, so it is found out when asked.

    Args:
        count: finds out the tokens of the input.
        learn: takes what the provider then counted.
    """

    __slots__ = ("_count", "_tokens", "learn")

    def __init__(self, count: Callable[[], int], learn: Callable[[int], None]) -> None:
        self.learn = learn
        self._count = count
        self._tokens: int | None = None

    def tokens(self) -> int:
        """Return the tokens of the input, always the same number."""
        if self._tokens is None:
            self._tokens = self._count()
        return self._tokens


class TokenFits:
    """State: how each model counts."""

    def __init__(self) -> None:
        self._fits: OrderedDict[tuple[str, str], TokenFit] = OrderedDict()
        self._seen = 0

    def measured(self, provider: str, model: str, ask: Ask, costs: TokenCosts = USUAL) -> Estimate:
        """Estimate a request that was read."""
        fit, measured = self._of(provider, model), _Measured(ask, costs)
        return Estimate(lambda: fit.tokens(measured.size()), functools.partial(self._observe, fit, measured))

    def by_length(self, provider: str, model: str, length: int) -> Estimate:
        """Estimate a request of which only the bytes of its body are known."""
        fit = self._of(provider, model)
        count = functools.partial(fit.tokens_of_bytes, length)
        return Estimate(count, functools.partial(fit.observe_bytes, length))

    def _of(self, provider: str, model: str) -> TokenFit:
        name = provider, model
        fit = self._fits.get(name)
        if fit is None:
            fit = self._fits[name] = TokenFit()
            if len(self._fits) > MAX_MODELS:
                self._fits.popitem(last=False)
        else:
            self._fits.move_to_end(name)
        return fit

    def _observe(self, fit: TokenFit, measured: "_Measured", counted: int) -> None:
        self._seen += 1
        if fit.observations < EAGER or self._seen % SELDOM == 0:
            fit.observe(measured.size(), counted)


class _Measured:
    """A request until somebody asks for its size, then the size."""

    __slots__ = ("_costs", "_held")

    def __init__(self, ask: Ask, costs: TokenCosts) -> None:
        self._costs = costs
        self._held: Ask | Size = ask

    def size(self) -> Size:
        if isinstance(self._held, Ask):
            self._held = measure(self._held, self._costs)
        return self._held


class Quirks:
    """State: the quirks of models that their providers' refusals told of, beside those that are configured."""

    def __init__(self) -> None:
        self._quirks: OrderedDict[str, frozenset[str]] = OrderedDict()

    def of(self, upstream: str) -> frozenset[str]:
        """Return the quirks that a model was found to have."""
        return self._quirks.get(upstream, frozenset())

    def learn(self, upstream: str, quirk: str) -> None:
        """Note a quirk of a model."""
        self._quirks[upstream] = self.of(upstream) | {quirk}
        if len(self._quirks) > MAX_MODELS:
            self._quirks.popitem(last=False)


class Learned(Struct, frozen=True):
    """All that is learned.

    Attributes:
        seals: what came before calls of tools, to be put back where a client loses it.
        fits: how models count tokens.
        quirks: what providers did not know that only the gateway asks for.
    """

    seals: SealCache
    fits: TokenFits
    quirks: Quirks
