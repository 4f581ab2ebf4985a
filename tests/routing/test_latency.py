"""How long upstreams usually take to their first token."""

from hypothesis import given
from hypothesis import strategies as st

from penstock.routing.latency import ENOUGH, KEPT, MAX_UPSTREAMS, Latency

A = "lab/a"


def seen(times: list[float]) -> Latency:
    latency = Latency()
    for seconds in times:
        latency.note(A, seconds)
    return latency


def test_too_few_observations_say_nothing():
    assert seen([1.0] * (ENOUGH - 1)).p95(A) is None
    assert seen([1.0] * ENOUGH).p95(A) == 1.0
    assert Latency().p95(A) is None


def test_one_in_twenty_may_take_longer():
    assert seen([0.1] * 19 + [9.0]).p95(A) == 0.1
    assert seen([0.1] * 18 + [9.0] * 2).p95(A) == 9.0


def test_old_observations_are_forgotten():
    assert seen([9.0] * KEPT + [0.1] * KEPT).p95(A) == 0.1


def test_upstreams_that_were_seen_longest_ago_are_forgotten():
    latency = seen([1.0] * ENOUGH)
    for number in range(MAX_UPSTREAMS):
        latency.note(f"lab/{number}", 1.0)
    assert latency.p95(A) is None


@given(st.lists(st.floats(0, 100), min_size=ENOUGH, max_size=KEPT))
def test_at_most_one_in_twenty_took_longer_than_it_says(times: list[float]):
    within = seen(times).p95(A)
    assert within in times
    assert sum(seconds > within for seconds in times) <= len(times) / 20
