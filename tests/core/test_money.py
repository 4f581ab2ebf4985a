"""Dollars: exact in both directions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.core.money import MAX_DOLLARS, NANO, format_dollars, parse_dollars


@pytest.mark.parametrize(
    ("written", "nano"),
    [
        ("0", 0),
        ("10", 10 * NANO),
        (10, 10 * NANO),
        ("10.5", 10_500_000_000),
        ("10.50", 10_500_000_000),
        ("0.1", 100_000_000),
        ("0.000000001", 1),
        ("1000000000", MAX_DOLLARS * NANO),
    ],
)
def test_dollars_are_read_exactly(written: str | int, nano: int) -> None:
    assert parse_dollars(written) == nano


@pytest.mark.parametrize(
    "written", ["", "-1", "+1", "1e3", "$5", "1,50", ".5", "5.", "nan", "0.0000000001", "1000000001", -1, "１０", "5\n"]
)
def test_what_is_no_amount_of_dollars_is_refused(written: str | int) -> None:
    with pytest.raises(ValueError, match="dollars"):
        parse_dollars(written)


@pytest.mark.parametrize(
    ("nano", "shown"),
    [
        (0, "0.00"),
        (NANO, "1.00"),
        (1_500_000_000, "1.50"),
        (1, "0.000000001"),
        (123_450_000, "0.12345"),
        (-1, "-0.000000001"),
    ],
)
def test_they_are_shown_with_cents_or_as_many_decimals_as_it_takes(nano: int, shown: str) -> None:
    assert format_dollars(nano) == shown


@given(st.integers(0, MAX_DOLLARS * NANO))
def test_what_is_shown_can_be_read_again(nano: int) -> None:
    assert parse_dollars(format_dollars(nano)) == nano
