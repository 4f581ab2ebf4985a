"""What a Responses client comes back to: earlier turns, items by reference, and the turn that is kept of an answer."""

import json
from typing import Any

import msgspec
import pytest

from penstock.core.errors import ClientFault
from penstock.protocols.base import Inbound
from penstock.protocols.keeping import KeptTurn, Wish
from penstock.protocols.openai_responses import state

HELLO = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hello"}]}
CALL = {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "f", "arguments": "{}"}
ANSWER = {"type": "message", "id": "msg_1", "role": "assistant", "content": [{"type": "output_text", "text": "Hi"}]}


def inbound(**fields: Any) -> Inbound:
    body = json.dumps({"model": "demo/poet", **fields}).encode()
    return Inbound(body, msgspec.json.decode(body, type=dict[str, msgspec.Raw]), "demo/poet", stream=False)


def response(*output: Any, id_: str = "resp_1", status: str = "completed") -> bytes:
    return json.dumps({"id": id_, "object": "response", "status": status, "output": output}).encode()


def turn(*input_: Any, output: tuple[Any, ...] = (), id_: str = "resp_1", previous: str | None = None) -> KeptTurn:
    return KeptTurn(id_, previous, json.dumps(input_).encode(), response(*output, id_=id_))


def items(continued: Inbound) -> list[Any]:
    assert json.loads(continued.body)["input"] == json.loads(bytes(continued.fields["input"]))
    return json.loads(continued.body)["input"]


def test_a_response_is_kept_unless_the_client_forbids_it() -> None:
    assert state.wish(inbound(input="Hello")).keep
    assert state.wish(inbound(input="Hello", store=None)).keep
    assert state.wish(inbound(input="Hello", store=True)).keep
    assert not state.wish(inbound(input="Hello", store=False)).keep


def test_a_wish_of_the_wrong_type_is_refused_by_name() -> None:
    with pytest.raises(ClientFault) as refused:
        state.wish(inbound(input="Hello", previous_response_id=3))

    assert refused.value.info.param == "previous_response_id"


def test_the_earlier_turns_stand_before_the_new_input() -> None:
    wanted = inbound(input="More", previous_response_id="resp_2", instructions="Be kind.")
    earlier = [turn(HELLO, output=(ANSWER,)), turn(CALL, id_="resp_2")]

    continued = state.continued(wanted, earlier, [])

    more = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "More"}]}
    assert items(continued) == [HELLO, ANSWER, CALL, more]
    assert "previous_response_id" not in continued.fields
    assert bytes(continued.fields["instructions"]) == b'"Be kind."'


def test_a_reference_becomes_the_item_that_it_names() -> None:
    output = {"type": "function_call_output", "call_id": "call_1", "output": "4"}
    wanted = inbound(input=[HELLO, {"type": "item_reference", "id": "fc_1"}, output])

    assert state.wish(wanted).items == ("fc_1",)
    assert items(state.continued(wanted, [], [turn(HELLO, output=(CALL,))])) == [HELLO, CALL, output]


def test_a_reference_to_what_is_in_the_history_adds_nothing() -> None:
    wanted = inbound(input=[{"type": "item_reference", "id": "fc_1"}], previous_response_id="resp_1")
    kept = turn(HELLO, output=(CALL,))

    assert items(state.continued(wanted, [kept], [kept])) == [HELLO, CALL]


def test_a_reference_to_nothing_is_refused_by_its_place() -> None:
    wanted = inbound(input=[HELLO, {"type": "item_reference", "id": "fc_9"}])

    with pytest.raises(ClientFault) as refused:
        state.continued(wanted, [], [turn(HELLO, output=(CALL,))])

    assert refused.value.info.param == "input[1].id"
    assert "fc_9" in refused.value.info.message


def test_a_whole_answer_makes_a_turn() -> None:
    kept = state.turn(inbound(input=[HELLO]), Wish(keep=True, previous="resp_0"), response(CALL))

    assert kept == KeptTurn("resp_1", "resp_0", f"[{json.dumps(HELLO)}]".encode(), response(CALL), ("fc_1",))


@pytest.mark.parametrize("named", [True, False], ids=["with event line", "without"])
@pytest.mark.parametrize("status", ["completed", "incomplete"])
def test_the_end_of_a_stream_makes_the_same_turn(status: str, named: bool) -> None:
    body = response(CALL, status=status)
    line = f"event: response.{status}\n".encode() if named else b""
    last = (
        b'event: x\ndata: {"type":"x"}\n\n'
        + line
        + b'data: {"type":"response.%b","response":%b}\n\n' % (status.encode(), body)
    )

    wish = Wish(keep=True)
    assert state.turn(inbound(input="Hello"), wish, last) == state.turn(inbound(input="Hello"), wish, body)


@pytest.mark.parametrize(
    "last",
    [
        b"",
        b'event: response.failed\ndata: {"type":"response.failed","response":{"id":"resp_1","status":"failed"}}\n\n',
        response(status="failed"),
    ],
)
def test_a_broken_answer_makes_none(last: bytes) -> None:
    assert state.turn(inbound(input="Hello"), Wish(keep=True), last) is None


def test_input_items_are_listed_newest_first_with_the_turns_before_them() -> None:
    turns = [turn(HELLO, output=(ANSWER,)), turn({"role": "user", "content": "More"}, id_="resp_2")]

    page = json.loads(state.write_input(turns, {}))

    assert [item["type"] for item in page["data"]] == ["message"] * 3
    assert page["data"][0] == {
        "type": "message", "id": "item_2_2", "role": "user", "content": [{"type": "input_text", "text": "More"}],
    }  # fmt: skip
    assert page["data"][1] == ANSWER
    assert (page["object"], page["first_id"], page["last_id"], page["has_more"]) == (
        "list",
        "item_2_2",
        "item_2_0",
        False,
    )


def test_input_items_come_in_pages() -> None:
    turns = [turn(*(HELLO for _ in range(5)))]

    first = json.loads(state.write_input(turns, {"order": "asc", "limit": "2"}))
    second = json.loads(state.write_input(turns, {"order": "asc", "limit": "3", "after": first["last_id"]}))

    assert [item["id"] for item in first["data"]] == ["item_1_0", "item_1_1"]
    assert first["has_more"]
    assert [item["id"] for item in second["data"]] == ["item_1_2", "item_1_3", "item_1_4"]
    assert not second["has_more"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("limit", "0"),
        ("limit", "101"),
        ("limit", "x"),
        ("limit", "0002000"),
        ("limit", "0001" + "9" * 5000),
        ("order", "up"),
        ("after", "item_9"),
    ],
)
def test_a_query_that_cannot_be_used_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(ClientFault) as refused:
        state.write_input([turn(HELLO)], {name: value})

    assert refused.value.info.param == name
