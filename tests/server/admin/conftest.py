from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.server.admin.administering import Admin, administering


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def admin(tmp_path: Path) -> AsyncIterator[Admin]:
    async with administering(tmp_path) as running:
        yield running
