"""Keys by the admin API."""

import pytest
import sqlalchemy as sa

from penstock.store.schema import BUDGETS
from tests.server.admin.administering import STATIC_KEY, Admin, names

pytestmark = pytest.mark.anyio


async def test_a_key_is_made_and_its_secret_shown_once(admin: Admin) -> None:
    status, made = await admin.ask("POST", "/keys", {"name": "ci", "models": ["demo/*"]})
    assert status == 201
    assert made["secret"].startswith("pen_" + made["id"])
    shown = await admin.get("/keys/ci")
    assert "secret" not in shown
    assert shown == {name: value for name, value in made.items() if name != "secret"} | {"spending": None}


async def test_a_key_is_made_with_all_that_can_be_said_about_it(admin: Admin) -> None:
    said = {
        "name": "team",
        "models": ["demo/*", "lab/m"],
        "requests_per_minute": 60,
        "tokens_per_minute": 100_000,
        "streams": 5,
        "budget": {"usd": "10.50", "per": "month"},
        "expires": "2099-12-31T00:00:00Z",
        "networks": ["10.0.0.0/8"],
        "labels": {"team": "search"},
    }
    _, made = await admin.ask("POST", "/keys", said)
    assert {name: made[name] for name in said} == said


async def test_the_list_has_the_keys_of_the_configuration_and_not_those_that_were_revoked(admin: Admin) -> None:
    await admin.ask("POST", "/keys", {"name": "one"})
    await admin.ask("POST", "/keys", {"name": "two"})
    await admin.ask("POST", "/keys/one/revoke")
    assert names((await admin.get("/keys"))["data"]) == ["ops", "two"]
    assert sorted(names((await admin.get("/keys?revoked=true"))["data"])) == ["one", "ops", "two"]


async def test_what_is_not_said_about_a_key_stays_and_null_takes_a_limit_away(admin: Admin) -> None:
    await admin.ask("POST", "/keys", {"name": "ci", "streams": 3, "requests_per_minute": 9})
    status, changed = await admin.ask("PATCH", "/keys/ci", {"requests_per_minute": None})
    assert (status, changed["streams"], changed["requests_per_minute"]) == (200, 3, None)


async def test_a_key_tells_what_is_left_of_its_budget_in_the_period_that_runs(admin: Admin) -> None:
    _, made = await admin.ask("POST", "/keys", {"name": "ci", "budget": {"usd": "20", "per": "month"}})
    await spend(admin, made["id"], "usd", "2026-10", spent=20 * 10**9, held=0)
    await spend(admin, made["id"], "usd", "2026-11", spent=5_500_000_000, held=10**9)
    shown = await admin.get("/keys/ci")
    assert shown["budget"] == {"usd": "20.00", "per": "month"}
    assert shown["spending"] == {
        "spent": "5.50", "held": "1.00", "left": "13.50", "resets_at": "2026-12-01T00:00:00Z",
    }  # fmt: skip


async def test_a_budget_that_is_changed_leaves_what_was_spent(admin: Admin) -> None:
    _, made = await admin.ask("POST", "/keys", {"name": "ci", "budget": {"tokens": 1000, "per": "total"}})
    await spend(admin, made["id"], "tokens", "total", spent=800, held=100)
    _, changed = await admin.ask("PATCH", "/keys/ci", {"budget": {"tokens": 850, "per": "total"}})
    assert changed["spending"] == {"spent": 800, "held": 100, "left": 0, "resets_at": None}


async def test_the_list_tells_what_is_left_of_each_budget(admin: Admin) -> None:
    for name, spent in (("one", 3), ("two", 7)):
        _, made = await admin.ask("POST", "/keys", {"name": name, "budget": {"tokens": 9, "per": "day"}})
        await spend(admin, made["id"], "tokens", "2026-11-18", spent=spent, held=0)
    await admin.ask("POST", "/keys", {"name": "unlimited"})
    told = {one["name"]: one["spending"] for one in (await admin.get("/keys"))["data"]}
    assert (told["ops"], told["unlimited"]) == (None, None)
    assert (told["one"]["left"], told["two"]["left"]) == (6, 2)


async def test_a_rotated_key_has_a_new_secret_beside_the_old(admin: Admin) -> None:
    _, made = await admin.ask("POST", "/keys", {"name": "ci"})
    status, rotated = await admin.ask("POST", "/keys/ci/rotate")
    assert status == 200
    assert rotated["id"] == made["id"]
    assert rotated["secret"] != made["secret"]
    assert rotated["replaced_secret_until"] is not None


async def test_a_leaked_secret_is_replaced_at_once(admin: Admin) -> None:
    await admin.ask("POST", "/keys", {"name": "ci"})
    _, rotated = await admin.ask("POST", "/keys/ci/rotate", {"grace_seconds": 0})
    assert rotated["replaced_secret_until"] is None


async def test_a_revoked_key_is_found_by_its_id_only_and_cannot_be_changed(admin: Admin) -> None:
    _, made = await admin.ask("POST", "/keys", {"name": "ci"})
    status, revoked = await admin.ask("POST", "/keys/ci/revoke")
    assert (status, revoked["revoked"] is None) == (200, False)
    assert (await admin.ask("GET", "/keys/ci"))[0] == 404
    assert (await admin.get(f"/keys/{made['id']}"))["revoked"] == revoked["revoked"]
    for method, path in (("PATCH", ""), ("POST", "/rotate"), ("POST", "/revoke")):
        status, body = await admin.ask(method, f"/keys/{made['id']}{path}", {})
        assert (status, body["error"]["code"]) == (404, "key_not_found")


async def test_a_name_is_taken_once(admin: Admin) -> None:
    await admin.ask("POST", "/keys", {"name": "ci"})
    for name in ("ci", "ops"):
        status, body = await admin.ask("POST", "/keys", {"name": name})
        assert (status, body["error"]["code"], body["error"]["param"]) == (409, "name_taken", "name")


async def test_a_name_may_need_to_be_encoded(admin: Admin) -> None:
    await admin.ask("POST", "/keys", {"name": "a b/ü"})
    status, body = await admin.ask("GET", "/keys/a%20b%2F%C3%BC")
    assert (status, body.get("name")) == (200, "a b/ü")


async def test_keys_of_the_configuration_are_shown_and_changed_only_there(admin: Admin) -> None:
    for which in ("ops", "config:ops"):
        assert (await admin.get(f"/keys/{which}"))["id"] == "config:ops"
    status, body = await admin.ask("POST", "/keys/config:ops/revoke")
    assert (status, body["error"]["code"]) == (409, "static_key")
    assert (await admin.ask("GET", "/keys/config:none"))[0] == 404
    assert STATIC_KEY not in str(await admin.get("/keys"))


async def spend(admin: Admin, key: str, unit: str, period: str, *, spent: int, held: int) -> None:
    row = {"key": key, "unit": unit, "period": period, "spent": spent, "held": held}
    async with admin.database.changing() as connection:
        await connection.execute(sa.insert(BUDGETS).values(row))
