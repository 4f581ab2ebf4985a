"""An Ask as a Gemini provider gets it."""

import json
from typing import Any

import msgspec
import pytest

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
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Turn,
)
from penstock.protocols.base import ModelFacts, Outbound, Target
from penstock.protocols.gemini import PROTOCOL
from penstock.protocols.gemini.seals import NO_SIGNATURE

HI = Turn("user", (Text("hi"),))
TARGET = Target("lab", "lab-flash")
WEATHER = Tool("get_weather", "Look.", {"type": "object", "properties": {"city": {"type": "string"}}})


def write(*turns: Turn, target: Target = TARGET, **fields: Any) -> Outbound:
    return PROTOCOL.write_request(Ask("fast", turns or (HI,), **fields), target)


def body_of(*turns: Turn, target: Target = TARGET, **fields: Any) -> dict[str, Any]:
    return json.loads(write(*turns, target=target, **fields).body)


def model_parts(*parts: Part) -> list[dict[str, Any]]:
    """What is written for a model's turn that is over: nothing stands in for missing signatures."""
    calls = [part for part in parts if isinstance(part, ToolCall)]
    results = tuple(ToolResult(call.id, call.name, (Text(""),)) for call in calls)
    return body_of(HI, Turn("assistant", parts), Turn("user", (*results, Text("next"))))["contents"][1]["parts"]


# --- the path --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "stream", "path"),
    [
        ("lab-flash", True, "/v1beta/models/lab-flash:streamGenerateContent?alt=sse"),
        ("lab-flash", False, "/v1beta/models/lab-flash:generateContent"),
        ("tunedModels/mine", False, "/v1beta/tunedModels/mine:generateContent"),
        ("llama3:8b", False, "/v1beta/models/llama3:8b:generateContent"),
    ],
)
@pytest.mark.covers("P28")
def test_the_path_names_model_and_method(model: str, stream: bool, path: str) -> None:
    assert write(target=Target("lab", model), stream=stream).path == path


@pytest.mark.parametrize(
    "model", ["", "..", "a/../b", "./a", "a//b", "/a", "a/", "a b", "a?b", "a#b", "a%2eb", "a\\b", "ä"]
)
def test_a_name_that_could_lead_elsewhere_is_refused(model: str) -> None:
    with pytest.raises(ClientFault, match="slashes"):
        write(target=Target("lab", model))


def test_a_short_question_is_a_short_body() -> None:
    assert write().body == b'{"contents":[{"role":"user","parts":[{"text":"hi"}]}]}'


# --- turns -----------------------------------------------------------------------------------------------------------


@pytest.mark.covers("P43")
def test_system_texts_are_the_system_instruction_wherever_they_stand() -> None:
    out = write(Turn("system", (Text("a"), Text("b"))), HI, Turn("system", (Text("c"),)), Turn("user", (Text("and?"),)))
    body = json.loads(out.body)
    assert body["systemInstruction"] == {"parts": [{"text": "a"}, {"text": "b"}, {"text": "c"}]}
    assert body["contents"] == [{"role": "user", "parts": [{"text": "hi"}, {"text": "and?"}]}]
    assert out.dropped == ("messages.system",)


@pytest.mark.covers("P42")
def test_what_is_empty_is_left_out_and_neighbours_are_merged() -> None:
    body = body_of(HI, Turn("assistant", (Text(""),)), Turn("user", (Text("again"),)))
    assert body["contents"] == [{"role": "user", "parts": [{"text": "hi"}, {"text": "again"}]}]


@pytest.mark.covers("P41", "P43")
def test_a_conversation_of_instructions_alone_gets_a_user_too() -> None:
    body = body_of(Turn("system", (Text("Greet me."),)))
    assert body["systemInstruction"] == {"parts": [{"text": "Greet me."}]}
    assert body["contents"] == [{"role": "user", "parts": [{"text": "..."}]}]


@pytest.mark.covers("P41")
def test_a_history_that_begins_with_the_model_gets_a_user_first() -> None:
    body = body_of(Turn("assistant", (Text("Welcome!"),)), HI)
    assert [content["role"] for content in body["contents"]] == ["user", "model", "user"]


def test_a_refusal_in_the_history_is_text() -> None:
    assert model_parts(Refusal("I will not.")) == [{"text": "I will not."}]


