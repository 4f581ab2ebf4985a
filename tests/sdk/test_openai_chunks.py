"""The exact chunks of an OpenAI stream, as bytes on the wire, whatever the provider speaks."""

import json
import re
from typing import Any

import aiohttp
import pytest

from tests.sdk.running import model
from tests.serving import KEY

pytestmark = pytest.mark.anyio

POEM_BEGINS = "Autumn at the Sluice"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def lines_of(gateway: str, **fields: Any) -> list[str]:
    """Return the payloads of a stream, and check that it holds nothing but `data:` lines, each an event."""
    body = {"stream": True, "messages": [{"role": "user", "content": "hi"}], **fields}
    async with aiohttp.ClientSession() as session:
        response = await session.post(
            f"{gateway}/v1/chat/completions", json=body, headers={"authorization": f"Bearer {KEY}"}
        )
        assert response.status == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        text = await response.text("utf-8")
    assert re.fullmatch(r"(data: [^\n]+\n\n)+", text)
    return [event.removeprefix("data: ") for event in text.split("\n\n")[:-1]]


async def drain(response: aiohttp.ClientResponse, into: bytearray) -> None:
    async for chunk in response.content.iter_any():
        into += chunk


def choice_of(payload: str) -> dict[str, Any]:
    [choice] = json.loads(payload)["choices"]
    return choice


@pytest.mark.covers("T4", "T23", "P23", "P66", "P69", "P102")
async def test_a_stream_is_a_role_the_content_a_finish_and_done(gateway: str, provider: str):
    role, *content, finish, done = await lines_of(gateway, model=model(provider, "poet"))
    assert choice_of(role)["delta"] == {"role": "assistant", "content": ""}
    assert all(list(choice_of(payload)["delta"]) == ["content"] for payload in content)
    assert all(choice_of(payload)["delta"]["content"] for payload in content)
    assert "".join(choice_of(payload)["delta"]["content"] for payload in content).startswith(POEM_BEGINS)
    assert [choice_of(payload)["finish_reason"] for payload in (role, *content)] == [None] * (1 + len(content))
    assert (choice_of(finish)["delta"], choice_of(finish)["finish_reason"]) == ({}, "stop")
    assert done == "[DONE]"
    chunks = [json.loads(payload) for payload in (role, *content, finish)]
    for constant in ("id", "object", "created", "model"):
        assert len({chunk[constant] for chunk in chunks}) == 1
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert {chunk["choices"][0]["index"] for chunk in chunks} == {0}
    assert not any(chunk.get("usage") for chunk in chunks)


@pytest.mark.covers("T2", "T4", "P66")
async def test_usage_comes_once_between_finish_and_done_if_asked_for(gateway: str, provider: str):
    payloads = await lines_of(gateway, model=model(provider, "poet"), stream_options={"include_usage": True})
    *before, finish, usage, done = payloads
    assert choice_of(finish)["finish_reason"] == "stop"
    assert json.loads(usage)["choices"] == []
    counted = json.loads(usage)["usage"]
    assert counted["completion_tokens"] > 50
    assert counted["total_tokens"] == counted["prompt_tokens"] + counted["completion_tokens"]
    assert done == "[DONE]"
    assert not any(json.loads(payload).get("usage") for payload in (*before, finish))


@pytest.mark.covers("T4")
async def test_usage_stays_away_if_it_is_declined(gateway: str, provider: str):
    payloads = await lines_of(gateway, model=model(provider, "poet"), stream_options={"include_usage": False})
    assert all(len(json.loads(payload)["choices"]) == 1 for payload in payloads[:-1])
    assert not any(json.loads(payload).get("usage") for payload in payloads[:-1])


@pytest.mark.covers("T17", "T20", "P71", "P97")
async def test_a_call_is_its_head_then_its_arguments(gateway: str, provider: str):
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    tools = [{"type": "function", "function": {"name": "get_weather", "parameters": schema}}]
    role, *calls, finish, done = await lines_of(gateway, model=model(provider, "tools"), tools=tools)
    assert choice_of(role)["delta"]["role"] == "assistant"
    [head], *fragments = [choice_of(payload)["delta"]["tool_calls"] for payload in calls]
    assert head.pop("id")
    assert head == {"index": 0, "type": "function", "function": {"name": "get_weather", "arguments": ""}}
    assert all(set(fragment) == {"index", "function"} for [fragment] in fragments)
    assert json.loads("".join(fragment["function"]["arguments"] for [fragment] in fragments)) == {"city": "Paris"}
    assert (choice_of(finish)["delta"], choice_of(finish)["finish_reason"]) == ({}, "tool_calls")
    assert done == "[DONE]"


@pytest.mark.covers("T11", "T12", "P109")
@pytest.mark.parametrize("fault", ["cut", "end", "error-mid"])
async def test_a_stream_that_breaks_ends_in_an_error_and_an_incomplete_body(gateway: str, provider: str, fault: str):
    body = {
        "stream": True,
        "messages": [{"role": "user", "content": "hi"}],
        "model": model(provider, "poet", fault=fault),
    }
    received = bytearray()
    async with aiohttp.ClientSession() as session:
        response = await session.post(
            f"{gateway}/v1/chat/completions", json=body, headers={"authorization": f"Bearer {KEY}"}
        )
        with pytest.raises(aiohttp.ClientPayloadError):
            await drain(response, received)
    *before, last = received.decode().removesuffix("\n\n").split("\n\n")
    assert set(json.loads(last.removeprefix("data: "))["error"]) == {"message", "type", "param", "code"}
    assert b"[DONE]" not in received
    assert all(choice_of(payload.removeprefix("data: "))["finish_reason"] is None for payload in before)
