"""GCRA in integer microseconds."""

from hypothesis import given
from hypothesis import strategies as st

from penstock.accounts.rates import MINUTE, charge, latest, wait


class Rate:
    """The rule as SQL and Redis apply it."""

    def __init__(self) -> None:
        self.arrival = 0

    def admit(self, amount: int, per_minute: int, now: int) -> bool:
        charged = charge(amount, per_minute)
        if self.arrival > latest(now, charged):
            return False
        self.arrival = max(self.arrival, now) + charged
        return True


def test_a_minutes_worth_may_come_at_once() -> None:
    rate = Rate()

    assert [rate.admit(1, 3, MINUTE) for _ in range(4)] == [True, True, True, False]


def test_then_as_much_as_time_allows() -> None:
    rate = Rate()
    for _ in range(60):
        rate.admit(1, 60, MINUTE)

    assert not rate.admit(1, 60, MINUTE + 999_999)
    assert rate.admit(1, 60, MINUTE + 1_000_000)
    assert not rate.admit(1, 60, MINUTE + 1_000_000)


def test_who_waits_as_long_as_he_was_told_is_admitted_and_not_sooner() -> None:
    rate = Rate()
    rate.admit(90, 100, MINUTE)
    charged = charge(30, 100)
    seconds = wait(rate.arrival, MINUTE, charged)

    assert seconds == 12.0
    assert not rate.admit(30, 100, MINUTE + 11_999_999)
    assert rate.admit(30, 100, MINUTE + 12_000_000)


def test_more_than_a_minutes_worth_is_admitted_when_nothing_was_used_and_paid_off_later() -> None:
    rate = Rate()

    assert rate.admit(300, 100, MINUTE)
    assert not rate.admit(1, 100, 3 * MINUTE)
    assert rate.admit(1, 100, 4 * MINUTE)


@given(st.integers(1, 10**9), st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, MINUTE)), max_size=50))
def test_in_any_time_no_more_is_admitted_than_the_rate_allows_and_a_minutes_worth(
    per_minute: int, events: list[tuple[int, int]]
) -> None:
    rate, now, admitted = Rate(), 0, 0
    for drawn, pause in events:
        now += pause
        amount = min(drawn, per_minute)
        if rate.admit(amount, per_minute, now):
            admitted += amount

    assert admitted * MINUTE <= per_minute * (now + MINUTE)
