"""A hundred streams, dropped three times each: nothing is lost, doubled or paid for twice. And what has expired."""

import asyncio
import secrets

import aiohttp
import pytest
import structlog

from penstock.accounts.directory import KeyDirectory
from penstock.accounts.keys import StaticKey
from penstock.config import Config, ServerSettings, StreamsSettings
from penstock.core.secret import Secret
from tests.server.canned import STREAMS
from tests.server.dropping import long_stream, many
from tests.server.reading import calls_told, read
from tests.serving import CALLS, KEY, Gateway, replaying, running, serving, stream

pytestmark = pytest.mark.anyio


@pytest.mark.promise("1.3")
async def test_a_hundred_streams_dropped_three_times_each_come_whole_and_are_paid_for_once() -> None:
    with structlog.testing.capture_logs() as lines:
        async with replaying(long_stream(0.02)) as upstream, serving(lab=upstream.openai) as gateway:
            came = await many(gateway, streams=100, drops=3, seed=7)
            for name, (client, body) in came.items():
                again = await read(gateway.post(*CALLS[client], idempotency_key=name))
                assert again.body.replace(b"\r\n", b"\n") == body
            assert len(upstream.requests) == 100
    assert [call["end"] for call in calls_told(lines)] == ["completed"] * 100


async def test_what_has_expired_is_a_410_for_its_key() -> None:
    async with replaying(stream(*STREAMS["openai-chat"])) as upstream:
        config = Config(
            server=ServerSettings(port=0),
            providers={"lab": upstream.openai},
            streams=StreamsSettings(keep_seconds=0.05),
        )
        keys = KeyDirectory(secrets.token_bytes(32), [StaticKey("test", Secret(KEY))])
        async with running(config, keys) as service, aiohttp.ClientSession(service.address) as session:
            gateway = Gateway(service.address, session)
            got = await read(gateway.post(*CALLS["openai-chat"], idempotency_key="a"))
            await asyncio.sleep(0.1)
            by_id = await read(gateway.get(f"/v1/streams/{got.headers['x-stream-id']}"))
            rest = await read(gateway.post(*CALLS["openai-chat"], idempotency_key="a", x_resume_after="1"))
            assert len(upstream.requests) == 1
    assert (by_id.status, rest.status) == (410, 410)
    assert b"stream_expired" in by_id.body
