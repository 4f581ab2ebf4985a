"""Two gateways with nothing in common but a Redis: a stream that one serves is read through the other."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import openai
import pytest
import redis

from tests.cli.killing import all_of, counting, get, kill, post
from tests.cli.test_durable_streams import sdk, slowly
from tests.cli.test_several_processes import Process, serve
from tests.serving import CALLS, END, HANG, KEY, OTHER_KEY, STREAM_HEAD, Act, Upstream, chunk, replaying
from tests.store.servers import RedisServer

pytestmark = pytest.mark.anyio

CHAT = "openai-chat"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


LAST = b'data: {"id":"c1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'


def poem(pieces: int, pause: float) -> tuple[Act, ...]:
    """Return the acts of a provider that says some pieces and ends well."""
    return (*counting(pieces, pause)[:-1], chunk(LAST), END)


@contextlib.asynccontextmanager
async def gateways(
    directory: Path, redis_url: str, acts: tuple[Act, ...], protocol: str = CHAT, rest: str = ""
) -> AsyncIterator[tuple[Upstream, Process, Process]]:
    """Run two gateways, each with a data directory of its own, in front of one provider."""
    async with replaying(acts) as upstream, contextlib.AsyncExitStack() as running:
        settings = upstream.provider(protocol)
        assert settings.api_key is not None
        config = f"""
