"""The seam between requests and those who watch them: the log, metrics, traces.

    gateway = Gateway(..., observers=(metrics.observe, traces.observe))

Each is told once of each request, when it is over, and learns no content: nothing here holds what anybody said.
"""

from collections.abc import Callable
from typing import Literal

from msgspec import Struct

from penstock.core.errors import ErrorKind
from penstock.core.events import FinishReason
from penstock.core.outcome import End, Gaps, UsageSource
from penstock.core.usage import Usage

Purpose = Literal["retry", "failover", "hedge", "continuation"]
"""What an attempt is for that is not the first of its request.

The first had failed, at the same provider's model or at another; it was slow; its answer had broken off.
"""

HedgeOutcome = Literal["won", "lost", "neither"]
"""Which of two attempts answered: the second, the first, or none of them."""

BreakOutcome = Literal["continued", "failed", "not_tried"]
"""What became of an answer that broke off, and that its operator wants to be continued."""


class Ended(Struct, frozen=True):
    """What one request came to.

    Attributes:
        request: its id.
        key: name of the key.
        model: as the client asked for it.
        provider: who answered, or was the last to be asked.
        upstream_model: what that provider was asked for.
        client_protocol: what the client speaks.
        upstream_protocol: what the provider speaks.
        stream: whether the client asked for a stream.
        end: how it ended.
        error: what went wrong, if something did.
        finish: why the model stopped, in the provider's own word; None if it did not come to that.
        usage: tokens.
        usage_source: who counted them.
        cost: nano-dollars; None if no price is known.
        first_output: seconds from the request to the first output that was sent; None if there was none.
        seconds: from the request to its end.
        gaps: between chunks of output; None if there were no two.
        reason: why the model stopped, in the words of all protocols.
        further: each attempt but the first: the provider that was asked, and what for.
        hedges: each time that a second attempt was made beside one that was slow: its provider, and which answered.
        breaks: each time that the answer broke off, if it might be continued: its provider, and what came of it.
    """

    request: str
    key: str
    model: str
    provider: str
    upstream_model: str
    client_protocol: str
    upstream_protocol: str
    stream: bool
    end: End
    error: ErrorKind | None
    finish: str | None
    usage: Usage
    usage_source: UsageSource
    cost: int | None
    first_output: float | None
    seconds: float
    gaps: Gaps | None
    reason: FinishReason | None = None
    further: tuple[tuple[str, Purpose], ...] = ()
    hedges: tuple[tuple[str, HedgeOutcome], ...] = ()
    breaks: tuple[tuple[str, BreakOutcome], ...] = ()


Observer = Callable[[Ended], None]
"""Is told of a request that is over. Must not block, and not raise: nobody could do anything about it."""
