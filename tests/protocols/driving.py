"""Drive a decoder the way the gateway does: chunks of a body in, checked events out."""

from collections.abc import Iterable
from pathlib import Path

from hypothesis import strategies as st

from penstock.core import grammar
from penstock.core.events import Event
from penstock.protocols.base import WireProtocol
from penstock.wire.framing import FrameReader

RECORDINGS = Path(__file__).parents[1] / "recordings"


def recording(protocol: WireProtocol, case: str) -> bytes:
    """Return a recorded stream of an upstream that speaks `protocol`."""
    return (RECORDINGS / protocol.name / f"{case}.sse").read_bytes()


def decode_all(protocol: WireProtocol, data: bytes, cuts: Iterable[int] = ()) -> list[Event]:
    """Return the events of a whole body that arrives cut at the offsets `cuts`, after checking their grammar."""
    reader = FrameReader()
    decoder = protocol.decoder("lab", "token")
    events: list[Event] = []
    for chunk in _pieces(data, cuts):
        for frame in reader.feed(chunk):
            events += decoder.decode(frame)
    for frame in reader.close():
        events += decoder.decode(frame)
    events += decoder.close()
    assert decoder.ended
    return grammar.check(events)


def every_byte(data: bytes) -> range:
    """Return the cuts that make each byte a chunk of its own."""
    return range(1, len(data))


def cuts_of(data: bytes) -> st.SearchStrategy[set[int]]:
    """Return a strategy that draws where to cut `data`."""
    return st.sets(st.integers(1, max(1, len(data) - 1)), max_size=12)


def _pieces(data: bytes, cuts: Iterable[int]) -> Iterable[bytes]:
    start = 0
    for cut in sorted(cuts):
        yield data[start:cut]
        start = cut
    yield data[start:]
