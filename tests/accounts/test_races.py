"""A call is charged at most once, whatever ends it, and whatever else ends it at the same moment."""

import asyncio
import contextlib
import random

import pytest

from penstock.accounts.account import Account
from penstock.accounts.keys import Budget, Key, Limits
from penstock.accounts.ledger import Ledger
from penstock.core.errors import Fault
from penstock.core.outcome import End
from penstock.store.database import Database
from tests.accounts.books import Books, attempt, intent, nothing_seen, outcome

pytestmark = pytest.mark.anyio

KEY = Key("k", "k", limits=Limits(streams=10**6, tokens_per_minute=10**12), budget=Budget(10**15, "usd", "total"))
ENDS: tuple[End, ...] = ("completed", "failed", "client_gone", "timed_out", "cancelled")
SEEDS = 1000
AT_ONCE = 250


async def end_at_once(ledger: Ledger, seed: int) -> None:
    """Have one request end in every way at once: some wait, some are cancelled while they do, one tries once more."""
    drawn = random.Random(seed)
    account = await ledger.open(intent(KEY, f"r{seed}"), attempt(), nothing_seen)
    enders = [asyncio.ensure_future(end(account, drawn, how)) for how in drawn.sample(ENDS, len(ENDS))]
    if drawn.random() < 0.3:
        enders.append(asyncio.ensure_future(try_again(account, drawn)))
    for ender in drawn.sample(enders, drawn.randrange(len(enders))):
        await passes(drawn)
        ender.cancel()
    await asyncio.wait(enders)
    await account.settle(outcome())


async def end(account: Account, drawn: random.Random, how: End) -> None:
    await passes(drawn)
    await account.settle(outcome(uncached=drawn.randrange(1000), output=drawn.randrange(1000), end=how))


async def try_again(account: Account, drawn: random.Random) -> None:
    await passes(drawn)
    if account.settling is None:
        with contextlib.suppress(Fault):
            await account.retry(outcome(output=0, end="failed"), attempt())


async def passes(drawn: random.Random) -> None:
    for _ in range(drawn.randrange(4)):
        await asyncio.sleep(0)


@pytest.mark.promise("3.7")
@pytest.mark.parametrize("location", ["sqlite"], indirect=True)
async def test_a_thousand_races_to_the_end_charge_each_request_once(
    ledger: Ledger, books: Books, database: Database
) -> None:
    for first in range(0, SEEDS, AT_ONCE):
        await asyncio.gather(*(end_at_once(ledger, seed) for seed in range(first, first + AT_ONCE)))
    await ledger.close()

    requests, attempts = await books.requests(), await books.attempts()
    assert len(requests) == SEEDS
    assert sum(row.state == "settled" for row in attempts) == SEEDS
    assert not [row for row in attempts if row.state == "open"]
    assert await books.budget() == (sum(row.cost for row in requests), 0)
    assert await books.streams() == 0
