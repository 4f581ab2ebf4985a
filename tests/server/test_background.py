"""Answers that run in the background, for every provider, with the unmodified SDK of OpenAI."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest

from tests.server.canned import STREAMS
from tests.server.reading import read
from tests.serving import (
    CLOSE,
    END,
    HANG,
    KEY,
    OTHER_KEY,
    STREAM_HEAD,
    Act,
    Gateway,
    Upstream,
    chunk,
    replaying,
    serving,
    whole,
)

pytestmark = pytest.mark.anyio

providers = pytest.mark.parametrize("provider", list(STREAMS))


def slowly(provider: str, pause: float = 0.03) -> tuple[Act, ...]:
    acts: list[Act] = [STREAM_HEAD]
    for piece in STREAMS[provider]:
        acts += [chunk(piece), pause]
    return (*acts, END)


@contextlib.asynccontextmanager
async def asking(provider: str, *acts: Act) -> AsyncIterator[tuple[openai.AsyncOpenAI, Gateway, Upstream]]:
    async with replaying(acts) as upstream, serving(lab=upstream.provider(provider)) as gateway:
        async with openai.AsyncOpenAI(api_key=KEY, base_url=f"{gateway.address}/v1", max_retries=0) as client:
            yield client, gateway, upstream


async def finished(client: openai.AsyncOpenAI, id_: str) -> Any:
    for _ in range(100):
        response = await client.responses.retrieve(id_)
        if response.status not in {"queued", "in_progress"}:
            return response
        await asyncio.sleep(0.1)
    raise AssertionError("it never ended")


@providers
async def test_an_answer_is_polled_until_it_is_there(provider: str) -> None:
    async with asking(provider, 0.05, *slowly(provider)) as (client, _, upstream):
        begun = await client.responses.create(model="lab/m", input="hi", background=True)
        assert begun.status == "queued"
        response = await finished(client, begun.id)
        assert len(upstream.requests) == 1
        assert b'"background"' not in upstream.requests[0][2]
    assert (response.id, response.status, response.output_text) == (begun.id, "completed", "Hello world")


@providers
async def test_a_dropped_stream_goes_on_behind_the_last_event_that_came(provider: str) -> None:
    async with asking(provider, *slowly(provider)) as (client, _, upstream):
        stream = await client.responses.create(model="lab/m", input="hi", background=True, stream=True)
        first = await anext(stream)
        await stream.close()
        assert first.type == "response.created"
        events = [first]
        number = first.sequence_number if first.sequence_number is not None else 0
        rest = await client.responses.retrieve(first.response.id, stream=True, starting_after=number)
        events += [event async for event in rest]
        assert len(upstream.requests) == 1
    if provider != "openai-responses":  # this recording has no numbers
        assert [event.sequence_number for event in events] == list(range(len(events)))
    assert events[-1].type == "response.completed"
    assert events[-1].response.output_text == "Hello world"
    assert events[-1].response.id == first.response.id


@providers
async def test_an_answer_can_be_cancelled(provider: str) -> None:
    acts = (STREAM_HEAD, *(chunk(piece) for piece in STREAMS[provider][:2]), HANG)
    async with asking(provider, *acts) as (client, _, upstream):
        begun = await client.responses.create(model="lab/m", input="hi", background=True)
        while (await client.responses.retrieve(begun.id)).status != "in_progress":
            await asyncio.sleep(0.02)
        assert (await client.responses.cancel(begun.id)).status == "cancelled"
        await asyncio.wait_for(upstream.left.wait(), 1)
        assert (await client.responses.cancel(begun.id)).status == "cancelled"
        assert (await client.responses.retrieve(begun.id)).status == "cancelled"


@pytest.mark.parametrize("acts", [(HANG,), (STREAM_HEAD, HANG)])
async def test_an_answer_of_which_nothing_has_come_can_be_cancelled(acts: tuple[Act, ...]) -> None:
    async with asking("openai-chat", *acts) as (client, _, upstream):
        begun = await client.responses.create(model="lab/m", input="hi", background=True)
        while not upstream.requests:
            await asyncio.sleep(0.01)
        assert (await client.responses.cancel(begun.id)).status == "cancelled"
        await asyncio.wait_for(upstream.left.wait(), 1)


@pytest.mark.parametrize(
    "acts",
    [
        whole(b'{"error":{"message":"no such model"}}', "404 Not Found"),
        (STREAM_HEAD, chunk(STREAMS["openai-chat"][0]), CLOSE),
        (STREAM_HEAD, *(chunk(piece) for piece in STREAMS["openai-chat"][:2]), CLOSE),
    ],
)
async def test_an_answer_that_comes_to_nothing_says_so(acts: tuple[Act, ...]) -> None:
    async with asking("openai-chat", *acts) as (client, _, __):
        begun = await client.responses.create(model="lab/m", input="hi", background=True)
        response = await finished(client, begun.id)
    assert response.status == "failed"
    assert response.error is not None


async def test_a_conversation_goes_on_from_an_answer_in_the_background() -> None:
    async with asking("openai-chat", *slowly("openai-chat", 0.0)) as (client, _, upstream):
        begun = await client.responses.create(model="lab/m", input="hi", background=True)
        await finished(client, begun.id)
        await client.responses.create(model="lab/m", input="and?", previous_response_id=begun.id)
        assert b"Hello world" in upstream.requests[1][2]


async def test_an_answer_that_was_deleted_is_ended_and_gone() -> None:
    async with asking("openai-chat", STREAM_HEAD, chunk(STREAMS["openai-chat"][1]), HANG) as (client, _, upstream):
        begun = await client.responses.create(model="lab/m", input="hi", background=True)
        while (await client.responses.retrieve(begun.id)).status != "in_progress":
            await asyncio.sleep(0.02)
        await client.responses.delete(begun.id)
        await asyncio.wait_for(upstream.left.wait(), 1)
        with pytest.raises(openai.NotFoundError):
            await client.responses.retrieve(begun.id)


async def test_what_runs_in_the_background_belongs_to_its_key() -> None:
    async with asking("openai-chat", *slowly("openai-chat")) as (client, gateway, _):
        begun = await client.responses.create(model="lab/m", input="hi", background=True)
        other = openai.AsyncOpenAI(api_key=OTHER_KEY, base_url=f"{gateway.address}/v1", max_retries=0)
        async with other:
            for ask in (other.responses.retrieve, other.responses.cancel, other.responses.delete):
                with pytest.raises(openai.NotFoundError):
                    await ask(begun.id)


async def test_what_is_not_to_be_stored_cannot_run_in_the_background() -> None:
    async with asking("openai-chat", *slowly("openai-chat")) as (client, _, upstream):
        with pytest.raises(openai.BadRequestError, match="store"):
            await client.responses.create(model="lab/m", input="hi", background=True, store=False)
        assert not upstream.requests


async def test_a_stream_that_did_not_run_in_the_background_cannot_be_read_again() -> None:
    async with asking("openai-chat", *slowly("openai-chat", 0.0)) as (client, gateway, _):
        response = await client.responses.create(model="lab/m", input="hi")
        got = await read(gateway.get(f"/v1/responses/{response.id}?stream=true"))
    assert got.status == 410


@pytest.mark.parametrize("provider", ["openai-chat", "openai-responses"])
@pytest.mark.promise("1.4")
async def test_fifty_streams_dropped_at_their_first_event_all_end(provider: str) -> None:
    async with asking(provider, *slowly(provider)) as (client, _, upstream):

        async def begin() -> str:
            stream = await client.responses.create(model="lab/m", input="hi", background=True, stream=True)
            first = await anext(stream)
            await stream.close()
            return first.response.id

        ids = await asyncio.gather(*(begin() for _ in range(50)))
        ended = [await finished(client, id_) for id_ in ids]
        assert len(upstream.requests) == 50
    assert {response.status for response in ended} == {"completed"}
