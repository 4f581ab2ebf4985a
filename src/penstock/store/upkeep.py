"""Work in the background that never ends: signs of life, notes of progress, news of others.

It expects that a store is down, and deals with that itself. If anything else goes wrong, all that hangs on it would
stop without a word: a process whose signs of life cease is taken for dead, and what it does is settled by others.
"""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

PAUSE = 1.0
"""Seconds before work that has failed is begun again."""

_log = structlog.get_logger("penstock.store")


def keep_up(work: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
    """Return a task that does some work until it is cancelled; it begins anew where it fails, and tells the log."""
    return asyncio.create_task(_keep_up(work))


async def _keep_up(work: Callable[[], Awaitable[None]]) -> None:
    while True:
        try:
            await work()
        except Exception:
            _log.exception("defect", begins_again_in=PAUSE)
        await asyncio.sleep(PAUSE)
