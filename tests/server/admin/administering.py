"""An admin API on a real socket, over a database of its own, and what a test asks of it."""

import contextlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import aiohttp

from penstock.accounts.admin_tokens import AdminTokens
from penstock.accounts.directory import KeyDirectory
from penstock.accounts.keys import StaticKey
from penstock.accounts.manage import KeyManager
from penstock.config import AdminSettings, Config
from penstock.core.secret import Secret
from penstock.server.admin.desk import Desk
from penstock.server.admin.opening import open_admin
from penstock.server.metrics import Metrics
from penstock.server.reloading import Serving
from penstock.store.adminfile import AdminFile
from penstock.store.database import Database
from penstock.store.keys import KeyStore
from penstock.store.usage import UsageStore
from penstock.upstreams.settings import AliasSettings, ProviderSettings
from tests.watch import ADMIN_TOKENS, PEPPER, STATIC_KEY, tracing
from tests.watch import ADMINISTERED_KEY as UPSTREAM_KEY

BASE = "/admin/api/v1"
TOKEN = ADMIN_TOKENS[0]
NOW = 1_795_000_000.0
"""2026-11-18T11:06:40Z."""

NOWHERE = "http://127.0.0.1:9"

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
    models={"fast": AliasSettings("lab/m"), "either": AliasSettings(targets=("lab/m", "demo/poet"))},
)


class Admin:
    """A running admin API and a client of it."""

    def __init__(self, session: aiohttp.ClientSession, desk: Desk, database: Database, address: str) -> None:
        self.session = session
        self.desk = desk
        self.database = database
        self.address = address

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
        desk = Desk(
            keys=KeyManager(KeyStore(database), PEPPER),
            usage=UsageStore(database),
            metrics=Metrics(),
            serving=Serving(
                CONFIG, lambda config: config.catalog({}, NOWHERE), KeyDirectory(PEPPER), lambda: CONFIG, lambda: NOW
            ),
            address="http://127.0.0.1:8080",
            ready=lambda: True,
            database="sqlite",
            started=NOW,
            clock=lambda: NOW,
        )
        settings = AdminSettings(port=0, token=Secret(token) if token else None, open_metrics=open_metrics)
        tokens = AdminTokens(settings.token, AdminFile(directory), PEPPER)
        listener = await open_admin(settings, desk, tokens)
        assert listener is not None
        opened.push_async_callback(listener.close)
        address = "http://{}:{}".format(*listener.addresses[0])
        session = await opened.enter_async_context(aiohttp.ClientSession(address, trace_configs=[tracing()]))
        yield Admin(session, desk, database, address)


def names(listed: Sequence[dict[str, Any]]) -> list[str]:
    """Return the names of what was listed."""
    return [one["name"] for one in listed]
