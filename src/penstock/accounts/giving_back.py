"""What goes back to the server that many machines hold slots and rates in common in: all of it, and once.

It may not answer just then. What was not answered was perhaps done, so each return can be made again without harm.
"""

import asyncio
from collections import deque

import structlog

from penstock.accounts.admission import SharedLimits
from penstock.store.errors import StoreUnavailableError
from penstock.store.ledger import Return

AT_ONCE = 100
"""Returns in one go."""

MOST = 100_000
"""Returns that wait while the server is down; of more, some are forgotten. Slots end with their leases, and rates
recover by themselves."""

FIRST_PAUSE = 0.1
LONGEST_PAUSE = 5.0
"""Seconds between two tries; the pause doubles from the first to the longest."""

_log = structlog.get_logger("penstock.ledger")


class GivingBack:
    """Returns on their way. It belongs to the event loop that runs when something is put into it."""

    def __init__(self, shared: SharedLimits) -> None:
        self._shared = shared
        self._waiting: deque[Return] = deque(maxlen=MOST)
        self._giving: asyncio.Task[None] | None = None

    def put(self, one: Return) -> None:
        """Give something back as soon as that is possible."""
        self._waiting.append(one)
        if self._giving is None or self._giving.done():
            self._giving = asyncio.create_task(self._give())

    async def done(self, seconds: float) -> None:
        """Wait until nothing is on its way, some seconds at most."""
        if self._giving is not None:
            await asyncio.wait([self._giving], timeout=seconds)

    async def close(self, seconds: float) -> None:
        """Wait for what is on its way, some seconds at most, and give up."""
        await self.done(seconds)
        if self._giving is not None:
            self._giving.cancel()
            await asyncio.wait([self._giving])

    async def _give(self) -> None:
        pause = FIRST_PAUSE
        while self._waiting:
            some = [self._waiting.popleft() for _ in range(min(AT_ONCE, len(self._waiting)))]
            try:
                await self._shared.give_back(some)
            except StoreUnavailableError as error:
                if pause == FIRST_PAUSE:
                    _log.warning("ledger.shared", error=str(error))
                self._waiting.extendleft(reversed(some))
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE)
            else:
                pause = FIRST_PAUSE
