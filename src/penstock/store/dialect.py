"""Where SQLite and PostgreSQL differ, and nothing else. A database is named by its URL, without a driver.

No wait for a database is unbounded: not for a connection, a lock, or an answer over a network that has failed. What is
written, words of users among it, is not in the errors of a statement that failed.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry, NullPool

from penstock.core.errors import ConfigError

SQLITE = "sqlite"
POSTGRESQL = "postgresql"

LOCK_TIMEOUT = 5_000
"""Milliseconds to wait for another process that writes."""

_MIGRATION_LOCK = 0x50454E53544F434B  # any number, the same for all; PostgreSQL has a lock for each

_SQLITE_SETTINGS = (
    f"PRAGMA busy_timeout = {LOCK_TIMEOUT}",
    "PRAGMA journal_mode = WAL",  # readers do not wait for the writer: https://sqlite.org/wal.html
    "PRAGMA foreign_keys = ON",
    "PRAGMA synchronous = NORMAL",  # with WAL this survives the death of the process, and of the machine consistently
)

_POSTGRESQL_SETTINGS = (
    f"SET lock_timeout = {LOCK_TIMEOUT}",
    "SET statement_timeout = 30000",
    "SET idle_in_transaction_session_timeout = 30000",  # a process that was stopped must not keep its locks
    "SET timezone = 'UTC'",
)

# https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS; what the URL says counts more
_LIBPQ = {
    "connect_timeout": "3",
    "tcp_user_timeout": "10000",
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "3",
    "application_name": "penstock",
}

# What Python's module has no adapter for is looked up in vain each time, which takes ten times as long as to bind it: a
# third of what the row of a request costs, most of whose columns are NULL.
sqlite3.register_adapter(type(None), {}.get)
sqlite3.register_adapter(bool, {False: 0, True: 1}.get)

Insert = sqlite.Insert | postgresql.Insert


def read_url(text: str) -> sa.URL:
    """Return the URL of a PostgreSQL database, without a driver.

    Raises:
        ConfigError: it is none. What is wrong with it is not told: it has a password in it.
    """
    try:
        url = sa.make_url(text)
    except (ArgumentError, ValueError):
        url = None
    # An @ is left over if the password has one that is not encoded.
    if url is None or url.drivername not in (POSTGRESQL, "postgres") or "@" in (url.host or ""):
        raise ConfigError(
            "not the address of a database: expected postgresql://user:password@host:5432/database, "
            "with %40 for an @ in the password"
        )
    return url.set(drivername=POSTGRESQL)


def insert(table: sa.Table, dialect: sa.Dialect) -> Insert:
    """Return an INSERT that has `on_conflict_do_nothing` and `on_conflict_do_update`."""
    return postgresql.insert(table) if dialect.name == POSTGRESQL else sqlite.insert(table)


def by_place(statement: sa.ClauseElement, dialect: sa.Dialect) -> tuple[str, tuple[str, ...]]:
    """Return a statement as text for `exec_driver_sql`, and the names of its parameters in their places."""
    style = "format" if dialect.name == POSTGRESQL else "qmark"
    compiled = statement.compile(dialect=type(dialect)(paramstyle=style))  # pyright: ignore[reportCallIssue]
    return str(compiled), tuple(getattr(compiled, "positiontup", ()))


def is_one_of(column: sa.Column[str], values: Iterable[str], dialect: sa.Dialect) -> sa.ColumnElement[bool]:
    """Compare with any number of values, in one parameter: both limit their number, and SQLAlchemy takes seconds."""
    wanted = [value for value in values if storable(value)]
    if dialect.name == POSTGRESQL:
        return column == sa.any_(sa.bindparam(None, wanted, type_=postgresql.ARRAY(sa.Text)))
    given = sa.func.json_each(msgspec.json.encode(wanted).decode()).table_valued("value")
    return column.in_(sa.select(given.c.value))


def storable(text: str) -> bool:
    """Whether a text can be stored: PostgreSQL has no null character."""
    return "\0" not in text


def make_engine(url: sa.URL) -> sa.Engine:
    """Return an engine for threads. Its connections are not pooled; its transactions can write from the beginning.

    In SQLite a transaction that reads first and writes then fails if another process wrote in between; one that begins
    with the write lock waits for its turn: https://sqlite.org/lang_transaction.html.
    """
    if url.get_backend_name() == POSTGRESQL:
        engine = sa.create_engine(_with_psycopg(url), poolclass=NullPool, hide_parameters=True)
    else:
        # Python's module must not begin transactions by itself.
        unbegun = {"isolation_level": None}
        engine = sa.create_engine(url, poolclass=NullPool, hide_parameters=True, connect_args=unbegun)
        event.listen(engine, "begin", _begin_immediate)
    event.listen(engine, "connect", _configurer(url))
    return engine


def make_async_engine(url: sa.URL) -> AsyncEngine:
    """Return a pool of connections for the event loop."""
    if url.get_backend_name() == POSTGRESQL:
        # The server may have been restarted since a connection was used last.
        engine = create_async_engine(_with_psycopg(url), hide_parameters=True, pool_pre_ping=True, pool_timeout=10)
    else:
        engine = create_async_engine(url.set(drivername="sqlite+aiosqlite"), hide_parameters=True)
    event.listen(engine.sync_engine, "connect", _configurer(url))
    return engine


def lock_for_migration(connection: sa.Connection) -> None:
    """Let one process migrate, and the others wait until its transaction ends. SQLite's have begun so."""
    if connection.dialect.name == POSTGRESQL:
        connection.exec_driver_sql("SET LOCAL lock_timeout = 60000")
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})")


def _with_psycopg(url: sa.URL) -> sa.URL:
    return url.set(drivername="postgresql+psycopg", query={**_LIBPQ, **url.query})


def _begin_immediate(connection: sa.Connection) -> None:
    execute_plain(connection, "BEGIN IMMEDIATE")


def execute_plain(connection: sa.Connection, text: str, rows: Sequence[Sequence[Any]] | None = None) -> None:
    """Have the driver execute a statement, once or for each row, and tell its errors as SQLAlchemy does.

    What SQLAlchemy does more (a context, events, a result) takes 20 us of CPU, four times what SQLite takes for a row.

    Raises:
        sqlalchemy.exc.DBAPIError: it failed. The connection is not invalidated by that.
    """
    dialect, cursor = connection.dialect, connection.connection.cursor()
    driver: Any = dialect.dbapi
    try:
        cursor.execute(text) if rows is None else cursor.executemany(text, rows)
    except driver.Error as error:
        raise DBAPIError.instance(text, rows, error, driver.Error, hide_parameters=True, dialect=dialect) from error
    finally:
        cursor.close()


def _configurer(url: sa.URL) -> Any:
    settings = _POSTGRESQL_SETTINGS if url.get_backend_name() == POSTGRESQL else _SQLITE_SETTINGS

    def configure(connection: Any, record: ConnectionPoolEntry) -> None:
        cursor = connection.cursor()
        for setting in settings:
            cursor.execute(setting)
        cursor.close()
        connection.commit()

    return configure
