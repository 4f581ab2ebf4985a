"""The short form of `python -m chaos --only truncation`: each cut near the end of an answer, others from a seed."""

import asyncio

import pytest

from chaos.readers import Heard
from chaos.truncation import (
    ALARM,
    CHOKED,
    FORMS,
    HANGS,
    INVENTED,
    LACKING,
    LANES,
    SUCCESS,
    UNSAID,
    WAYS,
    Found,
    Lane,
    all_cases,
    drawn_cases,
    edges,
    judge,
    read,
)

SEED = 20261122
WHOLE = Heard("Autumn", "stop")


@pytest.fixture(scope="module")
def found() -> dict[Lane, Found]:
    return asyncio.run(read({lane: drawn_cases(lane, SEED, 4) for lane in LANES}))


@pytest.mark.promise("1.1")
@pytest.mark.covers("T12", "T13", "P8", "P110", "P111", "P112")
@pytest.mark.parametrize("lane", LANES, ids=lambda lane: lane.name)
def test_a_cut_is_raised_by_every_sdk_unless_the_answer_had_ended(lane: Lane, found: dict[Lane, Found]):
    assert not found[lane].failures
    assert found[lane].raised > 2 * len(WAYS)
    assert found[lane].whole >= len(WAYS)


def test_the_long_form_cuts_in_every_way_behind_every_byte_and_asks_every_form_of_an_sdk():
    cases = all_cases(LANES[0])
    places = {case.at for case in cases}
    assert places == set(range(max(places) + 1))
    assert max(places) >= 4096
    assert {(case.way, case.at) for case in cases} == {(way, at) for way in WAYS for at in places}
    assert {(case.way, case.form) for case in cases} == {(way, form) for way in WAYS for form in FORMS}


def test_the_same_seed_draws_the_same_cuts():
    assert drawn_cases(LANES[0], 1, 20) == drawn_cases(LANES[0], 1, 20)
    assert drawn_cases(LANES[0], 1, 20) != drawn_cases(LANES[0], 2, 20)
    assert {(way, at) for way in WAYS for at in edges(LANES[0])} <= {
        (case.way, case.at) for case in drawn_cases(LANES[0], 1, 0)
    }


@pytest.mark.parametrize(
    ("heard", "ended_well", "complaint"),
    [
        (Heard("Aut", raised="APIError"), False, ""),
        (Heard("Aut"), False, SUCCESS),
        (Heard("Autumn", "stop"), False, SUCCESS),
        (Heard("Aut", "stop", raised="APIError"), False, INVENTED),
        (Heard("Aut", raised="JSONDecodeError", honest=False), False, CHOKED),
        (Heard("Spring", raised="APIError"), False, UNSAID),
        (Heard(raised=HANGS), False, HANGS),
        (Heard("Autumn", "stop"), True, ""),
        (Heard("Autumn", raised="APIError"), True, ALARM),
        (Heard("Autumn", "length"), True, LACKING),
        (Heard("Autum", "stop"), True, LACKING),
    ],
)
def test_each_lie_about_a_cut_is_seen(heard: Heard, ended_well: bool, complaint: str):
    assert judge(heard, WHOLE, ended_well) == complaint
