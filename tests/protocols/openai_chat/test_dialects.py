"""What is special in the streams of compatible servers (section 10 of docs/protocols.md)."""

import pytest

from penstock.core.answer import Answer, AnswerPart, fold
from penstock.core.events import Citation, Finish, Sealed
from penstock.core.usage import Usage
from penstock.protocols.openai_chat import PROTOCOL
from tests.protocols.driving import decode_all, recording


def answer_of(dialect: str) -> Answer:
    return fold(decode_all(PROTOCOL, recording(PROTOCOL, f"dialect-{dialect}")))


def said(dialect: str) -> list[tuple[str, str]]:
    return [(part.kind, part.text) for part in answer_of(dialect).parts]


def calls_of(dialect: str) -> list[tuple[str, str, str]]:
    return [(part.id, part.name, part.text) for part in answer_of(dialect).parts if part.kind == "tool_call"]


@pytest.mark.covers("P6")
def test_deepseek_keeps_alive_by_comments_and_thinks_in_a_field_beside_null_content() -> None:
    assert said("deepseek") == [
        ("reasoning", "The user wants the weather in 杭州."),
        ("text", "Let me look."),
        ("tool_call", '{"city": "杭州"}'),
    ]


def test_deepseek_counts_cache_hits_beside_the_prompt() -> None:
    assert answer_of("deepseek").usage == Usage(uncached=11, cache_read=320, output=64, reasoning=22)


@pytest.mark.covers("T2")
def test_vllm_thinks_in_a_field_of_another_name_and_counts_in_every_chunk() -> None:
    assert said("vllm")[0] == ("reasoning", "Two cities, two calls.")
    assert len(calls_of("vllm")) == 2
    assert answer_of("vllm").usage == Usage(uncached=5, cache_read=176, output=34)


@pytest.mark.covers("P67")
def test_sglang_sends_every_field_with_every_chunk_and_counts_reasoning_beside_the_rest() -> None:
    assert said("sglang") == [("reasoning", "2+2 is 4."), ("text", "Four.")]
    assert answer_of("sglang").usage == Usage(uncached=71, output=18, reasoning=11)


@pytest.mark.covers("P70", "T21")
def test_openrouter_sends_the_role_with_every_chunk_and_thoughts_twice() -> None:
    reasoning, text = answer_of("openrouter").parts
    assert reasoning == AnswerPart("reasoning", "Let me search.", sealed=Sealed("lab", "EpoBCkgIDRABGAIqQPj1"))
    assert text.text == "The tide turns at six."


def test_openrouter_names_its_sources_with_their_words() -> None:
    assert answer_of("openrouter").parts[1].citations == (
        Citation("https://tides.example/six", "Tide tables", "High water 06:04", 0, 22),
        Citation("https://harbour.example/log", "Harbour log", "", 9, 21),
    )


@pytest.mark.covers("P66")
def test_openrouter_counts_in_a_last_chunk_that_has_a_choice() -> None:
    answer = answer_of("openrouter")
    assert answer.usage == Usage(uncached=1904, cache_read=0, cache_write=0, output=61, reasoning=24)
    assert answer.finish == Finish("stop", "stop")


@pytest.mark.covers("P68")
def test_azure_filters_before_beside_and_behind_the_text() -> None:
    answer = answer_of("azure")
    assert said("azure") == [("text", "Reeds sway.")]
    assert answer.id == "chatcmpl-D1aR7mVtq9"
    assert answer.finish == Finish("stop", "stop")


def test_groq_counts_in_an_object_of_its_own_too() -> None:
    assert said("groq") == [("reasoning", "Short answer."), ("text", "Quick fox.")]
    assert answer_of("groq").usage == Usage(
        uncached=18, cache_read=64, output=29, reasoning=14, service_tier="standard"
    )


def test_mistral_thinks_in_an_array_of_content() -> None:
    assert said("mistral")[:2] == [("reasoning", "Which city? Lyon."), ("text", "Looking up.")]
    assert calls_of("mistral") == [("D681PevKs", "get_weather", '{"city": "Lyon"}')]


@pytest.mark.covers("P72", "P97", "T20", "T21")
def test_gemini_numbers_no_calls_signs_the_first_and_stops_though_it_calls() -> None:
    _, sealed, *calls = answer_of("gemini").parts
    assert sealed.sealed == Sealed("lab", '{"google":{"thought_signature":"EjQKMgEMOdbHJChLX75QUCJj"}}', "tool_call")
    assert [(call.id, call.text) for call in calls] == [
        ("jm4owj31", '{"city":"Paris"}'),
        ("p02xk7ez", '{"city":"Rome"}'),
    ]
    assert answer_of("gemini").finish == Finish("tool_calls", "stop")


def test_gemini_counts_thoughts_beside_the_completion() -> None:
    assert answer_of("gemini").usage == Usage(uncached=88, output=75, reasoning=44)


@pytest.mark.covers("P73", "T17")
def test_ollama_numbers_all_calls_zero_and_stops_though_it_calls() -> None:
    assert calls_of("ollama") == [
        ("call_os3xa9go", "get_weather", '{"city":"Tokyo"}'),
        ("call_k2m8w1pd", "get_time", "{}"),
    ]
    assert answer_of("ollama").finish == Finish("tool_calls", "stop")


def test_llama_cpp_begins_with_null_content() -> None:
    assert said("llama-cpp") == [("reasoning", "A haiku?"), ("text", "Mist lifts")]
    assert answer_of("llama-cpp").usage == Usage(uncached=10, cache_read=7, output=6)


@pytest.mark.covers("P8", "T13")
def test_perplexity_repeats_the_whole_message_beside_each_delta_and_says_no_done() -> None:
    assert said("perplexity") == [("text", "Reeds clean water[1].")]


@pytest.mark.parametrize("where", ["delta", "choice"])
def test_sources_may_stand_in_the_choice_and_come_before_the_text(where: str) -> None:
    source = b'"annotations":[{"type":"url_citation","url_citation":{"url":"https://a.example","title":"A"}}]'
    first = b'{"choices":[{"index":0,"delta":{%b}%b}]}' % ((source, b"") if where == "delta" else (b"", b"," + source))
    rest = b'{"choices":[{"index":0,"delta":{"content":"x"},"finish_reason":"stop"}]}'
    answer = fold(decode_all(PROTOCOL, b"data: %b\n\ndata: %b\n\n" % (first, rest)))
    assert answer.parts == (AnswerPart("text", "x", citations=(Citation("https://a.example", "A"),)),)
