"""What Gemini clients mean. The spellings are those that the SDKs send."""

import json
from typing import Any

import pytest

from penstock.core.envelope import wrap
from penstock.core.errors import ClientFault
from penstock.core.events import Sealed
from penstock.core.request import (
    Ask,
    Media,
    OutputFormat,
    Part,
    Reasoning,
    ReasoningAsk,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Turn,
)
from penstock.protocols.base import PathTarget
from penstock.protocols.gemini import PROTOCOL

HELLO = {"contents": [{"parts": [{"text": "hi"}], "role": "user"}]}
SEAL = Sealed("lab", "ErUB", "reasoning")


def read(body: object, **fields: Any) -> Ask:
    raw = body if isinstance(body, bytes) else json.dumps({**body, **fields}).encode()  # type: ignore[dict-item]
    return PROTOCOL.read_request(PROTOCOL.open_request(raw, PathTarget("fast", stream=True), {}))


def read_config(**config: Any) -> Ask:
    return read(HELLO, generationConfig=config)


def refused(body: object, **fields: Any) -> str | None:
    with pytest.raises(ClientFault) as caught:
        read(body, **fields)
    assert caught.value.info.kind == "invalid_request"
    return caught.value.info.param


def contents(*pairs: tuple[str, list[dict[str, Any]]]) -> dict[str, Any]:
    return {"contents": [{"role": role, "parts": parts} for role, parts in pairs]}


def model_parts(*parts: dict[str, Any]) -> tuple[Part, ...]:
    turns = read(contents(("user", [{"text": "go"}]), ("model", list(parts)))).turns
    return turns[1].parts if len(turns) > 1 else ()


