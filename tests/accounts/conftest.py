from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from penstock.accounts.ledger import Ledger
from penstock.store.database import Database
from tests.accounts.books import Books, Clock


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def ledger(database: Database, tmp_path: Path, clock: Clock) -> AsyncIterator[Ledger]:
    opened = Ledger(database, tmp_path / "processes", now=clock)
    await opened.start()
    yield opened
    await opened.close()


@pytest.fixture
def books(database: Database) -> Books:
    return Books(database)
