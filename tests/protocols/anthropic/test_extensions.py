"""Normalising: a stream that is decoded and encoded for a client of the same protocol keeps what nobody knows."""

import json
from typing import Any

import pytest

from penstock.core.answer import Answer, AnswerPart, fold
from penstock.core.events import Delta, Event, Finish, Opaque, PartEnd, PartStart, Start
from penstock.protocols.anthropic import PROTOCOL
from penstock.protocols.base import EXTENSIONS, Reply
from tests.protocols.anthropic.test_encode import accumulated, sent, stream
from tests.protocols.driving import recording
from tools import replay

REPLY = Reply("abc", "lab/model", 1_700_000_000, seal=lambda sealed: sealed.data)
WITH_EXTENSIONS = [
    "citations_blocks",
    "citations_char",
    "citations_page",
    "citations_search_result",
    "citations_web",
    "compaction",
    "mcp_tool",
    "pause_turn",
    "refusal",
    "server_tool",
    "text",
    "thinking_redacted",
    "tool_parallel",
    "usage_cache_split",
]


def events_of(case: str) -> list[Event]:
    decoder = PROTOCOL.decoder("lab", "t", frozenset({EXTENSIONS}))
    frames = replay.read_frames([recording(PROTOCOL, case)])
    return [event for frame in frames for event in decoder.decode(frame)] + decoder.close()


def normalised(case: str) -> bytes:
    return stream(*events_of(case), reply=REPLY)


def message_of(data: bytes) -> dict[str, Any]:
    """Return what the SDK makes of a stream, without what names the answer."""
    message = accumulated(data).to_dict(warnings=False)
    named = {name: value for name, value in message.items() if name not in {"id", "model"}}
    for block in named["content"]:  # pyright: ignore[reportGeneralTypeIssues]
        if block.get("citations") == []:
            del block["citations"]
    return named


@pytest.mark.covers("P62")
@pytest.mark.parametrize("case", WITH_EXTENSIONS)
def test_the_sdk_reads_the_same_message_from_a_normalised_stream(case: str) -> None:
    expected = message_of(recording(PROTOCOL, case))
    if tools := expected["usage"].get("server_tool_use"):
        tools.setdefault("web_fetch_requests", 0)  # SDKs declare it always, providers do not always say it
    assert message_of(normalised(case)) == expected


@pytest.mark.parametrize("case", ["citations_web", "server_tool"])
def test_a_whole_answer_keeps_its_blocks_where_they_stood(case: str) -> None:
    whole = json.loads(PROTOCOL.write_response(fold(events_of(case)), REPLY))
    assert whole["content"] == json.loads(json.dumps(message_of(normalised(case))["content"]))


def test_members_of_the_message_that_nobody_knows_stay() -> None:
    last = next(event for name, event in sent(normalised("code_execution")) if name == "message_delta")
    assert last["delta"]["container"]["id"] == "container_011"
    assert last["usage"]["server_tool_use"] == {"web_search_requests": 0, "web_fetch_requests": 0}
    assert last["usage"]["output_tokens"] == 60
    assert last["context_management"] == {"applied_edits": []}
    first = sent(normalised("code_execution"))[0][1]
    assert first["message"]["usage"]["service_tier"] == "standard"


def test_members_of_a_whole_message_that_nobody_knows_stay() -> None:
    whole = json.loads(PROTOCOL.write_response(fold(events_of("whole_server_tool")), REPLY))
    assert whole["container"] is None
    assert (whole["usage"]["service_tier"], whole["usage"]["input_tokens"]) == ("priority", 25)


@pytest.mark.parametrize(
    "event",
    [
        {"type": "content_block_start", "index": "0", "content_block": []},
        {"type": "content_block_delta", "index": -5, "delta": {"citation": {}}},
        {"type": "content_block_delta", "index": 0, "delta": {"partial_json": 5}},
        {"type": "content_block_delta", "index": 0, "delta": None},
        {"type": "message_start", "message": []},
    ],
    ids=str,
)
def test_events_of_other_shapes_leave_a_whole_message_as_it_is(event: dict[str, Any]) -> None:
    answer = Answer("m", "x", (AnswerPart("text", "hi"),), Finish("stop"), extensions=(opaque(**event),))
    assert {"type": "text", "text": "hi"}.items() <= json.loads(PROTOCOL.write_response(answer, REPLY))["content"][
        -1
    ].items()


def test_without_the_wish_only_events_and_blocks_are_reported() -> None:
    decoder = PROTOCOL.decoder("lab", "t")
    frames = replay.read_frames([recording(PROTOCOL, "text")])
    assert not any(isinstance(event, Opaque) for frame in frames for event in decoder.decode(frame))


# --- the encoder alone


def opaque(**event: Any) -> Opaque:
    return Opaque("anthropic", json.dumps(event).encode())


def test_unknown_blocks_are_counted_like_the_others() -> None:
    data = stream(
        Start(),
        opaque(type="content_block_start", index=7, content_block={"type": "dream"}),
        opaque(type="content_block_delta", index=7, delta={"type": "dream_delta"}),
        opaque(type="content_block_stop", index=7),
        PartStart(0, "text"),
        Delta(0, "hi"),
        PartEnd(0),
        Finish("stop"),
    )
    assert [event["index"] for _, event in sent(data) if "index" in event] == [0, 0, 0, 1, 1, 1]


def test_an_unknown_delta_goes_to_the_open_block() -> None:
    shine = opaque(type="content_block_delta", index=7, delta={"type": "shine_delta"})
    data = stream(Start(), PartStart(0, "text"), shine, Delta(0, "hi"), PartEnd(0), shine, Finish("stop"))
    assert [(name, event["index"]) for name, event in sent(data) if "index" in event] == [
        ("content_block_start", 0),
        ("content_block_delta", 0),
        ("content_block_delta", 0),
        ("content_block_stop", 0),
    ]


def test_an_unknown_block_inside_another_has_no_place() -> None:
    data = stream(
        Start(),
        PartStart(0, "text"),
        Delta(0, "hi"),
        opaque(type="content_block_start", index=7, content_block={"type": "dream"}),
        opaque(type="content_block_delta", index=7, delta={"type": "dream_delta"}),
        opaque(type="content_block_stop", index=7),
        PartEnd(0),
        Finish("stop"),
    )
    assert b"dream" not in data


def test_an_unknown_event_is_written_on_under_its_name() -> None:
    assert sent(stream(Start(), opaque(type="weather", sky="blue")))[1] == (
        "weather",
        {"type": "weather", "sky": "blue"},
    )


@pytest.mark.parametrize(
    "event",
    [
        opaque(type="x\n\nevent: message_stop"),
        opaque(type=7),
        opaque(other="x"),
        opaque(type="content_block_stop", index=0),
        Opaque("gemini", b'{"type":"weather"}'),
    ],
)
def test_what_has_no_place_in_the_stream_is_left_out(event: Opaque) -> None:
    assert stream(Start(), event) == stream(Start())
