"""The Responses API of the official OpenAI SDK, as its documentation uses it, whatever the provider speaks."""

import base64
import itertools
import json
from collections.abc import Callable
from typing import Any

import openai
import pydantic
import pytest
from openai.types.responses import Response

from penstock.simulator.samples import COMMAND
from tests.sdk.running import DEMO_PROVIDERS, model

POEM = "Autumn at the Sluice"
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
WEATHER: dict[str, Any] = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
SHELL: dict[str, Any] = {"type": "object", "properties": {"command": {"type": "string"}}, "required": ["command"]}
TOOLS: Any = [
    {"type": "function", "name": "get_weather", "description": "Weather.", "parameters": WEATHER, "strict": False},
    {"type": "function", "name": "shell", "description": "Run a command.", "parameters": SHELL, "strict": False},
]
TWO = "Use both tools at once: get_weather and the other."
RESULTS = {"get_weather": "sunny", "shell": "hello"}

Call = Callable[[openai.OpenAI, str], str]


class Weather(pydantic.BaseModel):
    city: str
    degrees: int


def _whole(client: openai.OpenAI, name: str) -> str:
    return client.responses.create(model=name, input="hi").output_text


def _stream(client: openai.OpenAI, name: str) -> str:
    stream = client.responses.create(model=name, input="hi", stream=True)
    return "".join(event.delta for event in stream if event.type == "response.output_text.delta")


def _helped(client: openai.OpenAI, name: str, **asked: Any) -> Response:
    with client.responses.stream(model=name, input=asked.pop("input", "hi"), **asked) as stream:
        return stream.get_final_response()


def _helper(client: openai.OpenAI, name: str) -> str:
    return _helped(client, name).output_text


WAYS = pytest.mark.parametrize("call", [_whole, _stream, _helper])
STREAMS = pytest.mark.parametrize("call", [_stream, _helper])


@WAYS
def test_an_answer_is_the_same_whole_raw_and_helped(chat: openai.OpenAI, provider: str, call: Call):
    text = call(chat, model(provider, "poet"))
    assert text.startswith(POEM)
    assert text.rstrip().endswith("No model wrote it.)")


@pytest.mark.covers("T22", "T33")
def test_usage_and_status_are_the_same_streamed_and_whole(chat: openai.OpenAI, provider: str):
    poet = model(provider, "poet", cache_read=1)
    whole = chat.responses.create(model=poet, input="x" * 40)
    streamed = _helped(chat, poet, input="x" * 40)
    assert whole.usage == streamed.usage
    assert whole.usage.output_tokens > 50
    assert whole.usage.input_tokens_details.cached_tokens == 1
    assert (whole.status, streamed.status) == ("completed", "completed")


def test_a_limit_makes_the_answer_incomplete(chat: openai.OpenAI, provider: str):
    answer = chat.responses.create(model=model(provider, "poet"), input="hi", max_output_tokens=20)
    assert (answer.status, answer.incomplete_details.reason) == ("incomplete", "max_output_tokens")
    assert answer.max_output_tokens == 20


@pytest.mark.anyio
async def test_the_async_client_streams(async_chat: openai.AsyncOpenAI, provider: str):
    async with async_chat.responses.stream(model=model(provider, "poet"), input="hi") as stream:
        text = "".join([event.delta async for event in stream if event.type == "response.output_text.delta"])
        final = await stream.get_final_response()
    assert text == final.output_text


def test_the_answer_repeats_the_request(chat: openai.OpenAI, provider: str):
    asked: Any = {"instructions": "Be brief.", "temperature": 0.5, "metadata": {"a": "b"}, "tools": TOOLS}
    answer = _helped(chat, model(provider, "tools"), **asked)
    assert (answer.instructions, answer.temperature, answer.metadata) == ("Be brief.", 0.5, {"a": "b"})
    assert [tool.name for tool in answer.tools] == ["get_weather", "shell"]


