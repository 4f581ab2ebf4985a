"""The short form of `python -m chaos --only invariance`."""

import asyncio

import pytest

from chaos.invariance import LANES, Lane, compare, same

SEED = 20261122


@pytest.fixture(scope="module")
def complaints() -> dict[Lane, list[str]]:
    return asyncio.run(compare(LANES, SEED, 4))


@pytest.mark.promise("1.2")
@pytest.mark.parametrize("lane", LANES, ids=lambda lane: lane.name)
def test_late_bytes_small_pieces_and_signs_of_life_change_nothing(lane: Lane, complaints: dict[Lane, list[str]]):
    assert not complaints[lane]


def test_only_what_is_made_anew_and_signs_of_life_are_left_out_of_the_comparison():
    assert same(b'data: {"id":"chatcmpl-Ab1","created":12}\n\n') == same(b'data: {"id":"chatcmpl-Z","created":9}\n\n')
    assert same(b'data: 1\n\n\nevent: ping\ndata: {"type": "ping"}\n\ndata: 2\n\n') == b"data: 1\n\ndata: 2\n\n"
    assert same(b'data: {"text":"a"}\n\n') != same(b'data: {"text":"b"}\n\n')
