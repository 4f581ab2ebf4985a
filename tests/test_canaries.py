"""Secrets that leave the gateway by no way but the one they are for, whatever goes wrong.

A gateway is run on real sockets with secrets that are nowhere else, is told everything that makes it talk, and fails in
every way that it can. Then they are looked for in all that came out: answers, logs at the lowest level, metrics,
traces, the database, and what objects say of themselves.
"""

import asyncio
import base64
import contextlib
import io
import logging
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest
import structlog
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from penstock.accounts.directory import KeyDirectory
from penstock.cli.logs import configure_logs
from penstock.config import parse
from penstock.core.errors import ConfigError
from penstock.gateway import opening, streams
from penstock.server import app
from penstock.server.opentelemetry import OpenTelemetry
from penstock.store.database import Database
from penstock.upstreams import transport
from tests.server.canned import WHOLE
from tests.serving import CALLS, CLOSE, RESET, STREAM_HEAD, Act, chunk, replaying, stream, whole
from tests.watch import spellings

pytestmark = pytest.mark.anyio

PROVIDER_KEY = "sk-canary_PROVIDER-9f8e7d6c5b4a39281706f5e4"
CLIENT_KEY = "pen_canaryClient4e5f6a7b8c9d0e1f"
PEPPER = "c0ffee00" * 8
DATABASE_PASSWORD = "canary-database/7a6b5c"
ADMIN_TOKEN = "canary-admin-token-3c2b1a0f9e8d"
REDIS_PASSWORD = "canary-redis+5d4c3b2a"
CANARIES = (PROVIDER_KEY, CLIENT_KEY, PEPPER, DATABASE_PASSWORD, ADMIN_TOKEN, REDIS_PASSWORD)

DATABASE_URL = f"postgresql://penstock:{quote(DATABASE_PASSWORD, safe='')}@127.0.0.1:1/penstock"
REDIS_URL = f"redis://:{quote(REDIS_PASSWORD, safe='')}@127.0.0.1:1/0"

CONFIG = """
[server]
port = 0

[store]
url = "${DATABASE_URL}"
pepper = "${PEPPER}"

[[keys]]
name = "team"
key = "${CLIENT_KEY}"

[providers.lab]
protocol = "PROTOCOL"
base_url = "ADDRESS"
api_key = "${PROVIDER_KEY}"
"""
ENVIRON = {
    "PROVIDER_KEY": PROVIDER_KEY,
    "CLIENT_KEY": CLIENT_KEY,
    "PEPPER": PEPPER,
    "DATABASE_URL": DATABASE_URL,
    "PENSTOCK_ADMIN_TOKEN": ADMIN_TOKEN,
    "REDIS_URL": REDIS_URL,
}

ECHO = (
    f"Incorrect API key provided: {PROVIDER_KEY}. You sent Authorization: Bearer {PROVIDER_KEY} "
    f"(Basic {base64.b64encode(PROVIDER_KEY.encode()).decode()}), x-api-key={PROVIDER_KEY}, "
    f"https://api.lab.test/v1?key={quote(PROVIDER_KEY, safe='')}"
)
ECHOES = {
    "openai-chat": f'{{"error":{{"message":"{ECHO}","type":"invalid_request_error","code":"{PROVIDER_KEY}"}}}}',
    "anthropic": f'{{"type":"error","error":{{"type":"authentication_error","message":"{ECHO}"}}}}',
    "gemini": f'{{"error":{{"code":400,"message":"{ECHO}","status":"INVALID_ARGUMENT"}}}}',
    "openai-responses": f'{{"error":{{"message":"{ECHO}","type":"invalid_request_error","param":"{PROVIDER_KEY}"}}}}',
}


