"""The ledger: every call of a provider, written down before it is made and settled once, whatever ends it.

    ledger = Ledger(database, directory)
    await ledger.start()
    account = await ledger.open(intent, first, progress)   # durable, limits and budget kept, when it returns
    await account.retry(outcome, next_)
    await account.settle(outcome)
    await ledger.close()

Nothing here happens per chunk. Once a second what is under way is asked how far it is; so if the process is killed, the
next one that starts, or one that runs beside it, settles what was left open from what was noted last.
"""

import asyncio
import contextlib
import secrets
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import structlog

from penstock.accounts.account import SETTLEMENT_PATIENCE, Account, Seat, answer_of
from penstock.accounts.admission import SharedLimits, claims_of, fault_of, given_back, request_claim, unavailable
from penstock.accounts.entries import Intent, Progress, Row, Try
from penstock.accounts.giving_back import GivingBack
from penstock.accounts.recovery import Recovered, called_off, limited_elsewhere, recover
from penstock.store.database import Database
from penstock.store.errors import StoreUnavailableError
from penstock.store.ledger import Claims, LedgerStore, Noting, Opening, Recovery, Return
from penstock.store.pending import Pending
from penstock.store.processes import Processes
from penstock.store.upkeep import keep_up

TICK = 1.0
"""Seconds between two looks at what is under way."""

SWEEP_TICKS = 10
"""Ticks between two looks for what was left open, and two signs of life."""

CLOSING_PATIENCE = 5.0
"""Seconds for what is not yet settled when the ledger is closed. What then is not, the next start settles."""

RECOVERED_AT_ONCE = 200
"""Attempts that are recovered in one transaction."""

_log = structlog.get_logger("penstock.ledger")


