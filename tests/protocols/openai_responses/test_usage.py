"""Usage of the Responses API, both ways (section 8.6)."""

import msgspec
import pytest
from hypothesis import given

from penstock.core.usage import UNKNOWN, Usage
from penstock.protocols.openai_responses import stream_wire as wire
from penstock.protocols.openai_responses.usage import UsageReader, write_usage
from penstock.protocols.openai_usage import InputDetails
from tests.strategies import usages


def test_input_includes_what_was_cached_and_output_includes_reasoning() -> None:
    assert write_usage(
        Usage(uncached=10, cache_read=60, cache_write=20, cache_write_1h=10, output=20, reasoning=5)
    ) == {
        "input_tokens": 100,
        "input_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 30},
        "output_tokens": 20,
        "output_tokens_details": {"reasoning_tokens": 5},
        "total_tokens": 120,
    }


@pytest.mark.covers("P103")
def test_details_are_there_even_if_nobody_gave_them() -> None:
    written = write_usage(Usage(uncached=1, output=2))
    assert written is not None
    assert written["input_tokens_details"] == {"cached_tokens": 0, "cache_write_tokens": 0}
    assert written["output_tokens_details"] == {"reasoning_tokens": 0}


@pytest.mark.covers("P95")
def test_usage_that_nobody_knows_is_null() -> None:
    assert write_usage(UNKNOWN) is None


def test_the_latest_counter_wins_and_nothing_is_summed() -> None:
    reader = UsageReader()
    reader.read(wire.Usage(input_tokens=0, output_tokens=1))
    assert reader.read(wire.Usage(10, InputDetails(cached_tokens=4), None)) == Usage(6, 4, output=1)


@pytest.mark.parametrize("count", [-1, 2**60])
def test_a_counter_that_cannot_be_a_count_is_as_good_as_none(count: int) -> None:
    assert UsageReader().read(wire.Usage(input_tokens=count, output_tokens=3)) == Usage(output=3)


def test_more_cached_than_there_was_is_not_less_than_nothing() -> None:
    assert UsageReader().read(wire.Usage(5, InputDetails(9))) == Usage(uncached=0, cache_read=9)


@given(usages())
def test_totals_survive_being_written_and_read(usage: Usage) -> None:
    written = msgspec.convert(write_usage(usage), wire.Usage)
    read = UsageReader().read(written)
    assert (read.input, read.output, read.total) == (usage.input, usage.output, usage.total)
