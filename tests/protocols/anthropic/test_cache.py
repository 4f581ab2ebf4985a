"""Marks of prompt caching in both directions, and both lifetimes in the usage."""

import json
from typing import Any

import pytest
from msgspec.structs import replace

from penstock.core.answer import Answer
from penstock.core.events import Finish, UsageUpdate
from penstock.core.request import Ask, CacheLifetime, Media, Text, Tool, ToolCall, ToolResult, Turn
from penstock.core.usage import Usage
from penstock.protocols.anthropic import PROTOCOL
from penstock.protocols.base import Outbound, Target
from tests.protocols.anthropic.test_encode import REPLY, stream
from tests.protocols.anthropic.test_read_request import HI, ask
from tests.protocols.driving import decode_all, recording

FIVE = {"type": "ephemeral"}
HOUR = {"type": "ephemeral", "ttl": "1h"}
PIXEL = "iVBORw0KGgo="


def marked(block: dict[str, Any], control: dict[str, Any] = FIVE) -> dict[str, Any]:
    return {**block, "cache_control": control}


def said(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def outbound(*turns: Turn, **fields: Any) -> Outbound:
    return PROTOCOL.write_request(Ask("lab/m", turns, **fields), Target("lab", "m-1"))


def user(*caches: CacheLifetime | None) -> Turn:
    return Turn("user", tuple(Text(str(number), cache) for number, cache in enumerate(caches)))


def marks(body: bytes) -> list[tuple[str, dict[str, Any]]]:
    """Return all marks in a body, with the text or the name that they are on."""
    found = json.loads(body)
    blocks = [*found.get("tools", []), *found.get("system", [])]
    blocks += [block for message in found["messages"] for block in message["content"]]
    return [
        (block.get("name") or block.get("text") or block["type"], block["cache_control"])
        for block in blocks
        if "cache_control" in block
    ]


# --- from the client


@pytest.mark.parametrize(
    ("control", "lifetime"),
    [(FIVE, "5m"), ({"type": "ephemeral", "ttl": "5m"}, "5m"), (HOUR, "1h"), ({**HOUR, "scope": "global"}, "1h")],
)
def test_a_mark_lives_five_minutes_unless_it_says_an_hour(control: dict[str, Any], lifetime: CacheLifetime) -> None:
    found = ask({"role": "user", "content": [marked(said("hi"), control)]})
    assert found.turns[0].parts == (Text("hi", lifetime),)


def test_marks_are_read_wherever_they_stand() -> None:
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}}
    call = {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}}
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": [marked(said("ok"))]}
    found = ask(
        {"role": "user", "content": [marked(image)]},
        {"role": "assistant", "content": [marked(call, HOUR)]},
        {"role": "user", "content": [marked(result)]},
        system=[said("a"), marked(said("b"), HOUR)],
        tools=[marked({"name": "f"})],
    )
    system, first, called, answered = (turn.parts[-1] for turn in found.turns)
    assert (system, called) == (Text("b", "1h"), ToolCall("toolu_1", "f", "{}", cache="1h"))
    assert first == Media("image", "image/png", PIXEL, cache="5m")
    assert answered == ToolResult("toolu_1", "f", (Text("ok", "5m"),), cache="5m")
    assert found.tools == (Tool("f", cache="5m"),)
    assert found.dropped == ()


def test_a_mark_on_what_becomes_several_parts_is_on_the_last() -> None:
    document = {"type": "document", "context": "About.", "source": {"type": "url", "url": "https://example.com/a.pdf"}}
    found = ask({"role": "user", "content": [marked(document)]})
    assert [getattr(part, "cache", None) for part in found.turns[0].parts] == [None, "5m"]


def test_a_mark_of_the_whole_request_is_on_its_last_part() -> None:
    found = ask({"role": "user", "content": [said("a"), said("b")]}, cache_control=HOUR)
    assert found.turns[0].parts == (Text("a"), Text("b", "1h"))
    assert ask({"role": "user", "content": [marked(said("a"))]}, cache_control=HOUR).turns[0].parts == (
        Text("a", "5m"),
    )
    assert ask(HI, cache_control=None) == ask(HI)


# --- to the provider


@pytest.mark.covers("P63")
def test_marks_are_written_on_everything_that_can_bear_one() -> None:
    call = ToolCall("toolu_1", "f", "{}", cache="5m")
    result = ToolResult("toolu_1", "f", (Text("ok", "5m"), Media("image", "image/png", PIXEL)))
    sent = outbound(
        Turn("system", (Text("a"), Text("b", "1h"))),
        user(None),
        Turn("assistant", (call,)),
        Turn("user", (result,)),
        tools=(Tool("f", cache="1h"),),
    )
    assert marks(sent.body) == [("f", HOUR), ("b", HOUR), ("f", FIVE), ("tool_result", FIVE)]
    assert b'"image","source"' in sent.body
    assert sent.dropped == ()


def test_of_more_than_four_marks_the_last_stay_and_the_one_before_the_messages() -> None:
    sent = outbound(
        Turn("system", (Text("a", "5m"), Text("b", "5m"))), user(*["5m"] * 5), tools=(Tool("f", cache="5m"),)
    )
    assert marks(sent.body) == [("b", FIVE), ("2", FIVE), ("3", FIVE), ("4", FIVE)]
    assert sent.dropped == ("cache_control",)


def test_four_marks_stay_as_they_are() -> None:
    sent = outbound(Turn("system", (Text("a", "5m"),)), user(None, "5m", "5m"), tools=(Tool("f", cache="5m"),))
    assert marks(sent.body) == [("f", FIVE), ("a", FIVE), ("1", FIVE), ("2", FIVE)]
    assert sent.dropped == ()


def test_no_mark_for_five_minutes_stands_before_one_for_an_hour() -> None:
    sent = outbound(Turn("system", (Text("a", "5m"),)), user("1h", "5m"))
    assert marks(sent.body) == [("a", HOUR), ("0", HOUR), ("1", FIVE)]


def test_a_request_without_marks_has_none() -> None:
    assert marks(outbound(user(None)).body) == []


# --- usage


@pytest.mark.covers("T33")
@pytest.mark.parametrize("case", ["usage_cache_split", "whole_server_tool"])
def test_both_lifetimes_are_counted_apart_and_told_apart(case: str) -> None:
    events = decode_all(PROTOCOL, recording(PROTOCOL, case))
    usage = [event for event in events if isinstance(event, UsageUpdate)][-1].usage
    assert usage.cache_write
    assert usage.cache_write_1h
    told = json.loads(PROTOCOL.write_response(Answer("", "", (), Finish("stop"), usage), REPLY))["usage"]
    assert told["cache_creation_input_tokens"] == usage.cache_write + usage.cache_write_1h
    assert told["cache_creation"] == {
        "ephemeral_5m_input_tokens": usage.cache_write,
        "ephemeral_1h_input_tokens": usage.cache_write_1h,
    }
    again = [event for event in decode_all(PROTOCOL, stream(*events)) if isinstance(event, UsageUpdate)][-1].usage
    assert again == replace(usage, service_tier=None)  # each vendor has words of its own for tiers


def test_a_lifetime_that_nobody_said_is_not_invented() -> None:
    usage = Usage(uncached=1, cache_write=5, output=1)
    told = json.loads(PROTOCOL.write_response(Answer("", "", (), Finish("stop"), usage), REPLY))["usage"]
    assert told["cache_creation_input_tokens"] == 5
    assert "cache_creation" not in told
