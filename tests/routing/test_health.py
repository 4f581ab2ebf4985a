"""Who is ejected, for how long, and how an upstream comes back."""

from hypothesis import given
from hypothesis import strategies as st

from penstock.routing.health import EJECTION, FAILURES, MAX_EJECTION, MAX_FAILURES, MAX_KNOWN, PROBE, Health

A = "lab/a"


def ejected(now: float = 0.0) -> Health:
    """Return the health of things after `A` was ejected."""
    health = Health()
    for _ in range(FAILURES):
        health.calling(A, now)
        health.failed(A, "overloaded", now)
    return health


def test_an_upstream_that_nobody_knows_is_good():
    assert Health().standing(A, 0) == "good"


def test_five_failures_in_a_row_eject():
    health = Health()
    for _ in range(FAILURES - 1):
        health.failed(A, "overloaded", 1.0)
    assert health.standing(A, 1.0) == "good"

    health.failed(A, "overloaded", 1.0)
    assert health.standing(A, 1.0) == "ejected"
    assert health.standing("lab/b", 1.0) == "good"


def test_an_answer_that_ended_well_breaks_the_row():
    health = Health()
    for _ in range(MAX_FAILURES - 1):
        health.failed(A, "overloaded", 0)
        health.succeeded(A)
    assert health.standing(A, 0) == "good"


def test_an_upstream_that_breaks_every_other_stream_is_ejected_too():
    health = Health()
    for _ in range(MAX_FAILURES):
        health.succeeded(A)
        health.failed(A, "stream_incomplete", 0)
    assert health.standing(A, 0) == "ejected"


def test_after_the_ejection_one_call_is_a_probe_and_no_other_comes():
    health = ejected()
    assert health.standing(A, EJECTION - 0.01) == "ejected"
    assert health.standing(A, EJECTION) == "probe"

    health.calling(A, EJECTION)
    assert health.standing(A, EJECTION) == "ejected"


def test_a_good_probe_ends_the_ejection():
    health = ejected()
    health.calling(A, EJECTION)
    health.succeeded(A)
    assert health.standing(A, EJECTION) == "good"
    assert health.conditions() == {}


def test_a_bad_probe_doubles_the_ejection_up_to_its_longest():
    health, now = ejected(), 0.0
    for expected in (EJECTION, 2 * EJECTION, 4 * EJECTION, 8 * EJECTION, MAX_EJECTION, MAX_EJECTION):
        assert health.standing(A, now + expected - 0.01) == "ejected"
        now += expected
        assert health.standing(A, now) == "probe"
        health.calling(A, now)
        health.failed(A, "overloaded", now)


def test_a_probe_that_said_nothing_leaves_room_for_another():
    health = ejected()
    health.calling(A, EJECTION)
    health.undecided(A)
    assert health.standing(A, EJECTION) == "probe"


def test_a_probe_that_was_forgotten_leaves_room_for_another():
    health = ejected()
    health.calling(A, EJECTION)
    assert health.standing(A, EJECTION + PROBE) == "probe"


def test_more_failures_of_calls_that_had_to_be_made_do_not_prolong_an_ejection():
    health = ejected()
    for _ in range(FAILURES):
        health.failed(A, "overloaded", 10.0)
    assert health.standing(A, EJECTION) == "probe"


def test_what_is_known_can_be_looked_at():
    condition = ejected().conditions()[A]
    assert (condition.failures, condition.last_error, condition.until) == (FAILURES, "overloaded", EJECTION)


@given(st.lists(st.sampled_from(["called", "failed", "succeeded", "undecided", "later"]), max_size=200))
def test_whatever_happens_there_is_a_way_back(happened: list[str]):
    health, now = Health(), 0.0
    for what in happened:
        match what:
            case "called":
                health.calling(A, now)
            case "failed":
                health.failed(A, "overloaded", now)
            case "succeeded":
                health.succeeded(A)
                assert health.standing(A, now) == "good" or health.conditions()[A].until == 0
            case "undecided":
                health.undecided(A)
            case _:
                now += 7.0
    assert health.standing(A, now + MAX_EJECTION + PROBE) in {"good", "probe"}


def test_no_more_is_remembered_than_a_number_of_upstreams_because_clients_can_make_up_names():
    health = ejected()
    for number in range(MAX_KNOWN):
        health.failed(f"lab/{number}", "overloaded", 0.0)
    assert len(health.conditions()) == MAX_KNOWN
    assert health.standing(A, 0.0) == "good"
