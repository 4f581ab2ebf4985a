"""Counting tokens: snapshots, never sums."""

import pytest
from hypothesis import given

from penstock.core.usage import UNKNOWN, Usage, estimate_tokens
from tests.strategies import usages


def test_totals_are_derived_from_disjoint_counters() -> None:
    usage = Usage(uncached=1, cache_read=20, cache_write=300, cache_write_1h=4000, output=50_000, reasoning=7)
    assert (usage.cache_written, usage.input, usage.total) == (4300, 4321, 54_321)


def test_what_nobody_said_is_unknown_and_not_zero() -> None:
    assert not UNKNOWN.known
    assert Usage(output=0).known
    assert UNKNOWN.uncached is None


@pytest.mark.covers("T2", "T3", "P96")
def test_a_later_snapshot_overwrites_and_is_never_added() -> None:
    first = Usage(uncached=10, cache_read=90, output=1)
    assert first.updated(Usage(output=20)) == Usage(uncached=10, cache_read=90, output=20)
    assert first.updated(Usage(uncached=4)) == Usage(uncached=4, cache_read=90, output=1)


@given(usages())
def test_the_same_snapshot_twice_is_the_same_snapshot(usage: Usage) -> None:
    assert usage.updated(usage) == usage
    assert usage.updated(UNKNOWN) == usage


def test_an_exact_count_replaces_an_estimate() -> None:
    estimated = Usage(uncached=7, output=3, estimated=True)
    assert estimated.updated(Usage(uncached=8, output=4)) == Usage(uncached=8, output=4)


@pytest.mark.parametrize(("size", "tokens"), [(0, 0), (1, 1), (4, 1), (5, 2), (400, 100)])
def test_an_estimate_counts_each_four_bytes_begun(size: int, tokens: int) -> None:
    assert estimate_tokens(size) == tokens
