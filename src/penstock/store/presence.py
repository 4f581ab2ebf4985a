"""Whether the file of a database is still where it was opened.

SQLite does not notice when its file is deleted or replaced: what is written goes where nobody will ever read it, and
whoever connects anew makes an empty file. So whoever writes looks for it first, which takes a microsecond or two.
"""

import asyncio
from pathlib import Path
from typing import Any

import sqlalchemy as sa
import structlog
from sqlalchemy import event
from sqlalchemy.exc import OperationalError

LOOK = 1.0
"""Seconds between two looks where nobody writes."""

_log = structlog.get_logger("penstock.store")


class DatabaseGoneError(Exception):
    """The file of the database was deleted, or another is in its place."""


class Presence:
    """Looks for a file. State: whether it was `here` at the last look."""

    def __init__(self, path: Path) -> None:
        """Remember the file that is at `path` now."""
        self._path = path
        self._file = _identity(path)
        self.here = self._file is not None

    def guard(self, writing: sa.Engine, reading: sa.Engine) -> None:
        """Let nobody write, or connect anew, while the file is gone. What reads is in a loop, and does not look."""
        event.listen(writing, "do_connect", self._look_and_refuse)
        event.listen(writing, "begin", self._look_and_refuse)
        event.listen(reading, "do_connect", self._refuse)

    async def watch(self) -> None:
        """Look from time to time, for ever."""
        while True:
            await asyncio.sleep(LOOK)
            await asyncio.to_thread(self.look)

    def look(self) -> None:
        """See whether it is here; tell the log if it was and is not."""
        was_here, self.here = self.here, self._file is not None and _identity(self._path) == self._file
        if was_here and not self.here:
            _log.error("database_gone", why=self._why())

    def _why(self) -> str:
        return f"{self._path} was deleted or replaced while the gateway runs; put it back, or restart the gateway"

    def _look_and_refuse(self, *_: Any) -> None:
        self.look()
        self._refuse()

    def _refuse(self, *_: Any) -> None:
        if not self.here:
            raise OperationalError(None, None, DatabaseGoneError(self._why()))


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
