"""The order in which the targets of a model are tried."""

import random
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from penstock.routing.health import EJECTION, FAILURES, Health
from penstock.routing.plan import plan


class Target(Struct, frozen=True):
    upstream: str
    weight: int = 1


A, B, C = Target("lab/a"), Target("lab/b"), Target("lab/c")


def ill(*targets: Target, now: float = 0.0) -> Health:
    """Return the health of things with some targets ejected."""
    health = Health()
    for target in targets:
        for _ in range(FAILURES):
            health.failed(target.upstream, "overloaded", now)
    return health


def never() -> float:
    raise AssertionError("nothing is left to chance")


def test_ordered_targets_are_tried_as_they_stand():
    assert plan([A, B, C], "ordered", Health(), 0, never) == [A, B, C]


def test_the_ejected_come_last():
    assert plan([A, B, C], "ordered", ill(A), 0, never) == [B, C, A]


def test_where_all_are_ejected_all_are_left():
    assert plan([A, B], "ordered", ill(A, B), 0, never) == [A, B]


def test_the_last_target_is_never_refused():
    assert plan([A], "ordered", ill(A), 0, never) == [A]


def test_one_call_probes_an_upstream_and_others_go_round_it():
    health = ill(B)
    assert plan([A, B, C], "ordered", health, EJECTION, never) == [B, A, C]

    health.calling(B.upstream, EJECTION)
    assert plan([A, B, C], "ordered", health, EJECTION, never) == [A, C, B]


def test_one_call_probes_one_upstream():
    assert plan([A, B, C], "ordered", ill(A, B), EJECTION, never) == [A, C, B]


def test_weights_are_shares_of_the_first_tries():
    rng, heavy, light, spare = random.Random(7), Target("lab/h", 3), Target("lab/l", 1), Target("lab/s", 0)
    first = Counter(plan([spare, heavy, light], "weighted", Health(), 0, rng.random)[0].upstream for _ in range(4000))

    assert 0.72 < first["lab/h"] / 4000 < 0.78
    assert first["lab/s"] == 0


def test_a_target_without_weight_comes_after_those_with_one():
    spare = Target("lab/s", 0)
    assert plan([spare, A], "weighted", Health(), 0, lambda: 0.99) == [A, spare]


@given(
    st.lists(st.integers(0, 5), min_size=1, max_size=6),
    st.sampled_from(["ordered", "weighted"]),
    st.lists(st.integers(0, 5)),
    st.sampled_from([0.0, EJECTION - 1, EJECTION, 1000.0]),
    st.randoms(use_true_random=False),
)
def test_every_target_is_tried_once(weights: list[int], strategy, failing: list[int], now: float, rng: random.Random):
    targets = [Target(f"lab/{number}", weight) for number, weight in enumerate(weights)]
    health = ill(*(targets[number] for number in set(failing) if number < len(targets)))

    order = plan(targets, strategy, health, now, rng.random)

    assert sorted(order, key=lambda target: target.upstream) == targets
    standings = [health.standing(target.upstream, now) for target in order]
    assert "good" not in standings[standings.index("ejected") :] if "ejected" in standings else True
