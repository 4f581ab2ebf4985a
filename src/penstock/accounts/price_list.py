"""The price lists of genai-prices (https://github.com/pydantic/genai-prices), as they came with the package.

It can fetch newer ones from the network, which is never asked of it: a price changes when the package is updated.
What it does not know is in `prices.toml`.
"""

import functools
import tomllib
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from fnmatch import fnmatchcase
from importlib.resources import files
from typing import Any

import msgspec
from genai_prices import __version__
from genai_prices.data import providers
from genai_prices.types import ModelInfo, ModelPrice, TieredPrices

from penstock.accounts.prices import PICO_PER_DOLLAR_PER_MILLION, Price, Pricing, Tier, always

VERSION = f"genai-prices {__version__}"

_KEYS = {
    "uncached": "input_mtok",
    "cache_read": "cache_read_mtok",
    "cache_write": "cache_write_mtok",
    "cache_write_1h": "cache_write_1h_mtok",
    "output": "output_mtok",
    "input_audio": "input_audio_mtok",
    "input_image": "input_image_mtok",
    "cached_audio": "cache_audio_read_mtok",
    "output_audio": "output_audio_mtok",
    "output_image": "output_image_mtok",
}
"""Fields of Price and what they are called there."""

_MORE = tomllib.loads(files("penstock.accounts").joinpath("prices.toml").read_text("utf-8"))
_CACHE_WRITE_1H: dict[str, int] = _MORE["cache_write_1h"]
_ONE_SEARCH: list[str] = _MORE["one_search"]

_PICO_PER_DOLLAR_PER_THOUSAND = 10**9

_SERVED = frozenset({"service_tier", "processing", "speed"})
"""Conditions of prices there that are service tiers here: `flex`, `priority`, `batch`, `fast`."""

_DEFAULT = "default"
_MINUTES = 8

_LISTS = {provider.id: provider for provider in providers}


def names() -> frozenset[str]:
    """Return the names of all price lists."""
    return frozenset(_LISTS)


def look_up(name: str, model: str) -> Pricing:
    """Return what a model costs by the price list of this name."""
    listed = _LISTS.get(name)
    found = listed.find_model(model, all_providers=providers) if listed else None
    return _pricing(found, model) if found else always(None)


def _pricing(found: ModelInfo, model: str) -> Pricing:
    if found.price_variants:
        return _served(found, model)
    if isinstance(found.prices, ModelPrice):
        return always(_price(found.prices, model))
    # Later entries take precedence; if no condition is met, the first counts.
    entries = [
        (_always if entry.constraint is None else entry.constraint.active, _price(entry.prices, model))
        for entry in reversed(found.prices)
    ]
    fallback = entries[-1][1]

    def at(now: float) -> Price | None:
        moment = datetime.fromtimestamp(now, UTC)
        return next((price for active, price in entries if active(moment)), fallback)

    return at


def _served(found: ModelInfo, model: str) -> Pricing:
    """Return what a model costs that has other prices in some service tiers."""
    named = {condition for variant in found.price_variants or () for condition in variant.when.items()}
    tiers = {value: key for key, value in named if key in _SERVED and value != _DEFAULT}

    @functools.lru_cache(_MINUTES)
    def on(moment: datetime) -> Price | None:
        usual = _price(found.get_prices(moment), model)
        prices = ((tier, _price(found.get_prices(moment, {key: tier}), model)) for tier, key in sorted(tiers.items()))
        # A tier whose price begins on a later day has the usual one there until then, and none here: it is not known.
        served = {tier: price for tier, price in prices if price is not None and price != usual}
        return usual and msgspec.structs.replace(usual, served=served)

    def at(now: float) -> Price | None:
        return on(datetime.fromtimestamp(now, UTC).replace(second=0, microsecond=0))

    return at


def _always(moment: datetime) -> bool:
    return True


def _price(listed: ModelPrice, model: str) -> Price | None:
    """Return a price; None if what is listed is not a price of tokens, but of hours, letters or pages."""
    prices = {key: value for key, value in vars(listed).items() if value is not None}
    if not prices:
        return Price(uncached=0, output=0, version=VERSION)
    if "input_mtok" not in prices:
        return None
    starts = {tier.start for value in prices.values() if isinstance(value, TieredPrices) for tier in value.tiers}
    times = next((times for glob, times in _CACHE_WRITE_1H.items() if fnmatchcase(model, glob)), None)
    usual: dict[str, Any] = _rates(prices, times, 0)
    return Price(
        **usual,
        web_search=_each(prices.get("web_searches_kcount")),
        one_search=any(fnmatchcase(model, glob) for glob in _ONE_SEARCH),
        request=_each(prices.get("requests_kcount")) or 0,
        tiers=tuple(Tier(above=start, **_rates(prices, times, start)) for start in sorted(starts)),
        version=VERSION,
    )


def _rates(prices: Mapping[str, Decimal | TieredPrices], times: int | None, length: int) -> dict[str, int]:
    """Return the rates that count when the input is longer than `length`."""
    rates = {field: _picos(prices[key], length) for field, key in _KEYS.items() if key in prices}
    if times is not None:
        rates.setdefault("cache_write_1h", rates["uncached"] * times)
    return {"output": 0} | rates  # what only takes input, such as embeddings, has no price of output


def _each(price: Decimal | TieredPrices | None) -> int | None:
    """Return what one costs of what is priced by the thousand."""
    return int(price * _PICO_PER_DOLLAR_PER_THOUSAND) if isinstance(price, Decimal) else None


def _picos(price: Decimal | TieredPrices, length: int) -> int:
    if isinstance(price, TieredPrices):
        reached = [tier.price for tier in price.tiers if tier.start <= length]
        price = reached[-1] if reached else price.base
    return int((price * PICO_PER_DOLLAR_PER_MILLION).to_integral_value(ROUND_HALF_UP))
