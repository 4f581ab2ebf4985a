"""Gateways that run, so that what one leaves open when it dies is settled by another.

Each holds the lock of a file in the data directory while it lives; the system gives it back however it dies. Whoever
can take that lock knows that the process is dead. Of a process whose file is not here, on another machine perhaps, only
the database tells when it was last seen.
"""

import asyncio
import contextlib
import os
import socket
import sys
from pathlib import Path

import sqlalchemy as sa

from penstock.core.errors import ConfigError
from penstock.store.database import Database
from penstock.store.schema import ATTEMPTS, PROCESSES

SILENCE = 30
"""Seconds after which a process that was not seen is dead, if its lock is not here."""

if sys.platform == "win32":
    import msvcrt

    def _lock(file: int) -> None:
        msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock(file: int) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


class Processes:
    """This process, by its `id`, and the others that use the database. Times are Unix times in seconds, handed in.

    All but `lives` and `release` raise StoreUnavailableError if the database cannot be reached.
    """

    def __init__(self, database: Database, directory: Path, id_: str) -> None:
        """Keep locks in `directory`, which is made if it is not there."""
        self.id = id_
        self._database = database
        self._directory = directory
        self._file: int | None = None

    async def enter(self, now: int) -> None:
        """Tell the others that this process lives.

        Raises:
            ConfigError: the lock cannot be made.
        """
        await asyncio.to_thread(self._take_own_lock)
        row = {"id": self.id, "host": socket.gethostname(), "started": now, "seen": now}
        async with self._database.changing() as connection:
            await connection.execute(sa.insert(PROCESSES).values(row))

    async def renew(self, now: int) -> None:
        """Tell the others that it still lives."""
        async with self._database.changing() as connection:
            await connection.execute(sa.update(PROCESSES).where(PROCESSES.c.id == self.id).values(seen=now))

    async def dead(self, now: int) -> list[str]:
        """Return those that are dead but not forgotten."""
        query = sa.select(PROCESSES.c.id, PROCESSES.c.seen).where(PROCESSES.c.id != self.id)
        async with self._database.reading() as connection:
            others = (await connection.execute(query)).all()
        if not others:
            return []
        locked = await asyncio.to_thread(lambda: {row.id: self._is_locked(row.id) for row in others})
        return [
            row.id for row in others if not (row.seen > now - SILENCE if locked[row.id] is None else locked[row.id])
        ]

    async def lives(self, id_: str) -> bool:
        """Whether a process of this machine lives."""
        return await asyncio.to_thread(self._is_locked, id_) is True

    async def forget(self, id_: str) -> None:
        """Forget a process, unless it still has something open."""
        is_open = sa.exists().where(ATTEMPTS.c.process == id_, sa.text("state = 'open'"))
        async with self._database.changing() as connection:
            gone = await connection.execute(sa.delete(PROCESSES).where(PROCESSES.c.id == id_, ~is_open))
        if gone.rowcount:
            with contextlib.suppress(OSError):  # a lock that nobody holds may stay
                await asyncio.to_thread(self._path(id_).unlink, missing_ok=True)

    def release(self) -> None:
        """Give the lock back, as the system does when a process ends."""
        file, self._file = self._file, None
        if file is not None:
            os.close(file)

    def _path(self, id_: str) -> Path:
        return self._directory / f"{id_}.lock"

    def _take_own_lock(self) -> None:
        path = self._path(self.id)
        try:
            self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
            _lock(self._file)
        except OSError as error:
            raise ConfigError(f"{path}: cannot be locked: {error.strerror}") from None

    def _is_locked(self, id_: str) -> bool | None:
        """Whether somebody holds the lock of a process; None if it is not here."""
        try:
            file = os.open(self._path(id_), os.O_RDWR)
        except OSError:
            return None
        try:
            _lock(file)
        except OSError:
            return True
        else:
            return False
        finally:
            with contextlib.suppress(OSError):
                os.close(file)