def failures(protocol: str) -> list[tuple[Act, ...]]:
    """Return what a provider may do that tells the gateway its own key, or that breaks."""
    echo = ECHOES[protocol].encode()
    return [
        whole(echo, "401 Unauthorized"),
        whole(echo, "400 Bad Request"),
        whole(echo, "429 Too Many Requests", f"Retry-After: {PROVIDER_KEY}\r\nx-request-id: {PROVIDER_KEY}\r\n"),
        whole(echo, "500 Internal Server Error"),
        whole(ECHO.encode(), "502 Bad Gateway"),
        whole(f"<html><body>{ECHO}</body></html>".encode(), "503 Service Unavailable"),
        whole(echo),
        stream(b"data: " + echo + b"\n\n"),
        stream(b"event: error\ndata: " + echo + b"\n\n"),
        (STREAM_HEAD, chunk(b'data: {"choices":[{"delta":{"content":"x"}}]}\n\n'), CLOSE),
        (STREAM_HEAD, RESET),
        (b"HTTP/1.1 200 " + PROVIDER_KEY.encode() + b"\r\nBroken " + PROVIDER_KEY.encode() + b"\r\n\r\n",),
    ]


SPELLINGS = [spelled for secret in CANARIES for spelled in spellings(secret)]


def hits(output: bytes) -> list[bytes]:
    """Return the secrets in an output, each with what stands around it."""
    found = [(output.find(spelled), len(spelled)) for spelled in SPELLINGS]
    return [output[max(0, place - 200) : place + size + 40] for place, size in found if place >= 0]


class Run:
    """A gateway, and all that comes out of it."""

    def __init__(self, address: str, upstream: Any) -> None:
        self.address = address
        self.upstream = upstream
        self.out: list[bytes] = []

    async def send(self, method: str, path: str, body: Any = None, **headers: str) -> int:
        """Send a request and keep what came back."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        async with aiohttp.ClientSession(self.address) as session:
            try:
                async with session.request(method, path, json=body, headers=named) as response:
                    self.out.append(repr(response.raw_headers).encode())
                    async for piece in response.content.iter_any():
                        self.out.append(piece)
                    return response.status
            except aiohttp.ClientError as error:
                self.out.append(repr(error).encode())
                return 0

    async def ask(self, client: str, *, streamed: bool) -> int:
        """Ask for an answer with the client's key."""
        path, body = CALLS[client]
        if not streamed:
            path = path.replace("streamGenerateContent?alt=sse", "generateContent")
            body = {name: value for name, value in body.items() if name != "stream"}
        return await self.send("POST", path, body, authorization=f"Bearer {CLIENT_KEY}")


@pytest.fixture
def logs(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.BytesIO]:
    """The log of a run, at its lowest level, with what libraries log."""
    stderr = io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True)
    monkeypatch.setattr(sys, "stderr", stderr)
    before, root = structlog.get_config(), logging.getLogger()
    handlers, level = root.handlers, root.level
    root.handlers = []
    configure_logs("debug")
    structlog.configure(cache_logger_on_first_use=False)  # loggers outlive this test
    root.setLevel(logging.DEBUG)
    yield stderr.buffer  # type: ignore[misc]
    root.handlers, root.level = handlers, level
    structlog.configure(**before)


class Traces:
    """What OpenTelemetry would export."""

    def __init__(self) -> None:
        self.spans, self.metrics = InMemorySpanExporter(), InMemoryMetricReader()
        self.tracing = OpenTelemetry(SimpleSpanProcessor(self.spans), self.metrics)

    def exported(self) -> bytes:
        """Return all of it."""
        data = self.metrics.get_metrics_data()
        spans = [span.to_json() for span in self.spans.get_finished_spans()]
        return "\n".join([*spans, data.to_json() if data else ""]).encode()


@contextlib.asynccontextmanager
async def run(
    protocol: str, acts: Any, database: Path | str, locks: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[Run, Traces]]:
    traces = Traces()
    monkeypatch.setattr(app, "open_tracing", lambda otlp: traces.tracing)
    async with replaying(*acts) as upstream:
        base = upstream.provider(protocol).base_url
        config = parse(CONFIG.replace("PROTOCOL", protocol).replace("ADDRESS", str(base)), ENVIRON)
        directory = KeyDirectory(bytes.fromhex(PEPPER), config.keys)
        opened = await Database.open(database)
        service = await app.start(config, ENVIRON, directory, opened, locks)
        running = Run(service.address, upstream)
        running.out += [
            repr(thing).encode() for thing in (config, service.serving.catalog.providers, directory, vars(directory))
        ]
        try:
            yield running, traces
        finally:
            await service.close()
            await opened.close()
            running.out += [service.metrics.exposition()[0]]


