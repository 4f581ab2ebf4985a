"""Who may administer: the admin token, and nothing else; not even which paths there are is told to others."""

import stat
from pathlib import Path

import pytest

from penstock.accounts import admin_tokens
from penstock.accounts.admin_tokens import AdminTokens
from penstock.core.errors import ConfigError
from penstock.core.secret import Secret
from penstock.server.admin.routes import ROUTES
from penstock.store.adminfile import AdminFile
from tests.server.admin.administering import BASE, PEPPER, STATIC_KEY, TOKEN, Admin, administering

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
async def test_every_operation_wants_the_token(admin: Admin, route: object) -> None:
    method, path = route.method, route.path  # pyright: ignore
    for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": f"Basic {TOKEN}"}, {"x-api-key": TOKEN}):
        async with admin.session.request(method, path, headers=headers) as answer:
            assert (answer.status, answer.headers["www-authenticate"]) == (401, "Bearer")


async def test_paths_that_do_not_exist_look_the_same_without_a_token(admin: Admin) -> None:
    for path in ("/", "/none", BASE, f"{BASE}/none", "/v1/models", "/v1/chat/completions", "/healthz"):
        async with admin.session.get(path) as answer:
            assert answer.status == 401


async def test_keys_are_no_admin_tokens(admin: Admin) -> None:
    _, made = await admin.ask("POST", "/keys", {"name": "ci"})
    for key in (made["secret"], STATIC_KEY, "", "é"):
        assert (await admin.ask("GET", "/status", token=key))[0] == 401


async def test_the_token_works_in_no_other_place_than_the_authorization_header(admin: Admin) -> None:
    async with admin.session.get(f"{BASE}/status?key={TOKEN}") as answer:
        assert answer.status == 401


async def test_nothing_is_kept_by_caches(admin: Admin) -> None:
    async with admin.session.get(f"{BASE}/status", headers={"authorization": f"bearer {TOKEN}"}) as answer:
        assert (answer.status, answer.headers["cache-control"]) == (200, "no-store")


async def test_metrics_can_be_open(tmp_path: Path) -> None:
    async with administering(tmp_path, open_metrics=True) as admin:
        async with admin.session.get("/metrics") as answer:
            assert answer.status == 200
        async with admin.session.get(f"{BASE}/status") as answer:
            assert answer.status == 401


async def test_the_first_token_is_made_once_and_only_its_hash_is_kept(tmp_path: Path) -> None:
    data = tmp_path / "data"
    tokens = AdminTokens(None, AdminFile(data), PEPPER)
    first = await tokens.first()
    assert first is not None
    assert first.reveal().startswith("pad_")
    assert await tokens.first() is None
    assert await tokens.recognise(first.reveal())
    stored = data / "admin.json"
    assert stat.S_IMODE(stored.stat().st_mode) == 0o600
    assert first.reveal() not in stored.read_text()
    assert list(data.iterdir()) == [stored]


async def test_a_new_token_ends_the_one_before_it_on_gateways_that_run(tmp_path: Path) -> None:
    tokens = AdminTokens(None, AdminFile(tmp_path), PEPPER)
    old = await tokens.first()
    assert old is not None
    async with administering(tmp_path, token=None) as admin:
        assert (await admin.ask("GET", "/status", token=old.reveal()))[0] == 200
        new = await tokens.renew()
        assert (await admin.ask("GET", "/status", token=old.reveal()))[0] == 401
        assert (await admin.ask("GET", "/status", token=new.reveal()))[0] == 200


async def test_a_token_of_the_configuration_takes_the_place_of_the_other(tmp_path: Path) -> None:
    old = await AdminTokens(None, AdminFile(tmp_path), PEPPER).first()
    assert old is not None
    tokens = AdminTokens(Secret(TOKEN), AdminFile(tmp_path), PEPPER)
    assert await tokens.recognise(TOKEN)
    assert not await tokens.recognise(old.reveal())
    assert await tokens.first() is None
    with pytest.raises(ConfigError, match="stands in the configuration"):
        await tokens.renew()


async def test_without_any_token_nobody_comes_in(tmp_path: Path) -> None:
    tokens = AdminTokens(None, AdminFile(tmp_path), PEPPER)
    assert not await tokens.recognise("")


async def test_a_damaged_file_lets_nobody_in_and_a_new_token_mends_it(tmp_path: Path) -> None:
    tokens = AdminTokens(None, AdminFile(tmp_path), PEPPER)
    first = await tokens.first()
    assert first is not None
    (tmp_path / "admin.json").write_text("{")
    async with administering(tmp_path, token=None) as admin:
        assert (await admin.ask("GET", "/status", token=first.reveal()))[0] == 401
        assert (await admin.ask("GET", "/status", token=(await tokens.renew()).reveal()))[0] == 200


async def test_tokens_are_compared_in_constant_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[int, int]] = []

    class Comparing:
        @staticmethod
        def compare_digest(one: str, other: str) -> bool:
            compared.append((len(one), len(other)))
            return one == other

    monkeypatch.setattr(admin_tokens, "hmac", Comparing)
    tokens = AdminTokens(Secret(TOKEN), AdminFile(tmp_path), PEPPER)
    for text in (TOKEN, TOKEN[:-1], "x"):
        await tokens.recognise(text)
    assert compared == [(64, 64)] * 3  # hashes, whatever the length of what was sent
