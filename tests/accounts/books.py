"""What tests of the ledger share: requests to write down, and what the tables say afterwards."""

import itertools
from typing import Any

import sqlalchemy as sa

from penstock.accounts.entries import Intent, Outcome, Progress, Try
from penstock.accounts.keys import Budget, Key, Limits
from penstock.accounts.prices import Price
from penstock.core.outcome import End
from penstock.core.usage import UNKNOWN, Usage
from penstock.store.database import Database
from penstock.store.schema import ATTEMPTS, BUDGETS, PROCESSES, RATES, REQUESTS

NOW = 1_795_000_000.0
"""2026-11-18, in the morning."""

PRICE = Price(uncached=1_000_000, output=5_000_000, version="test")
"""A dollar per million tokens of input, five for output: 1000 and 5000 nano-dollars per token."""

FREE = Key("free", "free")

_numbers = itertools.count(1)


class Clock:
    """A clock that stands."""

    def __init__(self) -> None:
        self.seconds = NOW

    def __call__(self) -> float:
        return self.seconds


def money(limit: int) -> Key:
    return Key("money", "money", budget=Budget(limit, "usd", "month"))


def limited(limits: Limits) -> Key:
    return Key("limited", "limited", limits=limits)


def intent(key: Key = FREE, request: str | None = None, stream: bool = True) -> Intent:
    return Intent(request or f"req_{next(_numbers)}", key, "demo/m", "anthropic", stream, int(NOW * 1000))


def attempt(
    input_tokens: int = 100, max_output: int | None = 100, price: Price | None = PRICE, provider: str = "demo"
) -> Try:
    return Try(provider, "m", "openai-chat", input_tokens, max_output, price)


def outcome(uncached: int = 100, output: int = 100, end: End = "completed") -> Outcome:
    return Outcome(end, None, Usage(uncached=uncached, output=output), "provider", 50, 200)


def nothing_seen() -> Progress:
    return Progress(UNKNOWN, 0)


class Books:
    """The tables, read."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def attempts(self) -> list[Any]:
        return await self._all(sa.select(ATTEMPTS).order_by(ATTEMPTS.c.request, ATTEMPTS.c.number))

    async def requests(self) -> list[Any]:
        return await self._all(sa.select(REQUESTS).order_by(REQUESTS.c.id))

    async def processes(self) -> list[str]:
        return [row.id for row in await self._all(sa.select(PROCESSES))]

    async def budget(self) -> tuple[int, int]:
        """Return what is spent and held of the only budget."""
        rows = await self._all(sa.select(BUDGETS.c.spent, BUDGETS.c.held))
        return (int(rows[0].spent), int(rows[0].held)) if rows else (0, 0)

    async def streams(self) -> int:
        rows = await self._all(sa.select(RATES.c.value).where(RATES.c.kind == "streams"))
        return sum(int(row.value) for row in rows)

    async def _all(self, query: sa.Select[Any]) -> list[Any]:
        async with self._database.reading() as connection:
            return list((await connection.execute(query)).all())
