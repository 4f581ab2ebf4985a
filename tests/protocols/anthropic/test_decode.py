"""What an Anthropic Messages provider streams, as events."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.core.answer import fold
from penstock.core.errors import ErrorInfo, UpstreamFault
from penstock.core.events import Delta, Event, Failure, Finish, Opaque, PartEnd, PartStart, Sealed, Start, UsageUpdate
from penstock.core.usage import Usage
from penstock.protocols.anthropic import PROTOCOL
from penstock.wire.sse import Frame
from tests.protocols.driving import RECORDINGS, cuts_of, decode_all, every_byte, recording

CASES = sorted(path.stem for path in (RECORDINGS / "anthropic").glob("*.sse"))
BROKEN = ["cut_in_event"]  # ends inside an event, which is no JSON: a fault


def events_of(case: str) -> list[Event]:
    return decode_all(PROTOCOL, recording(PROTOCOL, case))


def parts_of(case: str) -> list[tuple[str, str, str | None]]:
    """Return kind, text and seal of each part."""
    parts: list[tuple[str, str, str | None]] = []
    kind, texts = "", []
    for event in events_of(case):
        match event:
            case PartStart():
                kind, texts = event.kind, []
            case Delta():
                texts.append(event.text)
            case PartEnd():
                parts.append((kind, "".join(texts), event.sealed.data if event.sealed else None))
            case _:
                pass
    return parts


def finish_of(case: str) -> Finish:
    last = events_of(case)[-1]
    assert isinstance(last, Finish)
    return last


def failure_of(case: str) -> ErrorInfo:
    last = events_of(case)[-1]
    assert isinstance(last, Failure)
    return last.error


def usage_of(case: str) -> Usage:
    return [event for event in events_of(case) if isinstance(event, UsageUpdate)][-1].usage


@pytest.mark.covers("P1", "P2", "P13", "T24")
@pytest.mark.parametrize("case", [case for case in CASES if case not in BROKEN])
def test_a_stream_means_the_same_however_it_is_cut(case: str) -> None:
    data = recording(PROTOCOL, case)
    whole = decode_all(PROTOCOL, data)
    assert decode_all(PROTOCOL, data, every_byte(data)) == whole


@pytest.mark.covers("T24")
@given(st.data())
def test_a_stream_means_the_same_at_drawn_cuts(draw: st.DataObject) -> None:
    data = recording(PROTOCOL, draw.draw(st.sampled_from([case for case in CASES if case not in BROKEN])))
    assert decode_all(PROTOCOL, data, draw.draw(cuts_of(data))) == decode_all(PROTOCOL, data)


def test_text_comes_in_the_pieces_in_which_it_was_sent() -> None:
    events = events_of("text")
    assert events[0] == Start("msg_01XFDUDYJgAACzvnptvVoYEL", "claude-opus-4-8")
    assert [event.text for event in events if isinstance(event, Delta)] == [
        "Grüße",
        " aus Köln 🙂",
        " – ",
        "data: ok\n\nfertig.",
    ]
    assert events[-1] == Finish("stop", "end_turn")


@pytest.mark.covers("P2")
def test_crlf_line_ends_change_nothing() -> None:
    assert parts_of("text_crlf") == [("text", "one two", None)]


def test_text_in_the_start_of_its_block_is_its_beginning() -> None:
    assert parts_of("text_in_start") == [("text", "Hello", None)]


@pytest.mark.covers("P18")
def test_line_separators_inside_text_are_text() -> None:
    assert parts_of("line_separators") == [("text", "a\u2028b\u2029c\u0085d", None)]


def test_thinking_is_reasoning_sealed_by_its_signature() -> None:
    assert parts_of("thinking") == [
        ("reasoning", "The user wants a poem.", "EqQBCgIYAhIM1gbcDa9GJwZA2b3h"),
        ("text", "Leaves fall.", None),
    ]


@pytest.mark.covers("T21")
def test_a_seal_names_the_provider_it_is_bound_to() -> None:
    sealed = [event.sealed for event in events_of("thinking") if isinstance(event, PartEnd)]
    assert sealed[0] == Sealed("lab", "EqQBCgIYAhIM1gbcDa9GJwZA2b3h", "reasoning")


@pytest.mark.covers("P82", "T21")
def test_a_signature_without_thinking_is_kept() -> None:
    assert parts_of("thinking_signature_only")[0] == ("reasoning", "", "EqQBCgIYAhIM1gbcDa9GJwZA2b3h")


@pytest.mark.covers("P83")
def test_a_signature_in_two_pieces_is_joined() -> None:
    assert parts_of("thinking_signature_split")[0] == ("reasoning", "Hm.", "EqQBCgIYAhIM1gbc")


def test_thinking_without_a_signature_is_reasoning_without_a_seal() -> None:
    assert parts_of("thinking_unsigned")[0] == ("reasoning", "Hm.", None)


def test_a_thinking_block_with_nothing_in_it_is_no_part() -> None:
    assert parts_of("thinking_empty") == [("text", "Yes.", None)]


@pytest.mark.covers("P84", "T21")
def test_redacted_thinking_is_nothing_but_a_seal() -> None:
    seals = [event.sealed for event in events_of("thinking_redacted") if isinstance(event, PartEnd)]
    assert seals == [
        Sealed("lab", "EmwKAhgBEgy3va3pzix", "redacted"),
        Sealed("lab", "EvAFCoYBGAIiQL7asCo", "redacted"),
        None,
    ]


@pytest.mark.covers("P81")
def test_each_signature_stays_with_its_thinking() -> None:
    assert parts_of("thinking_interleaved") == [
        ("reasoning", "First the weather.", "c2lnLTE="),
        ("tool_call", '{"city": "Köln"}', None),
        ("reasoning", "Then the time.", "c2lnLTI="),
        ("tool_call", '{"zone": "CET"}', None),
    ]


def test_a_tool_call_keeps_id_and_name() -> None:
    starts = [event for event in events_of("tool") if isinstance(event, PartStart)]
    assert starts[1] == PartStart(1, "tool_call", "toolu_01T1x1fJ34qAmk2tNTrN7Up6", "get_weather")
    assert finish_of("tool") == Finish("tool_calls", "tool_use")


def test_parallel_tool_calls_are_parts_of_their_own() -> None:
    assert parts_of("tool_parallel") == [
        ("tool_call", '{"city": "Köln"}', None),
        ("tool_call", '{"city": "Bonn"}', None),
    ]


@pytest.mark.covers("T16", "P74")
def test_interleaved_blocks_come_one_after_the_other() -> None:
    assert parts_of("tool_interleaved") == [
        ("tool_call", '{"x":1}', None),
        ("tool_call", '{"y":2}', None),
        ("text", "Both are on their way.", None),
    ]


@pytest.mark.covers("P75", "T18")
def test_a_call_without_arguments_has_an_empty_object() -> None:
    assert [text for _, text, _ in parts_of("tool_no_arguments")] == ["{}", "{}"]


@pytest.mark.covers("P78", "P80", "T18")
def test_input_in_the_start_of_a_block_is_kept_to_the_letter() -> None:
    expected = '{"id": 1152921504606846976, "price": 1.0, "b": 1, "a": 2}'
    assert parts_of("tool_input_in_start") == [("tool_call", expected, None)]


@pytest.mark.covers("P78")
def test_deltas_win_over_input_in_the_start_of_a_block() -> None:
    assert parts_of("tool_input_in_start_and_deltas") == [("tool_call", '{"b":2}', None)]


@pytest.mark.covers("P79")
def test_fragments_pass_even_if_they_split_an_escape() -> None:
    deltas = [event.text for event in events_of("tool_escapes_split") if isinstance(event, Delta)]
    assert deltas == ['{"text": "caf\\u00', "e9 \\ud83d\\u", 'de42"}']


def test_calls_without_ids_get_distinct_ones() -> None:
    ids = [event.id for event in events_of("tool_without_id") if isinstance(event, PartStart)]
    assert ids == ["call_token_1", "call_token_2"]


def test_a_call_cut_by_the_limit_stays_cut() -> None:
    assert parts_of("tool_cut_by_limit") == [("tool_call", '{"text": "Once upon', None)]
    assert finish_of("tool_cut_by_limit").reason == "length"


@pytest.mark.covers("P97", "T20")
def test_a_stop_for_tools_without_a_call_is_an_ordinary_end() -> None:
    assert finish_of("tool_use_without_tool") == Finish("stop", "tool_use")


def test_server_tools_are_set_aside_and_the_text_around_them_stays() -> None:
    events = events_of("server_tool")
    assert [text for _, text, _ in parts_of("server_tool")] == ["I will search.", "A penstock is a pipe."]
    assert sum(isinstance(event, Opaque) for event in events) == 6


@pytest.mark.parametrize("case", ["code_execution", "mcp_tool", "compaction", "whole_server_tool"])
def test_what_the_providers_tools_did_is_no_part_of_the_answer(case: str) -> None:
    assert all(kind in {"text", "tool_call"} for kind, _, _ in parts_of(case))
    assert any(isinstance(event, Opaque) for event in events_of(case))


def test_a_client_tool_beside_the_providers_own_is_an_ordinary_call() -> None:
    assert parts_of("code_execution")[-1] == ("tool_call", '{"text": "42"}', None)
    assert finish_of("code_execution").reason == "tool_calls"


@pytest.mark.covers("P92")
def test_unknown_events_blocks_and_deltas_are_set_aside() -> None:
    events = events_of("unknown_events")
    assert parts_of("unknown_events") == [("text", "Hello.", None)]
    assert sum(isinstance(event, Opaque) for event in events) == 6


@pytest.mark.covers("P92")
@given(st.data())
def test_an_unknown_event_anywhere_changes_nothing(data: st.DataObject) -> None:
    case = data.draw(st.sampled_from(["text", "tool_interleaved", "thinking_interleaved", "usage_cumulative"]))
    blocks = recording(PROTOCOL, case).split(b"\n\n")
    position = data.draw(st.integers(0, len(blocks) - 1))
    strange = data.draw(st.sampled_from([b'event: glow\ndata: {"type":"glow","index":0,"text":1}', b": hush"]))
    events = decode_all(PROTOCOL, b"\n\n".join((*blocks[:position], strange, *blocks[position:])))
    assert [event for event in events if not isinstance(event, Opaque)] == events_of(case)


def test_the_event_line_counts_where_the_data_has_no_type() -> None:
    assert parts_of("event_name_only") == [("text", "Hello.", None)]
    assert finish_of("event_name_only").reason == "stop"


def test_event_lines_are_not_needed() -> None:
    assert parts_of("event_lines_absent") == [("text", "Hello.", None)]


def test_a_missing_message_start_is_made_up_for() -> None:
    assert events_of("message_start_absent")[0] == Start()


@pytest.mark.parametrize("case", ["message_start_twice", "block_start_absent", "message_stop_then_more", "heartbeats"])
@pytest.mark.covers("P6", "P7", "P8")
def test_harmless_disorder_is_read_over(case: str) -> None:
    assert parts_of(case) == [("text", "Hello.", None)]
    assert sum(isinstance(event, Start) for event in events_of(case)) == 1


def test_a_second_message_in_the_middle_of_the_first_is_a_failure() -> None:
    assert failure_of("message_start_spliced").kind == "stream_incomplete"


def test_blocks_that_are_never_stopped_end_with_the_message() -> None:
    assert parts_of("block_stop_absent") == [("text", "Now: ", None), ("tool_call", '{"a":1}', None)]


def test_blocks_that_share_an_index_are_still_several() -> None:
    assert [kind for kind, _, _ in parts_of("block_index_repeated")] == ["text", "tool_call", "tool_call"]


@pytest.mark.covers("T13", "P112")
@pytest.mark.parametrize("case", ["message_stop_absent", "message_delta_absent"])
def test_a_stop_reason_or_message_stop_is_an_end(case: str) -> None:
    assert finish_of(case).reason == "stop"


@pytest.mark.covers("T12", "P110", "P111")
@pytest.mark.parametrize("case", ["cut", "cut_in_arguments", "empty"])
def test_a_stream_without_its_end_is_a_failure(case: str) -> None:
    assert failure_of(case).kind == "stream_incomplete"
    assert not any(isinstance(event, PartEnd) for event in events_of(case))


@pytest.mark.covers("T12")
def test_a_stream_that_ends_inside_an_event_is_a_fault() -> None:
    with pytest.raises(UpstreamFault):
        events_of("cut_in_event")


@pytest.mark.covers("P108", "T10")
def test_an_error_may_come_before_anything_else() -> None:
    assert events_of("error_first") == [Failure(ErrorInfo("overloaded", "Overloaded"))]


@pytest.mark.covers("P109", "T11")
def test_an_error_ends_the_answer_whatever_follows() -> None:
    assert failure_of("error_midway") == ErrorInfo("overloaded", "Overloaded")


def test_an_error_needs_no_event_line() -> None:
    assert failure_of("error_without_event_line") == ErrorInfo("rate_limited", "Slow down")


@pytest.mark.covers("P93", "T1")
def test_input_counted_at_the_start_and_output_at_the_end() -> None:
    usage = usage_of("usage_in_start")
    assert usage == Usage(uncached=10, cache_read=90, cache_write=0, output=20)
    assert usage.input == 100


@pytest.mark.covers("T3", "P96")
@pytest.mark.parametrize(
    ("case", "usage"),
    [
        ("usage_in_delta", Usage(uncached=4522, cache_write=4511, output=5)),
        ("usage_in_both", Usage(uncached=61, output=2)),
    ],
)
def test_the_later_count_replaces_the_earlier(case: str, usage: Usage) -> None:
    assert usage_of(case) == usage


@pytest.mark.covers("T2")
def test_cumulative_counts_are_never_added() -> None:
    assert usage_of("usage_cumulative").output == 12


def test_cache_writes_are_told_apart_by_lifetime() -> None:
    expected = Usage(uncached=3, cache_read=1000, cache_write=500, cache_write_1h=200, output=7)
    assert usage_of("usage_cache_split") == expected


def test_thinking_is_counted_within_the_output() -> None:
    assert usage_of("thinking") == Usage(25, 0, 0, 0, 40, 22, service_tier="standard")


@pytest.mark.covers("P95", "T6")
def test_no_usage_is_unknown_usage() -> None:
    assert not any(isinstance(event, UsageUpdate) for event in events_of("usage_absent"))


def test_counts_in_strings_and_floats_are_counts() -> None:
    assert usage_of("usage_as_text") == Usage(uncached=12, output=3)


@pytest.mark.covers("T20", "P98")
@pytest.mark.parametrize(
    ("case", "finish"),
    [
        ("stop_sequence", Finish("stop_sequence", "stop_sequence", "three")),
        ("max_tokens", Finish("length", "max_tokens")),
        ("context_window", Finish("context_window", "model_context_window_exceeded")),
        ("pause_turn", Finish("pause", "pause_turn")),
        ("refusal", Finish("refusal", "refusal")),
        ("stop_reason_unknown", Finish("other", "tired")),
    ],
)
def test_stop_reasons(case: str, finish: Finish) -> None:
    assert finish_of(case) == finish


def test_the_explanation_of_a_refusal_is_a_refusal() -> None:
    assert parts_of("refusal") == [("refusal", "This request was blocked under the usage policy.", None)]


@pytest.mark.covers("P19")
def test_half_a_surrogate_pair_becomes_a_replacement_character() -> None:
    assert parts_of("lone_surrogate") == [("text", "a\ufffd b", None)]


@pytest.mark.covers("P14")
def test_a_whole_message_instead_of_a_stream_is_the_same_answer() -> None:
    assert parts_of("whole_message") == [
        ("reasoning", "Hm.", "c2ln"),
        ("text", "Let me look.", None),
        ("tool_call", '{\n        "city": "Köln"\n      }', None),
    ]
    assert finish_of("whole_message").reason == "tool_calls"
    assert usage_of("whole_message").input == 100


@pytest.mark.covers("P15")
def test_an_error_object_instead_of_a_stream_is_a_failure() -> None:
    assert failure_of("whole_error") == ErrorInfo("invalid_request", "max_tokens: too large")


def test_a_whole_answer_folds() -> None:
    body = recording(PROTOCOL, "whole_message")
    answer = fold(PROTOCOL.read_response(body, "lab", "token"))
    assert [part.kind for part in answer.parts] == ["reasoning", "text", "tool_call"]


@pytest.mark.parametrize("body", [b"<html>", b'{"type":"message","content":7}', b"[1]", b"{"])
def test_a_body_that_is_no_answer_is_a_fault(body: bytes) -> None:
    with pytest.raises(UpstreamFault):
        fold(PROTOCOL.read_response(body, "lab", "token"))


@pytest.mark.parametrize(
    "data",
    [
        b'{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":{}}}',
        b'{"type":"message_start","message":[]}',
        b"garbage",
        b'"text"',
    ],
)
def test_nonsense_of_a_known_type_is_a_fault(data: bytes) -> None:
    with pytest.raises(UpstreamFault):
        PROTOCOL.decoder("lab", "token").decode(Frame("", data, data))


@pytest.mark.parametrize("data", [b'{"type":{}}', b'{"type":["ping"],"index":0,"delta":[]}', b"{}"])
def test_nonsense_of_no_known_type_is_set_aside(data: bytes) -> None:
    assert PROTOCOL.decoder("lab", "token").decode(Frame("", data, data)) == [Opaque("anthropic", data)]


def test_no_frame_carries_only_usage() -> None:
    assert not PROTOCOL.usage_only(Frame("message_delta", b'{"type":"message_delta","usage":{}}', b""))
