"""One call by one client: what it asks for, who asks, and what answers to it are written with."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

import msgspec
from msgspec import Struct

from penstock.accounts.keys import Key
from penstock.core.errors import ErrorInfo
from penstock.core.events import Failure
from penstock.core.request import Ask
from penstock.protocols.base import Inbound, Reply, WireProtocol, no_estimate


def nowhere() -> str:
    """Return nothing: the answer is kept by nobody who outlives the process."""
    return ""


class Call(Struct, frozen=True):
    """A client's request, authenticated and opened.

    Attributes:
        id: the request id, also given to the client.
        key: the key that was used; what clients come back to belongs to its id.
        protocol: what the client speaks.
        inbound: its request.
        token: random, for the ids of the answer.
        created_ms: when it came, Unix time in milliseconds.
        started: when it came, on the monotonic clock, in seconds.
        echo: the top level of the client's request as its answer is to repeat it, where that is not what is served.
        trace: headers by which a provider can go on with the trace that the call is part of.
        keep: keeps a good answer; takes its last bytes, or the whole of it, before the client gets them.
        way_back: the path under which what came of the answer is read once this process is gone; empty if under none.
    """

    id: str
    key: Key
    protocol: WireProtocol
    inbound: Inbound
    token: str
    created_ms: int
    started: float
    echo: Mapping[str, msgspec.Raw] | None = None
    trace: Mapping[str, str] = {}
    keep: Callable[[bytes], Awaitable[None]] | None = None
    way_back: Callable[[], str] = nowhere

    @property
    def created(self) -> int:
        """When it came, Unix time in seconds."""
        return self.created_ms // 1000

    def read(self) -> Ask:
        """Return what the client means.

        Raises:
            ClientFault: it means something that cannot be asked for.
        """
        return self.protocol.read_request(self.inbound)

    def without_body(self) -> "Call":
        """Return the call as it is remembered when it is over: a request can be large."""
        inbound = msgspec.structs.replace(self.inbound, body=b"", fields={})
        return msgspec.structs.replace(self, inbound=inbound, echo=None, keep=None)

    def told(self, error: ErrorInfo) -> bytes:
        """Return an error as the client of a stream that has begun is told it.

        It comes behind a line end, which ends the line where a provider that is passed through was cut off between CR
        and LF (`relay.Passthrough`).
        """
        return b"\n" + self.protocol.encoder(self.reply()).encode(Failure(error))

    def reply(self, input_estimate: Callable[[], int] = no_estimate) -> Reply:
        """Return what an encoder needs to know to answer this call."""
        return Reply(
            token=self.token,
            model=self.inbound.model,
            created=self.created,
            include_usage=self.inbound.include_usage,
            array=self.inbound.array,
            input_estimate=input_estimate,
            fields=self.inbound.fields if self.echo is None else self.echo,
        )


def with_way_back(call: Call, error: ErrorInfo) -> ErrorInfo:
    """Return an error as it is told in a stream: if the gateway stops, with where to read what came of the answer."""
    path = call.way_back() if error.code == "shutting_down" else ""
    if not path:
        return error
    return msgspec.structs.replace(error, message=f"{error.message} What came of it is kept: GET {path}")


CANCELLED = ErrorInfo("stream_incomplete", "The call was cancelled.", code="cancelled", should_retry=False)
"""What is told of a call that a client has asked to end."""


class CallCancelledError(Exception):
    """A client has asked for its call to end."""


STALLED = ErrorInfo("timeout", "The answer was not read for too long.", code="write_timeout")
"""What is told of a client that does not take its answer."""


class ClientStalledError(ConnectionError):
    """A client took nothing for so long that its connection was closed."""


OnGone = Callable[[ConnectionError | CallCancelledError], object]
"""Is called when whoever waits for an answer has left, or has cancelled the call."""


class Client(Protocol):
    """The client's end of a streamed answer. What goes before the first byte can still become an HTTP error."""

    async def start(self, headers: dict[str, str], data: bytes) -> None:
        """Send status 200, the headers of a stream, and its first bytes."""
        ...

    def push(self, data: bytes) -> bool:
        """Send bytes at once; return whether the client keeps up. If it does not, wait for `drained`."""
        ...

    async def drained(self) -> None:
        """Return when the connection can take more.

        Raises:
            ConnectionError: the client has left.
        """
        ...

    async def end(self, data: bytes) -> None:
        """Send the last bytes, and end the body as a complete one."""
        ...

    async def abort(self, data: bytes) -> None:
        """Send the last bytes, and cut the connection so that the body stays visibly incomplete."""
        ...

    def on_gone(self, callback: OnGone) -> None:
        """Call back, at once if need be, when the client has left or has cancelled the call.

        Without it a client that leaves ends the task that serves it.
        """
        ...


class WholeAnswer(Struct, frozen=True):
    """An answer that is not streamed, ready to be sent with status 200."""

    body: bytes
    headers: dict[str, str]
