"""How near estimates come to what tokenizers count, once a gateway has seen some of their counts.

Each text is estimated by a fit that has never seen it: of four parts of the texts, three are learned from, as fifty
requests of some texts each, and the fourth is estimated.
"""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.core.estimate import KINDS, Size
from penstock.core.token_fit import FACTOR_BOUNDS, TokenFit
from tests.core.token_counts import KINDS_OF_TEXT, TEXTS, TOKENIZERS, Counted, of_kind, within

REQUESTS = 50
PARTS = 4
Request = list[Counted]


def of_part(part: int) -> list[Counted]:
    return [text for kind in KINDS_OF_TEXT for text in of_kind(kind)[part::PARTS]]


def traffic(texts: list[Counted], seed: int) -> list[Request]:
    """Return fifty requests of any number of texts, each text in two of them."""
    order = random.Random(seed)
    deck = texts * 2
    order.shuffle(deck)
    cuts = sorted(order.sample(range(1, len(deck)), REQUESTS - 1))
    return [deck[start:end] for start, end in zip([0, *cuts], [*cuts, len(deck)], strict=True)]


def learned(requests: list[Request], tokenizer: str) -> TokenFit:
    fit = TokenFit()
    for request in requests:
        size = tuple(map(sum, zip(*(text.size() for text in request), strict=True)))
        fit.observe(size, sum(text.counts[tokenizer] for text in request))
    assert fit.observations == REQUESTS
    return fit


def estimates(tokenizer: str, seed: int) -> dict[str, int]:
    """Return the estimate of each text by a fit that has not seen it."""
    found: dict[str, int] = {}
    for part in range(PARTS):
        held_out = of_part(part)
        fit = learned(traffic([text for text in TEXTS if text not in held_out], seed), tokenizer)
        found |= {text.text: fit.tokens(text.size()) for text in held_out}
    return found


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("tokenizer", TOKENIZERS)
@pytest.mark.covers("T32")
def test_within_fifty_requests_every_kind_of_text_is_learned_to_15_percent(tokenizer: str, seed: int) -> None:
    estimated = estimates(tokenizer, seed)
    for kind in KINDS_OF_TEXT:
        texts = of_kind(kind)
        estimate = sum(estimated[text.text] for text in texts)
        assert estimate == pytest.approx(sum(text.counts[tokenizer] for text in texts), rel=0.15), kind
    ratios = [estimated[text.text] / text.counts[tokenizer] for text in TEXTS]
    assert within(0.15, ratios) >= 5 / 6  # of single texts, most of them of 60 to 300 tokens
    assert within(0.25, ratios) >= 0.95


def test_a_model_that_changes_its_tokenizer_is_followed() -> None:
    fit = TokenFit()
    for tokenizer in ("o200k_base", "claude"):
        for text in TEXTS * 5:
            fit.observe(text.size(), text.counts[tokenizer])
    for kind in ("chinese", "python", "english"):
        estimate = sum(fit.tokens(text.size()) for text in of_kind(kind))
        assert estimate == pytest.approx(sum(text.counts["claude"] for text in of_kind(kind)), rel=0.15), kind


def test_a_provider_that_counts_nonsense_now_and_then_is_learned_all_the_same() -> None:
    order = random.Random(1)
    fit = TokenFit()
    for number in range(300):
        text = order.choice(TEXTS)
        nonsense = round(sum(text.size()) * order.uniform(0.3, 5))
        fit.observe(text.size(), nonsense if number % 10 == 9 else text.counts["claude"])
    assert within(0.15, [fit.tokens(text.size()) / text.counts["claude"] for text in TEXTS]) >= 0.9


@pytest.mark.parametrize("counted", [-1, 0, 1, 10**9, 2**60])
def test_a_count_that_cannot_be_is_ignored(counted: int) -> None:
    fit = TokenFit()
    fit.observe(TEXTS[0].size(), counted)
    fit.observe_bytes(4000, counted)
    assert fit.observations == 0
    assert fit.tokens_of_bytes(4000) == 1000


SIZES = st.lists(st.just(0.0) | st.floats(0, 10) | st.floats(0, 1e7), min_size=len(KINDS), max_size=len(KINDS)).map(
    tuple[float, ...]
)
TIMES = st.floats(0.3, 5.0) | st.floats(-1, 1e6)


@given(st.lists(st.tuples(SIZES, TIMES), max_size=60), SIZES)
def test_no_factor_becomes_absurd_whatever_a_provider_counts(observed: list[tuple[Size, float]], asked: Size) -> None:
    fit = TokenFit()
    for size, times in observed:
        fit.observe(size, round(sum(size) * times))
    lowest, highest = FACTOR_BOUNDS
    assert 0 < lowest <= min(fit.factors.values()) <= max(fit.factors.values()) <= highest
    assert lowest * sum(asked) - 1 <= fit.tokens(asked) <= highest * sum(asked) + 1


def test_what_was_never_seen_costs_what_it_did() -> None:
    fit = learned(traffic(of_kind("english") * 10, 1), "claude")
    assert fit.factors["han"] == fit.factors["thai"] == fit.factors["tools"] == 1


def test_the_length_of_a_body_is_learned_from_too() -> None:
    fit = TokenFit()
    for _ in range(40):
        fit.observe_bytes(3000, 1000)
    assert fit.tokens_of_bytes(30_000) == pytest.approx(10_000, rel=0.05)
