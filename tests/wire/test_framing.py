"""Finding out what a body is, and frames from JSON."""

import json
from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.core.errors import UpstreamFault
from penstock.wire.framing import FrameReader, JsonReader
from tests.strategies import JSON, TEXTS

OBJECTS = st.dictionaries(TEXTS, JSON, max_size=3)
SPACE = st.sampled_from(["", " ", "\n", "\r\n", "\t", "  \n"])


def data(reader: FrameReader | JsonReader, chunks: Iterable[bytes]) -> list[bytes]:
    """Return the data of all frames of a body that arrives in these chunks."""
    frames = [frame for chunk in chunks for frame in reader.feed(chunk)]
    return [frame.data for frame in [*frames, *reader.close()] if frame.data is not None]


def single(stream: bytes) -> list[bytes]:
    return [stream[position : position + 1] for position in range(len(stream))]


@pytest.mark.covers("P14")
@pytest.mark.parametrize("body", [b"data: a\n\n", b"\n\ndata: a\n\n", b": c\n\ndata: a\n\n", b"event: x\ndata: a\n\n"])
def test_a_body_that_begins_with_anything_but_a_bracket_is_an_event_stream(body: bytes) -> None:
    for chunks in ([body], single(body)):
        reader = FrameReader()
        assert data(reader, chunks) == [b"a"]
        assert reader.kind == "sse"


@pytest.mark.covers("P14", "P15")
@pytest.mark.parametrize("body", [b'{"a":1}', b' \r\n\t{"a":1}\n', b'[{"a":1}]', b'\n[\n{"a":1}\n]\n'])
def test_a_body_that_begins_with_a_bracket_is_json(body: bytes) -> None:
    for chunks in ([body], single(body)):
        reader = FrameReader()
        assert data(reader, chunks) == [b'{"a":1}']
        assert reader.kind == "json"


def test_before_the_first_byte_that_is_not_blank_the_kind_is_unknown() -> None:
    reader = FrameReader()
    assert reader.feed(b"") == reader.feed(b" \n") == reader.close() == []
    assert reader.kind is None
    assert not reader.pending


@pytest.mark.covers("P10")
def test_a_byte_order_mark_before_an_event_stream_is_taken_off() -> None:
    assert data(FrameReader(), [b"\xef\xbb\xbfdata: a\n\n"]) == [b"a"]


@pytest.mark.covers("P10", "P14")
def test_a_byte_order_mark_before_json_is_taken_off() -> None:
    for chunks in ([b'\xef\xbb\xbf{"a":1}'], single(b'\xef\xbb\xbf{"a":1}'), [b"\xef\xbb\xbf\n", b'{"a":1}']):
        assert data(FrameReader(), chunks) == [b'{"a":1}']


@pytest.mark.covers("P17")
def test_each_object_of_a_growing_array_leaves_with_the_read_that_completes_it() -> None:
    reader = FrameReader()
    assert [frame.data for frame in reader.feed(b'[{"a":1}')] == [b'{"a":1}']
    assert reader.feed(b"\n,\r\n") == reader.feed(b'{"b":[{') == []
    assert reader.pending
    assert [frame.data for frame in reader.feed(b'}]},{"c":2}]')] == [b'{"b":[{}]}', b'{"c":2}']
    assert not reader.pending


@given(st.lists(OBJECTS, max_size=4), SPACE, st.booleans(), st.data())
@pytest.mark.covers("P17")
def test_any_array_of_objects_cut_anywhere_gives_its_objects(
    objects: list[object], space: str, ascii_only: bool, draw: st.DataObject
) -> None:
    texts = [json.dumps(value, ensure_ascii=ascii_only) for value in objects]
    body = f"[{space}{f'{space},{space}'.join(texts)}{space}]{space}".encode()
    cuts = sorted(draw.draw(st.sets(st.integers(0, len(body)))))
    edges = [0, *cuts, len(body)]
    chunks = [body[start:end] for start, end in pairwise(edges)]
    assert data(FrameReader(), chunks) == data(FrameReader(), single(body)) == [text.encode() for text in texts]


@pytest.mark.parametrize("text", ['"}', "\\", '\\"', "]}{[", '\\\\"', "🙂}"])
def test_brackets_and_quotes_inside_strings_are_content(text: str) -> None:
    body = json.dumps({"a": text, text: "b"}, ensure_ascii=False).encode()
    for chunks in ([body], single(body)):
        assert data(JsonReader(), chunks) == [body]


def test_an_object_without_its_end_is_not_an_object() -> None:
    reader = JsonReader()
    assert data(reader, [b'{"a":', b'{"b":1}']) == []
    assert reader.pending


def test_what_stands_between_objects_is_passed_over() -> None:
    assert data(JsonReader(), [b']},"x",{"a":1}]}{"b":2}']) == [b'{"a":1}', b'{"b":2}']


@pytest.mark.covers("T25")
def test_an_object_beyond_the_limit_is_an_error() -> None:
    reader = JsonReader(limit=64)
    with pytest.raises(UpstreamFault, match="more than 64 bytes"):
        data(reader, [b'{"a":"', *[b"x" * 16] * 8])


def test_the_limit_is_of_one_object_and_not_of_the_array() -> None:
    reader = JsonReader(limit=64)
    assert len(data(reader, [b"[", *[b'{"a":"' + b"x" * 30, b'"},'] * 50])) == 50
