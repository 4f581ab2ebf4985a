"""The reader of event streams: everything the standard accepts, cut anywhere, in linear time."""

import re
import tracemalloc
from collections.abc import Iterable
from itertools import pairwise

import pytest
from _pytest.mark import ParameterSet
from hypothesis import given
from hypothesis import strategies as st

from penstock.core.errors import UpstreamFault
from penstock.wire.sse import MAX_FRAME, Frame, SseReader

# What streams are made of, so that drawn ones are full of the things that matter.
LINES = [b"\n", b"\r", b"\r\n", b"\n\n", b"data: ", b"data:", b"data", b"event: ", b": c", b":", b" ", b"id: 1", b"x"]
CONTENT = [b"\xef\xbb\xbf", "🙂".encode(), "\u2028\u0085".encode(), b"\xff", b"retry: 3000", b'{"a":1}', b"[DONE]"]
PIECES = st.sampled_from(LINES + CONTENT)
STREAMS = st.lists(PIECES, max_size=16).map(b"".join)


def read(chunks: Iterable[bytes]) -> list[Frame]:
    """Return all frames of a body that arrives in these chunks."""
    reader = SseReader()
    frames = [frame for chunk in chunks for frame in reader.feed(chunk)]
    frames += reader.close()
    assert not reader.pending
    return frames


def payloads(chunks: Iterable[bytes]) -> list[tuple[str, bytes]]:
    """Return event name and data of the frames that have data."""
    return [(frame.event, frame.data) for frame in read(chunks) if frame.data is not None]


def data(stream: bytes) -> list[bytes]:
    return [data for _, data in payloads([stream])]


def cut(stream: bytes, cuts: Iterable[int]) -> list[bytes]:
    edges = [0, *sorted(cuts), len(stream)]
    return [stream[start:end] for start, end in pairwise(edges)]


def by_the_standard(stream: bytes) -> list[tuple[str, bytes]]:
    """Return what the standard's own algorithm reads, line by line, with the one deviation that the module names."""
    events: list[tuple[str, bytes]] = []
    name, values = b"", list[bytes]()
    for line in [*re.split(rb"\r\n|\r|\n", stream.removeprefix(b"\xef\xbb\xbf")), b""]:
        if not line:
            if values:
                events.append((name.decode("utf-8", "replace"), b"\n".join(values)))
            name, values = b"", []
            continue
        field, _, value = line.partition(b":")
        value = value[1:] if value.startswith(b" ") else value
        if field == b"data":
            values.append(value)
        elif field == b"event":
            name = value
    return events


def vector(name: str, stream: bytes, *events: bytes, covers: tuple[str, ...] = ()) -> ParameterSet:
    return pytest.param(stream, list(events), id=name, marks=pytest.mark.covers(*covers))


VECTORS = [
    vector("one event", b"data: a\n\n", b"a"),
    vector("no space after the colon", b"data:a\n\n", b"a", covers=("P4",)),
    vector("only one space is taken off", b"data:  x\n\n", b" x", covers=("P4",)),
    vector("a tab is content", b"data:\tx\n\n", b"\tx", covers=("P4",)),
    vector("several data lines", b'data: {"a":\ndata: 1}\n\n', b'{"a":\n1}', covers=("P5",)),
    vector("a field without colon", b"data\n\n", b""),
    vector("two fields without colon", b"data\ndata\n\n", b"\n"),
    vector("a colon in the value", b"data: a: b\n\n", b"a: b"),
    vector("a comment block", b": OPENROUTER PROCESSING\n\ndata: a\n\n", b"a", covers=("P6",)),
    vector("empty comments", b":\n\n:\n\ndata: a\n\n", b"a", covers=("P6",)),
    vector("comments glued to data", b": c\ndata: a\n: d\n\n", b"a", covers=("P6",)),
    vector("an event without data", b"event: ping\n\ndata: a\n\n", b"a", covers=("P7",)),
    vector("a comment as data", b"data: : keepalive\n\n", b": keepalive", covers=("P7",)),
    vector("no line end at the end", b"data: a", b"a", covers=("P9",)),
    vector("no blank line at the end", b"data: a\n", b"a", covers=("P9",)),
    vector(
        "a final carriage return",
        b"data: a\r",
        b"a",
        covers=(
            "P3",
            "P9",
        ),
    ),
    vector("byte order mark", b"\xef\xbb\xbfdata: a\n\n", b"a", covers=("P10",)),
    vector("a later mark is no mark", b"data: a\n\n\xef\xbb\xbfdata: b\n\n", b"a"),
    vector("other fields", b"id: 7\nretry: 10\nfoo: bar\ndata: a\n\n", b"a", covers=("P11",)),
    vector("field names are exact", b"Data: a\ndata : b\n data: c\ndata: d\n\n", b"d"),
    vector("blank lines", b"\n\n\ndata: a\n\n\n\n\ndata: b\n\n\n", b"a", b"b", covers=("P20",)),
    vector("blank CRLF lines", b"\r\n\r\ndata: a\r\n\r\n\r\n", b"a", covers=("P20",)),
    vector("other breaks", "data: \u2028\u0085\x0b\x0c\n\n".encode(), "\u2028\u0085\x0b\x0c".encode(), covers=("P18",)),
    vector("a null byte", b"data: \x00\n\n", b"\x00"),
    vector("no UTF-8: the payload's decoder judges", b"data: \xff\n\n", b"\xff"),
    vector("nothing", b""),
    vector("only a line end", b"\n"),
]


@pytest.mark.parametrize(("stream", "expected"), VECTORS)
def test_a_stream_is_read_as_the_standard_says(stream: bytes, expected: list[bytes]) -> None:
    assert data(stream) == expected


