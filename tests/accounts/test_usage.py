"""What is told of past requests, and what a key is told of its own."""

from collections.abc import Collection, Sequence

import msgspec
import pytest

from penstock.accounts.budgets import resets_at
from penstock.accounts.keys import Budget, Key, Limits
from penstock.accounts.usage import csv_table, own_usage, period, record
from penstock.core.errors import ClientFault, Fault
from penstock.core.usage import Usage
from penstock.store.errors import StoreUnavailableError
from penstock.store.usage import BudgetPeriod, Filter, Group, Spending, Totals

NOW = 1795348800 + 60.5  # 2026-11-22T12:01:00.5Z
MIDNIGHT = 1795305600
DAY = 24 * 60 * 60
KEY = Key("k1", "team-a")


class FixedStore:
    """Answers each question with what it was given, and notes who was asked about."""

    def __init__(self, *totals: Totals, spending: Spending | None = None) -> None:
        self._totals = totals
        self._spending = spending or Spending()
        self.asked: list[Filter] = []
        self.budgets: list[BudgetPeriod] = []

    async def totals(self, by: Sequence[Group], which: Filter) -> list[Totals]:
        self.asked.append(which)
        return list(self._totals)

    async def spending(self, which: Collection[BudgetPeriod]) -> dict[BudgetPeriod, Spending]:
        self.budgets = list(which)
        return dict.fromkeys(which, self._spending)


TOTAL = Totals(
    group={"day": "2026-11-22", "model": "fast"},
    requests=3,
    ends={"completed": 2, "failed": 1},
    estimated=1,
    unpriced=0,
    cost=1_234_500_000,
    tokens=Usage(100, 50, 7, 3, 40, 4),
)


def test_a_record_tells_each_kind_of_token_and_the_cost_in_exact_dollars():
    assert record(TOTAL) == {
        "day": "2026-11-22", "model": "fast", "requests": 3, "ends": {"completed": 2, "failed": 1},
        "input_tokens": 160, "uncached_tokens": 100, "cache_read_tokens": 50, "cache_write_tokens": 7,
        "cache_write_1h_tokens": 3, "output_tokens": 40, "reasoning_tokens": 4, "input_audio_tokens": 0,
        "input_image_tokens": 0, "cached_audio_tokens": 0, "output_audio_tokens": 0, "output_image_tokens": 0,
        "web_searches": 0, "cost_usd": "1.2345",
        "unpriced_requests": 0, "estimated_requests": 1,
    }  # fmt: skip


def test_no_cell_of_csv_is_a_formula_to_a_spreadsheet():
    for name in ("=1+1", "+1", "-1", "@SUM(A1)"):
        total = msgspec.structs.replace(TOTAL, group={"key": "k1", "key_name": name})
        assert f"\nk1,'{name},3," in csv_table(("key",), [total])


@pytest.mark.parametrize(
    ("since", "until", "expected"),
    [
        (None, None, (MIDNIGHT - 29 * DAY, None)),
        ("2026-11-22", None, (MIDNIGHT, None)),
        ("2026-11-21", "2026-11-21", (MIDNIGHT - DAY, MIDNIGHT)),
        ("2026-11-22T01:00", "2026-11-22T04:00+01:00", (MIDNIGHT + 3600, MIDNIGHT + 3 * 3600)),
    ],
)
def test_a_period_is_days_or_times(since: str | None, until: str | None, expected: tuple[int, int | None]):
    first, last = period(since, until, NOW)
    assert (first, last) == (expected[0] * 1000, None if expected[1] is None else expected[1] * 1000)


@pytest.mark.parametrize(
    ("since", "until", "param"),
    [
        ("yesterday", None, "from"),
        ("0001-01-01T00:00+23:59", None, "from"),
        (None, "2026-13-01", "to"),
        (None, "9999-12-31", "to"),
        (None, "9999-12-31T23:59-23:59", "to"),
        ("2026-11-22", "2026-11-21", "to"),
        (None, "2020-01-01", "to"),
    ],
)
def test_what_is_no_time_or_no_period_is_refused(since: str | None, until: str | None, param: str):
    with pytest.raises(ClientFault) as caught:
        period(since, until, NOW)
    assert caught.value.info.param == param


