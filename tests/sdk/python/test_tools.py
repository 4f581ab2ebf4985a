"""Tool loops of two turns, one call or two at once, written as each SDK's documentation writes them."""

import json
from typing import Any

import anthropic
import openai
import pytest
from google import genai
from google.genai import types

from penstock.simulator.samples import COMMAND
from tests.sdk.running import model

WEATHER: dict[str, Any] = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
SHELL: dict[str, Any] = {"type": "object", "properties": {"command": {"type": "string"}}, "required": ["command"]}
NOW: dict[str, Any] = {"type": "object", "properties": {}}

CHAT_TOOLS = [
    {"type": "function", "function": {"name": "get_weather", "description": "Weather.", "parameters": WEATHER}},
    {"type": "function", "function": {"name": "shell", "description": "Run a command.", "parameters": SHELL}},
]
MESSAGES_TOOLS = [
    {"name": "get_weather", "description": "Weather.", "input_schema": WEATHER},
    {"name": "shell", "description": "Run a command.", "input_schema": SHELL},
]
GEMINI_TOOLS = types.Tool(
    function_declarations=[
        types.FunctionDeclaration(name="get_weather", description="Weather.", parameters_json_schema=WEATHER),
        types.FunctionDeclaration(name="shell", description="Run a command.", parameters_json_schema=SHELL),
    ]
)

TWO = "Use both tools at once: get_weather and the other."
ARGUMENTS = {"get_weather": {"city": "Paris"}, "shell": {"command": COMMAND}}
RESULTS = {"get_weather": "sunny", "shell": "hello"}


@pytest.mark.covers("T16", "T17", "T20", "P44", "P72")
def test_openai_runs_two_parallel_calls(chat: openai.OpenAI, provider: str):
    history: list[Any] = [{"role": "user", "content": TWO}]
    tools = model(provider, "tools")
    with chat.chat.completions.stream(model=tools, messages=history, tools=CHAT_TOOLS) as stream:
        choice = stream.get_final_completion().choices[0]
    calls = choice.message.tool_calls
    assert choice.finish_reason == "tool_calls"
    assert {call.function.name: json.loads(call.function.arguments) for call in calls} == ARGUMENTS
    assert len({call.id for call in calls}) == 2
    history.append(choice.message.to_dict())
    history += [
        {"role": "tool", "tool_call_id": call.id, "content": RESULTS[call.function.name]}
        for call in reversed(calls)  # results are matched by id, not by order
    ]
    answer = chat.chat.completions.create(model=tools, messages=history, tools=CHAT_TOOLS)
    assert "The tool get_weather answered: sunny" in answer.choices[0].message.content
    assert "The tool shell answered: hello" in answer.choices[0].message.content


def test_openai_assembles_the_raw_fragments_of_calls(chat: openai.OpenAI, provider: str):
    calls: dict[int, dict[str, str]] = {}
    for chunk in chat.chat.completions.create(
        model=model(provider, "tools"), messages=[{"role": "user", "content": TWO}], tools=CHAT_TOOLS, stream=True
    ):
        for fragment in chunk.choices[0].delta.tool_calls or ():
            call = calls.setdefault(fragment.index, {"id": "", "name": "", "arguments": ""})
            call["id"] += fragment.id or ""
            call["name"] += fragment.function.name or ""
            call["arguments"] += fragment.function.arguments or ""
    assert sorted(calls) == [0, 1]
    assert {call["name"]: json.loads(call["arguments"]) for call in calls.values()} == ARGUMENTS


@pytest.mark.covers("P52")
def test_openai_is_given_one_call_if_it_wants_one_at_a_time(chat: openai.OpenAI, provider: str):
    # The Gemini protocol cannot be asked for one call at a time; the gateway says in a header what it dropped.
    expected = 2 if provider == "demo-gemini" else 1
    raw = chat.chat.completions.with_raw_response.create(
        model=model(provider, "tools"),
        messages=[{"role": "user", "content": TWO}],
        tools=CHAT_TOOLS,
        tool_choice="required",
        parallel_tool_calls=False,
    )
    assert len(raw.parse().choices[0].message.tool_calls) == expected
    assert ("parallel_tool_calls" in raw.headers.get("x-penstock-dropped", "")) is (expected == 2)


@pytest.mark.covers("T18", "P75")
def test_openai_gets_an_empty_object_for_a_call_without_arguments(chat: openai.OpenAI, provider: str):
    tool = {"type": "function", "function": {"name": "now", "parameters": NOW}}
    with chat.chat.completions.stream(
        model=model(provider, "tools"), messages=[{"role": "user", "content": "now"}], tools=[tool]
    ) as stream:
        call = stream.get_final_completion().choices[0].message.tool_calls[0]
    assert (call.function.name, call.function.arguments) == ("now", "{}")


