"""What each recorded stream means. Every recording is also read byte by byte and cut anywhere."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.core import grammar
from penstock.core.answer import Answer, AnswerPart, fold
from penstock.core.errors import ErrorInfo, UpstreamFault
from penstock.core.events import Delta, Event, Failure, Finish, Opaque, PartStart, Sealed, UsageUpdate
from penstock.core.usage import Usage
from penstock.protocols.gemini import PROTOCOL
from penstock.wire.sse import Frame
from tests.protocols.driving import RECORDINGS, cuts_of, decode_all, every_byte, recording

CASES = sorted(path.stem for path in Path(RECORDINGS, "gemini").glob("*.sse"))

SIGNATURE = "Ep8BCpwBAXLI2nxlU6gsWZaZHRYkX1orzuM8vSUFwaAt1JRx"
SIGNATURE_2 = "CiMBjz1rX25KieIB4d4AwFn8WbsHTRNHBXso88PtemwfsSfR"


def events_of(case: str) -> list[Event]:
    return decode_all(PROTOCOL, recording(PROTOCOL, case))


def answer_of(case: str) -> Answer:
    return fold(events_of(case))


def failure_of(case: str) -> ErrorInfo:
    last = events_of(case)[-1]
    assert isinstance(last, Failure)
    return last.error


def text(words: str) -> AnswerPart:
    return AnswerPart("text", words)


def thought(words: str, data: str = "", form: str = "reasoning") -> AnswerPart:
    return AnswerPart("reasoning", words, sealed=Sealed("lab", data, form) if data else None)  # type: ignore[arg-type]


def call(call_id: str, name: str, arguments: str) -> AnswerPart:
    return AnswerPart("tool_call", arguments, call_id, name)


def frame(payload: object) -> Frame:
    data = json.dumps(payload).encode()
    return Frame("", data, data)


# --- however the bytes arrive ----------------------------------------------------------------------------------------


@pytest.mark.covers("P1", "P2", "P13", "P17", "T24")
@pytest.mark.parametrize("case", CASES)
def test_a_stream_means_the_same_byte_by_byte(case: str) -> None:
    data = recording(PROTOCOL, case)
    assert decode_all(PROTOCOL, data, every_byte(data)) == decode_all(PROTOCOL, data)


@pytest.mark.covers("P1", "P2", "P13", "T24")
@given(drawn=st.sampled_from(CASES).flatmap(lambda case: st.tuples(st.just(case), cuts_of(recording(PROTOCOL, case)))))
def test_a_stream_means_the_same_cut_anywhere(drawn: tuple[str, set[int]]) -> None:
    case, cuts = drawn
    data = recording(PROTOCOL, case)
    assert decode_all(PROTOCOL, data, cuts) == decode_all(PROTOCOL, data)


@pytest.mark.covers("P2", "P3", "T24")
@pytest.mark.parametrize("line_end", [b"\n", b"\r"])
@pytest.mark.parametrize("case", [case for case in CASES if case not in {"whole_answer", "json_array"}])
def test_line_ends_make_no_difference(case: str, line_end: bytes) -> None:
    data = recording(PROTOCOL, case)
    assert decode_all(PROTOCOL, data.replace(b"\r\n", line_end)) == decode_all(PROTOCOL, data)


# --- text ------------------------------------------------------------------------------------------------------------


def test_text_deltas_pass_on_as_they_come() -> None:
    deltas = [event.text for event in events_of("text") if isinstance(event, Delta)]
    assert deltas == ["秋风", "起，🍂 Blätter", " fall."]


def test_a_candidate_without_index_is_the_first() -> None:
    assert answer_of("text_without_index").parts == (text("Hello there"),)


@pytest.mark.covers("P69")
@pytest.mark.parametrize("case", ["empty_last_text", "finish_on_two_chunks", "finish_without_content"])
def test_a_finish_reason_comes_with_text_or_without_and_there_is_one_finish(case: str) -> None:
    events = events_of(case)
    assert [event for event in events if isinstance(event, Finish)] == [Finish("stop", "STOP")]
    assert not any(isinstance(event, Delta) and not event.text for event in events)


@pytest.mark.covers("P69")
def test_text_behind_the_finish_reason_is_not_lost() -> None:
    assert answer_of("finish_on_two_chunks").parts == (text("Yes."),)


@pytest.mark.covers("P18", "P19")
def test_half_a_surrogate_pair_and_nan_are_survived() -> None:
    assert answer_of("lone_surrogate").parts == (text("a\ufffd b"), call("call_token_0", "f", '{"x": "y"}'))


@pytest.mark.covers("P6", "P7", "P8", "P20")
def test_keep_alives_of_proxies_mean_nothing() -> None:
    assert answer_of("keep_alives").parts == (text("Hi!"),)


@pytest.mark.covers("P9")
def test_the_last_chunk_may_lack_its_blank_line() -> None:
    data = recording(PROTOCOL, "text")
    assert decode_all(PROTOCOL, data.rstrip()) == decode_all(PROTOCOL, data)


# --- reasoning and seals ---------------------------------------------------------------------------------------------


@pytest.mark.covers("P85", "T15", "T21")
def test_a_signature_on_an_empty_last_text_is_kept_and_makes_no_text() -> None:
    assert answer_of("thoughts").parts == (
        thought("**Weighing** the options.\n\n"),
        text("Take the train."),
        thought("", SIGNATURE, "text"),
    )


@pytest.mark.covers("P81", "T21")
def test_each_signed_thought_is_a_part_of_its_own() -> None:
    assert answer_of("thought_signed").parts == (
        thought("One.", SIGNATURE),
        thought("Two.", SIGNATURE_2),
        text("Three"),
    )


@pytest.mark.covers("T21")
def test_a_signature_on_text_stands_behind_that_text() -> None:
    assert answer_of("text_signed").parts == (text("All aboard"), thought("", SIGNATURE, "text"), text("!"))


@pytest.mark.covers("T21")
def test_a_signature_on_a_call_stands_before_that_call() -> None:
    assert answer_of("tool_call").parts == (
        thought("", SIGNATURE, "tool_call"),
        call("call_token_0", "get_weather", '{"city": "Köln"}'),
    )


# --- calls -----------------------------------------------------------------------------------------------------------


@pytest.mark.covers("P75", "P76", "T18", "T21")
def test_a_call_without_args_and_id_gets_both_and_keeps_its_signature() -> None:
    assert answer_of("tool_call_without_args").parts == (
        thought("", SIGNATURE, "tool_call"),
        call("call_token_0", "now", "{}"),
    )


def test_a_call_keeps_its_id() -> None:
    assert answer_of("tool_call_with_id").parts == (call("fc-77", "now", "{}"),)


@pytest.mark.covers("P77", "T16", "T20")
def test_one_chunk_may_hold_thought_text_and_two_calls() -> None:
    answer = answer_of("parallel_calls_in_one_chunk")
    assert answer.parts == (
        thought("I need two things."),
        text("Looking up."),
        thought("", SIGNATURE, "tool_call"),
        call("call_token_0", "get_weather", '{"city": "Paris"}'),
        call("call_token_1", "get_weather", '{"city": "Rome"}'),
    )
    assert answer.finish == Finish("tool_calls", "STOP")


@pytest.mark.covers("T16", "T17")
def test_parallel_calls_may_come_in_several_chunks() -> None:
    parts = answer_of("parallel_calls_in_chunks").parts
    assert [(part.id, part.text) for part in parts if part.kind == "tool_call"] == [
        ("call_token_0", '{"city": "Paris"}'),
        ("call_token_1", '{"city": "Rome"}'),
    ]


def test_text_may_follow_a_call() -> None:
    assert [part.kind for part in answer_of("text_after_call").parts] == ["reasoning", "tool_call", "text"]


@pytest.mark.covers("P80")
def test_arguments_stay_the_text_they_came_as() -> None:
    (part,) = answer_of("exact_numbers").parts
    assert part.text == (
        '{"zeta": 1.0, "amount": 1152921504606846977,"big": 123456789012345678901234567890,'
        ' "alpha": 1e-7, "note": "a\\u00e9\u2028b"}'
    )


@pytest.mark.parametrize("args", ['"{}"', [1], 7])
def test_arguments_that_are_no_object_are_the_providers_fault(args: object) -> None:
    chunk = {"candidates": [{"content": {"parts": [{"functionCall": {"name": "f", "args": args}}]}}]}
    with pytest.raises(UpstreamFault, match="not an object"):
        PROTOCOL.decoder("lab", "token").decode(frame(chunk))


def test_calls_streamed_in_pieces_come_out_whole() -> None:
    answer = answer_of("partial_arguments")
    assert answer.parts == (
        thought("", SIGNATURE, "tool_call"),
        call("call_token_0", "cook", '{"steps":[{"do":"boil"},{"minutes":12}],"vegan":true,"who for":null}'),
        call("call_token_1", "serve", '{"plates":2}'),
    )
    assert answer.finish.reason == "tool_calls"


@pytest.mark.parametrize("path", [f"$.a[{'9' * 5000}]", "$" + ".a" * 100_000])
def test_pieces_of_arguments_whose_path_is_nonsense_are_left_out(path: str) -> None:
    call = {"name": "f", "partialArgs": [{"jsonPath": path, "stringValue": "x"}]}
    chunk = {"candidates": [{"content": {"parts": [{"functionCall": call}]}, "finishReason": "STOP"}]}
    decoder = PROTOCOL.decoder("lab", "token")
    assert fold([*decoder.decode(frame(chunk)), *decoder.close()]).parts[-1].name == "f"


# --- ends ------------------------------------------------------------------------------------------------------------


@pytest.mark.covers("T13")
def test_the_end_of_the_body_is_the_end_of_the_answer() -> None:
    decoder = PROTOCOL.decoder("lab", "token")
    events = decoder.decode(frame({"candidates": [{"content": {"parts": [{"text": "x"}]}, "finishReason": "STOP"}]}))
    assert not any(isinstance(event, Finish) for event in events)
    assert not decoder.ended
    assert decoder.close()[-1] == Finish("stop", "STOP")
    assert decoder.ended


@pytest.mark.covers("P110", "T12")
def test_an_end_without_finish_reason_is_a_cut() -> None:
    assert failure_of("cut").kind == "stream_incomplete"


@pytest.mark.covers("T20")
@pytest.mark.parametrize(
    ("case", "finish"),
    [
        ("max_tokens", Finish("length", "MAX_TOKENS")),
        ("safety", Finish("content_filter", "SAFETY")),
        ("unknown_finish_reason", Finish("other", "FULL_MOON")),
    ],
)
def test_finish_reasons(case: str, finish: Finish) -> None:
    assert events_of(case)[-1] == finish


@pytest.mark.covers("P87")
def test_a_blocked_prompt_is_a_content_filter_and_keeps_its_usage() -> None:
    answer = answer_of("prompt_blocked")
    assert (answer.parts, answer.finish) == ((), Finish("content_filter", "PROHIBITED_CONTENT"))
    assert answer.usage.input == 11


@pytest.mark.covers("P88")
def test_a_broken_call_is_an_error_that_says_what_broke() -> None:
    error = failure_of("malformed_function_call")
    assert (error.kind, error.code) == ("upstream_error", "MALFORMED_FUNCTION_CALL")
    assert "default_api.weather" in error.message
    assert any(isinstance(event, UsageUpdate) for event in events_of("malformed_function_call"))


# --- errors ----------------------------------------------------------------------------------------------------------


@pytest.mark.covers("P15", "P108", "T10")
def test_an_error_in_place_of_the_answer() -> None:
    assert events_of("error_first") == [
        Failure(ErrorInfo("overloaded", "The model is overloaded. Please try again later."))
    ]


@pytest.mark.covers("P109", "T11")
def test_an_error_in_the_middle_ends_the_answer() -> None:
    assert failure_of("error_in_the_middle") == ErrorInfo("upstream_error", "An internal error has occurred.")


@pytest.mark.covers("P109")
def test_an_error_may_be_wrapped_in_an_array() -> None:
    assert failure_of("error_in_array").kind == "rate_limited"
    assert failure_of("json_array_error").kind == "unauthenticated"


def test_what_follows_a_failure_is_ignored() -> None:
    decoder = PROTOCOL.decoder("lab", "token")
    decoder.decode(frame({"error": {"code": 500, "message": "x"}}))
    assert decoder.decode(frame({"candidates": [{"finishReason": "STOP"}]})) == []
    assert decoder.close() == []


@pytest.mark.parametrize("data", [b"{", b'{"candidates": 7}', b'{"candidates":[{"content":{"parts":[{"text":7}]}}]}'])
def test_a_payload_that_is_nothing_like_an_answer_is_the_providers_fault(data: bytes) -> None:
    with pytest.raises(UpstreamFault):
        PROTOCOL.decoder("lab", "token").decode(Frame("", data, data))


# --- usage -----------------------------------------------------------------------------------------------------------


@pytest.mark.covers("P94", "T2")
def test_cached_input_is_part_of_the_prompt_and_thoughts_are_output() -> None:
    assert answer_of("cached_and_thoughts").usage == Usage(uncached=10, cache_read=90, output=20, reasoning=5)


def test_what_tools_put_into_the_prompt_is_input() -> None:
    assert answer_of("tool_use_prompt").usage == Usage(uncached=785, output=750, reasoning=742)


@pytest.mark.covers("P86", "T2")
def test_usage_is_a_running_total_of_which_the_last_counts() -> None:
    updates = [event.usage.output for event in events_of("text") if isinstance(event, UsageUpdate)]
    assert updates == [1, 4, 7]
    assert answer_of("usage_only_chunk").usage == Usage(uncached=5, output=2)


@pytest.mark.covers("T2", "T3")
def test_a_counter_that_a_later_chunk_leaves_out_keeps_its_value() -> None:
    assert answer_of("usage_forgotten_later").usage == Usage(uncached=46, output=152, reasoning=101)


@pytest.mark.covers("P95", "T6")
def test_no_usage_is_unknown_and_not_zero() -> None:
    assert not answer_of("no_usage").usage.known


# --- what nobody can translate ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ("code_execution", "It is 42."),
        ("hosted_search", "Found it."),
    ],
)
def test_what_nobody_can_translate_is_set_aside_and_harms_nothing(case: str, words: str) -> None:
    assert answer_of(case).parts == (text(words),)
    assert any(isinstance(event, Opaque) for event in events_of(case))
    assert answer_of(case).finish == Finish("stop", "STOP")


def test_an_image_for_a_client_that_cannot_have_it_is_not_lost_without_a_word() -> None:
    assert answer_of("image_output").parts == (text("Here it is.[image/png omitted]"),)


def test_two_signatures_behind_one_text_are_two() -> None:
    chunk = {"text": "", "thoughtSignature": SIGNATURE}, {"text": "", "thoughtSignature": SIGNATURE_2}
    body = {"candidates": [{"content": {"parts": [{"text": "Yes."}, *chunk]}, "finishReason": "STOP"}]}
    answer = fold(PROTOCOL.read_response(json.dumps(body).encode(), "lab", "t"))
    assert answer.parts == (text("Yes."), thought("", SIGNATURE, "text"), thought("", SIGNATURE_2, "text"))


@pytest.mark.covers("P92")
@given(
    case=st.sampled_from(["text", "thoughts", "parallel_calls_in_chunks"]),
    place=st.integers(0, 4),
    unknown=st.sampled_from(
        [
            {},
            {"heartbeat": True},
            {"candidates": None},
            {"candidates": []},
            {"candidates": [{"content": {}}]},
            {"candidates": [{"content": {"parts": [{}]}}]},
            {"candidates": [{"content": {"parts": [{"newThing": {"x": 1}}], "role": "model"}, "finishReason": ""}]},
            {"usageMetadata": {"trafficType": "ON_DEMAND"}},
            {"promptFeedback": {"blockReason": None}},
        ]
    ),
)
def test_unknown_chunks_at_any_position_change_nothing(case: str, place: int, unknown: object) -> None:
    data = recording(PROTOCOL, case)
    chunks = data.split(b"\r\n\r\n")[:-1]
    chunks.insert(min(place, len(chunks)), b"data: " + json.dumps(unknown).encode())
    events = decode_all(PROTOCOL, b"\r\n\r\n".join(chunks) + b"\r\n\r\n")
    expected = [event for event in decode_all(PROTOCOL, data) if not isinstance(event, UsageUpdate)][1:]
    assert [event for event in events if not isinstance(event, UsageUpdate | Opaque)][1:] == expected


# --- bodies that are no event stream ---------------------------------------------------------------------------------


@pytest.mark.covers("P14")
def test_a_whole_answer_to_a_streaming_request_is_read_all_the_same() -> None:
    answer = answer_of("whole_answer")
    assert [part.kind for part in answer.parts] == ["text", "tool_call"]
    assert (answer.finish.reason, answer.usage.output) == ("tool_calls", 5)


@pytest.mark.covers("P17")
def test_a_growing_json_array_is_a_stream() -> None:
    events = events_of("json_array")
    assert [event.text for event in events if isinstance(event, Delta)] == ['Word by [word], "quoted" }', " it grows."]
    assert events[-1] == Finish("stop", "STOP")


def test_an_answer_that_was_not_streamed() -> None:
    body = recording(PROTOCOL, "whole_answer")
    events = grammar.check(PROTOCOL.read_response(body, "lab", "token"))
    assert events == decode_all(PROTOCOL, body)


@pytest.mark.covers("P15")
def test_an_error_with_status_200_is_not_an_empty_answer() -> None:
    events = PROTOCOL.read_response(b'{"error":{"code":400,"message":"Nope.","status":"INVALID_ARGUMENT"}}', "lab", "t")
    with pytest.raises(UpstreamFault, match="Nope"):
        fold(events)


def test_generated_ids_differ_between_answers() -> None:
    body = recording(PROTOCOL, "tool_call_without_args")
    chunk = body.removeprefix(b"data: ")
    first, second = (PROTOCOL.read_response(chunk, "lab", token) for token in ("one", "two"))
    ids = [event.id for event in (*first, *second) if isinstance(event, PartStart) and event.kind == "tool_call"]
    assert ids == ["call_one_0", "call_two_0"]


def test_no_frame_is_usage_only() -> None:
    assert not PROTOCOL.usage_only(frame({"usageMetadata": {"promptTokenCount": 1}}))
