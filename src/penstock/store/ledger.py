"""The ledger's tables: what is opened, noted and settled, many jobs in one transaction.

A job that concerns neither a budget nor a limit is a row of an `executemany`. The others are done one by one, for each
must know whether its condition held. They are sorted by key, and those of a key so that its rates are locked before
its budget: two processes that wait for each other in PostgreSQL would be found out only after a second.

What is settled is settled by `WHERE state = 'open'`, and gives back what it held only if that found it open. So a job
may be done again when nobody knows whether it was committed.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import sqlalchemy as sa
from msgspec import Struct

from penstock.store.database import Database
from penstock.store.dialect import execute_plain
from penstock.store.group_commit import GroupCommit
from penstock.store.ledger_rows import NotedRow, OpenedRow, SettledRow
from penstock.store.ledger_sql import Row, Statement, Statements, statements_in
from penstock.store.schema import ATTEMPTS

Limit = Literal["streams", "requests", "tokens", "budget"]


class RateClaim(Struct, frozen=True):
    """What a request adds to a rate. `charge` and `latest`, in microseconds, are told in accounts/rates.py."""

    kind: Literal["requests", "tokens"]
    charge: int
    latest: int


class Hold(Struct, frozen=True):
    """What an attempt holds of a budget: `amount`, if the budget's `cap` allows it; both in its unit."""

    unit: str
    period: str
    amount: int
    cap: int


class Claims(Struct, frozen=True):
    """What must be had first. `streams` is how many the key may have at once; `now` is in microseconds."""

    key: str
    now: int
    streams: int | None
    rates: tuple[RateClaim, ...]
    hold: Hold | None


class Refusal(Struct, frozen=True):
    """What was not had, and for rates the theoretical arrival time that was found, in microseconds."""

    limit: Limit
    arrival: int = 0


class Return(Struct, frozen=True):
    """What a request gives back of the slots and rates that many machines hold in common.

    `tokens` are microseconds by which the key's rate of tokens is put right; None: nothing came of the request, and all
    that it was charged is given back.
    """

    request: str
    key: str
    tokens: int | None


class Opening(Struct, frozen=True):
    """Make an attempt, if all that it claims can be had. The result is None or a Refusal.

    Without a row there is none to make: a request calls no provider, and claims something all the same.
    """

    row: OpenedRow | None
    claims: Claims | None


class Release(Struct, frozen=True):
    """What an attempt gives back, beside what it holds: `used` in the unit of the budget, `tokens` in microseconds."""

    key: str
    unit: str | None
    period: str | None
    used: int
    slot: bool
    tokens: int


class Settlement(Struct, frozen=True):
    """Settle the last attempt of a request. The result is whether it was open; None if nobody asked."""

    row: SettledRow
    release: Release | None


class Retrial(Struct, frozen=True):
    """Settle an attempt and make the next, or neither if the budget does not allow it.

    The slot is kept. The result is None, a Refusal, or `lost` if the attempt was not open.
    """

    ended: SettledRow
    opened: OpenedRow
    key: str
    used: int
    hold: Hold | None


class Extension(Struct, frozen=True):
    """Hold more of a budget. The result is whether it could be had."""

    request: str
    number: int
    key: str
    hold: Hold


class Noting(Struct, frozen=True):
    """Note the progress of attempts."""

    rows: Sequence[NotedRow]


class Recovery(Struct, frozen=True):
    """Settle what others left open. The result says of each whether it still was."""

    settlements: Sequence[Settlement]


Job = Opening | Settlement | Retrial | Extension | Noting | Recovery


class LedgerStore:
    """The tables. It belongs to the event loop that runs when it is made."""

    def __init__(self, database: Database) -> None:
        self._reading = database.reading
        self._statements = statements_in(type(database.dialect))
        self._writer: GroupCommit[Job, Any] = GroupCommit(database.connect, self._apply)
        self.submit = self._writer.submit

    async def close(self) -> None:
        """Commit what was submitted."""
        await self._writer.close()

    async def open_attempts(self, processes: Sequence[str], limit: int) -> list[Row]:
        """Return rows of attempts that these processes have open; those of a request follow each other."""
        # The text of the condition is what makes the partial index fit.
        still_open = sa.and_(ATTEMPTS.c.process.in_(processes), sa.text("state = 'open'"))
        query = sa.select(ATTEMPTS).where(still_open).order_by(ATTEMPTS.c.request, ATTEMPTS.c.number).limit(limit)
        async with self._reading() as connection:
            return [dict(row) for row in (await connection.execute(query)).mappings()]

    def _apply(self, connection: sa.Connection, jobs: list[Job]) -> list[Any]:
        batch = _Batch(connection, self._statements)
        results: list[Any] = [None] * len(jobs)
        alone = [place for place, job in enumerate(jobs) if not batch.take(job)]
        for place in sorted(alone, key=lambda place: _turn(jobs[place])):
            results[place] = batch.do(jobs[place])
        batch.execute_rows()
        return results


def _turn(job: Job) -> tuple[str, int]:
    match job:
        case Opening(claims=Claims() as claims):
            return claims.key, 0
        case Settlement(release=Release() as release):
            return release.key, 1
        case Retrial() | Extension():
            return job.key, 2
        case _:
            return "", 0


