"""Real sockets, on asyncio's own loop."""

from collections.abc import AsyncIterator

import pytest

from tests.serving import Gateway, serving


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def gateway() -> AsyncIterator[Gateway]:
    async with serving() as running:
        yield running
