"""What a client of Chat Completions means, and what it is told if it cannot be served."""

import json
from typing import Any

import pytest

from penstock.core import envelope
from penstock.core.errors import ClientFault, ErrorInfo
from penstock.core.events import Sealed
from penstock.core.request import (
    Ask,
    Media,
    OutputFormat,
    Part,
    Reasoning,
    ReasoningAsk,
    Refusal,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Turn,
)
from penstock.protocols.base import Inbound
from penstock.protocols.openai_chat import PROTOCOL

USER = {"role": "user", "content": "hi"}
WEATHER = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}
PIXEL = "iVBORw0KGgo="


def opened(body: bytes) -> Inbound:
    return PROTOCOL.open_request(body, None, {})


def ask(*messages: dict[str, Any], **fields: Any) -> Ask:
    body = {"model": "lab/x", "messages": list(messages) or [USER], **fields}
    return PROTOCOL.read_request(opened(json.dumps(body).encode()))


def refusal(*messages: dict[str, Any], **fields: Any) -> ErrorInfo:
    with pytest.raises(ClientFault) as fault:
        ask(*messages, **fields)
    assert fault.value.info.kind == "invalid_request"
    return fault.value.info


def parts(*messages: dict[str, Any]) -> tuple[Part, ...]:
    return ask(*messages).turns[-1].parts


def calling(*calls: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"role": "assistant", "tool_calls": list(calls), **fields}


def call(id_: str, arguments: str | None = "{}") -> dict[str, Any]:
    return {"id": id_, "type": "function", "function": {"name": "f", "arguments": arguments}}


def result(id_: str, content: Any = "ok") -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": id_, "content": content}


# --- the envelope --------------------------------------------------------------------------------------------------


def test_the_envelope_tells_model_stream_and_usage() -> None:
    body = b'{"model":"lab/x","stream":true,"stream_options":{"include_usage":true},"messages":[]}'
    inbound = PROTOCOL.open_request(body, None, {"user-agent": "x"})
    assert (inbound.model, inbound.stream, inbound.include_usage) == ("lab/x", True, True)
    assert inbound.headers == {"user-agent": "x"}


@pytest.mark.covers("P26", "T4")
@pytest.mark.parametrize("options", ["", ',"stream":null', ',"stream":false,"stream_options":null'])
def test_streams_and_usage_are_off_unless_asked_for(options: str) -> None:
    inbound = opened(b'{"model":"x"%s}' % options.encode())
    assert not inbound.stream
    assert not inbound.include_usage


@pytest.mark.covers("P64")
@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b"[]", None),
        (b'{"model":', None),
        (b'{"model":"\xff"}', None),
        (b'{"model":"x","x":' + b"[" * 10_000, None),
        (b'{"model":"x","model":"y"}', "model"),
        (b'{"model":"x","seed":' + b"9" * 400 + b"}", None),
        (b"{}", "model"),
        (b'{"model":""}', "model"),
        (b'{"model":5}', "model"),
        (b'{"model":"x","stream":"yes"}', "stream"),
        (b'{"model":"x","stream_options":[]}', "stream_options"),
        (b'{"model":"x","stream_options":{"include_usage":1}}', "stream_options.include_usage"),
    ],
)
def test_a_body_that_is_no_request_is_refused_with_the_place(body: bytes, param: str | None) -> None:
    with pytest.raises(ClientFault) as fault:
        opened(body)
    assert (fault.value.info.kind, fault.value.info.param) == ("invalid_request", param)


# --- messages ------------------------------------------------------------------------------------------------------


@pytest.mark.covers("P43")
def test_system_messages_stay_where_they_are_under_both_names() -> None:
    turns = ask(
        {"role": "system", "content": "Be brief."},
        {"role": "developer", "content": [{"type": "text", "text": "Be kind."}]},
        USER,
        {"role": "system", "content": "Now in French."},
    ).turns
    assert turns == (
        Turn("system", (Text("Be brief."), Text("Be kind."))),
        Turn("user", (Text("hi"),)),
        Turn("system", (Text("Now in French."),)),
    )


