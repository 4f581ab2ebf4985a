"""`penstock serve --workers N`: the parent, which listens, makes what is made once, and looks after its workers."""

import asyncio
import contextlib
import os
import signal
import sys
import tempfile
from collections.abc import Generator, Mapping

import msgspec
from msgspec import Struct

from penstock.accounts.admin_tokens import AdminTokens
from penstock.cli.serving import Given, Served, announce, listening_told
from penstock.cli.stores import data_directory, open_stores
from penstock.config import Config
from penstock.core.secret import Secret
from penstock.server.app import open_directory, url_of
from penstock.server.metrics import DIRECTORY
from penstock.server.workers import Workers, bind
from penstock.store.adminfile import AdminFile
from penstock.store.keyfile import KeyFile


class Task(Struct, frozen=True):
    """What a worker is told.

    Attributes:
        config: the path of the configuration, if there is one.
        given: what was given on the command line.
        listening: the descriptor of the socket on which it listens.
        link: that of the link to it.
        admin: whether this worker is the one that serves the admin API.
    """

    config: str | None
    given: Given
    log_level: str
    listening: int = -1
    link: int = -1
    admin: bool = False


async def supervise(stop: asyncio.Event, config: Config, environ: Mapping[str, str], task: Task) -> None:
    """Serve with several workers until `stop`. The first serves the admin API, also when it is started again.

    Raises:
        ConfigError: the configuration cannot be used.
    """

    def command(place: int, listening: int, link: int) -> list[str]:
        its = msgspec.structs.replace(task, listening=listening, link=link, admin=place == 0)
        return [sys.executable, "-m", "penstock.cli.worker", msgspec.json.encode(its).decode()]

    with listening_told(config):
        listening = bind(config.server.host, config.server.port)
    with listening, _common_metrics():
        catalog = config.catalog(environ, "http://127.0.0.1:1")  # each worker has a simulator of its own
        config.price_book(catalog)
        key, token = await _made_once(config, environ)
        address = url_of(*listening.getsockname()[:2])
        workers = Workers(config.server.workers, command, listening)
        _forward_hangups(workers)
        await workers.start()
        try:
            admin = url_of(config.admin.host, config.admin.port) if config.admin.enabled else None
            announce(config, Served(address, tuple(catalog.providers), key, admin, token))
            await stop.wait()
        finally:
            await workers.stop()


async def _made_once(config: Config, environ: Mapping[str, str]) -> tuple[Secret | None, Secret | None]:
    """Bring the database up to date; return the first key and the first admin token, if they were made now."""
    data = data_directory(environ)
    async with open_stores(config, data) as stores:
        keys, key = await open_directory(config, KeyFile(data), stores.keys)
    tokens = AdminTokens(config.admin.token, AdminFile(data), keys.pepper)
    return key, await tokens.first() if config.admin.enabled else None


@contextlib.contextmanager
def _common_metrics() -> Generator[None]:
    """Give the workers a directory for their metrics, which goes with the parent, unless there is one already."""
    if DIRECTORY in os.environ:
        yield
        return
    with tempfile.TemporaryDirectory(prefix="penstock-metrics-", ignore_cleanup_errors=True) as directory:
        os.environ[DIRECTORY] = directory
        try:
            yield
        finally:
            del os.environ[DIRECTORY]


def _forward_hangups(workers: Workers) -> None:
    with contextlib.suppress(NotImplementedError, AttributeError):  # Windows has none
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, workers.reload)