@pytest.mark.parametrize(("stream", "expected"), VECTORS)
@pytest.mark.covers("T24")
def test_one_byte_at_a_time_it_is_read_the_same(stream: bytes, expected: list[bytes]) -> None:
    assert [data for _, data in payloads(cut(stream, range(1, len(stream))))] == expected


@given(STREAMS, st.data())
@pytest.mark.covers("T24")
def test_any_stream_cut_anywhere_is_read_as_by_the_standards_algorithm(stream: bytes, draw: st.DataObject) -> None:
    cuts = draw.draw(st.sets(st.integers(0, len(stream))))
    assert payloads(cut(stream, cuts)) == by_the_standard(stream)


@given(STREAMS, STREAMS, st.data())
def test_what_comes_in_comes_out_once_in_some_raw(head: bytes, stream: bytes, draw: st.DataObject) -> None:
    whole = head + stream
    cuts = draw.draw(st.sets(st.integers(0, len(whole))))
    for chunks in (cut(whole, cuts), cut(whole, range(1, len(whole))), [head, stream]):
        assert b"".join(frame.raw for frame in read(chunks)) == whole


TALK = 'event: delta\ndata: {"t":"你好 🙂"}\n\n: ping\n\ndata: {"a":\ndata: 1}\n\ndata:[DONE]\n\n'.encode()


@pytest.mark.covers("T24", "P1", "P2", "P3")
@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"], ids=["LF", "CRLF", "CR"])
def test_the_same_events_at_every_offset_and_with_every_line_end(line_end: bytes) -> None:
    stream = TALK.replace(b"\n", line_end)
    expected = [("delta", '{"t":"你好 🙂"}'.encode()), ("", b'{"a":\n1}'), ("", b"[DONE]")]
    for offset in range(len(stream) + 1):
        assert payloads([stream[:offset], stream[offset:]]) == expected


@pytest.mark.covers("P1", "T24")
def test_an_emoji_over_four_reads_stays_whole() -> None:
    emoji = "🙂".encode()
    chunks = [b"data: ", *(emoji[i : i + 1] for i in range(4)), b"\n\n"]
    assert payloads(chunks) == [("", emoji)]


@pytest.mark.covers("P2")
def test_a_read_that_ends_between_cr_and_lf_makes_no_phantom_event() -> None:
    frames = read([b"data: a\r", b"\n\r", b"\ndata: b\r\n\r\n"])
    assert [frame.data for frame in frames if frame.data is not None] == [b"a", b"b"]


@pytest.mark.covers("P13", "T28")
def test_an_event_leaves_with_the_read_that_completes_it() -> None:
    reader = SseReader()
    assert [frame.data for frame in reader.feed(b"data: a\n\ndata: b\n\ndata: c")] == [b"a", b"b"]
    assert reader.pending
    assert [frame.data for frame in reader.feed(b"\n\n")] == [b"c"]
    assert not reader.pending


@pytest.mark.covers("P20")
def test_blank_lines_alone_are_no_event() -> None:
    reader = SseReader()
    frames = [frame for chunk in [b"\n"] * 5 + [b"\r\n"] * 5 for frame in reader.feed(chunk)]
    assert {frame.data for frame in [*frames, *reader.close()]} == {None}


@pytest.mark.covers("T23")
def test_the_event_name_is_kept_and_does_not_leak_into_the_next_event() -> None:
    assert payloads([b"event: a\nevent: b\ndata: 1\n\ndata: 2\n\n"]) == [("b", b"1"), ("", b"2")]


@pytest.mark.covers("P12")
def test_a_long_line_costs_no_more_the_longer_it_is() -> None:
    chunk = b"x" * 1024
    reader = SseReader()
    reader.feed(b"data: ")
    tracemalloc.start()
    try:
        worst = 0
        for _ in range(8 * 1024):
            tracemalloc.reset_peak()
            before = tracemalloc.get_traced_memory()[0]
            assert reader.feed(chunk) == []
            worst = max(worst, tracemalloc.get_traced_memory()[1] - before)
    finally:
        tracemalloc.stop()
    assert worst < 64 * 1024, "a read copies what earlier reads brought"
    assert [len(frame.data or b"") for frame in reader.feed(b"\n\n")] == [8 * 1024 * 1024]


@pytest.mark.covers("T25", "P12")
def test_five_megabytes_in_one_line_pass() -> None:
    line = b"data: " + b"A" * (5 * 1024 * 1024) + b"\n\n"
    frames = read(line[start : start + 65_536] for start in range(0, len(line), 65_536))
    assert [len(frame.data or b"") for frame in frames] == [5 * 1024 * 1024]


@pytest.mark.covers("T25", "P12")
def test_two_hundred_megabytes_in_one_line_are_a_bounded_error() -> None:
    reader, chunk, taken = SseReader(), b"A" * (1024 * 1024), 0
    while (taken + 1) * len(chunk) <= MAX_FRAME:
        assert reader.feed(chunk) == []
        taken += 1
    with pytest.raises(UpstreamFault, match="more than 67108864 bytes") as raised:
        reader.feed(chunk)
    assert raised.value.info.code == "event_too_large"


@pytest.mark.covers("P12")
def test_the_limit_is_of_one_event_and_not_of_the_stream() -> None:
    reader = SseReader(limit=64)
    for _ in range(100):
        assert [frame.data for chunk in (b"data: " + b"x" * 40, b"\n\n") for frame in reader.feed(chunk)] == [b"x" * 40]
    with pytest.raises(UpstreamFault, match="more than 64 bytes"):
        reader.feed(b"data: " + b"x" * 60)
