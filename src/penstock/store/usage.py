"""What requests came to, asked of the view `requests`: sums in groups, and single requests page by page.

Times are Unix times in milliseconds, costs nano-dollars. Days are those of UTC.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import date
from typing import Any, Literal

import sqlalchemy as sa
from msgspec import Struct

from penstock.core.usage import COUNTERS, Usage
from penstock.store.database import Database
from penstock.store.schema import ATTEMPTS, BUDGETS, REQUESTS

Group = Literal["day", "key", "model", "provider"]

DAY_MS = 24 * 60 * 60 * 1000

_KEYS_AT_ONCE = 10_000
"""A statement bears some 30,000 parameters: SQLite's limit, and that of PostgreSQL's protocol."""

_EPOCH = date(1970, 1, 1).toordinal()
_COLUMNS: Mapping[Group, sa.ColumnElement[Any]] = {
    "day": (REQUESTS.c.created_ms // DAY_MS).label("day"),
    "key": REQUESTS.c.key,
    "model": REQUESTS.c.model,
    "provider": REQUESTS.c.provider,
}
_SUMS = ("requests", "unpriced", "estimated", "cost", *COUNTERS)


class Filter(Struct, frozen=True):
    """Which requests. What is None does not matter.

    Attributes:
        since: those that came at this time or later.
        until: those that came before this time.
        key: of the key with this id.
        owner: of keys with this id or name, for people who may see all of them.
        model: as the client asked for it.
        provider: of the last attempt.
        end: how it ended.
        id: of the request.
    """

    since: int | None = None
    until: int | None = None
    key: str | None = None
    owner: str | None = None
    model: str | None = None
    provider: str | None = None
    end: str | None = None
    id: str | None = None


class Totals(Struct, frozen=True):
    """What the requests of a group came to.

    Attributes:
        group: what they have in common, such as `{"key": "a1B2c3D4", "key_name": "team-a", "day": "2026-11-22"}`.
        requests: how many.
        ends: how many ended how, the most frequent first.
        estimated: how many have counts that are not all the provider's own; none that used nothing.
        unpriced: how many have no known price, or used something that has none; `cost` is of all that is known.
        cost: nano-dollars.
        tokens: counters that nobody gave are 0.
    """

    group: Mapping[str, str]
    requests: int
    ends: Mapping[str, int]
    estimated: int
    unpriced: int
    cost: int
    tokens: Usage


class Cursor(Struct, frozen=True):
    """Where a page of requests ended: its last request."""

    created_ms: int
    id: str


class Page(Struct, frozen=True):
    """Requests, the latest first, as rows of the view; `next` leads to those before them, None if there are none."""

    requests: Sequence[Mapping[str, Any]]
    next: Cursor | None


class BudgetPeriod(Struct, frozen=True):
    """A budget in one of its periods: the id of its key, its unit, and the name of the period."""

    key: str
    unit: str
    period: str


class Spending(Struct, frozen=True):
    """How much of a budget is gone, and how much is held for requests under way. In the unit of the budget."""

    spent: int = 0
    held: int = 0


class UsageStore:
    """Questions about the past; none writes. All raise StoreUnavailableError where the database is not there."""

    def __init__(self, database: Database) -> None:
        self._reading = database.reading

    async def totals(self, by: Sequence[Group], which: Filter) -> list[Totals]:
        """Return sums in groups: by day if they are grouped so, then the dearest first. Without `by` it is one."""
        columns = [_COLUMNS[name] for name in by]
        query = sa.select(*columns, REQUESTS.c.end, *_sums()).where(_matches(which))
        async with self._reading() as connection:
            rows = (await connection.execute(query.group_by(*columns, REQUESTS.c.end))).mappings().all()
        groups: dict[tuple[Any, ...], list[sa.RowMapping]] = {}
        for row in rows:
            groups.setdefault(tuple(row[name] for name in by), []).append(row)
        return sorted((_total(by, members) for members in groups.values()), key=_place)

    async def page(self, which: Filter, limit: int, before: Cursor | None = None) -> Page:
        """Return single requests, the latest first; with `before`, those that come after that one in this order."""
        place = sa.tuple_(REQUESTS.c.created_ms, REQUESTS.c.id)
        query = sa.select(REQUESTS).where(_matches(which))
        if before is not None:
            query = query.where(place < sa.tuple_(sa.literal(before.created_ms), sa.literal(before.id)))
        query = query.order_by(REQUESTS.c.created_ms.desc(), REQUESTS.c.id.desc()).limit(limit + 1)
        async with self._reading() as connection:
            rows = [dict(row) for row in (await connection.execute(query)).mappings()]
        shown = rows[:limit]
        more = len(rows) > limit
        return Page(shown, Cursor(shown[-1]["created_ms"], shown[-1]["id"]) if more else None)

    async def attempts(self, request: str) -> list[Mapping[str, Any]]:
        """Return the attempts of a request by its id, also of one under way, as rows of the ledger; the first first."""
        query = sa.select(ATTEMPTS).where(ATTEMPTS.c.request == request).order_by(ATTEMPTS.c.number)
        async with self._reading() as connection:
            return [dict(row) for row in (await connection.execute(query)).mappings()]

    async def spending(self, which: Collection[BudgetPeriod]) -> dict[BudgetPeriod, Spending]:
        """Return the state of budgets: one query for all. None is made where there are none."""
        table = BUDGETS.c
        keys = sorted({one.key for one in which})
        periods = {one.period for one in which}
        found: dict[BudgetPeriod, Spending] = {}
        for first in range(0, len(keys), _KEYS_AT_ONCE):
            some = table.key.in_(keys[first : first + _KEYS_AT_ONCE])
            async with self._reading() as connection:
                rows = (await connection.execute(sa.select(BUDGETS).where(some, table.period.in_(periods)))).all()
            found |= {BudgetPeriod(row.key, row.unit, row.period): Spending(row.spent, row.held) for row in rows}
        return {one: found.get(one, Spending()) for one in which}


def _sums() -> tuple[sa.ColumnElement[Any], ...]:
    table = REQUESTS.c
    priced = sa.and_(table.cost.is_not(None), table.unpriced.is_(None))
    nothing = sa.and_(*(sa.func.coalesce(table[name], 0) == 0 for name in ("uncached", "cache_read", "output")))
    counted = sa.or_(table.usage_source == "provider", nothing)  # of what was refused there is nothing to count
    return (
        sa.func.max(table.key_name).label("key_name"),  # it may have changed in between
        sa.func.count().label("requests"),
        sa.func.sum(sa.case((priced, 0), else_=1)).label("unpriced"),
        sa.func.sum(sa.case((counted, 0), else_=1)).label("estimated"),
        *(sa.func.coalesce(sa.func.sum(table[name]), 0).label(name) for name in ("cost", *COUNTERS)),
    )


def _matches(which: Filter) -> sa.ColumnElement[bool]:
    table = REQUESTS.c
    conditions: list[sa.ColumnElement[bool]] = [sa.true()]
    if which.since is not None:
        conditions.append(table.created_ms >= which.since)
    if which.until is not None:
        conditions.append(table.created_ms < which.until)
    if which.owner is not None:
        conditions.append(sa.or_(table.key == which.owner, table.key_name == which.owner))
    exact = {"key": which.key, "model": which.model, "provider": which.provider, "end": which.end, "id": which.id}
    return sa.and_(*conditions, *(table[name] == value for name, value in exact.items() if value is not None))


def _total(by: Sequence[Group], rows: Sequence[sa.RowMapping]) -> Totals:
    """Return what a group came to; each of its rows is one kind of end."""
    sums = {name: sum(int(row[name]) for row in rows) for name in _SUMS}  # PostgreSQL's are decimals
    counters: dict[str, Any] = {name: sums[name] for name in COUNTERS}
    ends = sorted(((row["end"], int(row["requests"])) for row in rows), key=lambda end: (-end[1], end[0]))
    return Totals(
        group=_group(by, rows),
        requests=sums["requests"],
        ends=dict(ends),
        estimated=sums["estimated"],
        unpriced=sums["unpriced"],
        cost=sums["cost"],
        tokens=Usage(**counters, estimated=sums["estimated"] > 0),
    )


def _group(by: Sequence[Group], rows: Sequence[sa.RowMapping]) -> dict[str, str]:
    group: dict[str, str] = {}
    for name in by:
        value = rows[0][name]
        group[name] = date.fromordinal(_EPOCH + value).isoformat() if name == "day" else value
        if name == "key":
            group["key_name"] = max(row["key_name"] for row in rows)
    return group


def _place(total: Totals) -> tuple[Any, ...]:
    return total.group.get("day", ""), -total.cost, -total.requests, *total.group.values()
