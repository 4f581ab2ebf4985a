"""Five limits of time, each with its own code; heartbeats and pings reset none of them (promise 4.8)."""

import asyncio
import json
import socket
from typing import Any

import pytest
import structlog

from penstock.config import Limits
from penstock.upstreams.settings import AliasSettings
from penstock.upstreams.timeouts import TimeLimits, Timeouts
from tests.server.canned import STREAMS, WHOLE
from tests.server.hostile.process import question
from tests.server.reading import answer_of, read, text_of
from tests.serving import CALLS, HANG, KEY, STREAM_HEAD, Act, chunk, replaying, serving, stream, whole

pytestmark = [pytest.mark.anyio, pytest.mark.promise("4.8")]

PATH, BODY = CALLS["openai-chat"]
BEGIN = tuple(chunk(piece) for piece in STREAMS["openai-chat"][:2])
PINGS = (chunk(b": ping\n\n"), 0.05) * 40
LIMIT = 0.4


def code(body: bytes) -> str:
    """Return the code of the error that a body ends with."""
    last = [line.removeprefix(b"data: ") for line in body.strip().split(b"\n") if b'"error"' in line][-1]
    return json.loads(last)["error"]["code"]


@pytest.mark.parametrize("silence", [(HANG,), (STREAM_HEAD, HANG), (STREAM_HEAD, *PINGS, HANG)])
async def test_an_answer_that_does_not_begin_in_time(silence: tuple[Act, ...]):
    loop = asyncio.get_running_loop()
    async with replaying(silence) as provider:
        async with serving(lab=provider.openai, timeouts=Timeouts(first_event=LIMIT)) as gateway:
            began = loop.time()
            reading = await read(gateway.post(PATH, BODY))

    assert LIMIT <= loop.time() - began < LIMIT + 1
    assert (reading.status, code(reading.body)) == (504, "first_event_timeout")
    assert len(provider.requests) == 1  # it is not made to be silent twice


@pytest.mark.parametrize("silence", [(HANG,), (*PINGS, HANG)])
async def test_a_gap_in_the_output(silence: tuple[Act, ...]):
    loop = asyncio.get_running_loop()
    async with replaying((STREAM_HEAD, *BEGIN, *silence)) as provider:
        async with serving(lab=provider.openai, timeouts=Timeouts(gap=LIMIT), heartbeat=0.1) as gateway:
            began = loop.time()
            reading = await read(gateway.post(PATH, BODY))
            took = loop.time() - began

    assert LIMIT <= took < LIMIT + 1
    assert (reading.broken, code(reading.body)) == (True, "gap_timeout")


async def test_output_that_comes_slowly_is_no_gap():
    slow = [act for piece in STREAMS["openai-chat"] for act in (chunk(piece), LIMIT * 0.7)]
    async with replaying((STREAM_HEAD, *slow, b"0\r\n\r\n")) as provider:
        async with serving(lab=provider.openai, timeouts=Timeouts(gap=LIMIT)) as gateway:
            reading = await read(gateway.post(PATH, BODY))

    assert text_of(answer_of("openai-chat", reading.body)) == "Hello world"


async def test_an_answer_that_never_ends():
    more = (BEGIN[1], 0.05) * 40
    async with replaying((STREAM_HEAD, *BEGIN, *more, HANG)) as provider:
        async with serving(lab=provider.openai, timeouts=Timeouts(total=LIMIT)) as gateway:
            reading = await read(gateway.post(PATH, BODY))

    assert (reading.broken, code(reading.body)) == (True, "total_timeout")


async def test_the_total_holds_for_all_attempts_together():
    busy = whole(b"{}", "429 Too Many Requests", "Retry-After: 0.3\r\n")
    async with replaying(busy, (HANG,)) as provider:
        async with serving(lab=provider.openai, timeouts=Timeouts(total=LIMIT)) as gateway:
            reading = await read(gateway.post(PATH, BODY))

    assert (reading.status, code(reading.body)) == (504, "total_timeout")


