"""How well upstreams do, told apart from how well their clients do.

    health.calling(upstream, now)           it is asked now
    health.failed(upstream, error, now)     a status that is its fault, a connection that broke, a limit that passed
    health.succeeded(upstream)              an answer that ended well
    health.standing(upstream, now)          "good", "probe" or "ejected"

Envoy's outlier detection is the model (https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/upstream/outlier):
so many failures in a row, or among the last calls, eject an upstream for a time that doubles; then one single call may
find out whether it is well again. A break in the middle of an answer counts as a failure, and only an answer that ended
well as a success, so an upstream that breaks each stream is found out although it accepts every call.
"""

from typing import Literal

from msgspec import Struct

FAILURES = 5
"""Failures in a row that eject an upstream."""

WINDOW = 20
"""Calls that are remembered of an upstream that sometimes fails."""

MAX_FAILURES = 10
"""Failures among these that eject it, too."""

EJECTION = 30.0
"""Seconds of the first ejection; each further one in a row lasts twice as long."""

MAX_EJECTION = 300.0
"""Seconds."""

PROBE = 60.0
"""Seconds after which a probe of which nothing was heard no longer keeps others away."""

MAX_KNOWN = 1024
"""Upstreams of which something is known; what failed first is forgotten. Clients can make up any number of names."""

_REMEMBERED = (1 << WINDOW) - 1

Standing = Literal["good", "probe", "ejected"]


class Condition(Struct):
    """What is known of one upstream.

    Attributes:
        failures: in a row.
        recent: how the last `WINDOW` calls ended, a bit for each: 1 for a failure, the last call in the lowest.
        ejections: in a row.
        until: until when it is ejected, in seconds of the caller's clock; 0 if it is not.
        probed: since when a probe is under way; None if none is.
        last_error: what the last failure was.
    """

    failures: int = 0
    recent: int = 0
    ejections: int = 0
    until: float = 0.0
    probed: float | None = None
    last_error: str = ""


class Health:
    """State of all upstreams that were called, by any names. Times are seconds of one clock that only goes forward."""

    def __init__(self) -> None:
        self._conditions: dict[str, Condition] = {}

    def standing(self, upstream: str, now: float) -> Standing:
        """Return whether an upstream may be called: always, only to find out if it is well again, or not yet."""
        condition = self._conditions.get(upstream)
        if condition is None or not condition.until:
            return "good"
        probing = condition.probed is not None and now - condition.probed < PROBE
        return "ejected" if probing or now < condition.until else "probe"

    def calling(self, upstream: str, now: float) -> None:
        """Note that an upstream is called; if that is a probe, no other call is one."""
        if self.standing(upstream, now) == "probe":
            self._conditions[upstream].probed = now

    def succeeded(self, upstream: str) -> bool:
        """Note an answer that ended well: an ejection is over, and five in a row begin anew.

        Returns:
            Whether it ended an ejection.
        """
        condition = self._conditions.get(upstream)
        if condition is None:
            return False
        recent = 0 if condition.until else condition.recent << 1 & _REMEMBERED
        if recent:
            self._conditions[upstream] = Condition(recent=recent, last_error=condition.last_error)
        else:
            del self._conditions[upstream]
        return condition.until > 0

    def failed(self, upstream: str, error: str, now: float) -> float | None:
        """Note a failure of an upstream: never what was its client's fault, nor that its client left.

        Returns:
            For how many seconds it is ejected, if this failure did it.
        """
        condition = self._conditions.setdefault(upstream, Condition())
        if len(self._conditions) > MAX_KNOWN:
            del self._conditions[next(iter(self._conditions))]
        condition.failures += 1
        condition.recent = (condition.recent << 1 | 1) & _REMEMBERED
        condition.last_error = error
        bad = condition.failures >= FAILURES or condition.recent.bit_count() >= MAX_FAILURES
        if condition.probed is not None or (bad and not condition.until):
            condition.until = now + min(EJECTION * 2**condition.ejections, MAX_EJECTION)
            condition.ejections += 1
            condition.probed = None
            return condition.until - now
        return None

    def undecided(self, upstream: str) -> None:
        """Note that a call said nothing of its upstream: its client left, or was wrong. The next may be the probe."""
        if (condition := self._conditions.get(upstream)) is not None:
            condition.probed = None

    def conditions(self) -> dict[str, Condition]:
        """Return the upstreams that did not do well of late, for people to look at."""
        return dict(self._conditions)
