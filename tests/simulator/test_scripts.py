"""What the scripted models say, before any protocol spells it."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.core import grammar
from penstock.core.answer import Answer, fold
from penstock.core.request import (
    Ask,
    Media,
    OutputFormat,
    ReasoningAsk,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Turn,
)
from penstock.simulator.samples import COMMAND
from penstock.simulator.scripts import MODELS, Cue, SealPlace, perform, pieces, tokens
from penstock.simulator.seals import sign
from penstock.simulator.settings import Settings

WEATHER = Tool(
    "get_weather",
    parameters={"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
)
SHELL = Tool("shell", parameters={"type": "object", "properties": {"command": {"type": "string"}}})


def play(
    model: str, prompt: str, settings: Settings | None = None, seals: int = 0, place: SealPlace = "reasoning", **ask
) -> Answer:
    turns = ask.pop("turns", (Turn("user", (Text(prompt),)),))
    cue = Cue(Ask(model, turns, **ask), "T", seals, place)
    return fold(grammar.check(perform(MODELS[model], cue, settings or Settings())))


def text_of(answer: Answer) -> str:
    return "".join(part.text for part in answer.parts if part.kind == "text")


def calls_of(answer: Answer) -> list[tuple[str, object]]:
    return [(part.name, msgspec.json.decode(part.text)) for part in answer.parts if part.kind == "tool_call"]


def test_the_poet_answers_chinese_in_chinese():
    assert "秋" in text_of(play("poet", "写一首关于秋天的短诗"))


def test_the_poet_answers_all_else_in_english():
    assert "Autumn" in text_of(play("poet", "a poem, please"))


@pytest.mark.parametrize("prompt", ["写一首诗", "a poem"])
def test_the_poet_says_that_it_is_a_script(prompt: str):
    assert "Penstock" in text_of(play("poet", prompt))


def test_the_poet_goes_on_where_the_assistant_s_turn_ends():
    whole = text_of(play("poet", "a poem"))
    begun = Turn("assistant", (Text(whole[:50]),))
    assert text_of(play("poet", "", turns=(Turn("user", (Text("a poem"),)), begun))) == whole[50:]


@given(st.text())
def test_pieces_are_the_whole_text(text: str):
    assert "".join(pieces(text)) == text


def test_pieces_are_words_or_pairs_of_han():
    assert pieces("a leaf, a word") == ["a", " leaf,", " a", " word"]
    assert pieces("一夜风过") == ["一夜", "风过"]


def test_the_echo_repeats_the_last_user_text():
    turns = (
        Turn("user", (Text("one"),)),
        Turn("assistant", (Text("two"),)),
        Turn("user", (Text("three"),)),
    )
    assert text_of(play("echo", "", turns=turns)) == "three"


def test_the_echo_names_images_and_files_by_type_and_size():
    parts = (
        Text("look"),
        Media("image", "image/png", data="AAAA"),
        Media("document", "application/pdf", data="AAA=", name="a.pdf"),
        Media("image", url="https://example.com/x.png"),
    )
    assert text_of(play("echo", "", turns=(Turn("user", parts),))).splitlines() == [
        "look",
        "[image image/png, 3 bytes]",
        "[document 'a.pdf' application/pdf, 2 bytes]",
        "[image at https://example.com/x.png]",
    ]


def test_tools_calls_a_tool_with_arguments_that_fit():
    answer = play("tools", "weather?", tools=(WEATHER,))
    assert calls_of(answer) == [("get_weather", {"city": "Paris"})]
    assert answer.finish.reason == "tool_calls"


def test_tools_prefers_a_tool_that_takes_a_command_and_runs_something_harmless():
    assert calls_of(play("tools", "go", tools=(WEATHER, SHELL))) == [("shell", {"command": COMMAND})]


def test_tools_prefers_a_tool_that_the_user_names():
    assert calls_of(play("tools", "use get_weather", tools=(SHELL, WEATHER)))[0][0] == "get_weather"


def test_tools_calls_a_tool_without_parameters_with_none():
    assert calls_of(play("tools", "go", tools=(Tool("now"),))) == [("now", {})]


@pytest.mark.parametrize("prompt", ["please make two calls", "call both", "call it twice", "同时查两个城市"])
def test_tools_makes_two_calls_when_asked(prompt: str):
    answer = play("tools", prompt, tools=(WEATHER, SHELL))
    assert {name for name, _ in calls_of(answer)} == {"get_weather", "shell"}
    assert len({part.id for part in answer.parts}) == 2


def test_tools_makes_one_call_when_parallel_calls_are_off():
    assert len(calls_of(play("tools", "call both", tools=(WEATHER, SHELL), parallel_tool_calls=False))) == 1


def test_tools_calls_nothing_when_told_so():
    answer = play("tools", "go", tools=(SHELL,), tool_choice=ToolChoice("none"))
    assert calls_of(answer) == []
    assert "no tool" in text_of(answer)
    assert answer.finish.reason == "stop"


def test_tools_calls_the_tool_that_it_must():
    choice = ToolChoice("required", ("get_weather",))
    assert calls_of(play("tools", "go", tools=(SHELL, WEATHER), tool_choice=choice))[0][0] == "get_weather"


def test_tools_without_tools_says_so():
    assert "no tool" in text_of(play("tools", "go"))


def test_tools_quotes_the_results_it_gets():
    turns = (
        Turn("user", (Text("go"),)),
        Turn("assistant", (ToolCall("a", "shell", "{}"), ToolCall("b", "get_weather", "{}"))),
        Turn("user", (ToolResult("a", "shell", (Text("hello"),)), ToolResult("b", "get_weather", (Text("no"),), True))),
    )
    answer = play("tools", "", turns=turns, tools=(SHELL,))
    assert text_of(answer) == "The tool shell answered: hello\nThe tool get_weather failed: no"
    assert answer.finish.reason == "stop"


def test_the_thinker_thinks_first_and_signs_it():
    answer = play("thinker", "why?")
    assert [part.kind for part in answer.parts] == ["reasoning", "text"]
    assert answer.parts[0].sealed is not None
    assert answer.parts[0].sealed.data == sign(answer.parts[0].text)


def test_the_thinker_calls_a_tool_after_thinking():
    assert [part.kind for part in play("thinker", "go", tools=(SHELL,)).parts] == ["reasoning", "tool_call"]


def test_the_thinker_says_when_its_signature_came_back():
    assert "signature intact" in text_of(play("thinker", "and now?", seals=1))


def test_reasoning_can_be_turned_off():
    answer = play("thinker", "why?", reasoning=ReasoningAsk(effort="none"))
    assert [part.kind for part in answer.parts] == ["text"]


def test_reasoning_that_is_not_to_be_shown_is_signed_and_counted_all_the_same():
    shown, hidden = play("thinker", "why?"), play("thinker", "why?", reasoning=ReasoningAsk(show=False))
    assert hidden.parts[0].text == ""
    assert hidden.parts[0].sealed == shown.parts[0].sealed
    assert hidden.usage == shown.usage


def test_a_seal_beside_a_call_stands_on_the_reasoning_before_it():
    parts = play("thinker", "go", tools=(SHELL,), place="beside").parts
    assert [(part.kind, part.sealed and part.sealed.form) for part in parts] == [
        ("reasoning", "tool_call"),
        ("tool_call", None),
    ]


def test_a_seal_beside_text_stands_behind_it():
    parts = play("thinker", "go", place="beside").parts
    assert [(part.kind, part.sealed and part.sealed.form) for part in parts] == [
        ("reasoning", None),
        ("text", None),
        ("reasoning", "text"),
    ]


@pytest.mark.parametrize("model", MODELS)
def test_an_answer_in_json_fits_its_schema(model: str):
    answer = play(model, "go", output_format=OutputFormat(schema=WEATHER.parameters))
    assert msgspec.json.decode(text_of(answer)) == {"city": "Paris"}


def test_json_without_a_schema_is_an_object():
    assert msgspec.json.decode(text_of(play("echo", "hi", output_format=OutputFormat()))) == {"text": "hi"}


def test_a_stop_sequence_cuts_the_text_before_it():
    answer = play("echo", "one two three", stop=("three", "two"))
    assert text_of(answer) == "one "
    assert (answer.finish.reason, answer.finish.stop_sequence) == ("stop_sequence", "two")


def test_the_limit_of_output_tokens_cuts_the_text():
    answer = play("echo", "x" * 100, max_output=5)
    assert text_of(answer) == "x" * 20
    assert answer.finish.reason == "length"
    assert answer.usage.output == 5


def test_a_call_that_does_not_fit_the_limit_is_not_made():
    answer = play("tools", "go", tools=(SHELL,), max_output=2)
    assert answer.parts == ()
    assert answer.finish.reason == "length"


@given(st.integers(1, 500), st.sampled_from(["a poem", "写一首诗"]))
def test_a_text_can_be_made_exactly_so_many_tokens_long(length: int, prompt: str):
    assert play("poet", prompt, Settings(length=length)).usage.output == length


def test_output_tokens_are_those_of_each_whole_part():
    answer = play("thinker", "why?")
    assert answer.usage.output == sum(tokens(part.text) for part in answer.parts)
    assert answer.usage.reasoning == tokens(answer.parts[0].text)


def test_cache_counters_are_taken_out_of_the_input():
    plain = play("poet", "x" * 400).usage
    cached = play("poet", "x" * 400, Settings(cache_read=30, cache_write=1000)).usage
    assert (plain.uncached, plain.cache_read) == (100, None)
    assert (cached.uncached, cached.cache_read, cached.cache_write) == (0, 30, 70)