@pytest.mark.parametrize(
    ("media", "part"),
    [
        (Media("image", "image/png", "eHg="), {"inlineData": {"mimeType": "image/png", "data": "eHg="}}),
        (Media("document", "application/pdf", "JVBE"), {"inlineData": {"mimeType": "application/pdf", "data": "JVBE"}}),
        (Media("audio", "audio/wav", "UklG"), {"inlineData": {"mimeType": "audio/wav", "data": "UklG"}}),
        (Media("audio", "audio/mpeg", "SUQz"), {"inlineData": {"mimeType": "audio/mp3", "data": "SUQz"}}),
        (
            Media("image", url="https://example.com/a.PNG?x=1"),
            {"fileData": {"fileUri": "https://example.com/a.PNG?x=1", "mimeType": "image/png"}},
        ),
        (
            Media("image", url="http://[nonsense"),
            {"fileData": {"fileUri": "http://[nonsense", "mimeType": "image/jpeg"}},
        ),
        (
            Media("document", url="https://example.com/paper"),
            {"fileData": {"fileUri": "https://example.com/paper", "mimeType": "application/pdf"}},
        ),
    ],
)
def test_media(media: Media, part: dict[str, Any]) -> None:
    assert body_of(Turn("user", (media,)))["contents"][0]["parts"] == [part]


@pytest.mark.parametrize(
    ("details", "resolution", "dropped"),
    [
        (["low", "low"], "MEDIA_RESOLUTION_LOW", ()),
        (["high", "original"], "MEDIA_RESOLUTION_HIGH", ()),
        (["auto", None], None, ()),
        (["high", "low"], None, ("detail",)),
        (["high", None], None, ("detail",)),
    ],
)
def test_how_closely_to_look_can_only_be_said_of_all_images(
    details: list[str | None], resolution: str | None, dropped: tuple[str, ...]
) -> None:
    out = write(Turn("user", tuple(Media("image", "image/png", "eHg=", detail=detail) for detail in details)))
    assert json.loads(out.body).get("generationConfig", {}).get("mediaResolution") == resolution
    assert out.dropped == dropped


def test_the_name_of_a_file_is_dropped() -> None:
    assert write(Turn("user", (Media("document", "application/pdf", "JVBE", name="a.pdf"),))).dropped == ("filename",)


# --- calls and results -----------------------------------------------------------------------------------------------

CALLS = Turn("assistant", (ToolCall("c1", "f", '{"n": 1.0}'), ToolCall("c2", "g", "{}")))


@pytest.mark.covers("P44")
def test_results_stand_in_one_content_in_the_order_of_their_calls() -> None:
    results = Turn("user", (ToolResult("c1", "f", (Text("one"),)), ToolResult("c2", "g", (Text("two"),)), Text("so?")))
    body = body_of(HI, CALLS, results)
    assert body["contents"][1:] == [
        {
            "role": "model",
            "parts": [
                {"functionCall": {"id": "c1", "name": "f", "args": {"n": 1.0}}},
                {"functionCall": {"id": "c2", "name": "g", "args": {}}},
            ],
        },
        {
            "role": "user",
            "parts": [
                {"functionResponse": {"id": "c1", "name": "f", "response": {"output": "one"}}},
                {"functionResponse": {"id": "c2", "name": "g", "response": {"output": "two"}}},
                {"text": "so?"},
            ],
        },
    ]


@pytest.mark.covers("P80")
def test_arguments_are_sent_as_the_text_they_are() -> None:
    arguments = '{"z": 1.0, "a": 123456789012345678901234567890}'
    assert arguments.encode() in write(HI, Turn("assistant", (ToolCall("c1", "f", arguments),))).body


DEEP = f'{{"t":{"[" * 10_000}{"]" * 10_000}}}'


@pytest.mark.parametrize(
    ("text", "is_error", "response"),
    [
        ("sunny", False, {"output": "sunny"}),
        ("", False, {"output": ""}),
        ('{"t": 1.0}', False, {"t": 1.0}),
        ("[1]", False, {"output": "[1]"}),
        ('{"t": ', False, {"output": '{"t": '}),
        (DEEP, False, {"output": DEEP}),
        ("boom", True, {"error": "boom"}),
    ],
)
@pytest.mark.covers("P50")
def test_what_a_tool_answered_is_an_object(text: str, is_error: bool, response: dict[str, Any]) -> None:
    results = Turn("user", (ToolResult("c1", "f", (Text(text),), is_error), ToolResult("c2", "g", ())))
    part = body_of(HI, CALLS, results)["contents"][2]["parts"][0]
    assert part["functionResponse"]["response"] == response


IMAGE = Media("image", "image/png", "eHg=")
SOUND = Media("audio", "audio/wav", "UklG")
LINKED = Media("image", "image/png", url="https://example.com/a")
MULTIMODAL = Target("lab", "lab-flash-3", ModelFacts(media_in_results=True))


