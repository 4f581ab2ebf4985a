"""Questions about past requests, against rows written by hand, on both databases."""

from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from penstock.core.usage import Usage
from penstock.store.database import Database
from penstock.store.schema import BUDGETS
from penstock.store.usage import BudgetPeriod, Cursor, Filter, Page, Spending, UsageStore
from tests.store.rows import write_requests

pytestmark = pytest.mark.anyio

DAY = 24 * 60 * 60 * 1000
NOV_21 = 1795219200000
NOV_22 = NOV_21 + DAY


def row(id_: str, created_ms: int, **values: Any) -> dict[str, Any]:
    return {
        "id": id_, "key": "k1", "key_name": "team-a", "model": "fast", "provider": "openai",
        "upstream_model": "gpt-5.4-mini", "upstream_protocol": "openai-responses", "client_protocol": "openai-chat",
        "stream": True, "created_ms": created_ms, "attempts": 1, "end": "completed", "error": None,
        "uncached": 100, "cache_read": None, "cache_write": None, "cache_write_1h": None, "output": 10,
        "reasoning": None, "input_audio": None, "input_image": None, "cached_audio": None, "output_audio": None,
        "output_image": None, "web_searches": None, "service_tier": None, "unpriced": None, "usage_source": "provider", "cost": 1000, "first_output_ms": 5, "duration_ms": 50,
        "gap_median_ms": None, "gap_longest_ms": None,
    } | values  # fmt: skip


REFUSED = {"uncached": 0, "output": 0, "usage_source": "estimate"}

ROWS = [
    row("r1", NOV_21, cache_read=50, cache_write=7, cache_write_1h=3, reasoning=4),
    row("r2", NOV_22 - 1, end="client_gone", usage_source="partial", cost=500),
    row("r3", NOV_22, model="lab/tiny", provider="lab", cost=None),
    row("r4", NOV_22 + 5, key="k2", key_name="team-b", end="failed", cost=0, **REFUSED),
    row("r5", NOV_22 + 5, key="k2", key_name="team-b", cost=7000),
]


@pytest.fixture
async def store(database: Database) -> UsageStore:
    await write_requests(database, ROWS)
    return UsageStore(database)


async def test_without_groups_everything_is_one_sum(store: UsageStore):
    (total,) = await store.totals((), Filter())
    assert total.group == {}
    assert (total.requests, total.cost, total.unpriced, total.estimated) == (5, 8500, 1, 1)
    assert total.ends == {"completed": 3, "client_gone": 1, "failed": 1}
    assert total.tokens == Usage(400, 50, 7, 3, 40, 4, 0, 0, 0, 0, 0, 0, estimated=True)


async def test_days_are_those_of_utc_and_come_in_order(store: UsageStore):
    totals = await store.totals(("day",), Filter())
    assert [(total.group["day"], total.requests, total.cost) for total in totals] == [
        ("2026-11-21", 2, 1500),
        ("2026-11-22", 3, 7000),
    ]


async def test_a_group_of_keys_says_their_names_and_begins_with_the_dearest(store: UsageStore):
    totals = await store.totals(("key",), Filter())
    assert [(total.group, total.cost) for total in totals] == [
        ({"key": "k2", "key_name": "team-b"}, 7000),
        ({"key": "k1", "key_name": "team-a"}, 1500),
    ]


async def test_a_key_that_was_renamed_is_still_one(store: UsageStore, database: Database):
    await write_requests(database, [row("r6", NOV_22, key_name="team-z", end="timed_out")])
    totals = await store.totals(("key",), Filter(key="k1"))
    assert [(total.group["key_name"], total.requests) for total in totals] == [("team-z", 4)]


async def test_groups_combine_as_asked(store: UsageStore):
    totals = await store.totals(("day", "model", "provider"), Filter())
    assert [(*total.group.values(), total.requests) for total in totals] == [
        ("2026-11-21", "fast", "openai", 2),
        ("2026-11-22", "fast", "openai", 2),
        ("2026-11-22", "lab/tiny", "lab", 1),
    ]


