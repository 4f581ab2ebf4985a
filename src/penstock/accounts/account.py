"""One request's account in the ledger: what it holds, the attempt that is under way, and its end.

No wait is cancelled inside the store: whoever is cancelled while he waits leaves a callback behind, which puts things
right once it is known what happened.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

import structlog

from penstock.accounts import budgets, rates
from penstock.accounts.admission import cover_of, expected_tokens, hold_of, unavailable
from penstock.accounts.entries import (
    NOTHING,
    Attempt,
    Intent,
    Outcome,
    Progress,
    Single,
    Totals,
    Try,
    cost_of,
    noted_row,
    opened_row,
    settled_row,
    unpriced_of,
)
from penstock.core.usage import UNKNOWN, Usage
from penstock.store.errors import StoreUnavailableError
from penstock.store.ledger import Claims, Extension, Hold, LedgerStore, Opening, Refusal, Release, Retrial, Settlement
from penstock.store.ledger_rows import NotedRow, OpenedRow
from penstock.store.pending import Pending, wake

ADMISSION_PATIENCE = 5.0
"""Seconds that a request waits for the store before it is refused."""

SETTLEMENT_PATIENCE = 1.0
"""Seconds that the end of an answer waits for the store. It is settled all the same, later."""

FIRST_PAUSE = 0.1
LONGEST_PAUSE = 5.0
"""Seconds between two tries to settle; the pause doubles from the first to the longest."""

_log = structlog.get_logger("penstock.ledger")


class Patience:
    """Bounds waits for the store, at a fraction of what `asyncio.timeout` costs: every request waits twice.

    All waits have the same length, so they pass in the order in which they began, and one timer does for all: hardly
    one ever passes.
    """

    __slots__ = ("_looking", "_loop", "_seconds", "_waiters")

    def __init__(self, seconds: float) -> None:
        """Belong to the event loop that runs."""
        self._loop = asyncio.get_running_loop()
        self._seconds = seconds
        self._waiters: deque[tuple[float, asyncio.Future[None]]] = deque()
        self._looking = False

    async def done(self, pending: Pending[Any]) -> bool:
        """Wait; return whether it is done."""
        if pending.done():
            return True
        waiter: asyncio.Future[None] = self._loop.create_future()
        pending.add_done_callback(partial(wake, waiter))
        while self._waiters and self._waiters[0][1].done():
            self._waiters.popleft()  # or thousands that are over would be kept until the timer passes
        self._waiters.append((self._loop.time() + self._seconds, waiter))
        if not self._looking:
            self._looking = True
            self._loop.call_later(self._seconds, self._look)
        await waiter
        return pending.done()

    def _look(self) -> None:
        """Wake those that have waited too long, and look again when the first of the others will have."""
        now = self._loop.time()
        while self._waiters and (self._waiters[0][1].done() or self._waiters[0][0] <= now):
            wake(self._waiters.popleft()[1])
        self._looking = bool(self._waiters)
        if self._looking:
            self._loop.call_later(self._waiters[0][0] - now, self._look)


class Seat:
    """What an account needs of the ledger.

    Attributes:
        process: its id.
        limited_here: whether rates and slots are the store's.
        gone: called once, when nothing of the account is open any more, with the microseconds by which its key's rate
            of tokens has to be put right.
        unopened: called instead if nothing of it ever was.
        admitting: how long a request waits for the store before it is refused.
        settling: how long its end waits.
    """

    __slots__ = ("admitting", "gone", "limited_here", "now", "process", "settling", "store", "unopened")

    def __init__(  # noqa: PLR0917
        self,
        store: LedgerStore,
        process: str,
        limited_here: bool,
        now: Callable[[], float],
        gone: Callable[["Account", int], None],
        unopened: Callable[["Account"], object],
    ) -> None:
        self.store = store
        self.process = process
        self.limited_here = limited_here
        self.now = now
        self.gone = gone
        self.unopened = unopened
        self.admitting = Patience(ADMISSION_PATIENCE)
        self.settling = Patience(SETTLEMENT_PATIENCE)


async def answer_of(pending: Pending[Any], patience: Patience) -> Any:
    """Wait for the store; the job is done, whatever becomes of whoever waits.

    Raises:
        Fault: the store is down, or takes too long (`overloaded`).
    """
    if not await patience.done(pending):
        raise unavailable()
    try:
        return pending.result()
    except StoreUnavailableError as error:
        raise unavailable() from error


class Account:
    """One request's account.

    Attributes:
        intent: whose it is.
        covered: tokens of output that the hold on the budget pays for.
        settling: there from the first call of `settle`; done when it is committed.
    """

    __slots__ = (
        "_aside",
        "_attempt",
        "_called",
        "_correcting",
        "_expected",
        "_hold",
        "_left",
        "_moving",
        "_noted",
        "_numbers",
        "_progress",
        "_seat",
        "_totals",
        "covered",
        "intent",
        "settling",
    )

    def __init__(self, seat: Seat, intent: Intent, first: Try, progress: Callable[[], Progress]) -> None:
        """Make the account of a request that is not yet in the store.

        Raises:
            ClientFault: the budget of its key counts money and no price is known (`billing`).
        """
        self._seat = seat
        self.intent = intent
        self._progress = progress
        self._totals = NOTHING
        self._noted: Progress | None = None
        self._moving: Pending[Any] | None = None
        self._called = True
        self._left = False
        self._aside = 0  # attempts that are open beside the one under way
        self._correcting: int | None = None  # once that is settled, the correction of the key's rate of tokens
        self._numbers = 0
        self.settling: Pending[Any] | None = None
        self._expected = 0 if intent.key.limits.tokens_per_minute is None else expected_tokens(first)
        self._begin(self._attempt_of(first))

    def _attempt_of(self, tried: Try) -> Attempt:
        self._numbers += 1
        return Attempt(self._numbers, int(self._seat.now() * 1000), tried, cover_of(self.intent, tried))

    def _begin(self, attempt: Attempt) -> None:
        self._attempt = attempt
        self._hold = 0 if attempt.cover is None else attempt.cover.amount
        self.covered = budgets.NO_BUDGET if attempt.cover is None else attempt.cover.output

    def _opened_row(self, attempt: Attempt, used: int) -> OpenedRow:
        slot = self._seat.limited_here and self.intent.key.limits.streams is not None
        return opened_row(self.intent, attempt, self._seat.process, slot, self._expected - used)

    @property
    def hold(self) -> Hold | None:
        """What the attempt under way asks of the budget; None if the key has none."""
        return hold_of(self.intent, self._hold)

    async def open(self, claims: Claims | None) -> Refusal | None:
        """Have the store open the first attempt; return what it refused, if anything.

        Raises:
            Fault: the store is down (`overloaded`).
        """
        pending = self._seat.store.submit(Opening(self._opened_row(self._attempt, 0), claims))
        try:
            return await answer_of(pending, self._seat.admitting)
        except BaseException:
            pending.add_done_callback(self._abandon)
            raise

    async def retry(self, outcome: Outcome, next_: Try) -> None:
        """Settle the attempt under way and open the next; or neither, and `settle` has to settle the one under way.

        Raises:
            ClientFault: the budget does not allow it (`billing`).
            Fault: the store is down (`overloaded`).
        """
        attempt, price = self._attempt, self._attempt.tried.price
        cost, unpriced = cost_of(price, outcome.usage), unpriced_of(price, outcome.usage)
        following, totals = self._attempt_of(next_), self._totals.plus(outcome.usage, cost, unpriced)
        job = Retrial(
            settled_row(self.intent.request, attempt.number, outcome, cost, "retried", unpriced=unpriced),
            self._opened_row(following, totals.usage.total),
            self.intent.key.id,
            self._used(outcome.usage, cost),
            None if following.cover is None else hold_of(self.intent, following.cover.amount),
        )
        self._moving = pending = self._seat.store.submit(job)
        pending.add_done_callback(partial(self._move, totals, following))
        refused = await answer_of(pending, self._seat.admitting)
        if refused == "lost":
            raise unavailable()
        if refused is not None and self.intent.key.budget is not None:
            raise budgets.exceeded(self.intent.key.budget, self.intent.created_ms)
        self._called = True

    def _move(self, totals: Totals, following: Attempt, pending: Pending[Any]) -> None:
        self._moving = None
        if pending.exception() is None and pending.result() is None:
            self._totals = totals
            self._noted = None
            self._called = False  # until whoever waits for it has heard of it
            self._begin(following)

    async def beside(self, tried: Try) -> Attempt:
        """Open an attempt beside the one under way, with a hold of its own; return it.

        Raises:
            ClientFault: the budget does not allow it (`billing`).
            Fault: the store is down (`overloaded`).
        """
        attempt, key = self._attempt_of(tried), self.intent.key
        hold = None if attempt.cover is None else hold_of(self.intent, attempt.cover.amount)
        claims = None if hold is None else Claims(key.id, 0, None, (), hold)
        pending = self._seat.store.submit(Opening(self._opened_row(attempt, self._totals.usage.total), claims))
        self._aside += 1
        try:
            refused = await answer_of(pending, self._seat.admitting)
        except BaseException:
            pending.add_done_callback(partial(self._abandon_aside, attempt))
            raise
        if refused is not None and key.budget is not None:
            self._put_away()
            raise budgets.exceeded(key.budget, self.intent.created_ms)
        return attempt

    def swap(self, aside: Attempt) -> Attempt:
        """Have an attempt take the place of the one under way, of which there is no output; return that one."""
        attempt = self._attempt
        self._noted = None
        self._begin(aside)
        return attempt

    def call_off(self, aside: Attempt, outcome: Outcome) -> None:
        """Settle an attempt that is open beside the one under way. It costs its key nothing: that asked for one."""
        price, hold = aside.tried.price, hold_of(self.intent, 0)
        cost, unpriced = cost_of(price, outcome.usage), unpriced_of(price, outcome.usage)
        settlement = Settlement(
            settled_row(self.intent.request, aside.number, outcome, cost, "retried", cost, unpriced),
            None if hold is None else Release(self.intent.key.id, hold.unit, hold.period, 0, False, 0),
        )
        self._submit(settlement, self._put_away, FIRST_PAUSE)

    def _abandon_aside(self, aside: Attempt, pending: Pending[Any]) -> None:
        """Settle an attempt that nobody waited for, if it was opened."""
        if pending.exception() is not None or pending.result() is not None:
            self._put_away()
        else:
            self.call_off(aside, Outcome("client_gone", None, UNKNOWN, "estimate", None, 0))

    def _put_away(self) -> None:
        self._aside -= 1
        self._forget()

    def _forget(self) -> None:
        if self._correcting is not None and not self._aside:
            self._seat.gone(self, self._correcting)

    async def extend(self, output_tokens: int) -> bool:
        """Have the hold cover this much output in all; return False if the budget does not allow it.

        Raises:
            Fault: the store is down (`overloaded`).
        """
        budget = self.intent.key.budget
        if budget is None or output_tokens <= self.covered:
            return True
        tried = self._attempt.tried
        cover = budgets.cover(budget, tried.price, tried.input_tokens, output_tokens, tried.service_tier)
        hold = hold_of(self.intent, cover.amount - self._hold)
        if hold is None:
            return True
        job = Extension(self.intent.request, self._attempt.number, self.intent.key.id, hold)
        extended: bool = await answer_of(self._seat.store.submit(job), self._seat.admitting)
        if extended:
            self._hold, self.covered = cover.amount, cover.output
        return extended

    async def settle(self, outcome: Outcome, single: Single | None = None) -> int | None:
        """Settle the request; return its cost in nano-dollars, None if of something no price is known.

        Only the first call counts, the others wait with it: a second at most, for it is settled as soon as it can be.
        Where attempts cost more than a `single` run of the answer would have, that is all that is charged.
        """
        if self.settling is None:
            self.settling = Pending()
            if self._moving is None:
                self._settle(outcome, single)
            else:
                self._moving.add_done_callback(lambda _: self._settle(outcome, single))
        await self._seat.settling.done(self.settling)
        return None if self._totals.unpriced else self._totals.cost

    def leave(self) -> None:
        """Try no more to settle: the store is closed."""
        self._left = True

    def _settle(self, outcome: Outcome, single: Single | None = None) -> None:
        if not self._called:
            outcome = Outcome(outcome.end, outcome.error, UNKNOWN, "estimate", None, 0)
        price = self._attempt.tried.price
        cost, unpriced = cost_of(price, outcome.usage), unpriced_of(price, outcome.usage)
        self._totals = self._totals.plus(outcome.usage, cost, unpriced)
        used, borne = self._used(outcome.usage, cost), None
        if single is not None:
            whole, self._totals = self._totals, self._totals.capped(single)
            used += self._used(self._totals.usage, self._totals.cost) - self._used(whole.usage, whole.cost)
            borne = None if whole.cost is None else whole.cost - (self._totals.cost or 0)
        if borne is None and self._attempt.number < self._numbers:
            borne = 0  # says that there are others, although this is the first
        correction = self._correction()
        settlement = Settlement(
            settled_row(self.intent.request, self._attempt.number, outcome, cost, borne=borne, unpriced=unpriced),
            self._release(used, correction),
        )
        self._submit(settlement, partial(self._over, correction), FIRST_PAUSE)

    def _over(self, correction: int) -> None:
        self._correcting = correction
        self._forget()
        if self.settling is not None:
            self.settling.set_result(None)

    def _submit(self, settlement: Settlement, then: Callable[[], None], pause: float) -> None:
        pending = self._seat.store.submit(settlement)
        pending.add_done_callback(partial(self._settled, settlement, then, pause))

    def _settled(self, settlement: Settlement, then: Callable[[], None], pause: float, pending: Pending[Any]) -> None:
        error = pending.exception()
        if error is None:
            then()
        elif not self._left:
            _log.warning("ledger.settle", request=self.intent.request, error=str(error), retry_in=pause)
            again = min(pause * 2, LONGEST_PAUSE)
            asyncio.get_running_loop().call_later(pause, self._submit, settlement, then, again)

    def _abandon(self, pending: Pending[Any]) -> None:
        """Settle a first attempt that nobody waited for, if it was opened."""
        if pending.exception() is not None or pending.result() is not None:
            self._seat.unopened(self)
        elif self.settling is None:
            self.settling = Pending()
            self._called = False
            self._settle(Outcome("client_gone", None, UNKNOWN, "estimate", None, 0))

    def news(self) -> Progress | None:
        """Return what was seen so far, if it is not what was noted last."""
        if self.settling is not None:
            return None
        progress = self._progress()
        if progress == self._noted or not (progress.usage.known or progress.output_tokens):
            return None
        return progress

    def noted_row(self, progress: Progress, now_ms: int) -> NotedRow:
        """Return what is noted of the attempt under way."""
        return noted_row(self.intent.request, self._attempt.number, progress, now_ms)

    def noted(self, progress: Progress) -> None:
        """Remember what was noted."""
        self._noted = progress

    def _used(self, usage: Usage, cost: int | None) -> int:
        """Return what is spent of the budget, in its unit."""
        budget = self.intent.key.budget
        return usage.total if budget is not None and budget.unit == "tokens" else cost or 0

    def _correction(self) -> int:
        """Return by how many microseconds the key's rate of tokens has to be put right."""
        limit = self.intent.key.limits.tokens_per_minute
        if limit is None:
            return 0
        return rates.charge(self._totals.usage.total, limit) - rates.charge(self._expected, limit)

    def _release(self, used: int, correction: int) -> Release | None:
        key, here = self.intent.key, self._seat.limited_here
        slot = here and key.limits.streams is not None
        hold = hold_of(self.intent, 0)
        if not slot and hold is None and not (here and correction):
            return None
        unit, period = (None, None) if hold is None else (hold.unit, hold.period)
        return Release(key.id, unit, period, used, slot, correction if here else 0)
