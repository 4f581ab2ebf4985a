"""Images in, JSON of a schema out, and the same usage streamed or not."""

import base64
from typing import Any

import anthropic
import openai
import pydantic
import pytest
from google import genai
from google.genai import types

from tests.sdk.running import model

PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
SEEN = f"[image image/png, {len(PIXEL)} bytes]"
URL = "https://example.com/leaf.png"


class Weather(pydantic.BaseModel):
    city: str
    degrees: int


@pytest.mark.covers("P60")
def test_openai_sends_an_image_as_a_data_url(chat: openai.OpenAI, provider: str):
    url = f"data:image/png;base64,{base64.b64encode(PIXEL).decode()}"
    content = [{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": url}}]
    completion = chat.chat.completions.create(
        model=model(provider, "echo"), messages=[{"role": "user", "content": content}]
    )
    assert completion.choices[0].message.content == f"What is this?\n{SEEN}"


def test_anthropic_sends_an_image_in_base64(messages: anthropic.Anthropic, provider: str):
    source = {"type": "base64", "media_type": "image/png", "data": base64.b64encode(PIXEL).decode()}
    content = [{"type": "image", "source": source}, {"type": "text", "text": "What is this?"}]
    message = messages.messages.create(
        model=model(provider, "echo"), max_tokens=100, messages=[{"role": "user", "content": content}]
    )
    assert message.content[0].text == f"{SEEN}\nWhat is this?"


@pytest.mark.covers("P35")
def test_google_sends_an_image_from_bytes(gemini: genai.Client, provider: str):
    contents = [types.Part.from_bytes(data=PIXEL, mime_type="image/png"), "What is this?"]
    response = gemini.models.generate_content(model=model(provider, "echo"), contents=contents)
    assert response.text == f"{SEEN}\nWhat is this?"


def test_an_image_is_named_by_url(
    chat: openai.OpenAI, messages: anthropic.Anthropic, gemini: genai.Client, provider: str
):
    echo = model(provider, "echo")
    in_chat = [{"type": "image_url", "image_url": {"url": URL}}]
    in_messages = [{"type": "image", "source": {"type": "url", "url": URL}}]
    in_gemini = [types.Part.from_uri(file_uri=URL, mime_type="image/png")]
    completion = chat.chat.completions.create(model=echo, messages=[{"role": "user", "content": in_chat}])
    message = messages.messages.create(model=echo, max_tokens=100, messages=[{"role": "user", "content": in_messages}])
    response = gemini.models.generate_content(model=echo, contents=in_gemini)
    for said in (completion.choices[0].message.content, message.content[0].text, response.text):
        assert said.startswith("[image")
        assert said.endswith(f"at {URL}]")


def test_openai_parses_an_answer_into_a_model(chat: openai.OpenAI, provider: str):
    completion = chat.chat.completions.parse(
        model=model(provider, "poet"), messages=[{"role": "user", "content": "Weather?"}], response_format=Weather
    )
    assert completion.choices[0].message.parsed == Weather(
        city="Paris", degrees=completion.choices[0].message.parsed.degrees
    )


def test_openai_parses_a_stream_into_a_model(chat: openai.OpenAI, provider: str):
    with chat.chat.completions.stream(
        model=model(provider, "poet"), messages=[{"role": "user", "content": "Weather?"}], response_format=Weather
    ) as stream:
        assert stream.get_final_completion().choices[0].message.parsed.city == "Paris"


def test_anthropic_parses_an_answer_into_a_model(messages: anthropic.Anthropic, provider: str):
    message = messages.messages.parse(
        model=model(provider, "poet"),
        max_tokens=100,
        messages=[{"role": "user", "content": "Weather?"}],
        output_format=Weather,
    )
    assert message.parsed_output.city == "Paris"


def test_anthropic_streams_an_answer_of_a_schema(messages: anthropic.Anthropic, provider: str):
    schema = {**Weather.model_json_schema(), "additionalProperties": False}
    with messages.messages.stream(
        model=model(provider, "poet"),
        max_tokens=100,
        messages=[{"role": "user", "content": "Weather?"}],
        output_config={"format": {"type": "json_schema", "schema": schema}},
    ) as stream:
        assert Weather.model_validate_json(stream.get_final_text()).city == "Paris"


@pytest.mark.covers("P36", "P37")
def test_google_parses_an_answer_into_a_model(gemini: genai.Client, provider: str):
    response = gemini.models.generate_content(
        model=model(provider, "poet"),
        contents="Weather?",
        config=types.GenerateContentConfig(response_mime_type="application/json", response_schema=Weather),
    )
    assert response.parsed.city == "Paris"


QUESTION: list[Any] = [{"role": "user", "content": "写一首关于秋天的短诗"}]
CACHED = {"cache_read": 3}


@pytest.mark.covers("T1", "T2", "T33", "P66")
def test_openai_counts_the_same_tokens_streamed_or_not(chat: openai.OpenAI, provider: str):
    poet = model(provider, "poet", **CACHED)
    whole = chat.chat.completions.create(model=poet, messages=QUESTION).usage
    with chat.chat.completions.stream(model=poet, messages=QUESTION, stream_options={"include_usage": True}) as stream:
        streamed = stream.get_final_completion().usage
    assert streamed == whole
    assert (whole.prompt_tokens_details.cached_tokens, whole.prompt_tokens > 3) == (3, True)
    assert whole.total_tokens == whole.prompt_tokens + whole.completion_tokens


@pytest.mark.covers("T1", "T3", "T33", "P93")
def test_anthropic_counts_the_same_tokens_streamed_or_not(messages: anthropic.Anthropic, provider: str):
    poet = model(provider, "poet", **CACHED)
    whole = messages.messages.create(model=poet, max_tokens=1024, messages=QUESTION).usage
    with messages.messages.stream(model=poet, max_tokens=1024, messages=QUESTION) as stream:
        streamed = stream.get_final_message().usage
    counters = ("input_tokens", "cache_read_input_tokens", "output_tokens")
    assert [getattr(streamed, name) for name in counters] == [getattr(whole, name) for name in counters]
    assert (whole.cache_read_input_tokens, whole.input_tokens > 0) == (3, True)


@pytest.mark.covers("T33", "P86", "P94")
def test_google_counts_the_same_tokens_streamed_or_not(gemini: genai.Client, provider: str):
    poet = model(provider, "poet", **CACHED)
    contents = QUESTION[0]["content"]
    whole = gemini.models.generate_content(model=poet, contents=contents).usage_metadata
    *_, last = gemini.models.generate_content_stream(model=poet, contents=contents)
    assert last.usage_metadata == whole
    assert whole.cached_content_token_count == 3
    assert whole.total_token_count == whole.prompt_token_count + whole.candidates_token_count


@pytest.mark.covers("T33")
def test_all_sdks_are_told_the_same_usage_of_a_thinking_model(
    chat: openai.OpenAI, messages: anthropic.Anthropic, gemini: genai.Client, provider: str
):
    thinker = model(provider, "thinker")
    hello: list[Any] = [{"role": "user", "content": "hello"}]
    in_chat = chat.chat.completions.create(model=thinker, messages=hello).usage
    in_messages = messages.messages.create(model=thinker, max_tokens=4096, messages=hello).usage
    in_gemini = gemini.models.generate_content(model=thinker, contents="hello").usage_metadata
    reasoning = in_chat.completion_tokens_details.reasoning_tokens
    assert reasoning > 0
    assert in_gemini.thoughts_token_count == reasoning
    assert in_chat.prompt_tokens == in_messages.input_tokens == in_gemini.prompt_token_count
    assert (
        in_chat.completion_tokens
        == in_messages.output_tokens
        == in_gemini.candidates_token_count + in_gemini.thoughts_token_count
    )
