"""The relay without I/O: bytes in, bytes out, for streams cut at every byte."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.core.errors import ErrorInfo
from penstock.gateway.record import Record
from penstock.gateway.relay import ArrayPassthrough, Passthrough, Relay, Translation
from penstock.protocols.base import Reply
from penstock.protocols.registry import PROTOCOLS
from tests.server.canned import PIECES_BEFORE_THE_END, STREAMS

REPLY = Reply(token="t0ken", model="lab/m", created=1)
protocols = pytest.mark.parametrize("protocol", list(STREAMS))

LAST_WORDS = {"anthropic": b'event: message_stop\ndata: {"type":"message_stop"}\n\n'}
"""Without it the SDKs of a protocol take for broken what has ended well."""


def passing(protocol: str, *, strip_usage: bool = False) -> tuple[Relay, Record]:
    spoken = PROTOCOLS[protocol]
    record, encoder = Record(), spoken.encoder(REPLY)
    writer = Passthrough(lambda: encoder, spoken.usage_only if strip_usage else None)
    translation = Translation(encoder, record, lambda: 1)
    return Relay(spoken.decoder("lab", "t0ken"), writer, record, lambda info: info, lambda: translation), record


def fed(relay: Relay, *chunks: bytes) -> bytes:
    return b"".join([*(relay.feed(chunk) for chunk in chunks), relay.close()])


@protocols
@pytest.mark.covers("T24", "P1", "P13")
def test_passthrough_hands_on_the_same_bytes_whatever_the_cuts(protocol: str) -> None:
    body = b"".join(STREAMS[protocol])
    for size in (1, 2, 3, 7, 50, len(body)):
        relay, record = passing(protocol)
        assert fed(relay, *(body[at : at + size] for at in range(0, len(body), size))) == body
        assert (record.usage.input, record.usage.output) == (5, 2)
        assert record.finish is not None


@protocols
def test_passthrough_hands_on_a_whole_chunk_as_the_very_object_that_came(protocol: str) -> None:
    relay, _ = passing(protocol)
    for piece in STREAMS[protocol]:
        if piece.count(b"\n\n") + piece.count(b"\r\n\r\n") == 1:
            assert relay.feed(piece) is piece


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"])
@protocols
@pytest.mark.promise("1.1")
def test_an_error_begins_a_line_also_for_parsers_that_know_no_other_line_end_than_lf(
    protocol: str, line_end: bytes
) -> None:
    body = (
        b"".join(STREAMS[protocol][: PIECES_BEFORE_THE_END[protocol]]).replace(b"\r\n", b"\n").replace(b"\n", line_end)
    )
    for cut in range(len(body)):
        relay, _ = passing(protocol)
        told = relay.feed(body[:cut]) + relay.close(ErrorInfo("upstream_error", "It broke off."))
        [line] = [line for line in told.split(b"\n") if b"It broke off." in line]
        assert line.startswith(b"data: "), told[-200:]


@protocols
def test_passthrough_keeps_what_it_does_not_know(protocol: str) -> None:
    first, *rest = STREAMS[protocol]
    odd = b'event: new_thing\ndata: {"type":"new_thing","x":1}\n\n'
    relay, record = passing(protocol)
    assert fed(relay, first, odd, *rest) == b"".join([first, odd, *rest])
    assert record.error is None


@protocols
@pytest.mark.covers("P21", "T27")
@pytest.mark.parametrize("sign", [b": keep-alive\n\n", b"id: 3\n\n", b"retry: 1000\n\n", b":\r\n\r\n"])
def test_a_provider_s_signs_of_life_become_the_one_that_every_sdk_bears(protocol: str, sign: bytes) -> None:
    first, *rest = STREAMS[protocol]
    relay, _ = passing(protocol)
    assert fed(relay, first, sign, *rest) == b"".join([first, b"\n", *rest])


@given(st.lists(st.integers(min_value=1, max_value=900), max_size=12))
@pytest.mark.covers("T4", "P66")
def test_the_usage_frame_is_taken_out_and_nothing_else(cuts: list[int]) -> None:
    body = b"".join(STREAMS["openai-chat"])
    edges = [0, *sorted({cut for cut in cuts if cut < len(body)}), len(body)]
    relay, record = passing("openai-chat", strip_usage=True)
    chunks = [body[start:end] for start, end in itertools.pairwise(edges)]
    assert fed(relay, *chunks) == b"".join(piece for piece in STREAMS["openai-chat"] if b"usage" not in piece)
    assert record.usage.output == 2


@protocols
@pytest.mark.covers("T12", "P110")
def test_a_cut_at_any_byte_before_the_finish_ends_in_an_error_event(protocol: str) -> None:
    whole = b"".join(STREAMS[protocol][: PIECES_BEFORE_THE_END[protocol]])
    for end in range(len(whole)):
        relay, record = passing(protocol)
        written = relay.feed(whole[:end]) + relay.close()
        assert record.error is not None
        assert record.finish is None
        assert b'"error"' in written.rpartition(b"data: ")[2]


@protocols
@pytest.mark.covers("P112")
@pytest.mark.promise("1.1")
def test_a_reset_after_the_finish_is_no_error(protocol: str) -> None:
    relay, record = passing(protocol)
    kept = [piece for piece in STREAMS[protocol] if b"[DONE]" not in piece and b"message_stop" not in piece]
    written = b"".join(relay.feed(piece) for piece in kept) + relay.close(ErrorInfo("stream_incomplete", "reset"))
    assert written == b"".join(kept) + LAST_WORDS.get(protocol, b"")
    assert (record.error, record.finish is None) == (None, False)


@protocols
def test_only_an_answer_that_ended_well_is_given_the_last_word(protocol: str) -> None:
    relay, _ = passing(protocol)
    assert b"message_stop" not in fed(relay, *STREAMS[protocol][: PIECES_BEFORE_THE_END[protocol]])


@protocols
def test_a_stream_that_the_decoder_gives_up_on_is_still_handed_on(protocol: str) -> None:
    first, *rest = STREAMS[protocol]
    nonsense = b'data: {"choices": "\xff", "candidates": 7, "type": {}, oh\n\n'
    relay, record = passing(protocol)
    written = fed(relay, first, nonsense, *rest)
    if relay.blind:
        assert written == b"".join([first, nonsense, *rest])
    assert record.error is None


@protocols
def test_a_body_that_ends_in_what_cannot_be_read_is_broken(protocol: str) -> None:
    relay, record = passing(protocol)
    written = fed(relay, STREAMS[protocol][0], b"data: " + b"[" * 100_000 + b"]" * 100_000)
    assert record.error is not None
    assert b"[[" not in written


def test_an_array_holds_the_payloads_as_they_came() -> None:
    gemini, record = PROTOCOLS["gemini"], Record()
    encoder = gemini.encoder(Reply(token="t", model="lab/m", created=1, array=True))
    relay = Relay(
        gemini.decoder("lab", "t"), ArrayPassthrough(lambda: encoder), record, lambda info: info, lambda: writer
    )
    writer = ArrayPassthrough(lambda: encoder)
    payloads = [piece.removeprefix(b"data: ").strip() for piece in STREAMS["gemini"]]
    assert fed(relay, *STREAMS["gemini"]) == b"[" + b",\r\n".join(payloads) + b"]"


def test_what_the_client_is_told_of_an_error_has_been_redacted() -> None:
    chat, record = PROTOCOLS["openai-chat"], Record()
    writer = Passthrough(lambda: chat.encoder(REPLY), None)
    relay = Relay(
        chat.decoder("lab", "t"), writer, record, lambda info: ErrorInfo(info.kind, "redacted"), lambda: writer
    )
    written = fed(
        relay, STREAMS["openai-chat"][0], b'data: {"error":{"message":"key sk-123"}}\n\n', STREAMS["openai-chat"][3]
    )
    assert b"sk-123" not in written
    assert b"redacted" in written
    assert b'finish_reason":"stop' not in written
