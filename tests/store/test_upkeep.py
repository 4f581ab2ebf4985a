"""Work in the background goes on whatever goes wrong."""

import asyncio

import pytest
from structlog.testing import capture_logs

from penstock.store import upkeep
from penstock.store.upkeep import keep_up

pytestmark = pytest.mark.anyio


async def test_work_that_fails_begins_anew_and_the_log_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "PAUSE", 0.0)
    done = asyncio.Event()
    tries = 0

    async def work() -> None:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise ZeroDivisionError
        done.set()
        await asyncio.Event().wait()

    with capture_logs() as logs:
        task = keep_up(work)
        await asyncio.wait_for(done.wait(), 5)
        task.cancel()
        await asyncio.wait([task])

    assert task.cancelled()
    assert [(line["event"], line["log_level"]) for line in logs] == [("defect", "error")]
