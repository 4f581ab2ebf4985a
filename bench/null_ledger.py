"""`penstock serve` with a ledger that writes nothing: `python -m bench.null_ledger serve ...`.

What a gateway takes more than this one is what its ledger adds.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from penstock.accounts.budgets import NO_BUDGET
from penstock.accounts.entries import Intent, Outcome, Progress, Single, Try, cost_of
from penstock.cli import app as command
from penstock.server import app
from penstock.store.database import Database


class NullAccount:
    """The account of a request that is written down nowhere."""

    covered = NO_BUDGET

    def __init__(self, tried: Try) -> None:
        self._tried = tried

    async def retry(self, outcome: Outcome, next_: Try) -> None:
        """Go on with the next attempt."""
        self._tried = next_

    async def extend(self, output_tokens: int) -> bool:
        """Allow everything."""
        return True

    async def settle(self, outcome: Outcome, single: Single | None = None) -> int | None:
        """Return the cost, as the real one does."""
        return cost_of(self._tried.price, outcome.usage)


class NullLedger:
    """Takes the place of accounts.ledger.Ledger."""

    recovered = ()

    def __init__(self, database: Database, directory: Path, shared: Any = None) -> None:
        pass

    async def start(self) -> None:
        """Recover nothing."""

    async def close(self) -> None:
        """Wait for nothing."""

    async def open(self, intent: Intent, first: Try, progress: Callable[[], Progress]) -> NullAccount:
        """Admit everybody."""
        return NullAccount(first)

    async def admit(self, intent: Intent) -> None:
        """Let everybody through."""


if __name__ == "__main__":
    setattr(app, "Ledger", NullLedger)  # noqa: B010 - what a composition root composes has no other seam
    command()
