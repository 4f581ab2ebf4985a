"""From start to stop: what the gateway refuses to begin with, that each call is logged once, and how it ends."""

import asyncio
import contextlib
import io
import json
import re
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import structlog

from penstock.accounts.directory import KeyDirectory
from penstock.accounts.keys import StaticKey
from penstock.cli.logs import configure_logs
from penstock.config import Config, ServerSettings
from penstock.core.errors import ConfigError
from penstock.core.secret import Secret
from penstock.server import app
from penstock.store.database import Database
from penstock.store.keyfile import KeyFile
from penstock.store.keys import KeyStore
from penstock.upstreams.settings import ProviderSettings
from tests.server.canned import STREAMS, WHOLE
from tests.server.reading import calls_told, failure_of, read
from tests.serving import (
    CALLS,
    END,
    HANG,
    KEY,
    STREAM_HEAD,
    Act,
    Gateway,
    Upstream,
    chunk,
    replaying,
    running,
    serving,
    stream,
    whole,
)

pytestmark = pytest.mark.anyio

BODY: dict[str, Any] = CALLS["openai-chat"][1]
PATH = CALLS["openai-chat"][0]
BEGUN = (STREAM_HEAD, chunk(STREAMS["openai-chat"][1]))


@contextlib.asynccontextmanager
async def logged(*acts: Act) -> AsyncIterator[tuple[Gateway, Upstream, list[dict[str, Any]]]]:
    """Run a gateway; after it the list holds the line of each call."""
    calls: list[dict[str, Any]] = []
    with structlog.testing.capture_logs() as lines:
        async with replaying(acts) as upstream, serving(lab=upstream.openai) as gateway:
            yield gateway, upstream, calls
    calls += calls_told(lines)


# ---- each call is logged once ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("acts", "streamed", "end"),
    [
        (stream(*STREAMS["openai-chat"]), True, "completed"),
        (whole(WHOLE["openai-chat"]), False, "completed"),
        ((*BEGUN, "close"), True, "failed"),
        (("close",), True, "failed"),
        (("close",), False, "failed"),
        (whole(b"{}", "500 No"), True, "failed"),
        (whole(b"{}", "500 No"), False, "failed"),
        (whole(b"not JSON"), False, "failed"),
        (whole(b"", "204 No Content"), True, "failed"),
        (whole(b"", "307 Go", "Location: http://127.0.0.1:1/\r\n"), True, "failed"),
    ],
)
async def test_a_call_is_logged_once_whatever_its_provider_did(acts: tuple[Act, ...], streamed: bool, end: str) -> None:
    async with logged(*acts) as (gateway, _, calls):
        await read(gateway.post(PATH, BODY | {"stream": streamed}))
    assert [call["end"] for call in calls] == [end]


@pytest.mark.parametrize("streamed", [True, False])
@pytest.mark.parametrize("acts", [(HANG,), (*BEGUN, HANG), (STREAM_HEAD, HANG)])
async def test_a_call_is_logged_once_whenever_its_client_leaves(acts: tuple[Act, ...], streamed: bool) -> None:
    async with logged(*acts) as (gateway, upstream, calls):
        asking = asyncio.create_task(read(gateway.post(PATH, BODY | {"stream": streamed})))
        while not upstream.requests:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        asking.cancel()
        await asyncio.wait_for(upstream.left.wait(), 1)
    assert [call["end"] for call in calls] == ["client_gone"]


