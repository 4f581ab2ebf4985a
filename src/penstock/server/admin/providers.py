"""Providers, how they are, and what their models cost."""

from penstock.accounts.moments import written
from penstock.accounts.prices import Price, Tier, per_million
from penstock.protocols.base import Target
from penstock.server.admin.desk import Desk
from penstock.server.admin.route import Asked
from penstock.server.admin.shapes import (
    Health,
    Nothing,
    PriceList,
    PriceShown,
    PricesQuery,
    ProviderList,
    ProviderShown,
    Rates,
)
from penstock.server.metrics import UpstreamHealth
from penstock.upstreams.catalog import Provider
from penstock.upstreams.providers import known_rows


async def list_providers(desk: Desk, asked: Asked[Nothing, Nothing]) -> ProviderList:
    """List all providers that are known, whether they are set up, and how calls of them went."""
    catalog, health = desk.serving.catalog, desk.metrics.upstream_health()
    set_up = [_set_up(provider, health.get(provider.name)) for provider in catalog.providers.values()]
    return ProviderList([*set_up, *(_not_set_up(name, needs) for name, needs in catalog.disabled.items())])


async def list_prices(desk: Desk, asked: Asked[PricesQuery, Nothing]) -> PriceList:
    """Tell what the tokens of models cost at the moment, and where that is known from."""
    catalog, model = desk.serving.catalog, asked.query.model
    names = [model] if isinstance(model, str) else [listing.name for listing in catalog.models()]
    return PriceList([_price(desk, name, one.target) for name in names for one in catalog.resolve(name).candidates])


def _set_up(provider: Provider, health: UpstreamHealth | None) -> ProviderShown:
    return ProviderShown(
        name=provider.name,
        title=provider.title,
        set_up=True,
        needs=None,
        protocols=tuple(dict.fromkeys((provider.protocol, *provider.also))),
        base_url=provider.base_url,
        credential=provider.credential is not None,
        models=provider.models,
        health=None if health is None else _health(health),
    )


def _not_set_up(name: str, needs: str) -> ProviderShown:
    row = known_rows()[name]
    protocols = tuple(dict.fromkeys((row.protocol, *row.also)))
    return ProviderShown(name, row.title, False, needs, protocols, None, False, row.models, None)


def _health(health: UpstreamHealth) -> Health:
    at = health.last_error_at
    return Health(health.consecutive_failures, health.last_error, None if at is None else written(int(at)))


def _price(desk: Desk, model: str, target: Target) -> PriceShown:
    price = desk.serving.prices.of(target.provider, target.model, desk.clock())
    rates = [] if price is None else [_rates(price, 0), *(_rates(tier, tier.above) for tier in price.tiers)]
    return PriceShown(model, target.provider, target.model, rates, None if price is None else price.version)


def _rates(rates: Price | Tier, above: int) -> Rates:
    return Rates(
        above=above,
        input=per_million(rates.uncached),
        cache_read=_optional(rates.cache_read),
        cache_write=_optional(rates.cache_write),
        cache_write_1h=_optional(rates.cache_write_1h),
        output=per_million(rates.output),
    )


def _optional(picos: int | None) -> str | None:
    return None if picos is None else per_million(picos)