def parts_of_results(target: Target, *shown: Text | Media) -> list[dict[str, Any]]:
    results = Turn("user", (ToolResult("c1", "f", shown), ToolResult("c2", "g", (Text("two"),)), Text("so?")))
    return body_of(HI, CALLS, results, target=target)["contents"][2]["parts"]


@pytest.mark.covers("P49")
def test_images_of_a_tool_go_with_its_answer_where_the_model_takes_them() -> None:
    parts = parts_of_results(MULTIMODAL, Text("see"), IMAGE)
    assert [next(iter(part)) for part in parts] == ["functionResponse", "functionResponse", "text"]
    assert parts[0]["functionResponse"]["parts"] == [{"inlineData": {"mimeType": "image/png", "data": "eHg="}}]


@pytest.mark.covers("P44", "P49")
@pytest.mark.parametrize(
    ("target", "media"), [(TARGET, IMAGE), (TARGET, LINKED), (MULTIMODAL, LINKED), (MULTIMODAL, SOUND)]
)
def test_media_that_do_not_fit_into_an_answer_stand_behind_all_answers(target: Target, media: Media) -> None:
    parts = parts_of_results(target, Text("see"), media)
    kinds = ["functionResponse", "functionResponse", "text", "fileData" if media.url else "inlineData", "text"]
    assert [next(iter(part)) for part in parts] == kinds
    assert parts[2] == {"text": "Attached to the result of f (c1):"}
    assert "parts" not in parts[0]["functionResponse"]


def test_an_answer_of_nothing_but_media_says_where_they_are() -> None:
    assert parts_of_results(TARGET, IMAGE)[0]["functionResponse"]["response"] == {
        "output": "The result is attached behind."
    }
    assert parts_of_results(MULTIMODAL, IMAGE)[0]["functionResponse"]["response"] == {"output": ""}


def test_media_that_leave_their_answer_are_reported() -> None:
    turns = (HI, CALLS, Turn("user", (ToolResult("c1", "f", (IMAGE,)), ToolResult("c2", "g", ()))))
    assert write(*turns).dropped == ("messages.tool_result",)
    assert write(*turns, target=MULTIMODAL).dropped == ()


# --- seals -----------------------------------------------------------------------------------------------------------


@pytest.mark.covers("T21")
def test_seals_go_back_to_where_they_were() -> None:
    assert model_parts(
        Reasoning("hm", Sealed("lab", "S1", "reasoning")),
        Text("Yes."),
        Reasoning("", Sealed("lab", "S2", "text")),
        Reasoning("so", Sealed("lab", "S3", "tool_call")),
        ToolCall("c1", "f", "{}"),
    ) == [
        {"text": "hm", "thought": True, "thoughtSignature": "S1"},
        {"text": "Yes.", "thoughtSignature": "S2"},
        {"text": "so", "thought": True},
        {"functionCall": {"id": "c1", "name": "f", "args": {}}, "thoughtSignature": "S3"},
    ]


@pytest.mark.covers("T21")
def test_a_seal_on_text_of_which_nothing_is_left_stands_on_an_empty_one() -> None:
    assert model_parts(Reasoning("", Sealed("lab", "S", "text"))) == [{"text": "", "thoughtSignature": "S"}]


@pytest.mark.covers("T21")
@pytest.mark.parametrize("sealed", [None, Sealed("elsewhere", "S"), Sealed("lab", "S", "redacted")])
def test_thoughts_that_are_not_this_providers_are_dropped(sealed: Sealed | None) -> None:
    out = write(HI, Turn("assistant", (Reasoning("hm", sealed), Text("Yes."))), Turn("user", (Text("next"),)))
    assert json.loads(out.body)["contents"][1]["parts"] == [{"text": "Yes."}]
    assert out.dropped == ("reasoning",)


@pytest.mark.covers("T21")
def test_the_first_call_of_each_step_of_the_current_turn_has_a_signature() -> None:
    def step(number: int, *before: Part) -> tuple[Turn, Turn]:
        calls = [ToolCall(f"c{number}{letter}", "f", "{}") for letter in "ab"]
        results = [ToolResult(call.id, "f", (Text("ok"),)) for call in calls]
        return Turn("assistant", (*before, *calls)), Turn("user", tuple(results))

    earlier, foreign, own = step(1), step(2), step(3, Reasoning("", Sealed("lab", "OWN", "tool_call")))
    question = Turn("user", (*earlier[1].parts, Text("and now?")))
    contents = body_of(HI, earlier[0], question, *foreign, *own)["contents"]
    signatures = [
        [part.get("thoughtSignature") for part in content["parts"]]
        for content in contents
        if content["role"] == "model"
    ]
    assert signatures == [[None, None], [NO_SIGNATURE, None], ["OWN", None]]


