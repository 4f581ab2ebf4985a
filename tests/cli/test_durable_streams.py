"""Streams outlive the process that serves them: `penstock serve` is killed, started again, and asked for the rest."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.cli.killing import all_of, counting, durable, get, kill, killed, post
from tests.cli.test_several_processes import Process
from tests.server.canned import STREAMS
from tests.server.reading import answer_of, text_of
from tests.serving import CALLS, END, KEY, OTHER_KEY, STREAM_HEAD, Act, chunk, replaying

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def slowly(protocol: str, pause: float) -> tuple[Act, ...]:
    acts: list[Act] = [STREAM_HEAD]
    for piece in STREAMS[protocol]:
        acts += [chunk(piece), pause]
    return (*acts, END)


@pytest.mark.promise("1.7")
async def test_twenty_streams_of_a_killed_process_are_read_to_the_last_event_that_was_written(tmp_path: Path) -> None:
    left = await killed(tmp_path, 20, 2.5)
    assert left.broken == []
    assert left.read_on == left.calls == 20


@pytest.mark.parametrize("protocol", list(CALLS))
async def test_after_a_kill_what_was_complete_is_the_same_and_what_was_not_ends_in_an_error(
    protocol: str, tmp_path: Path
) -> None:
    cut = (STREAM_HEAD, chunk(b"".join(STREAMS[protocol][:-1])), 30.0, END)
    async with replaying(slowly(protocol, 0.01), cut) as upstream:
        async with durable(tmp_path, upstream, protocol) as first:
            async with post(first, protocol, "whole") as response:
                whole = response.headers["x-stream-id"], (await all_of(response))[0]
            async with post(first, protocol, "part") as response:
                part = response.headers["x-stream-id"]
                await response.content.readany()
                await asyncio.sleep(0.5)
                await kill(first)
        async with durable(tmp_path, upstream, protocol) as second:
            async with post(second, protocol, "whole") as response:
                assert response.headers["x-stream-id"] == whole[0]
                assert response.headers["x-stream-replay"] == "replay"
                assert await all_of(response) == (whole[1], True)
            async with get(second, part) as response:
                seen, well = await all_of(response)
            async with get(second, part, method="HEAD") as response:
                assert response.headers["x-stream-state"] == "broken"
            path, body = CALLS[protocol]
            other = dict(body, temperature=0.25)
            given = {"authorization": f"Bearer {KEY}", "idempotency-key": "whole"}
            async with second.session.post(second.address + path, json=other, headers=given) as response:
                assert response.status == 409
        assert len(upstream.requests) == 2
    assert text_of(answer_of(protocol, whole[1])) == "Hello world"
    assert not well
    assert b"stopped in the middle" in seen


async def test_another_worker_follows_a_live_stream_and_can_end_it(tmp_path: Path) -> None:
    async with (
        replaying(counting(150, 0.02)) as upstream,
        durable(tmp_path, upstream, "openai-chat") as first,
        durable(tmp_path, upstream, "openai-chat") as beside,
    ):
        async with post(first, "openai-chat", "a") as live:
            assert live.headers["x-stream-replay"] == "live"
            async with post(beside, "openai-chat", "a") as attached:
                assert attached.headers["x-stream-replay"] == "attached"
                (seen, _), (followed, _) = await asyncio.gather(all_of(live), all_of(attached))
        assert followed == seen
        assert len(upstream.requests) == 1
        async with post(first, "openai-chat", "b") as live:
            reading = asyncio.ensure_future(all_of(live))
            async with get(beside, live.headers["x-stream-id"], method="DELETE") as deleted:
                assert (await deleted.json())["state"] == "cancelled"
            assert b'"cancelled"' in (await reading)[0]


@pytest.mark.promise("1.7")
async def test_what_has_expired_is_gone_and_never_shorter(tmp_path: Path) -> None:
    async with replaying(counting(5, 0.01)) as upstream:
        async with durable(tmp_path, upstream, "openai-chat", rest="keep_seconds = 1") as first:
            async with post(first, "openai-chat", "a") as response:
                id_ = response.headers["x-stream-id"]
                await all_of(response)
            await asyncio.sleep(0.3)  # until it is written
            await kill(first)
        await asyncio.sleep(1.5)
        async with durable(tmp_path, upstream, "openai-chat") as second:
            async with get(second, id_) as response:
                assert response.status == 410
            async with get(second, id_, OTHER_KEY) as response:
                assert response.status == 404


@contextlib.asynccontextmanager
async def sdk(process: Process) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(api_key=KEY, base_url=f"{process.address}/v1", max_retries=0) as client:
        yield client


@pytest.mark.promise("1.7")
async def test_after_a_kill_an_answer_in_the_background_is_read_on_by_the_unmodified_sdk(tmp_path: Path) -> None:
    """A stream is read to where it stopped, an object says that it failed; what was complete is complete."""
    whole = slowly("openai-chat", 0.01)
    async with replaying(whole, counting(500, 0.02), (30.0,)) as upstream:
        async with durable(tmp_path, upstream, "openai-chat") as first, sdk(first) as client:
            asking: Any = {"model": "lab/m", "input": "hi", "background": True, "instructions": "be brief"}
            stream = await client.responses.create(**asking, stream=True)
            done = [event async for event in stream]
            cut = await client.responses.create(**asking, stream=True)
            begun = [await anext(cut) for _ in range(20)]
            waiting = await client.responses.create(**asking)
            await asyncio.sleep(0.3)
            await kill(first)
        calls = len(upstream.requests)
        async with durable(tmp_path, upstream, "openai-chat") as second, sdk(second) as client:
            rest = await client.responses.retrieve(done[0].response.id, stream=True, starting_after=1)
            assert [event async for event in rest] == done[2:]
            response = begun[0].response
            rest = await client.responses.retrieve(response.id, stream=True, starting_after=19)
            read_on: list[Any] = []
            with pytest.raises(openai.APIError, match="stopped in the middle"):
                await _gather(rest, read_on)
            assert [event.sequence_number for event in read_on] == list(range(20, 20 + len(read_on)))
            broken = await client.responses.retrieve(response.id)
            assert (broken.status, broken.instructions) == ("failed", "be brief")
            assert (await client.responses.retrieve(waiting.id)).status == "failed"
            async with openai.AsyncOpenAI(api_key=OTHER_KEY, base_url=f"{second.address}/v1", max_retries=0) as other:
                with pytest.raises(openai.NotFoundError):
                    await other.responses.retrieve(response.id)
        assert len(upstream.requests) == calls == 3


async def _gather(stream: AsyncIterator[Any], events: list[Any]) -> None:
    async for event in stream:
        events.append(event)  # noqa: PERF401 - what came before it raises is wanted


async def test_another_worker_polls_and_cancels_an_answer_in_the_background(tmp_path: Path) -> None:
    async with (
        replaying(counting(500, 0.02)) as upstream,
        durable(tmp_path, upstream, "openai-chat") as first,
        durable(tmp_path, upstream, "openai-chat") as beside,
        sdk(first) as client,
        sdk(beside) as other,
    ):
        begun = await client.responses.create(model="lab/m", input="hi", background=True)
        while (await other.responses.retrieve(begun.id)).status != "in_progress":
            await asyncio.sleep(0.05)
        assert (await other.responses.cancel(begun.id)).status == "cancelled"
        assert (await client.responses.retrieve(begun.id)).status == "cancelled"
        await other.responses.delete(begun.id)
        with pytest.raises(openai.NotFoundError):
            await other.responses.retrieve(begun.id)
