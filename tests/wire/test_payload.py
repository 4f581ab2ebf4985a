"""JSON from clients through a strict gate, JSON from providers through a lenient one, JSON out on one line."""

import json
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.core.errors import ClientFault, UpstreamFault
from penstock.wire.payload import MAX_DEPTH, ProviderDecoder, client_decoder, encode, one_line, parse_object
from tests.strategies import JSON, TEXTS

BAD_BODIES = {
    "empty": (b"", "not JSON"),
    "text": (b"hello", "not JSON"),
    "truncated": (b'{"model":"a"', "not JSON"),
    "trailing": (b'{"a":1}{"b":2}', "not JSON"),
    "single quotes": (b"{'a':1}", "not JSON"),
    "trailing comma": (b'{"a":1,}', "not JSON"),
    "raw newline in a string": (b'{"a":"\n"}', "not JSON"),
    "array": (b"[]", "must be a JSON object, not an array"),
    "string": (b'"a"', "must be a JSON object, not a string"),
    "number": (b"1", "must be a JSON object, not a number"),
    "null": (b"null", "must be a JSON object, not null"),
    "boolean": (b"true", "must be a JSON object, not a boolean"),
    "not UTF-8": (b'{"a":"\xff"}', "not UTF-8: byte 6"),
    "overlong UTF-8": (b'{"a":"\xc0\xaf"}', "not UTF-8"),
    "encoded surrogate": (b'{"a":"\xed\xa0\xbd"}', "not UTF-8"),
    "UTF-16": ('{"a":1}'.encode("utf-16"), "not UTF-8"),
    "byte order mark": (b'\xef\xbb\xbf{"a":1}', "not JSON"),
    "duplicate key": (b'{"a":1,"a":2}', "key 'a' twice"),
    "duplicate key inside": (b'{"m":[{"role":"user","role":"x"}]}', "key 'role' twice"),
    "duplicate key by escape": (b'{"a":1,"\\u0061":2}', "key 'a' twice"),
    "NaN": (b'{"a":NaN}', "NaN, which is not JSON"),
    "Infinity": (b'{"a":-Infinity}', "-Infinity, which is not JSON"),
    "huge integer": (b'{"a":' + b"9" * 400 + b"}", "integer of 400 digits"),
    "65 bits": (b'{"a":18446744073709551616}', "64 bits are the limit"),
    "huge float": (b'{"a":1e400}', "too large for a 64-bit float"),
    "lone surrogate": (b'{"a":"\\ud83d"}', "half of a surrogate pair"),
    "lone surrogate as key": (b'{"\\udc00":1}', "half of a surrogate pair"),
    "129 arrays": (b'{"a":' + b"[" * MAX_DEPTH + b"]" * MAX_DEPTH + b"}", "more than 128 levels"),
    "string of brackets": (b'"' + b"[" * 200 + b'"', "must be a JSON object, not a string"),
    "10000 arrays": (b"[" * 10_000, "more than 128 levels"),
    "10000 objects": (b'{"a":' * 10_000 + b"1" + b"}" * 10_000, "more than 128 levels"),
    "10000 arrays inside": (b'{"a":' + b"[" * 10_000 + b"]" * 10_000 + b"}", "more than 128 levels"),
}


@pytest.mark.covers("P64", "P19")
@pytest.mark.parametrize(("body", "reason"), BAD_BODIES.values(), ids=BAD_BODIES)
@pytest.mark.promise("5.10")
def test_a_bad_body_is_a_400_that_says_why(body: bytes, reason: str) -> None:
    with pytest.raises(ClientFault, match=reason) as raised:
        parse_object(body)
    assert raised.value.info.kind == "invalid_request"
    assert "\n" not in raised.value.info.message


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b' {"a" : 1}\n',
        b'{"a":9223372036854775807,"b":-9223372036854775807}',
        '{"a":"🙂\\ud83d\\ude42\\u0000"}'.encode(),
        b'{"a":' + b"[" * (MAX_DEPTH - 1) + b"]" * (MAX_DEPTH - 1) + b"}",
        b'{"a":"' + b"[{" * 5_000 + b'\\"[["}',
        b'{"a":[' + b"[]," * 5_000 + b"{}]}",
    ],
    ids=["empty", "blank", "64 bits", "surrogate pair", "deep", "brackets in a string", "many brackets"],
)
def test_a_good_body_is_let_through(body: bytes) -> None:
    assert set(parse_object(body)) == set(json.loads(body))


