"""What the admin API refuses, and how it says so."""

from typing import Any

import pytest

from tests.server.admin.administering import BASE, TOKEN, Admin

pytestmark = pytest.mark.anyio


def told(body: dict[str, Any]) -> tuple[str, str | None]:
    assert set(body) == {"error"}
    assert set(body["error"]) == {"code", "message", "param"}
    return body["error"]["code"], body["error"]["param"]


async def test_an_unknown_field_is_refused_with_the_nearest_that_is_known(admin: Admin) -> None:
    status, body = await admin.ask("POST", "/keys", {"name": "ci", "model": ["demo/*"]})
    assert (status, *told(body)) == (422, "unknown_field", "model")
    assert 'did you mean "models"?' in body["error"]["message"]


async def test_an_unknown_field_within_another_is_named_with_its_path(admin: Admin) -> None:
    status, body = await admin.ask("POST", "/keys", {"name": "ci", "budget": {"us": "1", "per": "day"}})
    assert (status, *told(body)) == (422, "unknown_field", "budget.us")
    assert 'did you mean "usd"?' in body["error"]["message"]


async def test_an_unknown_query_parameter_is_refused(admin: Admin) -> None:
    status, body = await admin.ask("GET", "/usage?fron=2026-11-01")
    assert (status, *told(body)) == (422, "unknown_field", "fron")
    assert 'did you mean "from"?' in body["error"]["message"]


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "name"),
        ({"name": ""}, "name"),
        ({"name": 1}, "name"),
        ({"name": "a\x00b"}, "name"),
        ({"name": "ci", "models": "demo/*"}, "models"),
        ({"name": "ci", "models": []}, "models"),
        ({"name": "ci", "models": ["a", 1]}, "models[1]"),
        ({"name": "ci", "streams": 0}, "streams"),
        ({"name": "ci", "streams": 10**30}, "streams"),
        ({"name": "ci", "budget": {"per": "month"}}, "budget"),
        ({"name": "ci", "budget": {"usd": "x", "per": "month"}}, "budget.usd"),
        ({"name": "ci", "expires": "2001-01-01"}, "expires"),
        ({"name": "ci", "networks": ["10.0.0.0/99"]}, "networks[0]"),
    ],
    ids=str,
)
async def test_a_value_that_makes_no_sense_is_named(admin: Admin, body: object, param: str) -> None:
    status, answer = await admin.ask("POST", "/keys", body)
    assert (status, told(answer)[1]) == (422, param)


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("/usage?by=week", "by"),
        ("/usage?by=", "by"),
        ("/usage?from=yesterday", "from"),
        ("/usage?to=9999-12-31", "to"),
        ("/usage?format=xml", "format"),
        ("/usage?model=%00", "model"),
        ("/requests?limit=0", "limit"),
        ("/requests?limit=many", "limit"),
        ("/requests?end=soon", "end"),
        ("/requests?cursor=!", "cursor"),
        ("/requests?cursor=bnVsbA", "cursor"),
        ("/requests?cursor=eyJjcmVhdGVkX21zIjo5OTk5OTk5OTk5OTk5OTk5OTk5OSwiaWQiOiIifQ", "cursor"),
        ("/keys?revoked=perhaps", "revoked"),
    ],
)
async def test_a_query_that_makes_no_sense_is_named(admin: Admin, query: str, param: str) -> None:
    status, body = await admin.ask("GET", query)
    assert (status, told(body)[1]) == (422, param)


@pytest.mark.parametrize("body", [b"{", b"\xff", b'"\xff"', b"[]", b"null", b"[" * 100_000], ids=range(6))
async def test_a_body_that_is_no_json_object_is_refused(admin: Admin, body: bytes) -> None:
    headers = {"authorization": f"Bearer {TOKEN}", "content-type": "application/json"}
    async with admin.session.post(f"{BASE}/keys", data=body, headers=headers) as answer:
        assert (answer.status, told(await answer.json())[1]) == (400, None)


@pytest.mark.parametrize(
    "headers", [{"content-type": "text/plain"}, {"content-type": "application/json", "content-encoding": "gzip"}]
)
async def test_a_body_of_another_kind_is_refused(admin: Admin, headers: dict[str, str]) -> None:
    headers = headers | {"authorization": f"Bearer {TOKEN}"}
    async with admin.session.post(f"{BASE}/keys", data=b"{}", headers=headers) as answer:
        assert (answer.status, told(await answer.json())) == (415, ("unsupported_media", None))


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_large_body_is_refused(admin: Admin, chunked: bool) -> None:
    headers = {"authorization": f"Bearer {TOKEN}", "content-type": "application/json"}
    body: Any = b" " * (1024 * 1024 + 1)

    async def pieces() -> Any:
        yield body

    async with admin.session.post(f"{BASE}/keys", data=pieces() if chunked else body, headers=headers) as answer:
        assert (answer.status, told(await answer.json())) == (413, ("too_large", None))


async def test_a_method_that_a_path_does_not_have_is_refused_with_those_that_it_has(admin: Admin) -> None:
    async with admin.session.delete(f"{BASE}/keys/ci", headers={"authorization": f"Bearer {TOKEN}"}) as answer:
        assert (answer.status, answer.headers["allow"]) == (405, "GET, PATCH, HEAD")
        assert told(await answer.json()) == ("method_not_allowed", None)


@pytest.mark.parametrize("path", ["/none", "/keys/", "/keys/a/b", "/keys/ci/rotate/", "//keys", "/KEYS", "/keys/a%00"])
async def test_there_is_nothing_elsewhere(admin: Admin, path: str) -> None:
    status, body = await admin.ask("GET", path)
    assert (status, *told(body)) == (404, "not_found", None)


async def test_a_store_that_is_not_there_is_a_503(admin: Admin) -> None:
    async with admin.database.changing() as connection:
        await connection.exec_driver_sql("DROP VIEW requests")
        for table in ("key_secrets", "keys"):
            await connection.exec_driver_sql(f"DROP TABLE {table}")
    for path in ("/keys", "/usage", "/requests"):
        status, body = await admin.ask("GET", path)
        assert (status, told(body)[0]) == (503, "overloaded")


async def test_a_defect_is_a_500_that_tells_where_to_look(admin: Admin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(admin.desk.serving, "loaded")
    status, body = await admin.ask("GET", "/status")
    assert (status, told(body)) == (500, ("internal", None))
    assert "adm_" in body["error"]["message"]
