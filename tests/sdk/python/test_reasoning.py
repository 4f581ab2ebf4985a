"""Reasoning is shown, and its signatures survive a tool loop of two turns whatever the provider speaks.

The simulator refuses a signature that is not as it made it, and says so when one came back intact.
"""

import itertools
from typing import Any

import anthropic
import openai
import pytest
from google import genai
from google.genai import types

from tests.sdk.python.test_tools import CHAT_TOOLS, GEMINI_TOOLS, MESSAGES_TOOLS
from tests.sdk.running import DEMO_PROVIDERS, model

INTACT = "signature intact"
GO = "Go on, please."


def _chat_turn(chat: openai.OpenAI, provider: str) -> list[Any]:
    """Return the history after one streamed turn that called a tool."""
    question = {"role": "user", "content": GO}
    with chat.chat.completions.stream(
        model=model(provider, "thinker"), messages=[question], tools=CHAT_TOOLS
    ) as stream:
        message = stream.get_final_completion().choices[0].message
    assert message.reasoning_content.startswith("The user says")
    result = {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "sunny"}
    return [question, message.to_dict(), result]


def _messages_turn(messages: anthropic.Anthropic, provider: str) -> list[Any]:
    question = {"role": "user", "content": GO}
    with messages.messages.stream(
        model=model(provider, "thinker"),
        max_tokens=4096,
        messages=[question],
        tools=MESSAGES_TOOLS,
        thinking={"type": "adaptive"},
    ) as stream:
        content = stream.get_final_message().content
    result = {"type": "tool_result", "tool_use_id": content[-1].id, "content": "sunny"}
    return [question, {"role": "assistant", "content": content}, {"role": "user", "content": [result]}]


def _gemini_turn(gemini: genai.Client, provider: str) -> list[types.Content]:
    question = types.Content(role="user", parts=[types.Part(text=GO)])
    parts: list[types.Part] = []
    for chunk in gemini.models.generate_content_stream(
        model=model(provider, "thinker"), contents=[question], config=THINKING
    ):
        parts += chunk.candidates[0].content.parts or []
    call = next(part.function_call for part in parts if part.function_call)
    response = types.FunctionResponse(id=call.id, name=call.name, response={"output": "sunny"})
    result = types.Part(function_response=response)
    return [question, types.Content(role="model", parts=parts), types.Content(role="user", parts=[result])]


def _text(content: list[Any]) -> str:
    return "".join(block.text for block in content if block.type == "text")


THINKING = types.GenerateContentConfig(
    tools=[GEMINI_TOOLS], thinking_config=types.ThinkingConfig(include_thoughts=True)
)


@pytest.mark.covers("T21", "P105")
def test_openai_brings_a_signature_back(chat: openai.OpenAI, provider: str):
    history = _chat_turn(chat, provider)
    answer = chat.chat.completions.create(model=model(provider, "thinker"), messages=history, tools=CHAT_TOOLS)
    assert INTACT in answer.choices[0].message.content


@pytest.mark.covers("T21", "P82")
def test_anthropic_brings_a_signature_back(messages: anthropic.Anthropic, provider: str):
    history = _messages_turn(messages, provider)
    with messages.messages.stream(
        model=model(provider, "thinker"),
        max_tokens=4096,
        messages=history,
        tools=MESSAGES_TOOLS,
        thinking={"type": "adaptive"},
    ) as stream:
        assert INTACT in stream.get_final_text()


@pytest.mark.covers("T21", "P85")
def test_google_brings_a_signature_back(gemini: genai.Client, provider: str):
    history = _gemini_turn(gemini, provider)
    answer = gemini.models.generate_content(model=model(provider, "thinker"), contents=history, config=THINKING)
    assert INTACT in answer.text


@pytest.mark.covers("T21", "P40")
def test_a_google_chat_brings_a_signature_back(gemini: genai.Client, provider: str):
    talk = gemini.chats.create(model=model(provider, "thinker"))
    for _ in talk.send_message_stream("Why?"):
        pass
    assert INTACT in talk.send_message("And now?").text


@pytest.mark.covers("T21")
def test_google_function_calling_by_itself_brings_a_signature_back(gemini: genai.Client, provider: str):
    def get_weather(city: str) -> str:
        """Get the weather of a city."""
        return f"sunny in {city}"

    config = types.GenerateContentConfig(tools=[get_weather])
    answer = gemini.models.generate_content(model=model(provider, "thinker"), contents=GO, config=config)
    assert INTACT in answer.text
    assert "sunny in Paris" in answer.text


@pytest.mark.covers("T15")
def test_anthropic_gets_thinking_and_text_in_blocks_of_their_own(messages: anthropic.Anthropic, provider: str):
    with messages.messages.stream(
        model=model(provider, "thinker"),
        max_tokens=4096,
        messages=[{"role": "user", "content": GO}],
        thinking={"type": "adaptive", "display": "summarized"},
    ) as stream:
        content = stream.get_final_message().content
    kinds = [block.type for block in content if block.type != "redacted_thinking"]
    assert kinds == ["thinking", "text"]
    assert _text(content) == f"You said: {GO}"


@pytest.mark.covers("P77")
def test_google_gets_thoughts_marked_as_thoughts(gemini: genai.Client, provider: str):
    config = types.GenerateContentConfig(thinking_config=types.ThinkingConfig(include_thoughts=True))
    response = gemini.models.generate_content(model=model(provider, "thinker"), contents=GO, config=config)
    thoughts = [part.text for part in response.candidates[0].content.parts if part.thought]
    assert thoughts
    assert thoughts[0].startswith("The user says")
    assert response.text == f"You said: {GO}"


@pytest.mark.covers("T21")
@pytest.mark.parametrize(("provider", "other"), [*itertools.permutations(DEMO_PROVIDERS, 2)])
def test_a_signature_is_never_shown_to_another_provider(
    chat: openai.OpenAI, messages: anthropic.Anthropic, gemini: genai.Client, provider: str, other: str
):
    thinker = model(other, "thinker")
    completion = chat.chat.completions.create(model=thinker, messages=_chat_turn(chat, provider), tools=CHAT_TOOLS)
    message = messages.messages.create(
        model=thinker, max_tokens=4096, messages=_messages_turn(messages, provider), tools=MESSAGES_TOOLS
    )
    response = gemini.models.generate_content(model=thinker, contents=_gemini_turn(gemini, provider), config=THINKING)
    told = [completion.choices[0].message.content, _text(message.content), response.text]
    for text in told:
        assert "sunny" in text
        assert INTACT not in text
