"""How long a provider is waited for: five limits, each with its own error code.

They are said for all, for a provider, and for a model's name; the narrower word wins. Heartbeats, ours and a
provider's, count for none of them.
"""

from typing import Annotated

import msgspec
from msgspec import Meta, Struct

Seconds = Annotated[float, Meta(gt=0)]


class Timeouts(Struct, frozen=True):
    """What is said about time limits in one place, in seconds. What is None is left as a wider place says.

    Attributes:
        connect: to reach a provider: name, connection and handshake.
        first_event: from the request to the first output of its answer.
        gap: from one output to the next.
        write: for a client that has enough to read to make room for more.
        total: for everything, from the client's request on.
    """

    connect: Seconds | None = None
    first_event: Seconds | None = None
    gap: Seconds | None = None
    write: Seconds | None = None
    total: Seconds | None = None

    def over(self, wider: "Timeouts") -> "Timeouts":
        """Return what holds where both were said, this in the narrower place."""
        return msgspec.structs.replace(wider, **_said(self))


class TimeLimits(Struct, frozen=True):
    """What holds for a model of a provider, in seconds; the names are those of `Timeouts`.

    Attributes:
        thinking: `first_event` for answers in which a long silence is nothing odd: of a model that thinks, or not
            streamed, so that the first output comes with the last.
    """

    connect: float = 5.0
    first_event: float = 120.0
    gap: float = 120.0
    write: float = 60.0
    total: float = 1800.0
    thinking: float = 600.0


def limits(said: Timeouts) -> TimeLimits:
    """Return the limits that hold where this was said; a `first_event` that was said holds for all answers."""
    given = _said(said)
    if said.first_event is not None:
        given["thinking"] = said.first_event
    return msgspec.structs.replace(TimeLimits(), **given)


def _said(timeouts: Timeouts) -> dict[str, float]:
    return {name: value for name, value in msgspec.structs.asdict(timeouts).items() if value is not None}
