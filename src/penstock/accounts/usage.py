"""What requests came to, as it is told: to the operator by `penstock usage`, to a key's owner by GET /v1/usage.

One record for both and for all formats, so that the numbers cannot differ. docs/usage.md describes it.
"""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import msgspec

from penstock.accounts.budgets import period_of, resets_at
from penstock.accounts.keys import Budget, Key
from penstock.accounts.moments import midnight, written
from penstock.core.errors import ErrorInfo, Fault, bad_request
from penstock.core.money import format_dollars
from penstock.core.outcome import End
from penstock.core.usage import UNKNOWN
from penstock.store.errors import StoreUnavailableError
from penstock.store.usage import BudgetPeriod, Filter, Group, Spending, Totals, UsageStore

DEFAULT_DAYS = 30
"""Days that are told if nobody says from when on, today included."""

GROUPS: tuple[Group, ...] = ("day", "key", "model", "provider")

_PARTS = ("input_audio", "input_image", "cached_audio", "output_audio", "output_image")
_TOKENS = ("uncached", "cache_read", "cache_write", "cache_write_1h", "output", "reasoning", *_PARTS)
_OF_REQUESTS = (
    "id", "key", "key_name", "model", "provider", "upstream_model", "upstream_protocol", "client_protocol", "stream",
    "attempts", "end", "error", "usage_source", "first_output_ms", "duration_ms", "gap_median_ms", "gap_longest_ms",
)  # fmt: skip
_OF_ATTEMPTS = (
    "number", "state", "key", "key_name", "model", "provider", "upstream_model", "upstream_protocol",
    "client_protocol", "stream", "end", "error", "usage_source", "price_version", "first_output_ms", "duration_ms",
    "gap_median_ms", "gap_longest_ms",
)  # fmt: skip

NONE = Totals(group={}, requests=0, ends={}, estimated=0, unpriced=0, cost=0, tokens=UNKNOWN)
"""What no requests came to."""


def record(total: Totals) -> dict[str, Any]:
    """Return sums as they are told: what the group has in common, then numbers; costs in dollars as texts."""
    tokens = total.tokens
    return {
        **total.group,
        "requests": total.requests,
        "ends": dict(total.ends),
        "input_tokens": tokens.input,
        "uncached_tokens": tokens.uncached or 0,
        "cache_read_tokens": tokens.cache_read or 0,
        "cache_write_tokens": tokens.cache_write or 0,
        "cache_write_1h_tokens": tokens.cache_write_1h or 0,
        "output_tokens": tokens.output or 0,
        "reasoning_tokens": tokens.reasoning or 0,
        **{f"{name}_tokens": getattr(tokens, name) or 0 for name in _PARTS},
        "web_searches": tokens.web_searches or 0,
        "cost_usd": format_dollars(total.cost),
        "unpriced_requests": total.unpriced,
        "estimated_requests": total.estimated,
    }


def request_record(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row of the view `requests` as it is told."""
    return {
        **{name: row[name] for name in _OF_REQUESTS},
        **_counts(row),
        "created": written(row["created_ms"] / 1000),
        "cost_usd": _dollars_if_known(row["cost"]),
    }


def attempt_record(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row of `attempts` as it is told, in the words of docs/ledger.md."""
    return {
        **{name: row[name] for name in _OF_ATTEMPTS},
        **_counts(row),
        "started": written(row["started_ms"] / 1000),
        "cost_usd": _dollars_if_known(row["cost"]),
        "borne_usd": _dollars_if_known(row["borne"]),
    }


def _counts(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **{f"{name}_tokens": row[name] for name in _TOKENS},
        "web_searches": row["web_searches"],
        "service_tier": row["service_tier"],
        "unpriced": row["unpriced"],
    }


def _dollars_if_known(nanos: int | None) -> str | None:
    return None if nanos is None else format_dollars(nanos)


def group_names(by: Sequence[Group]) -> Sequence[str]:
    """Return what `record` calls that which groups have in common."""
    return [column for name in by for column in ((name, "key_name") if name == "key" else (name,))]


def csv_table(by: Sequence[Group], groups: Sequence[Totals]) -> str:
    """Return sums as CSV with a head; each way to end has a column."""
    names = (*group_names(by), *(name for name in record(NONE) if name != "ends"))
    ends = [end for end in get_args(End) if end != "hedged"]  # which attempts do, and no request
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*names, *ends])
    for total in groups:
        row = record(total)
        writer.writerow([*(_cell(row[name]) for name in names), *(total.ends.get(end, 0) for end in ends)])
    return text.getvalue()


