"""A call that goes on without its client."""

import asyncio

from penstock.gateway.background import Running
from penstock.gateway.call import Call
from penstock.gateway.journal import Journal


class Detached:
    """A call that goes on by itself.

    Attributes:
        id: what its key knows it by.
        owner: the id of that key.
        call: what was asked.
        print: the fingerprint of what was asked.
        journal: what it becomes.
        running: what is told of it where it runs in the background.
        task: that serves it; None if another process does, or did.
        cancelled: whether somebody asked for its end.
    """

    def __init__(self, id_: str, call: Call, print_: bytes, journal: Journal, running: Running | None = None) -> None:
        self.id = id_
        self.owner = call.key.id
        self.call = call
        self.print = print_
        self.journal = journal
        self.running = running
        self.task: asyncio.Task[None] | None = None
        self.cancelled = False

    @property
    def state(self) -> str:
        """What has become of it, in a word."""
        if not self.journal.over:
            return "running"
        if self.cancelled:
            return "cancelled"
        return self.journal.ended or "failed"
