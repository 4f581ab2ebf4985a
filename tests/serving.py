"""A gateway on a real socket in front of a provider that plays what the test hands it.

async with replaying(b"HTTP/1.1 200 OK\r\n...") as upstream, serving(lab=upstream.openai) as gateway:
    response = await gateway.post("/v1/chat/completions", {...})
"""

import asyncio
import concurrent.futures
import contextlib
import functools
import tempfile
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import aiohttp

from penstock.accounts.directory import KeyDirectory
from penstock.accounts.keys import StaticKey
from penstock.config import Config, Limits, ResponsesSettings, ServerSettings, StreamsSettings
from penstock.core.secret import Secret
from penstock.server.app import Service, start
from penstock.store.database import Database
from penstock.upstreams.settings import AliasSettings, ProviderSettings
from penstock.upstreams.timeouts import Timeouts
from tests.watch import CLIENT_KEYS, PEPPER, PROVIDER_KEYS, WATCH, tracing

KEY, OTHER_KEY = CLIENT_KEYS
OPENAI_KEY, ANTHROPIC_KEY, GEMINI_KEY = PROVIDER_KEYS

RESET = "reset"
"""Cut the connection so that the other side sees a reset."""

CLOSE = "close"
"""Close the connection in the middle of the body."""

HANG = "hang"
"""Say nothing more until the other side leaves."""

Act = bytes | float | str

STREAM_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
END = b"0\r\n\r\n"


