"""The official SDKs talk to the simulator as to their own provider, and their signatures make the round trip."""

from collections.abc import AsyncIterator

import anthropic
import openai
import pytest
from google import genai
from google.genai import types

from penstock.simulator.samples import COMMAND
from tests.simulator.talking import SHELL, Talker

pytestmark = pytest.mark.anyio

POEM = "写一首关于秋天的短诗"


@pytest.fixture
async def chat(simulator: Talker) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=f"{simulator.address}/v1", api_key="none", max_retries=0) as client:
        yield client


@pytest.fixture
async def messages(simulator: Talker) -> AsyncIterator[anthropic.AsyncAnthropic]:
    async with anthropic.AsyncAnthropic(base_url=simulator.address, api_key="none", max_retries=0) as client:
        yield client


@pytest.fixture
async def gemini(simulator: Talker) -> AsyncIterator[genai.Client]:
    client = genai.Client(api_key="none", http_options=types.HttpOptions(base_url=simulator.address))
    yield client
    await client.aio.aclose()
    client.close()


async def test_openai_streams_a_poem(chat: openai.AsyncOpenAI):
    text, usage = "", None
    stream = await chat.chat.completions.create(
        model="poet",
        messages=[{"role": "user", "content": POEM}],
        stream=True,
        stream_options={"include_usage": True},
    )
    async for chunk in stream:
        text += (chunk.choices[0].delta.content or "") if chunk.choices else ""
        usage = chunk.usage or usage
    assert "秋水" in text
    assert usage is not None
    assert usage.completion_tokens > 50


async def test_openai_calls_a_tool_and_gives_its_result_back(chat: openai.AsyncOpenAI):
    tool = {"type": "function", "function": {"name": "shell", "parameters": SHELL}}
    question = {"role": "user", "content": "go"}
    first = await chat.chat.completions.create(model="thinker", messages=[question], tools=[tool])
    message = first.choices[0].message
    call = message.tool_calls[0]
    assert first.choices[0].finish_reason == "tool_calls"
    assert COMMAND in call.function.arguments
    result = {"role": "tool", "tool_call_id": call.id, "content": "hello"}
    second = await chat.chat.completions.create(
        model="thinker", messages=[question, message.model_dump(exclude_none=True), result], tools=[tool]
    )
    assert "answered: hello" in second.choices[0].message.content
    assert "signature intact" in second.choices[0].message.content


async def test_openai_raises_what_the_simulator_is_told_to_do(chat: openai.AsyncOpenAI):
    with pytest.raises(openai.RateLimitError):
        await chat.chat.completions.create(
            model="poet@fault=error-before,status=429", messages=[{"role": "user", "content": "x"}]
        )


async def test_anthropic_streams_a_poem(messages: anthropic.AsyncAnthropic):
    async with messages.messages.stream(
        model="poet", max_tokens=1000, messages=[{"role": "user", "content": POEM}]
    ) as stream:
        text = "".join([piece async for piece in stream.text_stream])
        final = await stream.get_final_message()
    assert "秋水" in text
    assert final.stop_reason == "end_turn"
    assert final.usage.output_tokens > 50


@pytest.mark.covers("T21")
async def test_anthropic_brings_a_signature_back(messages: anthropic.AsyncAnthropic):
    tool = {"name": "shell", "input_schema": SHELL}
    question = {"role": "user", "content": "go"}
    async with messages.messages.stream(model="thinker", max_tokens=1000, messages=[question], tools=[tool]) as stream:
        first = await stream.get_final_message()
    thinking, call = first.content
    assert (thinking.type, call.type, call.input) == ("thinking", "tool_use", {"command": COMMAND})
    history = [question, {"role": "assistant", "content": [block.model_dump() for block in first.content]}]
    result = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call.id, "content": "hello"}]}
    second = await messages.messages.create(model="thinker", max_tokens=1000, messages=[*history, result], tools=[tool])
    assert "signature intact" in second.content[-1].text
    history[1]["content"][0]["signature"] = "A" + thinking.signature[1:]
    with pytest.raises(anthropic.BadRequestError, match=r"messages\[1\].content\[0\].signature"):
        await messages.messages.create(model="thinker", max_tokens=1000, messages=[*history, result], tools=[tool])


async def test_anthropic_raises_an_error_in_the_middle(messages: anthropic.AsyncAnthropic):
    with pytest.raises(anthropic.APIStatusError) as caught:
        async with messages.messages.stream(
            model="poet@fault=error-mid", max_tokens=1000, messages=[{"role": "user", "content": POEM}]
        ) as stream:
            await stream.get_final_message()
    assert caught.value.type == "overloaded_error"


async def test_google_streams_a_poem(gemini: genai.Client):
    text, usage = "", None
    async for chunk in await gemini.aio.models.generate_content_stream(model="poet", contents=POEM):
        text += chunk.text or ""
        usage = chunk.usage_metadata
    assert "秋水" in text
    assert usage is not None
    assert usage.candidates_token_count > 50


@pytest.mark.covers("T21", "P40")
async def test_google_chats_bring_a_signature_back(gemini: genai.Client):
    talk = gemini.aio.chats.create(model="thinker")
    async for _ in await talk.send_message_stream("why?"):
        pass
    second = await talk.send_message("and now?")
    assert "signature intact" in second.text


async def test_google_calls_a_function_by_itself_and_gives_its_result_back(gemini: genai.Client):
    async def shell(command: str) -> str:
        """Run a command."""
        return f"ran {command}"

    config = types.GenerateContentConfig(tools=[shell])
    answer = await gemini.aio.models.generate_content(model="tools", contents="go", config=config)
    assert f"ran {COMMAND}" in answer.text


async def test_google_reaches_faults_through_the_model_name(gemini: genai.Client):
    with pytest.raises(genai.errors.ServerError):
        await gemini.aio.models.generate_content(model="poet@gap=0.01,fault=error-before,status=503", contents="x")
