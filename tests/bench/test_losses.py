"""The benchmark's figures are worth something only if it sees every loss."""

import asyncio
from collections.abc import Callable

import pytest

from bench.load import Connection, Stream
from bench.streams import CHAT, PROTOCOLS, Expectation, Script, script
from bench.upstream import play

EVENTS = 5


def _damaged(played: Script, events: tuple[bytes, ...]) -> bytes:
    return Script(played.opening, events, played.closing).body


DAMAGES: dict[str, Callable[[Script], bytes]] = {
    "an event is missing": lambda played: _damaged(played, played.events[:2] + played.events[3:]),
    "an event comes twice": lambda played: _damaged(played, played.events[:1] + played.events),
    "events change places": lambda played: _damaged(played, played.events[::-1]),
    "the end is missing": lambda played: played.opening + b"".join(played.events),
    "the last frame is cut": lambda played: played.body[:-20],
    "nothing comes": lambda played: b"",
}


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_whole_stream_is_accepted(protocol: str) -> None:
    body = script(protocol, EVENTS).body

    assert Expectation(protocol, EVENTS).complaint(body) == ""
    assert Expectation(protocol, EVENTS, exact=body).complaint(body) == ""


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_stream_is_reported(protocol: str, damage: str) -> None:
    played = script(protocol, EVENTS)
    body = DAMAGES[damage](played)

    assert Expectation(protocol, EVENTS).complaint(body)
    assert Expectation(protocol, EVENTS, exact=played.body).complaint(body)


def test_another_byte_is_reported_where_nothing_may_change() -> None:
    body = script(CHAT, EVENTS).body

    assert "different from byte" in Expectation(CHAT, EVENTS, exact=body).complaint(body.replace(b"fp_b1", b"fp_b2", 1))


class _Wire(asyncio.Transport):
    def write(self, data: bytes | bytearray | memoryview) -> None:
        pass

    def is_closing(self) -> bool:
        return False


async def _received(pieces: list[bytes]) -> Stream:
    connection = Connection(asyncio.get_running_loop())
    connection.connection_made(_Wire())
    stream = connection.send(b"")
    for piece in pieces:
        connection.data_received(piece)
    connection.connection_lost(None)
    return stream


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_an_answer_is_read_whole_wherever_it_is_cut(protocol: str) -> None:
    answer = b"".join(play(protocol, f"paced-{EVENTS}").writes)

    stream = asyncio.run(_received([answer[at : at + 1] for at in range(len(answer))]))

    assert stream.complaint() == ""
    assert stream.body == script(protocol, EVENTS).body


def test_an_answer_whose_connection_ends_early_is_reported() -> None:
    answer = b"".join(play(CHAT, "one").writes)

    assert "ended in the middle" in asyncio.run(_received([answer[:-5]])).complaint()


def test_an_answer_with_a_length_is_read() -> None:
    head = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\n"

    assert asyncio.run(_received([head, b"{", b"}"])).complaint() == "status 401: {}"
