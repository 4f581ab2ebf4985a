"""Whatever goes wrong, each SDK raises its own exception; no break is taken for an end."""

from collections.abc import Callable
from typing import Any

import anthropic
import openai
import pytest
from google import genai

from tests.sdk.running import model
from tests.serving import KEY

QUESTION: list[Any] = [{"role": "user", "content": "hi"}]

# Status that the provider answers -> what the OpenAI and the Anthropic SDK raise, and the status that they are told.
STATUSES = [
    (400, openai.BadRequestError, anthropic.BadRequestError, 400),
    (429, openai.RateLimitError, anthropic.RateLimitError, 429),
    (500, openai.InternalServerError, anthropic.InternalServerError, None),
    (503, openai.InternalServerError, anthropic.InternalServerError, None),
    (504, openai.InternalServerError, anthropic.GatewayTimeoutError, 504),
    (529, openai.InternalServerError, anthropic.OverloadedError, None),
]


@pytest.mark.covers("T31", "P107")
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("status", "raised", "_", "told"), STATUSES)
def test_openai_raises_an_error_before_the_first_token(
    chat: openai.OpenAI,
    provider: str,
    stream: bool,
    status: int,
    raised: type[openai.APIStatusError],
    _: type,
    told: int | None,
):
    poet = model(provider, "poet", fault="error-before", status=status)
    with pytest.raises(raised) as caught:
        chat.chat.completions.create(model=poet, messages=QUESTION, stream=stream)
    assert told is None or caught.value.status_code == told
    assert f"status {status}" in caught.value.message


@pytest.mark.covers("T31", "P107")
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("status", "_", "raised", "told"), STATUSES)
def test_anthropic_raises_an_error_before_the_first_token(
    messages: anthropic.Anthropic,
    provider: str,
    stream: bool,
    status: int,
    _: type,
    raised: type[anthropic.APIStatusError],
    told: int | None,
):
    poet = model(provider, "poet", fault="error-before", status=status)
    with pytest.raises(raised) as caught:
        messages.messages.create(model=poet, max_tokens=100, messages=QUESTION, stream=stream)
    assert told is None or caught.value.status_code == told
    assert f"status {status}" in caught.value.message


@pytest.mark.covers("T31", "P107")
@pytest.mark.parametrize(
    ("status", "raised", "told"),
    [(400, "ClientError", 400), (429, "ClientError", 429), (503, "ServerError", 503), (529, "ServerError", 503)],
)
def test_google_raises_an_error_before_the_first_token(
    gemini: genai.Client, provider: str, status: int, raised: str, told: int
):
    poet = model(provider, "poet", fault="error-before", status=status)
    for call in (_gemini_whole, _gemini_stream):
        with pytest.raises(getattr(genai.errors, raised)) as caught:
            call(gemini, poet)
        assert caught.value.code == told
        assert f"status {status}" in caught.value.message


@pytest.mark.covers("T10", "P15")
def test_an_error_with_status_200_is_raised_all_the_same(
    chat: openai.OpenAI, messages: anthropic.Anthropic, gemini: genai.Client, provider: str
):
    poet = model(provider, "poet", fault="error-200")
    for call in (_chat_whole, _chat_stream):
        with pytest.raises(openai.APIStatusError) as in_chat:
            call(chat, poet)
        assert in_chat.value.status_code >= 500
    for call in (_messages_whole, _messages_stream):
        with pytest.raises(anthropic.APIStatusError) as in_messages:
            call(messages, poet)
        assert in_messages.value.status_code >= 500
    for call in (_gemini_whole, _gemini_stream):
        with pytest.raises(genai.errors.ServerError):
            call(gemini, poet)


def _chat_whole(client: openai.OpenAI, name: str) -> str:
    return client.chat.completions.create(model=name, messages=QUESTION).choices[0].message.content


def _chat_stream(client: openai.OpenAI, name: str) -> str:
    stream = client.chat.completions.create(model=name, messages=QUESTION, stream=True)
    return "".join(chunk.choices[0].delta.content or "" for chunk in stream)


def _chat_helper(client: openai.OpenAI, name: str) -> str:
    with client.chat.completions.stream(model=name, messages=QUESTION) as stream:
        return stream.get_final_completion().choices[0].message.content


def _messages_whole(client: anthropic.Anthropic, name: str) -> str:
    return client.messages.create(model=name, max_tokens=1024, messages=QUESTION).content[0].text


