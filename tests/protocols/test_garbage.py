"""Whatever a provider sends is understood, ignored, or its own fault: nothing else is ever raised.

Two kinds of bytes pass a JSON parser that does not look at what nobody reads: nesting deeper than it can follow, and
text that is not UTF-8.
"""

from contextlib import suppress

import pytest

from penstock.core.answer import fold
from penstock.core.assembly import Assembler
from penstock.core.errors import UpstreamFault
from penstock.core.events import Delta, Event
from penstock.protocols.base import EXTENSIONS, Reply, WireProtocol
from penstock.protocols.registry import PROTOCOLS
from penstock.wire.sse import Frame

DEEP = b"[" * 100_000 + b"]" * 100_000
PAYLOADS = {
    "deep": b'{"usage":%b}' % DEEP,
    "deep in what nobody knows": b'{"type":"new","odd":%b}' % DEEP,
    "not utf-8": b'{"type":"new","usage":{"odd":"\xff"},"odd":"\xff"}',
    "no json": b'{"type":"new","odd":NaN}',
    "half of a pair": b'{"type":"new","odd":"\\ud800"}',
    "an error that is deep": b'{"error":{"message":"x","odd":%b}}' % DEEP,
    "an error that is not utf-8": b'{"error":{"message":"\xff"}}',
}

ARGUMENTS = b'{"x":"\xff"}'
CALLS = {
    "openai-chat": b'{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"a","function":'
    b'{"name":"f","arguments":%b}}]},"finish_reason":"tool_calls"}]}' % ARGUMENTS,
    "openai-responses": b'{"type":"response.output_item.done","output_index":0,"item":'
    b'{"type":"function_call","call_id":"a","name":"f","arguments":%b}}' % ARGUMENTS,
    "anthropic": b'{"type":"message","stop_reason":"tool_use","content":'
    b'[{"type":"tool_use","id":"a","name":"f","input":%b}]}' % ARGUMENTS,
    "gemini": b'{"candidates":[{"content":{"parts":[{"functionCall":{"name":"f","args":%b}}]}}]}' % ARGUMENTS,
}

each_protocol = pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=list(PROTOCOLS))
each_payload = pytest.mark.parametrize("payload", PAYLOADS.values(), ids=list(PAYLOADS))


def decoded(protocol: WireProtocol, payload: bytes) -> list[Event]:
    decoder = protocol.decoder("lab", "t", frozenset({EXTENSIONS}))
    return [*decoder.decode(Frame("", payload, payload)), *decoder.close()]


@each_protocol
@each_payload
def test_a_stream_of_garbage_is_told_to_a_client_of_the_same_protocol_or_is_a_fault(
    protocol: WireProtocol, payload: bytes
) -> None:
    encoder = protocol.encoder(Reply("t", "m", 0))
    with suppress(UpstreamFault):
        for event in decoded(protocol, payload):
            encoder.encode(event)


@each_protocol
@each_payload
def test_a_whole_answer_of_garbage_is_told_or_is_a_fault(protocol: WireProtocol, payload: bytes) -> None:
    with suppress(UpstreamFault):
        events = protocol.read_response(payload, "lab", "t", frozenset({EXTENSIONS}))
        protocol.write_response(fold(events), Reply("t", "m", 0))


@each_protocol
@each_payload
def test_an_error_of_garbage_is_still_an_error(protocol: WireProtocol, payload: bytes) -> None:
    assert protocol.read_error(500, payload).message


@each_protocol
def test_a_frame_that_cannot_be_read_is_not_taken_for_one_of_nothing_but_usage(protocol: WireProtocol) -> None:
    assert not protocol.usage_only(Frame("", PAYLOADS["deep"], b""))


@each_protocol
def test_arguments_that_are_not_utf_8_are_repaired(protocol: WireProtocol) -> None:
    events = decoded(protocol, CALLS[protocol.name])
    assert "".join(event.text for event in events if isinstance(event, Delta)) == '{"x":"\ufffd"}'


def test_arguments_too_deep_to_be_read_are_not_taken_for_complete() -> None:
    assembler = Assembler()
    assembler.tool("a", "1", "f")
    assembler.arguments("a", f'{{"x":{DEEP.decode()}}}')
    assembler.tool("b", "2", "g")
    assert not assembler.complete("a")
