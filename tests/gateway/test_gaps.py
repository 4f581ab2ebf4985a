"""The pauses between chunks of output are counted as the chunks come."""

import pytest

from penstock.core.events import Delta, Finish, PartStart, Start, UsageUpdate
from penstock.core.outcome import GAP_BOUNDS
from penstock.core.usage import Usage
from penstock.gateway.record import Record


def at(*times: float) -> Record:
    """Return a record whose clock shows these times in turn."""
    return Record(iter(times).__next__)


def test_the_first_chunk_of_output_ends_no_gap() -> None:
    record = at(7.0)
    record.observe([Start(), PartStart(0, "text"), Delta(0, "Hello")])
    assert record.gaps is None


def test_each_further_chunk_of_output_ends_one() -> None:
    record = at(7.0, 7.015, 7.035, 8.0)
    for text in "abcd":
        record.observe([Delta(0, text)])
    gaps = record.gaps
    assert gaps is not None
    assert (gaps.count, round(gaps.total, 6), round(gaps.longest, 6)) == (3, 1.0, 0.965)


def test_several_events_of_one_chunk_are_one_output() -> None:
    record = at(7.0, 7.5)
    record.observe([Delta(0, "a"), Delta(0, "b")])
    record.observe([Delta(0, "c"), Delta(0, "d")])
    assert record.gaps is not None
    assert record.gaps.count == 1


def test_what_brings_no_output_ends_no_gap() -> None:
    record = at(7.0)
    record.observe([Delta(0, "a")])
    record.observe([UsageUpdate(Usage(output=1)), Delta(0, ""), Finish("stop")])
    assert record.gaps is None


@pytest.mark.parametrize(("gap", "bucket"), [(0.0, 0), (0.001, 0), (0.0011, 1), (30.0, 16), (31.0, 17)])
def test_a_gap_is_in_the_bucket_whose_bound_it_does_not_exceed(gap: float, bucket: int) -> None:
    record = at(0.0, gap)
    record.observe([Delta(0, "a")])
    record.observe([Delta(0, "b")])
    assert record.gaps is not None
    assert record.gaps.counts[bucket] == 1
    assert len(record.gaps.counts) == len(GAP_BOUNDS) + 1
