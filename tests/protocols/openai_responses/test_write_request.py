"""An Ask as a provider of the Responses API gets it."""

import json
from typing import Any

import pytest

from penstock.core.errors import ClientFault
from penstock.core.events import Sealed
from penstock.core.request import (
    Ask,
    Effort,
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
from penstock.protocols.base import ModelFacts, Outbound, Target
from penstock.protocols.openai_responses import PROTOCOL

TARGET = Target("lab", "m-1")
NO_SAMPLING = Target("lab", "m-1", ModelFacts(sampling=False))
HI = Turn("user", (Text("hi"),))
CALL = ToolCall("call_1", "f", '{"a":1}')
QUERY = ToolCall("call_2", "query", "SELECT 1", "custom")
SEALED = Reasoning("Hm.", Sealed("lab", "gAAA"))
TOOLS = (Tool("f"), Tool("g"), Tool("query", kind="custom"))


def turn(role: Role, *parts: Part) -> Turn:
    return Turn(role, parts)


def outbound(*turns: Turn, target: Target = TARGET, **fields: Any) -> Outbound:
    return PROTOCOL.write_request(Ask("lab/m", turns or (HI,), **fields), target)


def body(*turns: Turn, target: Target = TARGET, **fields: Any) -> dict[str, Any]:
    return json.loads(outbound(*turns, target=target, **fields).body)


def items(*turns: Turn) -> list[dict[str, Any]]:
    return body(*turns)["input"]


def message(role: str, content: Any) -> dict[str, Any]:
    return {"type": "message", "role": role, "content": content}


def refused(*turns: Turn, **fields: Any) -> str | None:
    with pytest.raises(ClientFault) as caught:
        outbound(*turns, **fields)
    assert caught.value.info.kind == "invalid_request"
    return caught.value.info.param


# --- envelope


def test_the_least_that_can_be_asked() -> None:
    sent = outbound()
    assert sent.path == "/responses"
    assert sent.headers == {}
    assert sent.dropped == ()
    assert json.loads(sent.body) == {
        "model": "m-1",
        "input": [message("user", "hi")],
        "store": False,
        "include": ["reasoning.encrypted_content"],
    }


def test_a_stream_is_asked_for() -> None:
    assert body(stream=True)["stream"] is True


def test_a_provider_without_encrypted_reasoning_is_not_asked_for_it() -> None:
    assert "include" not in body(target=Target("lab", "m-1", quirks=frozenset({"no-encrypted-reasoning"})))


# --- conversation


def test_what_the_system_says_first_are_the_instructions() -> None:
    sent = body(turn("system", Text("Be nice."), Text("Be brief.")), HI)
    assert sent["instructions"] == "Be nice.\n\nBe brief."
    assert sent["input"] == [message("user", "hi")]


@pytest.mark.covers("P43")
def test_what_only_the_system_says_is_the_input() -> None:
    sent = body(turn("system", Text("Greet me.")))
    assert "instructions" not in sent
    assert sent["input"] == [message("system", "Greet me.")]


@pytest.mark.covers("P43")
def test_what_the_system_says_later_stays_where_it_was_said() -> None:
    assert items(HI, turn("system", Text("Now rhyme.")), HI) == [
        message("user", "hi"),
        message("system", "Now rhyme."),
        message("user", "hi"),
    ]


def test_what_the_model_said_is_one_string() -> None:
    assert items(HI, turn("assistant", Text("It "), Text("rains.")), HI)[1] == message("assistant", "It rains.")


@pytest.mark.covers("P42")
def test_empty_text_of_the_model_is_nothing() -> None:
    assert items(HI, turn("assistant", Text("")), HI) == [message("user", "hi"), message("user", "hi")]


def test_a_refusal_keeps_its_place_and_kind() -> None:
    assert items(HI, turn("assistant", Text("Well."), Refusal("No.")), HI)[1] == message(
        "assistant", [{"type": "output_text", "text": "Well."}, {"type": "refusal", "refusal": "No."}]
    )


def test_images_and_documents_are_parts_of_the_users_message() -> None:
    parts = (
        Text("Look:"),
        Media("image", "image/png", "iVBO"),
        Media("image", url="https://example.com/a.png", detail="low"),
        Media("document", "application/pdf", "JVBE", name="a.pdf"),
        Media("document", "text/plain", "aGk="),
        Media("document", url="https://example.com/a.pdf"),
    )
    assert items(turn("user", *parts)) == [
        message(
            "user",
            [
                {"type": "input_text", "text": "Look:"},
                {"type": "input_image", "image_url": "data:image/png;base64,iVBO", "detail": "auto"},
                {"type": "input_image", "image_url": "https://example.com/a.png", "detail": "low"},
                {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBE"},
                {"type": "input_file", "filename": "document.txt", "file_data": "data:text/plain;base64,aGk="},
                {"type": "input_file", "file_url": "https://example.com/a.pdf"},
            ],
        )
    ]


def test_sound_is_refused() -> None:
    assert refused(turn("user", Media("audio", "audio/wav", "UklG"))) == "messages"


def test_images_in_what_the_model_said_are_refused() -> None:
    assert refused(HI, turn("assistant", Media("image", "image/png", "iVBO")), HI) == "messages"


def test_a_conversation_of_which_nothing_is_left_is_refused() -> None:
    assert refused(turn("assistant", Reasoning("Hm."))) == "messages"


# --- calls and results


@pytest.mark.covers("P44", "P45")
def test_a_turn_with_calls_is_a_row_of_items() -> None:
    results = (ToolResult("call_1", "f", (Text("one"), Text("two"))), ToolResult("call_2", "query", (), kind="custom"))
    assert items(HI, turn("assistant", Text("Let me look."), CALL, QUERY), turn("user", *results, Text("Well?")))[
        1:
    ] == [
        message("assistant", "Let me look."),
        {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": '{"a":1}'},
        {"type": "custom_tool_call", "call_id": "call_2", "name": "query", "input": "SELECT 1"},
        {"type": "function_call_output", "call_id": "call_1", "output": "one\n\ntwo"},
        {"type": "custom_tool_call_output", "call_id": "call_2", "output": ""},
        message("user", "Well?"),
    ]


@pytest.mark.covers("P49")
def test_images_and_errors_in_results_are_told() -> None:
    image = Media("image", "image/png", "iVBO")
    sent = items(
        HI,
        turn("assistant", CALL, QUERY),
        turn(
            "user",
            ToolResult("call_1", "f", (Text("no"),), is_error=True),
            ToolResult("call_2", "query", (image,), is_error=True),
        ),
    )
    assert sent[-2]["output"] == "Error: no"
    assert sent[-1]["output"] == [
        {"type": "input_text", "text": "Error:"},
        {"type": "input_image", "image_url": "data:image/png;base64,iVBO", "detail": "auto"},
    ]


def test_ids_that_are_too_long_are_shortened_alike_in_call_and_result() -> None:
    call = ToolCall("c" * 200, "f", "{}")
    _, called, answered = items(HI, turn("assistant", call), turn("user", ToolResult(call.id, "f", (Text("ok"),))))
    assert called["call_id"] == answered["call_id"]
    assert len(called["call_id"]) == 64


@pytest.mark.covers("P51")
def test_names_that_the_service_refuses_are_mapped_and_can_be_mapped_back() -> None:
    sent = outbound(HI, turn("assistant", ToolCall("c", "a.b", "{}")), tools=(Tool("a.b"),))
    written = json.loads(sent.body)
    name = written["tools"][0]["name"]
    assert written["input"][1]["name"] == name
    assert sent.tool_names == {name: "a.b"}


# --- reasoning in the conversation


@pytest.mark.covers("T21")
def test_sealed_reasoning_goes_back_in_front_of_what_it_led_to() -> None:
    redacted = Reasoning("", Sealed("lab", "gBBB", "redacted"))
    assert items(HI, turn("assistant", SEALED, Text("Yes."), redacted, CALL))[1:] == [
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}], "encrypted_content": "gAAA"},
        message("assistant", "Yes."),
        {"type": "reasoning", "summary": [], "encrypted_content": "gBBB"},
        {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": '{"a":1}'},
    ]


@pytest.mark.parametrize(
    "thought",
    [
        Reasoning("Hm."),
        Reasoning("Hm.", Sealed("other", "gAAA")),
        Reasoning("", Sealed("lab", "gAAA", "tool_call")),
        Reasoning("", Sealed("lab", "gAAA", "text")),
    ],
)
@pytest.mark.covers("T21")
def test_reasoning_that_the_provider_did_not_seal_is_dropped(thought: Reasoning) -> None:
    sent = outbound(HI, turn("assistant", thought, Text("Yes.")), HI)
    assert json.loads(sent.body)["input"][1:2] == [message("assistant", "Yes.")]
    assert sent.dropped == ("reasoning",)


def test_reasoning_that_led_to_nothing_is_dropped() -> None:
    sent = outbound(HI, turn("assistant", Text("Yes."), SEALED), HI)
    assert [item["type"] for item in json.loads(sent.body)["input"]] == ["message", "message", "message"]
    assert sent.dropped == ("reasoning",)


# --- tools


def test_functions_are_flat_and_say_whether_they_are_strict() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    tools = (Tool("f", "Does it.", schema, strict=True), Tool("g", parameters=schema), Tool("h"))
    assert body(tools=tools)["tools"] == [
        {"type": "function", "name": "f", "description": "Does it.", "parameters": schema, "strict": True},
        {"type": "function", "name": "g", "parameters": schema, "strict": False},
        {"type": "function", "name": "h", "parameters": {"type": "object", "properties": {}}, "strict": False},
    ]


def test_custom_tools_are_custom_here_too() -> None:
    grammar = {"type": "grammar", "grammar": {"syntax": "regex", "definition": "SELECT .+"}}
    sent = outbound(tools=(Tool("query", "Asks.", kind="custom", grammar=grammar), Tool("note", kind="custom")))
    assert sent.custom_tools == frozenset()
    assert json.loads(sent.body)["tools"] == [
        {
            "type": "custom",
            "name": "query",
            "description": "Asks.",
            "format": {"type": "grammar", "syntax": "regex", "definition": "SELECT .+"},
        },
        {"type": "custom", "name": "note"},
    ]


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (ToolChoice("auto"), "auto"),
        (ToolChoice("none", ("f",)), "none"),
        (ToolChoice("required"), "required"),
        (ToolChoice("required", ("f",)), {"type": "function", "name": "f"}),
        (ToolChoice("required", ("query",)), {"type": "custom", "name": "query"}),
        (
            ToolChoice("auto", ("f", "query")),
            {
                "type": "allowed_tools",
                "mode": "auto",
                "tools": [{"type": "function", "name": "f"}, {"type": "custom", "name": "query"}],
            },
        ),
    ],
)
def test_the_choice_of_tools(choice: ToolChoice, expected: Any) -> None:
    assert body(tools=TOOLS, tool_choice=choice)["tool_choice"] == expected


