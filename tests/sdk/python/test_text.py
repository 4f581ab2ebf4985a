"""The vendors' own first examples, with only address, key and model changed, whatever the provider speaks."""

import anthropic
import openai
import pytest
from google import genai

from tests.sdk.running import model

POEM = "写一首关于秋天的短诗"


def test_openai_streams_chunks(chat: openai.OpenAI, provider: str):
    stream = chat.chat.completions.create(
        model=model(provider, "poet"),
        messages=[{"role": "user", "content": POEM}],
        stream=True,
    )
    text = ""
    for chunk in stream:
        text += chunk.choices[0].delta.content or ""
    assert text.startswith("《秋水》")


@pytest.mark.anyio
async def test_openai_streams_chunks_to_its_async_client(async_chat: openai.AsyncOpenAI, provider: str):
    stream = await async_chat.chat.completions.create(
        model=model(provider, "poet"),
        messages=[{"role": "user", "content": POEM}],
        stream=True,
        stream_options={"include_usage": True},
    )
    text, usage = "", None
    async for chunk in stream:
        if chunk.choices:
            text += chunk.choices[0].delta.content or ""
        usage = chunk.usage or usage
    assert text.startswith("《秋水》")
    assert usage is not None
    assert usage.completion_tokens > 50


@pytest.mark.covers("T23", "P70")
def test_openai_stream_helper_accumulates_the_whole_answer(chat: openai.OpenAI, provider: str):
    with chat.chat.completions.stream(
        model=model(provider, "poet"),
        messages=[{"role": "system", "content": "Be brief."}, {"role": "user", "content": POEM}],
    ) as stream:
        text = "".join(event.delta for event in stream if event.type == "content.delta")
        final = stream.get_final_completion()
    assert text.startswith("《秋水》")
    assert final.choices[0].message.content == text
    assert final.choices[0].message.role == "assistant"
    assert final.choices[0].finish_reason == "stop"


def test_openai_creates_a_whole_answer(chat: openai.OpenAI, provider: str):
    completion = chat.chat.completions.create(
        model=model(provider, "poet"), messages=[{"role": "user", "content": POEM}]
    )
    assert completion.object == "chat.completion"
    assert completion.choices[0].message.content.startswith("《秋水》")
    assert completion.choices[0].finish_reason == "stop"


def test_anthropic_streams_text(messages: anthropic.Anthropic, provider: str):
    with messages.messages.stream(
        model=model(provider, "poet"), max_tokens=1024, messages=[{"role": "user", "content": POEM}]
    ) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    assert text.startswith("《秋水》")
    assert [block.text for block in final.content] == [text]
    assert final.stop_reason == "end_turn"


@pytest.mark.anyio
async def test_anthropic_streams_text_to_its_async_client(async_messages: anthropic.AsyncAnthropic, provider: str):
    async with async_messages.messages.stream(
        model=model(provider, "poet"), max_tokens=1024, messages=[{"role": "user", "content": POEM}]
    ) as stream:
        text = "".join([piece async for piece in stream.text_stream])
        final = await stream.get_final_message()
    assert text.startswith("《秋水》")
    assert [block.text for block in final.content] == [text]


def test_anthropic_streams_raw_events(messages: anthropic.Anthropic, provider: str):
    stream = messages.messages.create(
        model=model(provider, "poet"), max_tokens=1024, messages=[{"role": "user", "content": POEM}], stream=True
    )
    types = [event.type for event in stream]
    # The SDK hands `ping` on, and a provider may send any number of them.
    deltas = [kind for kind in types if kind != "ping"]
    assert deltas[:2] == ["message_start", "content_block_start"]
    assert deltas[-3:] == ["content_block_stop", "message_delta", "message_stop"]
    assert set(deltas[2:-3]) == {"content_block_delta"}


def test_anthropic_creates_a_whole_answer(messages: anthropic.Anthropic, provider: str):
    message = messages.messages.create(
        model=model(provider, "poet"),
        max_tokens=1024,
        system="Be brief.",
        messages=[{"role": "user", "content": POEM}],
    )
    assert message.content[0].text.startswith("《秋水》")
    assert message.stop_reason == "end_turn"


def test_google_streams_chunks(gemini: genai.Client, provider: str):
    text = ""
    for chunk in gemini.models.generate_content_stream(model=model(provider, "poet"), contents=POEM):
        text += chunk.text or ""
    assert text.startswith("《秋水》")


@pytest.mark.anyio
async def test_google_streams_chunks_to_its_async_client(async_gemini: genai.client.AsyncClient, provider: str):
    text = ""
    async for chunk in await async_gemini.models.generate_content_stream(model=model(provider, "poet"), contents=POEM):
        text += chunk.text or ""
    assert text.startswith("《秋水》")


def test_google_generates_a_whole_answer(gemini: genai.Client, provider: str):
    response = gemini.models.generate_content(model=model(provider, "poet"), contents=POEM)
    assert response.text.startswith("《秋水》")
    assert response.candidates[0].finish_reason == "STOP"


@pytest.mark.covers("P40")
def test_google_chat_keeps_its_history(gemini: genai.Client, provider: str):
    talk = gemini.chats.create(model=model(provider, "echo"))
    first = "".join(chunk.text or "" for chunk in talk.send_message_stream("The first thing I say, in many words."))
    second = talk.send_message("The second thing.")
    assert first == "The first thing I say, in many words."
    assert second.text == "The second thing."
    curated = talk.get_history(curated=True)
    assert [content.role for content in curated if content.role == "user"] == ["user", "user"]
    spoken = "".join(part.text or "" for content in curated if content.role == "model" for part in content.parts)
    assert spoken == f"{first}{second.text}"


def test_a_turn_limited_in_tokens_says_so_in_each_sdk(
    chat: openai.OpenAI, messages: anthropic.Anthropic, gemini: genai.Client, provider: str
):
    poet = model(provider, "poet")
    question = [{"role": "user", "content": POEM}]
    completion = chat.chat.completions.create(model=poet, messages=question, max_tokens=5)
    message = messages.messages.create(model=poet, messages=question, max_tokens=5)
    response = gemini.models.generate_content(model=poet, contents=POEM, config={"max_output_tokens": 5})
    assert completion.choices[0].finish_reason == "length"
    assert message.stop_reason == "max_tokens"
    assert response.candidates[0].finish_reason == "MAX_TOKENS"
