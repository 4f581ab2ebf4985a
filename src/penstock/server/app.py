"""The composition root: the only place where the parts of the gateway are put together."""

import asyncio
import contextlib
import ipaddress
import secrets
import socket
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import structlog

from penstock.accounts.admin_tokens import AdminTokens
from penstock.accounts.directory import KeyDirectory
from penstock.accounts.keys import Key
from penstock.accounts.ledger import Ledger
from penstock.accounts.manage import KeyManager
from penstock.accounts.opening import import_keys, make_first_key, open_pepper
from penstock.accounts.usage import own_usage
from penstock.config import Config, ResponsesSettings, ServerSettings
from penstock.core.errors import ConfigError
from penstock.core.secret import Secret
from penstock.gateway.capacity import Capacity
from penstock.gateway.kept import Kept
from penstock.gateway.resuming import Resuming
from penstock.gateway.run import Books
from penstock.gateway.streams import Gateway
from penstock.server.admin.desk import Desk
from penstock.server.admin.opening import open_admin
from penstock.server.door import Door
from penstock.server.endpoints import Endpoints, TellUsage
from penstock.server.listener import Listener, listen
from penstock.server.metrics import Metrics
from penstock.server.readers import Readers
from penstock.server.reloading import Serving
from penstock.server.tracing import open_tracing
from penstock.simulator.server import start as start_simulator
from penstock.simulator.settings import Settings
from penstock.store.database import Database
from penstock.store.errors import StoreUnavailableError
from penstock.store.journals import Journals
from penstock.store.keyfile import KeyFile
from penstock.store.keys import KeyStore
from penstock.store.processes import Processes
from penstock.store.redis_journals import RedisJournals
from penstock.store.responses import ResponseStore
from penstock.store.shared import SharedStore
from penstock.store.sqlite_journals import SqliteJournals
from penstock.store.usage import UsageStore
from penstock.upstreams.transport import Transport

CUT_TIMEOUT = 1.0
"""Seconds that clients have to take the error event that ends answers which the gateway does not wait for."""

DAY = 24 * 60 * 60
"""Seconds."""

DEMO_PACE = Settings(ttft=0.15, gap=0.02)
"""How fast the demo models speak unless a request says otherwise: about as fast as a small model."""


_log = structlog.get_logger("penstock.server")


class Service:
    """A running gateway. `address` is what clients are given, `serving` what it serves, `metrics` what it has seen."""

    def __init__(
        self,
        address: str,
        serving: Serving,
        metrics: Metrics,
        endpoints: Endpoints,
        closing: contextlib.AsyncExitStack,
    ) -> None:
        self.address = address
        self.serving = serving
        self.metrics = metrics
        self._started = time.time()
        self._endpoints = endpoints
        self._closing = closing

    async def administer(
        self,
        tokens: AdminTokens,
        keys: KeyManager,
        database: Database,
        tell_reloaded: Callable[[], None] = lambda: None,
    ) -> str | None:
        """Serve the admin API, too; return its address, or None if it is switched off or its address is not free.

        Call `tell_reloaded` after each reload that it is asked for.
        """
        desk = Desk(
            keys=keys,
            usage=UsageStore(database),
            metrics=self.metrics,
            serving=self.serving,
            address=self.address,
            ready=lambda: self._endpoints.ready,
            database=database.dialect.name,
            started=self._started,
            tell_reloaded=tell_reloaded,
        )
        listener = await open_admin(self.serving.config.admin, desk, tokens)
        if listener is None:
            return None
        self._closing.push_async_callback(_close_admin, listener)
        return _url_of(listener)

    async def close(self) -> None:
        """Stop: say so, take no new work, let running answers end for a while, then cut them."""
        self._endpoints.drain()
        await self._closing.aclose()


