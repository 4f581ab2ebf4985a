"""Prices in the configuration: dollars per million tokens, exact.

[prices."openai/gpt-5*"]
input = "0.25"
output = "2"
"""

from decimal import Decimal, InvalidOperation

from msgspec import Struct

from penstock.accounts.prices import PICO_PER_DOLLAR_PER_MILLION, Price
from penstock.core.errors import ConfigError

VERSION = "config"
"""Of every price that the configuration gives."""

MAX_DOLLARS = 10**6
"""Per million tokens; a hundred times what the dearest model ever cost."""

Dollars = str | int | float


class PriceSettings(Struct, frozen=True):
    """What a model's tokens cost. A kind that is left out costs as other input, or output.

    `web_search` is for a thousand searches.
    """

    input: Dollars
    output: Dollars
    cache_read: Dollars | None = None
    cache_write: Dollars | None = None
    cache_write_1h: Dollars | None = None
    input_audio: Dollars | None = None
    input_image: Dollars | None = None
    cached_audio: Dollars | None = None
    output_audio: Dollars | None = None
    output_image: Dollars | None = None
    web_search: Dollars | None = None
    service_tiers: dict[str, "PriceSettings"] = {}

    def price(self, path: str) -> Price:
        """Return the price.

        Raises:
            ConfigError: something in the table at `path` is not an amount.
        """
        return Price(
            uncached=_picos(self.input, f"{path}.input"),
            cache_read=_optional(self.cache_read, f"{path}.cache_read"),
            cache_write=_optional(self.cache_write, f"{path}.cache_write"),
            cache_write_1h=_optional(self.cache_write_1h, f"{path}.cache_write_1h"),
            output=_picos(self.output, f"{path}.output"),
            input_audio=_optional(self.input_audio, f"{path}.input_audio"),
            input_image=_optional(self.input_image, f"{path}.input_image"),
            cached_audio=_optional(self.cached_audio, f"{path}.cached_audio"),
            output_audio=_optional(self.output_audio, f"{path}.output_audio"),
            output_image=_optional(self.output_image, f"{path}.output_image"),
            web_search=_for_one(_optional(self.web_search, f"{path}.web_search")),
            served={tier: prices.price(f"{path}.service_tiers.{tier}") for tier, prices in self.service_tiers.items()},
            version=VERSION,
        )


def _for_one(per_thousand: int | None) -> int | None:
    """Return pico-dollars for one of what was read as if it were dollars for a million."""
    return None if per_thousand is None else per_thousand * 1000


def _optional(dollars: Dollars | None, path: str) -> int | None:
    return None if dollars is None else _picos(dollars, path)


def _picos(dollars: Dollars, path: str) -> int:
    try:
        amount = Decimal(str(dollars))  # a float's shortest decimal form is what was written
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite() or not 0 <= amount <= MAX_DOLLARS:
        raise ConfigError(f'{path}: "{dollars}" is not an amount; give dollars per million tokens, such as "0.25"')
    picos = amount * PICO_PER_DOLLAR_PER_MILLION
    if picos != int(picos):
        raise ConfigError(f"{path}: {dollars} is too fine; six digits behind the point are counted")
    return int(picos)
