"""An answer that has begun."""

from msgspec import Struct

from penstock.gateway.attempt import Attempt
from penstock.gateway.relay import Relay
from penstock.gateway.thread import Thread
from penstock.upstreams.transport import UpstreamResponse


class Begun(Struct, frozen=True):
    """An answer that is to be streamed and has begun.

    Attributes:
        attempt: that succeeded.
        response: the rest of the answer.
        relay: what turns that into the client's bytes.
        data: the client's first bytes.
        over: whether they are all.
        thread: of an answer that may be continued if it breaks off.
    """

    attempt: Attempt
    response: UpstreamResponse
    relay: Relay
    data: bytes
    over: bool
    thread: Thread | None = None

    @property
    def broken(self) -> bool:
        """Whether it broke off, and may be continued."""
        return self.thread is not None and self.thread.broken is not None
