"""An Ask as an Anthropic Messages provider gets it."""

import base64
import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.core.errors import ClientFault
from penstock.core.events import Sealed
from penstock.core.request import (
    Ask,
    Media,
    OutputFormat,
    Part,
    Reasoning,
    ReasoningAsk,
    Refusal,
    Role,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Turn,
)
from penstock.protocols.anthropic import PROTOCOL
from penstock.protocols.base import ModelFacts, Outbound, Target
from penstock.protocols.conversation import settle

EFFORT = Target("lab", "m-1")
BUDGET = Target("lab", "m-1", ModelFacts(reasoning="budget"))
HI = Turn("user", (Text("hi"),))
HELLO = Turn("assistant", (Text("hello"),))
CALL = ToolCall("toolu_1", "f", '{"a":1}')
RESULT = ToolResult("toolu_1", "f", (Text("ok"),))
PIXEL = base64.b64encode(b"\x89PNG").decode()
TOOLS = (Tool("f"), Tool("g"), Tool("h"))


def turn(role: Role, *parts: Part) -> Turn:
    return Turn(role, parts)


def outbound(*turns: Turn, target: Target = EFFORT, **fields: Any) -> Outbound:
    return PROTOCOL.write_request(Ask("lab/m", turns or (HI,), **fields), target)


def body(*turns: Turn, target: Target = EFFORT, **fields: Any) -> dict[str, Any]:
    return json.loads(outbound(*turns, target=target, **fields).body)


def messages(*turns: Turn, target: Target = EFFORT) -> list[tuple[str, Any]]:
    return [(message["role"], message["content"]) for message in body(*turns, target=target)["messages"]]


def text(text: str) -> dict[str, str]:
    return {"type": "text", "text": text}


def refused(*turns: Turn, **fields: Any) -> str:
    with pytest.raises(ClientFault) as caught:
        outbound(*turns, **fields)
    assert caught.value.info.kind == "invalid_request"
    assert caught.value.info.param
    return caught.value.info.param


# --- envelope


def test_the_least_that_can_be_asked() -> None:
    sent = outbound()
    assert sent.path == "/v1/messages"
    assert sent.headers == {"anthropic-version": "2026-10-21"}
    assert sent.dropped == ()
    assert json.loads(sent.body) == {
        "model": "m-1",
        "max_tokens": 8192,
        "messages": [{"role": "user", "content": [text("hi")]}],
    }


@pytest.mark.covers("P39")
def test_the_limit_is_the_clients_or_the_models() -> None:
    assert body(max_output=50)["max_tokens"] == 50
    assert body(target=Target("lab", "m", ModelFacts(max_output=64000)))["max_tokens"] == 64000


def test_what_is_said_about_the_answer() -> None:
    sent = body(stream=True, stop=("END",), user="u")
    assert (sent["stream"], sent["stop_sequences"], sent["metadata"]) == (True, ["END"], {"user_id": "u"})


@pytest.mark.covers("P61")
def test_a_stop_sequence_of_white_space_is_left_to_the_gateway() -> None:
    sent = outbound(stop=("END", "\n", " "))
    assert json.loads(sent.body)["stop_sequences"] == ["END"]
    assert sent.stop == ("\n", " ")
    assert "stop_sequences" not in body(stop=("\n",))


@pytest.mark.covers("P57")
@pytest.mark.parametrize(("fields", "param"), [({"choices": 2}, "n"), ({"logprobs": 0}, "logprobs")])
def test_what_the_service_cannot_do_is_refused_by_name(fields: dict[str, Any], param: str) -> None:
    assert refused(**fields) == param


@pytest.mark.parametrize(("tier", "written"), [("auto", "auto"), ("default", "standard_only")])
def test_service_tiers_that_the_service_has(tier: str, written: str) -> None:
    assert body(service_tier=tier)["service_tier"] == written


@pytest.mark.parametrize("tier", ["flex", "priority", "scale"])
def test_other_service_tiers_are_dropped(tier: str) -> None:
    sent = outbound(service_tier=tier)
    assert "service_tier" not in json.loads(sent.body)
    assert sent.dropped == ("service_tier",)


