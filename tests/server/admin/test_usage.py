"""Usage and requests by the admin API."""

import csv
import io
from typing import Any

import pytest

from penstock.store.schema import ATTEMPTS
from tests.server.admin.administering import BASE, NOW, TOKEN, Admin
from tests.store.rows import OPENED, write_requests

pytestmark = pytest.mark.anyio

ROW: dict[str, Any] = {
    "key": "a1B2c3D4",
    "key_name": "ci",
    "model": "fast",
    "provider": "lab",
    "upstream_model": "m",
    "upstream_protocol": "openai-chat",
    "client_protocol": "anthropic",
    "stream": True,
    "attempts": 1,
    "end": "completed",
    "error": None,
    "uncached": 10,
    "cache_read": 5,
    "cache_write": None,
    "cache_write_1h": None,
    "output": 7,
    "reasoning": None,
    "usage_source": "provider",
    "cost": 1_500_000,
    "first_output_ms": 40,
    "duration_ms": 90,
    "gap_median_ms": 10,
    "gap_longest_ms": 20,
}


async def write(admin: Admin, *rows: dict[str, Any]) -> None:
    filled = [
        ROW | {"id": f"req_{number}", "created_ms": int(NOW * 1000) + number} | row for number, row in enumerate(rows)
    ]
    await write_requests(admin.database, filled)


async def test_usage_is_summed_up_by_what_is_asked(admin: Admin) -> None:
    await write(admin, {}, {"model": "slow", "end": "failed", "error": "overloaded", "cost": None}, {})
    answer = await admin.get("/usage?by=key,model")
    assert [(row["key_name"], row["model"], row["requests"]) for row in answer["data"]] == [
        ("ci", "fast", 2),
        ("ci", "slow", 1),
    ]
    assert answer["data"][0]["cost_usd"] == "0.003"
    assert answer["total"] == {
        "requests": 3,
        "ends": {"completed": 2, "failed": 1},
        "input_tokens": 45,
        "uncached_tokens": 30,
        "cache_read_tokens": 15,
        "cache_write_tokens": 0,
        "cache_write_1h_tokens": 0,
        "output_tokens": 21,
        "reasoning_tokens": 0,
        "input_audio_tokens": 0,
        "input_image_tokens": 0,
        "cached_audio_tokens": 0,
        "output_audio_tokens": 0,
        "output_image_tokens": 0,
        "web_searches": 0,
        "cost_usd": "0.003",
        "unpriced_requests": 1,
        "estimated_requests": 0,
    }


async def test_usage_can_be_asked_of_a_key_a_model_a_provider_and_a_period(admin: Admin) -> None:
    await write(admin, {"key_name": "other", "key": "x"}, {"model": "slow"}, {"provider": "demo"}, {"created_ms": 0})
    for query, expected in (
        ("", 3),
        ("key=ci", 2),
        ("key=x", 1),
        ("model=slow", 1),
        ("provider=demo", 1),
        ("from=1970-01-01", 4),
        ("from=1970-01-01&to=1970-01-01", 1),
        ("key=nobody", 0),
    ):
        assert (await admin.get(f"/usage?{query}"))["total"]["requests"] == expected, query


@pytest.mark.parametrize(
    ("query", "accept"), [("format=csv", "*/*"), ("", "text/csv"), ("format=csv", "application/json")]
)
async def test_usage_is_told_as_csv(admin: Admin, query: str, accept: str) -> None:
    await write(admin, {}, {"end": "client_gone"})
    headers = {"authorization": f"Bearer {TOKEN}", "accept": accept}
    async with admin.session.get(f"{BASE}/usage?by=key,day&{query}", headers=headers) as answer:
        assert answer.headers["content-type"] == "text/csv; charset=utf-8"
        rows = list(csv.DictReader(io.StringIO(await answer.text())))
    assert len(rows) == 1
    assert (rows[0]["key_name"], rows[0]["day"], rows[0]["requests"]) == ("ci", "2026-11-18", "2")
    assert (rows[0]["completed"], rows[0]["client_gone"]) == ("1", "1")


async def test_usage_is_json_where_both_will_do(admin: Admin) -> None:
    headers = {"authorization": f"Bearer {TOKEN}", "accept": "application/json, text/csv"}
    async with admin.session.get(f"{BASE}/usage", headers=headers) as answer:
        assert answer.content_type == "application/json"


