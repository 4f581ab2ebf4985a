"""What the handlers of the admin API work on."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol

from msgspec import Struct

from penstock.accounts.manage import KeyManager
from penstock.accounts.prices import PriceBook
from penstock.config import Config
from penstock.server.admin.shapes import Reloaded
from penstock.server.metrics import Metrics
from penstock.store.usage import UsageStore
from penstock.upstreams.catalog import Catalog


class Serving(Protocol):
    """The gateway that runs, as the admin API sees it. A reload changes all of it at once."""

    @property
    def address(self) -> str:
        """What clients are given."""
        ...

    @property
    def ready(self) -> bool:
        """Whether it takes new requests."""
        ...

    @property
    def config(self) -> Config:
        """What it was told."""
        ...

    @property
    def catalog(self) -> Catalog:
        """What it serves."""
        ...

    @property
    def prices(self) -> PriceBook:
        """What that costs."""
        ...

    @property
    def loaded(self) -> float:
        """When the configuration was read last; Unix time in seconds."""
        ...

    async def reload(self) -> Reloaded:
        """Read the configuration again, and serve what it says.

        Raises:
            ConfigError: it cannot be used; nothing has changed.
        """
        ...


class Desk(Struct, frozen=True):
    """All of it. `started` is Unix time in seconds, `clock` returns the same, `database` is the kind of it."""

    keys: KeyManager
    usage: UsageStore
    metrics: Metrics
    serving: Serving
    database: str
    started: float
    clock: Callable[[], float]


def written(moment: float) -> str:
    """Return a Unix time in seconds as it is told, exact to the millisecond if it is not whole."""
    exact = "seconds" if moment == int(moment) else "milliseconds"
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec=exact).replace("+00:00", "Z")