@pytest.mark.covers("P52")
def test_one_call_at_a_time() -> None:
    assert body(tools=TOOLS, parallel_tool_calls=False)["parallel_tool_calls"] is False


# --- reasoning, sampling, format


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (ReasoningAsk("high"), {"effort": "high"}),
        (ReasoningAsk("high", show=True), {"effort": "high", "summary": "auto"}),
        (ReasoningAsk(budget=5000, show=True), {"effort": "medium", "summary": "auto"}),
        (ReasoningAsk("none", show=True), {"effort": "none"}),
        (ReasoningAsk(show=True), {"summary": "auto"}),
        (ReasoningAsk("low", show=False), {"effort": "low"}),
    ],
)
def test_how_much_to_think_and_whether_to_show_it(asked: ReasoningAsk, expected: dict[str, Effort]) -> None:
    assert body(reasoning=asked)["reasoning"] == expected


def test_a_wish_to_leave_all_to_the_model_says_nothing() -> None:
    assert "reasoning" not in body(reasoning=ReasoningAsk(budget=-1))


def test_sampling_goes_along_where_the_model_takes_it() -> None:
    sent = body(temperature=0.5, top_p=0.9)
    assert (sent["temperature"], sent["top_p"]) == (0.5, 0.9)
    refusing = outbound(target=NO_SAMPLING, temperature=0.5, top_p=0.9)
    assert refusing.dropped == ("temperature", "top_p")
    assert not {"temperature", "top_p"} & json.loads(refusing.body).keys()


