"""Conservation: whatever happens in whatever order, the ledger, the budget and the slots tell the same story."""

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from penstock.accounts.account import Account
from penstock.accounts.entries import Progress
from penstock.accounts.keys import Budget, Key, Limits
from penstock.accounts.ledger import Ledger
from penstock.core.errors import ClientFault
from penstock.core.usage import UNKNOWN, Usage
from penstock.store.database import Database
from tests.accounts.books import Books, Clock, attempt, intent
from tests.accounts.books import outcome as came_to

CAP = 100_000_000
KEY = Key("k", "k", limits=Limits(streams=6), budget=Budget(CAP, "usd", "total"))

pick = st.integers(0, 5)
tokens = st.integers(0, 10_000)


class Conservation(RuleBasedStateMachine):
    """Several requests of one key, in one process after the other."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.directory = TemporaryDirectory()
        self.live: list[tuple[Account, list[int]]] = []
        self.settled = 0
        self.opened = 0

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.run(coroutine)

    @initialize()
    def begin(self) -> None:
        path = Path(self.directory.name)
        self.database = self.run(Database.open(path / "penstock.db"))
        self.books = Books(self.database)
        self.run(self._start())

    async def _start(self) -> None:
        self.ledger = Ledger(self.database, Path(self.directory.name) / "processes", now=Clock())
        await self.ledger.start()

    @rule(input_tokens=st.integers(1, 5_000), max_output=st.integers(1, 20_000))
    def open(self, input_tokens: int, max_output: int) -> None:
        seen = [0]
        try:
            account = self.run(
                self.ledger.open(
                    intent(KEY),
                    attempt(input_tokens, max_output),
                    lambda: Progress(Usage(uncached=input_tokens), seen[0]) if seen[0] else Progress(UNKNOWN, 0),
                )
            )
        except ClientFault:
            pass
        else:
            self.live.append((account, seen))
            self.opened += 1

    @precondition(lambda self: self.live)
    @rule(which=pick, output=tokens)
    def produce(self, which: int, output: int) -> None:
        account, seen = self.live[which % len(self.live)]
        seen[0] = min(max(seen[0], output), account.covered)

    @rule()
    def note(self) -> None:
        async def note() -> None:
            self.ledger.note_progress()
            if self.ledger._noting is not None:
                await self.ledger._noting

        self.run(note())

    @precondition(lambda self: self.live)
    @rule(which=pick, output=tokens)
    def extend(self, which: int, output: int) -> None:
        account, _ = self.live[which % len(self.live)]
        covered = account.covered
        extended = self.run(account.extend(output))
        assert account.covered == (max(output, covered) if extended else covered)

    @precondition(lambda self: self.live)
    @rule(which=pick, input_tokens=st.integers(1, 5_000))
    def retry(self, which: int, input_tokens: int) -> None:
        account, seen = self.live[which % len(self.live)]
        try:
            self.run(account.retry(came_to(1, min(seen[0], account.covered), "failed"), attempt(input_tokens, 3000)))
        except ClientFault:
            pass
        else:
            seen[0] = 0

    @precondition(lambda self: self.live)
    @rule(which=pick, times=st.integers(1, 3))
    def settle(self, which: int, times: int) -> None:
        account, seen = self.live.pop(which % len(self.live))

        async def settle() -> None:
            outcome = came_to(1, min(seen[0], account.covered))
            costs = await asyncio.gather(*(account.settle(outcome) for _ in range(times)))
            assert len(set(costs)) == 1

        self.run(settle())

    @rule()
    def crash_and_recover(self) -> None:
        async def crash() -> None:
            if self.ledger._ticking is not None:
                self.ledger._ticking.cancel()
            await self.ledger._store.close()
            self.ledger._processes.release()
            await self._start()

        self.run(crash())
        assert len(self.ledger.recovered) == len(self.live)
        self.live.clear()

    @invariant()
    def is_conserved(self) -> None:
        if not hasattr(self, "books"):
            return
        attempts, requests = self.run(self.books.attempts()), self.run(self.books.requests())
        spent, held = self.run(self.books.budget())
        still_open = [row for row in attempts if row.state == "open"]
        of_requests = {row.id for row in requests}
        assert sum(row.cost for row in attempts if row.state != "open") == spent
        assert sum(row.cost for row in requests) == sum(row.cost for row in attempts if row.request in of_requests)
        assert sum(row.hold for row in still_open) == held
        assert spent + held <= CAP
        assert self.run(self.books.streams()) == len(still_open) == len(self.live)
        assert len(requests) == self.opened - len(self.live)

    def teardown(self) -> None:
        if hasattr(self, "books"):
            self.run(self.ledger.close())
            self.run(self.database.close())
        self.runner.close()
        self.directory.cleanup()


@pytest.mark.promise("3.8")
class TestConservation(Conservation.TestCase):
    settings = settings(max_examples=settings().max_examples // 10, stateful_step_count=20, deadline=None)
