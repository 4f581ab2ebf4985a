"""What the log tells an operator of a provider that fails: why, and when it is passed over."""

from typing import Any

import pytest
from structlog.testing import capture_logs

from penstock.core.errors import ErrorInfo
from penstock.gateway import provider_log
from penstock.gateway.attempt import CREDENTIAL
from penstock.routing.health import FAILURES, Health

UPSTREAM = "lab/m"
REFUSED = ErrorInfo("upstream_error", 'The provider "lab" cannot be reached.', code="connect_failed")


def failures(*errors: ErrorInfo) -> list[Any]:
    health = Health()
    with capture_logs() as lines:
        for number, error in enumerate(errors, 1):
            provider_log.failed(health, UPSTREAM, error, f"req_{number}")
    return lines


def test_a_failure_is_a_line_that_says_of_which_request_it_was_and_why() -> None:
    assert failures(REFUSED) == [
        {
            "event": "provider_failed",
            "log_level": "warning",
            "request_id": "req_1",
            "upstream": UPSTREAM,
            "error": "upstream_error",
            "code": "connect_failed",
            "why": 'The provider "lab" cannot be reached.',
        }
    ]


def test_what_the_provider_says_of_the_credential_is_told_to_whoever_can_mend_it() -> None:
    (line,) = failures(ErrorInfo("upstream_error", "The provider refused the credential: expired", code=CREDENTIAL))
    assert line["why"].endswith("expired")


@pytest.mark.parametrize("code", [None, "rate_limit_exceeded", "what a client asked\nfor", "x" * 65])
def test_its_other_words_are_not_written_for_they_may_quote_a_client(code: str | None) -> None:
    (line,) = failures(ErrorInfo("overloaded", "no: 'what a client asked'", code=code))
    assert "asked" not in str(line)
    assert line.get("code") in {None, "rate_limit_exceeded"}


def test_it_is_said_once_that_a_provider_is_passed_over_and_that_it_is_well_again() -> None:
    health = Health()
    with capture_logs() as lines:
        for _ in range(FAILURES + 1):
            provider_log.failed(health, UPSTREAM, REFUSED, "req_1")
        provider_log.succeeded(health, UPSTREAM)
        provider_log.succeeded(health, UPSTREAM)
    told = [line for line in lines if line["event"] != "provider_failed"]
    assert [(line["event"], line.get("seconds")) for line in told] == [
        ("provider_passed_over", 30),
        ("provider_well_again", None),
    ]
