"""Answers of the Responses API that clients come back to, through the official SDK on a real socket."""

import contextlib
import json
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import openai
import pytest

from penstock.config import ResponsesSettings
from penstock.store import responses
from tests.sdk.running import DEMO_PROVIDERS, model
from tests.server.canned import WHOLE
from tests.server.reading import read
from tests.serving import KEY, OTHER_KEY, new_database, replaying, serving, whole

pytestmark = pytest.mark.anyio

CHAT_ANSWER = whole(
    json.dumps(
        {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1,
            "model": "m",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi!"}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
        }
    ).encode()
)


@contextlib.asynccontextmanager
async def talking(**settings: Any) -> AsyncIterator[tuple[openai.AsyncOpenAI, openai.AsyncOpenAI]]:
    """Run a gateway; yield two clients with different keys."""
    async with serving(**settings) as gateway:
        base = f"{gateway.address}/v1"
        async with openai.AsyncOpenAI(base_url=base, api_key=KEY, max_retries=0) as ours:
            async with openai.AsyncOpenAI(base_url=base, api_key=OTHER_KEY, max_retries=0) as others:
                yield ours, others


async def test_a_turn_that_goes_on_reaches_a_provider_without_state_with_all_before_it():
    async with replaying(CHAT_ANSWER) as upstream, talking(lab=upstream.openai) as (client, _):
        first = await client.responses.create(model="lab/m", input="My name is Wang.", instructions="Be brief.")
        second = await client.responses.create(model="lab/m", input="Who am I?", previous_response_id=first.id)
        await client.responses.create(model="lab/m", input="Sure?", previous_response_id=second.id)

    asked = json.loads(upstream.requests[-1][2])["messages"]
    told = [(message["role"], message["content"]) for message in asked]
    assert [role for role, _ in told] == ["user", "assistant", "user", "assistant", "user"]
    assert [text if isinstance(text, str) else text[0]["text"] for _, text in told] == [
        "My name is Wang.", "Hi!", "Who am I?", "Hi!", "Sure?",
    ]  # fmt: skip
    assert second.previous_response_id == first.id


@pytest.mark.parametrize("provider", DEMO_PROVIDERS)
async def test_a_tool_loop_goes_on_by_id_with_every_provider(provider: str):
    name = model(provider, "thinker")
    tool: Any = {
        "type": "function", "name": "look_up", "strict": False,
        "parameters": {"type": "object", "properties": {"what": {"type": "string"}}, "required": ["what"]},
    }  # fmt: skip
    async with talking() as (client, _):
        first = await client.responses.create(model=name, input="Use the tool.", tools=[tool])
        calls = [item for item in first.output if item.type == "function_call"]
        result: Any = {"type": "function_call_output", "call_id": calls[0].call_id, "output": "forty-two"}
        async with client.responses.stream(
            model=name, input=[result], tools=[tool], previous_response_id=first.id
        ) as stream:
            second = await stream.get_final_response()
        third = await client.responses.create(model=name, input="Thanks.", previous_response_id=second.id)

    assert "forty-two" in second.output_text
    assert third.status == "completed"


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("provider", DEMO_PROVIDERS)
async def test_an_answer_can_be_read_again_as_it_was(provider: str, stream: bool):
    async with talking() as (client, _):
        if stream:
            async with client.responses.stream(model=model(provider, "poet"), input="hi") as streamed:
                answer: Any = await streamed.get_final_response()
        else:
            answer = await client.responses.create(model=model(provider, "poet"), input="hi")
        again = await client.responses.retrieve(answer.id)

    assert again.id == answer.id
    assert again.output_text == answer.output_text
    assert again.usage == answer.usage


async def test_an_item_can_be_named_instead_of_sent_again():
    async with replaying(CHAT_ANSWER) as upstream, talking(lab=upstream.openai) as (client, _):
        first = await client.responses.create(model="lab/m", input="Hello")
        said: Any = [
            {"role": "user", "content": "Hello"},
            {"type": "item_reference", "id": first.output[0].id},
            {"role": "user", "content": "And now?"},
        ]
        await client.responses.create(model="lab/m", input=said)

    roles = [message["role"] for message in json.loads(upstream.requests[-1][2])["messages"]]
    assert roles == ["user", "assistant", "user"]


async def test_another_key_finds_nothing():
    async with talking() as (ours, others):
        answer = await ours.responses.create(model=model("demo", "poet"), input="hi")
        for attempt in (
            others.responses.retrieve(answer.id),
            others.responses.delete(answer.id),
            others.responses.cancel(answer.id),
            others.responses.input_items.list(answer.id),
            others.responses.create(model=model("demo", "poet"), input="hi", previous_response_id=answer.id),
        ):
            with pytest.raises(openai.NotFoundError):
                await attempt
        await ours.responses.retrieve(answer.id)


async def test_what_went_in_is_listed_in_pages_that_the_sdk_follows():
    async with talking() as (client, _):
        first = await client.responses.create(model=model("demo", "poet"), input="one")
        second = await client.responses.create(
            model=model("demo", "poet"),
            input=[{"role": "user", "content": f"line {number}"} for number in range(5)],
            previous_response_id=first.id,
        )
        listed = [item async for item in await client.responses.input_items.list(second.id, limit=2, order="asc")]

    assert [item.type for item in listed] == ["message"] * 7
    assert len({item.id for item in listed}) == 7