TRICKY = st.text(st.sampled_from('[]{}"\\:,é'), max_size=12)
"""Strings that look like structure, or like the end of a string."""


@given(TRICKY, st.integers(MAX_DEPTH - 4, MAX_DEPTH + 4))
@pytest.mark.covers("P64")
def test_only_brackets_outside_of_strings_are_depth(text: str, depth: int) -> None:
    value: Any = {}
    for level in range(depth - 2):
        value = {text: value} if level % 3 else [text, value, text]
    body = json.dumps({"a": value}).encode()
    if depth <= MAX_DEPTH:
        assert set(parse_object(body)) == {"a"}
    else:
        with pytest.raises(ClientFault, match="more than 128 levels"):
            parse_object(body)


MEGABYTES = {
    "strings": b'{"a":[' + b'"a",' * 500_000 + b"[]]}",
    "strings of brackets": b'{"a":[' + b'"[",' * 500_000 + b'"{"]}',
    "escaped quotes": b'{"a":"' + b'[\\"' * 500_000 + b'"}',
    "objects": b'{"a":[' + b'{"a":"b"},' * 200_000 + b"{}]}",
}


@pytest.mark.covers("P64")
@pytest.mark.parametrize("body", MEGABYTES.values(), ids=MEGABYTES)
def test_megabytes_of_small_things_are_let_through(body: bytes) -> None:
    assert set(parse_object(body)) == {"a"}


@pytest.mark.covers("P64")
def test_a_string_that_never_ends_is_refused_however_many_quotes_it_holds() -> None:
    """It was looked through again from each of its quotes, which took minutes."""
    with pytest.raises(ClientFault, match="Unterminated string"):
        parse_object(b'{"a":[' + b"[]," * 200 + b'"' + b'\\"' * 500_000)


@given(st.dictionaries(TEXTS, JSON, max_size=5))
def test_each_value_stays_the_bytes_it_came_as(value: dict[str, Any]) -> None:
    body = json.dumps(value, ensure_ascii=False, separators=(" ,\t", " : ")).encode()
    fields = parse_object(body)
    assert {key: json.loads(bytes(raw)) for key, raw in fields.items()} == value
    assert all(bytes(raw) in body for raw in fields.values())


@given(st.binary(max_size=64) | st.text(max_size=32).map(lambda text: text.encode("utf-8", "surrogatepass")))
@pytest.mark.covers("P64")
def test_any_bytes_are_an_object_or_a_400(body: bytes) -> None:
    try:
        parse_object(body)
    except ClientFault as fault:
        assert fault.info.message  # noqa: PT017


@given(st.lists(st.sampled_from([*'{}[]",:\\1ae-.', '"a":', "null", "\\ud83d", "NaN"]), max_size=24))
@pytest.mark.covers("P64")
def test_anything_like_json_is_an_object_or_a_400(pieces: list[str]) -> None:
    body = "".join(pieces).encode()
    try:
        fields = parse_object(body)
    except ClientFault:
        return
    assert set(fields) == set(json.loads(body))


class Message(msgspec.Struct):
    role: str
    content: list[str] | None = None


class Body(msgspec.Struct):
    model: str
    messages: list[Message] = []
    limit: int | None = None


