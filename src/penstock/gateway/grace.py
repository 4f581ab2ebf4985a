"""Calls whose client vanished before it had got anything, and whose SDK will ask again at once.

An SDK that gave up waiting says so: its next request is the same, and counts one try more. That one is given the call
that is under way, or its result, instead of a second call that would be paid for, too. Two equal requests are never
taken for one without that: who asks twice wants two answers.

A call is kept for a few seconds only, at the cost of its key, and cancelled if nobody asks again. Once a client has got
its first byte none of this applies: SDKs do not try again then, and a client that leaves ends its call at once.
"""

import asyncio
from collections.abc import Callable

from penstock.core.errors import Fault
from penstock.gateway.call import Call, CallCancelledError, Client, OnGone
from penstock.gateway.journal import Journal
from penstock.gateway.resuming import fingerprint


class Orphan:
    """A call without a client. `tries` is how often its SDK had tried before."""

    def __init__(self, call: Call, tries: int, journal: Journal) -> None:
        self.call = call
        self.tries = tries
        self.journal = journal


class Orphans:
    """The calls that wait for their SDK to ask again."""

    def __init__(self, journal: Callable[[Call], Journal], grace: float) -> None:
        """Write them to journals made by `journal`, and let each wait for `grace` seconds."""
        self._journal = journal
        self._grace = grace
        self._waiting: dict[tuple[str, bytes], dict[Orphan, asyncio.TimerHandle]] = {}

    def hopes(self, tries: int | None) -> bool:
        """Whether a request that says how often it was tried before is worth waiting for."""
        return tries is not None and self._grace > 0

    def abandon(self, call: Call, tries: int, callback: OnGone) -> Orphan:
        """Return the orphan that a call becomes; `callback` is told when nobody has come for it."""
        journal = self._journal(call)
        journal.on_gone(callback)
        orphan = Orphan(call, tries, journal)
        self.wait(orphan)
        return orphan

    def wait(self, orphan: Orphan) -> None:
        """Let a call wait."""
        timer = asyncio.get_running_loop().call_later(self._grace, self._give_up, orphan)
        self._waiting.setdefault(_place(orphan.call), {})[orphan] = timer

    def take(self, call: Call, tries: int | None) -> Orphan | None:
        """Return the call that a request is the next try of, if one waits. It waits no more."""
        if not tries or not self._waiting:
            return None
        for orphan in self._waiting.get(_place(call), {}):
            if orphan.tries == tries - 1:
                self._remove(orphan)
                orphan.tries = tries
                return orphan
        return None

    def failed(self, orphan: Orphan, fault: Fault) -> None:
        """Take note that a call has come to nothing; the next try is another call."""
        self._remove(orphan)
        orphan.journal.fail(fault)

    def done(self, orphan: Orphan) -> None:
        """Forget a call that was taken: its client has it, or has left."""
        orphan.journal.leave(ConnectionResetError("the client has left"))
        orphan.journal.forget()

    def _give_up(self, orphan: Orphan) -> None:
        self._remove(orphan)
        self.done(orphan)

    def _remove(self, orphan: Orphan) -> None:
        place = _place(orphan.call)
        waiting = self._waiting.get(place, {})
        timer = waiting.pop(orphan, None)
        if timer is not None:
            timer.cancel()
        if not waiting:
            self._waiting.pop(place, None)


class Graced:
    """A client that may vanish before it has got anything, and come back."""

    def __init__(self, client: Client, call: Call, tries: int, orphans: Orphans) -> None:
        self._client = client
        self._call = call
        self._tries = tries
        self._orphans = orphans
        self._orphan: Orphan | None = None
        self._begun = False
        self._on_gone: OnGone | None = None

    async def start(self, headers: dict[str, str], data: bytes) -> None:
        """Begin: whoever leaves from now on is gone."""
        self._begun = True
        await self._client.start(headers, data)

    def push(self, data: bytes) -> bool:
        """Send bytes."""
        return self._client.push(data)

    async def drained(self) -> None:
        """Return when there is room."""
        await self._client.drained()

    async def end(self, data: bytes) -> None:
        """Send the last bytes."""
        await self._client.end(data)

    async def abort(self, data: bytes) -> None:
        """Send the last bytes of an answer that broke."""
        await self._client.abort(data)

    def on_gone(self, callback: OnGone) -> None:
        """Call back when the client has left and will not come back."""
        self._on_gone = callback
        self._client.on_gone(self._gone)

    def failed(self, fault: Fault) -> None:
        """Take note that there is no answer."""
        if self._orphan is not None:
            self._orphans.failed(self._orphan, fault)

    def _gone(self, why: ConnectionError | CallCancelledError) -> None:
        assert self._on_gone is not None, "only who asks is called back"  # noqa: S101
        if self._begun:
            self._on_gone(why)
        else:
            self._orphan = self._orphans.abandon(self._call, self._tries, self._on_gone)
            self._client = self._orphan.journal


def _place(call: Call) -> tuple[str, bytes]:
    return call.key.id, fingerprint(call)