def _cell(value: object) -> object:
    """Return a value so that no spreadsheet takes it for a formula: names are what somebody made up."""
    # https://owasp.org/www-community/attacks/CSV_Injection
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@")) else value


def period(since: str | None, until: str | None, now: float) -> tuple[int, int | None]:
    """Return a period in Unix milliseconds from what somebody wrote: days, or times with their zone; else UTC.

    A day as the end is meant with all of it. Without a beginning it is the last 30 days, today included.

    Raises:
        ClientFault: one of them is no time, or they are the wrong way round; `param` is `from` or `to`.
    """
    first = _moment(since, "from", timedelta()) if since else midnight(now) - timedelta(days=DEFAULT_DAYS - 1)
    last = _moment(until, "to", timedelta(days=1)) if until else None
    if last is not None and last <= first:
        raise bad_request(f"`to`: the period ends before it begins, which is {first:%Y-%m-%d %H:%M} UTC.", "to")
    return _ms(first), None if last is None else _ms(last)


def _moment(text: str, param: str, whole_day: timedelta) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
        moment = moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
        return moment + whole_day if len(text) <= len("2026-11-22") else moment
    except (ValueError, OverflowError):
        shown = f'"{text[:40]}" is not a day (2026-11-22) or a time (2026-11-22T14:30Z).'
        raise bad_request(shown, param) from None


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


async def own_usage(store: UsageStore, key: Key, query: Mapping[str, str], now: float) -> dict[str, Any]:
    """Return what a key used, by model and day, and what it still may, as docs/usage.md describes it.

    Raises:
        ClientFault: the query asks for a period that is none.
        Fault: the database is not there.
    """
    since, until = period(query.get("from"), query.get("to"), now)
    try:
        return await _told(store, key, Filter(since=since, until=until, key=key.id, model=query.get("model")), now)
    except StoreUnavailableError:
        message = "The gateway cannot read its database at the moment. Try again soon."
        raise Fault(ErrorInfo("overloaded", message, code="usage_unavailable", retry_after=1.0)) from None


async def _told(store: UsageStore, key: Key, which: Filter, now: float) -> dict[str, Any]:
    whole = await store.totals((), which)
    return {
        "object": "usage",
        "key": {"id": key.id, "name": key.name, "expires": None if key.expires is None else written(key.expires)},
        "from": written((which.since or 0) // 1000),
        "to": written(int(now) if which.until is None else which.until // 1000),
        "total": record(whole[0] if whole else NONE),
        "data": [record(total) for total in await store.totals(("day", "model"), which)],
        "budget": await _budget(store, key, key.budget, now) if key.budget else None,
        "limits": msgspec.structs.asdict(key.limits),
    }


async def _budget(store: UsageStore, key: Key, budget: Budget, now: float) -> dict[str, Any]:
    spending = await spending_of(store, [key], now)
    return {"unit": budget.unit, "period": budget.period, "limit": _amount(budget, budget.limit), **spending[key.id]}


async def spending_of(store: UsageStore, keys: Iterable[Key], now: float) -> dict[str, dict[str, Any]]:
    """Return of each key with a budget, by its id, what is spent, held and left of it and when it resets.

    That is of the period that `now`, Unix time in seconds, is in. Dollars are exact texts, tokens are numbers.

    Raises:
        StoreUnavailableError: the database is not there.
    """
    now_ms = int(now * 1000)
    budgets = {key.id: key.budget for key in keys if key.budget is not None}
    periods = {id_: BudgetPeriod(id_, budget.unit, period_of(budget, now_ms)) for id_, budget in budgets.items()}
    found = await store.spending(periods.values())
    return {id_: _spending(budget, found[periods[id_]], now_ms) for id_, budget in budgets.items()}


def _spending(budget: Budget, spending: Spending, now_ms: int) -> dict[str, Any]:
    resets = resets_at(budget, now_ms)
    return {
        "spent": _amount(budget, spending.spent),
        "held": _amount(budget, spending.held),
        "left": _amount(budget, max(0, budget.limit - spending.spent - spending.held)),
        "resets_at": written(resets.timestamp()) if resets else None,
    }


def _amount(budget: Budget, amount: int) -> str | int:
    return format_dollars(amount) if budget.unit == "usd" else amount
