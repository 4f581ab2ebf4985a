"""A running simulator, and a plain client that understands what comes back."""

from collections.abc import AsyncIterator

import pytest

from penstock.simulator import start
from tests.simulator.talking import Talker


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def simulator() -> AsyncIterator[Talker]:
    running = await start()
    async with Talker(f"http://127.0.0.1:{running.port}") as talker:
        yield talker
    await running.close()
