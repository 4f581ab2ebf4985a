"""Rows of the ledger, written by hand."""

from collections.abc import Iterable, Mapping
from typing import Any

import sqlalchemy as sa

from penstock.store.database import Database
from penstock.store.schema import ATTEMPTS

OPENED: dict[str, Any] = {"process": "p", "state": "settled", "input_estimate": 0, "hold": 0, "slot": False}


async def write_requests(database: Database, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write requests, given as rows of the view, each as its only attempt."""
    attempts = [
        OPENED | {"request": row["id"], "number": row["attempts"], "started_ms": row["created_ms"]} | row
        for row in rows
    ]
    async with database.changing() as connection:
        await connection.execute(sa.insert(ATTEMPTS), [_without(row, "id", "attempts") for row in attempts])


def _without(row: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in names}