@pytest.mark.covers("P40", "P42", "P43")
def test_neighbours_are_merged_and_empty_messages_left_out() -> None:
    turns = ask(
        {"role": "system", "content": ""},
        USER,
        {"role": "assistant", "content": ""},
        {"role": "user", "content": [{"type": "text", "text": ""}, {"type": "text", "text": "there"}]},
        {"role": "assistant", "content": None},
    ).turns
    assert turns == (Turn("user", (Text("hi"), Text("there"))),)


@pytest.mark.covers("P60")
def test_images_by_address_and_by_content() -> None:
    urls = [
        {"url": "https://example.com/a.png", "detail": "low"},
        {"url": f"data:image/jpg;charset=utf-8;base64,{PIXEL[:4]}\n {PIXEL[4:]}"},
    ]
    message = {"role": "user", "content": [{"type": "image_url", "image_url": url} for url in urls]}
    assert parts(message) == (
        Media("image", url="https://example.com/a.png", detail="low"),
        Media("image", "image/jpeg", PIXEL),
    )


def test_documents_and_sounds() -> None:
    file = {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0="}
    message = {
        "role": "user",
        "content": [
            {"type": "file", "file": file},
            {"type": "input_audio", "input_audio": {"data": "UklGRg", "format": "mp3"}},
        ],
    }
    assert parts(message) == (
        Media("document", "application/pdf", "JVBERi0=", name="a.pdf"),
        Media("audio", "audio/mpeg", "UklGRg=="),
    )


@pytest.mark.covers("P44", "P45")
def test_results_stand_first_in_the_users_turn_in_the_order_of_their_calls() -> None:
    turns = ask(USER, calling(call("a"), call("b")), result("b", [{"type": "text", "text": "B"}]), result("a"), USER)
    assert turns.turns[1] == Turn("assistant", (ToolCall("a", "f", "{}"), ToolCall("b", "f", "{}")))
    assert turns.turns[2].parts == (
        ToolResult("a", "f", (Text("ok"),)),
        ToolResult("b", "f", (Text("B"),)),
        Text("hi"),
    )


@pytest.mark.covers("P50")
@pytest.mark.parametrize("content", ["", None, []])
def test_a_result_may_be_empty(content: Any) -> None:
    assert parts(USER, calling(call("a")), result("a", content)) == (ToolResult("a", "f", ()),)


@pytest.mark.covers("P47")
def test_a_result_without_call_and_a_call_without_result_are_refused_by_their_id() -> None:
    assert "'stray'" in refusal(USER, result("stray")).message
    assert "'open'" in refusal(USER, calling(call("open")), USER).message


@pytest.mark.covers("P48")
@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("", "{}"),
        ("null", "{}"),
        (" ", "{}"),
        (None, "{}"),
        ('{"a": 1.0}', '{"a":1.0}'),
        ('{"a": tru', r'{"_raw":"{\"a\": tru"}'),
        ("[1]", '{"_raw":"[1]"}'),
        ("[" * 5000, json.dumps({"_raw": "[" * 5000}, separators=(",", ":"))),
    ],
)
def test_arguments_become_an_object(given: str | None, read: str) -> None:
    turns = ask(USER, calling(call("a", given)), result("a")).turns
    assert turns[1].parts == (ToolCall("a", "f", read),)


def test_an_earlier_answer_keeps_its_thoughts_words_and_refusal() -> None:
    answer = {
        "role": "assistant",
        "reasoning_content": "hm",
        "content": [{"type": "text", "text": "a"}, {"type": "refusal", "refusal": "b"}],
        "refusal": "c",
    }
    assert ask(USER, answer).turns[1].parts == (Reasoning("hm"), Text("a"), Refusal("b"), Refusal("c"))