def _messages_stream(client: anthropic.Anthropic, name: str) -> str:
    stream = client.messages.create(model=name, max_tokens=1024, messages=QUESTION, stream=True)
    return "".join(event.delta.text for event in stream if event.type == "content_block_delta")


def _messages_helper(client: anthropic.Anthropic, name: str) -> str:
    with client.messages.stream(model=name, max_tokens=1024, messages=QUESTION) as stream:
        return stream.get_final_text()


def _gemini_whole(client: genai.Client, name: str) -> str:
    return client.models.generate_content(model=name, contents="hi").text


def _gemini_stream(client: genai.Client, name: str) -> str:
    return "".join(chunk.text or "" for chunk in client.models.generate_content_stream(model=name, contents="hi"))


def _gemini_chat(client: genai.Client, name: str) -> str:
    return "".join(chunk.text or "" for chunk in client.chats.create(model=name).send_message_stream("hi"))


@pytest.mark.covers("T11", "P109")
@pytest.mark.parametrize("call", [_chat_stream, _chat_helper])
def test_openai_raises_an_error_in_the_middle(chat: openai.OpenAI, provider: str, call: Callable[..., str]):
    with pytest.raises(openai.APIError, match="asked to fail in the middle"):
        call(chat, model(provider, "poet", fault="error-mid"))


@pytest.mark.covers("T11", "P109")
@pytest.mark.parametrize("call", [_messages_stream, _messages_helper])
def test_anthropic_raises_an_error_in_the_middle(
    messages: anthropic.Anthropic, provider: str, call: Callable[..., str]
):
    with pytest.raises(anthropic.APIStatusError, match="asked to fail in the middle") as caught:
        call(messages, model(provider, "poet", fault="error-mid"))
    assert caught.value.type == "overloaded_error"


@pytest.mark.covers("T11", "P109", "P117")
@pytest.mark.parametrize("call", [_gemini_stream, _gemini_chat])
def test_google_raises_an_error_in_the_middle(gemini: genai.Client, provider: str, call: Callable[..., str]):
    with pytest.raises(genai.errors.ServerError, match="asked to fail in the middle") as caught:
        call(gemini, model(provider, "poet", fault="error-mid"))
    assert caught.value.code == 503


BREAKS = pytest.mark.parametrize("fault", ["cut", "end"])


@BREAKS
@pytest.mark.covers("T12", "P110")
@pytest.mark.parametrize("call", [_chat_whole, _chat_stream, _chat_helper])
def test_openai_raises_if_the_answer_breaks_off(
    chat: openai.OpenAI, provider: str, fault: str, call: Callable[..., str]
):
    with pytest.raises(openai.APIError):
        call(chat, model(provider, "poet", fault=fault))


@BREAKS
@pytest.mark.covers("T12", "P110")
@pytest.mark.parametrize("call", [_messages_whole, _messages_stream, _messages_helper])
def test_anthropic_raises_if_the_answer_breaks_off(
    messages: anthropic.Anthropic, provider: str, fault: str, call: Callable[..., str]
):
    with pytest.raises(anthropic.APIStatusError):
        call(messages, model(provider, "poet", fault=fault))


@BREAKS
@pytest.mark.covers("T12", "P110")
@pytest.mark.parametrize("call", [_gemini_whole, _gemini_stream, _gemini_chat])
def test_google_raises_if_the_answer_breaks_off(
    gemini: genai.Client, provider: str, fault: str, call: Callable[..., str]
):
    with pytest.raises(genai.errors.ServerError):
        call(gemini, model(provider, "poet", fault=fault))


@BREAKS
@pytest.mark.anyio
@pytest.mark.covers("T12", "P110")
async def test_the_async_clients_raise_if_the_answer_breaks_off(
    async_chat: openai.AsyncOpenAI,
    async_messages: anthropic.AsyncAnthropic,
    async_gemini: genai.client.AsyncClient,
    provider: str,
    fault: str,
):
    poet = model(provider, "poet", fault=fault)
    with pytest.raises(openai.APIError):
        async for _ in await async_chat.chat.completions.create(model=poet, messages=QUESTION, stream=True):
            pass
    with pytest.raises(anthropic.APIStatusError):
        async with async_messages.messages.stream(model=poet, max_tokens=1024, messages=QUESTION) as stream:
            await stream.get_final_message()
    with pytest.raises(genai.errors.ServerError):
        async for _ in await async_gemini.models.generate_content_stream(model=poet, contents="hi"):
            pass