def test_hints_without_a_place_are_dropped_by_name() -> None:
    sent = outbound(
        seed=1, frequency_penalty=0.1, presence_penalty=0.2, verbosity="low", cache_key="k", metadata={"a": "b"}
    )
    assert sent.dropped == (
        "seed",
        "frequency_penalty",
        "presence_penalty",
        "verbosity",
        "metadata",
        "prompt_cache_key",
    )


# --- turns


@pytest.mark.covers("P43")
def test_leading_system_text_is_the_system_prompt() -> None:
    sent = body(turn("system", Text("A"), Text(""), Text("B")), HI)
    assert sent["system"] == [text("A"), text("B")]
    assert "system" not in body(turn("system", Text("")), HI)


@pytest.mark.covers("P43", "P65")
def test_later_system_text_is_marked_user_text() -> None:
    sent = outbound(HI, turn("system", Text("Be kind.")), HELLO)
    assert json.loads(sent.body)["messages"][0]["content"] == [text("hi"), text("<system>\nBe kind.\n</system>")]
    assert sent.dropped == ("messages.system",)


@pytest.mark.covers("P43", "P65")
def test_later_system_text_keeps_its_role_where_the_model_takes_it() -> None:
    target = Target("lab", "m", ModelFacts(mid_system=True))
    sent = outbound(HI, turn("system", Text("Be kind.")), HELLO, HI, target=target)
    assert [message["role"] for message in json.loads(sent.body)["messages"]] == ["user", "system", "assistant", "user"]
    assert sent.dropped == ()


@pytest.mark.parametrize("mid_system", [False, True])
def test_system_text_never_comes_between_a_call_and_its_result(mid_system: bool) -> None:
    target = Target("lab", "m", ModelFacts(mid_system=mid_system))
    sent = messages(HI, turn("assistant", CALL), turn("system", Text("Be kind.")), turn("user", RESULT), target=target)
    assert sent[2][1][0]["type"] == "tool_result"
    assert "Be kind." in json.dumps(sent[2:])


@pytest.mark.covers("P41")
def test_a_history_that_begins_with_the_assistant_gets_a_turn_in_front() -> None:
    assert messages(HELLO, HI) == [("user", [text(".")]), ("assistant", [text("hello")]), ("user", [text("hi")])]


@pytest.mark.covers("P42")
def test_empty_text_is_left_out_and_its_neighbours_join() -> None:
    sent = messages(HI, turn("assistant", Text(""), Text("\n")), turn("user", Text(""), Text("so?")))
    assert sent == [("user", [text("hi"), text("so?")])]


@pytest.mark.covers("P41", "P43")
@pytest.mark.parametrize("only", [turn("system", Text("Greet me.")), turn("user", Text(" "))])
def test_a_conversation_in_which_the_user_says_nothing_gets_the_least_that_is_taken(only: Turn) -> None:
    assert messages(only) == [("user", [text(".")])]
    assert body(only).get("system") == ([text("Greet me.")] if only.role == "system" else None)


@pytest.mark.covers("P42")
def test_an_answer_begun_by_the_client_has_no_white_space_at_its_end() -> None:
    assert messages(HI, turn("assistant", Text("Once upon \n")))[-1] == ("assistant", [text("Once upon")])


def test_a_refusal_is_text() -> None:
    assert messages(HI, turn("assistant", Refusal("No.")), HI)[1] == ("assistant", [text("No.")])


# --- media


def test_images_go_in_base64_or_by_url() -> None:
    parts = (Media("image", "image/png", PIXEL, detail="high"), Media("image", url="https://example.com/a.bmp"))
    assert messages(turn("user", *parts))[0][1] == [
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}},
        {"type": "image", "source": {"type": "url", "url": "https://example.com/a.bmp"}},
    ]


def test_documents_go_as_pdf_text_or_url() -> None:
    plain = base64.b64encode("Grüße".encode()).decode()
    parts = (
        Media("document", "application/pdf", PIXEL, name="a.pdf"),
        Media("document", "text/markdown", plain),
        Media("document", url="https://example.com/a.pdf"),
    )
    assert messages(turn("user", *parts))[0][1] == [
        {
            "type": "document",
            "source": {"type": "base64", "media_type": "application/pdf", "data": PIXEL},
            "title": "a.pdf",
        },
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "Grüße"}},
        {"type": "document", "source": {"type": "url", "url": "https://example.com/a.pdf"}},
    ]


