"""One gateway for all SDK tests: they ask nothing of it that would change it."""

from collections.abc import Iterator

import pytest

from tests.sdk.running import DEMO_PROVIDERS, running_gateway


@pytest.fixture(scope="session")
def gateway() -> Iterator[str]:
    """Address of a running gateway."""
    with running_gateway() as address:
        yield address


@pytest.fixture(params=DEMO_PROVIDERS)
def provider(request: pytest.FixtureRequest) -> str:
    """Each demo provider in turn, and with it each upstream protocol."""
    return request.param