@pytest.mark.covers("T12", "P111")
@pytest.mark.parametrize("fault", ["cut", "end", "error-mid"])
def test_a_call_that_breaks_off_inside_its_arguments_is_raised(
    chat: openai.OpenAI, messages: anthropic.Anthropic, provider: str, fault: str
):
    tools = model(provider, "tools", fault=fault, fault_at=1)
    schema = {"type": "object", "properties": {"command": {"type": "string"}}}
    with pytest.raises(openai.APIError):
        with chat.chat.completions.stream(
            model=tools,
            messages=QUESTION,
            tools=[{"type": "function", "function": {"name": "shell", "parameters": schema}}],
        ) as in_chat:
            in_chat.get_final_completion()
    with pytest.raises(anthropic.APIStatusError):
        with messages.messages.stream(
            model=tools, max_tokens=1024, messages=QUESTION, tools=[{"name": "shell", "input_schema": schema}]
        ) as in_messages:
            in_messages.get_final_message()


@pytest.mark.covers("T13", "P8")
def test_an_answer_that_only_lacks_the_last_word_is_whole(
    chat: openai.OpenAI, messages: anthropic.Anthropic, gemini: genai.Client, provider: str
):
    poet = model(provider, "poet", fault="no-done")
    for text in (_chat_helper(chat, poet), _messages_helper(messages, poet), _gemini_chat(gemini, poet)):
        assert text.startswith("Autumn at the Sluice")
        assert text.rstrip().endswith("No model wrote it.)")


@pytest.mark.covers("T6", "P95")
def test_an_answer_without_usage_is_whole(
    chat: openai.OpenAI, messages: anthropic.Anthropic, gemini: genai.Client, provider: str
):
    poet = model(provider, "poet", fault="no-usage")
    for text in (_chat_helper(chat, poet), _messages_helper(messages, poet), _gemini_chat(gemini, poet)):
        assert text.startswith("Autumn at the Sluice")


def test_a_model_that_is_not_there_is_not_found(
    chat: openai.OpenAI, messages: anthropic.Anthropic, gemini: genai.Client
):
    with pytest.raises(openai.NotFoundError, match="demo/poet") as caught:
        _chat_stream(chat, "demo/pot")
    assert caught.value.code == "model_not_found"
    with pytest.raises(anthropic.NotFoundError, match="demo/poet"):
        _messages_stream(messages, "demo/pot")
    with pytest.raises(genai.errors.ClientError, match="demo/poet") as in_gemini:
        _gemini_stream(gemini, "demo/pot")
    assert in_gemini.value.code == 404


def test_a_wrong_key_is_refused(gateway: str):
    with openai.OpenAI(base_url=f"{gateway}/v1", api_key="wrong", max_retries=0) as chat:
        with pytest.raises(openai.AuthenticationError) as caught:
            _chat_stream(chat, "demo/poet")
    assert caught.value.code == "invalid_api_key"
    with anthropic.Anthropic(base_url=f"{gateway}/anthropic", api_key="wrong", max_retries=0) as messages:
        with pytest.raises(anthropic.AuthenticationError):
            _messages_stream(messages, "demo/poet")
    gemini = genai.Client(api_key="wrong", http_options={"base_url": gateway})
    with pytest.raises(genai.errors.ClientError) as in_gemini:
        _gemini_stream(gemini, "demo/poet")
    assert in_gemini.value.code == 401
    gemini.close()


@pytest.mark.covers("P57")
def test_what_a_provider_cannot_do_is_refused_by_name(chat: openai.OpenAI):
    with pytest.raises(openai.BadRequestError) as caught:
        chat.chat.completions.create(model="demo-anthropic/poet", messages=QUESTION, n=2)
    assert caught.value.param == "n"


@pytest.mark.promise("4.13")
def test_the_sdks_of_two_vendors_do_not_repeat_what_the_gateway_has_tried(gateway: str):
    """An error before the first token is an HTTP status, and says that trying again was tried."""
    name = model("demo-anthropic", "poet", fault="error-before", status=503)
    with openai.OpenAI(base_url=f"{gateway}/v1", api_key=KEY, max_retries=1) as chat:
        with pytest.raises(openai.InternalServerError) as caught:
            _chat_stream(chat, name)
    assert caught.value.response.request.headers["x-stainless-retry-count"] == "0"
