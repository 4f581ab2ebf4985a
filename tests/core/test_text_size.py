"""How near estimates of text come to what o200k_base counts, before anything is learned."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.core.text_size import text_size
from tests.core.token_counts import KINDS_OF_TEXT, TEXTS, Counted, of_kind, within


def ratio(text: Counted) -> float:
    return sum(text.size()) / text.counts["o200k_base"]


@pytest.mark.parametrize("kind", KINDS_OF_TEXT)
@pytest.mark.covers("T32")
def test_text_of_every_kind_is_estimated_within_15_percent(kind: str) -> None:
    texts = of_kind(kind)
    estimate = sum(sum(text.size()) for text in texts)
    assert estimate == pytest.approx(sum(text.counts["o200k_base"] for text in texts), rel=0.15)


@pytest.mark.covers("T32")
def test_so_are_single_short_texts_but_for_a_few_of_a_hundred() -> None:
    ratios = [ratio(text) for text in TEXTS]
    assert within(0.15, ratios) >= 0.96
    assert within(0.25, ratios) >= 0.99


@pytest.mark.parametrize("kind", [kind for kind in KINDS_OF_TEXT if kind.startswith("chinese")])
@pytest.mark.covers("T32")
def test_of_chinese_every_text_is_estimated_within_15_percent(kind: str) -> None:
    assert [round(ratio(text), 2) for text in of_kind(kind) if abs(ratio(text) - 1) > 0.15] == []


CODE = ["yaml", "python", "typescript", "go", "rust", "java", "c", "sql", "html", "shell", "json"]


@pytest.mark.parametrize("kind", CODE)
@pytest.mark.covers("T32")
def test_of_code_every_text_is_estimated_within_15_percent(kind: str) -> None:
    assert [round(ratio(text), 2) for text in of_kind(kind) if abs(ratio(text) - 1) > 0.15] == []


def test_a_long_text_is_estimated_by_a_sample() -> None:
    text = "\n\n".join(text.text for text in TEXTS) * 10
    true = sum(text.counts["o200k_base"] for text in TEXTS) * 10
    assert sum(text_size(text.encode())) == pytest.approx(true, rel=0.1)


@given(st.text())
def test_no_kind_of_a_text_is_less_than_nothing(text: str) -> None:
    assert min(text_size(text.encode("utf-8", "replace"))) >= 0


@given(st.binary())
def test_bytes_that_are_no_text_have_a_size_too(text: bytes) -> None:
    assert min(text_size(text)) >= 0