@pytest.mark.covers("P64")
@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b'{"model":1}', "model"),
        (b'{"model":"a","limit":"x"}', "limit"),
        (b'{"model":"a","limit":1.5}', "limit"),
        (b'{"model":"a","messages":{}}', "messages"),
        (b'{"model":"a","messages":[{"role":"u"},{"role":2}]}', "messages[1].role"),
        (b'{"model":"a","messages":[{"role":"u","content":["a",3]}]}', "messages[0].content[1]"),
        (b"{}", None),
    ],
)
def test_a_value_of_the_wrong_type_is_a_400_with_its_path(body: bytes, param: str | None) -> None:
    with pytest.raises(ClientFault) as raised:
        client_decoder(Body).decode(body)
    assert raised.value.info.param == param
    assert "$" not in raised.value.info.message


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b'{"role":1}', "messages[3].role"),
        (b'{"role":"u","content":[1]}', "messages[3].content[0]"),
        (b"7", "messages[3]"),
    ],
)
def test_the_path_of_a_piece_goes_on_from_where_the_piece_was(body: bytes, param: str) -> None:
    with pytest.raises(ClientFault) as raised:
        client_decoder(Message).decode(body, at="messages[3]")
    assert raised.value.info.param == param


def test_the_path_of_a_list_joins_without_a_dot() -> None:
    with pytest.raises(ClientFault) as raised:
        client_decoder(list[Message]).decode(b'[{"role":1}]', at="messages")
    assert raised.value.info.param == "messages[0].role"


class Chunk(msgspec.Struct):
    text: str = ""
    count: int | None = None
    arguments: msgspec.Raw = msgspec.Raw()


@pytest.mark.covers("P19")
@pytest.mark.parametrize(
    ("data", "chunk"),
    [
        (b'{"text":"a","count":3}', Chunk("a", 3)),
        (b'{"text":"a","count":NaN}', Chunk("a", None)),
        (b'{"text":"a","count":Infinity}', Chunk("a", None)),
        (b'{"text":"\\ud83d"}', Chunk("\ufffd")),
        (b'{"text":"\\ud83d!"}', Chunk("\ufffd!")),
        (b'{"text":"\xff"}', Chunk("\ufffd")),
        (b'{"text":"a\nb"}', Chunk("a\nb")),
        (b'{"text":"a","count":"3"}', Chunk("a", 3)),
        (b'{"text":"a","count":3.0}', Chunk("a", 3)),
    ],
)
def test_what_a_provider_sends_is_read_if_it_has_a_meaning(data: bytes, chunk: Chunk) -> None:
    read = ProviderDecoder(Chunk).decode(data)
    assert read == chunk
    encode(read).decode()


@pytest.mark.covers("P19")
def test_a_raw_field_is_read_leniently_too() -> None:
    chunk = ProviderDecoder(Chunk).decode(b'{"text":"\\ud83d","arguments":{"a":[1]}}')
    assert json.loads(bytes(chunk.arguments)) == {"a": [1]}


@pytest.mark.covers("P19")
@pytest.mark.parametrize(
    "data", [b"", b"{", b"[]", b'"a"', b"hello", b'{"text":{}}', b"[" * 100_000, b'{"text":' * 9_999]
)
def test_what_has_no_meaning_is_the_providers_fault(data: bytes) -> None:
    with pytest.raises(UpstreamFault, match="cannot be understood"):
        ProviderDecoder(Chunk).decode(data)


@given(st.binary(max_size=64))
def test_any_bytes_of_a_provider_are_read_or_are_its_fault(data: bytes) -> None:
    with suppress(UpstreamFault):
        ProviderDecoder(Chunk).decode(data)


@pytest.mark.covers("P18", "P101")
@given(JSON)
def test_one_line_is_one_line_for_every_splitter(value: object) -> None:
    line = one_line(value)
    assert len(line.decode().splitlines()) == 1
    assert json.loads(line) == value


@pytest.mark.covers("P18")
def test_line_breaks_of_other_alphabets_are_escaped() -> None:
    assert one_line({"a": "\u2028\u2029\u0085é"}) == '{"a":"\\u2028\\u2029\\u0085é"}'.encode()