def test_what_the_protocol_has_no_word_for_is_dropped_by_name() -> None:
    sent = outbound(top_k=3, seed=7, frequency_penalty=0.1, presence_penalty=0.2)
    assert sent.dropped == ("top_k", "seed", "frequency_penalty", "presence_penalty")


def test_marks_for_a_cache_are_dropped_by_name() -> None:
    assert outbound(turn("user", Text("hi", cache="5m"))).dropped == ("cache_control",)
    assert outbound(tools=(Tool("f", cache="1h"),)).dropped == ("cache_control",)


def test_the_gateway_cuts_at_stop_sequences() -> None:
    sent = outbound(stop=("END", "\n"))
    assert sent.stop == ("END", "\n")
    assert "stop" not in json.loads(sent.body)
    assert sent.dropped == ()


@pytest.mark.covers("P57")
def test_several_choices_are_refused() -> None:
    assert refused(choices=2) == "n"


@pytest.mark.parametrize(("limit", "sent", "dropped"), [(16, 16, ()), (4096, 4096, ()), (5, 16, ("max_tokens",))])
def test_a_limit_below_the_least_is_raised_to_it(limit: int, sent: int, dropped: tuple[str, ...]) -> None:
    request = outbound(max_output=limit)
    assert json.loads(request.body)["max_output_tokens"] == sent
    assert request.dropped == dropped


