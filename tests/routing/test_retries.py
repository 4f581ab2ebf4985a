"""How often, and after which pause, something is tried again."""

from hypothesis import given
from hypothesis import strategies as st

from penstock.routing.retries import FLOOR, MAX_PAUSE, PERIOD, REMEMBERED, REQUESTS, RetryBudget, pause


def outage(budget: RetryBudget, requests: int, now: float) -> int:
    """Return how many further attempts some requests made, all of which failed."""
    made = 0
    for _ in range(requests):
        budget.request()
        made += budget.take(now)
    return made


def test_a_few_attempts_are_there_without_any_requests():
    budget = RetryBudget()
    assert [budget.take(0) for _ in range(FLOOR + 1)] == [True] * FLOOR + [False]
    assert budget.take(PERIOD)


def test_ten_requests_earn_one_attempt():
    assert outage(RetryBudget(), 1000, 0) == 1000 // REQUESTS + FLOOR


def test_good_hours_do_not_pay_for_a_storm():
    budget = RetryBudget()
    for _ in range(100_000):
        budget.request()
    assert sum(budget.take(0) for _ in range(1000)) == REMEMBERED // REQUESTS + FLOOR


def test_attempts_that_had_to_be_made_are_paid_by_later_requests():
    budget = RetryBudget()
    for _ in range(5):
        assert budget.further("good", 0)
    assert outage(budget, 50 + 100, 0) == 100 // REQUESTS + FLOOR


@given(st.lists(st.tuples(st.sampled_from(["request", "take"]), st.floats(0, 3)), max_size=400))
def test_attempts_stay_below_a_tenth_more_than_requests_and_three_in_ten_seconds(steps: list[tuple[str, float]]):
    budget, now, requests, attempts = RetryBudget(), 0.0, 0, 0
    for what, later in steps:
        now += later
        if what == "request":
            requests += 1
            budget.request()
        else:
            attempts += budget.take(now)
    assert attempts <= requests / REQUESTS + FLOOR * (now // PERIOD + 1)


def test_the_pause_before_another_try_grows_and_is_never_the_same_for_all():
    assert pause(1, None, lambda: 0.0) == 0.05
    assert pause(1, None, lambda: 1.0) == 0.1
    assert pause(3, None, lambda: 1.0) == 0.4
    assert pause(50, None, lambda: 1.0) == MAX_PAUSE


def test_what_the_provider_asks_for_is_waited_for():
    assert pause(1, 2.5, lambda: 0.0) == 2.5
    assert pause(1, MAX_PAUSE, lambda: 0.0) == MAX_PAUSE


def test_a_provider_that_asks_for_too_much_is_not_tried_again():
    assert pause(1, MAX_PAUSE + 0.1, lambda: 0.0) is None