def test_an_image_is_seen(chat: openai.OpenAI, provider: str):
    content = [
        {"type": "input_text", "text": "What is this?"},
        {"type": "input_image", "detail": "auto", "image_url": f"data:image/png;base64,{PIXEL}"},
    ]
    asked: Any = [{"role": "user", "content": content}]
    answer = chat.responses.create(model=model(provider, "echo"), input=asked)
    assert answer.output_text == f"What is this?\n[image image/png, {len(base64.b64decode(PIXEL))} bytes]"


def test_an_answer_fits_its_schema(chat: openai.OpenAI, provider: str):
    parsed = chat.responses.parse(model=model(provider, "echo"), input="hi", text_format=Weather)
    assert isinstance(parsed.output_parsed, Weather)
    with chat.responses.stream(model=model(provider, "echo"), input="hi", text_format=Weather) as stream:
        assert stream.get_final_response().output_parsed == parsed.output_parsed


# --- tools and reasoning -------------------------------------------------------------------------------------------


def _returned(answer: Response) -> list[Any]:
    """Return the items of an answer as documentation gives them back, and an output for each call."""
    items = [item.to_dict() for item in answer.output]
    outputs = [
        {"type": "function_call_output", "call_id": item.call_id, "output": RESULTS[item.name]}
        for item in reversed(answer.output)  # outputs are matched by id, not by order
        if item.type == "function_call"
    ]
    return items + outputs


@pytest.mark.covers("T16", "T17", "T19", "T20", "P44", "P74")
def test_two_parallel_calls_and_their_outputs(chat: openai.OpenAI, provider: str):
    tools = model(provider, "tools")
    history: list[Any] = [{"role": "user", "content": TWO}]
    first = _helped(chat, tools, input=history, tools=TOOLS)
    calls = [item for item in first.output if item.type == "function_call"]
    given = {call.name: json.loads(call.arguments) for call in calls}
    assert given == {"get_weather": {"city": "Paris"}, "shell": {"command": COMMAND}}
    assert len({call.call_id for call in calls}) == 2
    second = chat.responses.create(model=tools, input=history + _returned(first), tools=TOOLS)
    assert "The tool get_weather answered: sunny" in second.output_text
    assert "The tool shell answered: hello" in second.output_text


def test_a_tool_of_free_text(chat: openai.OpenAI, provider: str):
    sql: Any = {"type": "custom", "name": "sql", "description": "Run a query."}
    question: Any = {"role": "user", "content": "go"}
    first = _helped(chat, model(provider, "tools"), input=[question], tools=[sql])
    [call] = first.output
    assert (call.type, call.name, call.input) == ("custom_tool_call", "sql", "sample input")
    output: Any = {"type": "custom_tool_call_output", "call_id": call.call_id, "output": "three rows"}
    history: Any = [question, call.to_dict(), output]
    second = chat.responses.create(model=model(provider, "tools"), input=history, tools=[sql])
    assert second.output_text == "The tool sql answered: three rows"


def test_a_tool_of_a_namespace_is_called_by_both_its_names(chat: openai.OpenAI, provider: str):
    if provider == "demo-responses":  # passed on as it is, and the script calls the tool by the one name that it knows
        return
    space: Any = {"type": "namespace", "name": "crm", "description": "Customers.", "tools": TOOLS[:1]}
    question: Any = {"role": "user", "content": "go"}
    first = _helped(chat, model(provider, "tools"), input=[question], tools=[space])
    [call] = [item for item in first.output if item.type == "function_call"]
    assert (call.namespace, call.name) == ("crm", "get_weather")
    second = chat.responses.create(model=model(provider, "tools"), input=[question, *_returned(first)], tools=[space])
    assert second.output_text.endswith("answered: sunny")


