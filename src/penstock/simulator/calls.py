"""What the simulator remembers of the calls it served, so that a gateway's ledger can be compared with the truth."""

from collections import deque
from typing import Literal

from penstock.core.usage import Usage

REMEMBERED = 10_000
"""Calls kept; the oldest go first. About 1 kB each."""

Ended = Literal[
    "running",
    "complete",  # all of the answer was handed to the socket
    "refused",  # the request was a 4xx
    "fault",  # a fault that was asked for came
    "client_closed",  # the client left before the end
]


class Call:
    """One call and what became of it.

    Attributes:
        id: random; the answer's id is made of it, and the response header `x-request-id` says it.
        model: as the request names it, settings included.
        usage: what the whole answer costs, if it comes that far; a fault may keep it from being said.
        chunks: chunks of output sent so far.
        seals: reasoning signatures that came back in the request, all of them intact.
        seconds: from the request's arrival to the end of the answer.
    """

    def __init__(self, id: str, protocol: str) -> None:  # noqa: A002
        self.id = id
        self.protocol = protocol
        self.model = ""
        self.stream = False
        self.usage = Usage()
        self.chunks = 0
        self.seals = 0
        self.ended: Ended = "running"
        self.seconds: float | None = None


class CallLog:
    """The latest calls, oldest first, and how many are being answered now."""

    def __init__(self) -> None:
        self.live = 0
        self._calls: deque[Call] = deque(maxlen=REMEMBERED)

    def begin(self, call: Call) -> None:
        """Note that a call came."""
        self.live += 1
        self._calls.append(call)

    def end(self, call: Call, seconds: float) -> None:
        """Note that a call is over, however it ended."""
        self.live -= 1
        call.seconds = round(seconds, 6)

    def clear(self) -> None:
        """Forget all calls; those that are running still count as live."""
        self._calls.clear()

    def report(self) -> dict[str, object]:
        """Return the log as `GET /simulator/calls` shows it."""
        return {"live": self.live, "calls": [vars(call) for call in self._calls]}
