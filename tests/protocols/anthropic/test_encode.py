"""What an Anthropic Messages client gets."""

import json
from typing import Any

import anthropic
import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.core import envelope
from penstock.core.answer import Answer, AnswerPart, fold, unfold
from penstock.core.errors import ErrorInfo
from penstock.core.events import (
    Delta,
    Event,
    Failure,
    Finish,
    FinishReason,
    Opaque,
    PartEnd,
    PartKind,
    PartStart,
    Sealed,
    Start,
    UsageUpdate,
)
from penstock.core.usage import Usage
from penstock.protocols.anthropic import PROTOCOL
from penstock.protocols.base import Reply
from tests.protocols.driving import decode_all, recording

REPLY = Reply("abc", "lab/model", 1_700_000_000, input_estimate=lambda: 7)
SEALED = Sealed("lab", "c2ln")


def stream(*events: Event, reply: Reply = REPLY) -> bytes:
    encoder = PROTOCOL.encoder(reply)
    return b"".join(encoder.encode(event) for event in events)


def sent(data: bytes) -> list[tuple[str, dict[str, Any]]]:
    """Return name and data of each event."""
    blocks = data.decode().removesuffix("\n\n").split("\n\n")
    pairs = [block.split("\n") for block in blocks]
    return [(name.removeprefix("event: "), json.loads(line.removeprefix("data: "))) for name, line in pairs]


def accumulated(data: bytes) -> anthropic.types.Message:
    """Return what the vendor's own SDK makes of a stream."""
    answer = httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=data)
    transport = httpx2.MockTransport(lambda _: answer)
    with (
        httpx2.Client(transport=transport) as http,
        anthropic.Anthropic(api_key="k", http_client=http, max_retries=0) as client,
        client.messages.stream(model="m", max_tokens=9, messages=[{"role": "user", "content": "hi"}]) as running,
    ):
        return running.get_final_message()


def part(index: int, kind: PartKind, *texts: str, sealed: Sealed | None = None) -> list[Event]:
    named = ("toolu_a", "get_weather") if kind == "tool_call" else ("", "")
    return [PartStart(index, kind, *named), *(Delta(index, text) for text in texts), PartEnd(index, sealed)]


@pytest.mark.covers("T23", "P23")
def test_the_sequence_of_events_of_an_answer() -> None:
    usage = UsageUpdate(Usage(uncached=6, cache_read=4, output=20))
    data = stream(Start("up", "upstream"), *part(0, "text", "Hel", "lo"), usage, Finish("stop"))
    assert data.decode() == (
        "event: message_start\n"
        'data: {"type":"message_start","message":{"id":"msg_abc","type":"message","role":"assistant",'
        '"model":"lab/model","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":7,'
        '"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":0}}}\n\n'
        "event: content_block_start\n"
        'data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}\n\n'
        "event: content_block_delta\n"
        'data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hel"}}\n\n'
        "event: content_block_delta\n"
        'data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"lo"}}\n\n'
        "event: content_block_stop\n"
        'data: {"type":"content_block_stop","index":0}\n\n'
        "event: message_delta\n"
        'data: {"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":'
        '{"input_tokens":6,"cache_creation_input_tokens":0,"cache_read_input_tokens":4,"output_tokens":20}}\n\n'
        "event: message_stop\n"
        'data: {"type":"message_stop"}\n\n'
    )


@pytest.mark.covers("T28")
def test_message_start_does_not_wait_for_content() -> None:
    assert sent(stream(Start()))[0][0] == "message_start"


def test_every_delta_is_written_as_it_comes() -> None:
    encoder = PROTOCOL.encoder(REPLY)
    assert [bool(encoder.encode(event)) for event in (Start(), PartStart(0, "text"), Delta(0, "a"), Delta(0, "b"))] == [
        True,
        False,
        True,
        True,
    ]


@pytest.mark.covers("T15")
def test_thinking_goes_before_text_in_a_block_of_its_own() -> None:
    data = stream(Start(), *part(0, "reasoning", "Hm", "."), *part(1, "text", "Yes."), Finish("stop"))
    assert [(name, event.get("index")) for name, event in sent(data)] == [
        ("message_start", None),
        ("content_block_start", 0),
        ("content_block_delta", 0),
        ("content_block_delta", 0),
        ("content_block_stop", 0),
        ("content_block_start", 1),
        ("content_block_delta", 1),
        ("content_block_stop", 1),
        ("message_delta", None),
        ("message_stop", None),
    ]
    assert sent(data)[1][1]["content_block"] == {"type": "thinking", "thinking": "", "signature": ""}


@pytest.mark.covers("P83", "T21")
def test_a_seal_is_one_signature_in_an_envelope() -> None:
    data = stream(Start(), *part(0, "reasoning", "Hm.", sealed=SEALED), Finish("stop"))
    deltas = [event["delta"] for name, event in sent(data) if name == "content_block_delta"]
    assert deltas[1:] == [{"type": "signature_delta", "signature": envelope.wrap(SEALED)}]


