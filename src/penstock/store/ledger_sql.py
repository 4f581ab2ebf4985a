"""The statements of the ledger, compiled once: to compose them for each request would cost more than to execute them.

Parameters are given by name. One that begins with `of_` tells which row; others are columns or amounts.
"""

from collections.abc import Callable
from operator import itemgetter
from typing import Any

import sqlalchemy as sa

from penstock.store.dialect import insert
from penstock.store.schema import ATTEMPTS, BUDGETS, RATES, REQUESTS

Row = dict[str, Any]
"""Parameters by name."""

COUNTERS = ("uncached", "cache_read", "cache_write", "cache_write_1h", "output", "reasoning")
"""The columns of core.usage.Usage."""

_OPENED = (
    *("request", "number", "process", "state", "key", "key_name", "model", "provider", "upstream_model"),
    *("client_protocol", "upstream_protocol", "stream", "created_ms", "started_ms", "input_estimate"),
    *("hold", "budget_unit", "budget_period", "slot", "price", "price_version"),
)

_CAME_TO = ("end", "error", *COUNTERS, "usage_source", "cost", "first_output_ms", "duration_ms")


class Statement:
    """SQL text, and how its driver wants the parameters: SQLite's takes a row half as fast by name as by place."""

    __slots__ = ("arrange", "text")

    def __init__(self, statement: sa.ClauseElement, dialect: sa.Dialect) -> None:
        compiled = statement.compile(dialect=dialect)
        places: list[str] | None = getattr(compiled, "positiontup", None)
        self.text = str(compiled)
        self.arrange: Callable[[Row], Any] = itemgetter(*places) if places else _as_it_is


def _as_it_is(row: Row) -> Row:
    return row


class Statements:
    """The statements in one dialect.

    Attributes:
        open: makes an attempt.
        progress: notes what was seen of an open attempt.
        settle: settles an open attempt, and returns what it holds; no row if it is not open.
        settle_many: the same for many at once, without saying whether they were open.
        record: writes the row of a request, unless it is there.
        arrive: adds `charge` to a rate if it is at most `latest`; else changes no row.
        take_slot: adds 1 to a key's streams if they are fewer than `cap`; else changes no row.
        adjust: adds `amount`, which may be negative, to a rate or to a key's streams.
        arrival: returns the value of a rate.
        hold: holds `amount` of a budget if `cap` allows it; else changes no row.
        hold_again: the same for the next attempt, with what the one before it `held` and has `used`.
        release: gives back what was `held`, and adds to what is spent what was `used`.
        extend: adds `amount` to the hold of an open attempt.
    """

    def __init__(self, dialect: sa.Dialect) -> None:
        def made(statement: sa.ClauseElement) -> Statement:
            return Statement(statement, dialect)

        self.open = made(sa.insert(ATTEMPTS).values(_given(ATTEMPTS, _OPENED)))
        counted = _given(ATTEMPTS, ("progressed_ms", *COUNTERS))
        self.progress = made(_open_attempt().values(counted))
        settled = _open_attempt().values({**_given(ATTEMPTS, _CAME_TO), "state": sa.literal_column("'settled'")})
        self.settle_many = made(settled)
        self.settle = made(settled.returning(ATTEMPTS.c.hold))
        self.extend = made(_open_attempt().values(hold=ATTEMPTS.c.hold + _amount("amount")))
        columns = tuple(column.name for column in REQUESTS.columns)
        self.record = made(insert(REQUESTS, dialect).values(_given(REQUESTS, columns)).on_conflict_do_nothing())

        self.arrive = made(_arrive(dialect))
        self.take_slot = made(_take_slot(dialect))
        self.adjust = made(sa.update(RATES).where(_is_rate()).values(value=RATES.c.value + _amount("amount")))
        self.arrival = made(sa.select(RATES.c.value).where(_is_rate()))

        self.hold = made(_hold(dialect))
        self.hold_again = made(_hold_again())
        used = BUDGETS.c.spent + _amount("used")
        self.release = made(
            sa.update(BUDGETS).where(_is_budget()).values(spent=used, held=BUDGETS.c.held - _amount("held"))
        )


def _given(table: sa.Table, columns: tuple[str, ...]) -> dict[str, Any]:
    return {name: sa.bindparam(name, type_=table.c[name].type) for name in columns}


def _amount(name: str) -> sa.BindParameter[int]:
    return sa.bindparam(name, type_=sa.BigInteger)


def _name(name: str) -> sa.BindParameter[str]:
    return sa.bindparam(name, type_=sa.Text)


def _open_attempt() -> sa.Update:
    number = sa.bindparam("of_number", type_=sa.Integer)
    return sa.update(ATTEMPTS).where(
        ATTEMPTS.c.request == _name("of_request"),
        ATTEMPTS.c.number == number,
        ATTEMPTS.c.state == sa.literal_column("'open'"),
    )


def _is_rate() -> sa.ColumnElement[bool]:
    return sa.and_(RATES.c.key == _name("of_key"), RATES.c.kind == _name("of_kind"))


def _is_budget() -> sa.ColumnElement[bool]:
    return sa.and_(
        BUDGETS.c.key == _name("of_key"),
        BUDGETS.c.unit == _name("of_unit"),
        BUDGETS.c.period == _name("of_period"),
    )


def _arrive(dialect: sa.Dialect) -> sa.ClauseElement:
    """GCRA, as accounts/rates.py tells it."""
    now = _amount("now")
    first = {"key": _name("of_key"), "kind": _name("of_kind"), "value": now + _amount("charge")}
    begun = sa.case((RATES.c.value > now, RATES.c.value), else_=now)
    return (
        insert(RATES, dialect)
        .values(first)
        .on_conflict_do_update(
            index_elements=["key", "kind"],
            set_={"value": begun + _amount("charge")},
            where=RATES.c.value <= _amount("latest"),
        )
    )


def _take_slot(dialect: sa.Dialect) -> sa.ClauseElement:
    first = {"key": _name("of_key"), "kind": _name("of_kind"), "value": sa.literal_column("1")}
    return (
        insert(RATES, dialect)
        .values(first)
        .on_conflict_do_update(
            index_elements=["key", "kind"],
            set_={"value": RATES.c.value + sa.literal_column("1")},
            where=RATES.c.value < _amount("cap"),
        )
    )


def _hold(dialect: sa.Dialect) -> sa.ClauseElement:
    """The row is made by the first who holds something; that this is no more than the cap is for him to see to."""
    amount = _amount("amount")
    first = {
        "key": _name("of_key"),
        "unit": _name("of_unit"),
        "period": _name("of_period"),
        "spent": sa.literal_column("0"),
        "held": amount,
    }
    return (
        insert(BUDGETS, dialect)
        .values(first)
        .on_conflict_do_update(
            index_elements=["key", "unit", "period"],
            set_={"held": BUDGETS.c.held + amount},
            where=BUDGETS.c.spent + BUDGETS.c.held + amount <= _amount("cap"),
        )
    )


def _hold_again() -> sa.ClauseElement:
    spent = BUDGETS.c.spent + _amount("used")
    held = BUDGETS.c.held - _amount("held") + _amount("amount")
    return sa.update(BUDGETS).where(_is_budget(), spent + held <= _amount("cap")).values(spent=spent, held=held)
