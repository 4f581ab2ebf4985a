"""Providers, prices and the gateway itself by the admin API."""

import asyncio

import pytest
from structlog.testing import capture_logs

from penstock import __version__
from penstock.config import AdminSettings, Config
from penstock.core.errors import ConfigError
from penstock.core.usage import UNKNOWN
from penstock.gateway.observer import Ended
from penstock.server.admin import opening
from tests.server.admin.administering import TOKEN, UPSTREAM_KEY, Admin

pytestmark = pytest.mark.anyio


async def test_providers_are_told_with_what_those_need_that_are_not_set_up(admin: Admin) -> None:
    listed = {one["name"]: one for one in (await admin.get("/providers"))["data"]}
    assert listed["lab"] == {
        "name": "lab",
        "title": "Lab",
        "set_up": True,
        "needs": None,
        "protocols": ["openai-chat"],
        "base_url": "http://127.0.0.1:9/v1",
        "credential": True,
        "models": ["m"],
        "health": None,
    }
    assert listed["openai"]["set_up"] is False
    assert "OPENAI_API_KEY" in listed["openai"]["needs"]
    assert UPSTREAM_KEY not in str(listed)


async def test_the_health_of_a_provider_is_told(admin: Admin) -> None:
    for _ in range(2):
        admin.desk.metrics.observe(
            Ended(
                request="req_1",
                key="k",
                model="fast",
                provider="lab",
                upstream_model="m",
                client_protocol="anthropic",
                upstream_protocol="openai-chat",
                stream=True,
                end="failed",
                error="overloaded",
                finish=None,
                usage=UNKNOWN,
                usage_source="estimate",
                cost=None,
                first_output=None,
                seconds=0.1,
                gaps=None,
            )
        )
    listed = {one["name"]: one for one in (await admin.get("/providers"))["data"]}
    health = listed["lab"]["health"]
    assert (health["consecutive_failures"], health["last_error"]) == (2, "overloaded")
    assert health["last_error_at"].endswith("Z")


async def test_prices_are_told_for_a_model_as_clients_ask_for_it(admin: Admin) -> None:
    (price,) = (await admin.get("/prices?model=demo/poet"))["data"]
    assert (price["provider"], price["upstream_model"], price["source"]) == ("demo", "poet", "free")
    assert price["rates"][0]["input"] == "0.00"
    (price,) = (await admin.get("/prices?model=fast"))["data"]
    assert price == {"model": "fast", "provider": "lab", "upstream_model": "m", "rates": [], "source": None}


async def test_of_a_name_with_several_targets_each_has_its_price(admin: Admin) -> None:
    prices = (await admin.get("/prices?model=either"))["data"]
    assert [(price["model"], price["provider"], price["upstream_model"]) for price in prices] == [
        ("either", "lab", "m"),
        ("either", "demo", "poet"),
    ]


async def test_prices_of_all_listed_models_are_told(admin: Admin) -> None:
    listed = (await admin.get("/prices"))["data"]
    assert {"fast", "lab/m", "demo/poet"} <= {price["model"] for price in listed}


async def test_a_model_that_nobody_serves_has_no_price(admin: Admin) -> None:
    status, body = await admin.ask("GET", "/prices?model=lab/../m")
    assert (status, body["error"]["code"]) == (404, "model_not_found")


async def test_the_state_of_the_gateway_is_told(admin: Admin) -> None:
    status = await admin.get("/status")
    assert (status["version"], status["ready"], status["address"]) == (__version__, True, "http://127.0.0.1:8080")
    assert (status["started"], status["configuration"]) == ("2026-11-18T11:06:40Z", "penstock.toml")


async def test_a_reload_tells_what_it_came_to(admin: Admin) -> None:
    status, body = await admin.ask("POST", "/reload")
    assert (status, "lab" in body["providers"], body["needs_restart"]) == (200, True, [])


async def test_a_mistake_in_the_configuration_is_told_in_its_one_line(
    admin: Admin, monkeypatch: pytest.MonkeyPatch
) -> None:
    mistake = 'penstock.toml: "severs": unknown section; did you mean "server"?'

    def read() -> Config:
        raise ConfigError(mistake)

    monkeypatch.setattr(admin.desk.serving, "_read", read)
    status, body = await admin.ask("POST", "/reload")
    assert (status, body["error"]) == (400, {"code": "invalid_configuration", "message": mistake, "param": None})


async def test_metrics_are_told_as_prometheus_reads_them(admin: Admin) -> None:
    async with admin.session.get("/metrics", headers={"authorization": f"Bearer {TOKEN}"}) as answer:
        assert (answer.status, answer.content_type) == (200, "text/plain")
        assert "penstock_build_info" in await answer.text()


async def test_head_answers_as_get_does_without_a_body(admin: Admin) -> None:
    async with admin.session.head("/metrics", headers={"authorization": f"Bearer {TOKEN}"}) as answer:
        assert (answer.status, await answer.read()) == (200, b"")


async def test_an_address_that_is_taken_is_a_warning_that_tells_what_to_change() -> None:
    server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    with capture_logs() as logs:
        listener = await opening.open_admin(AdminSettings(port=port), None, None)  # pyright: ignore[reportArgumentType]
    server.close()
    assert listener is None
    assert (logs[0]["log_level"], logs[0]["address"]) == ("warning", f"127.0.0.1:{port}")
    assert "[admin] port" in logs[0]["hint"]


async def test_it_can_be_switched_off() -> None:
    assert await opening.open_admin(AdminSettings(enabled=False), None, None) is None  # pyright: ignore[reportArgumentType]
