"""What all tests share."""

import pytest


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "covers(*numbers): pitfalls (P..) and cases (T..) that the test proves")
