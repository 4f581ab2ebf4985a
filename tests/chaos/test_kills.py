"""The short form of `python -m chaos --only kills`, and that what compares the books finds what is wrong in them."""

from typing import Any

import pytest

from chaos import kills
from chaos.lab import Ask, Heard
from chaos.reconcile import Tally
from chaos.report import Options, Report

SEED = 20261122

ASK = Ask("1-1", "anthropic", "lab-chat", "money", stream=True, settings="gap=0.1", leaves=0)
TRUTH: dict[str, Any] = {
    "came": 10.0,
    "at": 20.0,
    "counted": True,
    "output_bytes": 800,
    "usage": {"uncached": 5, "output": 200},
}
ROW: dict[str, Any] = {
    "state": "settled",
    "end": "completed",
    "usage_source": "provider",
    "uncached": 5,
    "output": 200,
    "cost": 1_005_000,
}
CRASHED = ROW | {"end": "crashed", "usage_source": "checkpoint"}
CUT = TRUTH | {"counted": False}


@pytest.fixture(scope="module")
def report() -> Report:
    return kills.run(Options(SEED, quick=True))


@pytest.mark.promise("3.1", "3.2", "3.8")
def test_every_call_is_in_the_books_once_after_20_kills_and_5_terminations(report: Report):
    assert report.failures == []
    assert [figure for figure in report.figures if not figure.held] == []


def test_what_was_looked_for_happened(report: Report):
    """Calls were left open by kills, some at a checkpoint; others had been counted before."""
    figures = {figure.name: figure.value for figure in report.figures}
    assert figures["gateways killed while they served"] == kills.QUICK.kills
    assert figures["gateways terminated"] == kills.QUICK.terms
    for name in (
        "gateways killed while they started",
        "calls with the provider's own count",
        "calls settled from what was noted last",
        "calls with another estimate",
    ):
        assert figures[name] > 0


def found(heard: Heard, truth: dict[str, Any] | None, rows: list[dict[str, Any]], requests: int = 1) -> Tally:
    tally = Tally()
    tally.compare(ASK, heard, truth, rows, requests)
    return tally


@pytest.mark.parametrize(
    ("heard", "truth", "rows"),
    [
        (Heard(ended=True), TRUTH, [ROW]),
        (Heard(), CUT, [CRASHED | {"output": 140, "cost": 705_000}]),
        (Heard(), None, []),
        (Heard(), None, [CRASHED | {"uncached": None, "output": None, "cost": 0}]),
    ],
)
def test_books_that_are_right_are_left_in_peace(heard: Heard, truth: dict[str, Any] | None, rows: list[dict[str, Any]]):
    assert found(heard, truth, rows, len(rows)).failures == []


@pytest.mark.parametrize(
    ("heard", "truth", "rows"),
    [
        pytest.param(Heard(), TRUTH, [], id="missing"),
        pytest.param(Heard(), TRUTH, [ROW, ROW], id="twice"),
        pytest.param(Heard(), TRUTH, [ROW | {"output": 201, "cost": 1_010_000}], id="another count"),
        pytest.param(Heard(), CUT, [ROW], id="a count that nobody gave"),
        pytest.param(Heard(), TRUTH, [ROW | {"cost": 1}], id="another cost"),
        pytest.param(Heard(), CUT, [CRASHED | {"output": 135, "cost": 680_000}], id="more than a checkpoint too low"),
        pytest.param(Heard(), CUT, [CRASHED | {"output": 201, "cost": 1_010_000}], id="more than was sent"),
        pytest.param(Heard(), CUT, [ROW | {"end": "crashed", "usage_source": "estimate"}], id="not flagged"),
        pytest.param(Heard(), TRUTH, [ROW | {"state": "open"}], id="open"),
        pytest.param(Heard(ended=True), TRUTH, [CRASHED], id="told an end that is not in the books"),
        pytest.param(Heard(ended=True), None, [], id="told an end by nobody"),
    ],
)
def test_whatever_is_wrong_in_the_books_is_found(
    heard: Heard, truth: dict[str, Any] | None, rows: list[dict[str, Any]]
):
    assert found(heard, truth, rows).failures


def test_the_same_seed_asks_the_same_calls():
    assert kills.asked(SEED, 3, kills.QUICK) == kills.asked(SEED, 3, kills.QUICK) != kills.asked(SEED, 4, kills.QUICK)