async def start(
    config: Config,
    environ: Mapping[str, str],
    keys: KeyDirectory,
    database: Database,
    directory: Path,
    *,
    read: Callable[[], Config] | None = None,
    shared: SharedStore | None = None,
    listening: socket.socket | None = None,
) -> Service:
    """Start the gateway that `config` describes, and the simulator behind its demo providers.

    Args:
        config: what to serve, and where.
        environ: where credentials are looked for.
        keys: those that are accepted; kept up to date while the gateway runs.
        database: what must outlive the process is kept there; whoever has opened it closes it.
        directory: for files by which processes that share the database find out which of them live.
        read: reads the configuration again, for a reload; None if it cannot have changed.
        shared: what many machines have in common beside the database; whoever has opened it closes it.
        listening: a socket to serve on, instead of the address that the configuration names.

    Raises:
        ConfigError: something in the configuration cannot be used.
        OSError: the address cannot be listened on.
    """
    async with contextlib.AsyncExitStack() as started:
        ledger = await _open_accounts(started, keys, database, directory, shared)
        scripted = await _open_simulator(started)
        serving = Serving(config, lambda now: now.catalog(environ, scripted), keys, read or (lambda: config))
        metrics = Metrics()
        gateway, resuming, endpoints = await _open_endpoints(
            started, serving, metrics, keys, ledger=ledger, database=database, directory=directory
        )
        server = config.server
        listener = await listen(endpoints.handle, server.host, server.port, server.limits, listening)
        started.push_async_callback(_stop, listener, gateway, resuming, server)
        return Service(_url_of(listener), serving, metrics, endpoints, started.pop_all())


async def _open_simulator(started: contextlib.AsyncExitStack) -> str:
    """Return the address of the simulator behind the demo providers."""
    simulator = await start_simulator(defaults=DEMO_PACE)
    started.push_async_callback(simulator.close)
    return f"http://127.0.0.1:{simulator.port}"


async def _open_accounts(
    started: contextlib.AsyncExitStack,
    keys: KeyDirectory,
    database: Database,
    directory: Path,
    shared: SharedStore | None,
) -> Ledger:
    """Begin to follow the keys, and return the ledger."""
    await keys.start()
    started.push_async_callback(keys.close)
    if shared is not None:
        shared.listen(keys.changed)
    ledger = await _open_ledger(database, directory, shared)
    started.push_async_callback(ledger.close)
    return ledger


async def _open_endpoints(
    started: contextlib.AsyncExitStack,
    serving: Serving,
    metrics: Metrics,
    keys: KeyDirectory,
    *,
    ledger: Ledger,
    database: Database,
    directory: Path,
) -> tuple[Gateway, Resuming, Endpoints]:
    """Return what serves calls, what serves those that clients come back to, and what serves requests."""
    config = serving.config
    tracing = open_tracing(config.telemetry.otlp)
    started.push_async_callback(asyncio.to_thread, tracing.close)
    limits = config.server.limits
    capacity = Capacity(limits.calls)
    books = Books(ledger, serving.prices, capacity, (metrics.observe, tracing.observe), (metrics.count,))
    transport = Transport(max_connections=limits.provider_connections, slot_timeout=limits.provider_wait)
    gateway = Gateway(serving.catalog, transport, books, config.server.heartbeat)
    started.push_async_callback(gateway.close)
    kept = Kept(_response_store(config.responses, database))
    journals = await _open_journals(started, config, directory)
    resuming = Resuming(gateway, kept.prepared, config.streams, keys.derived(b"streams"), journals)
    started.push_async_callback(resuming.close)
    await resuming.start()
    endpoints = Endpoints(
        gateway,
        serving.catalog,
        Door(keys, config.server.trusted_proxies),
        kept,
        readers=Readers(resuming, metrics, config.server.heartbeat),
        usage=_usage(UsageStore(database)),
        metrics=metrics,
        tracing=tracing,
        stored=lambda: database.here,
    )
    return gateway, resuming, endpoints


