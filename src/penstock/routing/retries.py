"""How often, and after which pause, a call may be tried again before anything of an answer was sent.

A total outage must not be answered with a storm: attempts stay below 1.1 times the requests, and a few. The clients'
SDKs try again by themselves, too, unless they are told not to (promise 4.13).
"""

from collections.abc import Callable

from penstock.routing.health import Standing

REQUESTS = 10
"""Requests that earn one further attempt together."""

FLOOR = 3
"""Further attempts that are there without any, in each `PERIOD`."""

PERIOD = 10.0
"""Seconds."""

REMEMBERED = 100 * REQUESTS
"""Requests that are remembered at most: good hours must not pay for a storm."""

FIRST_PAUSE = 0.1
"""Seconds before an upstream is tried a second time; twice as many before a third."""

MAX_PAUSE = 10.0
"""Seconds. Whoever asks for more patience asks it of the client."""


class RetryBudget:
    """State: what further attempts there are. Times are seconds of a clock that only goes forward."""

    def __init__(self) -> None:
        self._requests = 0  # that no attempt was taken for yet; below 0 after more attempts than they earned
        self._floor = FLOOR
        self._filled = 0.0

    def request(self) -> None:
        """Note a request."""
        self._requests = min(self._requests + 1, REMEMBERED)

    def take(self, now: float) -> bool:
        """Take a further attempt; return whether there was one."""
        if now - self._filled >= PERIOD:
            self._floor, self._filled = FLOOR, now
        if self._requests >= REQUESTS:
            self._requests -= REQUESTS
        elif self._floor:
            self._floor -= 1
        else:
            return False
        return True

    def further(self, standing: Standing, now: float) -> bool:
        """Take a further attempt at an upstream that stands so; return whether it may be made.

        One of which nothing bad is known may be called in any case, and later attempts pay. Nothing storms there: after
        a few failures it is one of which something bad is known.
        """
        if standing == "good":
            self._requests = max(self._requests - REQUESTS, -REMEMBERED)
            return True
        return self.take(now)


def pause(tries: int, retry_after: float | None, draw: Callable[[], float]) -> float | None:
    """Return how many seconds to wait before an upstream is tried again; None: too long to try at all.

    Args:
        tries: how often it was tried.
        retry_after: seconds that it asked for, if it did.
        draw: returns a random number in [0, 1).
    """
    if retry_after is not None:
        return None if retry_after > MAX_PAUSE else retry_after
    longest = min(FIRST_PAUSE * 2 ** (tries - 1), MAX_PAUSE)
    return longest * (0.5 + draw() / 2)  # clients that failed together must not come back together
