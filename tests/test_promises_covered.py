"""Every promise of docs/promises.md is proven by a test that names it, or is said here not to be."""

import ast
import functools
import re
from pathlib import Path

from chaos.__main__ import PROGRAMMES

TESTS = Path(__file__).parent
PAGE = TESTS.parent / "docs" / "promises.md"

NOT_YET: dict[str, str] = {
    "5.8": "a playground",
    "5.15": "webhooks",
}
"""Promises that no test names, and what they wait for. A promise leaves this list with its first test."""


def promises() -> dict[str, str]:
    """Return what the page says to run for each promise."""
    rows = re.findall(r"^\| (\d\.\d+) \| .+ \| (.+) \|$", PAGE.read_text("utf-8"), re.MULTILINE)
    return dict(rows)


def promised_numbers(code: str) -> set[str]:
    """Return the numbers that the tests of a module claim with `@pytest.mark.promise("1.1", "4.2")`."""
    return {
        text.value
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "promise"
        for value in node.args
        for text in ast.walk(value)
        if isinstance(text, ast.Constant)
    }


@functools.cache
def kept() -> set[str]:
    """Return the promises that tests name."""
    return {number for path in TESTS.rglob("test_*.py") for number in promised_numbers(path.read_text("utf-8"))}


def by_number(numbers: set[str]) -> list[str]:
    return sorted(numbers, key=lambda number: [int(part) for part in number.split(".")])


def test_every_promise_has_a_test_or_is_said_to_have_none():
    assert by_number(set(promises())) == by_number(kept() | set(NOT_YET))


def test_no_promise_is_said_to_have_no_test_that_has_one():
    assert not by_number(kept() & set(NOT_YET))


def test_the_page_says_of_which_promises_nothing_is_proven():
    assert {number for number, how in promises().items() if how == "not proven yet"} == set(NOT_YET)


def test_numbers_follow_each_other():
    numbers = list(promises())
    assert numbers == by_number(set(numbers))
    assert len(numbers) == len(PAGE.read_text("utf-8").split("\n| ")) - 1 - 5  # the five heads


def test_every_command_names_a_programme_that_exists():
    named = re.findall(r"`python -m chaos --only ([\w-]+)`", PAGE.read_text("utf-8"))
    assert named
    assert set(named) <= set(PROGRAMMES)


def test_a_promise_is_found_wherever_it_is_named():
    code = '@pytest.mark.promise("1.1", "4.2")\ndef f(): ...\npytest.param(marks=pytest.mark.promise("5.3"))'
    assert promised_numbers(code) == {"1.1", "4.2", "5.3"}
    assert promised_numbers('# promise("1.9")\nx = "1.9"') == set()