@pytest.mark.covers("P82")
def test_a_signature_without_thinking_is_a_thinking_block_without_text() -> None:
    message = accumulated(stream(Start(), *part(0, "reasoning", sealed=SEALED), Finish("stop")))
    assert message.content[0].model_dump(exclude_none=True) == {
        "type": "thinking",
        "thinking": "",
        "signature": envelope.wrap(SEALED),
    }


@pytest.mark.covers("P84", "T21")
@pytest.mark.parametrize("form", ["redacted", "tool_call"])
def test_a_seal_on_no_thinking_is_a_redacted_block(form: Any) -> None:
    sealed = Sealed("lab", "c2ln", form)
    message = accumulated(stream(Start(), *part(0, "reasoning", sealed=sealed), Finish("stop")))
    assert message.content[0].to_dict() == {"type": "redacted_thinking", "data": envelope.wrap(sealed)}


def test_the_seal_of_a_text_is_told_before_more_content_but_never_as_the_last_block() -> None:
    sealed = Sealed("lab", "c2ln", "text")
    answer = [Start(), *part(0, "text", "Hi"), *part(1, "reasoning", sealed=sealed)]
    last = accumulated(stream(*answer, Finish("stop")))
    assert [block.type for block in last.content] == ["text"]
    followed = accumulated(stream(*answer, *part(2, "text", "there"), Finish("stop")))
    assert [block.type for block in followed.content] == ["text", "redacted_thinking", "text"]


def test_who_speaks_for_the_origin_sends_its_seals_bare() -> None:
    reply = Reply("abc", "m", 0, seal=lambda sealed: sealed.data)
    message = accumulated(stream(Start(), *part(0, "reasoning", "Hm.", sealed=SEALED), Finish("stop"), reply=reply))
    assert message.content[0].to_dict()["signature"] == "c2ln"


@pytest.mark.covers("T15", "T16")
def test_parts_without_content_leave_no_block_and_no_gap() -> None:
    empty = [*part(0, "reasoning"), *part(1, "text")]
    message = accumulated(stream(Start(), *empty, *part(2, "text", "Hi"), Finish("stop")))
    assert [block.to_dict() for block in message.content] == [{"type": "text", "text": "Hi"}]


@pytest.mark.covers("T16", "P75")
def test_tool_calls_are_what_the_sdk_makes_of_their_fragments() -> None:
    calls = [*part(0, "tool_call", '{"city": "K', 'öln"}'), *part(1, "tool_call", "{}")]
    message = accumulated(stream(Start(), *calls, Finish("tool_calls")))
    assert [block.to_dict() for block in message.content] == [
        {"type": "tool_use", "id": "toolu_a", "name": "get_weather", "input": {"city": "Köln"}},
        {"type": "tool_use", "id": "toolu_a", "name": "get_weather", "input": {}},
    ]
    assert message.stop_reason == "tool_use"


@pytest.mark.covers("P90")
def test_a_refusal_is_text_and_a_stop_reason() -> None:
    message = accumulated(stream(Start(), *part(0, "refusal", "I cannot."), Finish("stop")))
    assert message.content[0].to_dict() == {"type": "text", "text": "I cannot."}
    assert message.stop_reason == "refusal"


@pytest.mark.covers("T1", "P94")
def test_the_full_usage_comes_at_the_end() -> None:
    usage = Usage(uncached=10, cache_read=90, cache_write=500, cache_write_1h=200, output=20, reasoning=5)
    data = stream(Start(), *part(0, "text", "Hi"), UsageUpdate(usage), Finish("stop"))
    assert sent(data)[-2][1]["usage"] == {
        "input_tokens": 10,
        "cache_creation_input_tokens": 700,
        "cache_read_input_tokens": 90,
        "output_tokens": 20,
        "cache_creation": {"ephemeral_5m_input_tokens": 500, "ephemeral_1h_input_tokens": 200},
        "output_tokens_details": {"thinking_tokens": 5},
    }
    counted = accumulated(data).usage
    assert (counted.input_tokens, counted.cache_read_input_tokens, counted.output_tokens) == (10, 90, 20)


@pytest.mark.covers("P95", "T1")
def test_unknown_usage_is_the_estimate_and_zeros() -> None:
    events = sent(stream(Start(), Finish("stop")))
    counts = {
        "input_tokens": 7,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": 0,
    }
    assert events[0][1]["message"]["usage"] == counts
    assert events[1][1]["usage"] == counts


@pytest.mark.covers("T20", "P89", "P98")
@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("stop", "end_turn"),
        ("length", "max_tokens"),
        ("context_window", "model_context_window_exceeded"),
        ("tool_calls", "tool_use"),
        ("refusal", "refusal"),
        ("content_filter", "refusal"),
        ("pause", "pause_turn"),
        ("other", "end_turn"),
    ],
)
def test_stop_reasons(reason: FinishReason, expected: str) -> None:
    assert accumulated(stream(Start(), *part(0, "text", "Hi"), Finish(reason))).stop_reason == expected


def test_a_stop_sequence_is_named_or_else_an_ordinary_end() -> None:
    named = accumulated(stream(Start(), Finish("stop_sequence", stop_sequence="END")))
    unnamed = accumulated(stream(Start(), Finish("stop_sequence")))
    assert (named.stop_reason, named.stop_sequence) == ("stop_sequence", "END")
    assert (unnamed.stop_reason, unnamed.stop_sequence) == ("end_turn", None)


