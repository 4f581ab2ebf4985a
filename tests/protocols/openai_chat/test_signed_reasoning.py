"""Reasoning that comes as plain strings, and an entry behind it that signs it."""

from penstock.core.events import Delta, PartEnd, Sealed
from penstock.protocols.registry import PROTOCOLS
from tests.protocols.driving import decode_all

CHUNK = b'data: {"id":"c","object":"chat.completion.chunk","choices":[{"index":0,"delta":%b,"finish_reason":%b}]}\n\n'


def stream(*deltas: bytes) -> bytes:
    return b"".join(CHUNK % (delta, b"null") for delta in deltas) + CHUNK % (b"{}", b'"stop"') + b"data: [DONE]\n\n"


def test_an_entry_that_repeats_the_whole_text_only_signs_it():
    events = decode_all(
        PROTOCOLS["openai-chat"],
        stream(
            b'{"reasoning_content":"h"}',
            b'{"reasoning_content":"m"}',
            b'{"reasoning_details":[{"type":"reasoning.text","text":"hm","signature":"s1","index":0}]}',
            b'{"reasoning_content":"hm"}',
            b'{"reasoning_details":[{"type":"reasoning.text","text":"hm","signature":"s2","index":1}]}',
        ),
    )
    assert [event.text for event in events if isinstance(event, Delta)] == ["h", "m", "hm"]
    assert [event.sealed for event in events if isinstance(event, PartEnd)] == [
        Sealed("lab", "s1"),
        Sealed("lab", "s2"),
    ]
