"""`penstock record`: a reverse proxy on this machine that writes down what passes.

Bytes go on as they come, both ways. Only the framing of HTTP is made anew, and compression is not asked for: a
compressed recording could not be read, and would hide when which token came.
"""

import asyncio
import contextlib
import ipaddress
import signal
from pathlib import Path
from urllib.parse import urlsplit

from aiohttp import web
from rich.console import Console
from rich.markup import escape

from penstock.cli.cases import CaseFolder, Recording
from penstock.cli.running import cannot_listen
from penstock.conformance.client import connect
from penstock.core.errors import ConfigError, UpstreamFault
from penstock.upstreams.connection import BadResponseError, ClosedError, Connection
from penstock.upstreams.providers import checked_base_url

PATIENCE = 600.0
"""Seconds to wait for the next byte of an answer."""

MAX_BODY = 64 * 1024 * 1024
"""Bytes of a request body."""

_GRACE = 0.1  # seconds for exchanges in progress when it stops; what came of them is written all the same
_BROKEN = (ClosedError, BadResponseError, TimeoutError)
_HOP_BY_HOP = {
    "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer",
    "transfer-encoding", "upgrade",
}  # fmt: skip
_NEVER_SENT = _HOP_BY_HOP | {"host", "accept-encoding", "content-length", "expect"}
_NEVER_RETURNED = _HOP_BY_HOP | {"content-encoding", "content-length"}


class Recorder:
    """The proxy: what goes to `base` and comes back is written to `folder`, and told to `console`."""

    def __init__(self, base: str, folder: CaseFolder, console: Console) -> None:
        self._base = base
        self._folder = folder
        self._console = console

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Pass one exchange on, and write it down however it ends."""
        body = await request.read()
        headers = {name.lower(): value for name, value in request.headers.items()}
        recording = Recording(request.method, request.raw_path, headers, body)
        try:
            connection = await connect(self._base)
        except UpstreamFault as fault:
            return web.json_response({"error": {"message": str(fault), "type": "recorder"}}, status=502)
        try:
            return await self._pass_on(request, recording, connection)
        finally:
            connection.abort()
            if recording.status:
                self._write(recording)

    async def _pass_on(self, request: web.Request, recording: Recording, connection: Connection) -> web.StreamResponse:
        loop = asyncio.get_running_loop()
        began = loop.time()
        connection.send(self._request(recording), PATIENCE)
        try:
            await connection.head()
        except _BROKEN:
            return web.json_response({"error": {"message": "no answer", "type": "recorder"}}, status=502)
        recording.status, recording.response_headers = connection.status, dict(connection.headers)
        kept = {name: value for name, value in connection.headers.items() if name not in _NEVER_RETURNED}
        response = web.StreamResponse(status=connection.status, headers=kept)
        await response.prepare(request)
        try:
            while request.method != "HEAD" and (piece := await connection.read()):
                recording.pieces.append((loop.time() - began, piece))
                await response.write(piece)
        except _BROKEN:
            if request.transport is not None:
                request.transport.abort()  # a break stays a break
            return response
        await response.write_eof()
        recording.complete = True
        return response

    def _request(self, recording: Recording) -> bytes:
        parts = urlsplit(self._base)
        headers = {name: value for name, value in recording.headers.items() if name not in _NEVER_SENT}
        headers |= {"host": parts.netloc, "accept-encoding": "identity", "connection": "close"}
        if recording.body or recording.method in {"POST", "PUT", "PATCH"}:
            headers["content-length"] = str(len(recording.body))
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        start = f"{recording.method} {parts.path}{recording.target} HTTP/1.1\r\n"
        return f"{start}{lines}\r\n".encode("utf-8", "surrogateescape") + recording.body

    def _write(self, recording: Recording) -> None:
        try:
            path = self._folder.write(recording)
        except OSError as error:
            self._console.print(f"[red]not written:[/red] {escape(str(error))}")
            return
        size = sum(len(piece) for _, piece in recording.pieces)
        end = "" if recording.complete else ", [yellow]broken off[/yellow]"
        line = f"{recording.status}  {size} bytes in {len(recording.pieces)} pieces{end}  {escape(str(path))}"
        self._console.print(line, highlight=False, soft_wrap=True)


async def start(base: str, folder: Path, host: str, port: int, provider: str, *, console: Console) -> web.AppRunner:
    """Start a recorder in the running loop; its port is in `addresses`.

    Raises:
        ConfigError: the address is not one, or others could reach the recorder.
        OSError: the address cannot be listened on.
    """
    base = checked_base_url(base, "--to")
    if not _is_loopback(host):
        raise ConfigError(
            f"--host: {host!r} can be reached by others, and a recorder passes on whatever key it is shown"
        )
    name = provider or urlsplit(base).hostname or "provider"
    if not all(character.isalnum() or character in ".-_" for character in name) or name.startswith("."):
        raise ConfigError(f"--provider: {name!r} is to be the name of a folder")
    recorder = Recorder(base, CaseFolder(folder, name), console)
    app = web.Application(client_max_size=MAX_BODY)
    app.router.add_route("*", "/{path:.*}", recorder.handle)
    # With handler_cancellation a client that leaves takes its upstream connection with it.
    runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=_GRACE)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError:
        await runner.cleanup()
        raise
    return runner


def _make(folder: Path) -> None:
    """Make the folder at the start: if it cannot be, an answer that was paid for would be lost."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)


async def record(base: str, folder: Path, host: str, port: int, provider: str) -> None:
    """Record until SIGINT or SIGTERM.

    Raises:
        ConfigError: an option cannot be used, or the address cannot be listened on.
        OSError: the folder cannot be made.
    """
    console = Console(stderr=True)
    _make(folder)
    try:
        runner = await start(base, folder, host, port, provider, console=console)
    except OSError as error:
        raise cannot_listen(host, port, error) from None
    address = f"http://{host}:{runner.addresses[0][1]}"
    lines = (
        f"Recording. Give your SDK [bold]{address}[/bold] where it had {escape(base)},",
        f"and keep its key and the rest of its base URL. Cases go to {escape(str(folder))}; keys do not.",
    )
    console.print("\n".join(lines), soft_wrap=True, highlight=False)
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):  # Windows: KeyboardInterrupt ends the loop instead
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
    try:
        await stop.wait()
    finally:
        await runner.cleanup()


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