def written(directory: Path) -> bytes:
    """Return all that stands in the files of a directory."""
    return b"".join(file.read_bytes() for file in sorted(directory.rglob("*")) if file.is_file())


def test_the_search_finds_what_it_is_for() -> None:
    for secret in CANARIES:
        assert hits(f"before {secret} after".encode())
        assert hits(b"x" + base64.b64encode(b"user:" + secret.encode()) + b"y")
        assert hits(quote(secret, safe="").encode())
    assert not hits(b"nothing of the kind")


@pytest.mark.promise("5.3")
@pytest.mark.parametrize("protocol", list(ECHOES))
async def test_no_failure_of_a_provider_lets_a_secret_out(
    protocol: str, logs: io.BytesIO, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    acts = failures(protocol)
    asked = [act for act in acts for _ in range(len(CALLS) * 2)]
    async with run(protocol, asked, tmp_path / "penstock.db", tmp_path, monkeypatch) as (running, traces):
        for _ in acts:
            for client in CALLS:
                for streamed in (True, False):
                    await running.ask(client, streamed=streamed)
        assert running.upstream.requests
        assert PROVIDER_KEY in str(running.upstream.requests[0])  # the one way it is for
        await asyncio.sleep(0.15)
    running.out += [traces.exported(), logs.getvalue(), written(tmp_path)]
    assert b'"event":"call"' in logs.getvalue()
    assert b"chat lab/m" in traces.exported()
    assert hits(b"\n".join(running.out)) == []


@pytest.mark.promise("5.3")
async def test_no_request_that_is_refused_lets_a_secret_out(
    logs: io.BytesIO, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with run("openai-chat", [whole(b"{}")], tmp_path / "penstock.db", tmp_path, monkeypatch) as (running, traces):
        path, body = CALLS["openai-chat"]
        both = {"authorization": f"Bearer {CLIENT_KEY}", "x_api_key": CLIENT_KEY + "x"}
        for headers in (both, {"authorization": f"Basic {CLIENT_KEY}"}, {"x_goog_api_key": CLIENT_KEY[:-1]}, {}):
            await running.send("POST", path, body, **headers)
            await running.send("GET", f"/v1beta/models?key={CLIENT_KEY}x", **headers)
            await running.send("POST", f"{path}?key={CLIENT_KEY}", {"model": 7}, **headers)
            await running.send("PUT", f"/nowhere?token={CLIENT_KEY}", body, **headers)
        await asyncio.sleep(0.15)
    running.out += [traces.exported(), logs.getvalue(), written(tmp_path)]
    assert b'"event":"refused"' in logs.getvalue()
    assert hits(b"\n".join(running.out)) == []


@pytest.mark.parametrize(
    ("where", "name"),
    [(opening, "prepare"), (transport, "_request"), (streams, "_headers"), (transport, "credential_headers")],
)
@pytest.mark.promise("5.3")
async def test_no_defect_lets_a_secret_out(
    where: Any, name: str, logs: io.BytesIO, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def defect(*given: Any, **named: Any) -> Any:
        secrets = list(ENVIRON.values())  # a variable of the frame that breaks
        raise RuntimeError(
            f"{len(secrets)}: {PROVIDER_KEY} of {CLIENT_KEY} at {DATABASE_URL} and {REDIS_URL}: {given!r}"
        )

    monkeypatch.setattr(where, name, defect)
    async with run("openai-chat", [whole(WHOLE["openai-chat"])], tmp_path / "penstock.db", tmp_path, monkeypatch) as (
        running,
        traces,
    ):
        for client in CALLS:
            for streamed in (True, False):
                await running.ask(client, streamed=streamed)
        await asyncio.sleep(0.15)
    running.out += [traces.exported(), logs.getvalue(), written(tmp_path)]
    assert b'"event":"defect"' in logs.getvalue()
    assert b"RuntimeError" in logs.getvalue()
    assert hits(b"\n".join(running.out)) == []


async def test_a_database_that_cannot_be_reached_lets_no_secret_out(
    logs: io.BytesIO, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError) as refused:
        async with run("openai-responses", [whole(b"{}")], DATABASE_URL, tmp_path, monkeypatch):
            pass
    assert hits(str(refused.value).encode() + logs.getvalue()) == []
