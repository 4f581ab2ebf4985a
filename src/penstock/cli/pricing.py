"""`penstock prices`: what tokens cost, and where that is known from."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from penstock.accounts.prices import PICO_PER_NANO, Price, PriceBook, Tier, per_million
from penstock.config import load
from penstock.core.errors import ClientFault
from penstock.core.money import format_dollars
from penstock.upstreams.catalog import Catalog
from penstock.upstreams.providers import known_rows

WIDTH = 240
"""Columns that a table may have: names of models are not cut, whatever the terminal."""

_NOWHERE = "http://127.0.0.1:9"  # scripted models have a price whether they run or not
_RATES = ("uncached", "cache_read", "cache_write", "cache_write_1h", "output")
_PARTS = {
    "of it sound": ("input_audio", "cached_audio", "", "", "output_audio"),
    "of it images": ("input_image", "", "", "", "output_image"),
}


async def show(model: str | None, path: Path | None, environ: Mapping[str, str]) -> None:
    """Print the price of a model, or of all well-known models of the providers that are set up.

    Raises:
        ConfigError: the configuration cannot be used.
        ClientFault: there is no such model.
    """
    config = load(path, environ)
    catalog = config.catalog(environ, _NOWHERE)
    book = config.price_book(catalog)
    models = [model] if model else [listing.name for listing in catalog.models()]
    table = Table("model", *("input", "cache read", "write 5 min", "write 1 h", "output"), "source", box=None)
    for column in table.columns[1:-1]:  # of amounts
        column.justify = "right"
    table.title, table.title_justify = "Dollars per million tokens", "left"
    for name in models:
        _add(table, name, _price(name, catalog, book))
    Console(width=WIDTH).print(table)


def _price(model: str, catalog: Catalog, book: PriceBook) -> Price | None:
    return book.of(*_meant(model, catalog), time.time())


def _meant(model: str, catalog: Catalog) -> tuple[str, str]:
    """Return the provider and its own name of a model; also where the provider is known but not set up."""
    try:
        target = catalog.resolve(model).target
        return target.provider, target.model
    except ClientFault:
        name, _, rest = model.partition("/")
        if name not in catalog.disabled or not rest:
            raise
        return name, known_rows()[name].names.get(rest, rest)


def _add(table: Table, model: str, price: Price | None) -> None:
    if price is None:
        table.add_row(escape(model), *("-" for _ in _RATES), "unknown")
        return
    table.add_row(escape(model), *_amounts(price), price.version)
    for tier in price.tiers:
        table.add_row(f"  input over {tier.above:,}", *_amounts(tier), "")
    for kind, names in _PARTS.items():
        if any(getattr(price, name) is not None for name in names if name):
            table.add_row(f"  {kind}", *_amounts(price, names), "")
    for tier, served in price.served.items():
        table.add_row(f"  tier {escape(tier)}", *_amounts(served), "")
    if price.web_search:
        table.add_row(f"  a search: ${format_dollars(price.web_search // PICO_PER_NANO)}")


def _amounts(rates: Price | Tier, names: Sequence[str] = _RATES) -> list[str]:
    amounts: list[int | None] = [getattr(rates, name) if name else None for name in names]
    return ["-" if amount is None else per_million(amount) for amount in amounts]
