"""Answers that run in the background: what is told of one while it runs, and when it is over.

Their ids are the gateway's own, because a client has to have one before any provider has given one. Where a provider's
own stream is handed on, its id is replaced.
"""

from collections.abc import Callable
from typing import Literal

from penstock.core.errors import ErrorInfo, Fault
from penstock.gateway.call import Call, CallCancelledError, Client
from penstock.gateway.journal import Journal
from penstock.protocols.keeping import Background

Status = Literal["queued", "in_progress", "completed", "incomplete", "failed", "cancelled"]


class Running:
    """What is told of one answer.

    Attributes:
        id: of the answer.
        echo: the request as the answer is to repeat it.
        background: how its protocol tells of it.
        waited: whether the client wants the events, and not just the object.
    """

    def __init__(self, call: Call, background: Background) -> None:
        self.id = background.id_of(call.token)
        self.echo = call.inbound.fields
        self.background = background
        self.waited = call.inbound.stream
        self._call = call
        self._outcome = b""

    def told(self, journal: Journal) -> bytes:
        """Return the answer as it stands."""
        return self._outcome or self._unfinished("queued" if journal.headers is None else "in_progress")

    def over(self, last: bytes, failed: Fault | None, cancelled: bool) -> None:
        """Take note of the end, and of the bytes that were the last."""
        outcome = None if cancelled else self.background.outcome(last)
        if outcome is not None:
            self._outcome = outcome
        elif cancelled:
            self._outcome = self._unfinished("cancelled")
        else:
            unknown = ErrorInfo("stream_incomplete", "The answer broke off.")
            self._outcome = self._unfinished("failed", failed.info if failed is not None else unknown)
        self._call, self.echo = self._call.without_body(), {}

    def _unfinished(self, status: Status, error: ErrorInfo | None = None) -> bytes:
        return self.background.unfinished(self._call.reply(), status, error)


class Renaming:
    """A client that gets an answer under another id than its provider gave it."""

    def __init__(self, client: Client, running: Running) -> None:
        self._client = client
        self._running = running
        self._given = self._own = b""
        self.drained = client.drained

    async def start(self, headers: dict[str, str], data: bytes) -> None:
        """Begin with the first bytes."""
        await self._client.start(headers, self._renamed(data))

    def push(self, data: bytes) -> bool:
        """Send bytes."""
        return self._client.push(self._renamed(data))

    async def end(self, data: bytes) -> None:
        """Send the last bytes."""
        await self._client.end(self._renamed(data))

    async def abort(self, data: bytes) -> None:
        """Send the last bytes of an answer that broke."""
        await self._client.abort(self._renamed(data))

    def on_gone(self, callback: Callable[[ConnectionError | CallCancelledError], object]) -> None:
        """As the client does."""
        self._client.on_gone(callback)

    def _renamed(self, data: bytes) -> bytes:
        if not self._given:
            given = self._running.background.given_id(data)
            if given is None:
                return data
            self._given, self._own = f'"{given}"'.encode(), f'"{self._running.id}"'.encode()
        return data if self._given == self._own else data.replace(self._given, self._own)
