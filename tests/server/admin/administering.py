"""An admin API on a real socket, over a database of its own, and what a test asks of it."""

import contextlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import aiohttp

from penstock.accounts.admin_tokens import AdminTokens
from penstock.accounts.keys import StaticKey
from penstock.accounts.manage import KeyManager
from penstock.accounts.prices import PriceBook
from penstock.config import AdminSettings, Config
from penstock.core.errors import ConfigError
from penstock.core.secret import Secret
from penstock.server.admin.desk import Desk
from penstock.server.admin.opening import open_admin
from penstock.server.admin.shapes import Reloaded
from penstock.server.metrics import Metrics
from penstock.store.adminfile import AdminFile
from penstock.store.database import Database
from penstock.store.keys import KeyStore
from penstock.store.usage import UsageStore
from penstock.upstreams.catalog import Catalog
from penstock.upstreams.settings import AliasSettings, ProviderSettings

BASE = "/admin/api/v1"
TOKEN = "admin-token-canary-0123456789"
STATIC_KEY = "static-key-canary-0123456789"
UPSTREAM_KEY = "sk-upstream-canary-0123456789"
PEPPER = b"pepper-canary-0123456789abcdefgh"
NOW = 1_795_000_000.0
"""2026-11-18T11:06:40Z."""

CONFIG = Config(
    source="penstock.toml",
    keys=(StaticKey("ops", Secret(STATIC_KEY)),),
    providers={
        "lab": ProviderSettings(
            title="Lab",
            protocol="openai-chat",
            base_url="http://127.0.0.1:9/v1",
            api_key=Secret(UPSTREAM_KEY),
            models=("m",),
        )
    },
    models={"fast": AliasSettings("lab/m")},
)


class Standing:
    """A gateway that stands still: what the admin API sees of one. `mistake` is what a reload finds."""

    def __init__(self) -> None:
        self.address = "http://127.0.0.1:8080"
        self.ready = True
        self.loaded = NOW
        self.config = CONFIG
        self.catalog: Catalog = CONFIG.catalog({}, "http://127.0.0.1:9")
        self.prices: PriceBook = CONFIG.price_book(self.catalog)
        self.mistake = ""
        self.reloads = 0

    async def reload(self) -> Reloaded:
        if self.mistake:
            raise ConfigError(self.mistake)
        self.reloads += 1
        return Reloaded(tuple(self.catalog.providers), len(self.catalog.models()), ())


class Admin:
    """A running admin API and a client of it. `database`, `metrics` and `gateway` are what it works on."""

    def __init__(self, session: aiohttp.ClientSession, desk: Desk, gateway: Standing, database: Database) -> None:
        self.session = session
        self.metrics = desk.metrics
        self.keys = desk.keys
        self.gateway = gateway
        self.database = database
        self.address = ""

    async def ask(self, method: str, path: str, body: Any = None, token: str = TOKEN) -> tuple[int, Any]:
        """Return the status and the decoded body of an answer."""
        given = {} if body is None else {"json": body}
        headers = {"authorization": f"Bearer {token}"}
        async with self.session.request(method, f"{BASE}{path}", headers=headers, **given) as answer:
            return answer.status, await answer.json()

    async def get(self, path: str) -> Any:
        """Return the decoded body of an answer that is a success."""
        status, body = await self.ask("GET", path)
        assert status == 200, body
        return body


@contextlib.asynccontextmanager
async def administering(
    directory: Path, database: Database | None = None, token: str | None = TOKEN, *, open_metrics: bool = False
) -> AsyncIterator[Admin]:
    """Run an admin API; without a token of the test's own it takes what stands in the directory."""
    async with contextlib.AsyncExitStack() as opened:
        if database is None:
            database = await Database.open(None)
            opened.push_async_callback(database.close)
        gateway = Standing()
        keys = KeyManager(KeyStore(database), PEPPER)
        desk = Desk(keys, UsageStore(database), Metrics(), gateway, "sqlite", NOW, lambda: NOW)
        settings = AdminSettings(port=0, token=Secret(token) if token else None, open_metrics=open_metrics)
        tokens = AdminTokens(settings.token, AdminFile(directory), PEPPER)
        listener = await open_admin(settings, desk, tokens)
        assert listener is not None
        opened.push_async_callback(listener.close)
        address = "http://{}:{}".format(*listener.addresses[0])
        session = await opened.enter_async_context(aiohttp.ClientSession(address))
        admin = Admin(session, desk, gateway, database)
        admin.address = address
        yield admin


def names(listed: Sequence[dict[str, Any]]) -> list[str]:
    """Return the names of what was listed."""
    return [one["name"] for one in listed]
