"""A gateway with a price and one key of the test's own, in front of a provider of the test's own, and its books."""

import asyncio
import contextlib
import sqlite3
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from penstock.accounts.directory import KeyDirectory
from penstock.accounts.keys import Key, StaticKey
from penstock.accounts.prices import Price
from penstock.config import Config, ServerSettings
from penstock.core.secret import Secret
from tests.serving import CALLS, KEY, Act, Gateway, Upstream, new_database, replaying, running
from tests.watch import PEPPER, WATCH, tracing

PRICE = Price(uncached=1_000_000, output=5_000_000, version="test")
"""1000 nano-dollars for a token of input, 5000 for one of output."""

FREE = Key("k1", "test")


class Books:
    """The tables of a gateway that runs, read by another connection than its own."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def all(self, table: str) -> list[dict[str, Any]]:
        with contextlib.closing(sqlite3.connect(self._path)) as connection:
            connection.row_factory = sqlite3.Row
            return [dict(row) for row in connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2")]

    def one(self, table: str) -> dict[str, Any]:
        (row,) = self.all(table)
        return row

    async def settled(self) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """Return the attempts of the only request, and its row, when it is over."""
        async with asyncio.timeout(5):
            while not (requests := self.all("requests")):
                await asyncio.sleep(0.01)
        assert len(requests) == 1
        return self.all("attempts"), requests[0]

    @contextlib.contextmanager
    def down(self) -> Any:
        """Let every write fail at once, as on a full disk."""
        tables = ("attempts", "budgets", "rates")
        with contextlib.closing(sqlite3.connect(self._path, isolation_level=None)) as connection:
            for table in tables:
                for verb in ("INSERT", "UPDATE"):
                    connection.execute(
                        f"CREATE TRIGGER down_{verb}_{table} BEFORE {verb} ON {table} "
                        "BEGIN SELECT raise(ABORT, 'the disk is full'); END"
                    )
            yield
            for table in tables:
                for verb in ("INSERT", "UPDATE"):
                    connection.execute(f"DROP TRIGGER down_{verb}_{table}")


class Desk(msgspec.Struct):
    """What a test of the books has: the gateway, its provider, and the books."""

    gateway: Gateway
    upstream: Upstream
    books: Books


@contextlib.asynccontextmanager
async def booking(
    *acts: Sequence[Act],
    protocol: str = "openai-chat",
    key: Key = FREE,
    price: Price | None = PRICE,
    offers: frozenset[str] | None = None,
    provider: Callable[[Any], Any] = lambda settings: settings,
) -> AsyncIterator[Desk]:
    """Run a gateway before a provider `lab` that plays `acts`."""
    with tempfile.TemporaryDirectory() as directory:
        path = new_database(Path(directory))
        async with replaying(*acts) as upstream:
            settings = provider(upstream.provider(protocol))
            if offers is not None:
                settings = msgspec.structs.replace(settings, offers=offers)
            prices = () if price is None else (("lab/*", price),)
            config = Config(server=ServerSettings(port=0), providers={"lab": settings}, prices=prices)
            keys = KeyDirectory(PEPPER, [StaticKey(key.name, Secret(KEY), key)])
            async with (
                running(config, keys, database=path) as service,
                aiohttp.ClientSession(service.address, trace_configs=[tracing()]) as session,
            ):
                yield Desk(Gateway(service.address, session), upstream, Books(path))
        WATCH.see_files(Path(directory))


def whole_call(protocol: str) -> tuple[str, dict[str, Any]]:
    """Return the question of `CALLS` for an answer that is not streamed."""
    path, body = CALLS[protocol]
    if protocol == "gemini":
        return path.replace("streamGenerateContent?alt=sse", "generateContent"), body
    return path, body | {"stream": False}