@pytest.mark.parametrize(
    ("which", "requests"),
    [
        (Filter(since=NOV_22), 3),
        (Filter(until=NOV_22), 2),
        (Filter(since=NOV_22 - 1, until=NOV_22), 1),
        (Filter(key="k2"), 2),
        (Filter(owner="k2"), 2),
        (Filter(owner="team-b"), 2),
        (Filter(model="lab/tiny"), 1),
        (Filter(provider="openai"), 4),
        (Filter(end="failed"), 1),
        (Filter(key="k1", end="completed", since=NOV_22), 1),
    ],
)
async def test_a_filter_leaves_out_what_does_not_match(store: UsageStore, which: Filter, requests: int):
    (total,) = await store.totals((), which)
    assert total.requests == requests
    assert len((await store.page(which, 10)).requests) == requests


async def test_a_key_is_never_found_by_the_name_of_another(store: UsageStore):
    assert await store.totals((), Filter(key="team-b")) == []


async def test_what_matches_nothing_is_no_group(store: UsageStore):
    assert await store.totals(("day",), Filter(model="none")) == []


async def test_sums_may_exceed_what_a_float_holds(store: UsageStore, database: Database):
    large = [row(f"big{n}", NOV_22, model="big", uncached=2**53 - 1, cost=10**15) for n in range(100)]
    await write_requests(database, large)
    (total,) = await store.totals((), Filter(model="big"))
    assert (total.tokens.uncached, total.cost) == (100 * (2**53 - 1), 10**17)


async def test_pages_go_from_the_latest_to_the_first_without_gap_or_double(store: UsageStore):
    seen: list[str] = []
    page = Page((), None)
    while page.next or not seen:
        page = await store.page(Filter(), 2, page.next)
        seen += [request["id"] for request in page.requests]
    assert seen == ["r5", "r4", "r3", "r2", "r1"]


async def test_a_page_has_the_whole_request_and_where_to_go_on(store: UsageStore):
    page = await store.page(Filter(key="k2"), 1)
    assert page.requests == [ROWS[4]]
    assert page.next == Cursor(NOV_22 + 5, "r5")


async def test_the_attempts_of_a_request_come_in_their_order_also_while_it_is_under_way(
    store: UsageStore, database: Database
):
    await write_requests(database, [row("r9", NOV_22, attempts=2, state="open", end=None)])
    await write_requests(database, [row("r9", NOV_22, state="retried", end="failed")])
    told = await store.attempts("r9")
    assert [(one["number"], one["state"], one["end"]) for one in told] == [(1, "retried", "failed"), (2, "open", None)]
    assert await store.attempts("r10") == []


async def test_a_budget_nobody_touched_is_untouched(store: UsageStore):
    month = BudgetPeriod("k1", "usd", "2026-11")
    assert await store.spending([month]) == {month: Spending(0, 0)}


async def test_a_budget_says_what_is_spent_and_held(store: UsageStore, database: Database):
    async with database.changing() as connection:
        values = {"key": "k1", "unit": "usd", "period": "2026-11", "spent": 5, "held": 3}
        await connection.execute(sa.insert(BUDGETS).values(values))
    this, next_ = BudgetPeriod("k1", "usd", "2026-11"), BudgetPeriod("k1", "usd", "2026-12")
    assert await store.spending([this, next_]) == {this: Spending(5, 3), next_: Spending(0, 0)}


async def test_budgets_of_many_keys_are_asked_for_at_once_and_do_not_mix(store: UsageStore, database: Database):
    all_ = [
        BudgetPeriod(key, unit, period)
        for key in ("k1", "k2")
        for unit in ("usd", "tokens")
        for period in ("2026-11", "2026-11-22", "total")
    ]
    rows = [{**msgspec.structs.asdict(one), "spent": spent, "held": 0} for spent, one in enumerate(all_)]
    async with database.changing() as connection:
        await connection.execute(sa.insert(BUDGETS), rows)
    asked: list[str] = []
    sa.event.listen(database.engine.sync_engine, "before_cursor_execute", lambda *call: asked.append(call[2]))
    assert await store.spending(all_[::2]) == {one: Spending(spent) for spent, one in list(enumerate(all_))[::2]}
    assert len([statement for statement in asked if "budgets" in statement]) == 1