# --- tools -----------------------------------------------------------------------------------------------------------


@pytest.mark.covers("P37")
def test_schemas_are_sent_as_json_schema() -> None:
    schema = {
        "$defs": {"x": {"type": "string"}},
        "properties": {"a": {"$ref": "#/$defs/x"}},
        "additionalProperties": False,
    }
    (tool,) = body_of(tools=(Tool("f", "d", schema),))["tools"]
    assert tool == {"functionDeclarations": [{"name": "f", "description": "d", "parametersJsonSchema": schema}]}


@pytest.mark.parametrize(
    "parameters", [None, {}, {"type": "object"}, {"type": "object", "properties": {}, "additionalProperties": False}]
)
def test_a_function_that_takes_nothing_has_no_parameters(parameters: dict[str, Any] | None) -> None:
    assert body_of(tools=(Tool("now", parameters=parameters),))["tools"] == [
        {"functionDeclarations": [{"name": "now"}]}
    ]


@pytest.mark.parametrize(
    ("choice", "calling"),
    [
        (ToolChoice("auto"), {"mode": "AUTO"}),
        (ToolChoice("none"), {"mode": "NONE"}),
        (ToolChoice("required"), {"mode": "ANY"}),
        (ToolChoice("required", ("get_weather",)), {"mode": "ANY", "allowedFunctionNames": ["get_weather"]}),
    ],
)
def test_tool_choice(choice: ToolChoice, calling: dict[str, Any]) -> None:
    body = body_of(tools=(WEATHER,), tool_choice=choice)
    assert body["toolConfig"] == {"functionCallingConfig": calling}


def test_a_free_choice_among_some_leaves_out_the_others() -> None:
    body = body_of(tools=(WEATHER, Tool("now")), tool_choice=ToolChoice("auto", ("now",)))
    assert body["tools"] == [{"functionDeclarations": [{"name": "now"}]}]
    assert body["toolConfig"] == {"functionCallingConfig": {"mode": "AUTO"}}


@pytest.mark.covers("P53")
def test_a_choice_without_tools_is_not_sent() -> None:
    assert body_of(tool_choice=ToolChoice("required")).keys() == {"contents"}


@pytest.mark.covers("P51")
def test_names_that_are_not_allowed_are_mapped_everywhere_and_can_be_mapped_back() -> None:
    name = "2nd/weather"
    out = write(
        HI,
        Turn("assistant", (ToolCall("c1", name, "{}"),)),
        Turn("user", (ToolResult("c1", name, ()),)),
        tools=(Tool(name),),
        tool_choice=ToolChoice("required", (name,)),
    )
    ((legal, client),) = out.tool_names.items()
    assert client == name
    assert name.encode() not in out.body
    assert out.body.count(legal.encode()) == 4


@pytest.mark.covers("P51")
def test_dots_colons_and_dashes_are_allowed_in_names() -> None:
    assert write(tools=(Tool("mcp.server:get-weather_2"),)).tool_names == {}


def test_a_free_text_tool_is_a_function_with_one_text() -> None:
    name = "apply/patch"
    out = write(
        HI,
        Turn("assistant", (ToolCall("c1", name, "*** Begin", kind="custom"),)),
        Turn("user", (ToolResult("c1", name, (Text("ok"),), kind="custom"),)),
        tools=(Tool(name, "Patch.", kind="custom"), WEATHER),
    )
    body = json.loads(out.body)
    (legal,) = out.custom_tools
    assert out.tool_names == {legal: name}
    assert body["tools"][0]["functionDeclarations"][0] == {
        "name": legal,
        "description": "Patch.",
        "parametersJsonSchema": {"type": "object", "properties": {"input": {"type": "string"}}, "required": ["input"]},
    }
    assert body["contents"][1]["parts"][0]["functionCall"]["args"] == {"input": "*** Begin"}


# --- generation config -----------------------------------------------------------------------------------------------


def test_sampling_and_limits() -> None:
    body = body_of(
        temperature=0.5,
        top_p=0.9,
        top_k=40,
        max_output=10,
        seed=7,
        stop=("X",),
        presence_penalty=0.1,
        frequency_penalty=0,
    )
    assert body["generationConfig"] == {
        "temperature": 0.5,
        "topP": 0.9,
        "topK": 40,
        "maxOutputTokens": 10,
        "stopSequences": ["X"],
        "seed": 7,
        "presencePenalty": 0.1,
        "frequencyPenalty": 0,
    }


