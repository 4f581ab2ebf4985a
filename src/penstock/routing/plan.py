"""The order in which the targets of a model are tried."""

from collections.abc import Callable, Sequence
from typing import Literal, Protocol, TypeVar

from penstock.routing.health import Health

Strategy = Literal[
    "ordered",  # the first that is well, then the others as they stand
    "weighted",  # drawn by weight, then the others likewise
]


class Candidate(Protocol):
    """A target that may be tried."""

    @property
    def upstream(self) -> str:
        """Its name, as `Health` knows it."""
        ...

    @property
    def weight(self) -> int:
        """Its share of calls; 0: only where no other is left."""
        ...


C = TypeVar("C", bound=Candidate)


def plan(candidates: Sequence[C], strategy: Strategy, health: Health, now: float, draw: Callable[[], float]) -> list[C]:
    """Return candidates in the order in which to try them; the ejected ones come last, so one is always left.

    Args:
        candidates: as the configuration names them.
        strategy: how to choose among those that are well.
        health: of the upstreams.
        now: as `health` counts it.
        draw: returns a random number in [0, 1).
    """
    if len(candidates) == 1:
        return list(candidates)
    standing = [(candidate, health.standing(candidate.upstream, now)) for candidate in candidates]
    # One call finds out if an upstream is well again. It goes there first: as a second try it would seldom come.
    probes = [candidate for candidate, how in standing if how == "probe"][:1]
    good = [candidate for candidate, how in standing if how == "good"]
    rest = [candidate for candidate, how in standing if how != "good" and candidate not in probes]
    if strategy == "weighted":
        good = _drawn(good, draw)
    return [*probes, *good, *rest]


def _drawn(candidates: Sequence[C], draw: Callable[[], float]) -> list[C]:
    """Return candidates in an order in which each is first as often as its weight says. Weight 0 is last."""
    left = [candidate for candidate in candidates if candidate.weight > 0]
    order: list[C] = []
    while left:
        point = draw() * sum(candidate.weight for candidate in left)
        chosen = left[-1]
        for candidate in left:
            point -= candidate.weight
            if point < 0:
                chosen = candidate
                break
        left.remove(chosen)
        order.append(chosen)
    return [*order, *(candidate for candidate in candidates if candidate.weight <= 0)]