class _Batch:
    """Jobs of one transaction."""

    def __init__(self, connection: sa.Connection, statements: Statements) -> None:
        self._connection = connection
        self._sql = statements
        self._opened: list[OpenedRow] = []
        self._noted: list[NotedRow] = []
        self._settled: list[SettledRow] = []

    def take(self, job: Job) -> bool:
        """Take a job that is a row and nothing more, and has no result; return whether it is one."""
        match job:
            case Opening(row=OpenedRow() as row, claims=None):
                self._opened.append(row)
            case Settlement(release=None):
                self._settled.append(job.row)
            case _:
                return False
        return True

    def do(self, job: Job) -> Any:
        """Do another job; return its result."""
        match job:
            case Opening():
                return self._open(job)
            case Settlement():
                return self._settle(job)
            case Retrial():
                return self._retry(job)
            case Extension():
                return self._extend(job)
            case Noting():
                self._noted.extend(job.rows)
            case Recovery():
                return [self._settle(settlement) for settlement in job.settlements]
        return None

    def execute_rows(self) -> None:
        """Do what can be done for many at once."""
        for text, rows in (
            (self._sql.open, self._opened),
            (self._sql.note, self._noted),
            (self._sql.settle, self._settled),
        ):
            if rows:
                # SQLite's driver takes what is a tuple and nothing more at half the cost of what is also a row of ours.
                execute_plain(self._connection, text, list(map(tuple, rows)))

    def _open(self, job: Opening) -> Refusal | None:
        if job.claims is not None and (refusal := self._claim(job.claims)) is not None:
            return refusal
        if job.row is not None:
            self._opened.append(job.row)
        return None

    def _claim(self, claims: Claims) -> Refusal | None:
        """Take all that is claimed, or nothing."""
        several = (claims.streams is not None) + len(claims.rates) + (claims.hold is not None) > 1
        if several:
            self._connection.exec_driver_sql("SAVEPOINT claims")
        refusal = next((refused for refused in self._refusals(claims) if refused is not None), None)
        if several and refusal is not None:
            self._connection.exec_driver_sql("ROLLBACK TO SAVEPOINT claims")
        if several:
            self._connection.exec_driver_sql("RELEASE SAVEPOINT claims")
        return refusal

    def _refusals(self, claims: Claims) -> Iterable[Refusal | None]:
        if claims.streams is not None:
            yield self._take_slot(claims.key, claims.streams)
        for claim in claims.rates:
            yield self._arrive(claims.key, claim, claims.now)
        if claims.hold is not None:
            yield self._hold(claims.key, claims.hold)

    def _take_slot(self, key: str, cap: int) -> Refusal | None:
        taken = cap > 0 and self._changed(self._sql.take_slot, {"of_key": key, "of_kind": "streams", "cap": cap})
        return None if taken else Refusal("streams")

    def _arrive(self, key: str, claim: RateClaim, now: int) -> Refusal | None:
        which = {"of_key": key, "of_kind": claim.kind}
        row = {**which, "now": now, "charge": claim.charge, "latest": claim.latest}
        if self._changed(self._sql.arrive, row):
            return None
        return Refusal(claim.kind, self._execute(self._sql.arrival, which).scalar_one())

    def _hold(self, key: str, hold: Hold) -> Refusal | None:
        row = {**_budget(key, hold.unit, hold.period), "amount": hold.amount, "cap": hold.cap}
        held = hold.amount <= hold.cap and self._changed(self._sql.hold, row)
        return None if held else Refusal("budget")

    def _settle(self, job: Settlement) -> bool:
        held = self._settle_and_tell(job.row)
        if held is not None and job.release is not None:
            self._release(job.release, held)
        return held is not None

    def _settle_and_tell(self, row: SettledRow) -> int | None:
        """Return what the attempt held; None if it was not open."""
        return self._connection.exec_driver_sql(self._sql.settle_and_tell, row).scalar_one_or_none()

    def _release(self, release: Release, held: int) -> None:
        if release.slot:
            self._adjust(release.key, "streams", -1)
        if release.tokens:
            self._adjust(release.key, "tokens", release.tokens)
        if release.unit is not None and release.period is not None:
            row = _budget(release.key, release.unit, release.period)
            self._execute(self._sql.release, {**row, "used": release.used, "held": held})

    def _adjust(self, key: str, kind: str, amount: int) -> None:
        self._execute(self._sql.adjust, {"of_key": key, "of_kind": kind, "amount": amount})

    def _retry(self, job: Retrial) -> Refusal | Literal["lost"] | None:
        self._connection.exec_driver_sql("SAVEPOINT retrial")
        outcome = self._settle_and_hold(job)
        if outcome is None:
            self._opened.append(job.opened)
        else:
            self._connection.exec_driver_sql("ROLLBACK TO SAVEPOINT retrial")
        self._connection.exec_driver_sql("RELEASE SAVEPOINT retrial")
        return outcome

    def _settle_and_hold(self, job: Retrial) -> Refusal | Literal["lost"] | None:
        held = self._settle_and_tell(job.ended)
        if held is None:
            return "lost"
        if job.hold is None:
            return None
        hold = job.hold
        row = _budget(job.key, hold.unit, hold.period)
        row |= {"used": job.used, "held": held, "amount": hold.amount, "cap": hold.cap}
        return None if self._changed(self._sql.hold_again, row) else Refusal("budget")

    def _extend(self, job: Extension) -> bool:
        hold = job.hold
        budget = _budget(job.key, hold.unit, hold.period)
        if not self._changed(self._sql.hold, {**budget, "amount": hold.amount, "cap": hold.cap}):
            return False
        attempt = {"of_request": job.request, "of_number": job.number, "amount": hold.amount}
        if self._changed(self._sql.extend, attempt):
            return True
        self._execute(self._sql.release, {**budget, "used": 0, "held": hold.amount})
        return False

    def _execute(self, statement: Statement, row: Row) -> sa.CursorResult[Any]:
        return self._connection.exec_driver_sql(statement.text, statement.arrange(row))

    def _changed(self, statement: Statement, row: Row) -> bool:
        return self._execute(statement, row).rowcount == 1


def _budget(key: str, unit: str, period: str) -> Row:
    return {"of_key": key, "of_unit": unit, "of_period": period}
