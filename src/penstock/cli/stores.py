"""Where commands keep what must outlive them, and how it is opened."""

import contextlib
from collections.abc import AsyncGenerator, Mapping
from pathlib import Path

import platformdirs
from msgspec import Struct

from penstock.config import Config
from penstock.store.database import Database
from penstock.store.keys import KeyStore
from penstock.store.shared import SharedStore

DATABASE = "penstock.db"
"""The file in the data directory that keeps what must outlive the process."""


class Stores(Struct, frozen=True):
    """What outlives the process. `shared` is there if the configuration names one."""

    database: Database
    shared: SharedStore | None
    keys: KeyStore


def data_directory(environ: Mapping[str, str]) -> Path:
    """Return where keys are kept: PENSTOCK_DATA_DIR, or the platform's place for a user's data."""
    return Path(environ.get("PENSTOCK_DATA_DIR") or platformdirs.user_data_dir("penstock", appauthor=False))


def database_location(config: Config, data: Path) -> Path | str:
    """Return where the database is: at the address that the config gives, or in a file of the data directory."""
    return config.store.url.reveal() if config.store.url else data / DATABASE


@contextlib.asynccontextmanager
async def open_stores(config: Config, data: Path) -> AsyncGenerator[Stores]:
    """Open the database, brought up to date, and what is shared beside it.

    Raises:
        ConfigError: one of them cannot be used.
    """
    async with contextlib.AsyncExitStack() as opened:
        database = await Database.open(database_location(config, data))
        opened.push_async_callback(database.close)
        if config.shared.url is None:
            yield Stores(database, None, KeyStore(database))
            return
        shared = await SharedStore.open(config.shared.url.reveal())
        opened.push_async_callback(shared.close)
        yield Stores(database, shared, KeyStore(database, shared.tell_of_keys))