@pytest.mark.covers("T21", "P81")
def test_signed_reasoning_comes_back_intact(chat: openai.OpenAI, provider: str):
    thinker = model(provider, "thinker")
    history: list[Any] = [{"role": "user", "content": "Go on, please."}]
    asked: Any = {"tools": TOOLS, "reasoning": {"effort": "high", "summary": "auto"}, "store": False}
    first = _helped(chat, thinker, input=history, **asked)
    [reasoning] = [item for item in first.output if item.type == "reasoning" and item.summary]
    assert reasoning.summary[0].text.startswith("The user says")
    assert any(item.type == "reasoning" and item.encrypted_content for item in first.output)
    second = _helped(chat, thinker, input=history + _returned(first), **asked)
    assert "signature intact" in second.output_text


@pytest.mark.covers("T21")
@pytest.mark.parametrize(("origin", "other"), list(itertools.permutations(DEMO_PROVIDERS, 2)))
def test_a_signature_is_shown_to_nobody_but_its_origin(chat: openai.OpenAI, origin: str, other: str):
    history: list[Any] = [{"role": "user", "content": "Go on, please."}]
    first = _helped(chat, model(origin, "thinker"), input=history, tools=TOOLS)
    second = chat.responses.create(model=model(other, "thinker"), input=history + _returned(first), tools=TOOLS)
    assert "answered: hello" in second.output_text
    assert "signature" not in second.output_text


# --- what goes wrong -----------------------------------------------------------------------------------------------


@WAYS
@pytest.mark.covers("T31", "P107", "T10", "P15")
def test_an_error_before_the_first_token_is_raised(chat: openai.OpenAI, provider: str, call: Call):
    with pytest.raises(openai.RateLimitError, match="status 429"):
        call(chat, model(provider, "poet", fault="error-before", status=429))
    with pytest.raises(openai.APIStatusError) as caught:
        call(chat, model(provider, "poet", fault="error-200"))
    assert caught.value.status_code >= 500


@STREAMS
@pytest.mark.covers("T11", "P109", "P117")
def test_an_error_in_the_middle_is_raised(chat: openai.OpenAI, provider: str, call: Call):
    with pytest.raises(openai.APIError, match="asked to fail in the middle"):
        call(chat, model(provider, "poet", fault="error-mid"))


@WAYS
@pytest.mark.covers("T12", "P110")
@pytest.mark.parametrize("fault", ["cut", "end"])
def test_an_answer_that_breaks_off_is_raised(chat: openai.OpenAI, provider: str, call: Call, fault: str):
    with pytest.raises(openai.APIError):
        call(chat, model(provider, "poet", fault=fault))


@pytest.mark.covers("T12", "P111")
@pytest.mark.parametrize("fault", ["cut", "end", "error-mid"])
def test_a_call_that_breaks_off_inside_its_arguments_is_raised(chat: openai.OpenAI, provider: str, fault: str):
    with pytest.raises(openai.APIError):
        _helped(chat, model(provider, "tools", fault=fault, fault_at=1), tools=TOOLS[1:])


@pytest.mark.covers("T6", "P95", "T13")
@pytest.mark.parametrize("fault", ["no-usage", "no-done"])
def test_an_answer_that_lacks_its_last_word_or_its_usage_is_whole(chat: openai.OpenAI, provider: str, fault: str):
    assert _helper(chat, model(provider, "poet", fault=fault)).startswith(POEM)


@pytest.mark.parametrize("fields", [{"conversation": "conv_1"}, {"prompt": {"id": "pmpt_1"}}])
def test_what_another_protocol_cannot_do_is_refused_by_name(chat: openai.OpenAI, fields: dict[str, Any]):
    with pytest.raises(openai.BadRequestError) as caught:
        chat.responses.create(model=model("demo-anthropic", "poet"), input="hi", **fields)
    assert caught.value.param in fields


def test_a_model_that_is_not_there_is_not_found(chat: openai.OpenAI):
    with pytest.raises(openai.NotFoundError, match="demo/poet") as caught:
        _stream(chat, "demo/pot")
    assert caught.value.code == "model_not_found"