@pytest.mark.anyio
async def test_a_key_is_told_of_itself_alone():
    store = FixedStore(TOTAL)
    told = await own_usage(store, KEY, {"model": "fast", "key": "k2"}, NOW)
    assert {which.key for which in store.asked} == {"k1"}
    assert {which.model for which in store.asked} == {"fast"}
    assert (told["key"], told["data"]) == ({"id": "k1", "name": "team-a", "expires": None}, [record(TOTAL)])
    assert (told["from"], told["to"]) == ("2026-10-24T00:00:00Z", "2026-11-22T12:01:00Z")


@pytest.mark.anyio
async def test_a_key_is_told_when_it_expires():
    told = await own_usage(FixedStore(TOTAL), msgspec.structs.replace(KEY, expires=1_798_675_200), {}, NOW)
    assert told["key"]["expires"] == "2026-12-31T00:00:00Z"


class BrokenStore(FixedStore):
    """Cannot reach its database."""

    async def totals(self, by: Sequence[Group], which: Filter) -> list[Totals]:
        raise StoreUnavailableError("connection refused: db-7.internal")


@pytest.mark.anyio
async def test_where_the_database_is_not_there_a_client_may_try_again_and_learns_nothing_of_it():
    with pytest.raises(Fault) as caught:
        await own_usage(BrokenStore(), KEY, {}, NOW)
    assert (caught.value.info.kind, caught.value.info.retry_after) == ("overloaded", 1.0)
    assert "db-7" not in caught.value.info.message


@pytest.mark.anyio
async def test_a_key_without_requests_used_nothing():
    told = await own_usage(FixedStore(), KEY, {}, NOW)
    assert (told["total"]["requests"], told["total"]["cost_usd"], told["data"]) == (0, "0.00", [])
    assert told["budget"] is None
    assert told["limits"] == {"requests_per_minute": None, "tokens_per_minute": None, "streams": None}


@pytest.mark.anyio
async def test_a_key_is_told_its_budget_and_its_limits():
    key = Key("k1", "team-a", limits=Limits(60, None, 4), budget=Budget(20 * 10**9, "usd", "month"))
    store = FixedStore(spending=Spending(5_500_000_000, 10**9))
    told = await own_usage(store, key, {}, NOW)
    assert store.budgets == [BudgetPeriod("k1", "usd", "2026-11")]
    assert told["budget"] == {
        "unit": "usd", "period": "month", "limit": "20.00", "spent": "5.50", "held": "1.00", "left": "13.50",
        "resets_at": "2026-12-01T00:00:00Z",
    }  # fmt: skip
    assert told["limits"] == {"requests_per_minute": 60, "tokens_per_minute": None, "streams": 4}


@pytest.mark.anyio
async def test_a_budget_of_tokens_is_told_in_tokens():
    key = Key("k1", "team-a", budget=Budget(1000, "tokens", "total"))
    told = await own_usage(FixedStore(spending=Spending(1100, 0)), key, {}, NOW)
    assert told["budget"] == {
        "unit": "tokens", "period": "total", "limit": 1000, "spent": 1100, "held": 0, "left": 0, "resets_at": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("now", "day", "month"),
    [(NOW, "2026-11-23", "2026-12-01"), (1798718400, "2027-01-01", "2027-01-01"), (1801353600, "2027-02-01", "2027-02-01")],
)  # fmt: skip
def test_a_budget_resets_at_midnight_utc(now: float, day: str, month: str):
    for unit, expected in (("day", day), ("month", month)):
        then = resets_at(Budget(1, "usd", unit), int(now * 1000))
        assert then is not None
        assert then.isoformat() == f"{expected}T00:00:00+00:00"