@pytest.mark.parametrize(("asked", "top"), [(0, None), (5, 5)])
def test_log_probabilities_must_be_included(asked: int, top: int | None) -> None:
    sent = body(logprobs=asked)
    assert sent["include"] == ["reasoning.encrypted_content", "message.output_text.logprobs"]
    assert sent.get("top_logprobs") == top


def test_json_and_verbosity_are_matters_of_text() -> None:
    schema = {"type": "object"}
    assert body(output_format=OutputFormat())["text"] == {"format": {"type": "json_object"}}
    assert body(output_format=OutputFormat(schema, "my answer", "As told.", strict=True), verbosity="low")["text"] == {
        "format": {
            "type": "json_schema",
            "name": "my_answer",
            "schema": schema,
            "description": "As told.",
            "strict": True,
        },
        "verbosity": "low",
    }


def test_hints_that_the_protocol_knows_go_along() -> None:
    sent = body(service_tier="flex", metadata={"team": "a"}, cache_key="k", user="u-1")
    assert (sent["service_tier"], sent["metadata"]) == ("flex", {"team": "a"})
    assert (sent["prompt_cache_key"], sent["safety_identifier"]) == ("k", "u-1")


# --- counting


def test_the_count_is_asked_for_with_the_fields_that_are_counted() -> None:
    assert PROTOCOL.counting is not None
    asked = PROTOCOL.counting.outbound(
        outbound(
            turn("system", Text("Be nice.")),
            HI,
            stream=True,
            tools=TOOLS[:1],
            reasoning=ReasoningAsk("low"),
            verbosity="low",
            max_output=100,
            temperature=1.0,
            metadata={"a": "b"},
        )
    )
    assert asked.path == "/responses/input_tokens"
    assert list(json.loads(asked.body)) == ["model", "instructions", "input", "tools", "reasoning", "text"]


def test_the_count_is_read() -> None:
    assert PROTOCOL.counting is not None
    assert PROTOCOL.counting.read_response(b'{"object":"response.input_tokens","input_tokens":11}') == 11
