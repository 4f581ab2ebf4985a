"""What is told of the pauses in an answer."""

from itertools import pairwise

import pytest

from penstock.core.outcome import GAP_BOUNDS, Gaps


def counted(*gaps: float) -> Gaps:
    buckets = [sum(low < gap <= high for gap in gaps) for low, high in pairwise((0, *GAP_BOUNDS, 1e9))]
    return Gaps(tuple(buckets), sum(gaps), max(gaps, default=0.0))


def test_there_are_as_many_gaps_as_were_counted() -> None:
    assert counted(0.004, 0.02, 3.0).count == 3


@pytest.mark.parametrize("gap", [0.0004, 0.004, 0.02, 0.12, 0.7, 45.0])
def test_the_median_of_equal_gaps_is_in_their_bucket(gap: float) -> None:
    floor = max(bound for bound in (0, *GAP_BOUNDS) if bound < gap)
    assert floor < counted(*[gap] * 9).median <= gap


def test_one_long_gap_does_not_move_the_median() -> None:
    assert counted(*[0.02] * 20, 60.0).median <= 0.02


def test_the_median_of_nothing_is_nothing() -> None:
    assert counted().median == 0.0
