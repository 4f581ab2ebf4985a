"""What a request comes to is found out when somebody asks, and not before: most requests are never asked about."""

import pytest

from penstock.core.estimate import KINDS, TokenCosts
from penstock.core.request import Ask, Text, Turn
from penstock.gateway import learning
from penstock.gateway.learning import Estimate, Quirks, TokenFits

WORDS = "The sluice lets the water through when the river is high. " * 8
ASK = Ask(model="lab/model", turns=(Turn("user", (Text(WORDS),)),), stream=True)


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[Ask]:
    """Return the requests that were measured, as they are."""
    asks: list[Ask] = []

    def measure(ask: Ask, costs: TokenCosts) -> learning.Size:
        asks.append(ask)
        return (100.0, *(0.0 for _ in range(len(KINDS) - 1)))

    monkeypatch.setattr(learning, "measure", measure)
    return asks


def test_a_request_is_not_measured_until_somebody_asks(measured: list[Ask]) -> None:
    TokenFits().measured("lab", "model", ASK)
    assert measured == []


def test_a_request_is_measured_once(measured: list[Ask]) -> None:
    estimate = TokenFits().measured("lab", "model", ASK)
    assert (estimate.tokens(), estimate.tokens()) == (100, 100)
    estimate.learn(120)
    assert measured == [ASK]


def test_an_estimate_stays_the_same_whatever_is_learned_meanwhile(measured: list[Ask]) -> None:
    fits = TokenFits()
    estimate = fits.measured("lab", "model", ASK)
    before = estimate.tokens()
    for _ in range(20):
        fits.measured("lab", "model", ASK).learn(150)
    assert estimate.tokens() == before < fits.measured("lab", "model", ASK).tokens()


def test_of_a_model_that_is_known_well_few_requests_are_measured(measured: list[Ask]) -> None:
    fits = TokenFits()
    for _ in range(learning.EAGER + 10 * learning.SELDOM):
        fits.measured("lab", "model", ASK).learn(100)
    assert len(measured) == learning.EAGER + 10


def test_what_is_known_of_a_body_is_its_length() -> None:
    learned: list[int] = []
    estimate = Estimate(lambda: 7, learned.append)
    estimate.learn(9)
    assert (estimate.tokens(), learned) == (7, [9])


def test_quirks_of_models_that_clients_make_up_are_forgotten() -> None:
    quirks = Quirks()
    quirks.learn("lab/first", "no-stream-options")
    quirks.learn("lab/first", "no-encrypted-reasoning")
    assert quirks.of("lab/first") == {"no-stream-options", "no-encrypted-reasoning"}
    for number in range(learning.MAX_MODELS):
        quirks.learn(f"lab/{number}", "no-stream-options")
    assert quirks.of("lab/first") == frozenset()
    assert quirks.of("lab/0") == {"no-stream-options"}
