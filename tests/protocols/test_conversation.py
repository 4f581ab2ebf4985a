"""The order of turns that every reader of requests settles."""

import pytest

from penstock.core.errors import ClientFault
from penstock.core.request import Part, Role, Text, ToolCall, ToolResult, Turn
from penstock.protocols.conversation import settle, split_system


def turn(role: Role, *parts: Part | str) -> Turn:
    return Turn(role, tuple(Text(part) if isinstance(part, str) else part for part in parts))


def call(id: str, name: str = "look") -> ToolCall:  # noqa: A002
    return ToolCall(id, name, "{}")


def result(id: str, content: str = "ok", name: str = "") -> ToolResult:  # noqa: A002
    return ToolResult(id, name, (Text(content),))


def refused(*turns: Turn) -> str:
    with pytest.raises(ClientFault) as raised:
        settle(turns, "messages")
    assert raised.value.info.param == "messages"
    return raised.value.info.message


@pytest.mark.covers("P40")
def test_turns_of_one_role_in_a_row_are_one_turn() -> None:
    turns = [turn("user", "a"), turn("user", "b"), turn("assistant", "c"), turn("assistant", "d"), turn("user", "e")]
    assert settle(turns, "messages") == (turn("user", "a", "b"), turn("assistant", "c", "d"), turn("user", "e"))


@pytest.mark.covers("P42")
def test_a_turn_without_parts_is_dropped() -> None:
    assert settle([turn("user", "a"), turn("assistant"), turn("user", "b")], "messages") == (turn("user", "a", "b"),)


@pytest.mark.covers("P43")
def test_system_turns_stay_where_they_stand() -> None:
    turns = (turn("system", "a"), turn("user", "b"), turn("system", "c"), turn("user", "d"))
    assert settle(turns, "messages") == turns


@pytest.mark.covers("P44", "P45")
def test_results_come_first_and_in_the_order_of_the_calls() -> None:
    turns = [
        turn("user", "go"),
        turn("assistant", call("a", "look"), call("b", "read")),
        turn("user", result("b"), "and then?"),
        turn("user", result("a")),
    ]
    settled = settle(turns, "messages")
    assert settled[2] == turn("user", result("a", name="look"), result("b", name="read"), "and then?")


@pytest.mark.covers("P44")
def test_a_system_turn_between_calls_and_results_does_not_part_them() -> None:
    turns = [turn("user", "go"), turn("assistant", call("a")), turn("system", "hm"), turn("user", result("a"))]
    assert settle(turns, "messages")[-1] == turn("user", result("a", name="look"))


def test_an_id_may_be_used_again_in_a_later_turn() -> None:
    step = [turn("assistant", call("a")), turn("user", result("a"))]
    assert len(settle([turn("user", "go"), *step, *step], "messages")) == 5


def test_calls_at_the_very_end_need_no_results_yet() -> None:
    turns = (turn("user", "go"), turn("assistant", call("a")))
    assert settle(turns, "messages") == turns


@pytest.mark.covers("P47")
@pytest.mark.parametrize(
    "turns",
    [
        [turn("user", result("x"))],
        [turn("user", "go"), turn("assistant", call("a")), turn("user", result("a"), result("x"))],
        [turn("assistant", call("x")), turn("user", result("x")), turn("assistant", "c"), turn("user", result("x"))],
    ],
    ids=["no call at all", "another call", "a call of an earlier step"],
)
def test_a_result_without_its_call_is_refused_by_its_id(turns: list[Turn]) -> None:
    assert "'x'" in refused(*turns)


@pytest.mark.covers("P47")
@pytest.mark.parametrize(
    "rest",
    [
        [turn("user", "never mind")],
        [turn("user", result("a"))],
        [turn("system", "hm"), turn("assistant", "so")],
        [turn("system", "hm")],
    ],
)
def test_a_call_without_its_result_is_refused_by_its_id(rest: list[Turn]) -> None:
    assert "'x'" in refused(turn("user", "go"), turn("assistant", call("a"), call("x")), *rest)


@pytest.mark.covers("P47")
def test_the_same_call_or_result_twice_is_refused() -> None:
    twice = turn("user", result("x", "1"), result("x", "2"))
    assert "two tool results answer the call 'x'" in refused(turn("user", "go"), turn("assistant", call("x")), twice)
    assert "two tool calls" in refused(turn("user", "go"), turn("assistant", call("x"), call("x")))


@pytest.mark.parametrize("turns", [[], [turn("user")]])
def test_a_conversation_in_which_nothing_is_said_is_refused(turns: list[Turn]) -> None:
    assert "at least one message" in refused(*turns)


@pytest.mark.covers("P43")
def test_instructions_are_a_conversation_if_they_stand_in_its_list() -> None:
    assert settle([turn("system", "a")], "messages") == (turn("system", "a"),)
    with pytest.raises(ClientFault):
        settle([], "messages", [turn("system", "a")])


def test_instructions_beside_the_list_come_first() -> None:
    settled = settle([turn("system", "b"), turn("user", "c")], "messages", [turn("system", "a")])
    assert settled == (turn("system", "a", "b"), turn("user", "c"))


@pytest.mark.covers("P43")
def test_leading_system_texts_are_split_from_the_rest() -> None:
    rest = (turn("user", "c"), turn("system", "d"))
    assert split_system((turn("system", "a"), turn("system", "b"), *rest)) == (("a", "b"), rest)
    assert split_system(rest) == ((), rest)
    assert split_system((turn("system", "a"),)) == (("a",), ())


def test_a_result_knows_what_kind_of_tool_it_answers_and_keeps_its_mark() -> None:
    called = ToolCall("a", "patch", "*** Begin", "custom")
    answered = ToolResult("a", "", (Text("ok"),), cache="1h")
    settled = settle([turn("user", "go"), turn("assistant", called), turn("user", answered)], "messages")
    assert settled[2].parts == (ToolResult("a", "patch", (Text("ok"),), kind="custom", cache="1h"),)
