"""What the gateway serves, as its configuration says; and reading that again while it runs."""

import asyncio
import time
from collections.abc import Callable

import structlog
from msgspec import Struct

from penstock.accounts.directory import KeyDirectory
from penstock.accounts.prices import PriceBook
from penstock.config import Config
from penstock.core.errors import ConfigError
from penstock.upstreams.catalog import Catalog

_AT_ONCE = frozenset({"source", "keys", "providers", "models", "prices"})
"""The sections that a reload brings into effect."""

_log = structlog.get_logger("penstock.server")


class Reloaded(Struct, frozen=True):
    """What a reload came to.

    Attributes:
        providers: that are set up now.
        models: how many are listed now.
        needs_restart: sections of the configuration that were changed and take effect only after a restart.
    """

    providers: tuple[str, ...]
    models: int
    needs_restart: tuple[str, ...]


class Serving:
    """What the gateway serves. A reload changes all of it at once, and requests under way keep what they have.

    Args:
        config: what the gateway was started with.
        build: makes the catalog of a configuration.
        keys: those that are accepted.
        read: reads the configuration again.
        clock: returns Unix time in seconds.

    Attributes:
        config: the configuration as it was read last.
        loaded: when that was, Unix time in seconds.

    Raises:
        ConfigError: the configuration cannot be used.
    """

    def __init__(
        self,
        config: Config,
        build: Callable[[Config], Catalog],
        keys: KeyDirectory,
        read: Callable[[], Config],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.config = config
        self.catalog = build(config)
        self.prices: PriceBook = config.price_book(self.catalog)
        self.loaded = clock()
        self._started_with = config
        self._build = build
        self._keys = keys
        self._read = read
        self._clock = clock
        self._one_at_a_time = asyncio.Lock()

    async def reload(self) -> Reloaded:
        """Read the configuration again, and serve what it says.

        Raises:
            ConfigError: it cannot be used. Nothing has changed then.
        """
        async with self._one_at_a_time:
            try:
                config = await asyncio.to_thread(self._read)
                self._serve(config)
            except ConfigError as error:
                _log.warning("reload_failed", says=str(error))
                raise
        reloaded = Reloaded(tuple(self.catalog.providers), len(self.catalog.models()), self._needs_restart())
        _log.info("reloaded", providers=len(reloaded.providers), needs_restart=reloaded.needs_restart)
        return reloaded

    def _serve(self, config: Config) -> None:
        """Change everything or nothing: what can fail comes first, and nothing here waits."""
        catalog = self._build(config)
        prices = config.price_book(catalog)
        self._keys.accept(config.keys)
        self.catalog.become(catalog)
        self.prices.become(prices)
        self.config = config
        self.loaded = self._clock()

    def _needs_restart(self) -> tuple[str, ...]:
        old, new = self._started_with, self.config
        sections = (name for name in Config.__struct_fields__ if name not in _AT_ONCE)
        return tuple(name for name in sections if getattr(old, name) != getattr(new, name))
