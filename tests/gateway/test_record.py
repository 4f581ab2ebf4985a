"""What a call came to."""

import pytest

from penstock.core.events import Delta, Finish, PartStart, Start, UsageUpdate
from penstock.core.usage import Usage
from penstock.gateway.record import Record


def seen(*events: object) -> Record:
    record = Record()
    record.observe(events)  # type: ignore[arg-type]
    return record


ELEVEN_BYTES = (Start(), PartStart(0, "text"), Delta(0, "Hello"), Delta(0, " world"))


def five() -> int:
    """Estimate the input tokens."""
    return 5


@pytest.mark.covers("T6")
def test_an_answer_that_nobody_counted_is_estimated_and_flagged() -> None:
    assert seen(*ELEVEN_BYTES, Finish("stop")).usage_or_estimate(five) == Usage(uncached=5, output=3, estimated=True)


@pytest.mark.covers("T2")
def test_the_providers_count_is_the_usage_of_an_answer_that_ended() -> None:
    usage = Usage(uncached=9, output=2)
    assert seen(*ELEVEN_BYTES, UsageUpdate(usage), Finish("stop")).usage_or_estimate(five) == usage


def test_zero_is_a_count() -> None:
    usage = Usage(uncached=9, output=0)
    assert seen(*ELEVEN_BYTES, UsageUpdate(usage), Finish("stop")).usage_or_estimate(five) == usage


def test_the_output_of_a_broken_answer_is_not_what_was_counted_at_its_beginning() -> None:
    record = seen(Start(), UsageUpdate(Usage(uncached=9, cache_read=90, output=1)), *ELEVEN_BYTES[1:])
    assert record.usage_or_estimate(five) == Usage(uncached=9, cache_read=90, output=3, estimated=True)


def test_an_error_text_is_no_output() -> None:
    assert seen(Start()).usage_or_estimate(five).output == 0


@pytest.mark.covers("T13")
def test_nothing_has_begun_until_there_is_something_to_show() -> None:
    record = seen(Start(), UsageUpdate(Usage(uncached=9)))
    assert not record.begun
    record.observe([PartStart(0, "text")])
    assert record.begun
