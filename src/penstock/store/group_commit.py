"""Many small writes, few transactions: a thread that takes whatever waits and commits it at once.

    writer = GroupCommit(database.connect, apply)
    result = await writer.submit(job)
    await writer.close()

A commit costs far more than the statements in it. While one is under way the jobs that come wait for the next, and
where several came at once the next are given four milliseconds to gather; so batches are as large as the load makes
them, and jobs that come one by one do not wait at all.
"""

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, ProgrammingError, SQLAlchemyError

from penstock.store.database import unavailable
from penstock.store.errors import StoreUnavailableError
from penstock.store.pending import Pending

MAX_JOBS = 500
"""Jobs in a transaction: while it lasts, other processes cannot write to SQLite."""

GATHERING = 0.004
"""Seconds that a job waits for others, if the batch before it was of several."""

MAX_TRIES = 3
"""Times that a batch is tried in which the database chose a victim of a deadlock."""

_DEADLOCK = ("40001", "40P01")  # https://www.postgresql.org/docs/current/errcodes-appendix.html

Job = TypeVar("Job")
Result = TypeVar("Result")


class GroupCommit(Generic[Job, Result]):
    """The writer thread. It belongs to the event loop that runs when it is made."""

    def __init__(
        self, connect: Callable[[], sa.Connection], apply: Callable[[sa.Connection, list[Job]], Sequence[Result]]
    ) -> None:
        """Start the thread; it connects when the first job comes.

        Args:
            connect: returns a connection whose transactions lock what they write, within a bounded time.
            apply: does the jobs, in the order in which they were submitted, within the transaction that was begun, and
                returns a result for each. It is called in the thread. What it did is rolled back if it raises, and it
                may then be called again with some of the same jobs.
        """
        self._connect = connect
        self._apply = apply
        self._loop = asyncio.get_running_loop()
        self._gathered: list[tuple[Job, Pending[Result]]] = []
        self._several = False  # whether the last that were gathered were more than one
        self._waiting: queue.SimpleQueue[list[tuple[Job, Pending[Result]]] | None] = queue.SimpleQueue()
        self._closed = False
        self._connection: sa.Connection | None = None
        self._thread = threading.Thread(target=self._run, name="penstock-writer", daemon=True)
        self._thread.start()

    def submit(self, job: Job) -> Pending[Result]:
        """Return the result of a job: it is there when the job is committed.

        The job is done whether or not somebody still waits. The result is StoreUnavailableError, or what `apply` raised
        for this job alone, if the job is undone.
        """
        pending: Pending[Result] = Pending()
        if self._closed:
            pending.set_exception(StoreUnavailableError("closed"))
            return pending
        if not self._gathered:
            self._gather()
        self._gathered.append((job, pending))
        return pending

    def _gather(self) -> None:
        """Wake the thread soon, once for all jobs that come until then: it costs more than they do."""
        if self._several:
            self._loop.call_later(GATHERING, self._hand_over)
        else:
            self._loop.call_soon(self._hand_over)

    def _hand_over(self) -> None:
        gathered, self._gathered = self._gathered, []
        self._several = len(gathered) > 1
        if gathered:
            self._waiting.put(gathered)

    async def close(self) -> None:
        """Commit what waits, and end. Whatever is submitted from now on fails."""
        if not self._closed:
            self._closed = True
            self._hand_over()
            self._waiting.put(None)
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        closing = False
        while not closing:
            taken = [self._waiting.get()]
            with contextlib.suppress(queue.Empty):
                while True:
                    taken.append(self._waiting.get_nowait())
            closing = taken[-1] is None  # nothing comes after it
            entries = [entry for gathered in taken if gathered is not None for entry in gathered]
            for start in range(0, len(entries), MAX_JOBS):
                batch = entries[start : start + MAX_JOBS]
                self._commit([job for job, _ in batch], [pending for _, pending in batch])
        self._disconnect()

    def _commit(self, jobs: list[Job], waiting: list[Pending[Result]]) -> None:
        """Do jobs in one transaction; if one of them makes it fail, each in its own."""
        try:
            results = self._transact(jobs)
        except Exception as error:
            is_down = isinstance(error, SQLAlchemyError) and not _is_of_a_job(error)
            if is_down:
                self._disconnect()
            if is_down or len(jobs) == 1:
                self._tell(_fail, waiting, error)
            else:
                for job, pending in zip(jobs, waiting, strict=True):
                    self._commit([job], [pending])
        else:
            self._tell(_resolve, waiting, results)

    def _transact(self, jobs: list[Job]) -> Sequence[Result]:
        tries = 1
        while True:
            try:
                if self._connection is None:
                    self._connection = self._connect()
                with self._connection.begin():
                    results = self._apply(self._connection, jobs)
                    if len(results) != len(jobs):
                        raise ValueError(f"{len(results)} results for {len(jobs)} jobs")
            except DBAPIError as error:
                if tries == MAX_TRIES or getattr(error.orig, "sqlstate", None) not in _DEADLOCK:
                    raise
                tries += 1
            else:
                return results

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(SQLAlchemyError):
                connection.invalidate()
                connection.close()

    def _tell(self, how: Callable[..., None], waiting: list[Pending[Result]], outcome: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(how, waiting, outcome)


def _is_of_a_job(error: SQLAlchemyError) -> bool:
    """Whether the database works, and only refuses what it was told."""
    return isinstance(error, IntegrityError | DataError | ProgrammingError) and not error.connection_invalidated


def _resolve(waiting: list[Pending[Result]], results: Sequence[Result]) -> None:
    for pending, result in zip(waiting, results, strict=True):
        pending.set_result(result)


def _fail(waiting: list[Pending[Result]], error: Exception) -> None:
    for pending in waiting:
        pending.set_exception(_for_waiter(error))


def _for_waiter(error: Exception) -> Exception:
    """Return an exception of his own, for each that is raised grows a traceback."""
    return unavailable(error) if isinstance(error, SQLAlchemyError) else error