@pytest.mark.covers("T11", "P109", "P117")
def test_a_failure_is_an_error_event_and_nothing_after_it() -> None:
    failure = Failure(ErrorInfo("overloaded", "Try later."))
    data = stream(Start(), PartStart(0, "text"), Delta(0, "Once"), failure)
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Try later."}}
    assert sent(data)[-1] == ("error", error)
    assert b"message_stop" not in data
    with pytest.raises(anthropic.APIStatusError) as raised:
        accumulated(data)
    assert raised.value.type == "overloaded_error"


def test_what_nobody_knows_is_not_passed_on() -> None:
    assert stream(Start(), Opaque("gemini", b"{}"), Finish("stop")) == stream(Start(), Finish("stop"))


@pytest.mark.covers("P101", "P18")
def test_text_cannot_break_the_framing() -> None:
    text = 'data: x\n\nevent: y\r\n\u2028\u2029\u0085\x00"\\'
    data = stream(Start(), *part(0, "text", text), Finish("stop"))
    assert not any(separator in data.decode() for separator in "\u2028\u2029\u0085")
    assert accumulated(data).content[0].to_dict()["text"] == text


@pytest.mark.covers("P102")
def test_the_client_reads_its_own_name_of_the_model_and_a_fresh_id() -> None:
    message = accumulated(stream(Start("upstream-id", "upstream-model"), Finish("stop")))
    assert (message.id, message.model) == ("msg_abc", "lab/model")


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
PARTS = st.lists(
    st.one_of(
        st.builds(AnswerPart, st.just("text"), TEXTS),
        st.builds(AnswerPart, st.just("reasoning"), TEXTS, sealed=st.none() | st.builds(Sealed, st.just("lab"), TEXTS)),
        st.builds(AnswerPart, st.just("reasoning"), st.just(""), sealed=st.builds(Sealed, st.just("lab"), TEXTS)),
        st.builds(
            AnswerPart,
            st.just("tool_call"),
            st.dictionaries(TEXTS, TEXTS).map(json.dumps),
            id=st.from_regex(r"toolu_[a-zA-Z0-9]{1,9}", fullmatch=True),
            name=st.from_regex(r"[a-z_]{1,9}", fullmatch=True),
        ),
    ),
    max_size=6,
)


@given(PARTS)
def test_every_answer_survives_encode_and_decode(parts: list[AnswerPart]) -> None:
    called = any(part.kind == "tool_call" for part in parts)
    finish = Finish("tool_calls", "tool_use") if called else Finish("stop", "end_turn")
    usage = Usage(3, 2, 1, 0, 9, 4)
    answer = Answer("msg_abc", "lab/model", tuple(parts), finish, usage)
    bare = Reply("abc", "lab/model", 0, seal=lambda sealed: sealed.data)
    assert fold(decode_all(PROTOCOL, stream(*unfold(answer), reply=bare))) == answer


@given(PARTS)
def test_an_answer_is_the_same_streamed_or_not(parts: list[AnswerPart]) -> None:
    answer = Answer("up", "m", tuple(parts), Finish("stop"), Usage(3, 2, 1, 0, 9, 4))
    streamed = accumulated(stream(*unfold(answer))).to_dict()
    whole = json.loads(PROTOCOL.write_response(answer, REPLY))
    for name in ("id", "model", "role", "content", "stop_reason", "stop_sequence"):
        assert streamed[name] == whole[name]


def test_a_whole_answer_has_every_field_that_sdks_read() -> None:
    answer = fold(decode_all(PROTOCOL, recording(PROTOCOL, "tool")))
    assert json.loads(PROTOCOL.write_response(answer, REPLY)) == {
        "id": "msg_abc",
        "type": "message",
        "role": "assistant",
        "model": "lab/model",
        "content": [
            {"type": "text", "text": "Let me look."},
            {
                "type": "tool_use",
                "id": "toolu_01T1x1fJ34qAmk2tNTrN7Up6",
                "name": "get_weather",
                "input": {"city": "San Francisco", "days": 3},
            },
        ],
        "stop_reason": "tool_use",
        "stop_sequence": None,
        "usage": {
            "input_tokens": 25,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "output_tokens": 15,
            "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
        },
    }


@pytest.mark.covers("P48", "P80")
@pytest.mark.parametrize(
    ("arguments", "written"),
    [
        ('{"price": 1.0, "id": 1152921504606846976}', b'"input":{"price":1.0,"id":1152921504606846976}'),
        ("null", b'"input":{}'),
        ('{"text": "Once', b'"input":{"_raw":"{\\"text\\": \\"Once"}'),
    ],
)
def test_arguments_are_an_object_to_the_letter_or_kept_raw(arguments: str, written: bytes) -> None:
    call = AnswerPart("tool_call", arguments, "toolu_a", "f")
    assert written in PROTOCOL.write_response(Answer("", "", (call,), Finish("tool_calls")), REPLY)