@pytest.mark.covers("T21")
def test_seals_come_out_of_their_envelopes_and_what_is_no_envelope_has_no_origin() -> None:
    sealed, hidden = Sealed("rival", "c2ln"), Sealed("rival", "ZW5j", "redacted")
    details = [
        {"type": "reasoning.text", "text": "one", "signature": envelope.wrap(sealed), "index": 0},
        {"type": "reasoning.encrypted", "data": envelope.wrap(hidden), "index": 1},
        {"type": "reasoning.text", "text": "two", "signature": "c29tZWJvZHk=", "index": 2},
        {"type": "reasoning.encrypted", "data": "c29tZWJvZHk=", "index": 3},
    ]
    answer = {"role": "assistant", "content": "x", "reasoning_content": "onetwo", "reasoning_details": details}
    assert ask(USER, answer).turns[1].parts == (
        Reasoning("one", sealed),
        Reasoning("", hidden),
        Reasoning("two"),
        Reasoning(""),
        Text("x"),
    )


@pytest.mark.covers("T21")
def test_seals_of_calls_and_text_stand_beside_them_again() -> None:
    on_call, on_text = Sealed("rival", "Y2FsbA==", "tool_call"), Sealed("rival", "dGV4dA==", "text")
    details = [{"type": "reasoning.encrypted", "data": envelope.wrap(seal)} for seal in (on_call, on_text)]
    answer = calling(call("a"), call("b"), content="x", reasoning_details=details)
    assert ask(USER, answer, result("a"), result("b")).turns[1].parts == (
        Text("x"),
        Reasoning("", on_text),
        Reasoning("", on_call),
        ToolCall("a", "f", "{}"),
        ToolCall("b", "f", "{}"),
    )


@pytest.mark.parametrize(
    ("message", "param"),
    [
        ({"role": "robot", "content": "x"}, "messages[0].role"),
        ({"content": "x"}, "messages[0]"),
        ({"role": "user"}, "messages[0]"),
        ({"role": "user", "content": 5}, "messages[0].content"),
        ({"role": "function", "name": "f", "content": "x"}, "messages[0].role"),
        ({"role": "user", "content": [{"type": "video"}]}, "messages[0].content[0].type"),
        ({"role": "user", "content": [{"type": "image_url", "image_url": "x"}]}, "messages[0].content[0].image_url"),
        (
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "file:///etc/passwd"}}]},
            "messages[0].content[0].image_url.url",
        ),
        (
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:text/html;base64,eA=="}}]},
            "messages[0].content[0].image_url.url",
        ),
        (
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,%%%"}}]},
            "messages[0].content[0].image_url.url",
        ),
        (
            {"role": "user", "content": [{"type": "file", "file": {"file_id": "f"}}]},
            "messages[0].content[0].file.file_id",
        ),
        ({"role": "user", "content": [{"type": "file", "file": {}}]}, "messages[0].content[0].file.file_data"),
        (
            {"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "eA==", "format": "ogg"}}]},
            "messages[0].content[0].input_audio.format",
        ),
        (calling({"id": "a", "type": "custom"}), "messages[0].tool_calls[0]"),
        (calling({"id": "", "type": "function", "function": {"name": "f"}}), "messages[0].tool_calls[0].id"),
        ({"role": "assistant", "audio": {"id": "a"}}, "messages[0].audio"),
        ({"role": "assistant", "function_call": {"name": "f", "arguments": "{}"}}, "messages[0].function_call"),
        ({"role": "tool", "content": "x"}, "messages[0]"),
    ],
)
def test_a_message_that_cannot_be_read_is_refused_with_its_place(message: dict[str, Any], param: str) -> None:
    assert refusal(message).param == param


@pytest.mark.covers("P43")
def test_a_conversation_may_be_instructions_alone() -> None:
    assert ask({"role": "system", "content": "Greet me."}).turns == (Turn("system", (Text("Greet me."),)),)


