"""How long upstreams usually take to their first token: what hedging waits for."""

from collections import deque

KEPT = 200
"""Observations of an upstream; older ones are forgotten."""

ENOUGH = 20
"""Observations without which nothing is said: fewer have no 95th percentile."""

MAX_UPSTREAMS = 1024


class Latency:
    """State: recent times to the first token, of each upstream."""

    def __init__(self) -> None:
        self._seen: dict[str, deque[float]] = {}

    def note(self, upstream: str, seconds: float) -> None:
        """Take an observation."""
        times = self._seen.pop(upstream, None) or deque(maxlen=KEPT)
        times.append(seconds)
        self._seen[upstream] = times  # as the last, so that the first is the one to forget
        if len(self._seen) > MAX_UPSTREAMS:
            del self._seen[next(iter(self._seen))]

    def p95(self, upstream: str) -> float | None:
        """Return the seconds within which 95 of 100 answers began; None if too few were seen."""
        times = self._seen.get(upstream)
        if times is None or len(times) < ENOUGH:
            return None
        return sorted(times)[-(-len(times) * 95 // 100) - 1]
