"""`penstock serve` and `penstock simulate`: start, say what is served, wait for the signal to stop."""

import asyncio
import contextlib
import gc
import signal
import socket
import sys
from collections.abc import Callable, Generator, Mapping, Sequence
from pathlib import Path

import msgspec
from msgspec import Struct
from rich.console import Console
from rich.markup import escape

from penstock.accounts.admin_tokens import AdminTokens
from penstock.accounts.manage import KeyManager
from penstock.cli.logs import configure_logs
from penstock.cli.masking import Masking, masked_by, tell_short_secrets
from penstock.cli.running import cannot_listen
from penstock.cli.stores import data_directory, open_stores
from penstock.config import Config, load
from penstock.core.errors import ConfigError
from penstock.core.secret import Secret
from penstock.server.app import Service, open_directory, start
from penstock.simulator.calls import Journal
from penstock.simulator.server import start as start_simulator
from penstock.simulator.settings import Settings, parse_settings
from penstock.store.adminfile import AdminFile
from penstock.store.keyfile import KeyFile


class Served(Struct, frozen=True):
    """What is said when the gateway serves: where, which providers; and what was made, for nobody can see it again."""

    address: str
    providers: Sequence[str]
    key: Secret | None
    admin: str | None
    admin_token: Secret | None


class Given(Struct, frozen=True):
    """What was given on the command line, and counts more than what the file says."""

    host: str | None
    port: int | None
    workers: int | None


async def serve(path: Path | None, given: Given, log_level: str, environ: Mapping[str, str]) -> None:
    """Run the gateway until SIGINT or SIGTERM.

    Raises:
        ConfigError: the configuration cannot be used.
    """
    mask = configure_logs(log_level)
    stop = stop_event()

    def read() -> Config:
        return masked_by(mask, overridden(load(path, environ), given), environ)

    config = read()
    if config.server.workers == 1:
        await serve_until(stop, read, environ, lambda served: announce(config, served), mask=mask)
    else:
        from penstock.cli.workers import Task, supervise  # noqa: PLC0415 - workers need this module

        await supervise(stop, config, environ, Task(None if path is None else str(path), given, log_level))


async def serve_until(
    stop: asyncio.Event,
    read: Callable[[], Config],
    environ: Mapping[str, str],
    ready: Callable[[Served], None],
    *,
    mask: Masking,
    listening: socket.socket | None = None,
    tell_reloaded: Callable[[], None] = lambda: None,
) -> None:
    """Run the gateway in this process until `stop`.

    Args:
        stop: ends it.
        read: reads the configuration, at the start and for a reload.
        environ: where credentials are looked for.
        ready: is called when the gateway serves.
        mask: learns the secret that no configuration has.
        listening: a socket to serve on, instead of the address that the configuration names.
        tell_reloaded: is called when the admin API has had the configuration read again.

    Raises:
        ConfigError: the configuration cannot be used.
    """
    config, data = read(), data_directory(environ)
    async with open_stores(config, data) as stores, contextlib.AsyncExitStack() as open_parts:
        keys, first = await open_directory(config, KeyFile(data), stores.keys)
        mask.learn([keys.pepper.hex()])
        tokens = AdminTokens(config.admin.token, AdminFile(data), keys.pepper)
        with listening_told(config):
            service = await start(
                config, environ, keys, stores.database, data, read=read, shared=stores.shared, listening=listening
            )
        open_parts.push_async_callback(service.close)
        tell_short_secrets(config, environ)  # only now: a mistake that ends the start is one line
        _prepare_process(service)
        admin = await service.administer(tokens, KeyManager(stores.keys, keys.pepper), stores.database, tell_reloaded)
        token = await tokens.first() if admin else None
        ready(Served(service.address, tuple(service.serving.catalog.providers), first, admin, token))
        await stop.wait()


@contextlib.contextmanager
def listening_told(config: Config) -> Generator[None]:
    """Say as a ConfigError that an address cannot be listened on."""
    try:
        yield
    except OSError as error:
        raise cannot_listen(config.server.host, config.server.port, error) from None


async def simulate(host: str, port: int, settings: str, log: Path | None) -> None:
    """Run the simulator until SIGINT or SIGTERM. What it serves is written to the file `log`.

    Raises:
        ConfigError: the settings cannot be used, or the address cannot be listened on.
        OSError: the file cannot be written.
    """
    stop = stop_event()
    defaults = parse_settings(settings, Settings(), "--set")
    journal = None if log is None else Journal(log)
    try:
        simulator = await start_simulator(host, port, defaults, journal)
    except OSError as error:
        raise cannot_listen(host, port, error) from None
    address = f"http://{host}:{simulator.port}"
    console = Console()
    console.print(f"[bold]Penstock simulator[/bold] on {address}: scripted models, no key needed.")
    console.print(f"  OpenAI base URL     {address}/v1")
    console.print(f"  Anthropic base URL  {address}")
    console.print(f"  Gemini base URL     {address}")
    console.print("  Models              poet, echo, tools, thinker; settings behind an @: poet@gap=0.05,fault=cut")
    try:
        await stop.wait()
    finally:
        await simulator.close()
        if journal is not None:
            journal.close()