@pytest.mark.parametrize("messages", [[], [{"role": "user", "content": ""}]])
def test_a_conversation_needs_a_message(messages: list[dict[str, Any]]) -> None:
    with pytest.raises(ClientFault) as fault:
        PROTOCOL.read_request(opened(json.dumps({"model": "x", "messages": messages}).encode()))
    assert fault.value.info.param == "messages"


def test_messages_must_be_given() -> None:
    with pytest.raises(ClientFault, match="`messages` is missing"):
        PROTOCOL.read_request(opened(b'{"model":"x"}'))


# --- tools ---------------------------------------------------------------------------------------------------------


def test_tools() -> None:
    full = {"name": "g", "description": "d", "parameters": {"type": "object", "x": 1.0}, "strict": True}
    tools = [{"type": "function", "function": full}, {"type": "function", "function": {"name": "now"}}]
    assert ask(tools=tools).tools == (Tool("g", "d", {"type": "object", "x": 1.0}, True), Tool("now"))


@pytest.mark.parametrize(
    ("choice", "read"),
    [
        ("auto", ToolChoice("auto")),
        ("none", ToolChoice("none")),
        ("required", ToolChoice("required")),
        ({"type": "function", "function": {"name": "get_weather"}}, ToolChoice("required", ("get_weather",))),
        (
            {
                "type": "allowed_tools",
                "allowed_tools": {"mode": "auto", "tools": [{"type": "function", "function": {"name": "get_weather"}}]},
            },
            ToolChoice("auto", ("get_weather",)),
        ),
    ],
)
def test_every_form_of_tool_choice(choice: Any, read: ToolChoice) -> None:
    assert ask(tools=[WEATHER], tool_choice=choice, parallel_tool_calls=False).tool_choice == read


@pytest.mark.covers("P53")
def test_a_tool_choice_without_tools_is_dropped_by_name() -> None:
    asked = ask(tools=[], tool_choice="required", parallel_tool_calls=True)
    assert (asked.tool_choice, asked.parallel_tool_calls) == (None, None)
    assert asked.dropped == ("tool_choice",)


CUSTOM = {"type": "custom", "custom": {"name": "sql"}}


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tools": [{"type": "custom", "custom": {"name": ""}}]}, "tools[0].custom.name"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
        ({"tools": [{"type": "function", "function": {"name": ""}}]}, "tools[0].function.name"),
        ({"tools": [WEATHER], "tool_choice": CUSTOM}, "tool_choice"),
        ({"tools": [WEATHER], "tool_choice": "sometimes"}, "tool_choice"),
        ({"tools": [WEATHER], "tool_choice": {"type": "function", "function": {"name": "other"}}}, "tool_choice"),
        (
            {
                "tools": [WEATHER],
                "tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [CUSTOM]}},
            },
            "tool_choice",
        ),
    ],
)
def test_tools_that_cannot_be_expressed_are_refused_with_their_place(fields: dict[str, Any], param: str) -> None:
    assert refusal(**fields).param == param


# --- everything else -----------------------------------------------------------------------------------------------


def test_sampling_limits_and_user() -> None:
    asked = ask(
        temperature=0.5, top_p=0.9, top_k=40, seed=7, frequency_penalty=1, presence_penalty=-1.5,
        stop=["a", "b"], reasoning_effort="low", verbosity="high", user="u", stream=True,
    )  # fmt: skip
    assert asked == Ask(
        "lab/x", (Turn("user", (Text("hi"),)),), stream=True,
        temperature=0.5, top_p=0.9, top_k=40, seed=7, frequency_penalty=1, presence_penalty=-1.5,
        stop=("a", "b"), reasoning=ReasoningAsk(effort="low"), verbosity="high", user="u",
    )  # fmt: skip


@pytest.mark.covers("P39")
def test_the_newer_name_wins() -> None:
    asked = ask(max_tokens=10, max_completion_tokens=20, user="old", safety_identifier="new")
    assert (asked.max_output, asked.user) == (20, "new")
    assert ask(max_tokens=10).max_output == 10


def test_one_stop_sequence_may_be_a_string() -> None:
    assert ask(stop="\n").stop == ("\n",)