admin.enabled = false
store.pepper = "{"5e" * 32}"
shared.url = "{redis_url}"
[[keys]]
name = "k"
key = "{KEY}"
[[keys]]
name = "other"
key = "{OTHER_KEY}"
[streams]
journal = "redis"
{rest}
[providers.lab]
protocol = "{protocol}"
base_url = "{settings.base_url}"
api_key = "{settings.api_key.reveal()}"
"""
        started: list[Process] = []
        for name in ("one", "two"):
            (directory / name).mkdir()
            started.append(await running.enter_async_context(serve(directory / name, config)))
        yield upstream, *started


def count(body: bytes) -> int:
    """Return how many events there are; some providers end them in CRLF."""
    return body.replace(b"\r\n", b"\n").count(b"\n\n")


async def some_of(response: Any, events: int) -> bytes:
    seen = b""
    while count(seen) < events:
        data = await response.content.readany()
        assert data, seen
        seen += data
    return seen


@pytest.mark.parametrize("protocol", list(CALLS))
async def test_a_stream_is_resumed_in_the_middle_through_another_gateway_with_the_same_bytes(
    protocol: str, tmp_path: Path, redis_url: str
) -> None:
    acts = slowly(protocol, 0.2)
    async with gateways(tmp_path, redis_url, acts, protocol) as (upstream, one, two):
        async with post(one, protocol, "a") as live:
            id_ = live.headers["x-stream-id"]
            first = await some_of(live, 1)
            had = count(first)
            async with (
                post(two, protocol, "a") as attached,
                post(two, protocol, "a", **{"x-resume-after": str(had - 1)}) as resumed,
                get(two, id_, after=f"?after={had - 1}") as by_id,
            ):
                assert attached.headers["x-stream-replay"] == "attached"
                assert attached.headers["x-stream-id"] == resumed.headers["x-stream-id"] == id_
                (rest, well), *others = await asyncio.gather(*map(all_of, (live, attached, resumed, by_id)))
        assert well
        assert others == [(first + rest, True), (rest, True), (rest, True)]
        async with post(two, protocol, "a") as replay:
            assert await all_of(replay) == (first + rest, True)
        assert len(upstream.requests) == 1


async def test_many_readers_at_both_gateways_make_one_call(tmp_path: Path, redis_url: str) -> None:
    async with gateways(tmp_path, redis_url, poem(60, 0.02)) as (upstream, one, two):

        async def read(process: Process) -> bytes:
            async with post(process, CHAT, "a") as response:
                assert response.status == 200
                return (await all_of(response))[0]

        read_by_all = await asyncio.gather(*(read(process) for process in (one, two) * 20))
        assert len(set(read_by_all)) == 1
        assert read_by_all[0].endswith(b"data: [DONE]\n\n")
        assert len(upstream.requests) == 1


async def test_for_another_key_a_stream_is_unknown_at_every_gateway(tmp_path: Path, redis_url: str) -> None:
    async with gateways(tmp_path, redis_url, poem(3, 0.01)) as (upstream, one, two):
        async with post(one, CHAT, "a") as live:
            id_ = live.headers["x-stream-id"]
            await all_of(live)
        for method in ("GET", "HEAD", "DELETE"):
            async with get(two, id_, OTHER_KEY, method) as foreign:
                assert foreign.status == 404
        async with get(two, id_) as own:
            assert own.status == 200
        path, body = CALLS[CHAT]
        given = {"authorization": f"Bearer {OTHER_KEY}", "idempotency-key": "a"}
        async with two.session.post(two.address + path, json=body, headers=given) as response:
            assert response.headers["x-stream-replay"] == "live"
            await all_of(response)
        other = dict(body, temperature=0.25)
        given = {"authorization": f"Bearer {KEY}", "idempotency-key": "a"}
        async with two.session.post(two.address + path, json=other, headers=given) as response:
            assert response.status == 409
        assert len(upstream.requests) == 2


@pytest.mark.promise("1.7")
async def test_when_its_gateway_is_killed_a_stream_ends_in_an_error_where_it_stopped(
    tmp_path: Path, redis_url: str
) -> None:
    async with gateways(tmp_path, redis_url, counting(500, 0.02)) as (upstream, one, two):
        async with post(one, CHAT, "a") as live, post(two, CHAT, "a") as attached:
            id_ = live.headers["x-stream-id"]
            reading = asyncio.gather(all_of(live), all_of(attached))
            await asyncio.sleep(1)
            await kill(one)
            (seen, _), (followed, well) = await asyncio.wait_for(reading, 15)
        assert not well
        *events, error, _ = followed.split(b"\n\n")
        assert json.loads(error.strip().removeprefix(b"data: "))["error"]["code"] == "interrupted"
        told = b"".join(event + b"\n\n" for event in events)
        assert len(events) > 10
        assert seen.startswith(told)
        async with get(two, id_) as again:
            assert await all_of(again) == (followed, False)
        async with get(two, id_, method="HEAD") as response:
            assert response.headers["x-stream-events"] == str(len(events) + 1)
        assert len(upstream.requests) == 1


async def test_a_cancellation_reaches_the_gateway_that_serves(tmp_path: Path, redis_url: str) -> None:
    acts = (STREAM_HEAD, *counting(1, 0.0)[1:2], HANG)
    async with gateways(tmp_path, redis_url, acts) as (upstream, one, two):
        async with post(one, CHAT, "a") as live:
            reading = asyncio.ensure_future(all_of(live))
            async with get(two, live.headers["x-stream-id"], method="DELETE") as deleted:
                assert (await deleted.json())["state"] == "cancelled"
            await asyncio.wait_for(upstream.left.wait(), 2)
            assert b'"cancelled"' in (await reading)[0]


async def test_what_has_expired_is_gone_everywhere(tmp_path: Path, redis_url: str) -> None:
    async with gateways(tmp_path, redis_url, poem(3, 0.01), rest="keep_seconds = 1") as (_, one, two):
        async with post(one, CHAT, "a") as live:
            id_ = live.headers["x-stream-id"]
            await all_of(live)
        async with get(two, id_) as response:
            assert response.status == 200
            await all_of(response)
        await asyncio.sleep(2)
        for process in (one, two):
            async with get(process, id_) as response:
                assert response.status == 410


async def test_a_stream_that_is_too_long_is_given_up_in_redis_and_goes_on(tmp_path: Path, redis_url: str) -> None:
    acts = (STREAM_HEAD, *(chunk(b'data: {"x":"%s"}\n\n' % (b"x" * 1000)) for _ in range(64)), *poem(40, 0.05)[1:])
    async with gateways(tmp_path, redis_url, acts, rest="stream_kilobytes = 8") as (_, one, two):
        async with post(one, CHAT, "a") as live:
            await live.content.readany()
            await asyncio.sleep(0.5)
            async with get(two, live.headers["x-stream-id"]) as response:
                assert response.status == 410
            with redis.Redis.from_url(redis_url) as client:
                assert not list(client.scan_iter("penstock:*:events:*"))
            body, well = await all_of(live)
            assert well
            assert body.endswith(b"data: [DONE]\n\n")


async def test_while_redis_is_down_a_live_stream_goes_on(
    tmp_path: Path, redis_url: str, redis_server: RedisServer
) -> None:
    async with gateways(tmp_path, redis_url, poem(60, 0.03)) as (upstream, one, two):
        async with post(one, CHAT, "a") as live:
            id_ = live.headers["x-stream-id"]
            await live.content.readany()
            redis_server.stop()
            body, well = await all_of(live)
            assert well
            assert body.endswith(b"data: [DONE]\n\n")
            async with get(one, id_) as own:
                assert (await all_of(own))[1]
            async with get(two, id_) as elsewhere:
                assert elsewhere.status == 503
                assert (await elsewhere.json())["error"]["code"] == "streams_unavailable"
            async with post(two, CHAT, "b") as new:
                assert (await all_of(new))[1]
        redis_server.start()
        await asyncio.sleep(1.5)
        async with get(two, id_) as elsewhere:
            assert elsewhere.status == 410
        async with post(one, CHAT, "c") as live, post(two, CHAT, "c") as attached:
            assert attached.headers["x-stream-replay"] == "attached"
            assert await all_of(live) == await all_of(attached)
        assert len(upstream.requests) == 3


async def test_an_answer_in_the_background_is_read_polled_and_cancelled_through_any_gateway(
    tmp_path: Path, redis_url: str
) -> None:
    async with (
        gateways(tmp_path, redis_url, poem(60, 0.03)) as (upstream, one, two),
        sdk(one) as client,
        sdk(two) as other,
    ):
        stream = await client.responses.create(model="lab/m", input="hi", background=True, stream=True)
        events = [await anext(stream) for _ in range(5)]
        await stream.close()
        id_ = events[0].response.id
        assert (await other.responses.retrieve(id_)).status == "in_progress"
        rest = await other.responses.retrieve(id_, stream=True, starting_after=4)
        events += [event async for event in rest]
        assert [event.sequence_number for event in events] == list(range(len(events)))
        assert events[-1].type == "response.completed"
        assert (await other.responses.retrieve(id_)).status == "completed"
        begun = await client.responses.create(model="lab/m", input="hi", background=True)
        assert (await other.responses.cancel(begun.id)).status == "cancelled"
        assert (await client.responses.retrieve(begun.id)).status == "cancelled"
        assert len(upstream.requests) == 2
        async with openai.AsyncOpenAI(api_key=OTHER_KEY, base_url=f"{two.address}/v1", max_retries=0) as foreign:
            with pytest.raises(openai.NotFoundError):
                await foreign.responses.retrieve(id_)
