"""The statements of the ledger, compiled once: to compose them for each request would cost more than to execute them.

Parameters have names. One that begins with `of_` tells which row; others are columns or amounts. Statements that every
request needs take the tuples of store/ledger_rows.py; the others are given their parameters by name.
"""

import functools
from collections.abc import Callable
from operator import itemgetter
from typing import Any

import sqlalchemy as sa

from penstock.store.dialect import by_place, insert
from penstock.store.ledger_rows import AttemptRow, NotedRow, OpenedRow, SettledRow, columns_of
from penstock.store.schema import ATTEMPTS, BUDGETS, RATES

Row = dict[str, Any]
"""Parameters by name."""


class Statement:
    """SQL text, and what puts parameters that are given by name into their places."""

    __slots__ = ("arrange", "text")

    def __init__(self, statement: sa.ClauseElement, dialect: sa.Dialect) -> None:
        self.text, places = by_place(statement, dialect)
        self.arrange: Callable[[Row], Any] = itemgetter(*places)


class Statements:
    """The statements in one dialect.

    Attributes:
        open: makes an attempt, from an OpenedRow. This and the next three are texts.
        note: notes what was seen of an open attempt, from a NotedRow.
        settle: settles an open attempt, from a SettledRow.
        settle_and_tell: the same, and returns what it holds; no row if it is not open.
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

        settled = _open_attempt().values(_given(SettledRow))
        self.open = _text(sa.insert(ATTEMPTS).values(_given(OpenedRow)), dialect, OpenedRow)
        self.note = _text(_open_attempt().values(_given(NotedRow)), dialect, NotedRow)
        self.settle = _text(settled, dialect, SettledRow)
        self.settle_and_tell = _text(settled.returning(ATTEMPTS.c.hold), dialect, SettledRow)
        self.extend = made(_open_attempt().values(hold=ATTEMPTS.c.hold + _amount("amount")))
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


@functools.cache
def statements_in(dialect: type[sa.Dialect]) -> Statements:
    """Return the statements in a dialect, compiled once however many ledgers a process opens."""
    return Statements(dialect())


def _given(row: type[AttemptRow]) -> dict[str, Any]:
    return {name: sa.bindparam(name, type_=ATTEMPTS.c[name].type) for name in columns_of(row)}


def _text(statement: sa.ClauseElement, dialect: sa.Dialect, row: type[AttemptRow]) -> str:
    text, places = by_place(statement, dialect)
    if places != row._fields:
        raise TypeError(f"{row.__name__} has other fields than {text}")
    return text


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
