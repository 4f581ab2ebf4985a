"""GET /v1/usage: what a key is told of what it used."""

from pathlib import Path

import pytest

from penstock.server.paths import match
from penstock.store.database import Database
from tests.serving import serving
from tests.store.rows import write_requests
from tests.store.test_usage import ROWS

pytestmark = pytest.mark.anyio

FROM = "from=2026-11-01"


async def test_a_key_is_told_what_it_used_by_model_and_day_and_nothing_of_others(tmp_path: Path):
    path = tmp_path / "penstock.db"
    database = await Database.open(path)
    mine = {"key": "config:test", "key_name": "test"}
    await write_requests(database, [*(row | mine for row in ROWS[:3]), *ROWS[3:]])
    await database.close()
    async with serving(database=path) as gateway, gateway.get(f"/v1/usage?{FROM}") as response:
        told = await response.json()
    assert (response.status, response.headers["content-type"]) == (200, "application/json")
    assert told["key"] == {"id": "config:test", "name": "test", "expires": None}
    assert [(line["day"], line["model"], line["requests"], line["cost_usd"]) for line in told["data"]] == [
        ("2026-11-21", "fast", 2, "0.0000015"),
        ("2026-11-22", "lab/tiny", 1, "0.00"),
    ]
    assert (told["total"]["requests"], told["total"]["unpriced_requests"]) == (3, 1)
    assert (told["budget"], told["limits"]["streams"]) == (None, None)


async def test_whoever_has_no_key_is_told_nothing():
    async with serving() as gateway, gateway.get("/v1/usage", authorization="Bearer wrong-key-0123456789") as response:
        assert response.status == 401


async def test_a_period_that_is_none_is_refused():
    async with serving() as gateway, gateway.get("/v1/usage?from=soon") as response:
        assert (response.status, (await response.json())["error"]["param"]) == (400, "from")


@pytest.mark.parametrize("path", ["/usage", "/v1/usage", "/v1/usage/"])
async def test_the_path_is_found_with_and_without_its_version(path: str):
    assert (match(path).operation, match(path).methods) == ("usage", ("GET",))