async def _open_journals(started: contextlib.AsyncExitStack, config: Config, directory: Path) -> Journals | None:
    """Return where streams are written down, if they are to be."""
    settings, process = config.streams, secrets.token_hex(8)
    if settings.journal == "memory" or not settings.resume:
        return None
    if settings.journal == "redis" and config.shared.url is not None:
        return await RedisJournals.open(config.shared.url.reveal(), process, settings.keep_seconds)
    database = await Database.open(directory / "journals.db")
    started.push_async_callback(database.close)
    limit = settings.journal_megabytes * 2**20
    return SqliteJournals(database, Processes(database, directory, process), keep=settings.keep_seconds, limit=limit)


async def _open_ledger(database: Database, directory: Path, shared: SharedStore | None) -> Ledger:
    """Return the ledger, with all settled that processes left open when they died."""
    ledger = Ledger(database, directory, shared)
    try:
        await ledger.start()
    except StoreUnavailableError as error:
        raise ConfigError(f"the ledger cannot be used: {error}") from None
    if ledger.recovered:
        _log.warning("recovered", attempts=len(ledger.recovered), why="the processes that made them had died")
    return ledger


def _response_store(settings: ResponsesSettings, database: Database) -> ResponseStore | None:
    return ResponseStore(database, settings.days * DAY, settings.megabytes * 2**20) if settings.keep else None


def _usage(store: UsageStore) -> TellUsage:
    """Return what tells keys what they used."""

    async def tell(key: Key, query: Mapping[str, str]) -> dict[str, Any]:
        return await own_usage(store, key, query, time.time())

    return tell


async def _stop(listener: Listener, gateway: Gateway, resuming: Resuming, settings: ServerSettings) -> None:
    """Stop listening; let running answers end, then break them, then leave those who do not even read that."""
    if gateway.under_way:
        hint = "a second signal ends them at once"
        _log.info("stopping", calls=gateway.under_way, wait_seconds=settings.notice + settings.drain, hint=hint)
    await asyncio.sleep(settings.notice)
    loop, idle = asyncio.get_running_loop(), asyncio.ensure_future(resuming.idle())
    timers = (
        loop.call_later(settings.drain, gateway.cut),
        loop.call_later(settings.drain + CUT_TIMEOUT, listener.abort),
        loop.call_later(settings.drain + CUT_TIMEOUT, idle.cancel),
    )
    try:
        await listener.close()
        await asyncio.wait([idle])  # among them are answers that nobody reads at the moment
    finally:
        idle.cancel()
        for timer in timers:
            timer.cancel()


async def _close_admin(listener: Listener) -> None:
    """Stop administering; answers under way are short."""
    timer = asyncio.get_running_loop().call_later(CUT_TIMEOUT, listener.abort)
    try:
        await listener.close()
    finally:
        timer.cancel()


async def open_directory(config: Config, file: KeyFile, store: KeyStore) -> tuple[KeyDirectory, Secret | None]:
    """Return the keys that are accepted; and, if there were none, the first one, which nobody will see again.

    Raises:
        ConfigError: there is no key, and the gateway is to listen where others can reach it; or keys cannot be read.
    """
    try:
        pepper = await open_pepper(config.store.pepper, file, store)
        await import_keys(file, store, pepper)
        first = await _first_key(config, store, pepper)
    except StoreUnavailableError as error:
        raise ConfigError(f"the database cannot be used: {error}") from None
    return KeyDirectory(pepper, config.keys, store), first


async def _first_key(config: Config, store: KeyStore, pepper: bytes) -> Secret | None:
    if config.keys:
        return None
    if is_loopback(config.server.host):
        return await make_first_key(store, pepper, time.time)
    if not await store.all():
        raise ConfigError(
            f"no key is configured, and {config.server.host} can be reached from outside: "
            "make one with `penstock keys create NAME`, or add [[keys]] to the configuration"
        )
    return None


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _url_of(listener: Listener) -> str:
    return url_of(*listener.addresses[0])


def url_of(host: str, port: int) -> str:
    """Return the URL by which this machine reaches what listens at an address."""
    return f"http://{_written(host)}:{port}"


def _written(host: str) -> str:
    """Return a host as it stands in a URL that works on this machine."""
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"[{reachable}]" if ":" in reachable else reachable
