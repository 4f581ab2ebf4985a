"""What tokens cost: exact prices, and the book that knows the price of a model.

A price counts in pico-dollars (10**-12 dollars) per token: one dollar per million tokens is a million of them, and
the cheapest prices that providers publish are whole numbers. A cost counts in nano-dollars (10**-9 dollars).

Tokens of sound and images have prices of their own where their provider asks them, and cost what those of text do where
it does not. Searches of the web are priced by number. Where a request was served in another tier, such as `flex`, the
prices of that tier count. What was used and has no known price is named (`Price.unpriced`); the rest is priced.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase

import msgspec
from msgspec import Struct

from penstock.core.usage import STANDARD, Usage

PICO_PER_NANO = 1000

PICO_PER_DOLLAR_PER_MILLION = 10**6
"""Pico-dollars per token in a dollar per million tokens."""

MAX_COST = 10**15
"""Nano-dollars: a million dollars. No request costs more, so a provider that says so counts wrongly; the cap keeps the
sum of thousands of such costs within the 63 bits of a database's integers."""

MAX_REMEMBERED = 1024
"""Models whose price is remembered; clients can make up any number of names."""

FREE = "free"
"""The price list of providers that charge nothing for tokens."""


class Tier(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What every token costs when a request's whole input is longer than `above` tokens. Fields as those of Price."""

    above: int
    uncached: int
    cache_read: int | None = None
    cache_write: int | None = None
    cache_write_1h: int | None = None
    output: int
    input_audio: int | None = None
    input_image: int | None = None
    cached_audio: int | None = None
    output_audio: int | None = None
    output_image: int | None = None


class Price(Struct, frozen=True, kw_only=True, dict=True, omit_defaults=True):
    """What a model's tokens cost, in pico-dollars per token.

    Attributes:
        uncached: input that was neither read from nor written to a prompt cache.
        cache_read: input read from a prompt cache. None, here and in the next two: unknown; it costs as uncached input.
        cache_write: input written to a prompt cache that lives 5 minutes, or whose lifetime nobody said.
        cache_write_1h: input written to a prompt cache that lives an hour.
        output: everything generated, reasoning included.
        input_audio: input that is sound. None, here and in the next four: it costs as other tokens of its kind.
        input_image: input that is images.
        cached_audio: input read from a prompt cache that is sound.
        output_audio: output that is sound.
        output_image: output that is images.
        web_search: one search of the web, in pico-dollars. None: unknown.
        one_search: whether all searches for one answer cost as one.
        request: what each request costs beside its tokens, in pico-dollars.
        tiers: what it costs instead when the input is long, the lowest first.
        served: what it costs instead in service tiers that have prices of their own, by their names.
        version: where the price comes from, and which issue of it.
    """

    uncached: int
    cache_read: int | None = None
    cache_write: int | None = None
    cache_write_1h: int | None = None
    output: int
    input_audio: int | None = None
    input_image: int | None = None
    cached_audio: int | None = None
    output_audio: int | None = None
    output_image: int | None = None
    web_search: int | None = None
    one_search: bool = False
    request: int = 0
    tiers: tuple[Tier, ...] = ()
    served: dict[str, "Price"] = {}
    version: str

    @functools.cached_property
    def written(self) -> str:
        """The price as JSON, for whoever has to compute a cost later."""
        return msgspec.json.encode(self).decode()

    def cost(self, usage: Usage) -> int:
        """Return what usage costs in nano-dollars, rounded half up once, at the end. Counters that are None are 0.

        What has no known price is not in it; `unpriced` tells.
        """
        if usage.service_tier in self.served:
            return self.served[usage.service_tier].cost(usage)
        length = usage.input
        rates = next((tier for tier in reversed(self.tiers) if length > tier.above), self)
        picos = (
            (usage.uncached or 0) * rates.uncached
            + (usage.cache_read or 0) * _known(rates.cache_read, rates.uncached)
            + (usage.cache_write or 0) * _known(rates.cache_write, rates.uncached)
            + (usage.cache_write_1h or 0) * _known(rates.cache_write_1h, rates.uncached)
            + (usage.output or 0) * rates.output
            + _more(usage, rates)
        )
        if usage.web_searches and self.web_search is not None:
            picos += self.web_search * (1 if self.one_search else usage.web_searches)
        if self.request and length:
            picos += self.request
        return min((picos + PICO_PER_NANO // 2) // PICO_PER_NANO, MAX_COST)

    def unpriced(self, usage: Usage) -> str | None:
        """Return what was used whose price is unknown, as names of fields of Usage with commas; None if nothing."""
        if self.version == FREE:
            return None
        unknown: list[str] = []
        tier = usage.service_tier
        served = self.served.get(tier or STANDARD)
        if served is None and tier not in {None, STANDARD}:
            unknown.append("service_tier")
        if usage.web_searches and (served or self).web_search is None:
            unknown.append("web_searches")
        return ",".join(unknown) or None


_OTHERWISE = (
    ("input_audio", "uncached"),
    ("input_image", "uncached"),
    ("cached_audio", "cache_read"),
    ("output_audio", "output"),
    ("output_image", "output"),
)
"""Parts of a counter that may have prices of their own."""


def _more(usage: Usage, rates: Price | Tier) -> int:
    """Return by how much the tokens that are no text cost more than as many of text; it may be negative."""
    more = 0
    left: dict[str, int] = {"uncached": 0, "cache_read": 0, "output": 0}
    for part, whole in _OTHERWISE:
        count, rate = getattr(usage, part), getattr(rates, part)
        if count and rate is not None:
            count = min(count, (getattr(usage, whole) or 0) - left[whole])
            left[whole] += count
            more += count * (rate - _known(getattr(rates, whole), rates.uncached))
    return more


NOTHING = Price(uncached=0, output=0, version=FREE)
"""The price of what is free."""

Pricing = Callable[[float], Price | None]
"""What a model costs at a Unix time in seconds; None: nobody knows."""


def per_million(picos: int) -> str:
    """Return pico-dollars per token as dollars per million tokens, exact, with two decimals or as many as it takes."""
    whole, rest = divmod(picos, PICO_PER_DOLLAR_PER_MILLION)
    return f"{whole}.{f'{rest:06d}'.rstrip('0').ljust(2, '0')}"


def _known(rate: int | None, uncached: int) -> int:
    return uncached if rate is None else rate


def always(price: Price | None) -> Pricing:
    """Return the pricing of a model that costs the same at any time."""
    return lambda now: price


class PriceBook:
    """The prices of all models.

    Args:
        overrides: globs over `provider/upstream model` and the price of what matches; the first that does counts.
        lists: provider -> the name of its price list; FREE is the list of those that charge nothing.
        look_up: finds a model's pricing by the name of a price list and the model's.
    """

    def __init__(
        self,
        overrides: Sequence[tuple[str, Price]],
        lists: Mapping[str, str],
        look_up: Callable[[str, str], Pricing],
    ) -> None:
        self._overrides = tuple(overrides)
        self._lists = lists
        self._look_up = look_up
        self._pricing = functools.lru_cache(MAX_REMEMBERED)(self._find)

    def become(self, other: "PriceBook") -> None:
        """Take the place of another at once, for all that hold this one. Requests under way keep their prices."""
        self._overrides, self._lists, self._look_up = other._overrides, other._lists, other._look_up
        self._pricing = functools.lru_cache(MAX_REMEMBERED)(self._find)

    def of(self, provider: str, upstream_model: str, now: float) -> Price | None:
        """Return what a model costs at a Unix time in seconds; None if nobody knows."""
        return self._pricing(provider, upstream_model)(now)

    def _find(self, provider: str, upstream_model: str) -> Pricing:
        name = f"{provider}/{upstream_model}"
        for glob, price in self._overrides:
            if fnmatchcase(name, glob):
                return always(price)
        listed = self._lists.get(provider, provider)
        return always(NOTHING) if listed == FREE else self._look_up(listed, upstream_model)


def free_of_charge() -> PriceBook:
    """Return the prices of what costs nothing, whoever does it."""
    return PriceBook((), {}, lambda price_list, model: always(NOTHING))