def overridden(config: Config, given: Given) -> Config:
    """Return a configuration in which what was given counts more than what the file says."""
    said = {name: value for name, value in msgspec.structs.asdict(given).items() if value is not None}
    return msgspec.structs.replace(config, server=msgspec.structs.replace(config.server, **said))


def _prepare_process(service: Service) -> None:
    _spare_the_collector()
    _allow_open_files()
    _reload_on_hangup(service)


def _spare_the_collector() -> None:
    """Keep the garbage collector from walking, every few hundred requests, over all that was loaded for good.

    https://docs.python.org/3/library/gc.html#gc.freeze
    """
    gc.collect()
    gc.freeze()


def _allow_open_files() -> None:
    """Let this process have as many connections as the system allows it: many systems say 1024 at first, and mean more.

    Each stream is two of them.
    """
    if sys.platform == "win32":
        return
    import resource  # noqa: PLC0415 - not on Windows

    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):  # macOS says more than it allows
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def stop_event() -> asyncio.Event:
    """Return what the first SIGINT or SIGTERM sets. The second ends the process at once."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    signals = (signal.SIGINT, signal.SIGTERM)

    def first() -> None:
        stop.set()
        for number in signals:
            loop.remove_signal_handler(number)

    for number in signals:
        with contextlib.suppress(NotImplementedError):  # Windows: KeyboardInterrupt ends the loop instead
            loop.add_signal_handler(number, first)
    return stop


def _reload_on_hangup(service: Service) -> None:
    """Read the configuration again at each SIGHUP. What is wrong with it is in the log, and nothing changes then."""
    loop = asyncio.get_running_loop()
    reloads: set[asyncio.Task[None]] = set()

    async def reload() -> None:
        with contextlib.suppress(ConfigError):
            await service.serving.reload()

    def hang_up() -> None:
        task = loop.create_task(reload())
        reloads.add(task)
        task.add_done_callback(reloads.discard)

    with contextlib.suppress(NotImplementedError, AttributeError):  # Windows has none
        loop.add_signal_handler(signal.SIGHUP, hang_up)


def _about_admin(address: str | None, token: Secret | None) -> list[str]:
    """Return what is said about the admin API: its address, and its token the one time that it can be."""
    if address is None:
        return []
    made = [
        f"  [bold]Admin token     {token.reveal()}[/bold]",
        "                  [dim]shown once; `penstock admin token` makes another[/dim]",
    ] if token else []  # fmt: skip
    return [f"  Admin API       {escape(address)}/admin/api/v1", *made, ""]


def announce(config: Config, served: Served) -> None:
    """Say where the gateway is, what it serves, and what to paste to see it work; no line is broken."""
    address, first = escape(served.address), served.key
    names = ", ".join(key.name for key in config.keys) or "those of `penstock keys list`"
    shown = first.reveal() if first else "$PENSTOCK_KEY"
    key = (
        [f"  [bold]Your key        {shown}[/bold]", "                  [dim]shown once; only its hash is kept[/dim]"]
        if first
        else [
            f"  Keys            {escape(names)}",
            "                  [dim]`penstock keys create NAME` makes another[/dim]",
        ]
    )
    body = '{"model":"demo/poet","stream":true,"messages":[{"role":"user","content":"写一首关于秋天的短诗"}]}'
    lines = [
        f"[bold]Penstock[/bold] listens on [bold]{address}[/bold]",
        "",
        f"  OpenAI SDK      base_url={address}/v1",
        f"  Anthropic SDK   base_url={address}/anthropic",
        f"  Gemini SDK      base_url={address}",
        "",
        f"  Providers       {escape(', '.join(served.providers))}",
        "                  [dim]set OPENAI_API_KEY, ANTHROPIC_API_KEY, GEMINI_API_KEY ... for more[/dim]",
        "",
        *key,
        "",
        *_about_admin(served.admin, served.admin_token),
        "  Try it:",
        # Double quotes, so that the shell puts in a key that stands in its environment.
        escape(f"""  curl -N {address}/v1/chat/completions -H "Authorization: Bearer {shown}" -d '{body}'"""),
        "",
    ]
    Console().print("\n".join(lines), soft_wrap=True, highlight=False)