@pytest.mark.covers("P60")
@pytest.mark.parametrize(
    "media",
    [
        Media("image", "image/bmp", PIXEL),
        Media("image", "", PIXEL),
        Media("audio", "audio/wav", PIXEL),
        Media("document", "application/zip", PIXEL),
        Media("document", "text/plain", base64.b64encode(b"\xff").decode()),
    ],
)
def test_what_the_model_cannot_take_is_refused(media: Media) -> None:
    assert refused(turn("user", media)) == "messages"


def test_pictures_in_the_assistants_turns_are_refused() -> None:
    assert refused(HI, turn("assistant", Media("image", "image/png", PIXEL))) == "messages"


# --- tools


def test_a_tool_always_has_a_schema_of_an_object() -> None:
    tools = (Tool("f"), Tool("g", "Does g.", {"properties": {"x": {}}}, strict=True))
    assert body(tools=tools)["tools"] == [
        {"name": "f", "input_schema": {"type": "object", "properties": {}}},
        {
            "name": "g",
            "description": "Does g.",
            "input_schema": {"properties": {"x": {}}, "type": "object"},
            "strict": True,
        },
    ]


@pytest.mark.covers("P52")
@pytest.mark.parametrize(
    ("choice", "parallel", "expected"),
    [
        (None, None, None),
        (None, True, None),
        (None, False, {"type": "auto", "disable_parallel_tool_use": True}),
        (ToolChoice("auto"), None, {"type": "auto"}),
        (ToolChoice("none"), False, {"type": "none"}),
        (ToolChoice("required"), False, {"type": "any", "disable_parallel_tool_use": True}),
        (ToolChoice("required", ("g",)), None, {"type": "tool", "name": "g"}),
        (ToolChoice("required", ("f", "g")), None, {"type": "any"}),
    ],
)
def test_choices(choice: ToolChoice | None, parallel: bool | None, expected: Any) -> None:
    assert body(tools=TOOLS, tool_choice=choice, parallel_tool_calls=parallel).get("tool_choice") == expected


def test_a_choice_among_some_tools_leaves_out_the_others() -> None:
    sent = body(tools=TOOLS, tool_choice=ToolChoice("auto", ("f", "h")))
    assert [tool["name"] for tool in sent["tools"]] == ["f", "h"]


@pytest.mark.covers("P53")
def test_a_choice_without_tools_is_left_out() -> None:
    assert "tool_choice" not in body(tool_choice=ToolChoice("required"), parallel_tool_calls=False)


@pytest.mark.covers("P44")
def test_calls_and_results_are_blocks() -> None:
    image = Media("image", "image/png", PIXEL)
    results = (RESULT, ToolResult("toolu_2", "g", (Text("see"), image), is_error=True), ToolResult("toolu_3", "h", ()))
    calls = (CALL, ToolCall("toolu_2", "g", "{}"), ToolCall("toolu_3", "h", "{}"))
    sent = messages(HI, turn("assistant", *calls), turn("user", *results, Text("so?")))
    assert sent[1][1][0] == {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": 1}}
    assert sent[2][1] == [
        {"type": "tool_result", "tool_use_id": "toolu_1", "content": "ok"},
        {
            "type": "tool_result",
            "tool_use_id": "toolu_2",
            "content": [
                text("see"),
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}},
            ],
            "is_error": True,
        },
        {"type": "tool_result", "tool_use_id": "toolu_3"},
        text("so?"),
    ]


@pytest.mark.covers("P80")
def test_arguments_are_an_object_whose_numbers_stay() -> None:
    call = ToolCall("toolu_1", "f", '{"x":1.0,"id":1152921504606846976}')
    sent = outbound(HI, turn("assistant", call), turn("user", RESULT))
    assert b'"input":{"x":1.0,"id":1152921504606846976}' in sent.body


@pytest.mark.covers("P51")
def test_names_that_the_service_refuses_are_changed_and_remembered() -> None:
    name = "files/read.all"
    call = turn("assistant", ToolCall("toolu_1", name, "{}"))
    sent = outbound(HI, call, turn("user", RESULT), tools=(Tool(name),), tool_choice=ToolChoice("required", (name,)))
    (changed,) = sent.tool_names
    found = json.loads(sent.body)
    assert sent.tool_names[changed] == name
    assert found["tools"][0]["name"] == found["tool_choice"]["name"] == found["messages"][1]["content"][0]["name"]


