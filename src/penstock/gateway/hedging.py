"""Two targets at once, where the first is slower to begin than it usually is: the quicker one answers.

    begun = await hedging.begun(run, open_, others)

It is done before there is any output, and only while both do well. Whoever loses is called off: its connection is
closed, or, where its provider goes on and bills all of it whoever listens, it is read to its end for the count.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable

import structlog

from penstock.core.errors import Fault, UpstreamFault
from penstock.gateway.attempt import Attempt
from penstock.gateway.begun import Begun
from penstock.gateway.leaving import DRAIN_BYTES, DRAIN_SECONDS, MAX_DRAINS, Drains
from penstock.gateway.observer import HedgeOutcome
from penstock.gateway.record import Record
from penstock.gateway.run import Aside, Run
from penstock.routing.latency import Latency

Open = Callable[[Run, Attempt, Record], Awaitable[Begun]]
"""Makes an attempt, and returns its answer as soon as there is output."""

_NEITHER: HedgeOutcome = "neither"

_log = structlog.get_logger("penstock.gateway")


class Hedging:
    """What is known of how long upstreams take, and the attempts that are being called off."""

    def __init__(self, drains: Drains) -> None:
        self._latency = Latency()
        self._drains = drains
        self._leaving: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        """Wait for what is being called off; the connections are closed."""
        if self._leaving:
            await asyncio.wait(self._leaving)

    async def begun(self, run: Run, open_: Open, other: Callable[[], Attempt | None]) -> Begun:
        """Return the answer of the attempt under way, or of another that was quicker.

        Args:
            run: the call; the attempt whose answer is returned, or whose failure is raised, is the one under way.
            open_: makes an attempt.
            other: returns what else may be asked, if something may.

        Raises:
            UpstreamFault: they failed.
        """
        attempt, began = run.attempt, time.monotonic()
        assert attempt is not None, "what is hedged is under way"  # noqa: S101
        patience = self._latency.p95(attempt.upstream)
        if patience is None:
            begun = await open_(run, attempt, run.record)
            self._latency.note(attempt.upstream, time.monotonic() - began)
            return begun
        race, outcome = _Race(run, open_), _NEITHER
        try:
            await asyncio.wait([race.first], timeout=patience)
            if not race.first.done() and (beside := other()) is not None:
                _log.info("stream_hedged", request_id=run.call.id, slow=attempt.upstream, beside=beside.upstream)
                with contextlib.suppress(Fault):  # the key may not, or the ledger cannot: the first goes on
                    race.enter(await run.beside(beside))
            begun = await race.won()
            outcome = "lost" if begun.attempt.upstream == attempt.upstream else "won"
        finally:
            if race.entered:
                run.hedges.append((attempt.provider.name, outcome))
            for loser, task in race.losers():
                self._call_off(run, loser, task)
        self._latency.note(attempt.upstream, time.monotonic() - began)  # at least that long, if it lost
        if begun.attempt.upstream != attempt.upstream:
            self._latency.note(begun.attempt.upstream, time.monotonic() - race.entered)
        return begun

    def _call_off(self, run: Run, loser: Aside | None, task: asyncio.Task[Begun]) -> None:
        leaving = asyncio.get_running_loop().create_task(self._see_out(run, loser, task))
        self._leaving.add(leaving)
        leaving.add_done_callback(self._leaving.discard)

    async def _see_out(self, run: Run, loser: Aside | None, task: asyncio.Task[Begun]) -> None:
        """End an attempt; settle it if it is the `loser`, and not the one under way that somebody else settles."""
        billed = loser is not None and loser.attempt.provider.bills_aborted and not run.abandoned
        if billed and (not task.done() or _good(task)) and self._drains.under_way < MAX_DRAINS:
            self._drains.under_way += 1
            try:
                await _drained(task)
            finally:
                self._drains.under_way -= 1
        task.cancel()
        (result,) = await asyncio.gather(task, return_exceptions=True)
        if isinstance(result, Begun):
            result.response.abort()
        if loser is not None:
            left = ConnectionResetError("the client has left") if run.abandoned else None
            run.call_off(loser, result if isinstance(result, Exception) else left)


async def _drained(task: asyncio.Task[Begun]) -> None:
    """Read an answer to its end for nobody, within limits."""
    with contextlib.suppress(TimeoutError, Fault):
        async with asyncio.timeout(DRAIN_SECONDS):
            begun = await asyncio.shield(task)
            left = DRAIN_BYTES
            while not begun.over and not begun.relay.ended and left > 0 and (chunk := await begun.response.read()):
                begun.relay.feed(chunk)
                left -= len(chunk)


class _Race:
    """State of two attempts, of which the second may never be made."""

    def __init__(self, run: Run, open_: Open) -> None:
        attempt = run.attempt
        assert attempt is not None, "what is hedged is under way"  # noqa: S101
        self._run = run
        self._open = open_
        self._second: asyncio.Task[Begun] | None = None
        self._aside: Aside | None = None  # the one of the two that is not under way
        self._loop = asyncio.get_running_loop()
        self.first = self._loop.create_task(_opened(open_, run, attempt, run.record))
        self._under_way = self.first
        self.entered = 0.0

    def enter(self, aside: Aside) -> None:
        """Let a second attempt take part."""
        self.entered = aside.began
        self._aside = aside
        self._second = self._loop.create_task(_opened(self._open, self._run, aside.attempt, aside.record))

    async def won(self) -> Begun:
        """Return the first answer that there is; it is that of the attempt under way.

        Raises:
            UpstreamFault: there is none. It is the failure of the attempt under way.
        """
        if self._second is not None and not _good(self.first):
            await asyncio.wait([self.first, self._second], return_when=asyncio.FIRST_COMPLETED)
            if self.first.done() and not _good(self.first) and not self._hopeless():
                self._swap()  # what has failed need not be waited for
            elif not self.first.done() and _good(self._second):
                self._swap()
        return await self._under_way

    def losers(self) -> list[tuple[Aside | None, asyncio.Task[Begun]]]:
        """Return what is to be ended now: of a race that was left, also what is under way."""
        ended: list[tuple[Aside | None, asyncio.Task[Begun]]] = []
        if not self._under_way.done():
            ended.append((None, self._under_way))
        if self._aside is not None and self._second is not None:
            ended.append((self._aside, self.first if self._under_way is self._second else self._second))
        return ended

    def _swap(self) -> None:
        if self._aside is not None and self._second is not None:
            self._aside, self._under_way = self._run.swap(self._aside), self._second

    def _hopeless(self) -> bool:
        """Whether the first failed in a way in which the second will, or has failed too."""
        error = self.first.exception()
        second = self._second
        return not isinstance(error, UpstreamFault) or (second is not None and second.done() and not _good(second))


async def _opened(open_: Open, run: Run, attempt: Attempt, record: Record) -> Begun:
    return await open_(run, attempt, record)


def _good(task: asyncio.Task[Begun]) -> bool:
    return task.done() and not task.cancelled() and task.exception() is None