@pytest.mark.covers("T16", "T20")
def test_anthropic_runs_two_parallel_calls(messages: anthropic.Anthropic, provider: str):
    history: list[Any] = [{"role": "user", "content": TWO}]
    tools = model(provider, "tools")
    with messages.messages.stream(model=tools, max_tokens=1024, messages=history, tools=MESSAGES_TOOLS) as stream:
        message = stream.get_final_message()
    assert message.stop_reason == "tool_use"
    assert {block.name: block.input for block in message.content} == ARGUMENTS
    history.append({"role": "assistant", "content": message.content})
    results = [
        {"type": "tool_result", "tool_use_id": block.id, "content": RESULTS[block.name]} for block in message.content
    ]
    history.append({"role": "user", "content": results})
    answer = messages.messages.create(model=tools, max_tokens=1024, messages=history, tools=MESSAGES_TOOLS)
    assert "The tool get_weather answered: sunny" in answer.content[0].text
    assert "The tool shell answered: hello" in answer.content[0].text


def test_anthropic_tells_of_a_failed_tool(messages: anthropic.Anthropic, provider: str):
    tools = model(provider, "tools")
    question = {"role": "user", "content": "go"}
    message = messages.messages.create(model=tools, max_tokens=1024, messages=[question], tools=MESSAGES_TOOLS)
    call = message.content[0]
    failed = {"type": "tool_result", "tool_use_id": call.id, "content": "no such city", "is_error": True}
    answer = messages.messages.create(
        model=tools,
        max_tokens=1024,
        messages=[question, {"role": "assistant", "content": message.content}, {"role": "user", "content": [failed]}],
        tools=MESSAGES_TOOLS,
    )
    assert "no such city" in answer.content[0].text


@pytest.mark.covers("T18", "P75")
def test_anthropic_gets_an_empty_object_for_a_call_without_arguments(messages: anthropic.Anthropic, provider: str):
    with messages.messages.stream(
        model=model(provider, "tools"),
        max_tokens=1024,
        messages=[{"role": "user", "content": "now"}],
        tools=[{"name": "now", "input_schema": NOW}],
    ) as stream:
        assert stream.get_final_message().content[0].input == {}


def test_anthropic_is_made_to_call_the_tool_it_names(messages: anthropic.Anthropic, provider: str):
    message = messages.messages.create(
        model=model(provider, "tools"),
        max_tokens=1024,
        messages=[{"role": "user", "content": "go"}],
        tools=MESSAGES_TOOLS,
        tool_choice={"type": "tool", "name": "get_weather"},
    )
    assert [block.name for block in message.content] == ["get_weather"]


@pytest.mark.covers("T16", "P44", "P76")
def test_google_runs_two_parallel_calls(gemini: genai.Client, provider: str):
    tools = model(provider, "tools")
    config = types.GenerateContentConfig(tools=[GEMINI_TOOLS])
    question = types.Content(role="user", parts=[types.Part(text=TWO)])
    parts: list[types.Part] = []
    for chunk in gemini.models.generate_content_stream(model=tools, contents=[question], config=config):
        parts += chunk.candidates[0].content.parts or []
    calls = [part.function_call for part in parts if part.function_call]
    assert {call.name: call.args for call in calls} == ARGUMENTS
    results = [
        types.Part(
            function_response=types.FunctionResponse(
                id=call.id, name=call.name, response={"output": RESULTS[call.name]}
            )
        )
        for call in calls
    ]
    history = [question, types.Content(role="model", parts=parts), types.Content(role="user", parts=results)]
    answer = gemini.models.generate_content(model=tools, contents=history, config=config)
    assert "The tool get_weather answered: sunny" in answer.text
    assert "The tool shell answered: hello" in answer.text


@pytest.mark.covers("P46")
def test_google_results_without_ids_find_their_calls(gemini: genai.Client, provider: str):
    tools = model(provider, "tools")
    config = types.GenerateContentConfig(tools=[GEMINI_TOOLS])
    response = gemini.models.generate_content(model=tools, contents=TWO, config=config)
    history = [
        types.Content(role="user", parts=[types.Part(text=TWO)]),
        response.candidates[0].content,
        types.Content(
            role="user",
            parts=[
                types.Part.from_function_response(name=call.name, response={"output": RESULTS[call.name]})
                for call in response.function_calls
            ],
        ),
    ]
    answer = gemini.models.generate_content(model=tools, contents=history, config=config)
    assert "The tool get_weather answered: sunny" in answer.text


@pytest.mark.covers("P76")
def test_google_calls_a_python_function_by_itself(gemini: genai.Client, provider: str):
    asked: list[str] = []

    def get_weather(city: str) -> str:
        """Get the weather of a city."""
        asked.append(city)
        return "sunny"

    config = types.GenerateContentConfig(tools=[get_weather])
    answer = gemini.models.generate_content(model=model(provider, "tools"), contents="go", config=config)
    assert asked == ["Paris"]
    assert "sunny" in answer.text


@pytest.mark.anyio
async def test_google_calls_a_python_function_by_itself_while_streaming(
    async_gemini: genai.client.AsyncClient, provider: str
):
    async def now() -> str:
        """Say what time it is."""
        return "noon"

    config = types.GenerateContentConfig(tools=[now])
    text = ""
    async for chunk in await async_gemini.models.generate_content_stream(
        model=model(provider, "tools"), contents="go", config=config
    ):
        text += chunk.text or ""
    assert "noon" in text
