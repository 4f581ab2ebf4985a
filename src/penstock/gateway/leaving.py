"""What becomes of an answer when its client leaves.

Its provider is told at once, however silent it is: the call is cancelled, and settled with what was received. Some
providers go on and bill all of it whoever listens; theirs is read to the end, for the count of what is paid anyway.

    outlet = Outlet(client)                 what the answer is written to
    leaving = Leaving(run, outlet, drains)  from here on the client may leave
    ...
    leaving.why                             it did, or somebody cancelled the call in its name

Who waits for a whole answer is a `Waiter` instead: nothing is written to it meanwhile.
"""

import asyncio
from collections.abc import Callable

from penstock.gateway.call import STALLED, CallCancelledError, Client, ClientStalledError, OnGone
from penstock.gateway.run import Run

MAX_DRAINS = 64
"""Answers at once that are read for nobody."""

DRAIN_SECONDS = 120.0
"""Time that each of them is given."""

DRAIN_BYTES = 64 * 1024 * 1024
"""Size that each of them is given, as its client would have got it."""

LeavingError = ConnectionError | CallCancelledError


class Outlet:
    """A client that another can take the place of, as long as the answer is under way."""

    __slots__ = ("abort", "drained", "end", "on_gone", "push", "start")

    def __init__(self, client: Client) -> None:
        self.lead_to(client)

    def lead_to(self, client: Client) -> None:
        """Write to another client from now on."""
        self.start = client.start
        self.push = client.push
        self.drained = client.drained
        self.end = client.end
        self.abort = client.abort
        self.on_gone = client.on_gone


class Waiter:
    """A client of a whole answer: until that is there it can do nothing but leave."""

    __slots__ = ("on_gone",)

    def __init__(self, on_gone: Callable[[OnGone], object]) -> None:
        """Take what is told whom to call when it leaves."""
        self.on_gone = on_gone

    def lead_to(self, client: Client) -> None:
        """Write to nobody, as before."""


class Drain:
    """Takes the rest of an answer for nobody, up to a limit."""

    def __init__(self, full: Callable[[], object]) -> None:
        self._full = full
        self._left = DRAIN_BYTES

    async def start(self, headers: dict[str, str], data: bytes) -> None:
        """Take the first bytes."""
        self.push(data)

    def push(self, data: bytes) -> bool:
        """Take bytes."""
        self._left -= len(data)
        if self._left < 0:
            self._full()
        return True

    async def drained(self) -> None:
        """Return: there is always room."""

    async def end(self, data: bytes) -> None:
        """Take the last bytes."""

    async def abort(self, data: bytes) -> None:
        """Take the last bytes."""

    def on_gone(self, callback: OnGone) -> None:
        """Never call back."""


class Drains:
    """How many answers are read for nobody. `under_way` of them are."""

    def __init__(self) -> None:
        self.under_way = 0


class Leaving:
    """Waits for the client of one answer to leave. It must be made by the task that serves it.

    Attributes:
        why: what the client did, once it is gone.
    """

    def __init__(self, run: Run, outlet: Outlet | Waiter, drains: Drains) -> None:
        self.why: LeavingError | None = None
        self._run = run
        self._outlet = outlet
        self._drains = drains
        self._task = asyncio.current_task()
        self._timer: asyncio.TimerHandle | None = None
        self._stopped = False
        outlet.on_gone(self._gone)

    def over(self) -> None:
        """Note that the answer is over, and that nothing more depends on the client."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._drains.under_way -= 1
        if self._stopped and self._task is not None:
            self._task.uncancel()
        self._task = None

    def _gone(self, why: LeavingError) -> None:
        if self._task is None or self.why is not None:
            return
        self.why = why
        self._run.abandoned = True
        attempt = self._run.attempt
        billed = attempt is not None and attempt.provider.bills_aborted and isinstance(why, ConnectionError)
        if billed and self._drains.under_way < MAX_DRAINS:
            self._drains.under_way += 1
            self._timer = asyncio.get_running_loop().call_later(DRAIN_SECONDS, self._stop)
            self._outlet.lead_to(Drain(self._stop))
        else:
            if isinstance(why, ClientStalledError):
                self._run.record.error = STALLED
            self._stop()

    def _stop(self) -> None:
        if self._task is not None and not self._stopped:
            self._stopped = True
            self._task.cancel()