@pytest.mark.covers("P55")
def test_a_model_without_sampling_gets_none() -> None:
    out = write(target=Target("lab", "m", ModelFacts(sampling=False)), temperature=0.5, top_k=4, max_output=10)
    assert json.loads(out.body)["generationConfig"] == {"maxOutputTokens": 10}
    assert out.dropped == ("temperature", "top_k")


@pytest.mark.covers("P61")
def test_stop_sequences_that_the_api_does_not_take_are_left_to_the_gateway() -> None:
    out = write(stop=tuple("abcdefg"))
    assert json.loads(out.body)["generationConfig"]["stopSequences"] == list("abcde")
    assert out.stop == ("f", "g")
    assert write(stop=("a",)).stop == ()


@pytest.mark.covers("P57")
def test_several_choices_are_several_candidates() -> None:
    assert body_of(choices=2)["generationConfig"] == {"candidateCount": 2}


@pytest.mark.covers("P104")
@pytest.mark.parametrize(
    ("logprobs", "config"), [(0, {"responseLogprobs": True}), (5, {"responseLogprobs": True, "logprobs": 5})]
)
def test_log_probabilities(logprobs: int, config: dict[str, Any]) -> None:
    assert body_of(logprobs=logprobs)["generationConfig"] == config


@pytest.mark.parametrize(
    ("tier", "written", "dropped"),
    [
        ("default", "standard", ()),
        ("flex", "flex", ()),
        ("priority", "priority", ()),
        ("auto", None, ()),
        (None, None, ()),
        ("scale", None, ("service_tier",)),
    ],
)
def test_service_tiers(tier: str | None, written: str | None, dropped: tuple[str, ...]) -> None:
    out = write(service_tier=tier)
    assert json.loads(out.body).get("serviceTier") == written
    assert out.dropped == dropped


def test_json_output() -> None:
    schema = {"type": "object", "properties": {"a": {"type": ["string", "null"]}}}
    assert body_of(output_format=OutputFormat(schema, "answer"))["generationConfig"] == {
        "responseMimeType": "application/json",
        "responseJsonSchema": schema,
    }
    assert body_of(output_format=OutputFormat())["generationConfig"] == {"responseMimeType": "application/json"}


@pytest.mark.covers("P56")
@pytest.mark.parametrize(
    ("asked", "style", "config"),
    [
        (ReasoningAsk(effort="high"), "effort", {"thinkingLevel": "HIGH"}),
        (ReasoningAsk(effort="max", show=True), "effort", {"thinkingLevel": "XHIGH", "includeThoughts": True}),
        (ReasoningAsk(budget=8000), "effort", {"thinkingLevel": "MEDIUM"}),
        (ReasoningAsk(effort="medium"), "budget", {"thinkingBudget": 8192}),
        (ReasoningAsk(effort="low", budget=-1, show=False), "budget", {"thinkingBudget": -1, "includeThoughts": False}),
        (ReasoningAsk(effort="none"), "budget", {"thinkingBudget": 0}),
        (ReasoningAsk(effort="none"), "effort", {"thinkingLevel": "MINIMAL"}),
        (ReasoningAsk(show=True), "effort", {"includeThoughts": True}),
    ],
)
def test_thinking_is_asked_for_in_the_one_way_the_model_takes(
    asked: ReasoningAsk, style: Any, config: dict[str, Any]
) -> None:
    target = Target("lab", "m", ModelFacts(reasoning=style))
    assert body_of(target=target, reasoning=asked)["generationConfig"]["thinkingConfig"] == config


def test_thinking_that_says_nothing_is_not_sent() -> None:
    assert body_of(reasoning=ReasoningAsk()).keys() == {"contents"}


def test_hints_without_a_word_are_dropped_by_name() -> None:
    strict = msgspec.structs.replace(WEATHER, strict=True)
    out = write(tools=(strict,), parallel_tool_calls=False, verbosity="low", user="u", reasoning=ReasoningAsk("none"))
    assert out.dropped == ("reasoning_effort", "verbosity", "user", "parallel_tool_calls", "strict")


def test_what_cannot_be_kept_for_a_cache_or_a_log_is_dropped_by_name() -> None:
    out = write(Turn("user", (Text("hi", cache="5m"),)), metadata={"a": "b"}, cache_key="k")
    assert out.dropped == ("metadata", "prompt_cache_key", "cache_control")
    assert write(tools=(Tool("f", cache="1h"),)).dropped == ("cache_control",)
