"""What the simulator remembers of the calls it served, so that a gateway's ledger can be compared with the truth."""

import os
import time
from collections import deque
from pathlib import Path
from typing import Literal

import msgspec

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
        output_bytes: UTF-8 bytes of output in them.
        counted: whether the usage was sent.
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
        self.output_bytes = 0
        self.counted = False
        self.seals = 0
        self.ended: Ended = "running"
        self.seconds: float | None = None


class Journal:
    """A file with a line of JSON for each call when it was understood, and one when it is over.

    A line is on the disk before the simulator goes on.
    """

    def __init__(self, path: Path) -> None:
        """Append to the file at `path`.

        Raises:
            OSError: it cannot be opened.
        """
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    def write(self, call: Call) -> None:
        """Write what is known of a call."""
        os.write(self._file, msgspec.json.encode({"at": round(time.time(), 6), **vars(call)}) + b"\n")
        os.fsync(self._file)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


class CallLog:
    """The latest calls, oldest first, and how many are being answered now."""

    def __init__(self, journal: Journal | None = None) -> None:
        self.live = 0
        self._calls: deque[Call] = deque(maxlen=REMEMBERED)
        self._journal = journal

    def begin(self, call: Call) -> None:
        """Note that a call came."""
        self.live += 1
        self._calls.append(call)

    def understood(self, call: Call) -> None:
        """Note that a call was read: from now on it costs something."""
        if self._journal is not None:
            self._journal.write(call)

    def end(self, call: Call, seconds: float) -> None:
        """Note that a call is over, however it ended."""
        self.live -= 1
        call.seconds = round(seconds, 6)
        if self._journal is not None:
            self._journal.write(call)

    def clear(self) -> None:
        """Forget all calls; those that are running still count as live."""
        self._calls.clear()

    def report(self) -> dict[str, object]:
        """Return the log as `GET /simulator/calls` shows it."""
        return {"live": self.live, "calls": [vars(call) for call in self._calls]}
