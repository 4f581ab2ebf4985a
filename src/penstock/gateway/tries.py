"""Which target a call tries next, and when: the part of failover that is the same for all answers.

Another target that is well is tried at once. What is known to fail, and what was tried before, costs something of a
budget that all calls share, so that an outage is not answered with a storm.
"""

import random
from collections import deque
from collections.abc import Callable

import msgspec
from msgspec import Struct

from penstock.core.errors import ClientFault, ErrorInfo, ErrorKind, Fault, UpstreamFault
from penstock.gateway.attempt import CREDENTIAL
from penstock.routing.health import Health
from penstock.routing.plan import plan
from penstock.routing.retries import RetryBudget, pause
from penstock.upstreams.catalog import Candidate, Route

MAX_TRIES = 3
"""Of one target in one call."""

_PROVIDERS_FAULT: frozenset[ErrorKind] = frozenset(
    {"rate_limited", "upstream_error", "overloaded", "timeout", "stream_incomplete"}
)
_ELSEWHERE: frozenset[ErrorKind] = frozenset({*_PROVIDERS_FAULT, "model_not_found"})
_FINAL = frozenset({"total_timeout", "shutting_down"})
_OURS = frozenset({*_FINAL, "write_timeout", "pool_exhausted", "cancelled"})


def blames_provider(info: ErrorInfo) -> bool:
    """Whether an error says something of how well a provider does."""
    return info.kind in _PROVIDERS_FAULT and info.code not in _OURS


def may_succeed_elsewhere(info: ErrorInfo) -> bool:
    """Whether another target may do what one failed at with this error."""
    return info.kind in _ELSEWHERE and info.code not in _FINAL


class Failover(Struct, frozen=True):
    """What all calls have in common that says what is tried: how upstreams do, and what may be tried besides."""

    health: Health
    budget: RetryBudget

    def is_well(self, upstream: str, now: float) -> bool:
        """Whether nothing bad is known of an upstream."""
        return self.health.standing(upstream, now) == "good"

    def further(self, upstream: str, now: float) -> bool:
        """Take a further attempt at an upstream; return whether it may be made."""
        return self.budget.further(self.health.standing(upstream, now), now)


class _Failed(Struct):
    candidate: Candidate
    tries: int
    fault: UpstreamFault


class Tries:
    """State of one call: what was tried, and what came of it."""

    def __init__(self, route: Route, failover: Failover, now: float, draw: Callable[[], float] = random.random) -> None:
        """Try the targets of a route for a request, and then again; `draw` returns a random number in [0, 1)."""
        self.route = route
        failover.budget.request()
        self._left = deque(plan(route.candidates, route.strategy, failover.health, now, draw))
        self._failover = failover
        self._draw = draw
        self._failed: dict[str, _Failed] = {}
        self._inexpressible: ClientFault | None = None
        self.last: UpstreamFault | None = None
        """What ended the last attempt."""

    def next(self, now: float) -> tuple[Candidate, float] | None:
        """Return what to try, and after how many seconds; None if nothing."""
        if self._left:
            candidate = self._left.popleft()
            return (candidate, 0.0) if self._may_try(candidate, now) else None
        waits = [
            (seconds, failed.candidate)
            for failed in self._failed.values()
            if (seconds := self._wait(failed)) is not None
        ]
        if not waits or not self._failover.budget.take(now):
            return None
        seconds, candidate = min(waits, key=lambda wait: wait[0])
        return candidate, seconds

    def beside(self, now: float) -> Candidate | None:
        """Return what to try while another is slow; None if nothing else does well, or if too much is tried already."""
        if not self._left or not self._failover.is_well(self._left[0].upstream, now):
            return None
        return self._left.popleft() if self._failover.budget.take(now) else None

    def skip(self, fault: ClientFault) -> None:
        """Note that a candidate cannot be told what the request means."""
        self._inexpressible = self._inexpressible or fault.with_traceback(None)

    def failed(self, candidate: Candidate, fault: UpstreamFault) -> None:
        """Note how an attempt failed.

        Raises:
            UpstreamFault: it would fail everywhere, or there is no time left.
        """
        if not may_succeed_elsewhere(fault.info):
            raise fault
        before = self._failed.pop(candidate.upstream, None)
        self._failed[candidate.upstream] = _Failed(candidate, 1 if before is None else before.tries + 1, fault)
        fault.with_traceback(None)  # it leads to whoever tries, and so here: they would keep the whole request
        self.last = fault

    def fault(self) -> Fault:
        """Return what to tell the client after all has failed: what it can do most about."""
        faults = [failed.fault for failed in self._failed.values()]
        if not faults:
            assert self._inexpressible is not None, "something was tried"  # noqa: S101
            return self._inexpressible
        telling = [fault for fault in faults if fault.info.code != CREDENTIAL and fault.info.kind in _PROVIDERS_FAULT]
        info = max(telling or faults, key=lambda fault: fault.info.retry_after is not None).info
        if sum(failed.tries for failed in self._failed.values()) > 1:
            info = msgspec.structs.replace(info, should_retry=False)
        return UpstreamFault(info)

    def _may_try(self, candidate: Candidate, now: float) -> bool:
        return not self._failed or self._failover.further(candidate.upstream, now)

    def _wait(self, failed: _Failed) -> float | None:
        """Return how long to wait before a target is tried again; None if it is not."""
        info = failed.fault.info
        hopeless = info.kind in {"timeout", "model_not_found"} or info.code == CREDENTIAL or info.should_retry is False
        if hopeless or failed.tries >= MAX_TRIES:
            return None
        return pause(failed.tries, info.retry_after, self._draw)
