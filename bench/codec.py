"""Microseconds of pure code, without any I/O: `python -m bench.codec`.

For each pair of protocols, what one event costs to read, decode, encode and relay, and what one request costs to open
and to write for the upstream. The best of several runs counts: whatever disturbs a run makes it slower, never faster.
"""

from collections.abc import Callable
from functools import partial
from time import perf_counter

from rich.console import Console
from rich.table import Table

from bench.streams import GEMINI, PROTOCOLS, Script, request, script
from penstock.core.events import Event
from penstock.gateway.record import Record
from penstock.gateway.relay import Passthrough, Relay, Translation
from penstock.protocols.base import PathTarget, Reply, Target, WireProtocol
from penstock.protocols.registry import PROTOCOLS as CODECS
from penstock.wire.framing import FrameReader
from penstock.wire.sse import Frame

EVENTS = 1000
REPEATS = 9

_MICRO = 1e6
_reply = Reply(token="b7Qx2", model="lab/bench", created=1790000000)
_target = Target("lab", "bench")


def _best(prepare: Callable[[], Callable[[], object]], count: int) -> float:
    """Return microseconds for one of `count` things that a run of what `prepare` returns does."""
    best = float("inf")
    for _ in range(REPEATS):
        run = prepare()
        began = perf_counter()
        run()
        best = min(best, perf_counter() - began)
    return best / count * _MICRO


# ---- events ----------------------------------------------------------------------------------------------------------


def _read(played: Script) -> float:
    def prepare() -> Callable[[], object]:
        reader = FrameReader()
        reader.feed(played.opening or played.events[0])
        return lambda: [reader.feed(event) for event in played.events]

    return _best(prepare, EVENTS)


def _decode(upstream: WireProtocol, opening: list[Frame], frames: list[Frame]) -> float:
    def prepare() -> Callable[[], object]:
        decode = upstream.decoder("lab", "b7Qx2").decode
        for frame in opening:
            decode(frame)
        return lambda: [decode(frame) for frame in frames]

    return _best(prepare, EVENTS)


def _encode(client: WireProtocol, opening: list[Event], events: list[Event]) -> float:
    def prepare() -> Callable[[], object]:
        encode = client.encoder(_reply).encode
        for event in opening:
            encode(event)
        return lambda: [encode(event) for event in events]

    return _best(prepare, EVENTS)


def _relay(upstream: WireProtocol, client: WireProtocol, played: Script) -> float:
    def prepare() -> Callable[[], object]:
        relay = _make_relay(upstream, client)
        relay.feed(played.opening)
        return lambda: [relay.feed(event) for event in played.events]

    return _best(prepare, EVENTS)


def _make_relay(upstream: WireProtocol, client: WireProtocol) -> Relay:
    """Make the relay that the gateway would make for a client that did not ask for usage."""
    record, encoder = Record(), client.encoder(_reply)

    def translation() -> Translation:
        return Translation(encoder, record, lambda: 12)

    writer = Passthrough(lambda: encoder, upstream.usage_only) if upstream is client else translation()
    return Relay(upstream.decoder("lab", "b7Qx2"), writer, record, lambda info: info, translation)


def _event_costs() -> list[list[str]]:
    rows: list[list[str]] = []
    for upstream in map(CODECS.__getitem__, PROTOCOLS):
        played = script(upstream.name, EVENTS)
        reader = FrameReader()
        opening = reader.feed(played.opening)
        frames = [frame for event in played.events for frame in reader.feed(event)]
        decoder = upstream.decoder("lab", "b7Qx2")
        begun = [event for frame in (*opening, frames[0]) for event in decoder.decode(frame)]
        events = [event for frame in frames[1:] for event in decoder.decode(frame)]
        read, decode = _read(played), _decode(upstream, opening, frames)
        for client in map(CODECS.__getitem__, PROTOCOLS):
            encode = "" if client is upstream else f"{_encode(client, begun, events):.2f}"
            relay = _relay(upstream, client, played)
            rows.append([f"{upstream.name} -> {client.name}", f"{read:.2f}", f"{decode:.2f}", encode, f"{relay:.2f}"])
    return rows


# ---- requests --------------------------------------------------------------------------------------------------------


def _request_costs() -> list[list[str]]:
    rows: list[list[str]] = []
    for client in map(CODECS.__getitem__, PROTOCOLS):
        body = request(client.name, "lab/bench", "localhost").partition(b"\r\n\r\n")[2]
        path = PathTarget("lab/bench", stream=True) if client.name == GEMINI else None
        inbound = client.open_request(body, path, {})
        ask = client.read_request(inbound)
        opening = _call(partial(client.open_request, body, path, {}))
        reading = _call(partial(client.read_request, inbound))
        for upstream in map(CODECS.__getitem__, PROTOCOLS):
            if upstream is client:
                steps = [opening, 0.0, _call(partial(client.forward_request, inbound, _target))]
            else:
                steps = [opening, reading, _call(partial(upstream.write_request, ask, _target))]
            rows.append([f"{client.name} -> {upstream.name}", *(f"{step:.1f}" for step in (*steps, sum(steps)))])
    return rows


def _call(step: Callable[[], object], times: int = 300) -> float:
    def run() -> None:
        for _ in range(times):
            step()

    return _best(lambda: run, times)


def _show(title: str, columns: list[str], rows: list[list[str]]) -> None:
    table = Table(title=f"\n{title}", title_justify="left", title_style="bold")
    table.add_column(columns[0], min_width=26)
    for column in columns[1:]:
        table.add_column(column, justify="right")
    for row in rows:
        table.add_row(*row)
    Console(width=100, highlight=False).print(table)


if __name__ == "__main__":
    _show(
        "microseconds per event; `relay` is all of it as the gateway does it, accounting included",
        ["upstream -> client", "read", "decode", "encode", "relay"],
        _event_costs(),
    )
    _show(
        "microseconds per request",
        ["client -> upstream", "open", "read", "write or forward", "together"],
        _request_costs(),
    )
