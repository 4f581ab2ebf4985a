"""Every recorded stream in every client protocol, and every drawn answer: nothing is lost, and nothing else matters.

The tests follow from the registry of protocols and the files under tests/recordings; a new one of either needs nothing
here.
"""

from itertools import pairwise
from pathlib import Path

import msgspec
import pytest
from hypothesis import given

from penstock.core.answer import Answer, fold, unfold
from penstock.core.events import Event, Failure, Finish, Opaque
from penstock.core.grammar import check
from penstock.core.usage import UNKNOWN
from penstock.protocols.base import WireProtocol
from penstock.protocols.registry import PROTOCOLS
from penstock.wire.sse import Frame
from tests.strategies import answers, event_lists
from tools import golden, replay

RECORDINGS = golden.recordings()
MYSTERY = Frame("mystery", b'{"type":"mystery","mystery":{"text":"?","index":0}}', b"")
CLIENTS = pytest.mark.parametrize("client", PROTOCOLS.values(), ids=PROTOCOLS)
EACH_RECORDING = pytest.mark.parametrize(
    "path", RECORDINGS, ids=[f"{path.parent.name}/{path.stem}" for path in RECORDINGS]
)


def upstream(path: Path) -> WireProtocol:
    return PROTOCOLS[path.parent.name]


def events_of(path: Path) -> list[Event]:
    return replay.decode(upstream(path), replay.read_frames([path.read_bytes()]))


def known(events: list[Event]) -> list[Event]:
    return [event for event in events if not isinstance(event, Opaque)]


def told(client: WireProtocol, events: list[Event]) -> replay.Facts:
    """Return what a client was told, read by its own protocol's decoder from the bytes that it got."""
    return replay.facts(check(replay.decode(client, replay.read_frames([replay.encode(client, events)]))))


def test_there_are_recordings_of_every_protocol() -> None:
    assert {path.parent.name for path in RECORDINGS} == set(PROTOCOLS)


def test_golden_files_are_current() -> None:
    assert golden.differences(golden.GOLDEN) == []


@EACH_RECORDING
def test_events_of_a_recording_follow_the_grammar(path: Path) -> None:
    check(events_of(path))


@EACH_RECORDING
@pytest.mark.covers("T24")
def test_a_recording_means_the_same_byte_by_byte(path: Path) -> None:
    body = path.read_bytes()
    single = [body[start:end] for start, end in pairwise(range(len(body) + 1))]
    assert replay.decode(upstream(path), replay.read_frames(single)) == events_of(path)


@EACH_RECORDING
@pytest.mark.covers("P92")
def test_unknown_events_at_any_position_change_nothing(path: Path) -> None:
    frames = replay.read_frames([path.read_bytes()])
    plain = known(events_of(path))
    for position in range(len(frames) + 1):
        with_unknown = replay.decode(upstream(path), [*frames[:position], MYSTERY, *frames[position:]])
        assert known(check(with_unknown)) == plain, f"an unknown event before frame {position} changed the answer"


@EACH_RECORDING
@CLIENTS
def test_a_client_is_told_all_that_its_protocol_can_say(path: Path, client: WireProtocol) -> None:
    events = events_of(path)
    if isinstance(events[-1], Finish):
        assert replay.losses(replay.facts(events), client.name, told(client, events)) == []


@EACH_RECORDING
@CLIENTS
@pytest.mark.covers("P109", "P110", "T11", "T12")
def test_a_broken_answer_is_told_as_broken(path: Path, client: WireProtocol) -> None:
    events = events_of(path)
    if isinstance(events[-1], Failure):
        retold = told(client, events)
        assert retold.finish is None
        assert (retold.error or "").endswith(events[-1].error.message)  # one protocol has the field at fault in it


@CLIENTS
@given(answer=answers())
@pytest.mark.covers("P101")
def test_every_answer_survives_encode_and_decode(client: WireProtocol, answer: Answer) -> None:
    events = unfold(answer)
    assert replay.losses(replay.facts(events), client.name, told(client, events)) == []


@CLIENTS
@given(events=event_lists())
@pytest.mark.promise("5.6")
def test_every_event_list_of_the_grammar_survives_encode_and_decode(client: WireProtocol, events: list[Event]) -> None:
    said, retold = replay.facts(events), told(client, events)
    if isinstance(events[-1], Finish):
        assert replay.losses(said, client.name, retold) == []
    else:
        assert (retold.finish, retold.error) == (None, said.error)
        assert "".join(text for _, text in retold.parts) == "".join(text for _, text in said.parts)


@CLIENTS
@given(answer=answers())
def test_a_whole_answer_says_the_same_as_its_stream(client: WireProtocol, answer: Answer) -> None:
    body = client.write_response(answer, replay.REPLY)
    whole = check(client.read_response(body, replay.ORIGIN, replay.TOKEN))
    said, streamed = by_kind(replay.facts(whole)), by_kind(told(client, unfold(answer)))
    if not answer.usage.known:  # a stream that was asked for usage says zeros (pitfall 95), a whole answer nothing
        said, streamed = (msgspec.structs.replace(facts, usage=UNKNOWN) for facts in (said, streamed))
    assert said == streamed


def by_kind(said: replay.Facts) -> replay.Facts:
    """Return the same with its texts in a fixed order: a whole Chat Completions answer has no order between kinds."""
    kinds = sorted({kind for kind, _ in said.parts})
    texts = ((kind, "".join(text for other, text in said.parts if other == kind)) for kind in kinds)
    return msgspec.structs.replace(said, parts=tuple(texts))


@CLIENTS
@given(answer=answers())
@pytest.mark.covers("P23")
def test_a_stream_is_made_of_whole_one_line_frames(client: WireProtocol, answer: Answer) -> None:
    encoder = client.encoder(replay.REPLY)
    for event in unfold(answer):
        written = encoder.encode(event)
        frames = replay.read_frames([written])
        assert b"".join(frame.raw for frame in frames) == written
        assert all(frame.data and b"\n" not in frame.data for frame in frames)
        assert not written or written.endswith((b"\n\n", b"\r\n\r\n"))
        assert len(written.decode().splitlines()) == written.replace(b"\r\n", b"\n").count(b"\n")


@CLIENTS
@given(answer=answers())
@pytest.mark.covers("P102")
def test_the_model_is_the_one_the_client_named(client: WireProtocol, answer: Answer) -> None:
    stream = replay.encode(client, unfold(answer))
    assert b'"lab/model"' in stream
    assert fold(check(replay.decode(client, replay.read_frames([stream])))).model == "lab/model"
