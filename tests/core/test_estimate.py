"""What a request comes to, besides its text: what is around messages, tools, thoughts, media."""

import base64
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.core.estimate import TokenCosts, input_tokens
from penstock.core.events import Sealed
from penstock.core.image_size import image_size
from penstock.core.request import (
    Ask,
    Media,
    OutputFormat,
    Reasoning,
    ReasoningAsk,
    Text,
    Tool,
    ToolCall,
    ToolResult,
    Turn,
)


def ask(*turns: Turn, tools: tuple[Tool, ...] = ()) -> int:
    return input_tokens(Ask("m", turns, tools=tools))


def user(*parts: Any) -> Turn:
    return Turn("user", parts)


HI = user(Text("Hi"))


def test_a_short_question_has_a_few_tokens_around_it() -> None:
    assert 6 <= ask(HI) <= 10


def test_what_vendors_count_beside_the_text_is_known_of_each_model() -> None:
    tool = Tool("now", "Tell the time", {"type": "object", "properties": {}})
    plain = Ask("m", (HI,))
    bare = TokenCosts(request=0, turn=0)
    assert input_tokens(plain, bare) <= 2
    assert input_tokens(Ask("m", (HI,), tools=(tool,)), TokenCosts(tools=496)) > 490
    thinking = Ask("m", (HI,), reasoning=ReasoningAsk(effort="low"))
    assert input_tokens(thinking, TokenCosts(thinking=28)) - input_tokens(plain) == 28
    words = Ask("m", (user(Text("The harbour woke slowly that morning. " * 20)),))
    assert input_tokens(words, TokenCosts(text=1.5)) > 1.4 * input_tokens(words)


def test_a_tool_costs_its_names_and_descriptions() -> None:
    tool = Tool("get_weather", "Get the weather", {"type": "object", "properties": {"city": {"type": "string"}}})
    assert 25 <= ask(HI, tools=(tool,)) - ask(HI) <= 50


def test_a_property_within_others_costs_the_same_as_one_of_the_tool() -> None:
    city = {"city": {"type": "string", "description": "The name of the city"}}
    flat = Tool("get_weather", "Get the weather", {"type": "object", "properties": city})
    within = {"where": {"type": "array", "items": {"type": "object", "properties": city}}}
    deep = Tool("get_weather", "Get the weather", {"type": "object", "properties": within})
    assert 5 <= ask(HI, tools=(deep,)) - ask(HI, tools=(flat,)) <= 10


@given(
    st.recursive(
        st.none() | st.text(max_size=5) | st.integers(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["properties", "items", "anyOf", "enum", "$defs", "x"]), inner, max_size=3
            )
        ),
    )
)
def test_whatever_stands_for_a_schema_is_estimated(schema: Any) -> None:
    assert ask(HI, tools=(Tool("f", None, {"properties": schema, "anyOf": schema}),)) > ask(HI)


def test_a_schema_of_the_answer_counts_where_models_are_shown_it() -> None:
    format_ = OutputFormat({"type": "object", "properties": {"city": {"type": "string"}}})
    asked = Ask("m", (HI,), output_format=format_)
    assert input_tokens(asked) > ask(HI) + 8
    assert input_tokens(asked, TokenCosts(schema=0)) == ask(HI)


def test_encrypted_thoughts_count_by_their_length_without_what_is_around_them() -> None:
    thinking = Turn("assistant", (Reasoning("", sealed=Sealed("openai", "x" * 3896)), ToolCall("c1", "f", "{}")))
    loop = Ask("m", (HI, thinking, user(ToolResult("c1", "f", (Text("7"),)))))
    bare = Ask("m", (HI, Turn("assistant", thinking.parts[1:]), *loop.turns[2:]))
    costs = TokenCosts(seal=6, seal_head=1000)
    assert input_tokens(loop, costs) - input_tokens(bare, costs) == pytest.approx(448, rel=0.1)  # as recorded


def test_calls_and_results_of_tools_are_counted() -> None:
    call = Turn("assistant", (ToolCall("c1", "get_weather", '{"city":"Oslo"}'),))
    result = user(ToolResult("c1", "get_weather", (Text("Rain, 7 degrees"),)))
    assert ask(HI, call, result) - ask(HI) > 25


def test_thoughts_count_in_a_running_loop_of_tool_calls_only() -> None:
    thinking = Turn(
        "assistant", (Reasoning("Let me think about the weather in Oslo. " * 10), ToolCall("c1", "f", "{}"))
    )
    result = user(ToolResult("c1", "f", (Text("7"),)))
    running = ask(HI, thinking, result)
    over = ask(HI, thinking, result, Turn("assistant", (Text("It is 7."),)), user(Text("Thanks")))
    assert running > over + 50


def image(head: bytes, detail: str | None = None) -> Media:
    return Media("image", "image/png", base64.b64encode(head.ljust(64, b"\0")).decode(), detail=detail)


PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">II", 750, 100)


@pytest.mark.parametrize(
    "head",
    [
        PNG,
        b"GIF89a" + struct.pack("<HH", 750, 100),
        b"\xff\xd8\xff\xe0\0\x06abcd\xff\xc0\0\x11\x08" + struct.pack(">HH", 100, 750),
        b"RIFF\0\0\0\0WEBPVP8 \0\0\0\0\0\0\0\x9d\x01\x2a" + struct.pack("<HH", 750, 100),
        b"RIFF\0\0\0\0WEBPVP8L\0\0\0\0\x2f" + struct.pack("<I", 749 | 99 << 14),
        b"RIFF\0\0\0\0WEBPVP8X\0\0\0\0\0\0\0\0" + (749).to_bytes(3, "little") + (99).to_bytes(3, "little"),
    ],
    ids=["png", "gif", "jpeg", "webp", "webp-lossless", "webp-extended"],
)
def test_the_size_of_an_image_stands_at_its_beginning(head: bytes) -> None:
    assert image_size(image(head).data) == (750, 100)


@given(
    st.binary(max_size=64), st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"\xff\xd8", b"RIFF0000WEBPVP8 "])
)
def test_a_broken_image_has_no_size_or_some_size(rest: bytes, magic: bytes) -> None:
    found = image_size(base64.b64encode(magic + rest).decode())
    assert found is None or min(found) >= 0


def test_a_document_counts_by_its_pages_and_a_plain_one_by_its_text() -> None:
    pdf = base64.b64encode(b"%PDF-1.7 << /Type /Pages >> << /Type /Page >> <</Type/Page>>").decode()
    assert ask(user(Media("document", "application/pdf", pdf))) - ask(user()) == 4000
    text = base64.b64encode(b"a few words of text").decode()
    assert ask(user(Media("document", "text/plain", text))) - ask(user()) < 10


def test_a_second_of_speech_counts_about_27_tokens() -> None:
    sound = base64.b64encode(bytes(160_000)).decode()
    assert ask(user(Media("audio", "audio/mp3", sound))) - ask(user()) == pytest.approx(267, abs=5)
