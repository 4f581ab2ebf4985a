"""Usage and requests: what the admin API tells of the ledger."""

import base64
import binascii
from typing import Any, TypeVar, cast

import msgspec
from msgspec import UNSET, UnsetType

from penstock.accounts.usage import GROUPS, NONE, attempt_record, csv_table, period, record, request_record
from penstock.core.errors import ClientFault, ErrorInfo, bad_request
from penstock.server.admin.desk import Desk
from penstock.server.admin.route import Asked
from penstock.server.admin.shapes import (
    AttemptShown,
    Nothing,
    RequestDetails,
    RequestList,
    RequestShown,
    RequestsQuery,
    Sums,
    Usage,
    UsageQuery,
)
from penstock.server.http import Response
from penstock.store.usage import Cursor, Filter, Group
from penstock.upstreams.settings import did_you_mean

CSV = "text/csv"

T = TypeVar("T")


async def sum_usage(desk: Desk, asked: Asked[UsageQuery, Nothing]) -> Usage | Response:
    """Sum up what requests came to: how many, how they ended, tokens and cost."""
    query = asked.query
    by = _groups(query.by)
    which = _filter(desk, query)
    groups = await desk.usage.totals(by, which)
    wants_csv = CSV in asked.accept and "application/json" not in asked.accept
    if query.format == "csv" or (query.format is UNSET and wants_csv):
        return Response(csv_table(by, groups).encode(), content_type=f"{CSV}; charset=utf-8")
    whole = await desk.usage.totals((), which)
    return Usage(_sums(record(whole[0] if whole else NONE)), [_sums(record(total)) for total in groups])


async def list_requests(desk: Desk, asked: Asked[RequestsQuery, Nothing]) -> RequestList:
    """List single requests, the latest first."""
    query = asked.query
    which = msgspec.structs.replace(_filter(desk, query), end=_given(query.end), id=_given(query.id))
    if which.id is not None and query.since is UNSET:
        which = msgspec.structs.replace(which, since=None)
    before = None if query.cursor is UNSET else _read_cursor(query.cursor)
    page = await desk.usage.page(which, query.limit, before)
    shown = [msgspec.convert(request_record(row), RequestShown) for row in page.requests]
    return RequestList(shown, page.next and _written_cursor(page.next))


async def show_request(desk: Desk, asked: Asked[Nothing, Nothing]) -> RequestDetails:
    """Show one request and each call of a provider that was made for it, by the id that `x-request-id` told."""
    over = (await desk.usage.page(Filter(id=asked.which), 1)).requests
    attempts = [msgspec.convert(attempt_record(row), AttemptShown) for row in await desk.usage.attempts(asked.which)]
    if not attempts:
        told = f"There is no request {asked.which[:100]!r}. One that reached no provider is not kept."
        raise ClientFault(ErrorInfo("not_found", told, code="request_not_found"))
    return RequestDetails(msgspec.convert(request_record(over[0]), RequestShown) if over else None, attempts)


def _filter(desk: Desk, query: UsageQuery | RequestsQuery) -> Filter:
    since, until = period(_given(query.since), _given(query.until), desk.clock())
    return Filter(
        since=since,
        until=until,
        owner=_given(query.key),
        model=_given(query.model),
        provider=_given(query.provider),
    )


def _given(value: T | UnsetType) -> T | None:
    return None if value is UNSET else cast("T", value)


def _groups(text: str) -> tuple[Group, ...]:
    names = dict.fromkeys(name.strip() for name in text.split(","))
    for name in names:
        if name not in GROUPS:
            near = did_you_mean(name, GROUPS)
            raise bad_request(f'by: unknown group "{name[:100]}"{near} Known: {", ".join(GROUPS)}.', "by")
    return cast("tuple[Group, ...]", tuple(names))


def _sums(told: dict[str, Any]) -> Sums:
    return msgspec.convert(told, Sums)


def _written_cursor(cursor: Cursor) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(cursor)).decode().rstrip("=")


def _read_cursor(text: str) -> Cursor:
    try:
        cursor = msgspec.json.decode(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)), type=Cursor)
    except (binascii.Error, ValueError, msgspec.DecodeError):
        cursor = None
    if cursor is None or not 0 <= cursor.created_ms < 2**53 or not cursor.id.isprintable():
        raise bad_request("cursor: expected what `next` of the page before says.", "cursor")
    return cursor
