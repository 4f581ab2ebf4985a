"""What all tests share: the marker that names what a test proves, the settings of Hypothesis, and silence of the logs."""

import gc
import os

import pytest
import structlog
from hypothesis import HealthCheck, settings

pytest_plugins = ["tests.store.servers"]

settings.register_profile("quick", max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("thorough", parent=settings.get_profile("quick"), max_examples=2000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))


# Gateways in threads outlive pytest's capture; tests that look at log lines use structlog.testing.capture_logs.
structlog.configure(logger_factory=structlog.ReturnLoggerFactory())


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "covers(*numbers): pitfalls (P1 ...) and cases (T1 ...) that this test proves; test_cases_covered.py adds up",
    )
    config.addinivalue_line(
        "markers",
        "promise(*numbers): promises of docs/promises.md that this test proves; test_promises_covered.py adds up",
    )


def pytest_collection_finish() -> None:
    """Keep the garbage collector from walking, every few tests, over all that was loaded for good."""
    gc.collect()
    gc.freeze()
