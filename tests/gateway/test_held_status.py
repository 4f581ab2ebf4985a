"""The status of a stream waits for output, so that failures have their own: but no longer than a heartbeat."""

import pytest

from penstock.upstreams.settings import AliasSettings
from penstock.upstreams.timeouts import Timeouts
from tests.server.canned import STREAMS
from tests.server.reading import answer_of, read, text_of
from tests.serving import CALLS, HANG, RESET, STREAM_HEAD, replaying, serving, stream, whole

pytestmark = pytest.mark.anyio

HEARTBEAT = 0.2
LATE = 0.7
SMART = AliasSettings(targets=("lab/m", "spare/m"))


@pytest.mark.parametrize("client", CALLS)
async def test_a_late_answer_comes_behind_heartbeats(client: str):
    async with replaying((LATE, *stream(*STREAMS["openai-chat"]))) as provider:
        async with serving(lab=provider.openai, heartbeat=HEARTBEAT) as gateway:
            reading = await read(gateway.post(*CALLS[client]))

    assert reading.status == 200
    assert reading.body.startswith(b"\n\n")
    assert text_of(answer_of(client, reading.body)) == "Hello world"
    assert not reading.broken


async def test_an_early_failure_has_its_own_status():
    async with replaying(whole(b"{}", "400 Bad Request")) as provider:
        async with serving(lab=provider.openai, heartbeat=HEARTBEAT) as gateway:
            reading = await read(gateway.post(*CALLS["openai-chat"]))

    assert reading.status == 400


@pytest.mark.parametrize("client", CALLS)
async def test_a_late_failure_is_told_in_the_stream(client: str):
    async with replaying((LATE, *whole(b"{}", "400 Bad Request"))) as provider:
        async with serving(lab=provider.openai, heartbeat=HEARTBEAT) as gateway:
            reading = await read(gateway.post(*CALLS[client]))

    assert (reading.status, reading.broken) == (200, True)
    assert b"error" in reading.body


async def test_another_target_can_still_answer():
    async with replaying((LATE, RESET)) as one, replaying(stream(*STREAMS["openai-chat"])) as other:
        async with serving(
            lab=one.openai, spare=other.openai, aliases={"smart": SMART}, heartbeat=HEARTBEAT
        ) as gateway:
            path, body = CALLS["openai-chat"]
            reading = await read(gateway.post(path, body | {"model": "smart"}))

    assert "x-penstock-upstream" not in reading.headers  # nobody knew when they left
    assert text_of(answer_of("openai-chat", reading.body)) == "Hello world"


async def test_heartbeats_do_not_stop_the_clock():
    async with replaying((STREAM_HEAD, HANG)) as provider:
        async with serving(lab=provider.openai, heartbeat=0.1, timeouts=Timeouts(first_event=0.5)) as gateway:
            reading = await read(gateway.post(*CALLS["openai-chat"]))

    assert reading.status == 200
    assert b"first_event_timeout" in reading.body
    assert reading.broken