@pytest.mark.parametrize(
    ("format_", "read"),
    [
        (None, None),
        ({"type": "text"}, None),
        ({"type": "json_object"}, OutputFormat()),
        (
            {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}, "strict": True}},
            OutputFormat({"type": "object"}, "n", None, True),
        ),
    ],
)
def test_output_formats(format_: Any, read: OutputFormat | None) -> None:
    assert ask(response_format=format_).output_format == read


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("temperature", "hot"),
        ("max_tokens", 0),
        ("max_completion_tokens", 1.5),
        ("stop", 5),
        ("seed", "x"),
        ("reasoning_effort", "enormous"),
        ("verbosity", "none"),
        ("response_format", "json"),
        ("parallel_tool_calls", 1),
        ("tools", {}),
        ("n", 0),
        ("logprobs", 1),
        ("top_logprobs", -1),
        ("metadata", "x"),
    ],
)
def test_a_field_of_the_wrong_shape_is_refused_by_name(field: str, value: Any) -> None:
    assert refusal(**{field: value}).param == field


@pytest.mark.covers("P57")
@pytest.mark.parametrize(
    ("field", "value", "harmless"),
    [
        ("logit_bias", {"50256": -100}, {}),
        ("modalities", ["text", "audio"], ["text"]),
        ("audio", {"voice": "ash", "format": "mp3"}, None),
        ("prediction", {"type": "content", "content": "x"}, None),
        ("web_search_options", {}, None),
        ("functions", [{"name": "f"}], []),
        ("function_call", "auto", None),
        ("moderation", {"model": "omni-moderation-latest"}, None),
    ],
)
def test_what_would_change_the_answer_is_refused_unless_it_asks_for_nothing(
    field: str, value: Any, harmless: Any
) -> None:
    info = refusal(**{field: value})
    assert (info.param, info.code) == (field, "unsupported_parameter")
    assert ask(**{field: harmless}).dropped == ()


@pytest.mark.covers("P62")
def test_hints_and_unknown_fields_are_dropped_by_name() -> None:
    fields = {"store": True, "prompt_cache_retention": "24h", "enable_thing": 1}
    assert ask(**fields, moderation=None).dropped == ("store", "prompt_cache_retention", "enable_thing")


def test_hints_inside_messages_are_dropped_by_name() -> None:
    assert ask({"role": "user", "name": "ann", "content": "x"}).dropped == ("messages.name",)


def test_several_answers_tier_cache_key_and_notes() -> None:
    asked = ask(n=3, service_tier="flex", prompt_cache_key="k", metadata={"a": "b"})
    assert (asked.choices, asked.service_tier, asked.cache_key, asked.metadata) == (3, "flex", "k", {"a": "b"})
    assert asked.dropped == ()
    assert ask(n=1) == ask()


def test_notes_that_are_no_text_are_dropped() -> None:
    asked = ask(metadata={"a": "b", "tags": ["x"]})
    assert (asked.metadata, asked.dropped) == ({"a": "b"}, ("metadata",))


@pytest.mark.parametrize(
    ("fields", "read"),
    [
        ({}, None),
        ({"logprobs": False, "top_logprobs": 0}, None),
        ({"logprobs": True}, 0),
        ({"logprobs": True, "top_logprobs": 5}, 5),
    ],
)
def test_log_probabilities(fields: dict[str, Any], read: int | None) -> None:
    assert ask(**fields).logprobs == read


def test_alternatives_without_log_probabilities_are_a_mistake() -> None:
    assert refusal(top_logprobs=5).param == "top_logprobs"


# --- custom tools ----------------------------------------------------------------------------------------------------

GRAMMAR = {"type": "grammar", "grammar": {"syntax": "lark", "definition": "start: WORD"}}


