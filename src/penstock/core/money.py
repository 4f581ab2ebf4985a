"""Dollars as people write them, exactly: whole numbers of nano-dollars inside, decimal text outside."""

import re

NANO = 10**9
"""Nano-dollars in a dollar."""

MAX_DOLLARS = 10**9
"""More is a mistake; and sums of such amounts fit 64 bits."""

_DECIMAL = re.compile(r"([0-9]{1,10})(?:\.([0-9]{1,9}))?")


def parse_dollars(written: str | int) -> int:
    """Return nano-dollars.

    Raises:
        ValueError: it is not an amount of dollars, or one that is too large or too fine.
    """
    match = _DECIMAL.fullmatch(str(written))
    if match is None:
        raise ValueError(f'expected dollars as "10" or "10.50", with up to 9 decimals; got "{written}"')
    amount = int(match[1]) * NANO + int((match[2] or "").ljust(9, "0"))
    if amount > MAX_DOLLARS * NANO:
        raise ValueError(f"more than {MAX_DOLLARS} dollars")
    return amount


def format_dollars(amount: int) -> str:
    """Return an amount of nano-dollars, exactly, with two decimals or as many as it takes."""
    sign = "-" if amount < 0 else ""
    dollars, rest = divmod(abs(amount), NANO)
    return f"{sign}{dollars}.{f'{rest:09}'.rstrip('0').ljust(2, '0')}"
