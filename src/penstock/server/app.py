"""The composition root: the only place where the parts of the gateway are put together."""

import asyncio
import contextlib
import ipaddress
import logging
import secrets
import time
from collections.abc import Mapping

from aiohttp import StreamReader, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.http_parser import RawRequestMessage

from penstock.accounts.keys import Keyring, first_key
from penstock.config import Config
from penstock.core.errors import ConfigError
from penstock.core.secret import Secret
from penstock.gateway.streams import Gateway
from penstock.server.endpoints import Endpoints
from penstock.simulator.server import start as start_simulator
from penstock.simulator.settings import Settings
from penstock.store.keyfile import KeyFile
from penstock.upstreams.catalog import Catalog
from penstock.upstreams.transport import Transport

MAX_BODY = 32 * 1024 * 1024
"""Bytes of a request body. Anthropic's API takes as many."""

KEEPALIVE = 75.0
"""Seconds to keep an idle client connection: longer than SDKs and proxies keep theirs, so that they close it first."""

SHUTDOWN_TIMEOUT = 10.0
"""Seconds that running answers have to end when the service stops."""

CUT_TIMEOUT = 1.0
"""Seconds that clients then have to take the error event that ends those which did not."""

DEMO_PACE = Settings(ttft=0.15, gap=0.02)
"""How fast the demo models speak unless a request says otherwise: about as fast as a small model."""


class Service:
    """A running gateway. `address` is what clients are given; `catalog` is what it serves."""

    def __init__(
        self, address: str, catalog: Catalog, endpoints: Endpoints, closing: contextlib.AsyncExitStack
    ) -> None:
        self.address = address
        self.catalog = catalog
        self._endpoints = endpoints
        self._closing = closing

    async def close(self) -> None:
        """Stop: take no new work, let running answers end for a while, then cut them."""
        self._endpoints.ready = False
        await self._closing.aclose()


async def start(config: Config, environ: Mapping[str, str], keyring: Keyring) -> Service:
    """Start the gateway that `config` describes, and the simulator behind its demo providers.

    Raises:
        ConfigError: something in the configuration cannot be used.
        OSError: the address cannot be listened on.
    """
    async with contextlib.AsyncExitStack() as started:
        simulator = await start_simulator(defaults=DEMO_PACE)
        started.push_async_callback(simulator.close)
        catalog = config.catalog(environ, f"http://127.0.0.1:{simulator.port}")
        gateway = Gateway(catalog, Transport())
        started.push_async_callback(gateway.close)
        endpoints = Endpoints(gateway, catalog, keyring)
        # What ends after half of that time is up to `_stop`.
        runner = web.ServerRunner(_server(endpoints), shutdown_timeout=2 * SHUTDOWN_TIMEOUT)
        started.push_async_callback(_stop, runner, gateway)
        await runner.setup()
        site = web.TCPSite(runner, config.server.host, config.server.port, backlog=4096, reuse_address=True)
        await site.start()
        host, port = runner.addresses[0][:2]
        return Service(f"http://{_written(host)}:{port}", catalog, endpoints, started.pop_all())


async def _stop(runner: web.ServerRunner, gateway: Gateway) -> None:
    """Stop listening; let running answers end, then break them, then leave those who do not even read that."""
    loop = asyncio.get_running_loop()
    timers = (
        loop.call_later(SHUTDOWN_TIMEOUT, gateway.cut),
        loop.call_later(SHUTDOWN_TIMEOUT + CUT_TIMEOUT, _leave_clients, runner),
    )
    try:
        await runner.cleanup()
    finally:
        for timer in timers:
            timer.cancel()


def _leave_clients(runner: web.ServerRunner) -> None:
    for connection in runner.server.connections if runner.server else ():
        if connection.transport is not None:
            connection.transport.abort()


def _server(endpoints: Endpoints) -> web.Server:
    """Return the HTTP server. There is one handler and no router: `server/paths.py` knows what a path means."""
    loop = asyncio.get_running_loop()
    logging.getLogger("aiohttp.server").addFilter(_without_requests)

    def request(
        message: RawRequestMessage,
        payload: StreamReader,
        protocol: web.RequestHandler,
        writer: AbstractStreamWriter,
        task: asyncio.Task[None],
    ) -> web.BaseRequest:
        return web.BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=MAX_BODY)

    return web.Server(
        endpoints.handle,
        request_factory=request,
        access_log=None,
        handler_cancellation=True,  # a client that leaves cancels its handler, and that ends the upstream call
        keepalive_timeout=KEEPALIVE,
        auto_decompress=False,  # encoded bodies are refused
    )


def _without_requests(record: logging.LogRecord) -> bool:
    """Whether a log record of the HTTP server may be written: errors of its parser quote what was sent, key and all."""
    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))


def open_keyring(config: Config, file: KeyFile) -> tuple[Keyring, Secret | None]:
    """Return the keys that are accepted; and, if there were none, the first one, which nobody will see again.

    Raises:
        ConfigError: there is no key, and the gateway is to listen where others can reach it.
    """
    stored = file.load()
    if not stored and config.keys:
        return Keyring(secrets.token_bytes(32), config.keys), None
    if not stored and not is_loopback(config.server.host):
        raise ConfigError(
            f"no key is configured, and {config.server.host} can be reached from outside: "
            "add [[keys]] to the configuration, or run `penstock serve` on 127.0.0.1 once to get a key"
        )
    pepper = file.pepper(secrets.token_bytes)
    first = first_key(file, pepper, secrets.randbelow, int(time.time()))
    return Keyring(pepper, config.keys, file.load()), first


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _written(host: str) -> str:
    """Return a host as it stands in a URL that works on this machine."""
    if host in {"0.0.0.0", "::"}:
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host