def chunk(data: bytes) -> bytes:
    """Return one chunk of a chunked body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def stream(*pieces: bytes) -> tuple[Act, ...]:
    """Return the acts of a provider that streams some pieces and ends well."""
    return (STREAM_HEAD, *(chunk(piece) for piece in pieces), END)


def whole(body: bytes, status: str = "200 OK", headers: str = "") -> tuple[Act, ...]:
    """Return the act of a provider that answers with one JSON body."""
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n{headers}\r\n"
    return (head.encode() + body,)


class Upstream:
    """A provider that plays the same acts for every request, and remembers what it was asked."""

    def __init__(self, acts: Sequence[Sequence[Act]]) -> None:
        self.acts = acts
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        self.left = asyncio.Event()  # a client went away before the acts were over
        self.port = 0

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def openai(self) -> ProviderSettings:
        return ProviderSettings(protocol="openai-chat", base_url=f"{self.address}/v1", api_key=Secret(OPENAI_KEY))

    @property
    def responses(self) -> ProviderSettings:
        return ProviderSettings(protocol="openai-responses", base_url=f"{self.address}/v1", api_key=Secret(OPENAI_KEY))

    @property
    def anthropic(self) -> ProviderSettings:
        return ProviderSettings(protocol="anthropic", base_url=self.address, api_key=Secret(ANTHROPIC_KEY))

    @property
    def gemini(self) -> ProviderSettings:
        return ProviderSettings(protocol="gemini", base_url=self.address, api_key=Secret(GEMINI_KEY))

    def provider(self, protocol: str) -> ProviderSettings:
        return {
            "openai-chat": self.openai,
            "openai-responses": self.responses,
            "anthropic": self.anthropic,
            "gemini": self.gemini,
        }[protocol]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                await self._request(reader)
                if not await self._play(self.acts[min(len(self.requests), len(self.acts)) - 1], reader, writer):
                    break
        writer.close()

    async def _request(self, reader: asyncio.StreamReader) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.strip().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        self.requests.append((first.split()[1], headers, body))

    async def _play(self, acts: Sequence[Act], reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        for act in acts:
            if isinstance(act, bytes):
                writer.write(act)
                await writer.drain()
            elif isinstance(act, float):
                await asyncio.sleep(act)
            elif act == RESET:
                writer.transport.abort()
                return False
            elif act == CLOSE:
                return False
            else:
                await reader.read(1)
                self.left.set()
                return False
        return True


@contextlib.asynccontextmanager
async def replaying(*acts: Sequence[Act]) -> AsyncIterator[Upstream]:
    """Run a provider that plays the n-th acts for its n-th request, and the last for all after it."""
    upstream = Upstream(acts)
    server = await asyncio.start_server(upstream.serve, "127.0.0.1", 0)
    upstream.port = server.sockets[0].getsockname()[1]
    try:
        yield upstream
    finally:
        server.close()


class Gateway:
    """A running gateway, and an HTTP client with a key for it."""

    def __init__(self, address: str, session: aiohttp.ClientSession) -> None:
        self.address = address
        self.session = session

    def post(self, path: str, body: Any, **headers: str) -> Any:
        """Return the context manager of a POST with a key."""
        named = {"authorization": f"Bearer {KEY}"} | {name.replace("_", "-"): value for name, value in headers.items()}
        content = {"data": body} if isinstance(body, bytes) else {"json": body}
        return self.session.post(path, headers=named, **content)

    def get(self, path: str, **headers: str) -> Any:
        """Return the context manager of a GET with a key."""
        named = {"authorization": f"Bearer {KEY}"} | {name.replace("_", "-"): value for name, value in headers.items()}
        return self.session.get(path, headers=named)


@contextlib.asynccontextmanager
async def serving(
    *,
    aliases: dict[str, str | AliasSettings] | None = None,
    environ: dict[str, str] | None = None,
    responses: ResponsesSettings | None = None,
    database: Path | None = None,
    heartbeat: float = 15.0,
    timeouts: Timeouts = Timeouts(),  # noqa: B008 - it is frozen
    limits: Limits = Limits(),  # noqa: B008 - likewise
    streams: StreamsSettings = StreamsSettings(),  # noqa: B008 - likewise
    **providers: ProviderSettings,
) -> AsyncIterator[Gateway]:
    """Run a gateway in front of some providers; it takes `KEY` and `OTHER_KEY`."""
    config = Config(
        server=ServerSettings(port=0, heartbeat=heartbeat, limits=limits),
        providers={name.replace("_", "-"): settings for name, settings in providers.items()},
        models={
            name: target if isinstance(target, AliasSettings) else AliasSettings(target)
            for name, target in (aliases or {}).items()
        },
        timeouts=timeouts,
        streams=streams,
        responses=responses or ResponsesSettings(),
    )
    keys = [StaticKey("test", Secret(KEY)), StaticKey("other", Secret(OTHER_KEY))]
    async with (
        running(config, KeyDirectory(PEPPER, keys), environ, database) as service,
        aiohttp.ClientSession(service.address, trace_configs=[tracing()]) as session,
    ):
        yield Gateway(service.address, session)


@contextlib.asynccontextmanager
async def running(
    config: Config, keys: KeyDirectory, environ: dict[str, str] | None = None, database: Path | None = None
) -> AsyncIterator[Service]:
    """Run a gateway on a database that goes with it, unless one is given."""
    with tempfile.TemporaryDirectory() as directory:
        opened = await Database.open(database or new_database(Path(directory)))
        try:
            service = await start(config, environ or {}, keys, opened, Path(directory))
            try:
                yield service
            finally:
                await service.close()
        finally:
            await opened.close()
            WATCH.see_files(Path(directory))


@functools.cache
def _migrated() -> bytes:
    """Return the file of a new database: to make one takes longer than most tests."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "new.db")
        asyncio.run(_make(path))
        return path.read_bytes()


def new_database(directory: Path) -> Path:
    """Return a database in a directory, all of whose tables are there and empty."""
    path = directory / "penstock.db"
    with concurrent.futures.ThreadPoolExecutor() as elsewhere:  # a loop runs here
        path.write_bytes(elsewhere.submit(_migrated).result())
    return path


async def _make(path: Path) -> None:
    await (await Database.open(path)).close()


CALLS: dict[str, tuple[str, dict[str, Any]]] = {
    "openai-chat": (
        "/v1/chat/completions",
        {"model": "lab/m", "stream": True, "messages": [{"role": "user", "content": "hi"}]},
    ),
    "openai-responses": ("/v1/responses", {"model": "lab/m", "stream": True, "input": "hi"}),
    "anthropic": (
        "/anthropic/v1/messages",
        {"model": "lab/m", "stream": True, "max_tokens": 64, "messages": [{"role": "user", "content": "hi"}]},
    ),
    "gemini": (
        "/v1beta/models/lab/m:streamGenerateContent?alt=sse",
        {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]},
    ),
}
"""The same streamed question in each client protocol, of the model `lab/m`."""
