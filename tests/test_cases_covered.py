"""Every pitfall and case that this version must get right is proven by a test that names it."""

import ast
import functools
from pathlib import Path

TESTS = Path(__file__).parent

PITFALLS = {f"P{number}" for number in range(1, 114)}
CASES = {f"T{number}" for number in (*range(1, 7), *range(10, 27), 28, 31, 32, 33)}


def covered_numbers(code: str) -> set[str]:
    """Return the numbers that the tests of a module claim with `@pytest.mark.covers("P1", "T2")`."""
    numbers: set[str] = set()
    for node in ast.walk(ast.parse(code)):
        if not isinstance(node, ast.Call):
            continue
        marker = isinstance(node.func, ast.Attribute) and node.func.attr == "covers"
        values = node.args if marker else [keyword.value for keyword in node.keywords if keyword.arg == "covers"]
        for value in values:
            numbers |= {text.value for text in ast.walk(value) if isinstance(text, ast.Constant)}
    return numbers


@functools.cache
def all_covered() -> dict[str, list[str]]:
    """Return the modules that cover each number."""
    modules: dict[str, list[str]] = {}
    for path in sorted(TESTS.rglob("test_*.py")):
        for number in covered_numbers(path.read_text()):
            modules.setdefault(number, []).append(path.relative_to(TESTS).as_posix())
    return modules


def by_number(numbers: set[str]) -> list[str]:
    return sorted(numbers, key=lambda number: (number[0], int(number[1:])))


def test_every_required_number_has_a_test() -> None:
    missing = by_number((PITFALLS | CASES) - all_covered().keys())
    assert not missing, f"no test covers {', '.join(missing)}"


def test_only_numbers_that_exist_are_claimed() -> None:
    existing = {f"P{number}" for number in range(1, 121)} | {f"T{number}" for number in range(1, 36)}
    claimed = all_covered()
    strange = {number: modules for number, modules in claimed.items() if number not in existing}
    assert not strange


def test_a_claim_is_found_wherever_it_stands() -> None:
    code = '@pytest.mark.covers("P1", "T2")\ndef f(): ...\nrow("a", covers=("P3",))\npytest.param(marks=pytest.mark.covers("P4"))'
    assert covered_numbers(code) == {"P1", "T2", "P3", "P4"}
    assert covered_numbers('# covers("P9")\nx = "P9"') == set()
