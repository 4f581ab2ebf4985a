"""What the connections of one listener have in common."""

import asyncio
from typing import TYPE_CHECKING, Literal

from penstock.config import Limits
from penstock.server.http import Handler

if TYPE_CHECKING:
    from penstock.server.connection import Connection

MAX_REFUSED = 256
"""Connections beyond the limit that are told so at once; any more are closed without a word."""


class Shared:
    """State that connections share.

    Attributes:
        date: the line of the Date header.
        stopping: whether each connection is to end with its answer.
        connections: all that are open, or whose handler still runs.
        empty: set when the last of them has gone.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, handler: Handler, limits: Limits) -> None:
        self.loop = loop
        self.handler = handler
        self.limits = limits
        self.date = b""
        self.stopping = False
        self.connections: set[Connection] = set()
        self.empty = asyncio.Event()
        self.empty.set()

    def enter(self, connection: "Connection") -> None:
        """Take note of a new connection."""
        self.connections.add(connection)
        self.empty.clear()

    def room(self) -> Literal["enough", "to refuse", "none"]:
        """Return whether there is room for the connection that was taken last, or for an answer that says no."""
        more = len(self.connections) - self.limits.connections
        return "enough" if more <= 0 else "to refuse" if more <= MAX_REFUSED else "none"

    def leave(self, connection: "Connection") -> None:
        """Forget a connection."""
        self.connections.discard(connection)
        if not self.connections:
            self.empty.set()
