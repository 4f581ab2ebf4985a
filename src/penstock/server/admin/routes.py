"""All operations of the admin API in one table, and which of them a path means."""

import functools
import re
from typing import Any
from urllib.parse import unquote

import msgspec

from penstock.accounts.terms import Terms
from penstock.server.admin import gateway, keys, providers, usage
from penstock.server.admin.desk import Desk
from penstock.server.admin.openapi import describe
from penstock.server.admin.route import Asked, Route
from penstock.server.admin.shapes import (
    KeyList,
    KeyShown,
    KeysQuery,
    NewKey,
    Nothing,
    PriceList,
    PricesQuery,
    ProviderList,
    RequestDetails,
    RequestList,
    RequestsQuery,
    Rotation,
    Status,
    Usage,
    UsageQuery,
)
from penstock.server.http import Response
from penstock.server.reloading import Reloaded

BASE = "/admin/api/v1"

METRICS = "/metrics"
"""Where Prometheus looks unless it is told otherwise."""

_KEY = f"{BASE}/keys/{{key}}"


async def describe_api(desk: Desk, asked: Asked[Nothing, Nothing]) -> Response:
    """Describe this API, as OpenAPI 3.1."""
    return Response(_description())


ROUTES: tuple[Route[Any, Any], ...] = (
    Route("GET", f"{BASE}/keys", keys.list_keys, KeyList, query=KeysQuery),
    Route("POST", f"{BASE}/keys", keys.create_key, KeyShown, body=NewKey, conflicts=True, status=201),
    Route("GET", _KEY, keys.show_key, KeyShown),
    Route("PATCH", _KEY, keys.limit_key, KeyShown, body=Terms, conflicts=True),
    Route("POST", f"{_KEY}/rotate", keys.rotate_key, KeyShown, body=Rotation, conflicts=True),
    Route("POST", f"{_KEY}/revoke", keys.revoke_key, KeyShown, conflicts=True),
    Route("GET", f"{BASE}/usage", usage.sum_usage, Usage, other=usage.CSV, query=UsageQuery),
    Route("GET", f"{BASE}/requests", usage.list_requests, RequestList, query=RequestsQuery),
    Route("GET", f"{BASE}/requests/{{request}}", usage.show_request, RequestDetails),
    Route("GET", f"{BASE}/providers", providers.list_providers, ProviderList),
    Route("GET", f"{BASE}/prices", providers.list_prices, PriceList, query=PricesQuery),
    Route("GET", f"{BASE}/status", gateway.show_status, Status),
    Route("POST", f"{BASE}/reload", gateway.reload, Reloaded),
    Route("GET", f"{BASE}/openapi.json", describe_api, None, other="application/json"),
    Route("GET", METRICS, gateway.show_metrics, None, other="text/plain"),
)

_PATTERNS = [(re.compile(re.sub(r"\\\{.*?\\\}", "([^/]+)", re.escape(route.path))), route) for route in ROUTES]


def match(raw_path: str) -> tuple[dict[str, Route[Any, Any]], str]:
    """Return the operations that a raw path offers, by method, and the name in it, decoded."""
    offered: dict[str, Route[Any, Any]] = {}
    which = ""
    for pattern, route in _PATTERNS:
        if found := pattern.fullmatch(raw_path):
            offered[route.method] = route
            which = unquote(found[1]) if found.groups() else ""
    return offered, which


@functools.cache
def _description() -> bytes:
    return msgspec.json.encode(describe(ROUTES))
