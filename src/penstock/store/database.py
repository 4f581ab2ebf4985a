"""The database: SQLite in a file, or PostgreSQL; brought up to date when it is opened."""

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncGenerator, Generator
from pathlib import Path

import sqlalchemy as sa
from msgspec import Struct
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from penstock.core.errors import ConfigError
from penstock.store.dialect import SQLITE, lock_for_migration, make_async_engine, make_engine, read_url
from penstock.store.errors import StoreUnavailableError
from penstock.store.presence import Presence
from penstock.store.schema import REVISION
from penstock.store.upkeep import keep_up


class Upgrade(Struct, frozen=True):
    """Between which revisions a database was migrated; `before` is None if it was empty."""

    before: str | None
    after: str


class _MigrationError(Exception):
    """Why a database could not be brought up to date."""


class Database:
    """An open database. Repositories ask it through `reading` and `changing`, and in threads through `connect`.

    Attributes:
        engine: the pool of connections for the event loop.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        writing: sa.Engine,
        temporary: tempfile.TemporaryDirectory[str] | None,
        presence: Presence | None,
    ) -> None:
        self.engine = engine
        self._writing = writing
        self._temporary = temporary
        self._presence = presence
        self._watching: asyncio.Task[None] | None = None
        if presence is not None:
            presence.guard(writing, engine.sync_engine)
            self._watching = keep_up(presence.watch)

    @classmethod
    async def open(cls, location: Path | str | None) -> "Database":
        """Open a database, and migrate it.

        SQLite's own databases in memory would not do for a temporary one: all that use one are in the same transaction,
        and it goes with its connection, which a call that is cancelled takes along.

        Args:
            location: SQLite's file, which is made if it is not there; `postgresql://...`; or None for a file that goes
                when it is closed.

        Raises:
            ConfigError: it cannot be reached, opened or written, or is not a database of ours.
        """
        temporary = None
        if location is None:
            temporary = await asyncio.to_thread(tempfile.TemporaryDirectory, prefix="penstock-")
            location = Path(temporary.name, "penstock.db")
        await upgrade(location)
        url = _url(location)
        # To make an engine is to look for the file's whole path, or to load the driver's library.
        engine = await asyncio.to_thread(make_async_engine, url)
        presence = await asyncio.to_thread(Presence, location) if isinstance(location, Path) else None
        return cls(engine, await asyncio.to_thread(make_engine, url), temporary, presence)

    @property
    def dialect(self) -> sa.Dialect:
        """What to compile statements for."""
        return self.engine.dialect

    @property
    def here(self) -> bool:
        """Whether its file is still where it was; of a server only those who ask it find out."""
        return self._presence is None or self._presence.here

    @contextlib.asynccontextmanager
    async def reading(self) -> AsyncGenerator[AsyncConnection]:
        """Lend a connection for questions.

        Raises:
            StoreUnavailableError: the database did not answer them.
        """
        with _told_as_unavailable():
            async with self.engine.connect() as connection:
                yield connection

    @contextlib.asynccontextmanager
    async def changing(self) -> AsyncGenerator[AsyncConnection]:
        """Lend a connection in a transaction: the end of the block commits it, what is raised there rolls it back.

        Raises:
            StoreUnavailableError: the database did not do what it was asked.
        """
        with _told_as_unavailable():
            async with self.engine.begin() as connection:
                yield connection

    def connect(self) -> sa.Connection:
        """Return a connection for a thread. Its transactions can write from the beginning.

        Raises:
            sqlalchemy.exc.DBAPIError: the database cannot be reached.
        """
        return self._writing.connect()

    async def close(self) -> None:
        """Close all connections but those for threads."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.wait([self._watching])
        await self.engine.dispose()
        if self._temporary is not None:
            await asyncio.to_thread(self._temporary.cleanup)


def unavailable(error: SQLAlchemyError | OSError) -> StoreUnavailableError:
    """Return what a failure of a database is told as: in a line, and without the statement that failed."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    told = StoreUnavailableError(" ".join(str(cause).split()))
    told.__cause__ = error
    return told


@contextlib.contextmanager
def _told_as_unavailable() -> Generator[None]:
    try:
        yield
    except (SQLAlchemyError, OSError) as error:
        raise unavailable(error) from error


async def upgrade(location: Path | str) -> Upgrade:
    """Bring a database up to date. Of several processes that do so at once, one does and the others wait.

    Raises:
        ConfigError: it cannot be reached, opened or written, or is not a database of ours.
    """
    # Migrating reads files and imports modules, and may wait for another process: a thread's work.
    return await asyncio.to_thread(_upgrade, location)


def _upgrade(location: Path | str) -> Upgrade:
    url = _url(location)
    if isinstance(location, Path):
        _make_file(location)
    try:
        engine = make_engine(url)
    except ModuleNotFoundError:
        raise ConfigError('PostgreSQL needs its driver: pip install "penstock[postgres]"') from None
    try:
        with engine.begin() as connection:
            return _migrate(connection)
    except (DBAPIError, _MigrationError) as error:
        cause = error.orig if isinstance(error, DBAPIError) else error
        raise ConfigError(f"{_named(url)}: cannot be used: {' '.join(str(cause).split())}") from None
    finally:
        engine.dispose()


def _migrate(connection: sa.Connection) -> Upgrade:
    lock_for_migration(connection)
    before = _revision(connection)
    if before != REVISION:
        _run_migrations(connection)
    # Whether it can be written is to be known at the start, not by whoever writes first.
    connection.exec_driver_sql("UPDATE alembic_version SET version_num = version_num")
    return Upgrade(before, _revision(connection) or "")


def _run_migrations(connection: sa.Connection) -> None:
    from alembic import command  # noqa: PLC0415 - to import it takes longer than to open a database that is up to date
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", "penstock:store/migrations")
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except command.util.CommandError as error:
        raise _MigrationError(str(error)) from None


def _revision(connection: sa.Connection) -> str | None:
    """Return what a migration has written down last; None if there was none."""
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    return connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()


def _url(location: Path | str) -> sa.URL:
    if isinstance(location, Path):
        return sa.URL.create(SQLITE, database=str(location))
    return read_url(location)


def _named(url: sa.URL) -> str:
    """Return what a database is called in messages."""
    if url.drivername == SQLITE:
        return str(url.database)
    return f"the database {url.database or ''} on {url.host or 'this machine'}"


def _make_file(path: Path) -> None:
    """Make an empty file that only its owner can read: it will hold what people said."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.touch(mode=0o600)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written: {error.strerror}") from None