def call(name: str, args: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    return {"functionCall": {"name": name, "args": args or {}, **fields}}


def response(name: str, value: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"functionResponse": {"name": name, "response": value, **fields}}


# --- the envelope ----------------------------------------------------------------------------------------------------


@pytest.mark.covers("P26")
@pytest.mark.parametrize("said", [True, False])
def test_the_path_names_model_and_mode_and_the_body_has_no_say(said: bool) -> None:
    body = json.dumps({**HELLO, "stream": said, "model": "another"}).encode()
    inbound = PROTOCOL.open_request(body, PathTarget("google/fast:8b", stream=False, array=True), {"x-a": "b"})
    assert (inbound.model, inbound.stream, inbound.array, inbound.headers) == (
        "google/fast:8b",
        False,
        True,
        {"x-a": "b"},
    )
    assert PROTOCOL.read_request(inbound) == Ask("google/fast:8b", (Turn("user", (Text("hi"),)),))


@pytest.mark.covers("P64")
@pytest.mark.parametrize("body", [b"", b"[]", b'{"contents":', b"\xff", b"[" * 10_000, b'{"contents":1,"contents":2}'])
def test_what_is_no_json_object_is_refused(body: bytes) -> None:
    refused(body)


# --- spelling --------------------------------------------------------------------------------------------------------


@pytest.mark.covers("P35")
def test_snake_case_means_the_same_as_camel_case() -> None:
    camel = {
        "contents": [
            {
                "role": "user",
                "parts": [
                    {"inlineData": {"mimeType": "image/png", "data": "iVBORw=="}},
                    {"fileData": {"fileUri": "https://example.com/y.pdf", "mimeType": "application/pdf"}},
                ],
            }
        ],
        "systemInstruction": {"parts": [{"text": "be nice"}]},
        "tools": [{"functionDeclarations": [{"name": "f", "parametersJsonSchema": {"type": "object"}}]}],
        "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}},
        "generationConfig": {
            "maxOutputTokens": 5,
            "thinkingConfig": {"includeThoughts": True, "thinkingLevel": "LOW"},
            "responseJsonSchema": {"type": "object"},
        },
    }
    snake = {
        "contents": [
            {
                "role": "user",
                "parts": [
                    {"inline_data": {"mime_type": "image/png", "data": "iVBORw=="}},
                    {"file_data": {"file_uri": "https://example.com/y.pdf", "mime_type": "application/pdf"}},
                ],
            }
        ],
        "system_instruction": {"parts": [{"text": "be nice"}]},
        "tools": [{"function_declarations": [{"name": "f", "parameters_json_schema": {"type": "object"}}]}],
        "tool_config": {"function_calling_config": {"mode": "any", "allowed_function_names": ["f"]}},
        "generation_config": {
            "max_output_tokens": 5,
            "thinking_config": {"include_thoughts": True, "thinking_level": "low"},
            "response_json_schema": {"type": "object"},
        },
    }
    assert read(snake) == read(camel)


@pytest.mark.covers("P35", "P36")
def test_the_callers_own_keys_keep_their_spelling() -> None:
    args = {"mime_type": "x", "nested": {"file_uri": [{"top_k": 1}]}}
    schema = {"type": "OBJECT", "properties": {"max_items": {"type": "ARRAY", "max_items": 3, "items": {}}}}
    ask = read(
        contents(
            ("user", [{"text": "go"}]),
            ("model", [call("f", args)]),
            ("function", [response("f", {"file_uri": "a", "mime_type": "b"})]),
        ),
        tools=[{"function_declarations": [{"name": "f", "parameters": schema}]}],
    )
    assert ask.turns[1].parts == (ToolCall("call_0", "f", json.dumps(args, separators=(",", ":"))),)
    assert ask.turns[2].parts == (ToolResult("call_0", "f", (Text('{"file_uri":"a","mime_type":"b"}'),)),)
    assert ask.tools[0].parameters == {
        "type": "object",
        "properties": {"max_items": {"type": "array", "maxItems": 3, "items": {}}},
    }


def test_one_key_in_both_spellings_is_refused() -> None:
    assert refused(HELLO, generationConfig={"topK": 1, "top_k": 2}) == "generationConfig.topK"


def test_a_list_may_come_as_its_only_element() -> None:
    body = {"contents": {"parts": {"text": "hi"}}, "system_instruction": {"parts": {"text": "purr"}}}
    assert read(body).turns == (Turn("system", (Text("purr"),)), Turn("user", (Text("hi"),)))


# --- contents --------------------------------------------------------------------------------------------------------


@pytest.mark.covers("P40")
def test_a_history_of_fragments_is_one_text() -> None:
    fragments = [("model", [{"text": text}]) for text in ("The ", "qu", "ick", "", " fox", ".")]
    ask = read(contents(("user", [{"text": "go"}]), *fragments, ("user", [{"text": "and?"}])))
    assert ask.turns == (
        Turn("user", (Text("go"),)),
        Turn("assistant", (Text("The quick fox."),)),
        Turn("user", (Text("and?"),)),
    )


@pytest.mark.covers("P40")
def test_user_contents_in_a_row_are_one_turn_of_several_texts() -> None:
    assert read(contents(("user", [{"text": "a"}]), ("user", [{"text": "b"}]))).turns == (
        Turn("user", (Text("a"), Text("b"))),
    )


def test_a_content_without_role_is_the_users() -> None:
    assert read({"contents": [{"parts": [{"text": "hi"}]}]}).turns[0].role == "user"


def test_an_unknown_role_is_refused() -> None:
    assert refused(contents(("user", [{"text": "a"}]), ("assistant", [{"text": "b"}]))) == "contents[1].role"


@pytest.mark.parametrize("value", [[], [{"role": "user", "parts": []}], [{"parts": [{"text": ""}]}], [{}]])
def test_contents_without_anything_in_them_are_refused(value: object) -> None:
    assert refused({"contents": value}) == "contents"


def test_a_body_without_contents_is_refused() -> None:
    with pytest.raises(ClientFault, match="contents"):
        read({"generationConfig": {}})


@pytest.mark.parametrize(
    ("part", "param"),
    [
        ({"executableCode": {"code": "1"}}, "contents[0].parts[0].executableCode"),
        ({"toolResponse": {}}, "contents[0].parts[0].toolResponse"),
        ({"text": 7}, "contents[0].parts[0].text"),
        ({"hologram": {}}, "contents[0].parts[0]"),
        ({"functionCall": {"name": "f"}}, "contents[0].parts[0].functionCall"),
        ({"functionResponse": {"name": "f"}}, "contents[0].parts[0].functionResponse"),
        ({"inlineData": {"mimeType": "video/mp4", "data": ""}}, "contents[0].parts[0].inlineData.mimeType"),
        ({"inlineData": {"data": ""}}, "contents[0].parts[0].inlineData.mimeType"),
        ({"inlineData": {"mimeType": "image/png", "data": "&"}}, "contents[0].parts[0].inlineData.data"),
        ({"fileData": {"fileUri": "gs://b/o", "mimeType": "image/png"}}, "contents[0].parts[0].fileData.fileUri"),
        (
            {"fileData": {"fileUri": "https://files.test/v1beta/files/abc-1", "mimeType": "image/png"}},
            "contents[0].parts[0].fileData.fileUri",
        ),
    ],
)
def test_parts_that_cannot_be_translated_are_refused_by_name(part: dict[str, Any], param: str) -> None:
    assert refused(contents(("user", [part]))) == param


@pytest.mark.parametrize(
    ("part", "media"),
    [
        ({"inlineData": {"mimeType": "image/jpg", "data": "_-8"}}, Media("image", "image/jpeg", data="/+8=")),
        ({"inlineData": {"mimeType": "application/pdf", "data": "JVBE"}}, Media("document", "application/pdf", "JVBE")),
        ({"inlineData": {"mimeType": "text/plain", "data": "aGk="}}, Media("document", "text/plain", "aGk=")),
        ({"inlineData": {"mimeType": "audio/mp3", "data": "SUQz"}}, Media("audio", "audio/mpeg", "SUQz")),
        (
            {"fileData": {"fileUri": "https://example.com/a.webp", "mimeType": "image/webp"}},
            Media("image", "image/webp", url="https://example.com/a.webp"),
        ),
    ],
)
@pytest.mark.covers("P60")
def test_media(part: dict[str, Any], media: Media) -> None:
    assert read(contents(("user", [part]))).turns[0].parts == (media,)


def test_system_instruction_of_several_texts() -> None:
    ask = read(HELLO, systemInstruction={"role": "user", "parts": [{"text": "a"}, {"text": ""}, {"text": "b"}]})
    assert ask.turns[0] == Turn("system", (Text("a"), Text("b")))
    assert read(HELLO, systemInstruction={"parts": [{"text": ""}]}) == read(HELLO)


def test_a_system_instruction_takes_text_only() -> None:
    instruction = {"parts": [{"inlineData": {"mimeType": "image/png", "data": ""}}]}
    assert refused(HELLO, systemInstruction=instruction) == "systemInstruction.parts[0]"


# --- calls and their results -----------------------------------------------------------------------------------------


def results(calls: list[dict[str, Any]], responses: list[dict[str, Any]]) -> tuple[Part, ...]:
    history = contents(("user", [{"text": "go"}]), ("model", calls), ("user", responses))
    return read(history).turns[2].parts


@pytest.mark.covers("P46")
def test_results_without_ids_answer_the_calls_of_their_name_in_order() -> None:
    parts = results(
        [call("f", {"n": 1}), call("g"), call("f", {"n": 2})],
        [response("f", {"result": "one"}), response("f", {"result": "two"}), response("g", {"result": "three"})],
    )
    assert parts == (
        ToolResult("call_0", "f", (Text("one"),)),
        ToolResult("call_1", "g", (Text("three"),)),
        ToolResult("call_2", "f", (Text("two"),)),
    )


@pytest.mark.covers("P46")
def test_a_result_without_id_answers_a_call_that_has_one() -> None:
    assert results([call("f", id="c9")], [response("f", {"result": "x"})]) == (ToolResult("c9", "f", (Text("x"),)),)


@pytest.mark.covers("P45")
def test_results_with_ids_are_matched_by_them() -> None:
    parts = results(
        [call("f", id="a"), call("f", id="b")],
        [response("f", {"output": "B"}, id="b"), response("f", {"output": "A"}, id="a")],
    )
    assert [(part.call_id, part.content) for part in parts if isinstance(part, ToolResult)] == [
        ("a", (Text("A"),)),
        ("b", (Text("B"),)),
    ]


def test_generated_ids_are_unique_over_all_turns_and_avoid_given_ones() -> None:
    ask = read(
        contents(
            ("user", [{"text": "go"}]),
            ("model", [call("f")]),
            ("user", [response("f", {})]),
            ("model", [call("f", id="call_1"), call("f")]),
            ("user", [response("f", {}), response("f", {})]),
        )
    )
    ids = [part.id for turn in ask.turns for part in turn.parts if isinstance(part, ToolCall)]
    assert ids == ["call_0", "call_1", "call_2"]


@pytest.mark.covers("P47")
def test_a_result_that_answers_nothing_is_refused_and_so_is_a_call_without_result() -> None:
    answered = contents(("user", [{"text": "go"}]), ("model", [call("f")]), ("user", [response("g", {})]))
    assert refused(answered) == "contents[2].parts[0].functionResponse"
    unanswered = contents(("user", [{"text": "go"}]), ("model", [call("f")]), ("user", [{"text": "well?"}]))
    assert refused(unanswered) == "contents"


@pytest.mark.covers("P44")
def test_text_behind_results_stays_behind_them() -> None:
    parts = results([call("f")], [{"text": "so?"}, response("f", {"result": "x"})])
    assert parts == (ToolResult("call_0", "f", (Text("x"),)), Text("so?"))


@pytest.mark.parametrize(
    ("value", "text", "is_error"),
    [
        ({"result": "sunny"}, "sunny", False),
        ({"output": 7.5}, "7.5", False),
        ({"result": {"a": [1]}}, '{"a":[1]}', False),
        ({"error": "boom"}, "boom", True),
        ({"temperature": 20}, '{"temperature":20}', False),
        ({"output": "x", "error": None}, '{"output":"x","error":null}', False),
        ({}, "", False),
    ],
)
def test_what_a_function_answered(value: dict[str, Any], text: str, is_error: bool) -> None:
    assert results([call("f")], [response("f", value)]) == (ToolResult("call_0", "f", (Text(text),), is_error),)


def test_a_function_may_answer_with_an_image() -> None:
    parts = [{"inline_data": {"mime_type": "image/png", "data": "eHg="}}]
    (result,) = results([call("f")], [response("f", {"result": "see"}, parts=parts)])
    assert result == ToolResult("call_0", "f", (Text("see"), Media("image", "image/png", "eHg=")))


def test_missing_args_are_none() -> None:
    assert model_parts({"functionCall": {"name": "f"}}) == (ToolCall("call_0", "f", "{}"),)


@pytest.mark.covers("P80")
def test_args_keep_order_floats_and_big_integers() -> None:
    parts = model_parts(call("f", {"z": 1.0, "a": 2**60}))
    assert parts == (ToolCall("call_0", "f", '{"z":1.0,"a":1152921504606846976}'),)


# --- thoughts and seals ----------------------------------------------------------------------------------------------


@pytest.mark.covers("T21")
def test_a_seal_on_an_empty_text_belongs_to_the_thought_before_it() -> None:
    assert model_parts(
        {"text": "let me ", "thought": True},
        {"text": "think", "thought": True},
        {"text": "", "thoughtSignature": wrap(SEAL)},
        {"text": "Yes."},
    ) == (Reasoning("let me think", SEAL), Text("Yes."))


@pytest.mark.covers("T21")
def test_a_seal_on_a_call_stands_before_it() -> None:
    assert model_parts({"text": "hm", "thought": True}, {**call("f"), "thoughtSignature": wrap(SEAL)}) == (
        Reasoning("hm", SEAL),
        ToolCall("call_0", "f", "{}"),
    )


@pytest.mark.covers("T21")
def test_a_seal_on_text_stands_behind_it() -> None:
    seal = Sealed("lab", "ErUB", "text")
    assert model_parts({"text": "Yes"}, {"text": "", "thought_signature": wrap(seal)}) == (
        Text("Yes"),
        Reasoning("", seal),
    )


@pytest.mark.covers("T21")
def test_an_sdk_may_have_spelled_the_seal_url_safe() -> None:
    seal = Sealed("lab", "~~~???>>>", "reasoning")
    signature = wrap(seal).replace("+", "-").replace("/", "_")
    assert signature != wrap(seal)
    assert model_parts({"text": "hm", "thought": True, "thoughtSignature": signature}) == (Reasoning("hm", seal),)


@pytest.mark.covers("P59", "T21")
@pytest.mark.parametrize("signature", ["AQJzaWc=", "", "not base64!", wrap(SEAL)[:-8]])
def test_a_signature_of_unknown_origin_is_not_kept(signature: str) -> None:
    parts = model_parts({"text": "hm", "thought": True, "thoughtSignature": signature}, {"text": "Yes"})
    assert parts == (Reasoning("hm"), Text("Yes"))


# --- tools -----------------------------------------------------------------------------------------------------------


@pytest.mark.covers("P36")
def test_function_declarations_in_both_schema_languages() -> None:
    declarations = [
        {"name": "f", "description": "d", "parameters": {"type": "OBJECT", "properties": {"a": {"type": "STRING"}}}},
        {"name": "g", "parameters_json_schema": {"type": "object", "additionalProperties": False}},
        {"name": "h", "response": {"type": "STRING"}, "behavior": "BLOCKING"},
    ]
    assert read(
        HELLO, tools=[{"functionDeclarations": declarations[:1]}, {"functionDeclarations": declarations[1:]}]
    ).tools == (
        Tool("f", "d", {"type": "object", "properties": {"a": {"type": "string"}}}),
        Tool("g", None, {"type": "object", "additionalProperties": False}),
        Tool("h"),
    )


@pytest.mark.parametrize(
    ("tools", "param"),
    [
        ([{"googleSearch": {}}], "tools[0].googleSearch"),
        ([{"functionDeclarations": []}, {"code_execution": {}}], "tools[1].codeExecution"),
        ([{"functionDeclarations": [{"description": "no name"}]}], "tools[0].functionDeclarations[0]"),
        (
            [{"functionDeclarations": [{"name": "f", "parameters": {}, "parametersJsonSchema": {}}]}],
            "tools[0].functionDeclarations[0].parameters",
        ),
    ],
)
def test_tools_that_cannot_be_translated_are_refused(tools: object, param: str) -> None:
    assert refused(HELLO, tools=tools) == param


@pytest.mark.parametrize(
    ("calling", "choice"),
    [
        ({"mode": "AUTO"}, ToolChoice("auto")),
        ({"mode": "any"}, ToolChoice("required")),
        ({"mode": "NONE"}, ToolChoice("none")),
        ({"mode": "VALIDATED", "allowedFunctionNames": ["f"]}, ToolChoice("auto", ("f",))),
        ({"mode": "ANY", "allowedFunctionNames": ["f"]}, ToolChoice("required", ("f",))),
        ({}, ToolChoice("auto")),
    ],
)
def test_tool_choice(calling: dict[str, Any], choice: ToolChoice) -> None:
    tools = [{"functionDeclarations": [{"name": "f"}]}]
    assert read(HELLO, tools=tools, toolConfig={"functionCallingConfig": calling}).tool_choice == choice


@pytest.mark.covers("P53")
def test_a_choice_without_tools_is_none() -> None:
    assert read(HELLO, tools=[], toolConfig={"functionCallingConfig": {"mode": "ANY"}}).tool_choice is None


def test_an_unknown_mode_is_refused() -> None:
    tools = [{"functionDeclarations": [{"name": "f"}]}]
    config = {"functionCallingConfig": {"mode": "PERHAPS"}}
    assert refused(HELLO, tools=tools, toolConfig=config) == "toolConfig.functionCallingConfig.mode"


# --- generation config -----------------------------------------------------------------------------------------------


@pytest.mark.covers("P38")
def test_sampling_and_limits() -> None:
    ask = read_config(
        temperature=0.3,
        topP=0.9,
        topK=40.0,
        candidateCount=1,
        maxOutputTokens=100,
        stopSequences=["X"],
        seed=7,
        presencePenalty=0.1,
        frequencyPenalty=0.2,
        responseModalities=["TEXT"],
        mediaResolution="MEDIA_RESOLUTION_LOW",
    )
    assert (ask.temperature, ask.top_p, ask.top_k, ask.max_output, ask.seed) == (0.3, 0.9, 40, 100, 7)
    assert (ask.presence_penalty, ask.frequency_penalty, ask.stop) == (0.1, 0.2, ("X",))
    assert isinstance(ask.top_k, int)
    assert ask.dropped == ("generationConfig.mediaResolution",)


def test_an_empty_config_asks_for_nothing() -> None:
    assert read_config() == read(HELLO)


@pytest.mark.covers("P57")
@pytest.mark.parametrize(
    ("config", "name"),
    [
        ({"candidateCount": 2}, "candidateCount"),
        ({"responseLogprobs": True}, "responseLogprobs"),
        ({"logprobs": 3}, "logprobs"),
        ({"responseModalities": ["TEXT", "IMAGE"]}, "responseModalities"),
        ({"speechConfig": {"voiceConfig": {}}}, "speechConfig"),
        ({"responseMimeType": "text/x.enum"}, "responseMimeType"),
        ({"responseSchema": {}, "responseJsonSchema": {}}, "responseSchema"),
        ({"topK": 1.5}, "topK"),
        ({"temperature": "hot"}, "temperature"),
        ({"thinkingConfig": {"thinkingLevel": "EXTREME"}}, "thinkingConfig.thinkingLevel"),
    ],
)
def test_what_would_change_the_meaning_is_refused(config: dict[str, Any], name: str) -> None:
    assert refused(HELLO, generationConfig=config) == f"generationConfig.{name}"


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"responseMimeType": "text/plain"}, None),
        ({"responseMimeType": "application/json"}, OutputFormat()),
        (
            {"responseMimeType": "application/json", "responseSchema": {"type": "OBJECT", "property_ordering": ["a"]}},
            OutputFormat({"type": "object"}),
        ),
        ({"responseMimeType": "application/json", "response_json_schema": {"$ref": "#"}}, OutputFormat({"$ref": "#"})),
        ({"_responseJsonSchema": {"type": "object"}}, OutputFormat({"type": "object"})),
    ],
)
def test_output_format(config: dict[str, Any], expected: OutputFormat | None) -> None:
    assert read_config(**config).output_format == expected


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"include_thoughts": True}, ReasoningAsk(show=True)),
        ({"thinkingLevel": "high"}, ReasoningAsk(effort="high")),
        ({"thinkingBudget": 1024, "includeThoughts": False}, ReasoningAsk(budget=1024, show=False)),
        ({"thinkingBudget": -1}, ReasoningAsk(budget=-1)),
    ],
)
def test_thinking(config: dict[str, Any], expected: ReasoningAsk) -> None:
    assert read_config(thinkingConfig=config).reasoning == expected


@pytest.mark.covers("P56")
def test_level_and_budget_together_are_refused() -> None:
    config = {"thinkingConfig": {"thinking_level": "HIGH", "thinking_budget": 10}}
    assert refused(HELLO, generationConfig=config) == "generationConfig.thinkingConfig"


# --- the rest of the body --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["cachedContent", "continuationToken"])
def test_what_is_bound_to_a_provider_is_refused(name: str) -> None:
    assert refused(HELLO, **{name: "x/abc"}) == name


@pytest.mark.covers("P62")
def test_hints_and_unknown_fields_are_dropped_by_name() -> None:
    ask = read(HELLO, safety_settings=[], labels={"u_v": "1"}, serviceTier="priority", store=False, novelty=1)
    assert ask.dropped == ("labels", "novelty", "safetySettings", "serviceTier", "store")


def test_hints_on_parts_are_dropped_by_name() -> None:
    part = {"fileData": {"fileUri": "https://example.com/a.png", "mimeType": "image/png"}, "mediaResolution": {}}
    assert read(contents(("user", [part]))).dropped == ("mediaResolution",)
