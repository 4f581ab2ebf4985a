"""The admin API and the gateway, each on its own port: nothing of one is reached by the other, and both serve alike."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from msgspec import Struct

from penstock.accounts.admin_tokens import AdminTokens
from penstock.accounts.directory import KeyDirectory
from penstock.accounts.manage import KeyManager
from penstock.config import Config, parse
from penstock.core.secret import Secret
from penstock.server.admin.routes import BASE, ROUTES
from penstock.server.app import start
from penstock.store.adminfile import AdminFile
from penstock.store.database import Database
from penstock.store.keys import KeyStore
from tests.serving import new_database

pytestmark = pytest.mark.anyio

TOKEN = "admin-token-0123456789"
KEY = "client-key-0123456789"
PEPPER = b"pepper"

TEXT = f"""
[server]
port = 0
[admin]
port = 0
token = "{TOKEN}"
[[keys]]
name = "client"
key = "{KEY}"
[models.quick]
target = "demo/poet"
"""


class Both(Struct):
    """The addresses of a gateway and of its admin API, and the text that a reload reads."""

    data: str
    admin: str
    text: str
    session: aiohttp.ClientSession

    async def admin_ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        headers = {"authorization": f"Bearer {TOKEN}"}
        given = {} if body is None else {"json": body}
        async with self.session.request(method, f"{self.admin}{BASE}{path}", headers=headers, **given) as answer:
            return answer.status, await answer.json()

    async def models(self, key: str) -> tuple[int, set[str]]:
        headers = {"authorization": f"Bearer {key}"}
        async with self.session.get(f"{self.data}/v1/models", headers=headers) as answer:
            body = await answer.json()
            return answer.status, {model["id"] for model in body.get("data", ())}


@pytest.fixture
async def both(tmp_path: Path) -> AsyncIterator[Both]:
    async with contextlib.AsyncExitStack() as opened:
        database = await Database.open(new_database(tmp_path))
        opened.push_async_callback(database.close)
        session = await opened.enter_async_context(aiohttp.ClientSession())
        running = Both("", "", TEXT, session)

        def read() -> Config:
            return parse(running.text, {})

        config, store = read(), KeyStore(database)
        directory = KeyDirectory(PEPPER, config.keys, store)
        service = await start(config, {}, directory, database, tmp_path, read=read)
        opened.push_async_callback(service.close)
        tokens = AdminTokens(Secret(TOKEN), AdminFile(tmp_path), PEPPER)
        running.data = service.address
        running.admin = await service.administer(tokens, KeyManager(store, PEPPER), database) or ""
        yield running


def variants() -> list[tuple[str, str, str]]:
    """Return methods, Host headers and targets: every way that we know to write an admin path."""
    paths = [route.path.replace("{key}", "client") for route in ROUTES]
    targets = dict.fromkeys(
        written
        for path in paths
        for written in (
            path,
            path + "/",
            "/" + path,
            path.upper(),
            path.replace("/admin", "/%61dmin"),
            path.replace("/api", "/./api"),
            path.replace("/api", "/x/../api"),
            path.replace("/", "%2F").replace("%2F", "/", 1),
            path + "?key=" + TOKEN,
            "/v1" + path,
            "/anthropic" + path,
        )
    )
    hosts = ("127.0.0.1:8080", "127.0.0.1:8081", "localhost", "admin")
    methods = ("GET", "POST")
    return [(method, host, target) for target in targets for host in hosts for method in methods]


@pytest.mark.promise("4.16", "5.4")
async def test_every_admin_path_on_the_port_of_clients_is_a_404(both: Both) -> None:
    asked = variants()
    assert len(asked) > 500
    host, _, port = both.data.removeprefix("http://").rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    for method, name, target in asked:
        writer.write(
            f"{method} {target} HTTP/1.1\r\nHost: {name}\r\nAuthorization: Bearer {TOKEN}\r\n"
            "Content-Length: 0\r\n\r\n".encode()
        )
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = next(line for line in head.lower().split("\r\n") if line.startswith("content-length:"))
        await reader.readexactly(int(length.split(":")[1]))
        assert head.startswith("HTTP/1.1 404 "), (method, name, target)
    writer.close()


async def test_an_absolute_target_leads_nowhere_either(both: Both) -> None:
    host, _, port = both.data.removeprefix("http://").rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"GET {both.admin}{BASE}/keys HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode())
    assert (await reader.readline()).startswith(b"HTTP/1.1 400 ")
    writer.close()


@pytest.mark.promise("5.4")
async def test_each_credential_works_on_its_own_port_only(both: Both) -> None:
    assert (await both.models(KEY))[0] == 200
    assert (await both.models(TOKEN))[0] == 401
    assert (await both.admin_ask("GET", "/status"))[0] == 200
    async with both.session.get(f"{both.admin}{BASE}/status", headers={"authorization": f"Bearer {KEY}"}) as answer:
        assert answer.status == 401
    async with both.session.get(f"{both.admin}/v1/models", headers={"authorization": f"Bearer {TOKEN}"}) as answer:
        assert answer.status == 404


async def test_a_key_works_within_a_second_of_being_made_and_no_longer_than_that_when_revoked(both: Both) -> None:
    _, made = await both.admin_ask("POST", "/keys", {"name": "ci", "models": ["demo/*"]})
    await asyncio.sleep(1)
    assert (await both.models(made["secret"]))[0] == 200
    await both.admin_ask("POST", "/keys/ci/revoke")
    await asyncio.sleep(1)
    assert (await both.models(made["secret"]))[0] == 401


async def test_what_clients_use_up_is_told(both: Both) -> None:
    body = {"model": "quick", "messages": [{"role": "user", "content": "hi"}]}
    headers = {"authorization": f"Bearer {KEY}"}
    async with both.session.post(f"{both.data}/v1/chat/completions", json=body, headers=headers) as answer:
        assert answer.status == 200
        request_id = answer.headers["x-request-id"]
    _, usage = await both.admin_ask("GET", "/usage?by=key,model")
    assert [(row["key"], row["model"], row["requests"]) for row in usage["data"]] == [("config:client", "quick", 1)]
    _, requests = await both.admin_ask("GET", "/requests")
    assert [(row["id"], row["end"], row["provider"]) for row in requests["data"]] == [(request_id, "completed", "demo")]
    _, providers = await both.admin_ask("GET", "/providers")
    demo = next(one for one in providers["data"] if one["name"] == "demo")
    assert demo["health"] == {"consecutive_failures": 0, "last_error": None, "last_error_at": None}


async def test_a_reload_changes_what_clients_get(both: Both) -> None:
    both.text = TEXT.replace("models.quick", "models.swift").replace(KEY, KEY[::-1])
    status, reloaded = await both.admin_ask("POST", "/reload")
    assert (status, reloaded["needs_restart"]) == (200, [])
    assert (await both.models(KEY))[0] == 401
    _, models = await both.models(KEY[::-1])
    assert "swift" in models
    assert "quick" not in models


async def test_a_mistake_in_the_file_changes_nothing_for_clients(both: Both) -> None:
    both.text = TEXT.replace("demo/poet", "demi/poet")
    status, body = await both.admin_ask("POST", "/reload")
    assert (status, body["error"]["code"]) == (400, "invalid_configuration")
    assert 'did you mean "demo"?' in body["error"]["message"]
    assert "quick" in (await both.models(KEY))[1]


async def test_no_answer_holds_a_secret_except_the_one_that_makes_it(both: Both) -> None:
    _, made = await both.admin_ask("POST", "/keys", {"name": "ci"})
    _, rotated = await both.admin_ask("POST", "/keys/ci/rotate")
    secrets = [TOKEN, KEY, made["secret"], rotated["secret"]]
    headers = {"authorization": f"Bearer {TOKEN}"}
    for route in ROUTES:
        path = route.path.replace("{key}", "ci")
        if path.endswith("/rotate"):
            continue
        for query in ("", "?revoked=true", "?model=none"):
            async with both.session.request(route.method, f"{both.admin}{path}{query}", headers=headers) as answer:
                told = await answer.text() + str(answer.headers)
            assert not [secret for secret in secrets if secret in told], path