class Ledger:
    """The ledger of this process. It belongs to the event loop that runs when it is made.

    Attributes:
        recovered: what `start` settled for processes that died.
    """

    def __init__(
        self,
        database: Database,
        directory: Path,
        shared: SharedLimits | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        """Keep the locks of processes in `directory`. `shared` keeps rates and slots; None: the store does."""
        self.recovered: tuple[Recovered, ...] = ()
        self._store = LedgerStore(database)
        self._processes = Processes(database, directory, secrets.token_hex(8))
        self._shared = shared
        self._now = now
        self._seat = Seat(self._store, self._processes.id, shared is None, now, self._gone, self._unopened)
        self._live: dict[str, Account] = {}
        self._noting: Pending[Any] | None = None
        self._ticking: asyncio.Task[None] | None = None
        self._returning = None if shared is None else GivingBack(shared)

    async def start(self) -> None:
        """Settle what dead processes left open, and begin to note progress.

        Raises:
            ConfigError: the lock of this process cannot be taken.
            StoreUnavailableError: the store is down.
        """
        await self._processes.enter(int(self._now()))
        self.recovered = await self.sweep()
        self._ticking = keep_up(self._tick)

    async def close(self) -> None:
        """Wait for what is not yet settled, for some seconds, and end."""
        if self._ticking is not None:
            self._ticking.cancel()
            await asyncio.gather(self._ticking, return_exceptions=True)
        waiting = [account.settling for account in self._live.values() if account.settling is not None]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSING_PATIENCE):
                for settling in waiting:
                    await settling
        for account in self._live.values():
            account.leave()
        await self._store.close()
        if self._returning is not None:
            await self._returning.close(CLOSING_PATIENCE)
        try:
            await self._processes.forget(self._processes.id)
        except StoreUnavailableError as error:
            _log.warning("ledger.close", error=str(error))
        self._processes.release()

    async def open(self, intent: Intent, first: Try, progress: Callable[[], Progress]) -> Account:
        """Write down that a provider will be called. `progress` is asked once a second what was seen so far.

        Raises:
            ClientFault: a limit (`rate_limited`) or the budget (`billing`) of the key does not allow it.
            Fault: the store is down (`overloaded`).
        """
        account = Account(self._seat, intent, first, progress)
        claims = claims_of(intent, first, account.hold, int(self._now() * 1_000_000))
        left = claims
        if claims is not None and self._shared is not None:
            left = await self._claim_shared(self._shared, intent, claims)
        self._live[intent.request] = account
        refusal = await account.open(left)
        if refusal is not None and claims is not None:
            self._unopened(account)
            if self._returning is not None:  # before the refusal is told
                await self._returning.done(SETTLEMENT_PATIENCE)
            raise fault_of(refusal, intent, claims)
        return account

    async def admit(self, intent: Intent) -> None:
        """Let a request through that calls no provider: it is not written down, but it is one of its key's requests.

        Raises:
            ClientFault: the key's rate of requests does not allow it (`rate_limited`).
            Fault: nobody knows, for the store is down (`overloaded`).
        """
        claims = request_claim(intent, int(self._now() * 1_000_000))
        if claims is None:
            return
        if self._shared is not None:
            await self._claim_shared(self._shared, intent, claims)
            return
        admitting = self._store.submit(Opening(None, claims))
        try:
            refusal = await answer_of(admitting, self._seat.admitting)
        except BaseException:
            admitting.add_done_callback(partial(self._take_back, claims))
            raise
        if refusal is not None:
            raise fault_of(refusal, intent, claims)

    async def _claim_shared(self, shared: SharedLimits, intent: Intent, claims: Claims) -> Claims | None:
        """Take what all machines have in common; return what is left for the store."""
        if claims.streams is not None or claims.rates:
            try:
                refusal = await shared.admit(intent.request, claims)
            except StoreUnavailableError as error:
                self._retract(intent)  # perhaps it was admitted, or will be
                raise unavailable() from error
            except asyncio.CancelledError:
                self._retract(intent)
                raise
            if refusal is not None:
                raise fault_of(refusal, intent, claims)
        return None if claims.hold is None else msgspec.structs.replace(claims, streams=None, rates=())

    def _take_back(self, claims: Claims, admitting: Pending[Any]) -> None:
        """Give back what the store has let through meanwhile for somebody who was told that it could not."""
        if admitting.exception() is None and admitting.result() is None:
            self._store.submit(Opening(None, given_back(claims)))

    def _unopened(self, account: Account) -> None:
        """Forget a request that was not opened, and give back all that it had in common."""
        self._live.pop(account.intent.request, None)
        limits = account.intent.key.limits
        if limits.requests_per_minute is not None or _counted_to_the_end(account.intent):
            self._retract(account.intent)

    def _retract(self, intent: Intent) -> None:
        if self._returning is not None:
            self._returning.put(Return(intent.request, intent.key.id, None))

    def _gone(self, account: Account, correction: int) -> None:
        intent = account.intent
        self._live.pop(intent.request, None)
        if self._returning is not None and _counted_to_the_end(intent):
            self._returning.put(Return(intent.request, intent.key.id, correction))

    def note_progress(self) -> None:
        """Submit what has changed since it was noted last, unless that is still under way."""
        if self._noting is not None and not self._noting.done():
            return
        now_ms = int(self._now() * 1000)
        changed = [(account, progress) for account in self._live.values() if (progress := account.news()) is not None]
        if changed:
            rows = [account.noted_row(progress, now_ms) for account, progress in changed]
            self._noting = self._store.submit(Noting(rows))
            self._noting.add_done_callback(partial(_noted, changed))

    async def sweep(self) -> tuple[Recovered, ...]:
        """Settle what dead processes left open, and what of this one nobody knows: a commit whose answer was lost.

        Raises:
            StoreUnavailableError: the store is down.
        """
        mine = self._processes.id
        dead = await self._processes.dead(int(self._now()))
        recovered: list[Recovered] = []
        while True:
            rows = await self._store.open_attempts([mine, *dead], 2 * len(self._live) + RECOVERED_AT_ONCE)
            lost = [row for row in rows if row["process"] != mine or row["request"] not in self._live]
            if not lost:
                break
            recovered += await self._recover(lost[:RECOVERED_AT_ONCE])
        for process in dead:
            await self._processes.forget(process)
        return tuple(recovered)

    async def _recover(self, rows: Sequence[Row]) -> list[Recovered]:
        pairs = [
            recover(row, "failed" if row["process"] == self._processes.id else "crashed")
            for row in sorted(rows, key=lambda row: (row["key"], row["request"], row["number"]))
        ]
        settlements = [
            settlement if following is None or following[0].request != recovered.request else called_off(settlement)
            for (recovered, settlement), following in zip(pairs, (*pairs[1:], None), strict=True)
        ]
        here = [limited_elsewhere(settlement) for settlement in settlements] if self._returning else settlements
        were_open = await self._store.submit(Recovery(here))
        for settlement, was_open in zip(settlements, were_open, strict=True):
            if self._returning and was_open and settlement.release and settlement.row.state == "settled":
                request, release = settlement.row.of_request, settlement.release
                self._returning.put(Return(request, release.key, release.tokens))
        return [recovered for (recovered, _), was_open in zip(pairs, were_open, strict=True) if was_open]

    async def _tick(self) -> None:
        ticks = 0
        while True:
            await asyncio.sleep(TICK)
            self.note_progress()
            ticks += 1
            if ticks % SWEEP_TICKS == 0:
                await self._renew_shared()
                await self._look_after()

    async def _renew_shared(self) -> None:
        """Keep the slots of what is under way, also while the store is down."""
        live = [(account.intent.key, request) for request, account in self._live.items()]
        slots = [(key.id, request) for key, request in live if key.limits.streams is not None]
        if self._shared is not None and slots:
            try:
                await self._shared.renew(slots)
            except StoreUnavailableError as error:  # they are, the next time
                _log.warning("ledger.shared", error=str(error))

    async def _look_after(self) -> None:
        try:
            await self._processes.renew(int(self._now()))
            recovered = await self.sweep()
        except StoreUnavailableError as error:
            _log.warning("ledger.sweep", error=str(error))
        else:
            if recovered:
                _log.warning("ledger.recovered", attempts=len(recovered), requests=[one.request for one in recovered])


def _noted(changed: Sequence[tuple[Account, Progress]], pending: Pending[Any]) -> None:
    if pending.exception() is None:
        for account, progress in changed:
            account.noted(progress)


def _counted_to_the_end(intent: Intent) -> bool:
    """Return whether a request gives something back at its end."""
    limits = intent.key.limits
    return limits.streams is not None or limits.tokens_per_minute is not None