async def test_a_provider_that_is_not_reached_in_time():
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        async with replaying(stream(*STREAMS["openai-chat"])) as other:
            lab = type(other)([])
            lab.port = full.getsockname()[1]
            async with serving(
                lab=lab.openai,
                spare=other.openai,
                aliases={"smart": AliasSettings(targets=("lab/m", "spare/m"), timeouts=Timeouts(connect=LIMIT))},
            ) as gateway:
                reading = await read(gateway.post(PATH, BODY | {"model": "smart"}))
        for one in waiting:
            one.close()

    assert reading.headers["x-penstock-upstream"] == "spare/m"


async def test_a_client_that_makes_no_room():
    piece = b'data: {"choices":[{"index":0,"delta":{"content":"' + b"x" * 100_000 + b'"}}]}\n\n'
    async with replaying((STREAM_HEAD, *(chunk(piece) for _ in range(400)), HANG)) as provider:
        async with serving(lab=provider.openai, timeouts=Timeouts(write=LIMIT)) as gateway:
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", int(gateway.address.rpartition(":")[2]), limit=1
            )
            body = json.dumps(BODY).encode()
            writer.write(
                b"POST %b HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %b\r\nContent-Length: %d\r\n\r\n%b"
                % (PATH.encode(), KEY.encode(), len(body), body)
            )
            await asyncio.sleep(LIMIT * 3)
            received = b""
            while data := await asyncio.wait_for(reader.read(1 << 20), 5):
                received = received[-2000:] + data
            writer.close()

    assert b"write_timeout" in received


@pytest.mark.parametrize(
    ("stall", "write"), [(0.6, 60.0), (60.0, 0.6), (0.6, 0.6)], ids=["connection", "stream", "both"]
)
async def test_a_client_that_takes_nothing_is_recorded_alike_whichever_limit_passes_first(stall: float, write: float):
    piece = b'data: {"choices":[{"index":0,"delta":{"content":"' + b"x" * 100_000 + b'"}}]}\n\n'
    with structlog.testing.capture_logs() as lines:
        async with replaying((STREAM_HEAD, *(chunk(piece) for _ in range(400)), HANG)) as provider:
            limits, timeouts = Limits(stall=stall), Timeouts(write=write)
            async with serving(lab=provider.openai, timeouts=timeouts, limits=limits) as gateway:
                _, writer = await asyncio.open_connection("127.0.0.1", int(gateway.address.rpartition(":")[2]), limit=1)
                writer.write(question("m"))
                async with asyncio.timeout(10):
                    while not any(line["event"] == "call" for line in lines):
                        await asyncio.sleep(0.05)
                writer.transport.abort()
    [call] = [line for line in lines if line["event"] == "call"]
    assert (call["end"], call["error"]) == ("timed_out", "timeout")


@pytest.mark.parametrize("more", [{"reasoning_effort": "high"}, {"stream": False}])
async def test_who_may_be_silent_for_long(more: dict[str, Any], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("penstock.upstreams.catalog.limits", lambda said: TimeLimits(first_event=0.2))
    answer = whole(WHOLE["openai-chat"]) if "stream" in more else stream(*STREAMS["openai-chat"])
    async with replaying((0.5, *answer)) as provider:
        async with serving(lab=provider.openai) as gateway:
            reading = await read(gateway.post(PATH, BODY | more))
    assert reading.status == 200
    assert "x-penstock-attempts" not in reading.headers


async def test_whoever_was_not_asked_to_think_may_not(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("penstock.upstreams.catalog.limits", lambda said: TimeLimits(first_event=0.2))
    async with replaying((HANG,)) as provider, serving(lab=provider.openai) as gateway:
        reading = await read(gateway.post(PATH, BODY))
    assert code(reading.body) == "first_event_timeout"
