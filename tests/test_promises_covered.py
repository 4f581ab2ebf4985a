"""Every promise of docs/promises.md is proven by a test that names it, or is said here not to be."""

import ast
import re
from pathlib import Path

from chaos.__main__ import PROGRAMMES

TESTS = Path(__file__).parent
PAGE = TESTS.parent / "docs" / "promises.md"

_RESUME = "resuming"
_FAILOVER = "going over to another target"
_LEDGER = "tests of the ledger that name it"
_HOSTILE = "tests of hostile clients that name it"
_SECRETS = "tests of what is let in and out that name it"

NOT_YET: dict[str, str] = {
    **dict.fromkeys(("1.3", "1.4", "1.5", "1.6", "1.7"), _RESUME),
    **dict.fromkeys(("2.2", "2.3", "2.4"), _FAILOVER),
    **dict.fromkeys(("3.3", "3.4"), _LEDGER),
    **dict.fromkeys(("4.1", "4.2", "4.3", "4.4", "4.5", "4.6", "4.7", "4.9", "4.11", "4.15", "4.18"), _HOSTILE),
    **dict.fromkeys(("4.12", "4.16", "5.4", "5.5", "5.6", "5.7", "5.9", "5.10", "5.11", "5.12", "5.13"), _SECRETS),
    "4.10": "a stop that tells streams how to be resumed",
    "4.17": "a measurement of the gaps between events",
    "5.8": "a playground",
    "5.14": "a locked set of dependencies",
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


def kept() -> set[str]:
    """Return the promises that tests name."""
    return {number for path in TESTS.rglob("test_*.py") for number in promised_numbers(path.read_text("utf-8"))}


def by_number(numbers: set[str]) -> list[str]:
    return sorted(numbers, key=lambda number: [int(part) for part in number.split(".")])


def test_every_promise_has_a_test_or_is_said_to_have_none():
    assert by_number(set(promises())) == by_number(kept() | set(NOT_YET))


def test_no_promise_is_said_to_have_no_test_that_has_one():
    assert not by_number(kept() & set(NOT_YET))


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
