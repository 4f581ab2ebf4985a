"""What all tests share: the marker that names what a test proves, and the settings of Hypothesis."""

import os

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("quick", max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("thorough", parent=settings.get_profile("quick"), max_examples=2000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "covers(*numbers): pitfalls (P1 ...) and cases (T1 ...) that this test proves; test_cases_covered.py adds up",
    )
