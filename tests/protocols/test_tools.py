"""Tool names that a target refuses, and back."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.protocols.tools import ToolNames

ILLEGAL = re.compile(r"[^a-zA-Z0-9_-]")


def test_a_legal_name_stays() -> None:
    names = ToolNames(ILLEGAL, 64)
    assert names.legal("get-weather_2") == "get-weather_2"
    assert names.changed == {}


@given(st.lists(st.text(min_size=1, max_size=100), max_size=8, unique=True))
@pytest.mark.covers("P51")
def test_every_name_becomes_legal_and_is_found_again(originals: list[str]) -> None:
    names = ToolNames(ILLEGAL, 64)
    legal = [names.legal(original) for original in originals]
    assert all(re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", name) for name in legal)
    assert [names.changed.get(name, name) for name in legal] == originals


@pytest.mark.covers("P51")
def test_names_that_differ_only_in_illegal_characters_stay_different() -> None:
    names = ToolNames(ILLEGAL, 64)
    assert len({names.legal("a.b"), names.legal("a/b"), names.legal("a_b")}) == 3


def test_a_name_has_the_same_replacement_in_every_request() -> None:
    assert ToolNames(ILLEGAL, 64).legal("a.b") == ToolNames(ILLEGAL, 64).legal("a.b")