async def test_requests_are_told_with_all_that_is_known(admin: Admin) -> None:
    await write(admin, {})
    assert await admin.get("/requests") == {
        "data": [
            {
                "id": "req_0",
                "created": "2026-11-18T11:06:40Z",
                "key": "a1B2c3D4",
                "key_name": "ci",
                "model": "fast",
                "provider": "lab",
                "upstream_model": "m",
                "upstream_protocol": "openai-chat",
                "client_protocol": "anthropic",
                "stream": True,
                "attempts": 1,
                "end": "completed",
                "error": None,
                "uncached_tokens": 10,
                "cache_read_tokens": 5,
                "cache_write_tokens": None,
                "cache_write_1h_tokens": None,
                "output_tokens": 7,
                "reasoning_tokens": None,
                "input_audio_tokens": None,
                "input_image_tokens": None,
                "cached_audio_tokens": None,
                "output_audio_tokens": None,
                "output_image_tokens": None,
                "web_searches": None,
                "service_tier": None,
                "unpriced": None,
                "usage_source": "provider",
                "cost_usd": "0.0015",
                "first_output_ms": 40,
                "duration_ms": 90,
                "gap_median_ms": 10,
                "gap_longest_ms": 20,
            }
        ],
        "next": None,
    }


async def test_requests_come_page_by_page_the_latest_first(admin: Admin) -> None:
    await write(admin, *({"created_ms": int(NOW * 1000) + number // 2} for number in range(5)))
    seen: list[str] = []
    path = "/requests?limit=2"
    while path:
        page = await admin.get(path)
        seen += [row["id"] for row in page["data"]]
        path = f"/requests?limit=2&cursor={page['next']}" if page["next"] else ""
    assert seen == ["req_4", "req_3", "req_2", "req_1", "req_0"]


async def test_a_request_is_found_by_its_id_however_long_ago_it_was(admin: Admin) -> None:
    await write(admin, {}, {"id": "req_old", "created_ms": 1}, {})
    answer = await admin.get("/requests?id=req_old")
    assert [row["id"] for row in answer["data"]] == ["req_old"]
    assert (await admin.get("/requests?id=req_nowhere"))["data"] == []


async def test_requests_can_be_filtered(admin: Admin) -> None:
    await write(admin, {}, {"end": "timed_out"}, {"model": "slow"}, {"key": "x", "key_name": "y"})
    for query, expected in (
        ("end=timed_out", ["req_1"]),
        ("model=slow", ["req_2"]),
        ("key=y", ["req_3"]),
        ("provider=none", []),
    ):
        assert [row["id"] for row in (await admin.get(f"/requests?{query}"))["data"]] == expected


async def test_one_request_is_shown_with_its_attempts(admin: Admin) -> None:
    await write(admin, {"id": "req_1"})

    answer = await admin.get("/requests/req_1")

    assert answer["request"] == (await admin.get("/requests?id=req_1"))["data"][0]
    [attempt] = answer["attempts"]
    assert (attempt["number"], attempt["state"], attempt["end"]) == (1, "settled", "completed")
    assert (attempt["uncached_tokens"], attempt["output_tokens"], attempt["cost_usd"]) == (10, 7, "0.0015")
    assert (attempt["provider"], attempt["borne_usd"]) == ("lab", None)


async def test_a_request_under_way_has_attempts_only(admin: Admin) -> None:
    async with admin.database.engine.begin() as connection:
        row = {**OPENED, "request": "req_1", "number": 1, "state": "open", "created_ms": 0, "started_ms": 0}
        own = {name: value for name, value in ROW.items() if name in ATTEMPTS.c}
        await connection.execute(ATTEMPTS.insert().values(own | row | {"end": None, "usage_source": None}))

    answer = await admin.get("/requests/req_1")

    assert answer["request"] is None
    assert [(attempt["state"], attempt["end"]) for attempt in answer["attempts"]] == [("open", None)]


async def test_a_request_that_is_not_there_is_not_found(admin: Admin) -> None:
    status, answer = await admin.ask("GET", "/requests/req_nowhere")
    assert (status, answer["error"]["code"]) == (404, "request_not_found")
