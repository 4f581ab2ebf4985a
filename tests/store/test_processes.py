"""Processes that have died are forgotten."""

from pathlib import Path

import pytest

from penstock.store.database import Database
from penstock.store.processes import SILENCE, Processes

pytestmark = pytest.mark.anyio

NOW = 1_800_000_000


async def test_one_whose_lock_cannot_be_deleted_is_forgotten_all_the_same(database: Database, tmp_path: Path) -> None:
    """Where that was an error, the ledger looked after nothing any more."""
    dead, living = (Processes(database, tmp_path, name) for name in ("dead", "living"))
    await dead.enter(NOW)
    dead.release()
    await living.enter(NOW)
    (tmp_path / "dead.lock").unlink()
    (tmp_path / "dead.lock").mkdir()

    assert await living.dead(NOW + SILENCE) == ["dead"]
    await living.forget("dead")

    assert await living.dead(NOW + SILENCE) == []
    living.release()