def test_ids_that_the_service_refuses_change_alike_on_call_and_result() -> None:
    calls = (ToolCall("call:1", "f", "{}"), ToolCall("call.1", "f", "{}"))
    results = (ToolResult("call:1", "f", ()), ToolResult("call.1", "f", ()))
    sent = messages(HI, turn("assistant", *calls), turn("user", *results))
    ids = [block["id"] for block in sent[1][1]]
    assert ids == [block["tool_use_id"] for block in sent[2][1]]
    assert len(set(ids)) == 2


# --- reasoning


def sealed(origin: str, form: Any = "reasoning") -> Reasoning:
    return Reasoning("Hm." if form == "reasoning" else "", Sealed(origin, "c2ln", form))


@pytest.mark.covers("T21", "P82", "P84")
def test_thinking_goes_back_to_whoever_sealed_it() -> None:
    sent = messages(HI, turn("assistant", sealed("lab"), sealed("lab", "redacted"), Text("Yes.")), HI)
    assert sent[1][1] == [
        {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"},
        {"type": "redacted_thinking", "data": "c2ln"},
        text("Yes."),
    ]


@pytest.mark.covers("T21")
@pytest.mark.parametrize("part", [sealed("other"), sealed("lab", "tool_call"), Reasoning("Hm.")])
def test_thinking_without_a_seal_of_this_provider_is_dropped(part: Reasoning) -> None:
    sent = outbound(HI, turn("assistant", part, Text("Yes.")), HI)
    assert json.loads(sent.body)["messages"][1]["content"] == [text("Yes.")]
    assert sent.dropped == ("reasoning",)


@pytest.mark.parametrize(
    ("reasoning", "thinking", "effort"),
    [
        (ReasoningAsk("none"), {"type": "disabled"}, None),
        (ReasoningAsk("minimal"), {"type": "adaptive"}, "low"),
        (ReasoningAsk("max", show=True), {"type": "adaptive", "display": "summarized"}, "max"),
        (ReasoningAsk(None, 8192, False), {"type": "adaptive", "display": "omitted"}, "medium"),
        (ReasoningAsk(None, -1), {"type": "adaptive"}, None),
        (ReasoningAsk(), {"type": "adaptive"}, None),
    ],
)
def test_thinking_by_effort(reasoning: ReasoningAsk, thinking: Any, effort: str | None) -> None:
    sent = body(reasoning=reasoning)
    assert sent["thinking"] == thinking
    assert sent.get("output_config", {}).get("effort") == effort


@pytest.mark.covers("P54")
@pytest.mark.parametrize(
    ("reasoning", "limit", "thinking"),
    [
        (ReasoningAsk("none"), 32000, {"type": "disabled"}),
        (ReasoningAsk(None, 0), 32000, {"type": "disabled"}),
        (ReasoningAsk("high"), 32000, {"type": "enabled", "budget_tokens": 24576}),
        (ReasoningAsk("high"), 8000, {"type": "enabled", "budget_tokens": 4000}),
        (ReasoningAsk(None, 100, True), 1500, {"type": "enabled", "budget_tokens": 1024, "display": "summarized"}),
        (ReasoningAsk(None, -1), 32000, {"type": "enabled", "budget_tokens": 8192}),
        (ReasoningAsk("low"), 1024, None),
    ],
)
def test_thinking_by_budget(reasoning: ReasoningAsk, limit: int, thinking: Any) -> None:
    assert body(target=BUDGET, reasoning=reasoning, max_output=limit).get("thinking") == thinking


def test_a_forced_call_rules_out_a_budget_but_not_an_effort() -> None:
    fields: dict[str, Any] = {"tools": TOOLS, "tool_choice": ToolChoice("required"), "reasoning": ReasoningAsk("high")}
    sent = outbound(target=BUDGET, **fields)
    assert "thinking" not in json.loads(sent.body)
    assert sent.dropped == ("reasoning_effort",)
    assert body(**fields)["thinking"] == {"type": "adaptive"}


def test_a_tool_loop_without_its_thinking_goes_on_without() -> None:
    bare = (HI, turn("assistant", CALL), turn("user", RESULT))
    kept = (HI, turn("assistant", sealed("lab"), CALL), turn("user", RESULT))
    fields: dict[str, Any] = {"target": BUDGET, "reasoning": ReasoningAsk("low"), "tools": TOOLS}
    assert "thinking" not in body(*bare, **fields)
    assert "thinking" not in body(HI, HELLO, **fields)
    assert body(*kept, **fields)["thinking"]["type"] == "enabled"
    assert body(*bare, HELLO, HI, **fields)["thinking"]["type"] == "enabled"


# --- sampling, format


@pytest.mark.covers("P55", "P38")
def test_sampling_takes_the_older_version() -> None:
    sent = outbound(temperature=0.5, top_p=0.9, top_k=40)
    found = json.loads(sent.body)
    assert (found["temperature"], found["top_p"], found["top_k"]) == (0.5, 0.9, 40)
    assert sent.headers == {"anthropic-version": "2023-06-01"}


def test_temperature_ends_at_one() -> None:
    sent = outbound(temperature=1.7)
    assert json.loads(sent.body)["temperature"] == 1
    assert sent.dropped == ("temperature",)


@pytest.mark.covers("P55")
@pytest.mark.parametrize(
    ("target", "reasoning"),
    [
        (EFFORT, ReasoningAsk("low")),
        (BUDGET, ReasoningAsk("low")),
        (Target("lab", "m", ModelFacts(sampling=False)), None),
    ],
)
def test_a_model_that_thinks_or_takes_no_sampling_gets_none(target: Target, reasoning: ReasoningAsk | None) -> None:
    sent = outbound(target=target, reasoning=reasoning, temperature=0.5, top_k=3)
    assert not {"temperature", "top_k"} & json.loads(sent.body).keys()
    assert sent.dropped == ("temperature", "top_k")
    assert sent.headers == {"anthropic-version": "2026-10-21"}


def test_a_schema_is_closed_at_every_level() -> None:
    inner = {"type": "object", "properties": {"properties": {"type": "string"}}}
    schema = {"type": "object", "properties": {"a": {"anyOf": [inner, {"type": "null"}]}, "b": {"items": inner}}}
    closed = {**inner, "additionalProperties": False}
    assert body(output_format=OutputFormat(schema), reasoning=ReasoningAsk("low"))["output_config"] == {
        "effort": "low",
        "format": {
            "type": "json_schema",
            "schema": {
                "type": "object",
                "properties": {"a": {"anyOf": [closed, {"type": "null"}]}, "b": {"items": closed}},
                "additionalProperties": False,
            },
        },
    }


def test_json_without_a_schema_is_refused() -> None:
    assert refused(output_format=OutputFormat()) == "response_format"


# --- both directions

BLANK_OR_NOT = st.text(max_size=5)
TURNS = st.lists(
    st.one_of(
        st.builds(Turn, st.just("system"), st.tuples(st.builds(Text, BLANK_OR_NOT))),
        st.builds(Turn, st.sampled_from(["user", "assistant"]), st.tuples(st.builds(Text, BLANK_OR_NOT))),
        st.just(turn("assistant", CALL)),
    ),
    max_size=6,
).map(lambda turns: [answered for each in turns for answered in (each, *_results(each))])


def _results(each: Turn) -> tuple[Turn, ...]:
    return (turn("user", RESULT),) if CALL in each.parts else ()


@pytest.mark.covers("P40", "P41", "P42", "P44")
@given(TURNS, st.booleans())
def test_any_conversation_is_one_that_the_service_takes(turns: list[Turn], mid_system: bool) -> None:
    settled = settle([HI, *turns], "messages")
    sent = messages(*settled, target=Target("lab", "m", ModelFacts(mid_system=mid_system)))
    roles = [role for role, _ in sent if role != "system"]
    assert roles[0] == "user"
    assert mid_system or all(one != other for one, other in pairwise(roles))
    for _, content in sent:
        assert content
        assert all(block["text"].strip() for block in content if block["type"] == "text")
        types = [block["type"] for block in content]
        assert types == sorted(types, key=lambda type_: type_ != "tool_result")
    for (_, content), (role, following) in pairwise(sent):
        if content[-1]["type"] == "tool_use":
            assert role == "user"
            assert following[0]["type"] == "tool_result"