def test_custom_tools_and_the_choice_of_one() -> None:
    shaped = {"type": "custom", "custom": {"name": "patch", "description": "d", "format": GRAMMAR}}
    free = {"type": "custom", "custom": {"name": "sql", "format": {"type": "text"}}}
    asked = ask(tools=[shaped, free], tool_choice=CUSTOM)
    assert asked.tools == (Tool("patch", "d", kind="custom", grammar=GRAMMAR), Tool("sql", kind="custom"))
    assert asked.tool_choice == ToolChoice("required", ("sql",))


def test_a_call_of_a_custom_tool_keeps_its_text_and_its_result_knows_what_it_answers() -> None:
    called = {"id": "a", "type": "custom", "custom": {"name": "sql", "input": "SELECT 1;\n"}}
    turns = ask(USER, calling(called), result("a")).turns
    assert turns[1].parts == (ToolCall("a", "sql", "SELECT 1;\n", "custom"),)
    assert turns[2].parts == (ToolResult("a", "sql", (Text("ok"),), kind="custom"),)


# --- media in results, and marks for the prompt cache ----------------------------------------------------------------


def test_images_in_the_result_of_a_tool() -> None:
    image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}}
    assert parts(USER, calling(call("a")), result("a", [{"type": "text", "text": "seen"}, image])) == (
        ToolResult("a", "f", (Text("seen"), Media("image", "image/png", PIXEL))),
    )


def test_a_document_by_address() -> None:
    file = {"filename": "a.pdf", "file_data": "https://example.com/a.pdf"}
    message = {"role": "user", "content": [{"type": "file", "file": file}]}
    assert parts(message) == (Media("document", url="https://example.com/a.pdf", name="a.pdf"),)


EPHEMERAL = {"type": "ephemeral"}


@pytest.mark.parametrize(
    ("mark", "cache"),
    [
        ({"cache_control": EPHEMERAL}, "5m"),
        ({"cache_control": {**EPHEMERAL, "ttl": "1h"}}, "1h"),
        ({"prompt_cache_breakpoint": {"mode": "explicit"}}, "5m"),
        ({"prompt_cache_breakpoint": {"mode": "explicit", "ttl": "30m"}}, "5m"),
        ({"prompt_cache_breakpoint": {"mode": "explicit", "ttl": "12h"}}, "1h"),
    ],
)
def test_a_mark_on_a_part_in_both_spellings(mark: dict[str, Any], cache: Any) -> None:
    asked = ask({"role": "user", "content": [{"type": "text", "text": "x", **mark}, {"type": "text", "text": "y"}]})
    assert asked.turns[0].parts == (Text("x", cache), Text("y"))
    assert asked.dropped == ()


def test_a_mark_on_a_message_is_one_on_its_last_part() -> None:
    two = [{"type": "text", "text": "x"}, {"type": "text", "text": "y"}]
    turns = ask(
        {"role": "system", "content": "s", "cache_control": EPHEMERAL},
        {"role": "user", "content": two, "cache_control": EPHEMERAL},
        calling(call("a"), call("b"), content="z", cache_control=EPHEMERAL),
        {**result("a"), "cache_control": EPHEMERAL},
        result("b", [{"type": "text", "text": "ok", "cache_control": EPHEMERAL}]),
    ).turns
    assert turns[0].parts == (Text("s", "5m"),)
    assert turns[1].parts == (Text("x"), Text("y", "5m"))
    assert turns[2].parts == (Text("z"), ToolCall("a", "f", "{}"), ToolCall("b", "f", "{}", cache="5m"))
    assert turns[3].parts == (
        ToolResult("a", "f", (Text("ok"),), cache="5m"),
        ToolResult("b", "f", (Text("ok"),), cache="5m"),
    )


def test_a_mark_beside_the_messages_is_one_at_their_end() -> None:
    asked = ask({"role": "user", "content": "x"}, cache_control=EPHEMERAL)
    assert asked.turns[0].parts == (Text("x", "5m"),)


def test_a_mark_on_a_tool() -> None:
    assert ask(tools=[{**WEATHER, "cache_control": EPHEMERAL}]).tools[0].cache == "5m"
