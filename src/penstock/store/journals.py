"""Journals of streams, written down so that they outlive their process and others can read them.

    await journals.claim(row)                          before its call is made: of all processes one makes it
    journals.write(Event(id, 0, b"data: ..."))         at once; written with others a moment later
    row, events = await journals.read(row, 0)

Nobody who streams waits for what writes. What cannot be written in time makes its stream one that nobody can come back
to, and all that was written of it goes. A reader can tell whether all events up to the end are there: they are numbered
without a gap, and the end says how many there were.
"""

from collections.abc import Callable
from typing import Literal, Protocol

from msgspec import Struct

State = Literal["running", "complete", "broken", "cancelled", "failed", "interrupted"]
"""What has become of a stream; `failed` had no answer, `interrupted` lost its process."""

By = Literal["id", "name", "answer"]
"""What a stream is looked for by."""

FLUSH_EVERY = 0.05
"""Seconds for which changes gather before they are written together."""

MAX_PENDING = 16 * 2**20
"""Bytes of events that wait to be written. Above, streams are given up."""


class StreamRow(Struct, frozen=True):
    """A stream.

    Attributes:
        id: of it.
        key: the id of the key that it belongs to.
        print: the digest of the request.
        process: that writes it.
        call: what an answer needs to know of its request, as JSON.
        name: the digest of its `Idempotency-Key`, if it has one.
        answer: the id of the answer, if that runs in the background.
        state: what has become of it.
        headers: of the answer, as JSON, once it has begun.
        fault: why there is no answer, as JSON, if there is none.
        count: how many events there are, once it has ended.
    """

    id: str
    key: str
    print: bytes
    process: str
    call: bytes
    name: str | None = None
    answer: str | None = None
    state: State = "running"
    headers: bytes | None = None
    fault: bytes | None = None
    count: int | None = None


class Began(Struct, frozen=True):
    """The answer has headers."""

    stream: str
    headers: bytes


class Event(Struct, frozen=True):
    """An event."""

    stream: str
    number: int
    data: bytes


class Ended(Struct, frozen=True):
    """Nothing more comes."""

    stream: str
    state: State
    count: int
    size: int
    fault: bytes | None = None


class Dropped(Struct, frozen=True):
    """The stream is kept no longer."""

    stream: str


Change = Began | Event | Ended | Dropped


OfStream = Callable[[str], object]
"""Is told of a stream, by its id."""


class Journals(Protocol):
    """Where streams are written down. It belongs to the event loop that runs when it is made.

    `claim`, `find`, `read`, `cancel` and `remove` raise StoreUnavailableError if it does not do what it is asked.

    Attributes:
        process: the id of this process, under which its streams stand.
    """

    process: str

    async def start(self, lost: OfStream, unwanted: OfStream) -> None:
        """Say that this process lives, and begin to look after the streams.

        Args:
            lost: is told of each stream of this process that could not be written down.
            unwanted: is told of each stream of this process whose end others have asked for; perhaps more than once.

        Raises:
            ConfigError: the store cannot be used.
        """
        ...

    async def close(self) -> None:
        """Write what waits, and end."""
        ...

    async def claim(self, row: StreamRow) -> bool:
        """Begin a stream; return False if its key has another of that name."""
        ...

    def write(self, change: Change) -> bool:
        """Write a change soon; return whether there is room for it to wait."""
        ...

    async def find(self, key: str, by: By, text: str) -> StreamRow | None:
        """Return a stream of a key; None if there is none, or it has expired."""
        ...

    async def read(self, row: StreamRow, number: int) -> tuple[StreamRow | None, list[bytes] | None]:
        """Return a stream as it stands and its events from a number on; None for events that are not all there."""
        ...

    async def changed(self, row: StreamRow, number: int) -> None:
        """Return when it is worth while to read a stream from a number on."""
        ...

    async def cancel(self, row: StreamRow) -> None:
        """Ask whoever serves a stream to end it."""
        ...

    async def remove(self, row: StreamRow) -> None:
        """Keep a stream no longer, whoever has written it, and return when it is gone."""
        ...


def tell_nobody(stream: str) -> None:
    """Tell nobody of a stream: what is called until somebody wants to know."""
