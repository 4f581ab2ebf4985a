"""What one call came to: the single place that usage, logs and limits look at, streamed or not."""

import time
from bisect import bisect_left
from collections.abc import Callable, Sequence

from penstock.core.errors import ErrorInfo
from penstock.core.events import Delta, Event, Finish, PartStart, UsageUpdate
from penstock.core.outcome import GAP_BOUNDS, Gaps
from penstock.core.usage import UNKNOWN, Usage, estimate_tokens


class Record:
    """What has been seen of an answer so far.

    Attributes:
        usage: as the provider last said.
        finish: set once the answer ended well.
        error: set by whoever tells the client that it broke, as the client was told.
        cut: whether the gateway ended the answer before its provider did: a stop sequence came.
        begun: whether anything came that a client must be shown; until then an error can still be an HTTP status.
        first_output: when the first output was sent to the client, on the monotonic clock in seconds; 0 if never.
        output_bytes: UTF-8 bytes of all output.
        repeated: tokens of output, roughly, that the client was not shown: they had been said before.
    """

    __slots__ = (
        "_clock",
        "_gap_counts",
        "_gap_longest",
        "_output_first",
        "_output_last",
        "begun",
        "cut",
        "error",
        "finish",
        "first_output",
        "output_bytes",
        "repeated",
        "usage",
    )

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._gap_counts: list[int] | None = None
        self._gap_longest = 0.0
        self._output_first = self._output_last = 0.0
        self.usage: Usage = UNKNOWN
        self.finish: Finish | None = None
        self.error: ErrorInfo | None = None
        self.cut = False
        self.begun = False
        self.first_output = 0.0
        self.output_bytes = 0
        self.repeated = 0

    def observe(self, events: Sequence[Event]) -> None:
        """Take note of events in their order, all of which one chunk of the provider brought."""
        before = self.output_bytes
        for event in events:
            if type(event) is Delta:  # nearly all of them are; `match` takes twice as long to find it out
                text = event.text
                self.begun = True
                self.output_bytes += len(text) if text.isascii() else len(text.encode("utf-8", "replace"))
            else:
                self._note(event)
        if self.output_bytes == before:
            return
        # The time since the last chunk of output is counted here, not in a method of its own: every chunk pays for it.
        now, counts = self._clock(), self._gap_counts
        if counts is None:
            self._gap_counts = [0] * (len(GAP_BOUNDS) + 1)
            self._output_first = now
        else:
            gap = now - self._output_last
            counts[bisect_left(GAP_BOUNDS, gap)] += 1
            if gap > self._gap_longest:  # noqa: PLR1730 - `max` would cost as much as all the rest
                self._gap_longest = gap
        self._output_last = now

    def _note(self, event: Event) -> None:
        match event:
            case UsageUpdate():
                self.usage = event.usage
            case PartStart():
                self.begun = True
            case Finish():
                self.begun = True
                self.finish = event
            case _:
                pass

    @property
    def last_output(self) -> float:
        """When the last output came, on the monotonic clock in seconds; 0 if none did."""
        return self._output_last

    @property
    def gaps(self) -> Gaps | None:
        """The pauses between chunks of output so far; None if there were no two."""
        if self._gap_counts is None or not any(self._gap_counts):
            return None
        return Gaps(tuple(self._gap_counts), self._output_last - self._output_first, self._gap_longest)

    def usage_or_estimate(self, input_tokens: Callable[[], int]) -> Usage:
        """Return the provider's usage; what it does not know, or did not live to count, is estimated and flagged."""
        seen = estimate_tokens(self.output_bytes)
        if not self.usage.known:
            return self.usage.updated(Usage(uncached=max(1, input_tokens()), output=seen, estimated=True))
        if (self.finish is None or self.cut) and (self.usage.output or 0) < seen:
            # The provider did not live to count: its last count is from the beginning of the answer.
            return self.usage.updated(Usage(output=seen, estimated=True))
        return self.usage
