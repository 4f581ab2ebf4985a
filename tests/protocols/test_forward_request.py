"""A request that stays in its own protocol keeps its bytes, whatever they say and however they are spelled."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.core import envelope
from penstock.core.events import Sealed
from penstock.protocols.base import Inbound, PathTarget, Target, WireProtocol
from penstock.protocols.registry import PROTOCOLS

EACH_PROTOCOL = pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=PROTOCOLS)
CHANGED = {"model", "stream_options"}

SCALARS = st.sampled_from(
    [
        "1.0",
        "1.50e+2",
        "-0.0",
        "9007199254740993",
        "true",
        "null",
        '"\\u00e9\\/\\ud83d\\ude42"',
        '"\u2028é"',
        '"a\\nb"',
        '""',
    ]
)
BLANKS = st.sampled_from(["", " ", "\n\t", "\r\n  "])
NAMES = st.sampled_from(["messages", "contents", "a", "z", "metadata", "x_y", "\\u0062", "tools", "temperature", "0"])


@st.composite
def objects(draw: st.DrawFn, values: st.SearchStrategy[str], first: str = "") -> str:
    names = draw(st.lists(NAMES, unique=True, max_size=4))
    members = [f'{draw(BLANKS)}"{name}"{draw(BLANKS)}:{draw(BLANKS)}{draw(values)}{draw(BLANKS)}' for name in names]
    if first:
        members.insert(draw(st.integers(0, len(members))), first)
    return "{" + ",".join(members) + "}"


@st.composite
def arrays(draw: st.DrawFn, values: st.SearchStrategy[str]) -> str:
    return f"[{draw(BLANKS)}{', '.join(draw(st.lists(values, max_size=3)))}{draw(BLANKS)}]"


VALUES = st.recursive(SCALARS, lambda inner: objects(inner) | arrays(inner), max_leaves=8)
STREAMED = '"stream_options" : {"include_obfuscation":  false},"stream":true'
BODIES = objects(VALUES, '"model":"lab/fast"') | objects(VALUES, f'"model":"lab/fast",{STREAMED}')


def opened(protocol: WireProtocol, body: str) -> Inbound:
    path = PathTarget("lab/fast", stream=True) if protocol.name == "gemini" else None
    return protocol.open_request(body.encode(), path, {})


def fields_of(body: bytes) -> dict[str, bytes]:
    return {name: bytes(value) for name, value in msgspec.json.decode(body, type=dict[str, msgspec.Raw]).items()}


@EACH_PROTOCOL
@given(body=BODIES)
@pytest.mark.covers("P62", "P63")
def test_all_values_keep_their_bytes_and_their_order(protocol: WireProtocol, body: str) -> None:
    came = fields_of(body.encode())
    sent = fields_of(protocol.forward_request(opened(protocol, body), Target("lab", "upstream-model")).body)
    assert list(sent) == list(came)
    assert {name: sent[name] for name in sent.keys() - CHANGED} == {name: came[name] for name in came.keys() - CHANGED}


@EACH_PROTOCOL
@given(body=BODIES)
def test_an_envelope_somewhere_else_than_a_seal_changes_nothing(protocol: WireProtocol, body: str) -> None:
    with_mark = body[:-1] + f',"note":[ "{envelope.wrap(Sealed("lab", "x"))}" ]' + "}"
    came = fields_of(with_mark.encode())
    sent = fields_of(protocol.forward_request(opened(protocol, with_mark), Target("lab", "upstream-model")).body)
    assert {name: sent[name] for name in sent.keys() - CHANGED} == {name: came[name] for name in came.keys() - CHANGED}