@pytest.mark.parametrize("streamed", [True, False])
async def test_a_call_that_meets_a_defect_of_ours_is_logged_as_one(
    streamed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("penstock.gateway.opening._read_events", lambda *_: 1 / 0)
    monkeypatch.setattr("penstock.gateway.opening.Opener._make_relay", lambda *_: 1 / 0)
    async with logged(*stream(*STREAMS["openai-chat"])) as (gateway, _, calls):
        assert (await read(gateway.post(PATH, BODY | {"stream": streamed}))).status == 500
    assert [call["end"] for call in calls] == ["defect"]


async def test_a_call_that_is_sent_again_without_stream_options_is_logged_once() -> None:
    refusal = whole(b'{"error":{"message":"unknown field stream_options"}}', "400 Bad Request")
    calls: list[dict[str, Any]] = []
    with structlog.testing.capture_logs() as lines:
        async with (
            replaying(refusal, stream(*STREAMS["openai-chat"])) as upstream,
            serving(lab=upstream.openai) as gateway,
        ):
            await read(gateway.post(PATH, BODY))
    calls = calls_told(lines)
    assert [call["end"] for call in calls] == ["completed"]


# ---- stop ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "CUT_TIMEOUT", 0.1)


@contextlib.asynccontextmanager
async def stopping(*acts: Act) -> AsyncIterator[tuple[aiohttp.ClientSession, app.Service]]:
    """Run a gateway that the test itself stops."""
    async with replaying(acts) as upstream:
        config = Config(server=ServerSettings(port=0, drain=0.2), providers={"lab": upstream.openai})
        headers = {"authorization": f"Bearer {KEY}"}
        async with (
            running(config, KeyDirectory(bytes(32), [StaticKey("test", Secret(KEY))])) as service,
            aiohttp.ClientSession(service.address, headers=headers) as session,
        ):
            yield session, service


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("client", CALLS)
async def test_an_answer_that_does_not_end_in_time_is_broken_in_the_clients_own_words(client: str) -> None:
    path, body = CALLS[client]
    with structlog.testing.capture_logs() as lines:
        async with stopping(*BEGUN, HANG) as (session, service):
            answer = asyncio.create_task(read(session.post(path, json=body)))
            await asyncio.sleep(0.05)
            begun = time.monotonic()
            await service.close()
            assert 0.15 < time.monotonic() - begun < 0.6
            reading = await answer
    assert reading.broken
    assert failure_of(client, reading.body)
    assert [call["end"] for call in calls_told(lines)] == ["failed"]


@pytest.mark.usefixtures("impatient")
async def test_a_call_that_is_not_answered_in_time_is_an_http_error() -> None:
    async with stopping(HANG) as (session, service):
        answer = asyncio.create_task(read(session.post(PATH, json=BODY)))
        await asyncio.sleep(0.05)
        await service.close()
        reading = await answer
        assert reading.status == 503
        assert json.loads(reading.body)["error"]["code"] == "shutting_down"


@pytest.mark.usefixtures("impatient")
async def test_an_answer_that_ends_in_time_is_whole() -> None:
    first, second, *others = [chunk(piece) for piece in STREAMS["openai-chat"]]
    async with stopping(STREAM_HEAD, first, second, 0.1, *others, END) as (session, service):
        answer = asyncio.create_task(read(session.post(PATH, json=BODY)))
        await asyncio.sleep(0.03)
        await service.close()
        assert not (await answer).broken
        with pytest.raises(aiohttp.ClientConnectorError):
            await session.get("/healthz")


@pytest.mark.usefixtures("impatient")
async def test_a_client_that_reads_nothing_does_not_keep_the_gateway_from_stopping() -> None:
    piece = b'data: {"choices":[{"index":0,"delta":{"content":"' + b"x" * 100_000 + b'"}}]}\n\n'
    with structlog.testing.capture_logs() as lines:
        async with stopping(STREAM_HEAD, *[chunk(piece)] * 500, END) as (session, service):
            async with session.post(PATH, json=BODY) as response:
                await asyncio.sleep(0.1)
                begun = time.monotonic()
                await service.close()
                assert time.monotonic() - begun < 0.6
                response.close()
    assert len(calls_told(lines)) == 1


async def test_a_connection_that_rests_is_closed_at_once_when_the_gateway_stops() -> None:
    async with stopping() as (session, service):
        assert (await read(session.get("/healthz"))).status == 200
        begun = time.monotonic()
        await service.close()
        assert time.monotonic() - begun < 0.2


async def test_the_last_answer_says_that_it_is_the_last() -> None:
    first, *others = [chunk(piece) for piece in STREAMS["openai-chat"]]
    async with stopping(0.1, STREAM_HEAD, first, *others, END) as (session, service):
        answer = asyncio.create_task(read(session.post(PATH, json=BODY)))
        await asyncio.sleep(0.03)
        await service.close()
        assert (await answer).headers["connection"] == "close"


async def test_requests_that_wait_behind_the_last_answer_are_left_to_be_sent_again() -> None:
    async with stopping(0.1, *whole(WHOLE["openai-chat"])) as (_, service):
        host, _, port = service.address.removeprefix("http://").rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        body = json.dumps(BODY | {"stream": False}).encode()
        asking = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nx-api-key: {KEY}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        writer.write((asking + body) * 2)
        await asyncio.sleep(0.03)
        await service.close()
        assert (await reader.read()).count(b"HTTP/1.1 200") == 1
        writer.close()


async def test_whoever_balances_load_is_told_before_nobody_listens_any_more() -> None:
    config = Config(server=ServerSettings(port=0, notice=0.3))
    async with (
        running(config, KeyDirectory(bytes(32))) as service,
        aiohttp.ClientSession(service.address) as session,
    ):
        closing = asyncio.create_task(service.close())
        await asyncio.sleep(0.05)
        assert (await read(session.get("/readyz"))).status == 503
        assert (await read(session.get("/healthz"))).status == 200
        await closing
        with pytest.raises(aiohttp.ClientConnectorError):
            await session.get("/readyz")


# ---- start -----------------------------------------------------------------------------------------------------------


async def test_a_port_in_use_leaves_nothing_running() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        before = asyncio.all_tasks()
        config = Config(server=ServerSettings(port=taken.getsockname()[1]))
        with pytest.raises(OSError, match="in use"):
            async with running(config, KeyDirectory(bytes(32))):
                pass
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == before


@pytest.mark.parametrize(
    ("host", "shown"),
    [
        ("::1", "[::1]"),
        ("localhost", "127.0.0.1"),
        ("127.0.0.1", "127.0.0.1"),
        ("0.0.0.0", "127.0.0.1"),
        ("::", "[::1]"),
    ],
)
async def test_it_listens_where_it_is_told_and_says_where(host: str, shown: str) -> None:
    config = Config(server=ServerSettings(host=host, port=0))
    async with running(config, KeyDirectory(bytes(32))) as service:
        assert re.fullmatch(rf"http://({re.escape(shown)}|\[::1\]):\d+", service.address)
        async with aiohttp.ClientSession(service.address) as session:
            assert (await read(session.get("/readyz"))).status == 200


async def test_keys_without_their_pepper_are_an_error_and_not_worthless_in_silence(tmp_path: Path) -> None:
    database = await Database.open(tmp_path / "penstock.db")
    try:
        await app.open_directory(Config(), KeyFile(tmp_path), KeyStore(database))
        (tmp_path / "pepper").unlink()
        with pytest.raises(ConfigError, match="pepper: missing"):
            await app.open_directory(Config(), KeyFile(tmp_path), KeyStore(database))
    finally:
        await database.close()


@pytest.mark.parametrize(
    "url", ["http://host/a b", "http://hoüst/v1", "http://host/v1\r\nx: y", f"http://{'a' * 64}.b"]
)
def test_an_address_that_no_request_can_be_sent_to_is_a_mistake(url: str) -> None:
    with pytest.raises(ConfigError, match=r"providers\.lab\.base_url"):
        Config(providers={"lab": ProviderSettings(protocol="openai-chat", base_url=url)}).catalog({})


# ---- logs ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("terminal", [True, False])
def test_what_a_client_writes_into_a_log_stays_on_its_line_and_is_not_obeyed(
    terminal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = _shown(monkeypatch, terminal, lambda log: log.info("refused", path="/a\nforged \x1b[2J"))
    text = re.sub("\x1b\\[[0-9;]*m", "", shown)  # colours are our own
    assert text.count("\n") == 1
    assert "\x1b" not in text


@pytest.mark.parametrize("terminal", [True, False])
def test_a_traceback_shows_no_values_of_variables(terminal: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(log: Any) -> None:
        key = "sk-" + "secret"
        try:
            raise RuntimeError(len(key))
        except RuntimeError:
            log.exception("defect")

    shown = _shown(monkeypatch, terminal, fail)
    assert "RuntimeError" in shown
    assert "sk-secret" not in shown


def _shown(monkeypatch: pytest.MonkeyPatch, terminal: bool, write: Callable[[Any], None]) -> str:
    """Return what a log looks like at the lowest level."""
    stream = io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True)
    stream.isatty = lambda: terminal  # type: ignore[method-assign]
    monkeypatch.setattr(sys, "stderr", stream)
    before = structlog.get_config()
    try:
        configure_logs("debug")
        write(structlog.get_logger("test"))
    finally:
        structlog.configure(**before)
    return stream.buffer.getvalue().decode()  # type: ignore[attr-defined]