async def test_a_deleted_answer_is_gone():
    async with talking() as (client, _):
        answer = await client.responses.create(model=model("demo", "poet"), input="hi")
        await client.responses.delete(answer.id)
        with pytest.raises(openai.NotFoundError):
            await client.responses.retrieve(answer.id)


async def test_a_complete_answer_cannot_be_cancelled():
    async with talking() as (client, _):
        answer = await client.responses.create(model=model("demo", "poet"), input="hi")
        with pytest.raises(openai.BadRequestError, match="background"):
            await client.responses.cancel(answer.id)


async def test_what_a_client_forbids_to_keep_is_not_kept():
    async with talking() as (client, _):
        answer = await client.responses.create(model=model("demo", "poet"), input="hi", store=False)
        assert not answer.store
        with pytest.raises(openai.NotFoundError):
            await client.responses.retrieve(answer.id)


@pytest.mark.parametrize("fault", ["cut", "end", "error-mid"])
async def test_a_broken_answer_is_not_kept(fault: str):
    async with talking() as (client, _):
        stream = await client.responses.create(model=model("demo", "poet", fault=fault), input="hi", stream=True)
        created = await anext(aiter(stream))
        assert created.type == "response.created"
        with contextlib.suppress(openai.APIError):
            async for _event in stream:
                pass
        with pytest.raises(openai.NotFoundError):
            await client.responses.retrieve(created.response.id)


async def test_an_unknown_earlier_turn_is_refused_by_name():
    async with talking() as (client, _):
        with pytest.raises(openai.NotFoundError) as refused:
            await client.responses.create(model="demo/poet", input="hi", previous_response_id="resp_nobody")

    assert refused.value.code == "previous_response_not_found"
    assert refused.value.param == "previous_response_id"


@pytest.mark.covers("P58")
async def test_a_history_that_is_larger_than_any_request_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(responses, "MAX_BYTES", 100)
    async with replaying(CHAT_ANSWER) as upstream, talking(lab=upstream.openai) as (client, _):
        first = await client.responses.create(model="lab/m", input="Hello " * 100)
        with pytest.raises(openai.APIStatusError) as refused:
            await client.responses.create(model="lab/m", input="again", previous_response_id=first.id)
        with pytest.raises(openai.APIStatusError) as not_listed:
            await client.responses.input_items.list(first.id)
    assert refused.value.status_code == not_listed.value.status_code == 413


async def test_an_answer_that_cannot_be_kept_is_given_all_the_same():
    odd = WHOLE["openai-responses"].replace(b'"id":"r1"', b'"id":null')
    async with replaying(whole(odd)) as upstream, serving(lab=upstream.responses) as gateway:
        answer = await read(gateway.post("/v1/responses", {"model": "lab/m", "input": "hi"}))
    assert (answer.status, answer.body) == (200, odd)


async def test_a_gateway_that_keeps_nothing_says_so():
    async with talking(responses=ResponsesSettings(keep=False)) as (client, _):
        answer = await client.responses.create(model=model("demo", "poet"), input="hi", store=True)
        with pytest.raises(openai.NotFoundError):
            await client.responses.retrieve(answer.id)
        with pytest.raises(openai.BadRequestError) as refused:
            await client.responses.create(model="demo/poet", input="hi", previous_response_id=answer.id)

    assert answer.store is False
    assert refused.value.param == "previous_response_id"


async def test_answers_outlive_the_process(tmp_path: Path):
    database = tmp_path / "penstock.db"
    async with talking(database=database) as (client, _):
        answer = await client.responses.create(model=model("demo", "poet"), input="hi")
    async with talking(database=database) as (client, _):
        again = await client.responses.retrieve(answer.id)

    assert again.output_text == answer.output_text


async def test_other_methods_on_a_kept_answer_are_refused():
    async with serving() as gateway:
        async with gateway.post("/v1/responses/resp_1", {}) as response:
            assert response.status == 405
            assert response.headers["Allow"] == "GET, DELETE"


async def test_a_store_that_cannot_be_read_is_no_defect(tmp_path: Path):
    """The client is told to come back, and not that what it asks for is not there."""
    path = new_database(tmp_path)
    async with replaying(CHAT_ANSWER) as upstream, talking(database=path, lab=upstream.openai) as (client, _):
        first = await client.responses.create(model="lab/m", input="My name is Wang.")
        with contextlib.closing(sqlite3.connect(path)) as database:
            database.execute("ALTER TABLE responses RENAME TO elsewhere")
        for asking in (
            client.responses.retrieve(first.id),
            client.responses.delete(first.id),
            client.responses.input_items.list(first.id),
            client.responses.create(model="lab/m", input="Who am I?", previous_response_id=first.id),
        ):
            with pytest.raises(openai.InternalServerError) as refused:
                await asking
            assert (refused.value.status_code, refused.value.response.headers["retry-after"]) == (503, "1")
        assert len(upstream.requests) == 1
